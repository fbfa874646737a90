"""The two working grids of the pipeline, both with axes along LPS: coarse to locate, fine to segment and classify."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..volume import CTVolume, to_image

AIR = -1024
COARSE_SPACING = 2.0  # mm, isotropic
# mm along z, y, x. 0.6 mm is what a 512-pixel neck scan of 300 mm holds; thinner slices than 1 mm
# mostly add noise for a 2.5D network that sees the neighbours anyway.
FINE_SPACING = (1.0, 0.6, 0.6)


@dataclass(frozen=True)
class Lattice:
    """A grid with axes along LPS. shape and spacing [z, y, x]; origin (x, y, z): voxel (0, 0, 0), mm, LPS."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]

    @classmethod
    def around(cls, lower: np.ndarray, upper: np.ndarray, spacing: tuple[float, float, float]) -> Lattice:
        """The lattice whose voxel centres span the box from lower to upper (x, y, z; mm, LPS)."""
        extent = (np.asarray(upper) - np.asarray(lower))[::-1]
        shape = tuple(int(n) for n in np.maximum(np.floor(extent / np.array(spacing) + 1e-6) + 1, 1))
        return cls(shape, tuple(map(float, spacing)), tuple(float(value) for value in lower))

    @property
    def affine(self) -> np.ndarray:
        affine = np.diag([*self.spacing[::-1], 1.0])
        affine[:3, 3] = self.origin
        return affine

    def to_indices(self, points: np.ndarray) -> np.ndarray:
        """LPS mm [..., (x, y, z)] to fractional indices [..., (z, y, x)]."""
        return ((np.asarray(points) - self.origin) / self.spacing[::-1])[..., ::-1]

    def to_points(self, indices: np.ndarray) -> np.ndarray:
        """Fractional indices [..., (z, y, x)] to LPS mm [..., (x, y, z)]."""
        return np.asarray(indices, dtype=float)[..., ::-1] * self.spacing[::-1] + self.origin


def bounds(volume: CTVolume) -> tuple[np.ndarray, np.ndarray]:
    """The box (x, y, z; mm, LPS) that holds the centres of all voxels."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in volume.shape], indexing="ij")).reshape(3, -1).T
    points = volume.to_points(corners)
    return points.min(axis=0), points.max(axis=0)


def shrink(volume: CTVolume, factors: tuple[int, int, int]) -> CTVolume:
    """Means over blocks of factors [z, y, x] voxels, so that resampling to a coarse grid does not alias.

    A slice of blocks at a time: never a float copy of the whole volume.
    """
    if factors == (1, 1, 1):
        return volume
    fz, fy, fx = factors
    nz, ny, nx = (max(n // f, 1) for n, f in zip(volume.shape, factors, strict=True))
    fz, fy, fx = (min(f, n) for f, n in zip((fz, fy, fx), volume.shape, strict=True))
    result = np.empty((nz, ny, nx), np.int16)
    for z in range(nz):
        block = volume.voxels[z * fz : (z + 1) * fz, : ny * fy, : nx * fx].astype(np.float32).mean(axis=0)
        result[z] = np.rint(block.reshape(ny, fy, nx, fx).mean(axis=(1, 3)))
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_points((np.array([fz, fy, fx]) - 1) / 2)
    affine[:3, :3] = volume.affine[:3, :3] * np.array([fx, fy, fz])
    return CTVolume(result, affine)


def resample(
    volume: CTVolume, lattice: Lattice, *, nearest: bool = False, sharp: bool = False, fill: float = AIR
) -> np.ndarray:
    """The volume's voxels on a lattice (linear, nearest, or sharp: cubic splines), `fill` outside; the dtype is kept.

    Half-way between voxels a linear mean blurs a fracture line that is a voxel wide; splines hardly do.
    """
    import SimpleITK as sitk

    part = seen_by(lattice, volume)  # only this is copied for SimpleITK
    if 0 in part.shape:
        return np.full(lattice.shape, fill, volume.voxels.dtype)
    splines = sharp and not nearest and min(part.shape) >= 4  # which they need along each axis
    image = sitk.Resample(
        to_image(part),
        tuple(int(n) for n in lattice.shape[::-1]),
        sitk.Transform(),
        sitk.sitkNearestNeighbor if nearest else sitk.sitkBSpline3 if splines else sitk.sitkLinear,
        lattice.origin,
        lattice.spacing[::-1],
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        float(fill),
    )
    array = sitk.GetArrayFromImage(image)
    if splines:
        # At the edges of air and metal splines swing beyond what is there.
        np.clip(array, min(fill, part.voxels.min()), max(fill, part.voxels.max()), out=array)
    return array


def coarse(volume: CTVolume, spacing: float = COARSE_SPACING) -> tuple[np.ndarray, Lattice]:
    """The whole canonical volume at `spacing` mm: int16 [z, y, x] and its lattice."""
    factors = tuple(int(f) for f in np.maximum(np.floor(spacing / volume.spacing + 1e-3), 1))
    small = shrink(volume, factors)
    lattice = Lattice.around(*bounds(small), (spacing,) * 3)
    return resample(small, lattice).astype(np.int16, copy=False), lattice


def onto(array: np.ndarray, lattice: Lattice, target: CTVolume, *, nearest: bool = False) -> np.ndarray:
    """An array on a lattice brought onto the target's voxels (linear, or nearest), 0 outside."""
    import SimpleITK as sitk

    image = to_image(CTVolume(array, lattice.affine))
    result = sitk.Resample(
        image,
        tuple(int(n) for n in target.shape[::-1]),
        sitk.Transform(),
        sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear,
        target.affine[:3, 3].tolist(),
        target.spacing[::-1].tolist(),
        target.directions.ravel().tolist(),
        0.0,
    )
    return sitk.GetArrayFromImage(result)


def seen_by(lattice: Lattice, volume: CTVolume) -> CTVolume:
    """The part of the volume that the lattice covers, as a view with its own affine."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in lattice.shape], indexing="ij")).reshape(3, -1).T
    indices = volume.to_indices(lattice.to_points(corners))
    return volume.crop(np.floor(indices.min(axis=0)) - 1, np.ceil(indices.max(axis=0)) + 2)


def place_in(volume: CTVolume, part: CTVolume) -> tuple[slice, ...]:
    """Where a part that `crop` cut lies in its volume's array."""
    lower = np.rint(volume.to_indices(part.to_points(np.zeros(3)))).astype(int)
    return tuple(slice(int(a), int(a) + n) for a, n in zip(lower, part.shape, strict=True))
