"""People's necks differ beyond size and pose, and each voxel still says what it is."""

from __future__ import annotations

import json

import numpy as np
import pytest
from neckfrac.anatomy import LEVEL_BY_NAME, OTHER_BONE
from neckfrac_lab.simulate.render import inner_points
from neckfrac_lab.simulate.study import Grid, Scanner, Variation, simulate_study
from neckfrac_lab.simulate.variety.draw import KINDS, draw_variety
from scipy import ndimage

WHOLE = Grid((100, 90, 80), (1.5, 1.5, 1.5), ("C4", (0.0, 14.0, 0.0)))


def changed(neck, kind, seed=0):
    return draw_variety(neck, np.random.default_rng(seed), Variation.plain(), kinds=[kind])


def unchanged(neck):
    return draw_variety(neck, np.random.default_rng(0), Variation.plain(), chance=0.0)


def scanned(variety, grid=WHOLE):
    return simulate_study(
        variety.neck, seed=1, grid=grid, mimics=variety.mimics, variation=variety.variation, scanner=Scanner.clean()
    )


def test_without_the_chance_nothing_changes(toy_neck):
    variation = Variation()
    variety = draw_variety(toy_neck, np.random.default_rng(0), variation, chance=0.0)
    assert variety.neck is toy_neck and variety.mimics == () and variety.variation == variation
    assert variety.truth["kinds"] == []


def test_the_same_generator_gives_the_same_variety_and_never_touches_the_neck(toy_neck):
    before = {name: bone.distance.copy() for name, bone in toy_neck.bones.items()}
    for seed in range(7):
        first, again = (draw_variety(toy_neck, np.random.default_rng(seed), chance=1.0) for _ in range(2))
        assert first.truth == again.truth and first.truth["kinds"] and first.variation == again.variation
        assert json.loads(json.dumps(first.truth)) == first.truth
        assert list(first.neck.bones) == list(again.neck.bones)
        for name, bone in first.neck.bones.items():
            assert np.array_equal(bone.distance, again.neck.bones[name].distance)
    assert all(np.array_equal(bone.distance, before[name]) for name, bone in toy_neck.bones.items())


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_can_be_simulated_and_is_no_fracture(toy_neck, kind):
    variety = changed(toy_neck, kind, seed=3)
    study = scanned(variety)
    assert variety.truth["kinds"] and not study.fracture.any()
    assert {level.label for level in LEVEL_BY_NAME.values()} <= set(np.unique(study.labels))


def test_new_bone_lies_inside_its_crop_with_room_for_rendering(toy_neck):
    for kind in KINDS:
        for bone in changed(toy_neck, kind, seed=5).neck.bones.values():
            inside = np.argwhere(bone.distance < 0)
            room = np.minimum(inside.min(0), np.array(bone.distance.shape) - 1 - inside.max(0)) * bone.spacing
            assert room.min() >= 6.0


def test_a_block_vertebra_is_one_piece_of_bone_with_both_labels_meeting_in_the_disc(toy_neck):
    fused = 0
    for seed in range(8):
        variety = changed(toy_neck, "block", seed)
        record = variety.truth["kinds"][0]
        upper = LEVEL_BY_NAME[record["disc"]].label
        if upper == 7 or record["form"] != "whole":
            continue
        fused += 1
        study = scanned(variety)
        pieces, _ = ndimage.label(np.isin(study.labels, (upper, upper + 1)))
        assert pieces[study.labels == upper].max() == pieces[study.labels == upper + 1].max()
        # Along the line between the two bodies the label changes once, in the middle.
        ends = [study.volume.to_indices(np.array(study.centers[f"C{n}"])) for n in (upper, upper + 1)]
        line = np.rint(np.linspace(*ends, 41)).astype(int)
        found = study.labels[tuple(line.T)]
        assert (found > 0).all() and (np.diff(found.astype(int)) >= 0).all()
        assert 0.35 < np.mean(found == upper) < 0.65
    assert fused


def test_calcified_ligament_around_the_dens_is_dense_and_unlabelled(toy_neck):
    variety = changed(toy_neck, "crown", seed=4)
    name = next(name for name in variety.neck.bones if "calcified" in name)
    chalk = variety.neck.bones[name]
    assert chalk.label == 0 and chalk.segment == "C2"
    study = scanned(variety, Grid((60, 60, 60), (1.0, 1.0, 1.0), ("C2", (0.0, 0.0, 12.0))))
    plain = simulate_study(
        toy_neck, seed=1, grid=Grid((60, 60, 60), (1.0, 1.0, 1.0), ("C2", (0.0, 0.0, 12.0))),
        variation=Variation.plain(), scanner=Scanner.clean(),
    )
    harder = (study.volume.voxels > 200) & (plain.volume.voxels < 120)
    assert (study.labels[harder] == 0).sum() > 20 and not np.isin(study.labels[harder], (1, 2)).any()


def test_ossified_ligaments_are_other_bone(toy_neck):
    for kind in ("posterior-ligament", "nuchal-ligament"):
        added = set(changed(toy_neck, kind).neck.bones) - set(toy_neck.bones)
        neck = changed(toy_neck, kind).neck
        assert added and all(neck.bones[name].label == OTHER_BONE for name in added)


def test_a_child_is_smaller_and_its_bone_softer(toy_neck):
    grown, young = scanned(unchanged(toy_neck)), scanned(changed(toy_neck, "child"))
    size = [np.linalg.norm(np.subtract(s.centers["C2"], s.centers["C6"])) for s in (grown, young)]
    assert size[1] < 0.95 * size[0]
    inside = [np.median(s.volume.voxels[s.labels == 4]) for s in (grown, young)]
    assert inside[1] < inside[0]


def test_osteoporotic_bone_is_hollow_and_dense_bone_is_not(toy_neck):
    inside = []
    for kind in ("brittle", "dense"):
        study = scanned(changed(toy_neck, kind))
        deep = ndimage.binary_erosion(study.labels == 5, iterations=2)
        inside.append(np.median(study.volume.voxels[deep]))
    assert inside[0] < 150 and inside[1] > 300


def test_a_worn_neck_has_more_bone_and_less_disc(toy_neck):
    drawn = (draw_variety(toy_neck, np.random.default_rng(n), Variation.plain(), kinds=["wear"]) for n in range(20))
    variety = next(v for v in drawn if any(record["kind"] == "narrow disc" for record in v.truth["kinds"]))
    volume = [sum(len(inner_points(neck.bones[f"C{n}"])) for n in range(2, 8)) for neck in (toy_neck, variety.neck)]
    assert volume[1] > volume[0]
    narrow = [record for record in variety.truth["kinds"] if record["kind"] == "narrow disc"]
    studies = [scanned(v) for v in (unchanged(toy_neck), variety)]
    for record in narrow:
        upper, lower = record["disc"], f"C{int(record['disc'][1]) + 1}"
        apart = [np.linalg.norm(np.subtract(study.centers[upper], study.centers[lower])) for study in studies]
        assert apart[1] < apart[0] - 0.1
