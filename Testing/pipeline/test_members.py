"""Members of the fracture ensemble beside the two models: real bundles with random weights on a small phantom."""

import numpy as np
import pytest
import torch
from neckfrac.anatomy import LEVEL_NAMES, LEVELS
from neckfrac.members import MemberPrediction
from neckfrac.members.planes import DEPTH, box_about, pictures, places_in, tissue_window, views_of
from neckfrac.members.sagittal import MARGIN, nine_planes, shown
from neckfrac.members.sagittal import predict as classify_sagittal
from neckfrac.pipeline.assemble_findings import level_probabilities, members_of
from neckfrac.pipeline.combine import Ensemble, Member
from neckfrac.pipeline.engine import Networks
from neckfrac.pipeline.grids import FINE_SPACING, Lattice
from neckfrac.pipeline.intensity import TISSUE_AND_BONE
from neckfrac.pipeline.localize import draw
from neckfrac.pipeline.run_members import heaviest_first, run_members
from neckfrac.pipeline.segment import Segmented
from neckfrac.progress import Progress
from neckfrac.volume import CTVolume
from tiny_networks import write_models

pytestmark = pytest.mark.usefixtures("one_thread")


def neck(levels=LEVELS):
    """A segmented stack of blocks, 14 mm high, C1 at the top."""
    labels = np.zeros((120, 96, 96), np.uint8)
    for n, level in enumerate(levels):
        labels[102 - 16 * n : 116 - 16 * n, 30:60, 25:70] = level.label
    hu = np.where(labels > 0, 500, 40).astype(np.int16)
    lattice = Lattice(labels.shape, FINE_SPACING, (-30.0, -30.0, 500.0))
    return Segmented(hu, labels, (labels > 0) * np.uint8(255), labels, lattice, np.zeros((120, 2), int), 96)


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    """A models folder with every kind of member, all of the same weight."""
    folder = write_models(tmp_path_factory.mktemp("larger"), others=("planes", "sagittal"))
    path = folder / "ensemble.json"
    ensemble = Ensemble.read(path)
    Ensemble(
        dict.fromkeys(("tiny-slices", "tiny-vertebrae", "tiny-planes", "tiny-sagittal"), Member(1.0)),
        ensemble.patient, ensemble.thresholds, ensemble.measured,
    ).write(path)  # fmt: skip
    return folder


def box(size=128):
    """A bar that lies across, off the middle of a grid in which HU tell the place along x."""
    hu = (torch.arange(160) * 10).to(torch.int16).expand(80, 150, 160).contiguous()
    mask = torch.zeros(hu.shape, dtype=torch.bool)
    mask[20:60, 70:100, 40:110] = True
    return hu, mask, box_about(hu, mask, size)


