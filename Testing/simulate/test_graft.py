"""Fractures grafted into a CT that comes with labels; what is measured here is simulated."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import SimpleITK as sitk
from neckfrac.anatomy import LEVEL_BY_NAME
from neckfrac.cli import main
from neckfrac.errors import Cancelled, InputError
from neckfrac.progress import Progress
from neckfrac.truth import read_truth
from neckfrac.volume import CTVolume, from_image, to_image
from neckfrac_lab.simulate.bone_layer import lift
from neckfrac_lab.simulate.built_in.layout import frame_of, lay_out
from neckfrac_lab.simulate.built_in.morphometry import draw_person
from neckfrac_lab.simulate.built_in.parametric import build_vertebra
from neckfrac_lab.simulate.frame_from_labels import measure_frame
from neckfrac_lab.simulate.graft import ROOM, SOURCE, graft
from neckfrac_lab.simulate.graft_command import graft_to_folder
from neckfrac_lab.simulate.meshes.landmarks import sample_distance
from real_data_case import DATA, WHERE
from scipy import ndimage
from scipy.spatial.transform import Rotation

HEAD = DATA / "visible-human-female-head"
LEVELS, SPACING = ("C1", "C2", "C3", "C4", "C5"), (1.0, 0.8, 0.8)
CASES = (("C4", "burst"), ("C2", "odontoid-2"))


@cache
def neck():
    """The textbook neck's upper vertebrae, turned and bowed, in a noisy CT: (volume, labels, frames by level)."""
    person = draw_person(None)
    places = lay_out(person).places
    bones = {level: build_vertebra(places[level], person) for level in LEVELS}
    frames = {level: frame_of(places[level], person) for level in LEVELS}
    turn = Rotation.from_euler("xyz", (12, -6, 20), degrees=True).as_matrix()
    centers = np.array([frame.center for frame in frames.values()])
    middle = centers.mean(axis=0)
    shape = (112, 120, 116)
    affine = np.diag([*SPACING[::-1], 1.0])
    affine[:3, 3] = middle + np.array([0, 10, 0]) - np.array(SPACING[::-1]) * np.array(shape[::-1]) / 2
    volume = CTVolume(np.zeros(shape, np.int16), affine)
    points = volume.to_points(np.moveaxis(np.indices(shape), 0, -1))
    rest = (points - middle) @ turn + middle
    distances = np.stack([sample_distance(bone, rest) for bone in bones.values()])
    nearest = distances.min(axis=0)
    hu = np.where(nearest < 0, 300 + 900 * np.exp(-((nearest / 1.2) ** 2)), 40.0)
    around = np.hypot(points[..., 0] - middle[0], points[..., 1] - middle[1] - 10)
    hu = np.where((around > 42) & (nearest > 2), np.where(around > 45, -1000.0, -100.0), hu)
    hu = ndimage.gaussian_filter(hu, 0.5 / np.array(SPACING))
    hu += ndimage.gaussian_filter(np.random.default_rng(0).normal(size=shape), 0.6) * 25
    owner = np.array([LEVEL_BY_NAME[level].label for level in LEVELS], np.uint8)[distances.argmin(axis=0)]
    moved = {level: (turn @ (np.array(frame.center) - middle) + middle, frame, turn, middle) for level, frame in
             frames.items()}  # fmt: skip
    return CTVolume(np.rint(hu).astype(np.int16), affine), np.where(nearest < 0, owner, 0).astype(np.uint8), moved


@cache
def broken(level, kind, severity=0.7, seed=4):
    volume, labels, _ = neck()
    return graft(volume, labels, [(level, kind)], seed=seed, severity=severity)


def changed(study):
    return study.volume.voxels != neck()[0].voxels


@pytest.mark.parametrize("level", LEVELS)
def test_landmarks_come_out_of_the_label_as_they_went_in(level):
    volume, labels, frames = neck()
    center, true, turn, middle = frames[level]
    frame = measure_frame(level, labels, volume)
    assert np.linalg.norm(np.array(frame.center) - center) < 2.5
    for row, other in zip(frame.axes, np.array(true.axes) @ turn.T, strict=True):
        assert np.degrees(np.arccos(np.clip(np.dot(row, other), -1, 1))) < 8
    for name, worst in (("canal", 5.0), ("spinous_tip", 5.0), ("left_transverse_tip", 4.0), ("right_lamina", 7.0)):
        wanted = turn @ (np.array(getattr(true, name)) - middle) + middle
        assert np.linalg.norm(np.array(getattr(frame, name)) - wanted) < worst, name
    assert (frame.dens_tip is not None) == (level == "C2")
    assert np.allclose(frame.half_size, true.half_size, rtol=0.3)


