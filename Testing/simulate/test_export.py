"""A simulated study written as NRRD and as DICOM, and read back by other software."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from neckfrac.errors import InputError
from neckfrac.intake.study import read_study
from neckfrac.truth import read_truth
from neckfrac.volume import CTVolume, from_image
from neckfrac_lab.simulate.export import export_dicom, export_nrrd, export_study, truth_of
from neckfrac_lab.simulate.study import SimulatedStudy
from scipy.spatial.transform import Rotation

SHAPE = (7, 12, 9)


def axial() -> np.ndarray:
    affine = np.diag([0.4, 0.5, 1.25, 1.0])
    affine[:3, 3] = (-20.5, 31.25, -400.125)
    return affine


def oblique() -> np.ndarray:
    affine = axial()
    affine[:3, :3] = Rotation.from_euler("xyz", (23.7, -11.3, 41.9), degrees=True).as_matrix() @ affine[:3, :3]
    return affine


def sagittal_left_handed() -> np.ndarray:
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (0, 0.7, 0), (0, 0, -0.6), (2.0, 0, 0)
    affine[:3, 3] = (-5, 100, 60)
    return affine


AFFINES = pytest.mark.parametrize("make_affine", [axial, oblique, sagittal_left_handed])


def study_of(affine: np.ndarray, seed: int = 5, shape: tuple[int, int, int] = SHAPE) -> SimulatedStudy:
    generator = np.random.default_rng(seed)
    voxels = generator.integers(-1024, 3072, shape).astype(np.int16)
    voxels.flat[:2] = (-1024, 30000)
    labels, fracture = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    labels[1:5, 2:9, 3:8], fracture[2:4, 4:6, 3:7] = 2, 2
    truth = {
        "seed": seed, "anatomy": "a box", "mirrored": False, "mimics": [],
        "fractures": [{"level": "C2", "kind": "odontoid-2", "parameters": {"severity": np.float64(0.5)}, "box": None}],
        "scanner": {"slice_thickness": 1.5, "noise": 12.0},
    }
    shares, centers = {"C2": 1.0, "C3": 0.25}, {"C2": (1.0, 2.0, 3.0)}
    return SimulatedStudy(CTVolume(voxels, affine), labels, fracture, shares, centers, truth)


def read_series(folder) -> CTVolume:
    reader = sitk.ImageSeriesReader()
    (series,) = reader.GetGDCMSeriesIDs(str(folder))
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), series))
    return from_image(reader.Execute())


@AFFINES
def test_the_dicom_series_read_back_has_the_same_voxels_at_the_same_places(tmp_path, make_affine):
    study = study_of(make_affine())
    export_dicom(study, tmp_path / "series")
    back = read_series(tmp_path / "series")
    indices = np.stack(np.meshgrid(*map(np.arange, back.shape), indexing="ij"), -1).reshape(-1, 3)
    there = study.volume.to_indices(back.to_points(indices))
    assert np.abs(there - there.round()).max() < 1e-4
    assert sorted(map(tuple, there.round().astype(int))) == sorted(map(tuple, indices))
    assert np.array_equal(back.voxels.reshape(-1), study.volume.voxels[tuple(there.round().astype(int).T)])


@AFFINES
def test_each_slice_says_what_a_viewer_needs_and_that_it_is_simulated(tmp_path, make_affine):
    study = study_of(make_affine())
    export_dicom(study, tmp_path / "series")
    files = sorted((tmp_path / "series").iterdir())
    images = [pydicom.dcmread(file) for file in files]
    assert len(images) == SHAPE[0]
    first = images[0]
    assert first.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert first.SOPClassUID == first.file_meta.MediaStorageSOPClassUID == pydicom.uid.CTImageStorage
    assert (first.Modality, first.BodyPartExamined, str(first.PatientName)) == ("CT", "CSPINE", "NeckFrac^Simulated")
    assert (first.BurnedInAnnotation, first.WindowCenter, first.WindowWidth) == ("NO", 400, 1800)
    assert "imulated" in first.ImageComments and "not a medical device" in first.ImageComments
    assert [image.InstanceNumber for image in images] == list(range(1, SHAPE[0] + 1))
    assert len({image.SOPInstanceUID for image in images}) == SHAPE[0]
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert len({image[name].value for image in images}) == 1
    for image in images:
        assert image.SOPInstanceUID == image.file_meta.MediaStorageSOPInstanceUID
        assert image.SOPInstanceUID.is_valid and len(image.SOPInstanceUID) <= 64
    row, column = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    along = [np.cross(row, column) @ np.array(image.ImagePositionPatient, float) for image in images]
    assert np.allclose(np.diff(along), study.volume.spacing[0], atol=1e-6)
    assert first.SliceThickness == 1.5 and np.allclose(first.PixelSpacing, study.volume.spacing[1:])


def test_equal_studies_give_equal_files_and_other_studies_other_uids(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        export_dicom(study_of(axial(), seed), tmp_path / name)
    one, same, other = ((tmp_path / name / "CT0001.dcm").read_bytes() for name in "abc")
    assert one == same
    uids = {pydicom.dcmread(tmp_path / name / "CT0001.dcm").StudyInstanceUID for name in "ac"}
    assert len(uids) == 2 and one != other


def test_hu_below_the_usual_range_survive(tmp_path):
    study = study_of(axial())
    study.volume.voxels[0, 0, 0] = -3024
    export_dicom(study, tmp_path / "series")
    assert np.array_equal(read_series(tmp_path / "series").voxels, study.volume.voxels)


def test_the_neckfrac_intake_reads_the_series_back(tmp_path):
    study = study_of(axial(), shape=(24, 40, 40))
    # What is read must look like a body: soft tissue with some bone in air.
    scan = np.random.default_rng(6).normal(45, 12, study.volume.shape).astype(np.int16)
    scan[8:16, 15:25, 15:25], scan[:, :8], scan[:, 34:] = 700, -1000, -1000
    study.volume.voxels[...] = scan
    export_dicom(study, tmp_path / "series")
    volume = read_study(tmp_path / "series").volume.canonical()[0]
    assert np.array_equal(volume.voxels, study.volume.voxels)
    assert np.allclose(volume.affine, study.volume.affine, atol=1e-4)


@AFFINES
def test_the_nrrd_files_read_back_are_identical(tmp_path, make_affine):
    study = study_of(make_affine())
    export_nrrd(study, tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "ct.nrrd", "fracture.nrrd", "labels.nrrd", "truth.json"]
    for name, voxels in (("ct", study.volume.voxels), ("labels", study.labels), ("fracture", study.fracture)):
        back = from_image(sitk.ReadImage(str(tmp_path / "out" / f"{name}.nrrd")))
        assert back.voxels.dtype == voxels.dtype and np.array_equal(back.voxels, voxels)
        assert np.allclose(back.affine, study.volume.affine, atol=1e-6)


def test_the_truth_file_goes_round(tmp_path):
    study = study_of(oblique())
    export_nrrd(study, tmp_path / "out")
    truth = read_truth(tmp_path / "out" / "truth.json")
    assert truth == json.loads(json.dumps(truth_of(study), default=float))
    assert truth["simulated"] is True and truth["seed"] == 5 and truth["anatomy"] == "a box"
    assert [level["fracture"] for level in truth["levels"].values()] == [0, 1, 0, 0, 0, 0, 0]
    axis = truth["levels"]["C2"]
    assert axis["kinds"] == ["odontoid-2"] and axis["center"] == [1, 2, 3] and axis["share_in_view"] == 1
    assert truth["levels"]["C3"] == {"fracture": 0, "kinds": [], "box": None, "center": None, "share_in_view": 0.25}
    assert truth["scanner"]["noise"] == 12 and truth["classes"]["7"] == "C7"


def test_the_box_holds_every_fractured_voxel_and_no_more():
    study = study_of(axial())
    box = truth_of(study)["levels"]["C2"]["box"]
    # Voxels z 2-3, y 4-5, x 3-6, borders half a voxel further.
    lower = np.array([2.5, 3.5, 1.5]) * (0.4, 0.5, 1.25) + axial()[:3, 3]
    upper = np.array([6.5, 5.5, 3.5]) * (0.4, 0.5, 1.25) + axial()[:3, 3]
    assert np.allclose(box["lower"], lower) and np.allclose(box["upper"], upper)
    corner = np.argwhere(study_of(oblique()).fracture)
    turned, volume = truth_of(study_of(oblique()))["levels"]["C2"]["box"], study_of(oblique()).volume
    points = volume.to_points(corner)
    assert (points > turned["lower"]).all() and (points < turned["upper"]).all()


def test_nrrd_and_dicom_can_be_written_together(tmp_path):
    export_study(study_of(axial()), tmp_path / "new" / "deep", dicom=True)
    assert len(list((tmp_path / "new" / "deep" / "dicom").glob("*.dcm"))) == SHAPE[0]
    assert (tmp_path / "new" / "deep" / "ct.nrrd").is_file()


def test_an_empty_folder_is_filled_and_a_full_one_is_left_alone(tmp_path):
    (tmp_path / "empty").mkdir()
    export_nrrd(study_of(axial()), tmp_path / "empty")
    before = (tmp_path / "empty" / "truth.json").read_bytes()
    with pytest.raises(InputError, match="already holds something"):
        export_dicom(study_of(axial(), 6), tmp_path / "empty")
    assert (tmp_path / "empty" / "truth.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize("export", [export_nrrd, export_dicom])
def test_a_folder_under_a_file_is_refused_and_nothing_is_left(tmp_path, export):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="can't be written"):
        export(study_of(axial()), tmp_path / "file" / "deep" / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("export", [export_nrrd, export_dicom])
def test_an_unwritable_folder_is_refused_and_nothing_is_left(tmp_path, export):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match="can't be written"):
        export(study_of(axial()), tmp_path / "locked" / "out")
    assert list((tmp_path / "locked").iterdir()) == []


def test_a_failure_halfway_leaves_nothing(tmp_path):
    study = study_of(axial())
    study.truth["scanner"]["mystery"] = object()
    with pytest.raises(TypeError):
        export_study(study, tmp_path / "new" / "out", dicom=True)
    assert list(tmp_path.iterdir()) == []


def test_slanted_rows_are_refused_by_dicom(tmp_path):
    affine = axial()
    affine[0, 1] = 0.2
    with pytest.raises(InputError, match="not perpendicular"):
        export_dicom(study_of(affine), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": "2.0"}'])
def test_a_foreign_truth_file_is_refused(tmp_path, content):
    (tmp_path / "truth.json").write_text(content)
    with pytest.raises(InputError):
        read_truth(tmp_path / "truth.json")
