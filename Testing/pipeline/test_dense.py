"""Sharing the dense detector's answer out among levels. The network is a stand-in that looks for a value of HU."""

import numpy as np
import pytest
import torch
from neckfrac.members.dense import POOLED, ask_dense, territories
from neckfrac.members.dense import predict as classify_dense
from neckfrac.pipeline.dense_features import CLOSINGS, Scale, features
from neckfrac.pipeline.grids import Lattice
from neckfrac.pipeline.localize import draw
from neckfrac.pipeline.segment import Segmented
from neckfrac.progress import Progress
from neckfrac.volume import CTVolume

CPU = torch.device("cpu")
SHAPE, SPACING = (60, 64, 64), (1.0, 0.6, 0.6)


class Finds(torch.nn.Module):
    """Stands in for the trained network: an answer is 6 where dark sheets light up, else -6."""

    def forward(self, image):
        hat = torch.nn.functional.max_pool3d(image[:, 1:2], (1, 2, 2))[:, 0]
        return torch.where(hat > 0.5, 6.0, -6.0)


def segmented(fractured=(4,), labels=None, hu=None):
    """C4 above C5, blocks of bone with 4 mm between them; a fractured one has a dark gap across it."""
    made = np.zeros(SHAPE, np.uint8)
    made[34:52, 16:48, 16:48], made[12:30, 16:48, 16:48] = 4, 5
    voxels = np.where(made > 0, 700, 40).astype(np.int16)
    for label in fractured:
        middle = {4: 43, 5: 21}[label]
        voxels[middle, 16:48, 16:48] = 0
    labels = made if labels is None else labels
    voxels = voxels if hu is None else hu
    lattice = Lattice(SHAPE, SPACING, (0.0, 0.0, 0.0))
    return Segmented(voxels, labels, (labels > 0).astype(np.uint8) * 255, labels, lattice, np.zeros((60, 2), int), 64)


def ask(study, network=None):
    return classify_dense(study, network or Finds(), device=CPU, progress=Progress())


@pytest.mark.parametrize("fractured", [(4,), (5,), (4, 5), ()])
def test_a_level_is_judged_by_what_lies_in_it(fractured):
    prediction = ask(segmented(fractured))
    assert {name for name, p in prediction.levels.items() if p > 0.5} == {f"C{label}" for label in fractured}
    assert set(prediction.levels) == {"C4", "C5"} and prediction.patient is None


def test_each_answer_belongs_to_the_nearest_level_and_far_ones_to_none():
    study = segmented()
    answer = ask_dense(study, Finds(), device=CPU, progress=Progress())
    owned = territories(study, answer)
    z = answer.box[0].start
    assert owned[33 - z].max() == 4 and owned[30 - z].max() == 5, "the gap of four slices is shared"
    assert (owned[:, :2] == 0).all(), "8 mm in front of the vertebrae nothing is theirs"


def test_beside_voxels_without_data_there_is_no_evidence():
    study = segmented()
    hu = study.hu.copy()
    hu[43:45] = -1024
    prediction = ask(segmented(hu=hu))
    assert prediction.levels["C4"] < 0.5


def test_hu_that_are_off_change_nothing():
    """A scanner's gain and zero are taken out by the scan's own muscle and bone."""
    study, other = segmented(), segmented()
    other = segmented(hu=(study.hu * 1.15 - 70).astype(np.int16))
    first, second = (ask_dense(s, Finds(), device=CPU, progress=Progress()).logits for s in (study, other))
    assert np.array_equal(first, second)


def test_a_long_spine_shown_in_parts_gets_the_same_answer(monkeypatch):
    whole = ask_dense(segmented((4, 5)), Finds(), device=CPU, progress=Progress())
    monkeypatch.setattr("neckfrac.members.dense.MOST_VOXELS", 20_000)
    parts = ask_dense(segmented((4, 5)), Finds(), device=CPU, progress=Progress())
    assert np.array_equal(whole.logits, parts.logits) and whole.box == parts.box


