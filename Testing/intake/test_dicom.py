"""DICOM series become HU on their true places."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest
from intake.made_dicom import PATIENT_ID, PATIENT_NAME, enhanced, head, save, set_pixels, write_series
from neckfrac.errors import Cancelled, InputError
from neckfrac.intake.study import list_series, read_study
from neckfrac.progress import Progress
from neckfrac.volume import CTVolume


def test_an_even_series_comes_back_voxel_for_voxel_and_without_a_warning(tmp_path):
    hu = head()
    write_series(tmp_path, hu)
    study = read_study(tmp_path)
    assert study.volume.voxels.dtype == np.int16
    np.testing.assert_array_equal(study.volume.voxels, hu)
    np.testing.assert_allclose(study.volume.spacing, (2.5, 0.8, 0.6))
    np.testing.assert_allclose(study.volume.to_points([25, 15, 19]), (-5 + 19 * 0.6, -7 + 15 * 0.8, 30 + 25 * 2.5))
    assert study.warnings == ()


def test_the_identity_holds_the_patient_and_the_series(tmp_path):
    write_series(tmp_path, head())
    identity = read_study(tmp_path).identity
    assert (identity.patient_name, identity.patient_id) == (PATIENT_NAME, PATIENT_ID)
    assert (identity.format, identity.source, identity.series_uid) == ("DICOM", str(tmp_path), "1.2.3.4.1")
    assert (identity.study_date, identity.study_description, identity.series_description) == (
        "20240102",
        "Trauma",
        "Neck",
    )


@pytest.mark.parametrize(
    "orientation",
    [
        (1, 0, 0, 0, 0, -1),  # coronal
        (0, 1, 0, 0, 0, -1),  # sagittal
        (-1, 0, 0, 0, -1, 0),  # face down
        (0, 1, 0, 1, 0, 0),  # normal towards the feet
        (0.8, 0.6, 0, -0.6, 0.8, 0),
        (0.8, 0, 0.6, 0.36, 0.8, -0.48),  # doubly oblique
    ],
)
def test_slices_of_any_orientation_keep_their_places(tmp_path, orientation):
    hu = head()
    write_series(tmp_path, hu, orientation=orientation)
    volume = read_study(tmp_path).volume
    np.testing.assert_array_equal(volume.voxels, hu)
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    index = np.array([11, 5, 7])
    expected = (-5, -7, 30) + 7 * 0.6 * row + 5 * 0.8 * column + 11 * 2.5 * np.cross(row, column)
    np.testing.assert_allclose(volume.to_points(index), expected, atol=1e-6)
    np.testing.assert_allclose(volume.directions.T @ volume.directions, np.eye(3), atol=1e-9)


def test_nested_folders_other_files_and_doubles_do_not_disturb(tmp_path):
    hu = head()
    paths = write_series(tmp_path / "a" / "b ü", hu)
    (tmp_path / "copy").mkdir()
    for path in paths[:3]:
        (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM" + b"rubbish")
    (tmp_path / "readme.txt").write_text("not an image")
    (tmp_path / "._image001.dcm").write_bytes(b"\0\5\x16\7")
    np.testing.assert_array_equal(read_study(tmp_path).volume.voxels, hu)


def test_a_list_of_files_is_read(tmp_path):
    hu = head()
    paths = write_series(tmp_path, hu)
    np.testing.assert_array_equal(read_study([str(path) for path in paths]).volume.voxels, hu)


def test_each_slice_is_rescaled_by_its_own_slope_and_intercept(tmp_path):
    hu = (head() // 2 * 2).astype(np.int16)

    def change(dataset, number):
        slope = 1 + number % 2
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, -1000 - 10 * number
        set_pixels(dataset, ((hu[number].astype(int) + 1000 + 10 * number) // slope).astype(np.uint16))

    write_series(tmp_path, hu, change=change)
    np.testing.assert_array_equal(read_study(tmp_path).volume.voxels, hu)


def test_a_fractional_slope_rounds_to_the_nearest_hu(tmp_path):
    hu = head()

    def change(dataset, number):
        dataset.RescaleSlope, dataset.RescaleIntercept = "0.25", "-1024.5"
        set_pixels(dataset, ((hu[number].astype(int) + 1024) * 4 + 1).astype(np.uint16))

    write_series(tmp_path, hu, change=change)
    assert np.abs(read_study(tmp_path).volume.voxels.astype(int) - hu).max() <= 1


@pytest.mark.parametrize(("stored", "declared"), [(-2000, -2000), (-2000, None), (3000, 3000), (-31000, -31000)])
def test_padding_becomes_air(tmp_path, stored, declared):
    hu = head()
    corner = np.zeros(hu.shape, bool)
    corner[:, 8:, :2] = True

    def change(dataset, number):
        set_pixels(dataset, np.where(corner[number], stored, hu[number]).astype(np.int16))
        dataset.RescaleIntercept = 500 if stored == 3000 else 0
        if stored == 3000:
            set_pixels(dataset, np.where(corner[number], stored, hu[number] - 500).astype(np.int16))
        if declared is not None:
            dataset.PixelPaddingValue = declared

    write_series(tmp_path, hu, change=change)
    voxels = read_study(tmp_path).volume.voxels
    assert (voxels[corner] == -1024).all()
    np.testing.assert_array_equal(voxels[~corner], hu[~corner])


@pytest.mark.parametrize("value", [-976, -700, 0, 1200])
def test_a_padding_value_that_air_or_tissue_has_too_is_left_alone(tmp_path, value):
    hu = head()
    hu[:, 8, 8] = value

    def change(dataset, number):
        set_pixels(dataset, hu[number])
        dataset.RescaleIntercept, dataset.PixelPaddingValue = 0, value

    write_series(tmp_path, hu, change=change)
    np.testing.assert_array_equal(read_study(tmp_path).volume.voxels, hu)


def test_an_enhanced_multi_frame_ct_is_read(tmp_path):
    hu = head()
    save(enhanced(hu, (2.5, 0.8, 0.6), (1, 2, 3)), tmp_path / "enhanced.dcm")
    volume = read_study(tmp_path / "enhanced.dcm").volume
    np.testing.assert_array_equal(volume.voxels, hu)
    np.testing.assert_allclose(volume.affine[:3, 3], (1, 2, 3))
    np.testing.assert_allclose(volume.spacing, (2.5, 0.8, 0.6))


def test_anonymised_files_without_identifiers_are_read(tmp_path):
    hu = head()
    gone = dict.fromkeys(
        ("PatientName", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "StudyDate",
         "SeriesNumber", "InstanceNumber", "SeriesDescription", "StudyDescription")
    )  # fmt: skip
    write_series(tmp_path, hu, **gone)
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, hu)
    assert study.identity.patient_name == study.identity.series_uid == ""


def test_files_without_a_preamble_are_read(tmp_path):
    hu = head()
    for path in write_series(tmp_path, hu):
        import pydicom

        dataset = pydicom.dcmread(path)
        plain = pydicom.Dataset(dataset)
        pydicom.dcmwrite(path.with_suffix(""), plain, implicit_vr=True, little_endian=True, enforce_file_format=False)
        path.unlink()
    np.testing.assert_array_equal(read_study(tmp_path).volume.voxels, hu)


def test_inverted_display_does_not_invert_hu(tmp_path):
    hu = head()
    write_series(tmp_path, hu, PhotometricInterpretation="MONOCHROME1")
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, hu)
    assert any("MONOCHROME1" in warning for warning in map(str, study.warnings))


def test_a_localizer_inside_the_series_is_left_out(tmp_path):
    hu = head()
    write_series(tmp_path, hu)
    write_series(tmp_path, hu[:1], name="scout", orientation=(1, 0, 0, 0, 0, -1),
                 ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])  # fmt: skip
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, hu)
    assert any("1 localizer" in warning for warning in map(str, study.warnings))


def test_lossy_compression_is_warned_of(tmp_path):
    write_series(tmp_path, head(), LossyImageCompression="01")
    assert any("with loss" in warning for warning in map(str, read_study(tmp_path).warnings))


def test_compressed_slices_are_read_without_pydicom_s_plugins(tmp_path, monkeypatch):
    """As in an application that has SimpleITK but no JPEG plugins."""
    from neckfrac.intake import dicom_pixels
    from pydicom import dcmread

    hu = head()
    for path in write_series(tmp_path, hu):
        dataset = dcmread(path)
        dataset.compress("1.2.840.10008.1.2.5")
        dataset.save_as(path)
    monkeypatch.setattr(dicom_pixels, "_has_decoder", lambda syntax: False)
    np.testing.assert_array_equal(read_study(tmp_path).volume.voxels, hu)


def test_of_two_time_points_one_is_read_whole(tmp_path):
    first, second = head(seed=1), head(seed=2)
    write_series(tmp_path, first, name="first", AcquisitionNumber=1)
    write_series(tmp_path, second, name="second", AcquisitionNumber=2)
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, first)
    assert any("26 images were left out" in warning for warning in map(str, study.warnings))


def test_two_stacks_that_only_instance_numbers_tell_apart_are_not_mixed(tmp_path):
    first, second = head(seed=1), head(seed=2)
    write_series(tmp_path, second, name="second",
                 change=lambda dataset, number: setattr(dataset, "InstanceNumber", 100 + number))  # fmt: skip
    write_series(tmp_path, first, name="first")
    np.testing.assert_array_equal(read_study(tmp_path).volume.voxels, first)


def test_reading_stops_when_the_user_cancels(tmp_path):
    write_series(tmp_path, head())
    steps = []

    def cancelled():
        steps.append(None)
        return len(steps) > 4

    with pytest.raises(Cancelled):
        read_study(tmp_path, progress=Progress(cancelled=cancelled))
    assert len(steps) == 5


def test_progress_only_grows_and_ends_at_one(tmp_path):
    write_series(tmp_path, head())
    seen = []
    progress = Progress(lambda stage, fraction: seen.append(fraction))
    with progress.stage("read", 1.0):
        read_study(tmp_path, progress=progress)
    assert seen == sorted(seen) and seen[-1] == 1.0 and len(seen) > 6


def test_no_message_names_the_patient(tmp_path, caplog):
    """Not even for values that pydicom itself complains of by quoting them."""
    hu = head()
    long_name = PATIENT_NAME + "Z" * 80
    for folder, elements in {
        "good": {},
        "long": {"PatientID": PATIENT_ID + "9" * 80},
        "no spacing": {"PixelSpacing": None},
        "magnetic": {"Modality": "MR"},
        "lossy": {"LossyImageCompression": "01", "AcquisitionNumber": 3},
    }.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write_series(tmp_path / folder, hu, PatientName=long_name, **elements)
    caplog.set_level(logging.DEBUG)
    said = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for folder in sorted(tmp_path.iterdir()):
            try:
                said += map(repr, read_study(folder).warnings)  # with their figures
            except InputError as error:
                said.append(str(error))
            said += [repr(series) + str(series) for series in list_series(folder)]
    said += [str(warning.message) for warning in caught] + [record.getMessage() for record in caplog.records]
    assert len(said) >= 8
    assert not any(part in text for text in said for part in ("Xylophon", "Quendolin", "4711"))


def test_content_is_the_same_whether_slices_run_up_or_down(tmp_path):
    """Two exports of one scan, one with its rows and slices the other way round."""
    hu = head()
    write_series(tmp_path / "up", hu)
    corner = (-5, -7 + 15 * 0.8, 30 + 25 * 2.5)
    write_series(tmp_path / "down", hu[::-1, ::-1], orientation=(1, 0, 0, 0, -1, 0), origin=corner)
    up, down = (read_study(tmp_path / name).volume.canonical()[0] for name in ("up", "down"))
    np.testing.assert_array_equal(up.voxels, down.voxels)
    np.testing.assert_allclose(up.affine, down.affine, atol=1e-6)
    assert isinstance(up, CTVolume)