@pytest.mark.parametrize(("level", "kind"), CASES)
def test_nothing_changes_away_from_the_broken_vertebra(level, kind):
    volume, labels, _ = neck()
    study = broken(level, kind)
    away = ndimage.distance_transform_edt(labels != LEVEL_BY_NAME[level].label, sampling=SPACING) > ROOM
    assert changed(study).sum() > 500 and not changed(study)[away].any()
    assert np.array_equal(study.volume.affine, volume.affine)
    others = (labels > 0) & (labels != LEVEL_BY_NAME[level].label)
    assert np.array_equal(study.labels[others], labels[others])
    assert set(np.unique(study.fracture)) == {0, LEVEL_BY_NAME[level].label}


def test_the_same_seed_gives_the_same_voxels_and_another_seed_others():
    volume, labels, _ = neck()
    again, other = (graft(volume, labels, [CASES[0]], seed=seed, severity=0.7) for seed in (4, 5))
    assert np.array_equal(again.volume.voxels, broken(*CASES[0]).volume.voxels)
    assert np.array_equal(again.fracture, broken(*CASES[0]).fracture)
    assert not np.array_equal(other.volume.voxels, again.volume.voxels)


@pytest.mark.parametrize(("level", "kind"), [("C2", "odontoid-2"), ("C3", "lamina")])
def test_a_hairline_changes_little_and_a_severe_fracture_much(level, kind):
    hairline, severe = (int(changed(broken(level, kind, severity)).sum()) for severity in (0.0, 1.0))
    assert 20 < hairline < severe
    assert hairline < 0.1 * (neck()[1] == LEVEL_BY_NAME[level].label).sum()


@pytest.mark.parametrize(("level", "kind"), CASES)
def test_the_truth_tells_what_was_broken_and_its_box_lies_in_the_vertebra(level, kind):
    volume, labels, _ = neck()
    study = broken(level, kind)
    record = study.truth["fractures"][0]
    assert study.truth["source"] == SOURCE and record["kind"] == kind and record["parameters"]["severity"] == 0.7
    points = volume.to_points(np.argwhere(labels == LEVEL_BY_NAME[level].label))
    assert (np.array(record["box"]["lower"]) > points.min(axis=0) - 5).all()
    assert (np.array(record["box"]["upper"]) < points.max(axis=0) + 5).all()
    inside = points[(points > record["box"]["lower"]).all(axis=1) & (points < record["box"]["upper"]).all(axis=1)]
    assert len(inside) > 100


@pytest.mark.parametrize(("level", "kind"), [("C3", "lamina"), ("C4", "pedicle")])
def test_a_gap_is_darker_than_the_bone_it_was_and_as_noisy_as_the_scan(level, kind):
    volume, labels, _ = neck()
    study = broken(level, kind, 1.0)
    label = LEVEL_BY_NAME[level].label
    gap = (labels == label) & (study.fracture == label) & (study.volume.voxels < volume.voxels - 150)
    assert gap.sum() > 20
    assert np.median(study.volume.voxels[gap]) < np.median(volume.voxels[gap]) - 200
    assert study.volume.voxels[labels > 0].min() > -150, "no holes darker than the scan's soft tissue"


def test_bone_that_moved_is_gone_from_where_it_was():
    volume, labels, _ = neck()
    study = broken("C2", "odontoid-2", 1.0)
    left = (labels == 2) & (study.labels == 0)
    assert left.sum() > 200
    deep = ndimage.binary_erosion(left)
    assert np.median(study.volume.voxels[deep]) < 250 < np.median(volume.voxels[deep])
    come = (labels == 0) & (study.labels == 2)
    assert come.sum() > 200 and np.median(study.volume.voxels[come]) > np.median(volume.voxels[come]) + 200
    assert abs(int((study.labels == 2).sum()) - int((labels == 2).sum())) < 0.1 * (labels == 2).sum()


