"""What is scanned and is no neck: the trunk, heads, chests and phantoms."""

import numpy as np
import pytest
from neckfrac.anatomy import N_LEVELS, OTHER_BONE, THORACIC
from neckfrac_lab.simulate.other_anatomy import build_trunk, draw_no_neck
from neckfrac_lab.simulate.study import Grid, Variation, simulate_study

SHAPE, SPACING = (88, 64, 64), (2.0, 2.0, 2.0)
PLAIN = Variation(collar_chance=0.0, implant_chance=0.0, tube_chance=0.0, free_air_chance=0.0)


@pytest.fixture(scope="module")
def trunk():
    return build_trunk(3)


def test_a_trunk_has_five_lumbar_vertebrae_that_grow_downwards(trunk):
    frames = [trunk.frames[f"L{n}"] for n in range(1, 6)]
    widths = [frame.half_size[0] for frame in frames]
    assert widths[4] > widths[2] > widths[0], "mm"
    heights = [frame.center[2] for frame in frames]
    steps = -np.diff(heights)
    assert (steps > 20).all() and (steps < 50).all(), "mm from a lumbar body to the next"


def test_a_trunk_holds_no_cervical_vertebra_no_t1_and_no_skull(trunk):
    for level in ("T11", "L3", "sacrum"):
        study = simulate_study(trunk, seed=1, grid=Grid(SHAPE, SPACING, (level, (0, 0, 0))), variation=PLAIN)
        found = set(np.unique(study.labels)) - {0}
        assert found <= {THORACIC, OTHER_BONE} and THORACIC in found
        bone = study.volume.voxels[study.labels == THORACIC]
        soft = study.volume.voxels[(study.labels == 0) & (study.volume.voxels > -200)]
        assert np.median(bone) > np.median(soft) + 50


def test_the_same_seed_gives_the_same_trunk(trunk):
    again = build_trunk(3)
    assert all(np.array_equal(trunk.bones[name].distance, again.bones[name].distance) for name in trunk.bones)


def test_what_is_drawn_as_no_neck_never_shows_a_level_and_is_of_several_kinds(trunk, toy_neck):
    held = []
    for seed in range(12):
        labels = draw_no_neck([toy_neck], [trunk], seed, SHAPE, SPACING).labels
        held.append({int(value) for value in np.unique(labels)})
        assert not np.isin(labels, range(1, N_LEVELS + 1)).any()
    assert any(THORACIC in values for values in held) and any(values <= {0, OTHER_BONE} for values in held)
