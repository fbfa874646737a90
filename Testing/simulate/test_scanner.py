"""The scanner blurs, adds noise and cuts as its parameters say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from neckfrac_lab.simulate.noise import gaussian
from neckfrac_lab.simulate.scanner import OUTSIDE, Scanner, acquire, metal_streaks, noise_level
from neckfrac_lab.simulate.study import Grid, Variation, simulate_study

QUIET = Scanner.clean()


def planes(shape, spacing):
    return tuple((torch.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True))


def scan(hu, scanner, spacing=(1.0, 1.0, 1.0), shoulders=-1e3, fillings=(), seed=0):
    lattice = planes(hu.shape, spacing)
    return acquire(hu, scanner, spacing, lattice, shoulders, list(fillings), np.random.default_rng(seed)).float()


def test_noise_in_soft_tissue_grows_with_its_parameter(toy_neck):
    grid = Grid((24, 80, 80), (1.0, 0.5, 0.5), ("C4", (0.0, 50.0, 0.0)))
    levels = []
    for amount in (0.0, 10.0, 20.0, 40.0):
        scanner = replace(QUIET, noise=amount, correlation=0.5)
        study = simulate_study(toy_neck, seed=1, grid=grid, variation=Variation.plain(), scanner=scanner)
        hu = study.volume.voxels[:, 30:50, 30:50].astype(float)
        quiet = simulate_study(toy_neck, seed=1, grid=grid, variation=Variation.plain(), scanner=QUIET)
        levels.append((hu - quiet.volume.voxels[:, 30:50, 30:50]).std())
    assert levels[0] == 0
    assert 8 < levels[1] < 13 and np.allclose(np.array(levels[2:]) / levels[1], (2, 4), rtol=0.15)


def test_coarser_voxels_are_less_noisy():
    scanner = Scanner(noise=30.0, slice_thickness=1.0)
    fine, coarse = noise_level(scanner, (1.0, 0.5, 0.5)), noise_level(scanner, (2.0, 2.0, 2.0))
    assert fine == 30.0 and 8 < coarse < 18


def test_noise_rises_below_the_shoulders():
    scanner = replace(QUIET, noise=10.0, shoulder_noise=3.0)
    hu = scan(torch.zeros(120, 40, 40), scanner, shoulders=0.0)
    assert 2.5 < hu[:10].std() / hu[-30:].std() < 3.5


def test_thick_slices_blur_along_z_and_only_along_z():
    step = torch.zeros(40, 20, 20)
    step[20:] = 1000.0
    thin = scan(step, replace(QUIET, slice_thickness=1.0))
    thick = scan(step, replace(QUIET, slice_thickness=5.0))

    def width(hu):
        profile = hu[:, 10, 10]
        return int(((profile > 100) & (profile < 900)).sum())

    assert width(thin) <= 2 < width(thick) and width(thick) >= 4
    sideways = scan(step.transpose(0, 2).contiguous(), replace(QUIET, slice_thickness=5.0))
    assert torch.equal(sideways, scan(step.transpose(0, 2).contiguous(), replace(QUIET, slice_thickness=1.0)))


def test_blur_keeps_the_mean():
    hu = torch.randn(12, 13, 14, generator=torch.Generator().manual_seed(0)) * 100
    padded = torch.nn.functional.pad(hu, (8,) * 6)
    assert abs(float(gaussian(padded, (1.5, 1.0, 0.7)).sum() - hu.sum())) < 1.0


def test_streaks_lie_below_the_shoulders_and_run_from_side_to_side():
    scanner = replace(QUIET, streaks=60.0)
    hu = scan(torch.zeros(120, 60, 60), scanner, shoulders=0.0)
    assert hu[-40:].abs().max() == 0
    lower = hu[:30]
    assert lower.diff(dim=1).std() > 4 * lower.diff(dim=2).std()


def test_metal_streaks_stay_in_the_slices_of_the_metal():
    lattice = planes((60, 80, 80), (1.0, 1.0, 1.0))
    streaks = metal_streaks(replace(QUIET, metal=1.0), [(5.0, 0.0, 10.0)], lattice, np.random.default_rng(0))
    row = 29 + 10
    assert streaks[row].abs().max() > 100 and streaks[:row - 8].abs().max() == 0
    assert metal_streaks(QUIET, [(5.0, 0.0, 10.0)], lattice, np.random.default_rng(0)) is None


def test_gain_and_offset_act_about_air():
    hu = scan(torch.full((6, 6, 6), 500.0), replace(QUIET, gain=1.2, offset=15.0))
    assert torch.allclose(hu, torch.tensor((500 + 1000) * 1.2 - 1000 + 15.0))
    assert (scan(torch.full((6, 6, 6), -1000.0), replace(QUIET, gain=1.2)) == -1000).all()


def test_the_field_of_view_is_cut_from_above_below_and_around():
    hu = torch.full((40, 60, 60), 40.0)
    cut = scan(hu, replace(QUIET, cut_above=0.25, cut_below=0.1))
    assert (cut[-10:] == OUTSIDE).all() and (cut[:4] == OUTSIDE).all() and (cut[4:-10] == 40).all()
    circle = scan(hu, replace(QUIET, round=0.9))
    assert circle[20, 0, 0] == OUTSIDE and circle[20, 30, 30] == 40


def test_random_scanners_are_seeded_and_can_keep_the_field_of_view_whole():
    first, again = (Scanner.random(np.random.default_rng(3)) for _ in range(2))
    assert first == again
    drawn = [Scanner.random(np.random.default_rng(seed), cuts=False) for seed in range(200)]
    assert all(s.cut_above == s.cut_below == 0 and s.round is None for s in drawn)
    assert {s.slice_thickness > 3 for s in drawn} == {True, False}
    cut = [Scanner.random(np.random.default_rng(seed)) for seed in range(200)]
    assert 0.25 < np.mean([s.cut_above > 0 for s in cut]) < 0.55
