"""Labels of other programs: rounded, recognised by their numbers, or refused."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from intake.test_nifti import nifti_file
from neckfrac.errors import InputError
from neckfrac.intake.labels import TAKEN, levels_of, named_levels, read_labels, whole_numbers
from neckfrac.volume import CTVolume, to_image


def spine(values=(1, 2, 3, 4, 5, 6, 7), extra=()) -> CTVolume:
    """Boxes of the values one below the other, from the head down; extra: (value, column) of boxes beside them."""
    labels = np.zeros((30, 12, 12), np.int16)
    for number, value in enumerate(values):
        labels[26 - 4 * number : 29 - 4 * number, 4:8, 4:8] = value
    for value, column in extra:
        labels[4:20, 1:3, column] = value
    return CTVolume(labels, np.diag([1.0, 1.0, 2.0, 1.0]))


def write(volume: CTVolume, path):
    sitk.WriteImage(to_image(volume), str(path))
    return path


@pytest.mark.parametrize(("kind", "low", "high"), [("i2", -32768, 32767), ("u1", 0, 255)])
def test_labels_stored_with_a_slope_keep_their_names(tmp_path, kind, low, high):
    """As nibabel writes float labels into integers: 2 comes back as 1.99998, and was C1."""
    labels = spine()
    slope = np.float32(7 / (high - low))
    inter = np.float32(-low * slope)
    stored = np.rint((labels.voxels - inter) / slope).astype(kind)
    path = nifti_file(tmp_path / "scaled.nii", stored, scaling=(slope, inter), spacing=(1, 1, 2), qform=(0,) * 6)
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    assert not np.array_equal(image, np.rint(image))
    grid = CTVolume(labels.voxels, np.diag([-1.0, -1.0, 2.0, 1.0]))
    found, warnings = read_labels(path, grid)
    np.testing.assert_array_equal(found, labels.voxels)
    assert warnings == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 200), min_size=8, max_size=8), st.floats(-0.04, 0.04))
def test_rounding_gives_the_nearest_whole_number(values, off):
    labels = np.array(values, np.float64).reshape(2, 2, 2) + off
    np.testing.assert_array_equal(whole_numbers(labels), np.array(values).reshape(2, 2, 2))


@pytest.mark.parametrize("wrong", [1.4, np.nan, np.inf, 1e30])
def test_what_is_far_from_whole_numbers_is_refused(wrong):
    labels = spine().voxels.astype(np.float32)
    labels[3, 4, 5] = wrong
    for read in (levels_of, whole_numbers):
        with pytest.raises(InputError, match="no whole numbers"):
            read(labels)


def test_interpolated_labels_of_a_file_are_refused_with_its_name(tmp_path):
    labels = spine()
    blurred = CTVolume((labels.voxels + np.roll(labels.voxels, 1, 1)).astype(np.float32) / 2, labels.affine)
    path = write(blurred, tmp_path / "interpolated.nrrd")
    with pytest.raises(InputError, match="no whole numbers") as caught:
        read_labels(path, labels)
    assert "interpolated.nrrd" in caught.value.where and "1 to 7" in caught.value.advice


def test_totalsegmentator_s_vertebrae_are_known_among_its_organs():
    """Its 1 to 7 are spleen, kidneys, gallbladder, liver, stomach and pancreas."""
    theirs = spine((50, 49, 48, 47, 46, 45, 44), extra=((1, 2), (5, 9), (43, 10), (91, 11)))
    levels, warnings = named_levels(theirs)
    np.testing.assert_array_equal(levels, spine().voxels)
    assert [str(warning) for warning in warnings] == [TAKEN]


def test_parts_of_a_vertebra_under_such_numbers_are_not_taken_for_levels():
    """Other programs number arches and processes in the forties."""
    parts = spine((1, 2, 3, 4, 5, 6, 7), extra=((45, 1), (46, 2), (47, 3)))
    parts.voxels[2:28, 1:3, 5], parts.voxels[4:10, 1:3, 6] = 49, 48
    levels, warnings = named_levels(parts)
    np.testing.assert_array_equal(levels, spine().voxels)
    assert TAKEN not in map(str, warnings)


def test_other_numbers_are_named_and_the_expected_ones_told():
    with pytest.raises(InputError, match="101, 102") as caught:
        named_levels(spine((101, 102)))
    assert "1 to 7" in caught.value.advice and "TotalSegmentator" in caught.value.advice
    with pytest.raises(InputError, match="none"):
        named_levels(spine(()))


def test_labels_counted_from_below_are_warned_of():
    _, warnings = named_levels(spine((7, 6, 5, 4, 3, 2, 1)))
    assert any("do not follow each other" in warning for warning in map(str, warnings))


def test_labels_of_a_damaged_file_are_refused(tmp_path):
    path = write(spine(), tmp_path / "labels.nrrd")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="truncated"):
        read_labels(path, spine())


def test_both_files_of_a_comparison_are_rounded(tmp_path):
    from neckfrac.comparison.compare import compare_files

    whole = write(spine(), tmp_path / "whole.nrrd")
    near = CTVolume((spine().voxels * 0.99999).astype(np.float32), spine().affine)
    for pair in ((whole, write(near, tmp_path / "near.nrrd")), (tmp_path / "near.nrrd", whole)):
        assert compare_files(*pair).mean_dice == 1


def test_an_array_that_is_handed_over_is_rounded():
    from neckfrac.pipeline.external_segmentation import levels_of as levels_on

    volume = CTVolume(np.zeros(spine().shape, np.int16), spine().affine)
    levels, _ = levels_on((spine().voxels * 0.99999).astype(np.float32), volume)
    np.testing.assert_array_equal(levels, spine().voxels)
