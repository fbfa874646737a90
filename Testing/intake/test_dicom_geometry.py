"""Gantry tilt, uneven and missing slices: what is in the scan ends where it was in the patient."""

from __future__ import annotations

import numpy as np
import pytest
from intake.made_dicom import head, write_series
from neckfrac.errors import InputError
from neckfrac.intake.dicom_geometry import stack_geometry, upright
from neckfrac.intake.study import read_study
from neckfrac.progress import Progress
from neckfrac.volume import CTVolume

CENTER = np.array([12.0, 9.0, 100.0])  # mm, LPS: of the object that is scanned


def tilted_orientation(degrees: float) -> tuple[float, ...]:
    angle = np.radians(degrees)
    return (1, 0, 0, 0, float(np.cos(angle)), float(-np.sin(angle)))


def scan(places: np.ndarray, orientation, spacing, shape) -> np.ndarray:
    """HU [z, y, x] of a soft-edged ball of 9 mm radius at CENTER in air, tissue with a core of bone, as seen by slices
    at `places`."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    y, x = np.meshgrid(np.arange(shape[0]) * spacing[0], np.arange(shape[1]) * spacing[1], indexing="ij")
    points = places[:, None, None] + y[..., None] * column + x[..., None] * row
    distance = np.linalg.norm(points - CENTER, axis=-1)
    return np.rint(-1000 + 1100 * np.clip(9.5 - distance, 0, 1) + 400 * np.clip(4 - distance, 0, 1)).astype(np.int16)


def ball_position(volume: CTVolume) -> tuple[np.ndarray, np.ndarray]:
    """Centroid (mm, LPS) of the ball and its extent along the patient's axes."""
    weights = volume.voxels.astype(float) + 1000
    weights[weights < 100] = 0
    points = volume.to_points(np.argwhere(weights > 0))
    centroid = np.average(points, axis=0, weights=weights[weights > 0])
    inside = volume.to_points(np.argwhere(weights > 1000))
    return centroid, inside.max(axis=0) - inside.min(axis=0)


@pytest.mark.parametrize("degrees", [-25, -7, 18.5])
@pytest.mark.parametrize("gaps", [np.full(40, 1.5), np.r_[np.full(10, 1.0), np.full(12, 2.0), 4.0, np.full(6, 2.0)]])
def test_a_tilted_scan_is_set_upright_with_everything_in_its_place(tmp_path, degrees, gaps):
    orientation, spacing, shape = tilted_orientation(degrees), (0.6, 0.5), (90, 100)
    table = np.r_[0, np.cumsum(gaps)]
    first = CENTER - (25, 27, table[-1] / 2)
    places = first + table[:, None] * (0, 0, 1)  # the table moves along the patient, the slices lean
    hu = scan(places, orientation, spacing, shape)
    write_series(tmp_path, hu, orientation=orientation, spacing=(1, *spacing), positions=places)
    study = read_study(tmp_path)
    assert any(f"gantry tilt {abs(degrees):.1f}" in warning for warning in map(str, study.warnings))
    volume = study.volume
    np.testing.assert_allclose(volume.directions.T @ volume.directions, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(volume.directions[:, 2], np.cross(orientation[:3], orientation[3:]), atol=1e-6)
    centroid, extent = ball_position(volume)
    assert np.abs(centroid - CENTER).max() < 0.25  # mm; half of the smallest voxel edge
    assert np.abs(extent - 18).max() < 3.0  # a shear of 20 degrees would stretch it by 6 mm


def test_a_tilted_scan_is_never_cut_off(tmp_path):
    """The upright grid holds every slice whole, so each voxel of the first and last is in it."""
    orientation, hu = tilted_orientation(20), head()
    places = np.arange(26)[:, None] * np.array([0, 0, 2.5])
    write_series(tmp_path, hu, orientation=orientation, positions=places)
    volume = read_study(tmp_path).volume
    assert volume.shape[1] > hu.shape[1] + 20
    for number in (0, 25):
        corner = places[number] + 15 * 0.8 * np.array(orientation[3:])
        index = volume.to_indices(np.array([places[number], corner]))
        assert (index > -0.01).all() and (index < np.array(volume.shape) - 0.99).all()


def test_even_slices_of_a_tilted_scan_are_not_mixed_with_their_neighbours(tmp_path):
    """Each keeps its own values, moved in its plane only."""
    orientation = tilted_orientation(15)
    hu = np.empty((26, 16, 20), np.int16)
    hu[:] = (np.arange(26) * 50 - 400)[:, None, None]
    hu[0, 0, 0] = -1000
    write_series(tmp_path, hu, orientation=orientation, positions=np.arange(26)[:, None] * np.array([0, 0, 2.5]))
    voxels = read_study(tmp_path).volume.voxels
    assert len(voxels) == 26
    for number in range(1, 26):
        assert np.median(voxels[number][voxels[number] > -600]) == number * 50 - 400


def test_an_oblique_scan_without_shear_is_not_resampled(tmp_path):
    hu, orientation = head(), tilted_orientation(20)
    write_series(tmp_path, hu, orientation=orientation)
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, hu)
    assert study.warnings == ()


