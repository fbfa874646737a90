"""Implants, tubes and gas are where they belong, and the labels do not know them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from neckfrac.anatomy import LEVEL_BY_NAME, OTHER_BONE
from neckfrac_lab.simulate.hardware import draw as hardware
from neckfrac_lab.simulate.hardware import implants
from neckfrac_lab.simulate.hardware.parts import Block, Layer, Rod, Scene, Tube
from neckfrac_lab.simulate.metal import metal_artefact
from neckfrac_lab.simulate.study import Grid, Scanner, Variation, simulate_study
from scipy import ndimage

GRID = Grid((110, 70, 60), (1.5, 1.5, 1.5), ("C4", (0.0, 10.0, 0.0)))
CLEAN = replace(Scanner.clean(), metal=1.0)
CALM = replace(CLEAN, metal=0.0)
CHANCES = (
    "implant_chance", "tube_chance", "free_air_chance", "bolus_chance", "jewellery_chance", "lead_chance",
    "arms_chance", "wrap_chance",
)


def scene(count=40, step=0.5):
    plane = (torch.arange(count) - (count - 1) / 2) * step
    posed = torch.stack(torch.meshgrid(plane, plane, plane, indexing="ij"))[[2, 1, 0]]
    far = torch.full((count,) * 3, 50.0)
    return Scene(
        torch.zeros(count, count, count), torch.zeros(count, count, count, dtype=torch.uint8), (plane,) * 3, step,
        posed, posed.clone(), -far, far,
    )


@pytest.mark.parametrize(("part", "volume"), [
    (Rod((0, 0, -5), (0, 0, 5), 2.0), np.pi * 4 * 10 + 4 / 3 * np.pi * 8),
    (Rod((0.1, 0.05, -5), (0.3, 0.2, 5), 0.1), np.pi * 0.01 * 10.5),
    (Block((0, 0, 0), np.eye(3), (3, 2, 4)), 192.0),
    (Block((1, 0, 0), np.eye(3), (3, 3, 0.1)), 7.2),
    (Block((0, 0, 0), np.eye(3), (3, 2, 4), round=True), 4 / 3 * np.pi * 24),
    (Tube(np.array([(0, 0, -5.0), (0, 0, 0), (0, 0, 5)]), 2.0), np.pi * 4 * 10 + 4 / 3 * np.pi * 8),
])
def test_a_solid_has_the_volume_of_its_measures_even_when_thinner_than_a_voxel(part, volume):
    here = scene()
    total = torch.zeros_like(here.hu)
    part.add(here, total)
    assert float(total.sum()) * here.voxel**3 == pytest.approx(volume, rel=0.15)


def study(neck, seed, *, scanner=CLEAN, grid=GRID, **chances):
    plain = replace(Variation.plain(), **{**dict.fromkeys(CHANCES, 0.0), **chances})
    return simulate_study(neck, seed=seed, grid=grid, variation=plain, scanner=scanner)


@pytest.mark.parametrize("kind", implants.KINDS)
def test_implants_are_metal_at_their_levels_and_change_no_label(toy_neck, kind, monkeypatch):
    monkeypatch.setattr(implants, "KINDS", {kind: 1.0})
    quiet = replace(CLEAN, metal=0.0)
    without, operated = study(toy_neck, 3, scanner=quiet), study(toy_neck, 3, scanner=quiet, implant_chance=1.0)
    assert np.array_equal(without.labels, operated.labels)
    record = operated.truth["hardware"]
    if kind == "occipital plate" and not record:
        pytest.skip("the toy skull has no occiput behind its joint")
    assert record[0]["kind"] == kind and record[0]["levels"]
    changed = np.argwhere(np.abs(operated.volume.voxels - without.volume.voxels) > 100)
    assert (operated.volume.voxels > 2500).any() != (without.volume.voxels > 2500).any()
    heights = operated.volume.to_points(changed)[:, 2]
    levels = [operated.centers[level][2] for level in record[0]["levels"]]
    below = 60 if kind == "occipital plate" else 20
    assert min(levels) - below < heights.min() and heights.max() < max(levels) + 70


def test_no_chance_gives_no_hardware_and_the_same_voxels(toy_neck):
    without = study(toy_neck, 5)
    assert without.truth["hardware"] == []
    assert np.array_equal(without.volume.voxels, study(toy_neck, 5).volume.voxels)


def test_hardware_is_seeded(toy_neck):
    first, again = (study(toy_neck, 4, **dict.fromkeys(CHANCES, 1.0)) for _ in range(2))
    assert first.truth == again.truth and np.array_equal(first.volume.voxels, again.volume.voxels)


def test_one_kind_of_hardware_never_changes_another(toy_neck):
    alone = study(toy_neck, 6, implant_chance=1.0).truth["hardware"]
    together = study(toy_neck, 6, **dict.fromkeys(CHANCES, 1.0)).truth["hardware"]
    assert alone == together[: len(alone)] and len(together) > len(alone)


def test_an_airway_tube_has_a_wall_around_air(toy_neck):
    found = next(s for s in range(50) if any(
        r["kind"] == "endotracheal tube" for r in study(toy_neck, s, tube_chance=1.0, grid=SMALL).truth["hardware"]))
    fine = Grid((10, 80, 80), (2.0, 0.5, 0.5), ("C5", (0.0, -30.0, 0.0)))
    with_tube, without = (study(toy_neck, found, tube_chance=c, grid=fine) for c in (1.0, 0.0))
    wall = (with_tube.volume.voxels > 0) & (without.volume.voxels < -700)
    assert wall[5].sum() > 20
    inside = np.argwhere(wall[5]).mean(0).astype(int)
    assert with_tube.volume.voxels[5][tuple(inside)] < -500, "its lumen holds air"


SMALL = Grid((8, 16, 16), (6.0, 6.0, 6.0), ("C5", (0.0, -10.0, 0.0)))


def test_free_air_is_air_outside_bone(toy_neck):
    for seed in range(4):
        before, after = (study(toy_neck, seed, free_air_chance=c) for c in (0.0, 1.0))
        gas = (after.volume.voxels < -300) & (before.volume.voxels > -100)
        assert after.truth["hardware"] and np.array_equal(before.labels, after.labels)
        core = before.labels == LEVEL_BY_NAME["C4"].label
        assert (gas & core).sum() <= 0.05 * core.sum()


def test_metal_throws_dark_bands_between_two_pins_and_only_in_their_slices():
    hu = torch.zeros(20, 100, 100)
    hu[8:12, 45:55, 25:29], hu[8:12, 45:55, 71:75] = 7000.0, 7000.0
    streaks = metal_artefact(hu, (1.0, 1.0, 1.0), 1.0, torch.Generator().manual_seed(0))
    assert streaks[10, 48:52, 40:60].mean() < -40 < streaks[10, 20:30, 40:60].mean()
    assert streaks[:4].abs().max() == 0 and streaks[16:].abs().max() == 0
    assert metal_artefact(hu * 0.3, (1.0, 1.0, 1.0), 1.0, torch.Generator()) is None
    assert metal_artefact(hu, (1.0, 1.0, 1.0), 0.0, torch.Generator()) is None


def test_metal_in_a_single_thin_slice_streaks_there():
    hu = torch.full((6, 64, 64), 40.0)
    hu[3, 30:34, 20:24] = 8000
    streaks = metal_artefact(hu, (0.5, 1.0, 1.0), 1.0, torch.Generator().manual_seed(0))
    assert streaks[3].abs().max() > 20 and not streaks[[0, 1, 2, 4, 5]].any()


def test_only_dense_things_count_as_metal():
    assert not hardware.Hardware((Layer(-990.0, ()), Layer(300.0, ()))).metal
    assert hardware.Hardware((Layer(6000.0, ()),)).metal


def test_leads_and_cloth_lie_outside_the_skin(toy_neck):
    wide = Grid((80, 70, 70), (3.0, 3.0, 3.0), ("C7", (0.0, 0.0, 0.0)))
    for chance in ("lead_chance", "wrap_chance"):
        changed = 0
        for seed in range(3):
            before, after = (study(toy_neck, seed, scanner=CALM, grid=wide, **{chance: c}) for c in (0.0, 1.0))
            # The toy's skin is a cylinder of 75 mm; scanning blurs by a voxel or so.
            body = before.volume.voxels > -300
            inner = ndimage.binary_erosion(body, iterations=2)
            assert np.array_equal(before.volume.voxels[inner], after.volume.voxels[inner])
            changed += (before.volume.voxels != after.volume.voxels).sum()
            assert np.array_equal(before.labels, after.labels)
        assert changed > 100


def test_arms_are_other_bone_and_hide_no_vertebra(toy_neck):
    wide = Grid((60, 60, 90), (4.0, 4.0, 4.0), ("C2", (0.0, 10.0, 40.0)))
    before, after = (study(toy_neck, 2, grid=wide, arms_chance=c) for c in (0.0, 1.0))
    new = after.labels != before.labels
    assert new.any() and (before.labels[new] == 0).all() and (after.labels[new] == OTHER_BONE).all()


def test_contrast_in_the_subclavian_vein_comes_only_with_contrast_in_the_vessels(toy_neck):
    kinds = [study(toy_neck, 3, grid=SMALL, bolus_chance=1.0, contrast_chance=c).truth["hardware"] for c in (0.0, 1.0)]
    assert kinds[0] == [] and kinds[1][0]["kind"] == "contrast in the subclavian vein"
