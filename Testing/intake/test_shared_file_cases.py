"""Volume files with one fault each, where the shared cases lie beside the project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from neckfrac.comparison.compare import compare_files
from neckfrac.errors import InputError
from neckfrac.intake.labels import read_labels
from neckfrac.intake.study import read_study

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not beside the project")


@pytest.fixture(scope="module")
def good():
    return read_study(CASES / "20_good.nii.gz")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("21_offset_lost_padding_-2000.nii.gz", "offset of 1024 is missing"),
        ("23_ten_times_hu.nii.gz", "the scale is wrong"),
        ("24_nan_outside_field.nii.gz", "not a number"),
        ("29_bit_flipped.nrrd", "corrupt"),
        ("31_raw_missing.mhd", "that the header names is missing"),
        ("32_bzip2.nrrd", "bzip2 is not supported"),
    ],
)
def test_a_fault_is_refused_by_its_reason(name, told):
    with pytest.raises(InputError, match=told) as caught:
        read_study(CASES / name)
    assert name in caught.value.where and caught.value.advice


def test_the_sform_is_taken_where_the_qform_is_its_mirror_image(good):
    study = read_study(CASES / "25_qform1_sform2_left_right_exchanged.nii.gz")
    assert any("left and right may be exchanged" in w and "the sform was" in w for w in map(str, study.warnings))
    np.testing.assert_allclose(study.volume.affine[0, 0], -good.volume.affine[0, 0])


@pytest.mark.parametrize("name", ["27_sform_shear_1.5e-4_no_qform.nii.gz", "28_scl_slope_0_inter_-1024.nii.gz"])
def test_rounding_and_a_slope_of_zero_change_nothing(name, good):
    study = read_study(CASES / name)
    np.testing.assert_array_equal(study.volume.voxels, good.volume.voxels)
    np.testing.assert_allclose(study.volume.affine, good.volume.affine, atol=0.01)
    assert {*map(str, study.warnings)} == {*map(str, good.warnings)}


def test_labels_stored_with_a_slope_are_the_same_labels():
    scaled, whole = CASES / "41_labels_scaled_by_nibabel.nii.gz", CASES / "40_labels.nii.gz"
    for pair in ((scaled, whole), (whole, scaled)):
        comparison = compare_files(*pair)
        assert comparison.mean_dice == 1 and all(level.lies_in is None for level in comparison.levels)


def test_labels_beside_their_ct_are_read_on_its_grid():
    labels, warnings = read_labels(CASES / "50_labels_82mm_high.nii.gz", read_study(CASES / "50_ct.nii.gz").volume)
    assert set(np.unique(labels)) == {0, 1, 2, 3, 4, 5, 6} and warnings == []
