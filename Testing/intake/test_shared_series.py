"""Series that broke or misled the reading, where the shared cases lie beside the project: what each gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from neckfrac.errors import InputError
from neckfrac.intake.study import read_study

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not beside the project")


@pytest.fixture(scope="module")
def good() -> np.ndarray:
    return read_study(CASES / "00_good.zip").volume.voxels


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("01_two_acquisitions_half_a_slice_apart", "told apart by acquisition (1 against 2)"),
        ("03_upper_half_without_preamble", ""),
        ("05_one_slice_twice_other_uid", "1 image is an exact copy"),
        ("07_axial_and_coronal_one_uid", "8 images that are not parallel"),
        ("08_scout_without_imagetype_in_series", "1 image that is not parallel"),
        ("09_rescaletype_US", "in the unit US"),
        ("09_rescaletype_Hounsfield", "in the unit Hounsfield"),
    ],
)
def test_the_right_stack_is_read_and_what_was_done_is_said(name, says, good):
    study = read_study(CASES / f"{name}.zip")
    np.testing.assert_array_equal(study.volume.voxels, good)
    assert any(says in warning for warning in map(str, study.warnings))


def test_one_phase_of_a_perfusion_is_read(good):
    study = read_study(CASES / "06_perfusion_only_times_differ.zip")
    np.testing.assert_array_equal(study.volume.voxels, good[:10])
    assert any("told apart by acquisition time" in warning for warning in map(str, study.warnings))


@pytest.mark.parametrize("name", ["13_one_slice_690mm_sideways", "14_one_slice_1e9mm_sideways"])
def test_a_slice_with_a_mistyped_place_is_left_out(name, good):
    study = read_study(CASES / f"{name}.zip")
    assert study.volume.shape == good.shape
    unlike = [number for number in range(40) if not np.array_equal(study.volume.voxels[number], good[number])]
    assert len(unlike) == 1  # that one is filled in from its neighbours
    assert any("left out" in warning for warning in map(str, study.warnings))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("11_rows_half_of_the_pixels", "32 x 64 pixels of 16 bits need 4096 bytes, there are 8192"),
        ("12_numberofframes_1e9", "1000000000 frames"),
        ("17_no_rescale_padding_-2000", "an offset of 1024 may be missing"),
    ],
)
def test_what_can_not_be_read_says_why(name, says):
    with pytest.raises(InputError, match=says):
        read_study(CASES / f"{name}.zip")


def test_names_that_are_too_long_for_a_file_system_are_unpacked_under_others(good):
    study = read_study(CASES / "16_name_longer_than_255.zip")
    np.testing.assert_array_equal(study.volume.voxels, good[: len(study.volume.voxels)])
