import numpy as np
import pytest
from neckfrac.pipeline.grids import Lattice, coarse, onto, place_in, resample, seen_by, shrink
from neckfrac.volume import CTVolume


def ball(shape=(40, 60, 50), spacing=(1.0, 0.5, 0.7), center=(12.0, 9.0, 21.0), tilt=0.0):
    """A bright ball of 5 mm about `center` (LPS mm) in a volume whose axes are turned by `tilt` degrees."""
    c, s = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag(spacing[::-1])
    volume = CTVolume(np.zeros(shape, np.int16), affine)
    points = volume.to_points(np.moveaxis(np.indices(shape), 0, -1))
    volume.voxels[...] = np.where(np.linalg.norm(points - center, axis=-1) < 5, 1000, -1000)
    return volume


def centroid(voxels, to_points):
    weights = voxels.astype(float) + 1024
    weights[voxels < 0] = 0
    indices = np.moveaxis(np.indices(voxels.shape), 0, -1)
    return to_points((indices * weights[..., None]).sum(axis=(0, 1, 2)) / weights.sum())


@pytest.mark.parametrize("factors", [(1, 1, 1), (2, 2, 2), (1, 3, 2), (2, 4, 1)])
def test_shrinking_keeps_things_where_they_are(factors):
    small = shrink(ball(), factors)
    assert np.linalg.norm(centroid(small.voxels, small.to_points) - (12, 9, 21)) < 0.3


@pytest.mark.parametrize("tilt", [0.0, 20.0])
def test_the_coarse_grid_shows_things_where_they_are(tilt):
    c, s = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    center = np.array([12 * c - 14 * s, 12 * s + 14 * c, 21.0])
    voxels, lattice = coarse(ball(center=center, tilt=tilt))
    assert lattice.spacing == (2.0, 2.0, 2.0)
    assert np.linalg.norm(centroid(voxels, lattice.to_points) - center) < 0.4


def test_what_goes_onto_a_volume_comes_back_to_its_place():
    volume = ball()
    lattice = Lattice.around(np.array([4.0, 2.0, 12.0]), np.array([20.0, 18.0, 30.0]), (1.0, 0.6, 0.6))
    fine = resample(volume, lattice)
    target = seen_by(lattice, volume)
    back = onto((fine > 0).astype(np.uint8) * 200, lattice, target)
    expected = volume.voxels[place_in(volume, target)] > 0
    assert 2 * ((back >= 100) & expected).sum() / ((back >= 100).sum() + expected.sum()) > 0.95


def test_a_lattice_outside_the_volume_is_air():
    lattice = Lattice((3, 4, 5), (1.0, 1.0, 1.0), (500.0, 500.0, 500.0))
    assert (resample(ball(), lattice) == -1024).all()


def test_a_line_of_one_voxel_is_still_there_half_a_voxel_away():
    voxels = np.full((12, 12, 12), 400, np.int16)
    voxels[:, 6] = 100
    volume = CTVolume(voxels, np.eye(4))
    between = Lattice((6, 6, 6), (1.0, 1.0, 1.0), (3.0, 3.5, 3.0))
    blurred, kept = (resample(volume, between, sharp=sharp)[3].min(axis=0)[3] for sharp in (False, True))
    assert blurred == 250 and 150 < kept < 225
    onto_itself = resample(volume, Lattice((12, 12, 12), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)), sharp=True)
    assert np.abs(onto_itself - voxels).max() <= 1


def test_sharp_air_and_metal_do_not_wrap_round_and_few_slices_do_not_fail():
    voxels = np.full((12, 12, 12), -32768, np.int16)
    voxels[:, :, 6:] = 32767
    between = Lattice((8, 8, 20), (1.0, 1.0, 0.5), (0.0, 2.0, 2.0))
    found = resample(CTVolume(voxels, np.eye(4)), between, sharp=True)
    assert found[..., :6].max() < 0 and found[..., -6:].min() > 0
    voxels[:] = np.where(voxels > 0, 3000, -1000)
    found = resample(CTVolume(voxels, np.eye(4)), between, sharp=True, fill=-1000)
    assert found.min() == -1000 and found.max() == 3000, "no swinging beyond what is there"
    thin = resample(CTVolume(voxels[:2], np.eye(4)), Lattice((1, 4, 4), (1.0, 1.0, 1.0), (2.0, 2.0, 0.5)), sharp=True)
    assert (thin == -1000).all()