def test_the_ground_under_the_bone_is_soft_tissue_with_the_scans_noise():
    volume, labels, _ = neck()
    hu = volume.voxels[20:90]
    layer = lift(hu, labels[20:90], 4, volume.spacing, np.random.default_rng(0))
    deep = layer.distance < -1.5
    assert abs(np.median(layer.ground[deep]) - 40) < 25
    quiet = (layer.distance > 3) & (layer.other > 3) & (hu > -30)
    assert 0.6 < layer.noise.std() / hu[quiet].std() < 1.4
    assert (layer.share[layer.distance < -0.5] > 0.5).all() and (layer.share[layer.other < -0.5] == 0).all()
    assert 0.3 < np.mean(layer.sharpness) < 1.0, "0.5 mm was put in"


@pytest.mark.parametrize("axes", [(2, 0, 1), (0, 2, 1)])
def test_the_axes_on_which_a_volume_is_stored_change_nothing(axes):
    volume, labels, _ = neck()
    # Array axes reordered and the first of them reversed, with the affine that says so.
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, :3][:, [2 - axes[2 - n] for n in range(3)]]
    affine[:3, 3] += affine[:3, 2] * (volume.shape[axes[0]] - 1)
    affine[:3, 2] *= -1

    def stored(array):
        return np.ascontiguousarray(np.transpose(array, axes)[::-1])

    study = graft(CTVolume(stored(volume.voxels), affine), stored(labels), [CASES[0]], seed=4, severity=0.7)
    usual = broken(*CASES[0])
    assert study.volume.shape != volume.shape or axes == (0, 2, 1)
    for got, wanted in ((study.volume.voxels, usual.volume.voxels), (study.labels, usual.labels),
                        (study.fracture, usual.fracture)):  # fmt: skip
        assert np.array_equal(got, stored(wanted))
    assert np.allclose(study.truth["fractures"][0]["box"]["lower"], usual.truth["fractures"][0]["box"]["lower"])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The CT as NRRD and its labels as NIfTI, on a grid of their own and with a value that is no level."""
    folder = tmp_path_factory.mktemp("graft")
    volume, labels, _ = neck()
    sitk.WriteImage(to_image(volume), str(folder / "ct.nrrd"))
    wide = np.pad(labels, 3)
    wide[0] = 40
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_points(np.array([-3, -3, -3]))
    sitk.WriteImage(to_image(CTVolume(wide, affine)), str(folder / "labels.nii.gz"))
    return folder


def test_the_command_line_writes_a_study_with_its_truth(files, tmp_path, capsys):
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "--graft", str(files / "ct.nrrd"), "--labels", str(files / "labels.nii.gz"), "--fracture",
              "C4:burst", "--fracture", "c3:lamina", "--seed", "4", "-o", str(out)])  # fmt: skip
    assert not ended.value.code, capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == {"ct.nrrd", "labels.nrrd", "fracture.nrrd", "truth.json"}
    truth = read_truth(out / "truth.json")
    assert truth["source"] == SOURCE and truth["simulated"] is True
    assert {name for name, level in truth["levels"].items() if level["fracture"]} == {"C3", "C4"}
    ct, labels, fracture = (from_image(sitk.ReadImage(str(out / f"{n}.nrrd"))) for n in ("ct", "labels", "fracture"))
    assert ct.shape == labels.shape == fracture.shape == neck()[0].shape
    assert set(np.unique(labels.voxels)) == {0, 1, 2, 3, 4, 5} and set(np.unique(fracture.voxels)) == {0, 3, 4}
    assert str(files) not in json.dumps(truth), "the truth names no file of the patient's"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "No fracture is wanted"),
        (["--fracture", "C4:bent"], "no fracture 'bent'"),
        (["--fracture", "C7:spinous"], "C7 is not in the labels"),
        (["--fracture", "C4:burst", "--plain"], "--plain can't be used"),
        (["--fracture", "C4:burst", "--dicom"], "--dicom can't be used"),
    ],
)
def test_what_can_not_be_broken_is_refused_and_nothing_is_left(files, tmp_path, capsys, options, words):
    given = ["--graft", str(files / "ct.nrrd"), "--labels", str(files / "labels.nii.gz")]
    with pytest.raises(SystemExit) as ended:
        main(["simulate", *given, "-o", str(tmp_path / "out"), *options])
    assert ended.value.code == 2 and words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_study_and_labels_belong_together(files, tmp_path, capsys):
    for option, file in (("--graft", "ct.nrrd"), ("--labels", "labels.nii.gz")):
        with pytest.raises(SystemExit) as ended:
            main(["simulate", option, str(files / file), "--fracture", "C4:burst", "-o", str(tmp_path / "out")])
        assert ended.value.code == 2 and "belong together" in capsys.readouterr().err


def refusal(tmp_path, volume, labels, fracture="C4:burst"):
    sitk.WriteImage(to_image(volume), str(tmp_path / "ct.nrrd"))
    sitk.WriteImage(to_image(labels), str(tmp_path / "labels.nrrd"))
    with pytest.raises(InputError) as caught:
        graft_to_folder(tmp_path / "out", tmp_path / "ct.nrrd", tmp_path / "labels.nrrd", seed=1, fractures=[fracture])
    assert caught.value.advice and not (tmp_path / "out").exists()
    return caught.value.what


def test_a_level_cut_by_the_scan_a_scrap_of_one_and_labels_elsewhere_are_refused(tmp_path):
    volume, labels, _ = neck()
    where = np.argwhere(labels == 4)[:, 0]
    cut = np.array([int(np.quantile(where, 0.4)), 0, 0])
    short, names = volume.crop(cut, volume.shape), CTVolume(labels, volume.affine).crop(cut, volume.shape)
    assert "cut by the scan's edge" in refusal(tmp_path, short, names)
    scrap = labels.copy()
    scrap[(labels == 4) & (np.indices(labels.shape)[1] > np.quantile(np.argwhere(labels == 4)[:, 1], 0.3))] = 0
    assert "of a vertebra" in refusal(tmp_path, volume, CTVolume(scrap, volume.affine))
    away = volume.affine.copy()
    away[:3, 3] += 500
    assert "lies in the scan" in refusal(tmp_path, volume, CTVolume(labels, away))


def test_a_label_without_an_arch_is_refused():
    volume, labels, frames = neck()
    body = labels.copy()
    points = volume.to_points(np.argwhere(body == 4))
    behind = (points - frames["C4"][0]) @ frames["C4"][2][:, 1] > 5
    body[tuple(np.argwhere(body == 4)[behind].T)] = 0
    with pytest.raises(InputError, match="C4"):
        graft(volume, body, [("C4", "lamina")], seed=1)


def test_cancelling_leaves_nothing(files, tmp_path):
    told = []
    progress = Progress(lambda name, _: told.append(name), lambda: "Breaking" in told)
    with pytest.raises(Cancelled):
        graft_to_folder(
            tmp_path / "out", files / "ct.nrrd", files / "labels.nii.gz", seed=1, fractures=["C4:burst"],
            progress=progress,
        )  # fmt: skip
    assert told[-1] == "Breaking" and list(tmp_path.iterdir()) == []


def test_c3_of_a_real_head_can_be_broken_by_the_labels_of_the_projects_own_networks():
    if not HEAD.is_dir():
        pytest.skip(WHERE)
    from neckfrac.intake.study import read_study
    from neckfrac.pipeline.engine import Networks
    from neckfrac_lab.evaluation.segmentation import segment_volume

    whole, _ = read_study(HEAD).volume.canonical()
    volume = whole.crop(np.array([0, 180, 185]), np.array([95, 310, 305]))
    labels, _ = segment_volume(volume, Networks(), Progress())
    study = graft(volume, labels, [("C3", "burst")], seed=2, severity=0.8)
    away = ndimage.distance_transform_edt(labels != 3, sampling=volume.spacing) > ROOM
    moved = study.volume.voxels != volume.voxels
    assert moved.sum() > 1000 and not moved[away].any()
    gone = ndimage.binary_erosion((labels == 3) & (study.labels == 0))
    assert gone.sum() > 50 and np.median(study.volume.voxels[gone]) < np.median(volume.voxels[gone]) - 100
    assert study.volume.voxels[study.fracture == 3].min() > -300, "no air where there was none"
