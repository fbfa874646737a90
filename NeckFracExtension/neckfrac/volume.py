"""A CT volume in one frame: HU voxels [z, y, x] with an affine to LPS millimetres."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Gap:
    """Where slices are missing: what lies there is interpolated, and no evidence.

    point: on the plane where it begins, LPS mm. normal: unit vector (LPS) across the slices. width: mm along it.
    """

    point: tuple[float, float, float]
    normal: tuple[float, float, float]
    width: float

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Which LPS points [..., 3] lie in it, bool [...]."""
        along = (np.asarray(points) - self.point) @ np.array(self.normal)
        return (along > 0) & (along < self.width)


@dataclass(frozen=True, eq=False)
class CTVolume:
    """HU voxels and where they lie in the patient.

    voxels: array [z, y, x] (k, j, i), int16 or float32, HU.
    affine: 4x4 float64; maps the column (i, j, k, 1) of a voxel's centre to (x, y, z, 1) in mm, LPS.
    """

    voxels: np.ndarray
    affine: np.ndarray

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if self.voxels.ndim != 3:
            raise ValueError(f"a CT volume has three axes, not {self.voxels.ndim}")
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise ValueError("the affine must be a finite, invertible 4x4 matrix")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along [z, y, x]."""
        return self.voxels.shape

    @cached_property
    def spacing(self) -> np.ndarray:
        """Spacing in mm along the array's axes [z, y, x]."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)[::-1]

    @cached_property
    def directions(self) -> np.ndarray:
        """3x3; columns are unit vectors (LPS) along i, j, k."""
        return self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)

    def to_points(self, indices: np.ndarray) -> np.ndarray:
        """Array indices [..., (z, y, x)] (may be fractional) to LPS mm [..., (x, y, z)]."""
        return np.asarray(indices, dtype=np.float64)[..., ::-1] @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_indices(self, points: np.ndarray) -> np.ndarray:
        """LPS mm [..., (x, y, z)] to fractional array indices [..., (z, y, x)]."""
        inverse = np.linalg.inv(self.affine)
        return (np.asarray(points, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3])[..., ::-1]

    def canonical(self) -> tuple[CTVolume, Reorientation]:
        """The same voxels with x nearest the patient's left, y posterior, z superior (views, no copy)."""
        reorientation = Reorientation.towards_lps(self.affine, self.shape)
        return CTVolume(reorientation.apply(self.voxels), reorientation.apply_affine(self.affine)), reorientation

    def crop(self, lower: np.ndarray, upper: np.ndarray) -> CTVolume:
        """The voxels with lower <= index < upper ([z, y, x], clipped to the volume), as a view."""
        lower = np.clip(np.asarray(lower, dtype=int), 0, self.shape)
        upper = np.clip(np.asarray(upper, dtype=int), lower, self.shape)
        affine = self.affine.copy()
        affine[:3, 3] = self.to_points(lower)
        return CTVolume(self.voxels[tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))], affine)


@dataclass(frozen=True)
class Reorientation:
    """A permutation and flips of the array's axes, and the way back.

    axes[n]: the source's array axis that becomes axis n. flips: the result's axes that are reversed.
    shape: the result's shape.
    """

    axes: tuple[int, int, int]
    flips: tuple[int, ...]
    shape: tuple[int, int, int]

    @classmethod
    def towards_lps(cls, affine: np.ndarray, shape: tuple[int, int, int]) -> Reorientation:
        """The reorientation after which each axis runs nearest its LPS axis."""
        from itertools import permutations

        directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        # permutation[w] is the index axis (i, j, k) that runs along world axis w; the best total
        # alignment decides, so that an oblique volume still uses each axis once.
        best = max(permutations(range(3)), key=lambda p: sum(abs(directions[w, p[w]]) for w in range(3)))
        axes = 2 - best[2], 2 - best[1], 2 - best[0]
        flips = tuple(2 - w for w in (2, 1, 0) if directions[w, best[w]] < 0)
        return cls(axes, flips, (shape[axes[0]], shape[axes[1]], shape[axes[2]]))

    def apply(self, array: np.ndarray) -> np.ndarray:
        """A view of `array` ([z, y, x] of the source) in the new order."""
        return np.flip(np.transpose(array, self.axes), self.flips)

    def undo(self, array: np.ndarray) -> np.ndarray:
        """A view of `array` (in the new order) back in the source's order."""
        return np.transpose(np.flip(array, self.flips), np.argsort(self.axes))

    def apply_affine(self, affine: np.ndarray) -> np.ndarray:
        """The affine that belongs to `apply`'s result."""
        result = np.eye(4)
        result[:3, 3] = affine[:3, 3]
        for new_axis, old_axis in enumerate(self.axes):
            column = affine[:3, 2 - old_axis]
            if new_axis in self.flips:
                result[:3, 3] += column * (self.shape[new_axis] - 1)
                column = -column
            result[:3, 2 - new_axis] = column
        return result


def to_image(volume: CTVolume):
    """The volume as a SimpleITK image (one copy). Directions must be orthonormal."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.voxels))
    image.SetSpacing(volume.spacing[::-1].tolist())
    image.SetOrigin(volume.affine[:3, 3].tolist())
    image.SetDirection(volume.directions.ravel().tolist())
    return image


def from_image(image) -> CTVolume:
    """A SimpleITK image as a CTVolume (one copy)."""
    import SimpleITK as sitk

    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return CTVolume(sitk.GetArrayFromImage(image), affine)


def window(hu: np.ndarray, lower: float, upper: float) -> np.ndarray:
    """HU clipped to [lower, upper] and scaled to 0...1 (float32)."""
    return (np.clip(hu, lower, upper).astype(np.float32) - lower) / (upper - lower)
