"""Headers that contradict their pixels, or the other slices: refused or left out, said, and never waited for."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from intake.made_dicom import enhanced, head, save, set_pixels, write_series
from intake.test_refusals import refusal
from neckfrac.intake.study import list_series, read_study
from neckfrac_lab.fuzz.neck import neck_hu

HU = head()


def only(number, **elements):
    """Changes these elements of one slice."""

    def change(dataset, current):
        if current == number:
            for keyword, value in elements.items():
                if value is None:
                    delattr(dataset, keyword)
                else:
                    setattr(dataset, keyword, value)

    return change


@pytest.mark.parametrize("which", ["one", "all"])
@pytest.mark.parametrize(
    ("elements", "what"),
    [
        ({"NumberOfFrames": 10**9}, "1000000000 frames"),
        ({"NumberOfFrames": 10**8}, "100000000 frames"),
        ({"NumberOfFrames": 20}, "20 frames"),
        ({"NumberOfFrames": -3}, "-3 frames"),
        ({"Rows": 8}, "contradicts its pixel data: 8 x 20"),
        ({"Columns": 19}, "contradicts its pixel data: 16 x 19"),
        ({"Columns": 10}, "contradicts its pixel data"),
        ({"Rows": 17}, "contradicts its pixel data: 17 x 20"),
        ({"Rows": 65535, "Columns": 65535}, "more than any CT"),
        ({"Rows": 16000, "Columns": 16000}, "contradicts its pixel data"),
        ({"BitsAllocated": 8, "BitsStored": 8}, "contradicts its pixel data"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "contradicts its pixel data"),
        ({"BitsAllocated": 7}, "not possible"),
        ({"BitsStored": 40}, "not possible"),
        ({"BitsStored": 8, "HighBit": 7}, "more bits than the 8"),
        ({"SamplesPerPixel": 3}, "contradicts its pixel data"),
    ],
)
def test_a_size_that_the_pixel_data_contradict_is_refused(tmp_path, elements, what, which):
    change = only(9, **elements) if which == "one" else None
    write_series(tmp_path, HU, change=change, **({} if change else elements))
    error = refusal(tmp_path)
    assert what in error.what
    assert which == "all" or "image017" in error.where


def test_a_few_bytes_too_many_are_said(tmp_path):
    write_series(tmp_path, HU, change=lambda d, n: setattr(d, "PixelData", d.PixelData + bytes(6)))
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, HU)
    assert any("some bytes longer" in warning for warning in map(str, study.warnings))


def test_compressed_slices_that_claim_to_be_large_take_no_memory(tmp_path):
    import tracemalloc

    for path in write_series(tmp_path, head((6, 64, 64))):
        dataset = pydicom.dcmread(path)
        dataset.compress("1.2.840.10008.1.2.5")
        dataset.Rows = dataset.Columns = 3000
        dataset.save_as(path)
    tracemalloc.start()
    assert "truncated or corrupt" in refusal(tmp_path).what
    assert tracemalloc.get_traced_memory()[1] < 3 * 3000 * 3000 * 2  # of one slice, not of six
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ((690.0, 0, 0), "up to 690 mm beside"),
        ((0, -3.0, 0), "up to 3 mm beside"),
        ((1e9, 0, 0), "1e+09 mm away"),
        ((1e300, 0, 0), "1e+300 mm away"),
        ((0, 0, 0.5), "between"),
    ],
)
@pytest.mark.parametrize("number", [0, 9, 25])
def test_one_slice_with_a_mistyped_place_is_left_out(tmp_path, place, what, number):
    hu = np.repeat(np.arange(26, dtype=np.int16)[:, None, None] * 40 - 300, 16, axis=1).repeat(20, axis=2)
    hu[:, 0] = -1000
    positions = np.array((-5.0, -7, 30)) + np.arange(26)[:, None] * (0, 0, 2.5)
    positions[number] += place
    if place[2]:
        positions[number, 2] += 2.5 * (2 if number < 20 else -3)  # among other slices
    write_series(tmp_path, hu, positions=positions)
    study = read_study(tmp_path)
    assert any(what in warning and "left out" in warning for warning in map(str, study.warnings))
    # The ramp is linear, so that what is filled in is exact.
    np.testing.assert_array_equal(study.volume.voxels, np.delete(hu, number, 0) if number in (0, 25) else hu)


def test_a_mistyped_place_far_along_the_patient_is_refused_in_no_time(tmp_path):
    positions = np.array((-5.0, -7, 30)) + np.arange(26)[:, None] * (0, 0, 2.5)
    positions[9, 2] = 9e4
    write_series(tmp_path, HU, positions=positions)
    assert "mm are missing" in refusal(tmp_path).what


@pytest.mark.parametrize("sideways", [50.0, 3e3])
def test_slices_that_all_lie_beside_each_other_are_no_scan(tmp_path, sideways):
    positions = np.arange(26)[:, None] * (sideways, 0, 1.0)
    write_series(tmp_path, HU, positions=positions)
    assert "no scan of one body" in refusal(tmp_path).what


@pytest.mark.parametrize(
    ("elements", "what"),
    [
        ({"RescaleIntercept": "1e30"}, "make no HU"),
        ({"RescaleIntercept": "-9e99"}, "make no HU"),
        ({"RescaleSlope": "1e300"}, "make no HU"),
        ({"RescaleSlope": "-1"}, "make no HU"),
        ({"RescaleSlope": "nan"}, "no finite number"),
        ({"RescaleIntercept": "inf"}, "no finite number"),
        ({"RescaleIntercept": "-inf", "RescaleSlope": None}, "no finite number"),
    ],
)
def test_a_rescale_that_makes_no_hu_is_refused_and_of_one_slice_left_out(tmp_path, elements, what):
    write_series(tmp_path / "all", HU, change=lambda d, n: only(n, **elements)(d, n))
    error = refusal(tmp_path / "all")
    assert what in error.what and "image" in error.where
    write_series(tmp_path / "one", HU, change=only(9, **elements))
    study = read_study(tmp_path / "one")
    assert any("1 image was left out" in warning and what in warning for warning in map(str, study.warnings))
    np.testing.assert_array_equal(np.delete(study.volume.voxels, 9, 0), np.delete(HU, 9, 0))


@pytest.mark.parametrize("keyword", ["RescaleIntercept", "RescaleSlope"])
def test_slices_that_lost_their_rescale_while_others_have_it_are_no_hu(tmp_path, keyword):
    write_series(tmp_path / "one", HU, change=only(9, **{keyword: None}))
    study = read_study(tmp_path / "one")
    assert any("1 image was left out" in w and "though others do" in w for w in map(str, study.warnings))
    np.testing.assert_array_equal(np.delete(study.volume.voxels, 9, 0), np.delete(HU, 9, 0))
    write_series(tmp_path / "half", HU, change=lambda d, n: only(n, **{keyword: None})(d, n) if n < 13 else None)
    assert "though others do" in refusal(tmp_path / "half").what


@pytest.mark.parametrize("intercept", [0, -2048, 1000])
def test_one_slice_whose_intercept_does_not_fit_its_values_is_refused(tmp_path, intercept):
    write_series(tmp_path, HU, change=only(9, RescaleIntercept=intercept))
    error = refusal(tmp_path)
    assert f"intercept {intercept}" in error.what and "neighbours" in error.what and "image017" in error.where


def test_one_slice_with_another_intercept_that_fits_its_values_is_read(tmp_path):
    def change(dataset, number):
        if number == 9:
            set_pixels(dataset, HU[9])
            dataset.RescaleIntercept = 0

    write_series(tmp_path, HU, change=change)
    np.testing.assert_array_equal(read_study(tmp_path).volume.voxels, HU)


@pytest.mark.parametrize("elements", [{"RescaleIntercept": -1000}, {"RescaleIntercept": -1048}, {"RescaleSlope": 1.02}])
def test_a_rescale_of_one_slice_that_differs_by_little_is_said(tmp_path, elements):
    """Nothing in its values shows it, so it is read as it says."""
    write_series(tmp_path, HU, change=only(9, **elements))
    (warning,) = [text for text in map(str, read_study(tmp_path).warnings) if "rescale" in text]
    assert "1 slice" in warning and "image017" in warning


@pytest.mark.parametrize(
    "keyword", ["RescaleIntercept", "PixelSpacing", "Rows", "ImagePositionPatient", "InstanceNumber"]
)
def test_a_header_that_gives_an_element_twice_is_refused(tmp_path, keyword):
    """Which of the two holds is not known; a reader takes the last."""
    (path, *_) = write_series(tmp_path, HU)
    content = path.read_bytes()
    element = pydicom.dcmread(path)[keyword]
    number = element.tag.group.to_bytes(2, "little") + element.tag.element.to_bytes(2, "little")
    begin = content.index(number + element.VR.encode())
    end = begin + 8 + int.from_bytes(content[begin + 6 : begin + 8], "little")
    pixels = content.rindex(b"\xe0\x7f\x10\x00")
    path.write_bytes(content[:pixels] + content[begin:end] + content[pixels:])
    error = refusal(tmp_path)
    assert "twice" in error.what and element.name in error.what and path.name in error.where


def test_a_slice_whose_sign_contradicts_the_others_is_refused(tmp_path):
    """Its values are stored above the middle of 16 bits: without a sign they are others."""

    def change(dataset, number):
        set_pixels(dataset, (HU[number].astype(int) + 40000).astype(np.uint16))
        dataset.RescaleIntercept = -40000
        dataset.PixelRepresentation = int(number == 9)

    write_series(tmp_path, HU, change=change)
    assert "read alike they differ" in refusal(tmp_path).what


def test_twelve_bits_in_sixteen_are_read_with_and_without_sign_bits_above(tmp_path):
    for name, mask in (("cut", 0x0FFF), ("filled", 0xFFFF)):

        def change(dataset, number, mask=mask):
            set_pixels(dataset, (HU[number].view(np.uint16) & mask).astype(np.uint16).view(np.int16))
            dataset.RescaleIntercept, dataset.BitsStored, dataset.HighBit = 0, 12, 11

        write_series(tmp_path / name, HU, change=change)
        np.testing.assert_array_equal(read_study(tmp_path / name).volume.voxels, HU)


def test_padding_wider_than_the_stored_bits_is_padding(tmp_path):
    corner = np.zeros(HU.shape, bool)
    corner[:, 8:, :2] = True

    def change(dataset, number):
        stored = (HU[number].astype(int) + 1024).astype(np.uint16)
        set_pixels(dataset, np.where(corner[number], 63536, stored).astype(np.uint16))
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.add_new(0x00280120, "SS", -2000)

    write_series(tmp_path, HU, change=change)
    voxels = read_study(tmp_path).volume.voxels
    assert (voxels[corner] == -1024).all()
    np.testing.assert_array_equal(voxels[~corner], HU[~corner])


@pytest.mark.parametrize("declared", [True, False])
def test_stored_values_without_a_rescale_are_no_hu_when_their_air_lies_above_zero(tmp_path, declared):
    corner = np.zeros(HU.shape, bool)
    corner[:, 8:, :2] = True

    def change(dataset, number):
        set_pixels(dataset, np.where(corner[number], -2000, HU[number].astype(int) + 1024).astype(np.int16))
        del dataset.RescaleSlope, dataset.RescaleIntercept
        if declared:
            dataset.PixelPaddingValue = -2000

    write_series(tmp_path, HU, change=change)
    assert "an offset of 1024 may be missing" in refusal(tmp_path).what


def test_hu_without_a_rescale_are_read_with_a_warning(tmp_path):
    def change(dataset, number):
        set_pixels(dataset, HU[number])
        del dataset.RescaleSlope, dataset.RescaleIntercept

    write_series(tmp_path, HU, change=change)
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, HU)
    assert any("does not say how its values become HU" in warning for warning in map(str, study.warnings))


@pytest.mark.parametrize("unit", ["US", "Hounsfield", "HOUNSFIELD UNITS", "hu"])
def test_hu_under_another_name_are_read(tmp_path, unit):
    write_series(tmp_path, HU, RescaleType=unit)
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, HU)
    assert [w for w in map(str, study.warnings) if f"in the unit {unit}" in w] or unit == "hu"


@pytest.mark.parametrize("unit", ["OD", "Z_EFF", "ED", "MGML", "PCT"])
def test_other_units_are_refused(tmp_path, unit):
    write_series(tmp_path, HU, RescaleType=unit)
    assert f"not HU (given in the unit {unit})" in refusal(tmp_path).what


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.9", "1.3.46.670589.33.1.4.1", "1.2.3", "rubbish"])
def test_an_unknown_transfer_syntax_is_named(tmp_path, syntax):
    for path in write_series(tmp_path, HU):
        if syntax.startswith("1.2.840.10008."):  # pydicom does not write what DICOM has not
            path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", syntax.encode() + b"\0"))
            continue
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(path, implicit_vr=False, little_endian=True, enforce_file_format=False)
    assert f"transfer syntax that is not known ({syntax})" in refusal(tmp_path).what


@pytest.mark.parametrize(
    ("elements", "what"),
    [
        ({"Rows": None}, "does not say its size (Rows, Columns)"),
        ({"PixelData": None}, "has no pixel data"),
    ],
)
def test_what_a_slice_lacks_is_named(tmp_path, elements, what):
    write_series(tmp_path, HU, change=only(9, **elements))
    error = refusal(tmp_path)
    assert what in error.what and "image017" in error.where


@pytest.mark.parametrize("elements", [{"ImagePositionPatient": None}, {"ImageOrientationPatient": None},
                                      {"PixelSpacing": None}, {"PixelSpacing": ["0.9", "0.9"]},
                                      {"ImageType": ["DERIVED", "SECONDARY", "MIP"]},
                                      {"Modality": "1e-308"}, {"Modality": "MR"},
                                      {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}])  # fmt: skip
def test_one_stray_image_in_a_series_is_left_out_and_said(tmp_path, elements):
    write_series(tmp_path, HU, change=only(25, **elements))
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, HU[:25])
    assert [warning for warning in map(str, study.warnings) if "1 image" in warning and "left out" in warning]


def test_frames_of_an_enhanced_ct_are_checked_too(tmp_path):
    dataset = enhanced(HU, (2.5, 0.8, 0.6), (0, 0, 0))
    dataset.Rows = 8
    save(dataset, tmp_path / "enhanced.dcm")
    assert "contradicts its pixel data" in refusal(tmp_path).what


def test_a_series_whose_header_contradicts_its_pixels_does_not_stop_another(tmp_path):
    write_series(tmp_path / "a", HU)
    write_series(tmp_path / "b", HU, SeriesInstanceUID="1.2.9.9", SeriesNumber=7, NumberOfFrames=10**9)
    assert [summary.usable for summary in list_series(tmp_path)] == [True, False]
    np.testing.assert_array_equal(read_study(tmp_path).volume.voxels, HU)


@pytest.mark.parametrize("padding", [None, -2000])
def test_a_series_of_twice_the_hu_is_refused_by_its_air(tmp_path, padding):
    """Before what lies below air is cut off; padding of one value is no air."""
    hu = neck_hu(shape=(20, 56, 56)).clip(-1100)

    def change(dataset, number, factor):
        stored = np.rint(hu[number]).astype(np.int16)
        if padding is not None:
            stored[:5] = padding // factor
        set_pixels(dataset, stored)
        dataset.RescaleSlope, dataset.RescaleIntercept = factor, 0

    for factor in (1, 2):
        write_series(tmp_path / str(factor), hu, change=lambda d, n, factor=factor: change(d, n, factor))
    assert not any("scale" in warning for warning in map(str, read_study(tmp_path / "1").warnings))
    error = refusal(tmp_path / "2")
    assert "Air lies" in error.what and "scale is wrong" in error.what
