"""The layout of RSNA 2022 that `neckfrac simulate --rsna-studies` leaves, and what it refuses."""

from __future__ import annotations

import csv
import json

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.cli import main
from neckfrac.errors import Cancelled, InputError
from neckfrac.intake.study import read_study
from neckfrac.progress import Progress
from neckfrac.volume import from_image
from neckfrac_lab.simulate import rsna_layout
from neckfrac_lab.simulate.built_in import parametric
from neckfrac_lab.simulate.rsna_layout import write_rsna_layout

SIZE, SPACING = (48, 56, 48), (3.0, 2.0, 2.0)


@pytest.fixture
def write(toy_neck, monkeypatch):
    """write_rsna_layout of toy necks on a small grid."""
    monkeypatch.setattr(parametric, "build_neck", lambda seed: toy_neck)

    def write(folder, studies=2, seed=1, **options):
        write_rsna_layout(folder, studies, seed, **({"size": SIZE, "spacing": SPACING, "plain": True} | options))
        return folder

    return write


@pytest.fixture(scope="module")
def layout(toy_neck, tmp_path_factory):
    """Six studies: two of each kind of numbering and more, one without a segmentation, one without its boxes."""
    folder = tmp_path_factory.mktemp("rsna") / "new" / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parametric, "build_neck", lambda seed: toy_neck)
        write_rsna_layout(folder, 6, 1, size=SIZE, spacing=SPACING, plain=True)
    return folder


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def image_files(layout, uid):
    return {int(path.stem): path for path in (layout / "train_images" / uid).iterdir()}


def test_the_folder_is_laid_out_as_the_real_one(layout):
    assert {path.name for path in layout.iterdir()} == {
        "train.csv", "train_images", "segmentations", "train_bounding_boxes.csv", "simulated.json"}  # fmt: skip
    rows = table(layout / "train.csv")
    assert list(rows[0]) == ["StudyInstanceUID", "patient_overall", *LEVEL_NAMES] and len(rows) == 6
    assert list(table(layout / "train_bounding_boxes.csv")[0]) == [
        "StudyInstanceUID", "x", "y", "width", "height", "slice_number"]  # fmt: skip
    uids = [row["StudyInstanceUID"] for row in rows]
    assert sorted(path.name for path in (layout / "train_images").iterdir()) == sorted(uids)
    segmented = {path.name.removesuffix(".nii") for path in (layout / "segmentations").iterdir()}
    assert segmented == set(uids) - {uids[3]}
    assert json.loads((layout / "simulated.json").read_text())["simulated"] is True
    assert [path.name for path in layout.parent.iterdir()] == ["data"], "nothing unfinished is left beside it"


def test_files_are_named_by_their_slices_numbers_from_above_or_from_below(layout):
    from_above = []
    for row in table(layout / "train.csv"):
        files = image_files(layout, row["StudyInstanceUID"])
        headers = {number: pydicom.dcmread(path, stop_before_pixels=True) for number, path in files.items()}
        assert list(sorted(headers)) == list(range(1, SIZE[0] + 1))
        assert all(header.InstanceNumber == number for number, header in headers.items())
        assert {header.StudyInstanceUID for header in headers.values()} == {row["StudyInstanceUID"]}
        from_above.append(headers[1].ImagePositionPatient[2] > headers[2].ImagePositionPatient[2])
    assert from_above == [True, True, False, False, True, True]


def test_levels_are_as_in_the_truth_and_every_second_patient_is_fractured(layout):
    studies = json.loads((layout / "simulated.json").read_text())["studies"]
    rows = table(layout / "train.csv")
    for row in rows:
        levels = studies[row["StudyInstanceUID"]]["levels"]
        assert all(levels[name]["fracture"] for name in LEVEL_NAMES if row[name] == "1")
        assert row["patient_overall"] == str(int(any(row[name] == "1" for name in LEVEL_NAMES)))
    assert [row["patient_overall"] for row in rows] == ["1", "0"] * 3


