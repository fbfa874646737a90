"""Properties of CTVolume that every other part relies on."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from neckfrac.volume import CTVolume, Reorientation, from_image, to_image, window
from scipy.spatial.transform import Rotation

SHAPE = (3, 4, 5)
ORIENTATIONS = list(product(permutations(range(3)), product((-1, 1), repeat=3)))


def numbered(affine: np.ndarray, shape: tuple[int, int, int] = SHAPE) -> CTVolume:
    """Voxels that each hold their own number."""
    return CTVolume(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), affine)


def affine_of(directions: np.ndarray, spacing=(0.5, 0.7, 2.0), origin=(10, -20, 30)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array(spacing)
    affine[:3, 3] = origin
    return affine


def signed_permutation(axes, signs) -> np.ndarray:
    """3x3 whose columns run along the patient's axes `axes` with `signs`."""
    matrix = np.zeros((3, 3))
    matrix[list(axes), range(3)] = signs
    return matrix


finite = st.floats(-500, 500, allow_nan=False)


@st.composite
def affines(draw) -> np.ndarray:
    """Affines of any rotation or reflection and anisotropic spacing; some slightly sheared."""
    rotation = Rotation.from_euler("xyz", [draw(st.floats(-180, 180)) for _ in range(3)], degrees=True).as_matrix()
    directions = rotation @ signed_permutation(*draw(st.sampled_from(ORIENTATIONS)))
    directions = directions @ np.array([[1, 0, draw(st.floats(-0.3, 0.3))], [0, 1, 0], [0, 0, 1]])
    spacing = [draw(st.floats(0.2, 6)) for _ in range(3)]
    return affine_of(directions, spacing, [draw(finite) for _ in range(3)])


def where_each_voxel_is(volume: CTVolume) -> np.ndarray:
    """LPS mm [n, 3] of every voxel, in the order of the voxels' values."""
    indices = np.argwhere(np.ones(volume.shape, bool))
    points = volume.to_points(indices)
    return points[np.argsort(volume.voxels[tuple(indices.T)], kind="stable")]


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_all_48_orientations_turn_to_the_patient_s_axes_and_back(axes, signs):
    volume = numbered(affine_of(signed_permutation(axes, signs)))
    canonical, reorientation = volume.canonical()
    np.testing.assert_array_equal(canonical.directions, np.eye(3))
    np.testing.assert_allclose(where_each_voxel_is(canonical), where_each_voxel_is(volume))
    np.testing.assert_array_equal(reorientation.undo(canonical.voxels), volume.voxels)
    assert np.shares_memory(canonical.voxels, volume.voxels), "a view, no copy"
    again, same = canonical.canonical()
    assert same == Reorientation((0, 1, 2), (), canonical.shape) and again.shape == canonical.shape


@settings(max_examples=80)
@given(affines())
def test_oblique_volumes_keep_every_voxel_in_its_place(affine):
    volume = numbered(affine)
    canonical, reorientation = volume.canonical()
    np.testing.assert_allclose(where_each_voxel_is(canonical), where_each_voxel_is(volume), atol=1e-8)
    np.testing.assert_array_equal(reorientation.undo(canonical.voxels), volume.voxels)
    # No other use of the axes comes nearer to left, posterior, superior.
    best = max(
        sum(abs(volume.directions[world, axis]) for world, axis in enumerate(order)) for order in permutations(range(3))
    )
    assert np.trace(canonical.directions) == pytest.approx(best)
    assert (np.diag(canonical.directions) >= 0).all()


@settings(max_examples=80)
@given(affines(), arrays(np.float64, (7, 3), elements=finite))
def test_indices_and_points_are_each_other_s_inverse(affine, indices):
    volume = numbered(affine)
    np.testing.assert_allclose(volume.to_indices(volume.to_points(indices)), indices, atol=1e-6)
    np.testing.assert_allclose(volume.to_points(volume.to_indices(indices)), indices, atol=1e-6)


def test_an_index_counts_z_first_and_a_point_x_first():
    volume = numbered(affine_of(np.eye(3)))
    np.testing.assert_allclose(volume.to_points([2, 1, 3]), (10 + 3 * 0.5, -20 + 0.7, 30 + 2 * 2.0))
    np.testing.assert_allclose(volume.spacing, (2.0, 0.7, 0.5))
    assert volume.to_points(np.zeros((2, 6, 3))).shape == (2, 6, 3)


corner = st.integers(-3, 9)


@settings(max_examples=80)
@given(affines(), st.tuples(corner, corner, corner), st.tuples(corner, corner, corner))
def test_a_crop_keeps_every_voxel_in_its_place(affine, lower, upper):
    volume = numbered(affine)
    crop = volume.crop(lower, upper)
    inside = np.ones(SHAPE, bool)
    for axis, (low, high) in enumerate(zip(lower, upper, strict=True)):
        index = np.arange(SHAPE[axis]).reshape([-1 if n == axis else 1 for n in range(3)])
        inside &= (index >= low) & (index < high)
    np.testing.assert_array_equal(crop.voxels.ravel(), volume.voxels[inside])
    if crop.voxels.size:
        expected = where_each_voxel_is(volume)[volume.voxels[inside]]
        np.testing.assert_allclose(crop.to_points(np.argwhere(np.ones(crop.shape, bool))), expected, atol=1e-8)


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_a_volume_goes_through_an_image_and_back(axes, signs):
    volume = numbered(affine_of(signed_permutation(axes, signs)))
    back = from_image(to_image(volume))
    np.testing.assert_array_equal(back.voxels, volume.voxels)
    np.testing.assert_allclose(back.affine, volume.affine)


def test_an_image_places_a_voxel_where_the_volume_does():
    volume = numbered(affine_of(Rotation.from_euler("xyz", (20, -30, 70), degrees=True).as_matrix()))
    np.testing.assert_allclose(
        to_image(volume).TransformIndexToPhysicalPoint((3, 1, 2)), volume.to_points([2, 1, 3]), atol=1e-9
    )


@pytest.mark.parametrize("affine", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.eye(3)])
def test_a_volume_without_a_place_can_not_be_made(affine):
    with pytest.raises(ValueError, match="affine"):
        CTVolume(np.zeros(SHAPE, np.int16), affine)


def test_a_volume_has_three_axes():
    with pytest.raises(ValueError, match="three axes"):
        CTVolume(np.zeros((3, 4), np.int16), np.eye(4))


def test_the_affine_can_not_be_changed_from_outside():
    affine = np.eye(4)
    volume = CTVolume(np.zeros(SHAPE, np.int16), affine)
    affine[0, 3] = 99
    assert volume.affine[0, 3] == 0
    with pytest.raises(ValueError, match="read-only"):
        volume.affine[0, 3] = 1


def test_a_window_maps_its_ends_to_nought_and_one():
    np.testing.assert_allclose(window(np.array([-2000, -200, 900, 2000, 5000]), -200, 2000), [0, 0, 0.5, 1, 1])
    assert window(np.array([100], np.int16), -200, 2000).dtype == np.float32
