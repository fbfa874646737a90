"""Real and awkward DICOM files, where the shared data lie beside the project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from neckfrac.errors import InputError
from neckfrac.intake.dicom_geometry import place
from neckfrac.intake.dicom_headers import quiet_pydicom, read_frames
from neckfrac.intake.dicom_pixels import decode
from neckfrac.intake.dicom_series import arrange
from neckfrac.intake.study import list_series, read_study
from neckfrac.progress import Progress

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CASES = DATA / "dicom-cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the shared DICOM cases are not beside the project")
SYNTAXES = CASES / "transfer-syntaxes"
OTHERS = CASES / "multiframe-and-wrong-modality"

LOSSLESS = (
    "LittleEndianImplicit", "LittleEndianExplicit", "BigEndianExplicit", "DeflatedExplicitVRLittleEndian",
    "RLELossless", "JPEGProcess14", "JPEGProcess14SV1", "JPEGLSLossless", "JPEG2000LosslessOnly",
)  # fmt: skip
# HU by which 999 of 1000 voxels differ at most from the original, as measured (3, 1, 64 and 21), rounded up.
LOSSY = {
    "JPEG2000": 4, "JPEGLSLossy": 2, "JPEGProcess1": 65, "JPEGProcess2_4": 22, "JPEGProcess6_8": 22,
    "JPEGProcess10_12": 22,
}  # fmt: skip


def with_neighbours(path: Path, folder: Path) -> Path:
    """A series of three: the slice, and its pixels twice more at 5 mm distances, in the same transfer syntax."""
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    folder.mkdir()
    with quiet_pydicom():
        for number in range(3):
            dataset = dcmread(path)
            dataset.SOPInstanceUID = generate_uid()
            dataset.InstanceNumber = number + 1
            dataset.ImagePositionPatient[2] += 5 * number
            dataset.save_as(folder / f"{number}.dcm")
    return folder


def syntax_file(name: str) -> Path:
    (path,) = SYNTAXES.glob(f"CTImage.dcm_{name}TransferSyntax_*")
    return path


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> np.ndarray:
    folder = with_neighbours(SYNTAXES / "CTImage.dcm", tmp_path_factory.mktemp("original") / "series")
    return read_study(folder).volume.voxels


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_transfer_syntaxes_give_the_same_pixels(tmp_path, name, original):
    study = read_study(with_neighbours(syntax_file(name), tmp_path / "series"))
    np.testing.assert_array_equal(study.volume.voxels, original)
    assert not any("with loss" in warning for warning in map(str, study.warnings))


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_transfer_syntaxes_give_nearly_the_same_pixels_and_a_warning(tmp_path, name, original):
    study = read_study(with_neighbours(syntax_file(name), tmp_path / "series"))
    assert any("with loss" in warning for warning in map(str, study.warnings))
    difference = np.abs(study.volume.voxels.astype(int) - original)
    assert 0 < np.percentile(difference, 99.9) <= LOSSY[name]


@pytest.mark.parametrize("name", ["CT1_J2KR", "CT2_J2KR"])
def test_jpeg_2000_of_two_scanners_is_read(tmp_path, name):
    frames = read_frames(sorted(with_neighbours(SYNTAXES / name, tmp_path / "series").iterdir()), Progress())
    voxels = decode(arrange(frames).frames, Progress())
    assert voxels.min() == -1024 and voxels.max() > 200


def test_a_tilted_ge_head_with_two_slice_distances_is_set_upright():
    study = read_study(CASES / "gantry-tilt-ge")
    assert any("gantry tilt 18.5" in warning for warning in map(str, study.warnings))
    assert any("1.08 to 7.00 mm" in warning for warning in map(str, study.warnings))
    volume = study.volume
    np.testing.assert_allclose(volume.spacing, (4.0, 0.488, 0.488), atol=0.01)
    np.testing.assert_allclose(volume.directions.T @ volume.directions, np.eye(3), atol=1e-9)
    # First and last slice are known from the files: a bright point of each must lie at its own place.
    import pydicom

    for name, number in (("01", 0), ("28", -1)):
        dataset = pydicom.dcmread(CASES / "gantry-tilt-ge" / f"{name}.dcm")
        weights = np.clip(dataset.pixel_array.astype(float) - 300, 0, None)
        rows, columns = np.nonzero(weights)
        row, column = np.array(dataset.ImageOrientationPatient[:3]), np.array(dataset.ImageOrientationPatient[3:])
        pixel = float(dataset.PixelSpacing[0])
        in_plane = np.outer(columns * pixel, row) + np.outer(rows * pixel, column)
        points = np.array(dataset.ImagePositionPatient) + in_plane
        expected = np.average(points, axis=0, weights=weights[rows, columns])
        weights = np.clip(volume.voxels[number].astype(float) - 300, 0, None)
        rows, columns = np.nonzero(weights)
        indices = np.stack([np.full(len(rows), number % volume.shape[0]), rows, columns], axis=-1)
        found = np.average(volume.to_points(indices), axis=0, weights=weights[rows, columns])
        np.testing.assert_allclose(found, expected, atol=0.1)


@pytest.mark.parametrize(("name", "slices", "step"), [("001", 5, 5.0), ("002", 5, 0.75)])
def test_uneven_real_slices_are_resampled_evenly(name, slices, step):
    """Their pixels were wiped, so that only the geometry can be judged; as a study they are refused."""
    folder = CASES / "uneven-slices" / "sliceincrement" / name
    frames = read_frames(sorted(folder.iterdir()), Progress())
    stack = arrange(frames)
    assert any("unevenly spaced" in warning for warning in map(str, stack.warnings))
    volume = place(decode(stack.frames, Progress()), stack.geometry, Progress(), 0, 1)
    assert volume.shape[0] == slices and volume.spacing[0] == pytest.approx(step, abs=0.01)
    with pytest.raises(InputError, match="no bone"):
        read_study(folder)


def test_several_images_of_one_place_are_no_volume():
    with pytest.raises(InputError, match="All 4 images of the series show one and the same slice"):
        read_study(CASES / "uneven-slices" / "notavolume")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("MR-SIEMENS-DICOM-WithOverlays.dcm", "modality MR"),
        ("emri_small.dcm", "modality MR"),
        ("emri_small_jpeg_2k_lossless.dcm", "modality MR"),
        ("liver.dcm", "modality SEG"),
        ("SC_rgb.dcm", "secondary capture"),
        ("mlut_18.dcm", "secondary capture"),
        ("vlut_04.dcm", "secondary capture"),
        ("eCT_Supplemental.dcm", "no bone"),  # in an unspecified unit
        ("693_J2KR.dcm", "one slice only"),
        ("bad_sequence.dcm", "one slice only"),
        ("explicit_VR-UN.dcm", "one slice only"),
    ],
)
def test_what_is_no_ct_volume_is_refused_with_its_reason(name, what):
    with pytest.raises(InputError, match=what):
        read_study(OTHERS / name)


@pytest.mark.parametrize("name", ["693_J2KR", "693_UNCI", "693_UNCR", "bad_sequence", "explicit_VR-UN"])
def test_odd_ct_files_are_decoded(tmp_path, name):
    frames = read_frames(sorted(with_neighbours(OTHERS / f"{name}.dcm", tmp_path / "series").iterdir()), Progress())
    voxels = decode(arrange(frames).frames, Progress())
    assert voxels.shape == (3, 512, 512) and voxels.min() < -900 and voxels.max() > 300


def test_a_folder_of_many_studies_lists_every_series():
    summaries = list_series(CASES)
    assert len(summaries) > 12 and {"MR", "CT", "OT", "SEG"} <= {summary.modality for summary in summaries}
    with pytest.raises(InputError, match="several patients or studies"):
        read_study(CASES)


@pytest.mark.skipif(not (DATA / "visible-human-female-head").is_dir(), reason="the Visible Human is not there")
def test_the_visible_human_head_is_read_as_it_is():
    study = read_study(DATA / "visible-human-female-head")
    assert study.volume.shape == (234, 512, 512) and study.warnings == ()
    np.testing.assert_allclose(study.volume.spacing, 1)
    np.testing.assert_allclose(study.volume.directions, np.eye(3))


def test_coarse_nifti_of_a_clinic_is_read_with_warnings():
    path = DATA / "openkbp" / "pt_106_ct.nii.gz"
    if not path.is_file():
        pytest.skip("the OpenKBP cases are not there")
    study = read_study(path)
    assert study.volume.voxels.dtype == np.int16
    assert [warning for warning in map(str, study.warnings) if "4.7 mm wide" in warning]
