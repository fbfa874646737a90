"""Stacks that lie slice beside slice under one series, and that nothing in the headers tells apart, are not mixed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intake.made_dicom import write_series
from neckfrac.intake.checks import check_volume
from neckfrac.intake.mixed_stacks import mixture
from neckfrac.intake.study import read_study
from neckfrac.volume import CTVolume
from neckfrac_lab.fuzz.neck import neck_hu
from scipy.ndimage import gaussian_filter

SHAPE = (20, 56, 56)
OTHERS = {
    "patient moved": lambda hu: np.roll(hu, 3, axis=2),
    "other voltage": lambda hu: np.where(hu > -500, hu + 12, hu),
    "other kernel": lambda hu: gaussian_filter(hu, (0, 0.8, 0.8)),
    "other dose": lambda hu: hu + np.random.default_rng(9).normal(0, 25, hu.shape),
}


def whole(hu: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(hu), -1024, 3000).astype(np.int16)


def stacks(other: str) -> tuple[np.ndarray, np.ndarray]:
    return whole(neck_hu(seed=1, shape=SHAPE)), whole(OTHERS[other](neck_hu(seed=2, shape=SHAPE)))


def merged(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    hu = np.empty((2 * len(first), *first.shape[1:]), np.int16)
    hu[::2], hu[1::2] = first, second
    return hu


@pytest.mark.parametrize("numbered", ["by place", "not at all", "alike"])
@pytest.mark.parametrize("other", OTHERS)
def test_two_stacks_half_a_slice_apart_that_only_their_values_tell_apart_are_not_mixed(tmp_path, other, numbered):
    first, second = stacks(other)

    def change(dataset, number):
        if numbered == "not at all":
            del dataset.InstanceNumber
        elif numbered == "alike":
            dataset.InstanceNumber = 1

    write_series(tmp_path, merged(first, second), spacing=(1.25, 3.0, 3.0), change=change)
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, first)
    assert study.volume.spacing[0] == pytest.approx(2.5)
    (warning,) = [text for text in map(str, study.warnings) if "left out" in text]
    assert "every second" in warning and "20 images" in warning and "2 stacks" in warning


def test_the_stack_of_the_first_image_is_read(tmp_path):
    first, second = stacks("patient moved")
    change = lambda dataset, number: setattr(dataset, "InstanceNumber", 40 - number)  # noqa: E731
    write_series(tmp_path, merged(first, second), spacing=(1.25, 3.0, 3.0), change=change)
    np.testing.assert_array_equal(read_study(tmp_path).volume.voxels, second)


def test_one_of_three_stacks_is_read(tmp_path):
    hu = np.empty((3 * SHAPE[0], *SHAPE[1:]), np.int16)
    for number in range(3):
        hu[number::3] = whole(np.roll(neck_hu(seed=number, shape=SHAPE), 4 * number, axis=1))
    write_series(tmp_path, hu, spacing=(1.0, 3.0, 3.0))
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, hu[::3])
    assert any("every third" in text for text in map(str, study.warnings))


@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize("other", ["patient moved", "other voltage"])
def test_a_volume_file_in_which_two_stacks_are_mixed_is_warned_of(other, axis):
    hu = np.ascontiguousarray(np.moveaxis(merged(*stacks(other)), 0, axis))
    spacing = np.array([3.0, 3.0, 3.0])
    spacing[2 - axis] = 1.25
    (warning,) = [w for w in map(str, check_volume(CTVolume(hu, np.diag([*spacing, 1.0])))) if "mixed" in w]
    assert "every second" in warning


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6), slices=st.integers(3, 40), noise=st.floats(1, 80), turn=st.floats(0, 0.5),
    brighter=st.floats(-8, 8), louder=st.floats(0, 4),
)  # fmt: skip
def test_one_scan_is_never_taken_for_two(seed, slices, noise, turn, brighter, louder):
    """Also not where the neck goes across the slices, or its values or noise change along it."""
    hu = neck_hu(seed=seed, noise=0, shape=(slices, 56, 56))
    grain = np.random.default_rng(seed).normal(0, noise, hu.shape)
    for number in range(slices):
        hu[number] = np.roll(hu[number], round(turn * number), axis=0) + brighter * number
        hu[number] += grain[number] * (1 + louder * number / slices)
    assert mixture(whole(hu), noise=True) is None


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), noise=st.floats(1, 40))
def test_a_volume_file_interpolated_between_its_slices_is_not_warned_of(seed, noise):
    hu = neck_hu(seed=seed, noise=noise, shape=(20, 56, 56))
    finer = np.empty((39, 56, 56))
    finer[::2], finer[1::2] = hu, (hu[1:] + hu[:-1]) / 2
    assert mixture(whole(finer)) is None


def test_a_scan_of_a_phase_in_which_one_slice_is_off_is_one_scan():
    hu = whole(neck_hu(shape=(30, 56, 56)))
    hu[7] += 400
    hu[20:] = np.roll(hu[20:], 5, axis=1)
    assert mixture(hu, noise=True) is None