def test_the_member_that_counts_most_draws_the_box(models):
    networks = Networks(models, "cpu")
    assert networks.ensemble.levels["tiny-vertebrae"].weight > networks.ensemble.levels["tiny-slices"].weight
    segmented = neck()
    predictions = run_members(segmented, networks, Progress())
    first, *others = heaviest_first({"stranger": MemberPrediction({}), **predictions}, networks)
    assert first is predictions["tiny-vertebrae"] and others[0] is predictions["tiny-slices"]

    crop, heat = first.heat["C4"]
    low, high = np.zeros_like(heat), np.zeros_like(heat)
    low[0, heat.shape[1] // 2, heat.shape[2] // 2] = high[-1, heat.shape[1] // 2, heat.shape[2] // 2] = 1
    told = [MemberPrediction({}, None, {"C4": (crop, part)}) for part in (low, high)]
    volume = CTVolume(segmented.hu, np.array([[0.6, 0, 0, -30], [0, 0.6, 0, -30], [0, 0, 1, 500], [0, 0, 0, 1.0]]))
    boxes = [draw(segmented, order, volume, np.zeros(volume.shape, np.uint8)) for order in (told, told[::-1])]
    assert boxes[0]["C4"].center[2] < boxes[1]["C4"].center[2] - 5


def test_every_member_in_the_folder_is_asked_and_counts(larger):
    segmented, networks = neck(), Networks(larger, "cpu")
    predictions = run_members(segmented, networks, Progress())
    assert set(predictions) == {"tiny-slices", "tiny-vertebrae", "tiny-planes", "tiny-sagittal"}
    assert predictions["tiny-planes"].patient is None and 0 < predictions["tiny-sagittal"].patient < 1
    probabilities = level_probabilities(predictions, networks.ensemble, list(LEVEL_NAMES))
    for name in LEVEL_NAMES:
        said = members_of(predictions, name)
        assert set(said) == set(predictions) and 0 < said["tiny-planes"] < 1
        assert min(said.values()) <= probabilities[name] <= max(said.values())


def test_a_member_that_weighs_nothing_is_neither_loaded_nor_asked_unless_it_is_wanted(larger, tmp_path):
    for part in larger.iterdir():
        (tmp_path / part.name).symlink_to(part)
    ensemble = Ensemble.read(larger / "ensemble.json")
    (tmp_path / "ensemble.json").unlink()
    levels = {**ensemble.levels, "tiny-planes": Member(0.0)}
    Ensemble(levels, ensemble.patient, ensemble.thresholds, ensemble.measured).write(tmp_path / "ensemble.json")
    networks = Networks(tmp_path, "cpu")
    assert networks.idle == ["tiny-planes"] and "tiny-planes" not in networks.networks
    assert set(run_members(neck(), networks, Progress())) == {"tiny-slices", "tiny-vertebrae", "tiny-sagittal"}
    assert networks.arguments("tiny-planes")["network"] is networks.networks["tiny-planes"], "to be explained"
    assert "tiny-planes" in run_members(neck(), Networks(tmp_path, "cpu", ask_all=True), Progress())


def test_a_member_that_the_ensemble_names_and_the_folder_lacks_is_left_out_with_a_warning(larger, tmp_path):
    for part in larger.iterdir():
        if part.name != "tiny-planes":
            (tmp_path / part.name).symlink_to(part)
    networks, progress = Networks(tmp_path, "cpu"), Progress()
    predictions = run_members(neck(), networks, progress)
    assert set(predictions) == {"tiny-slices", "tiny-vertebrae", "tiny-sagittal"}
    assert any("tiny-planes is not among the models" in warning for warning in map(str, progress.warnings))
    assert set(level_probabilities(predictions, networks.ensemble, list(LEVEL_NAMES))) == set(LEVEL_NAMES)


def test_a_vertebra_that_is_barely_in_the_scan_gets_no_opinion(larger):
    segmented = neck()
    sliver = segmented.labels == LEVELS[3].label
    segmented.labels[sliver] = 0
    segmented.labels[60, 40, 30:50] = LEVELS[3].label
    predictions = run_members(segmented, Networks(larger, "cpu"), Progress())
    for prediction in predictions.values():
        assert set(prediction.levels) == set(LEVEL_NAMES) - {"C4"}
    assert set(predictions["tiny-planes"].heat) == set(LEVEL_NAMES) - {"C4"}


def test_the_axial_heat_of_three_planes_lies_on_its_vertebra(larger):
    segmented = neck()
    prediction = run_members(segmented, Networks(larger, "cpu"), Progress())["tiny-planes"]
    volume = CTVolume(segmented.hu, segmented.lattice.affine)
    heat = np.zeros(volume.shape, np.uint8)
    boxes = draw(segmented, [prediction], volume, heat)
    bone = np.argwhere(segmented.labels == 4)
    lower, upper = (volume.to_points(bone.min(axis=0)), volume.to_points(bone.max(axis=0)))
    assert np.all(boxes["C4"].center > lower - 3) and np.all(boxes["C4"].center < upper + 3)
    assert (heat[segmented.labels > 0] > 0).mean() > 0.9


def test_a_box_is_about_the_vertebra_and_air_beyond_the_sides():
    _, mask, cut = box()
    assert cut.hu.shape == cut.mask.shape == (DEPTH, 128, 128) and cut.mask.sum() == mask.sum()
    middle = torch.nonzero(cut.mask).double().mean(dim=0)
    assert torch.allclose(middle, torch.tensor([DEPTH / 2, 64.0, 64.0], dtype=torch.float64), atol=1.0)
    hu, mask, _ = box()
    edge = box_about(hu, torch.roll(mask, (20, 50), dims=(0, 2)), 128)  # at the grid's last slice and last column
    assert (edge.hu[:, :, -1] == -1024).all() and edge.slices[-1] == edge.slices[-2] == 79


def test_views_look_where_their_places_say_in_all_three_planes():
    _, _, cut = box()
    places = places_in(cut.mask, 8)
    axial, upright = views_of(cut.hu, places, 80)
    sagittal, coronal = upright[:8], upright[8:]
    assert axial.shape == (8, 128, 128) and upright.shape == (16, 80, 128)
    x = torch.as_tensor(places.sagittal) + cut.origin[2]
    # HU tell x: one value a sagittal view, and a ramp along the columns of the others.
    assert torch.allclose(sagittal, (10.0 * x)[:, None, None].expand_as(sagittal))
    assert torch.allclose(coronal[3, 40], 10.0 * (torch.arange(128) + cut.origin[2]))
    axial_mask, upright_mask = views_of(cut.mask, places, 80)
    assert axial_mask[3].sum() == 30 * 70
    # 40 of 52 slices are 61.5 of 80 rows; sagittal views show the depth, coronal ones the width.
    assert upright_mask[3].sum() == pytest.approx(30 * 40 * 80 / 52, rel=0.02)
    assert upright_mask[12].sum() == pytest.approx(70 * 40 * 80 / 52, rel=0.02)


@pytest.mark.parametrize("shift", [-0.5, 0.0, 0.5])
def test_planes_are_spread_over_the_whole_vertebra_and_denser_where_bone_is(shift):
    _, _, cut = box()
    thin = cut.mask.clone()
    thin[:, :62], thin[:, 66:] = False, False  # a thin bar with a block in its middle
    thin[:, 50:80, 54:74] = True
    places = places_in(thin, 8, shift)
    first, last = (int(f(torch.nonzero(thin)[:, 2])) for f in (torch.min, torch.max))
    ends = places.sagittal[0] - first, last - places.sagittal[-1]
    assert np.all(np.diff(places.sagittal) > 0) and min(ends) >= 0 and max(ends) < 20
    assert np.diff(places.sagittal).min() < 0.7 * (last - first) / 8
    assert np.all(np.diff(places.axial) >= 0) and len(places.coronal) == 8


def test_pictures_hold_bone_soft_tissue_and_mask():
    _, _, cut = box()
    windows = (tissue_window(-200, 1500), tissue_window(-100, 250))
    axial, upright = pictures(cut, places_in(cut.mask, 8), 80, windows)
    assert axial.shape == (8, 3, 128, 128) and upright.shape == (16, 3, 80, 128)
    assert axial[:, :2].abs().max() <= 1 and set(axial[:, 2].unique().tolist()) == {0.0, 1.0}
    assert (axial[:, 1] == 1).float().mean() > (axial[:, 0] == 1).float().mean(), "soft tissue ends before bone does"


def test_nine_planes_are_cut_about_the_middle_of_the_levels_four_millimetres_apart():
    segmented = neck()
    segmented.hu[:] = (np.arange(96) * 10).astype(np.int16)  # HU tell the place along x, 6 for each mm
    hu, labels = nine_planes(segmented)
    assert hu.shape == labels.shape == (9, 176, 128)
    inside = hu[:, 88, 64].astype(float)
    assert np.allclose(np.diff(inside), 10 * 4 / 0.6, atol=1) and inside[4] == pytest.approx(10 * 47, abs=6)
    # Blocks of 14 mm by 30 voxels, the lowest of all at the bottom, the stack in the middle.
    rows, columns = np.nonzero(labels[4])
    assert labels[4][rows.min(), 64] == 7 and labels[4][rows.max(), 64] == 1
    assert abs((rows.min() + rows.max()) / 2 - 87.5) < 1.5 and abs((columns.min() + columns.max()) / 2 - 63.5) < 1.5
    assert (labels[4] == 4).sum() == pytest.approx(14 * 30 * 0.6, rel=0.1)


def test_what_lies_far_from_the_levels_is_blank_in_the_nine_images():
    labels = np.zeros((9, 176, 128), np.uint8)
    labels[3, 60:80, 50:70] = 4
    images = shown(np.full(labels.shape, 100, np.int16), labels)
    assert (images[:, 60 - MARGIN : 80 + MARGIN, 50 - MARGIN : 70 + MARGIN] == 100).all()
    assert (images == 100).sum() == 9 * (20 + 2 * MARGIN) ** 2
    assert (shown(images, np.zeros_like(labels)) == -1024).all()


def test_without_a_level_nine_sagittal_images_say_nothing():
    segmented = neck(())
    settings = {"intensity": TISSUE_AND_BONE, "device": torch.device("cpu"), "progress": Progress()}
    prediction = classify_sagittal(segmented, torch.nn.Identity(), **settings)
    assert prediction.levels == {} and prediction.patient is None