def test_missing_slices_are_filled_in_between_and_said(tmp_path):
    hu = np.repeat(np.arange(30, dtype=np.int16)[:, None, None] * 40 - 200, 16, axis=1).repeat(20, axis=2)
    hu[:, 0] = -1000
    kept = np.array([k for k in range(30) if k not in (7, 15, 16)])
    places = np.arange(30)[:, None] * np.array([0, 0, 2.5])
    write_series(tmp_path, hu[kept], positions=places[kept])
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, hu)  # the ramp is linear, so that filling in is exact
    assert any("2.50 to 7.50 mm" in warning and "every 2.50 mm" in warning for warning in map(str, study.warnings))


def test_finely_spaced_slices_stay_fine_beside_a_coarse_part():
    """A neck at 1 mm below a head at 5 mm is resampled at 1 mm."""
    distances = np.r_[np.arange(40), 39 + 5 * np.arange(1, 21)]
    geometry = stack_geometry(distances[:, None] * (0.0, 0, 1), (1, 0, 0, 0, 1, 0), (1, 1), ["slice"] * 60)
    assert geometry.step == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize(
    ("usual", "gap", "refused"),
    [(1.0, 4.9, False), (1.0, 5.2, True), (2.5, 7.4, False), (2.5, 7.7, True), (5.0, 10.0, False), (5.0, 10.2, True)],
)
def test_gaps_are_bridged_up_to_the_stated_limit_and_refused_beyond(tmp_path, usual, gap, refused):
    distances = np.r_[np.arange(20) * usual, 19 * usual + gap + np.arange(20) * usual]
    write_series(tmp_path, head((40, 8, 9)), positions=distances[:, None] * np.array([0.0, 0, 1]))
    if refused:
        with pytest.raises(InputError, match=rf"{gap:.1f} mm are missing.*image021\.dcm and image020\.dcm"):
            read_study(tmp_path)
    else:
        assert read_study(tmp_path).volume.spacing[0] == pytest.approx(usual, rel=0.05)


def test_rounded_positions_are_not_taken_for_uneven_slices(tmp_path):
    hu = head()
    places = np.round(np.arange(26) * 2.4378, 1)[:, None] * np.array([0, 0, 1.0])
    write_series(tmp_path, hu, positions=places)
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, hu)
    assert study.warnings == ()


def test_a_sheared_affine_is_set_upright():
    places = CENTER - (25, 27, 30) + np.arange(41)[:, None] * np.array([0, 0, 1.5])
    orientation = tilted_orientation(18)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = 0.5 * np.array(orientation[:3]), 0.6 * np.array(orientation[3:])
    affine[:3, 2], affine[:3, 3] = (0, 0, 1.5), places[0]
    volume, warnings = upright(CTVolume(scan(places, orientation, (0.6, 0.5), (90, 100)), affine), Progress())
    assert "gantry tilt 18.0" in warnings[0].text
    assert np.abs(ball_position(volume)[0] - CENTER).max() < 0.25


def test_slices_that_are_missing_leave_a_gap_and_even_ones_none():
    from neckfrac.intake.dicom_geometry import stack_geometry

    heights = [0.0, 1.0, 2.0, 5.0, 6.0, 7.0, 8.0]
    for places, expected in ((heights, [(2.5, 2.0)]), (np.arange(7.0), [])):
        positions = np.array([[10.0, 20.0, 30.0 + z] for z in places])
        geometry = stack_geometry(positions, (1, 0, 0, 0, 1, 0), (0.5, 0.5), [str(z) for z in places])
        assert [(gap.point[2] - 30.0, gap.width) for gap in geometry.gaps] == expected
    gap = stack_geometry(
        np.array([[10.0, 20.0, 30.0 + z] for z in heights]), (1, 0, 0, 0, 1, 0), (0.5, 0.5), list(map(str, heights))
    ).gaps[0]
    assert gap.holds([[0, 0, 33.0], [5, 5, 34.0], [0, 0, 32.0], [0, 0, 35.0]]).tolist() == [True, True, False, False]
