"""What only the body contradicts is said: a volume that is stored back to front or upside down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from intake.made_dicom import write_series
from neckfrac.intake.anatomy_orientation import anatomy_warnings
from neckfrac.intake.study import read_study
from neckfrac.volume import CTVolume
from neckfrac_lab.fuzz.neck import neck_hu

NECKS = sorted(Path(__file__).parents[3].glob("shared/data/openkbp/*_ct.nii.gz"))


def volume(hu: np.ndarray, spacing=(3.0, 3.0, 3.0)) -> CTVolume:
    return CTVolume(hu.astype(np.int16), np.diag([*spacing[::-1], 1.0]))


def with_chest(lung: bool) -> np.ndarray:
    """A neck above shoulders, with lungs in them or none."""
    hu = np.full((40, 56, 100), -1000.0, np.float32)
    hu[:, :, 22:78] = neck_hu(shape=(40, 56, 56))
    hu[:12, 8:48, 5:95] = 50
    hu[:12, 26:32, 46:54] = 400
    if lung:
        hu[:12, 14:40, 15:40] = -800
    return hu


def test_a_neck_as_it_lies_is_not_doubted():
    for hu in (neck_hu(shape=(24, 56, 56)), with_chest(lung=True), with_chest(lung=False)):
        assert anatomy_warnings(volume(hu)) == []
        assert anatomy_warnings(volume(hu[:, :, ::-1])) == []  # nothing tells left from right


def test_a_neck_stored_back_to_front_is_doubted():
    (warning,) = map(str, anatomy_warnings(volume(neck_hu(shape=(24, 56, 56))[:, ::-1])))
    assert "orientation looks wrong" in warning and "airway lies behind" in warning


@pytest.mark.parametrize(("lung", "what"), [(True, "lung lies at the upper end"), (False, "as wide as shoulders")])
def test_a_neck_stored_upside_down_is_doubted(lung, what):
    (warning,) = map(str, anatomy_warnings(volume(with_chest(lung)[::-1])))
    assert what in warning


def test_it_is_said_of_files_and_of_dicom_without_a_patient_position(tmp_path):
    hu = neck_hu(shape=(24, 56, 56)).clip(-1024).astype(np.int16)
    write_series(tmp_path / "dicom", hu[:, ::-1], spacing=(3.0, 3.0, 3.0))
    image = sitk.GetImageFromArray(hu[:, ::-1])
    image.SetSpacing((3.0, 3.0, 3.0))
    sitk.WriteImage(image, str(tmp_path / "ct.nrrd"))
    for source in (tmp_path / "dicom", tmp_path / "ct.nrrd"):
        assert any("orientation looks wrong" in warning for warning in map(str, read_study(source).warnings))


@pytest.mark.skipif(not NECKS, reason="the shared scans are not here")
@pytest.mark.parametrize("path", NECKS[:4], ids=lambda path: path.name)
def test_real_necks_are_doubted_only_when_they_are_turned(path):
    study = read_study(path)
    assert not any("orientation" in warning for warning in map(str, study.warnings))
    canonical, _ = study.volume.canonical()
    for axis, what in ((0, "lung"), (1, "airway")):
        (warning,) = map(str, anatomy_warnings(CTVolume(np.flip(canonical.voxels, axis), canonical.affine)))
        assert what in warning
