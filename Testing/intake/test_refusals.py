"""What can't be read is refused, saying what is wrong, where, and what to do."""

from __future__ import annotations

import numpy as np
import pytest
from intake.made_dicom import SECONDARY, enhanced, head, save, set_pixels, slice_dataset, write_series
from neckfrac.errors import InputError
from neckfrac.intake.study import list_series, read_study

LOCALIZER = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def refusal(source, **options) -> InputError:
    with pytest.raises(InputError) as caught:
        read_study(source, **options)
    assert caught.value.exit_code == 2
    assert caught.value.advice, "says what to do"
    assert caught.value.where, "says where"
    return caught.value


def test_a_path_that_does_not_exist(tmp_path):
    error = refusal(tmp_path / "nowhere")
    assert "no such file or folder" in error.what and "nowhere" in error.where


def test_an_empty_list():
    with pytest.raises(InputError, match="No file was given"):
        read_study([])


def test_an_empty_folder(tmp_path):
    assert "Nothing here can be read" in refusal(tmp_path).what


def test_a_folder_without_images(tmp_path):
    (tmp_path / "letter.txt").write_text("Dear colleague")
    assert "Nothing here can be read" in refusal(tmp_path).what
    assert "Nothing here can be read" in refusal(tmp_path / "letter.txt").what


@pytest.mark.parametrize(
    ("elements", "what", "where"),
    [
        ({"Modality": "MR"}, "not a CT (modality MR)", "image"),
        ({"Modality": "OT", "SOPClassUID": SECONDARY}, "secondary capture", "image"),
        ({"SOPClassUID": SECONDARY}, "secondary capture", "image"),
        ({"ImageType": LOCALIZER}, "localizer (scout) only", "image"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "projection or rendering", "image"),
        ({"PixelSpacing": None}, "no pixel spacing", "image"),
        ({"PixelSpacing": ["0", "0"]}, "no pixel spacing", "image"),
        ({"ImagePositionPatient": None}, "where its slices lie", "image"),
        ({"ImageOrientationPatient": None}, "oriented", "image"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "oriented", "image"),
        ({"RescaleType": "OD"}, "not HU (given in the unit OD)", "image"),
        ({"RescaleSlope": 0}, "rescale slope is 0", "image"),
        ({"Rows": None}, "does not say its size", "image"),
        ({"PixelData": None}, "truncated or corrupt", "image"),
        ({"PixelSpacing": ["20", "20"]}, "not that of a neck CT", "Neck"),
        ({"RescaleIntercept": 0}, "an offset of 1024 may be missing", "Neck"),
    ],
)
def test_a_series_that_is_no_ct_volume(tmp_path, elements, what, where):
    write_series(tmp_path, head(), **elements)
    error = refusal(tmp_path)
    assert what in error.what
    assert where in error.where


def test_one_slice(tmp_path):
    paths = write_series(tmp_path, head())
    error = refusal(paths[0])
    assert "one slice only" in error.what and error.where == paths[0].name and "folder" in error.advice


def test_many_images_of_one_slice(tmp_path):
    hu = head()
    write_series(tmp_path, hu, positions=np.zeros((26, 3)),
                 change=lambda dataset, number: setattr(dataset, "AcquisitionNumber", number))  # fmt: skip
    assert "All 26 images of the series show one and the same slice" in refusal(tmp_path).what


def test_images_of_one_place_that_nothing_tells_apart(tmp_path):
    write_series(tmp_path, head(seed=1), name="a", InstanceNumber=None, change=_no_number)
    write_series(tmp_path, head(seed=2), name="b", InstanceNumber=None, change=_no_number)
    error = refusal(tmp_path)
    assert "Several slices lie at one place" in error.what and "a026.dcm and b026.dcm" in error.where


def _no_number(dataset, number):
    if "InstanceNumber" in dataset:
        del dataset.InstanceNumber


def test_colour_images(tmp_path):
    def change(dataset, number):
        set_pixels(dataset, np.zeros((16, 20, 3), np.uint8))

    write_series(tmp_path, head(), change=change)
    assert "in colour" in refusal(tmp_path).what


@pytest.mark.parametrize(
    ("elements", "what"),
    [
        ({"PixelSpacing": ["0.7", "0.7"]}, "differ in pixel spacing"),
    ],
)
def test_slices_that_do_not_belong_together(tmp_path, elements, what):
    hu = head()
    write_series(tmp_path, hu[:20])
    write_series(tmp_path, hu[20:], name="other", origin=(-5, -7, 80), **elements)
    error = refusal(tmp_path)
    assert what in error.what and "image" in error.where and "other" in error.where


def test_images_of_which_no_three_are_parallel(tmp_path):
    """As a camera's that turns around the patient."""

    def change(dataset, number):
        angle = np.radians(number * 7)
        dataset.ImageOrientationPatient = [f"{x:.6f}" for x in (np.cos(angle), np.sin(angle), 0, 0, 0, -1)]

    write_series(tmp_path, head(), change=change)
    assert "not parallel" in refusal(tmp_path).what


def test_slices_of_different_size(tmp_path):
    write_series(tmp_path, head((20, 16, 20)))
    write_series(tmp_path, head((6, 16, 24)), name="other", origin=(-5, -7, 80))
    error = refusal(tmp_path)
    assert "16x24 and 16x20" in error.what and "other" in error.where


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9, 0.99])
def test_a_truncated_slice(tmp_path, share):
    """Wherever the file breaks off: in the header or in the pixels."""
    paths = write_series(tmp_path, head((26, 64, 64)))
    content = paths[9].read_bytes()
    paths[9].write_bytes(content[: int(len(content) * share)])
    error = refusal(tmp_path)
    assert "truncated or corrupt" in error.what
    assert paths[9].name in error.where


def test_rubbish_that_claims_to_be_dicom(tmp_path):
    write_series(tmp_path, head())
    (tmp_path / "rubbish.dcm").write_bytes(b"\xff\xd8 this is a photograph" * 40)
    error = refusal(tmp_path)
    assert "truncated or corrupt" in error.what and "rubbish.dcm" in error.where


def test_damaged_compressed_pixels(tmp_path):
    from pydicom import dcmread

    paths = write_series(tmp_path, head((26, 64, 64)))
    for path in paths:
        dataset = dcmread(path)
        dataset.compress("1.2.840.10008.1.2.5")  # RLE lossless
        dataset.save_as(path)
    read_study(tmp_path)
    content = bytearray(paths[3].read_bytes())
    content[-3000:] = bytes(3000)
    paths[3].write_bytes(content)
    error = refusal(tmp_path)
    assert "pixels can't be" in error.what and error.where == paths[3].name


def test_an_enhanced_ct_whose_frames_and_places_differ_in_number(tmp_path):
    dataset = enhanced(head(), (2.5, 0.8, 0.6), (0, 0, 0))
    dataset.NumberOfFrames = 20
    save(dataset, tmp_path / "enhanced.dcm")
    assert "truncated or corrupt" in refusal(tmp_path).what


def test_the_list_of_series_says_why_one_can_not_be_read(tmp_path):
    write_series(tmp_path, head(), Modality="MR")
    (summary,) = list_series(tmp_path)
    assert not summary.usable and "modality MR" in summary.why_not and summary.spacing == ()


def test_a_single_secondary_capture_without_geometry(tmp_path):
    dataset = slice_dataset(head()[0], (0, 0, 0), (1, 0, 0, 0, 1, 0), (1, 1))
    dataset.SOPClassUID, dataset.Modality = SECONDARY, "OT"
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        del dataset[keyword]
    assert "secondary capture" in refusal(save(dataset, tmp_path / "capture.dcm")).what
