"""Warnings and refusals for volumes, wherever they come from."""

from __future__ import annotations

import numpy as np
import pytest
from intake.made_dicom import head
from neckfrac.errors import InputError
from neckfrac.intake.checks import check_volume, slice_axis
from neckfrac.volume import CTVolume


def volume(spacing=(2.5, 0.8, 0.6), voxels=None, order=(0, 1, 2)) -> CTVolume:
    """spacing: [z, y, x] mm. order: for each array axis the patient's (0 head-foot, 1 front-back, 2 left-right)."""
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, along in enumerate(order):
        affine[2 - along, 2 - axis] = spacing[axis]
    return CTVolume(head() if voxels is None else voxels, affine)


def test_a_fine_ct_has_no_warning():
    assert check_volume(volume()) == []


@pytest.mark.parametrize(
    ("spacing", "warning"),
    [
        ((3.2, 0.8, 0.6), "slices are 3.2 mm apart"),
        ((2.5, 1.3, 1.3), "pixels are 1.3 mm wide"),
        ((2.0, 0.8, 0.6), "only 52 mm high"),
        ((2.5, 3.9, 3.9), "pixels are 3.9 mm wide"),
    ],
)
def test_what_limits_the_reading_is_warned_of(spacing, warning):
    warnings = check_volume(volume(spacing))
    assert len(warnings) == 1 and warning in warnings[0].text


def test_thick_sagittal_slices_are_known_as_slices():
    sagittal = volume((4.0, 0.6, 0.6), head((26, 120, 20)), order=(2, 0, 1))
    assert slice_axis(sagittal) == 0
    assert [warning for warning in map(str, check_volume(sagittal)) if "4.0 mm apart" in warning]


def test_of_isotropic_voxels_the_head_foot_axis_counts_as_slices():
    assert slice_axis(volume((1, 1, 1), order=(1, 2, 0))) == 2


def test_a_volume_without_air_is_warned_of():
    assert any("no air" in warning for warning in map(str, check_volume(volume(voxels=head().clip(-250, None)))))


def test_float_volumes_of_a_scene_are_checked_too():
    assert check_volume(volume(voxels=head().astype(np.float32))) == []
    broken = head().astype(np.float32)
    broken[3, 3, 3] = np.nan
    with pytest.raises(InputError, match="not a number"):
        check_volume(volume(voxels=broken))


@pytest.mark.parametrize(
    ("voxels", "what"),
    [
        (head().astype(bool), "not numbers"),
        (head()[:1], "one slice"),
        (head()[:, :, :1], "one slice"),
        (head() - head().min(), "Hounsfield units"),
    ],
)
def test_volumes_of_a_scene_that_are_no_ct_are_refused(voxels, what):
    with pytest.raises(InputError, match=what):
        check_volume(volume(voxels=voxels))


@pytest.mark.parametrize("spacing", [(2.5, 0.01, 0.01), (25.0, 0.8, 0.6), (0.0025, 0.0008, 0.0006)])
def test_spacing_in_another_unit_is_refused(spacing):
    with pytest.raises(InputError, match="not that of a neck CT"):
        check_volume(volume(spacing))