def test_boxes_lie_on_the_pixels_of_their_slice_around_the_fracture(layout):
    studies = json.loads((layout / "simulated.json").read_text())["studies"]
    boxes = table(layout / "train_bounding_boxes.csv")
    rows = {row["StudyInstanceUID"]: row for row in table(layout / "train.csv")}
    uids = list(rows)
    assert {box["StudyInstanceUID"] for box in boxes} == {uids[0], uids[2]}, "the third fractured one's are absent"
    for uid in (uids[0], uids[2]):
        corners = []
        for box in (box for box in boxes if box["StudyInstanceUID"] == uid):
            header = pydicom.dcmread(image_files(layout, uid)[int(box["slice_number"])], stop_before_pixels=True)
            x, y, width, height = (int(box[name]) for name in ("x", "y", "width", "height"))
            assert min(x, y) >= 0 and x + width <= header.Columns and y + height <= header.Rows
            left, upper, z = map(float, header.ImagePositionPatient)
            corners += [(left + (i - 0.5) * SPACING[2], upper + (j - 0.5) * SPACING[1], z)
                        for i in (x, x + width) for j in (y, y + height)]  # fmt: skip
        told = [studies[uid]["levels"][name]["box"] for name in LEVEL_NAMES if rows[uid][name] == "1"]
        half = np.array([0, 0, SPACING[0] / 2])
        assert np.allclose(np.min(corners, 0) - half, np.min([box["lower"] for box in told], 0), atol=1e-3)
        assert np.allclose(np.max(corners, 0) + half, np.max([box["upper"] for box in told], 0), atol=1e-3)


def test_a_segmentation_runs_against_the_images_and_lies_on_their_bone(layout):
    uid = table(layout / "train.csv")[0]["StudyInstanceUID"]
    volume = read_study(layout / "train_images" / uid).volume
    stored = from_image(sitk.ReadImage(str(layout / "segmentations" / f"{uid}.nii")))
    assert np.diag(stored.directions).tolist() == [1, -1, -1] and np.allclose(np.diag(volume.directions), 1)
    where = np.argwhere((stored.voxels >= 1) & (stored.voxels <= 7))
    assert set(np.unique(stored.voxels)) <= set(range(10)) and len(np.unique(stored.voxels)) > 4
    z, y, x = np.rint(volume.to_indices(stored.to_points(where))).astype(int).T
    assert np.percentile(volume.voxels[z, y, x], 10) > 100
    assert np.percentile(volume.voxels[::-1, ::-1][z, y, x], 10) < 80, "the flip is no matter of taste"


def test_the_same_seed_gives_the_same_layout(write, tmp_path):
    one, same, other = (write(tmp_path / name, seed=seed) for name, seed in (("a", 5), ("b", 5), ("c", 6)))
    assert (one / "train.csv").read_bytes() == (same / "train.csv").read_bytes() != (other / "train.csv").read_bytes()
    files = [path.relative_to(one) for path in one.rglob("*") if path.is_file()]
    assert all((one / path).read_bytes() == (same / path).read_bytes() for path in files)


def test_a_layout_that_is_not_finished_leaves_nothing(write, tmp_path, monkeypatch):
    def leave(stage, fraction):
        if fraction > 0.6:
            raise Cancelled

    with pytest.raises(Cancelled):
        write(tmp_path / "new" / "data", progress=Progress(leave))
    monkeypatch.setattr(rsna_layout, "LEAST_VOXELS", 10**9)
    with pytest.raises(InputError, match="No fracture lies within the scan"):
        write(tmp_path / "new" / "data")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(write, tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    for output, reason in ((tmp_path, "already holds something"), (tmp_path / "note.txt", "is a file, not a folder")):
        with pytest.raises(InputError, match=reason):
            write(output)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.parametrize("options", [{"studies": 0}, {"size": (1, 40, 40)}, {"spacing": (2.0, 0.0, 2.0)}])
def test_a_layout_without_room_is_refused(write, tmp_path, options):
    with pytest.raises(InputError, match="at least one study"):
        write(tmp_path / "data", **options)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_the_layout_and_takes_no_fractures(write, tmp_path, capsys):
    size, spacing = ([str(value) for value in values] for values in (SIZE, SPACING))
    command = ["simulate", "-o", str(tmp_path / "data"), "--rsna-studies", "1", "--plain", "--size", *size,
               "--spacing", *spacing]  # fmt: skip
    with pytest.raises(SystemExit) as left:
        main([*command, "--fracture", "C4:burst"])
    assert left.value.code == 2 and "exclude each other" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(command)
    assert not left.value.code and len(table(tmp_path / "data" / "train.csv")) == 1
