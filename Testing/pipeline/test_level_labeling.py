"""Blocks of voxels that point to their own centres stand for vertebrae; the names are what is tested."""

import numpy as np
import pytest
from neckfrac.anatomy import N_CLASSES, OTHER_BONE, SKULL, T1, THORACIC
from neckfrac.pipeline.grids import Lattice
from neckfrac.pipeline.level_labeling import find_vertebrae, in_words, name_chain, rename
from neckfrac.pipeline.locate import decide

SHAPE = (120, 60, 60)
LATTICE = Lattice(SHAPE, (2.0, 2.0, 2.0), (-60.0, -60.0, 0.0))
STEP = 8  # voxels: 16 mm


class Scene:
    """What a network says of a scan, block by block."""

    def __init__(self):
        self.probabilities = np.zeros((N_CLASSES, *SHAPE), np.float32)
        self.probabilities[0] = 1
        self.offsets = np.zeros((3, *SHAPE), np.float32)

    def block(self, z, shares, *, y=30, size=(6, 14, 14)):
        """A vertebra in height z; shares: probability by class, the rest is background."""
        middle = np.array([z, y, 30])
        low = np.maximum(middle - np.array(size) // 2, 0)
        place = tuple(slice(int(a), int(min(a + n, m))) for a, n, m in zip(low, size, SHAPE, strict=True))
        for label, share in shares.items():
            self.probabilities[(label, *place)] = share
        self.probabilities[(0, *place)] = 1 - sum(shares.values())
        index = np.stack(np.meshgrid(*[np.arange(p.start, p.stop) for p in place], indexing="ij"))
        self.offsets[(slice(None), *place)] = middle[:, None, None, None] - index
        return self

    def skull(self, z):
        self.probabilities[:, z : z + 14, 15:45, 15:45] = 0
        self.probabilities[SKULL, z : z + 14, 15:45, 15:45] = 1
        return self

    def chain(self):
        numbers, vertebrae = find_vertebrae(self.probabilities, self.offsets, LATTICE)
        return name_chain(vertebrae, self.probabilities, LATTICE)

    def located(self):
        return decide(self.probabilities.astype(np.float16), self.offsets.astype(np.float16), LATTICE)


def sure(label):
    return {label: 0.95}


def neck(labels, top=100):
    scene = Scene()
    for n, label in enumerate(labels):
        scene.block(top - STEP * n, sure(label))
    return scene


def test_a_whole_neck_is_named_from_above_to_below_and_certain():
    chain = neck(range(1, 9)).chain()
    assert list(chain.levels) == [f"C{n}" for n in range(1, 8)]
    assert chain.naming.certain and chain.naming.given == "C1–C7"
    heights = [one.center[2] for one in chain.levels.values()]
    assert heights == sorted(heights, reverse=True)


def test_levels_squeezed_below_a_certain_axis_are_counted_from_it():
    # What a network made of a scan that ends at C5: the lowest was called C6.
    chain = neck([1, 2, 3, 4, 6]).chain()
    assert list(chain.levels) == ["C1", "C2", "C3", "C4", "C5"]


def test_one_strange_vertebra_is_outvoted():
    scene = neck([1, 2, 3, 5, 5, 6, 7])
    assert list(scene.chain().levels) == [f"C{n}" for n in range(1, 8)]


def test_a_vertebra_that_was_missed_leaves_a_gap_in_the_names():
    scene = Scene()
    for label in (1, 2, 3, 5, 6):
        scene.block(110 - STEP * label, sure(label))
    assert list(scene.chain().levels) == ["C1", "C2", "C3", "C5", "C6"]


def test_the_skull_right_above_makes_the_first_one_c1():
    scene = Scene().skull(107)
    for n, label in enumerate((2, 3, 4, 5)):
        scene.block(100 - STEP * n, {label: 0.4, label - 1: 0.35})
    assert list(scene.chain().levels) == ["C1", "C2", "C3", "C4"]


def test_three_levels_that_look_alike_are_uncertain_and_say_what_else_they_could_be():
    scene = Scene()
    for n, label in enumerate((3, 4, 5)):
        scene.block(70 - STEP * n, {label: 0.55, label + 1: 0.4})
    naming = scene.chain().naming
    assert not naming.certain and naming.given == "C3–C5" and naming.alternatives[0] == "C4–C6"
    assert "first rib" in naming.reason
    assert "C3–C5 or C4–C6" in naming.sentence()


def test_thoracic_vertebrae_end_the_neck_and_anchor_it():
    chain = neck([5, 6, 7, T1, THORACIC, THORACIC]).chain()
    assert list(chain.levels) == ["C5", "C6", "C7"] and chain.naming.certain
    assert [chain.label(name) for name in chain.names] == [5, 6, 7, T1, THORACIC, THORACIC]


def test_bone_of_the_face_that_is_taken_for_a_vertebra_does_not_count():
    scene = neck(range(1, 8), top=90)
    scene.block(104, sure(1), y=8)
    chain = scene.chain()
    assert list(chain.levels) == [f"C{n}" for n in range(1, 8)]
    assert abs(chain.levels["C1"].center[1] - LATTICE.to_points(np.array([90, 30, 30]))[1]) < 3


def test_a_vertebra_cut_by_the_scans_end_keeps_its_place_in_the_chain():
    scene = neck([4, 5, 6], top=20)
    scene.block(0, sure(7))
    chain = scene.chain()
    assert list(chain.levels)[:3] == ["C4", "C5", "C6"]


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        (Scene(), "No voxels"),
        (Scene().block(50, sure(3)), "Fewer than two"),
        (neck([THORACIC] * 5), "No voxels"),
        (Scene().block(70, {3: 0.3, THORACIC: 0.6}).block(62, {4: 0.3, THORACIC: 0.6}), ""),
    ],
)
def test_what_is_no_neck_is_said_to_be_none(scene, reason):
    located = scene.located()
    assert not located.found and located.centers == {}
    assert located.reason.startswith(reason)


def test_after_the_decision_each_vertebra_has_one_name_and_keeps_its_mass():
    scene = Scene()
    for n in range(5):
        scene.block(100 - STEP * n, {n + 1: 0.5, n + 2: 0.4} if n else sure(1))
    numbers, vertebrae = find_vertebrae(scene.probabilities, scene.offsets, LATTICE)
    chain = name_chain(vertebrae, scene.probabilities, LATTICE)
    renamed = rename(scene.probabilities, numbers, chain, OTHER_BONE)
    assert np.allclose(renamed.sum(axis=0), 1, atol=1e-5)
    assert renamed[2, 100 - STEP, 30, 30] == pytest.approx(0.9)
    assert renamed[3, 100 - STEP, 30, 30] == 0


def test_ranges_are_told_with_a_dash_and_only_of_the_neck():
    assert in_words([2, 3, 4]) == "C3–C5"
    assert in_words([6]) == "C7"
    assert in_words([5, 6, 7, 8]) == "C6–C7"
    assert in_words([8, 9]) == ""
