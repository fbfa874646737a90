"""A bone's voxel grid on which shapes are joined and carved, and the signed distance that comes out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..neck import DISTANCE_SCALE, Bone
from ..shapes import REACH, Shape, smooth_maximum, smooth_minimum
from ..voxelise import PADDING, Grid

EMPTY = 20.0
# Pieces of fewer voxels than this are leftovers.
GRAIN = 12


class Sculpture:
    """Joins and carves shapes on a grid along LPS, in a frame of their own.

    lower, upper: corners (mm, own frame) of the bone's bounds. turn: rows are the frame's axes in LPS.
    center: the frame's origin in LPS mm. fold: shapes see |x|, so that both sides are made at once.
    wobble: moves the points [n, 3] (own frame, mm) before all shapes, for what is not symmetric.
    """

    def __init__(
        self,
        lower: np.ndarray,
        upper: np.ndarray,
        *,
        turn: np.ndarray,
        center: np.ndarray,
        spacing: float,
        fold: bool = True,
        wobble: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        lower, upper = np.asarray(lower, float), np.asarray(upper, float)
        corners = np.array([np.where(bits, upper, lower) for bits in np.ndindex(2, 2, 2)]) @ turn + center
        first, last = corners.min(axis=0) - PADDING, corners.max(axis=0) + PADDING
        if fold:
            # The grid itself must be symmetric for the bone to be.
            half = np.ceil(max(last[0] - center[0], center[0] - first[0]) / spacing - 0.5) + 0.5
            first[0], last[0] = center[0] - half * spacing, center[0] + half * spacing - 1e-6
        self.grid = Grid.around(first, last, spacing)
        z, y, x = self.grid.axes()
        world = np.stack(np.broadcast_arrays(x, y, z), axis=-1).reshape(-1, 3) - np.asarray(center)
        points = (world @ np.asarray(turn).T).astype(np.float32)
        if wobble is not None:
            points = wobble(points)
        if fold:
            points[:, 0] = np.abs(points[:, 0])
        self._points = np.ascontiguousarray(points)
        self._columns = np.ascontiguousarray(points.T)
        self.value = np.full(len(points), np.float32(EMPTY))

    def _near(self, shape: Shape) -> np.ndarray:
        near = np.ones(len(self._points), bool)
        for column, low, high in zip(self._columns, shape.lower - REACH, shape.upper + REACH, strict=True):
            near &= (column > low) & (column < high)
        return np.flatnonzero(near)

    def join(self, shape: Shape, blend: float = 1.5) -> None:
        """Add a shape; the seam is rounded over `blend` mm."""
        near = self._near(shape)
        self.value[near] = smooth_minimum(self.value[near], shape.distance(self._points[near]), blend)

    def carve(self, shape: Shape, blend: float = 0.6) -> None:
        """Take a shape away; the edge is rounded over `blend` mm."""
        near = self._near(shape)
        self.value[near] = smooth_maximum(self.value[near], -shape.distance(self._points[near]), blend)

    def keep(self, shape: Shape, blend: float = 0.6) -> None:
        """Take everything outside an unbounded shape away."""
        self.value = smooth_maximum(self.value, shape.distance(self._points), blend)

    def distance(self) -> np.ndarray:
        """Signed distance in mm, float32 [z, y, x], to the surface that the shapes describe.

        Joined shapes overstate depth at their seams and understate it inside each other, so depth is measured
        again on the grid; within a voxel of the surface the shapes themselves, over their slope, are finer.
        """
        from scipy import ndimage

        spacing = self.grid.spacing
        value = self.value.reshape(self.grid.shape)
        slope = np.sqrt(sum(part * part for part in np.gradient(value, spacing)))
        fine = value / np.clip(slope, 0.5, 1.5)
        inside = value < 0
        depth = np.where(inside, 0.5 - ndimage.distance_transform_edt(inside), np.maximum(value / spacing, 0))
        share = np.clip(np.abs(depth) - 1, 0, 1)
        return np.where(inside, fine + share * (depth * spacing - fine), fine + share * (value - fine)).astype(
            np.float32
        )

    def bone(self, name: str, label: int, segment: str) -> Bone:
        """The sculpted bone as the rest of the simulation keeps it."""
        from scipy import ndimage

        steps = np.clip(np.rint(self.distance() * DISTANCE_SCALE), -126, 126).astype(np.int8)
        pieces, count = ndimage.label(steps < 0)
        if count > 1:
            # Between two carvings, or at a thin tip, a grain can come loose.
            grains = (np.bincount(pieces.ravel()) < GRAIN)[pieces] & (pieces > 0)
            steps[grains] = round(self.grid.spacing * DISTANCE_SCALE / 2)
        return Bone(name, steps, self.grid.origin, self.grid.spacing, label, segment)