def test_a_level_is_the_mean_of_its_hottest_answers():
    answers = np.full((60, 32, 32), -6.0, np.float32)
    answers[40, 10:20, 10:16] = 4.0  # 60 of them

    class Given(torch.nn.Module):
        def forward(self, image):
            return torch.from_numpy(answers[None, :56, : image.shape[3] // 2, : image.shape[4] // 2])

    level = ask(segmented(), Given()).levels["C4"]
    expected = (60 * 4.0 - (POOLED - 60) * 6.0) / POOLED
    assert np.log(level / (1 - level)) == pytest.approx(expected, abs=0.05)


def test_the_box_lies_about_the_gap_and_the_heat_on_the_fine_grid():
    study = segmented()
    prediction = ask(study)
    name, (heat, place) = next(iter(prediction.fine_heat.items()))
    hot = np.zeros(SHAPE, np.float32)
    hot[place] = heat
    assert name == "C4" and set(np.nonzero(hot.max(axis=(1, 2)) > 0.5)[0]) <= {42, 43, 44}
    volume = CTVolume(study.hu, np.diag([0.6, 0.6, 1.0, 1.0]))
    into = np.zeros(SHAPE, np.uint8)
    box = draw(study, [prediction], volume, into)["C4"]
    center = box.center
    assert center == pytest.approx((31.5 * 0.6, 31.5 * 0.6, 43.0), abs=1.0)
    assert into[43, 30, 30] > 90 and into[21].max() < 10


def test_without_a_vertebra_nothing_is_said():
    study = segmented(labels=np.zeros(SHAPE, np.uint8))
    prediction = ask(study)
    assert prediction.levels == {} and prediction.fine_heat == {}


def test_a_dark_sheet_lights_up_in_the_top_hats_and_a_bright_one_does_not():
    for value, lit in ((0.0, True), (2.0, False)):
        image = torch.ones(1, 24, 24, 24)
        image[:, 12] = value
        shown = features(image)
        assert shown.shape == (1, 1 + len(CLOSINGS), 24, 24, 24)
        assert bool(shown[0, 1, 12, 12, 12] > 0.9) is lit and shown[0, 1, 4, 12, 12] == 0
        assert bool(shown[0, 2, 12, 12, 12] > 0.3) is lit


def test_a_scan_without_soft_tissue_or_bone_is_scaled_as_usual():
    assert Scale.of(np.full((8, 8, 8), -1000, np.int16)) == Scale()
    soft = np.random.default_rng(0).normal(45, 12, (40, 60, 60)).astype(np.int16)
    measured = Scale.of(soft)
    assert measured.muscle == pytest.approx(45, abs=8) and measured.bone - measured.muscle == pytest.approx(500, abs=1)


@pytest.mark.parametrize("size", CLOSINGS)
def test_closings_are_those_of_scipy(size):
    from neckfrac.pipeline.dense_features import closing
    from scipy import ndimage

    image = np.random.default_rng(0).normal(size=(9, 11, 12)).astype(np.float32)
    greatest = ndimage.maximum_filter(image, size, mode="nearest")
    closed = ndimage.minimum_filter(greatest, size, mode="nearest")
    assert np.array_equal(closing(torch.from_numpy(image), size).numpy(), closed)


def test_where_slices_are_missing_there_is_no_evidence():
    from dataclasses import replace

    from neckfrac.volume import Gap

    study = segmented((4, 5))
    gap = Gap((0.0, 0.0, 41.0), (0.0, 0.0, 1.0), 5.0)  # mm along z, about the fracture of C4 at 43
    levels = ask(replace(study, gaps=(gap,))).levels
    assert levels["C4"] < 0.5 < levels["C5"]
    answer = ask_dense(study, Finds(), device=CPU, progress=Progress())
    owned = territories(replace(study, gaps=(gap,)), answer)
    empty = np.flatnonzero(owned.max(axis=(1, 2)) == 0) + answer.box[0].start
    assert {42, 43, 44, 45} <= set(empty) and not {41, 46} & set(empty)
