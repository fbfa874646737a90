"""A simulated study is what its seed, its neck and its fractures say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from neckfrac.anatomy import LEVEL_BY_NAME, LEVEL_NAMES, SKULL
from neckfrac_lab.simulate.fractures.fracture import make_fracture, make_mimic
from neckfrac_lab.simulate.study import Grid, Scanner, Variation, simulate_study
from scipy import ndimage

WHOLE = Grid((88, 64, 64), (2.0, 2.0, 2.0), ("C4", (0.0, 10.0, 0.0)))
FINE = Grid((40, 100, 100), (1.0, 0.6, 0.6), ("C5", (0.0, 14.0, 0.0)))


@pytest.fixture(scope="module")
def plain(toy_neck):
    """A textbook neck, its whole cervical spine in view."""
    return simulate_study(toy_neck, seed=1, grid=WHOLE, variation=Variation.plain(), scanner=Scanner.clean())


def test_the_same_seed_gives_the_same_voxels_and_another_seed_others(toy_neck):
    fracture = make_fracture("C5", "burst", toy_neck.frames["C5"], seed=3)
    first, again, other = (
        simulate_study(toy_neck, seed=seed, grid=FINE, fractures=[fracture]) for seed in (7, 7, 8)
    )
    for name in ("labels", "fracture"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert np.array_equal(first.volume.voxels, again.volume.voxels)
    assert first.truth == again.truth and first.shares == again.shares and first.centers == again.centers
    assert not np.array_equal(first.volume.voxels, other.volume.voxels)


def test_a_mirrored_study_is_the_exact_mirror_image_with_its_truth(toy_neck):
    fracture = make_fracture("C4", "transverse", toy_neck.frames["C4"], seed=1)
    one_side = replace(WHOLE, center=("C4", (6.0, 10.0, 0.0)))
    other_side = replace(WHOLE, center=("C4", (-6.0, 10.0, 0.0)))
    straight = simulate_study(toy_neck, seed=5, grid=one_side, fractures=[fracture], variation=Variation(mirror=False))
    mirrored = simulate_study(toy_neck, seed=5, grid=other_side, fractures=[fracture], variation=Variation(mirror=True))
    assert np.array_equal(straight.volume.voxels[..., ::-1], mirrored.volume.voxels)
    assert np.array_equal(straight.labels[..., ::-1], mirrored.labels)
    assert np.array_equal(straight.fracture[..., ::-1], mirrored.fracture) and straight.fracture.any()
    first, last = straight.volume.to_points((0, 0, 0)), mirrored.volume.to_points((0, 0, 63))
    assert np.allclose(first * (-1, 1, 1), last, atol=1e-4)
    for level in LEVEL_NAMES:
        assert np.allclose(np.array(straight.centers[level]) * (-1, 1, 1), mirrored.centers[level])
    there, here = (study.truth["fractures"][0]["box"] for study in (straight, mirrored))
    assert np.allclose(-np.array(there["lower"])[0], here["upper"][0], atol=1e-4)
    assert mirrored.truth["mirrored"] and not straight.truth["mirrored"]


def test_labels_lie_on_bone_and_the_canal_stays_soft(plain, toy_neck):
    hu, labels = plain.volume.voxels, plain.labels
    for level in LEVEL_NAMES:
        inside = ndimage.binary_erosion(labels == LEVEL_BY_NAME[level].label)
        assert np.median(hu[inside]) > 200
        # Rest pose: the canal's centre lies 16 mm behind the body's.
        z, y, x = np.rint(plain.volume.to_indices(np.array(plain.centers[level]) + (0, 16, 0))).astype(int)
        assert -50 < hu[z, y, x] < 120 and labels[z, y, x] == 0
    around = ndimage.binary_dilation(labels > 0, iterations=2)
    assert hu[~around].max() < 250, "nothing as dense as bone lies outside all bones"
    assert hu[labels == SKULL].mean() > 300


def test_each_level_has_its_label_at_its_centre(plain):
    for level in LEVEL_NAMES:
        index = np.rint(plain.volume.to_indices(plain.centers[level])).astype(int)
        assert plain.labels[tuple(index)] == LEVEL_BY_NAME[level].label


def test_levels_follow_each_other_from_top_to_bottom_in_twenty_people(toy_neck):
    upright = Variation(rotation=(8.0, 6.0, 8.0), extreme_chance=0.0)
    grid = Grid((44, 32, 32), (4.0, 4.0, 4.0), ("C4", (0.0, 10.0, 0.0)))
    for seed in range(20):
        study = simulate_study(toy_neck, seed=seed, grid=grid, variation=upright, scanner=Scanner.clean())
        heights = [study.centers[level][2] for level in (*LEVEL_NAMES, "T1")]
        assert np.all(np.diff(heights) < 0)
        seen = [n for n in range(1, 8) if (study.labels == n).sum() > 20]
        middles = [np.argwhere(study.labels == n)[:, 0].mean() for n in seen]
        assert len(seen) >= 5 and np.all(np.diff(middles) < 0)


def test_vertebrae_keep_the_volume_their_pose_gives_them(toy_neck):
    variation = Variation(extreme_chance=0.0).still()
    for seed in (2, 3):
        study = simulate_study(toy_neck, seed=seed, grid=WHOLE, variation=variation, scanner=Scanner.clean())
        scale = np.prod(study.truth["pose"]["body_scale"])
        for level in ("C3", "C4", "C5"):
            assert study.shares[level] == 1
            posed = (study.labels == LEVEL_BY_NAME[level].label).sum() * 8.0
            rest = (toy_neck.bones[level].distance < 0).sum() * 1.0
            # A level's own scale: 5 % and 4 % along each of three axes, so about 11 % in volume.
            assert 0.65 < posed / (rest * scale) < 1.45


def test_the_same_person_is_seen_on_a_coarse_and_on_a_fine_grid(toy_neck):
    variation = Variation(extreme_chance=0.0)
    coarse = simulate_study(toy_neck, seed=4, grid=WHOLE, variation=variation, scanner=Scanner.clean())
    fine = simulate_study(toy_neck, seed=4, grid=FINE, variation=variation, scanner=Scanner.clean())
    assert coarse.centers == fine.centers
    points = fine.volume.to_points(np.argwhere(fine.labels == 5))
    index = np.rint(coarse.volume.to_indices(points)).astype(int)
    agreement = (coarse.labels[tuple(index.T)] == 5).mean()
    assert agreement > 0.75, "voxels of 2 mm can only differ at the surface"


def test_a_fracture_lies_in_its_vertebra_and_darkens_it(toy_neck):
    fracture = make_fracture("C5", "burst", toy_neck.frames["C5"], seed=2, severity=0.7)
    kept = dict(seed=3, grid=FINE, variation=Variation.plain(), scanner=Scanner.clean())
    whole = simulate_study(toy_neck, **kept)
    broken = simulate_study(toy_neck, **kept, fractures=[fracture])
    assert set(np.unique(broken.fracture)) == {0, 5} and not whole.fracture.any()
    near = ndimage.binary_dilation((broken.labels == 5) | (whole.labels == 5), iterations=3)
    assert near[broken.fracture > 0].mean() > 0.97
    changed = np.abs(broken.volume.voxels.astype(int) - whole.volume.voxels) > 150
    assert changed.sum() > 100 and (changed & near).sum() > 0.9 * changed.sum()
    box = broken.truth["fractures"][0]["box"]
    points = broken.volume.to_points(np.argwhere(broken.fracture > 0))
    assert np.all(points >= np.array(box["lower"])) and np.all(points <= np.array(box["upper"]))


def test_a_mimic_changes_the_picture_but_not_the_truth(toy_neck):
    kept = dict(seed=3, grid=FINE, variation=Variation.plain(), scanner=Scanner.clean())
    mimic = make_mimic("C5", "osteophyte", toy_neck.frames["C5"], seed=1)
    without, study = simulate_study(toy_neck, **kept), simulate_study(toy_neck, **kept, mimics=[mimic])
    assert not study.fracture.any() and not study.truth["fractures"]
    assert study.truth["mimics"][0]["level"] == "C5"
    assert (study.volume.voxels != without.volume.voxels).any()


def test_shares_tell_how_much_of_a_vertebra_is_in_view(toy_neck):
    kept = dict(seed=1, variation=Variation.plain(), scanner=Scanner.clean())
    half = Grid((20, 64, 64), (1.0, 2.0, 2.0), ("C5", (0.0, 10.0, -10.0)))
    shares = simulate_study(toy_neck, grid=half, **kept).shares
    assert shares["C1"] == shares["C3"] == 0 and 0.4 < shares["C5"] < 0.6 and shares["C6"] > 0.6
    cut = replace(Scanner.clean(), cut_above=0.5)
    study = simulate_study(toy_neck, seed=1, variation=Variation.plain(), grid=WHOLE, scanner=cut)
    assert study.shares["C1"] == 0 and study.shares["C6"] == 1
    assert (study.volume.voxels[44:] == -1024).all() and not study.labels[44:].any()


def test_a_neck_without_the_fractured_level_is_refused(toy_neck):
    fracture = make_fracture("C5", "burst", toy_neck.frames["C5"], seed=2)
    frames = {name: frame for name, frame in toy_neck.frames.items() if name != "C5"}
    with pytest.raises(ValueError, match="C5"):
        simulate_study(replace(toy_neck, frames=frames), seed=1, grid=FINE, fractures=[fracture])


def test_big_grids_rendered_in_slabs_match_those_rendered_at_once(toy_neck, monkeypatch):
    from neckfrac_lab.simulate import study as module

    kept = dict(seed=6, grid=WHOLE, scanner=Scanner.clean(), variation=Variation(extreme_chance=0.0))
    once = simulate_study(toy_neck, **kept)
    monkeypatch.setattr(module, "_AT_ONCE", 64 * 64 * 30)
    slabs = simulate_study(toy_neck, **kept)
    assert (once.labels == slabs.labels).mean() > 0.999
    difference = np.abs(once.volume.voxels.astype(int) - slabs.volume.voxels)
    assert np.median(difference) == 0 and np.percentile(difference, 99.5) < 150


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_gives_the_same_study(toy_neck):
    on_cpu = simulate_study(toy_neck, seed=2, grid=FINE)
    on_gpu = simulate_study(toy_neck, seed=2, grid=FINE, device=torch.device("cuda"))
    assert (on_cpu.labels == on_gpu.labels).mean() > 0.999
    assert np.abs(on_cpu.volume.voxels.astype(int) - on_gpu.volume.voxels).mean() < 2
