"""Shapes painted into a labelmap: meshes, tubes, ellipsoids, convex hulls."""

from __future__ import annotations

import numpy as np

from ..voxelise import Grid, Mesh, occupancy


def paint_mesh(array: np.ndarray, grid: Grid, mesh: Mesh, value: object) -> None:
    """Set the voxels of `array` [z, y, x] inside the mesh to `value`, looking only at the mesh's own box."""
    first = np.clip(np.floor(grid.index(mesh.vertices.min(0))).astype(int) - 1, 0, None)
    last = np.minimum(np.ceil(grid.index(mesh.vertices.max(0))).astype(int) + 2, grid.shape)
    if (last <= first).any():
        return
    origin = np.array(grid.origin) + grid.spacing * first[::-1]
    box = Grid(tuple(float(v) for v in origin), grid.spacing, tuple(int(n) for n in last - first))
    array[tuple(slice(a, b) for a, b in zip(first, last, strict=True))][occupancy(mesh, box)] = value


def paint_tube(array: np.ndarray, grid: Grid, points: np.ndarray, radii: np.ndarray, value: object) -> None:
    """Set the voxels within `radii` [n] (mm) of the curve through `points` [n, 3] (LPS mm) to `value`."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    fine = np.arange(0, length[-1], grid.spacing / 2)
    along = np.stack([np.interp(fine, length, points[:, axis]) for axis in range(3)], 1)
    for point, radius in zip(along, np.interp(fine, length, radii), strict=True):
        paint_ellipsoid(array, grid, point, (radius, radius, radius), value)


def paint_ellipsoid(array: np.ndarray, grid: Grid, center: np.ndarray, radii: tuple, value: object) -> None:
    """Set the voxels inside an ellipsoid (LPS mm; radii along x, y, z) to `value`."""
    middle, half = grid.index(np.asarray(center)), np.array(radii, float)[::-1] / grid.spacing
    first = np.clip(np.ceil(middle - half).astype(int), 0, None)
    last = np.minimum(np.floor(middle + half).astype(int) + 1, grid.shape)
    if (last <= first).any():
        return
    offsets = [(np.arange(a, b) - m) / h for a, b, m, h in zip(first, last, middle, half, strict=True)]
    inside = offsets[0][:, None, None] ** 2 + offsets[1][None, :, None] ** 2 + offsets[2][None, None, :] ** 2 <= 1
    array[tuple(slice(a, b) for a, b in zip(first, last, strict=True))][inside] = value


def inside_hull(points: np.ndarray, grid: Grid, margin: float) -> np.ndarray:
    """Voxels at least `margin` mm inside the convex hull of `points` [n, 3]: bool [z, y, x]."""
    from scipy.spatial import ConvexHull

    # One point per 8 mm cell is enough and keeps the hull's facets few.
    _, chosen = np.unique(np.round(points / 8), axis=0, return_index=True)
    planes = ConvexHull(points[chosen]).equations
    z, y, x = grid.axes()
    inside = np.ones(grid.shape, bool)
    first = np.clip(np.floor(grid.index(points.min(0))).astype(int), 0, None)
    last = np.minimum(np.ceil(grid.index(points.max(0))).astype(int) + 1, grid.shape)
    box = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    part = np.ones(tuple(last - first), bool)
    z, y, x = z[box[0]], y[:, box[1]], x[:, :, box[2]]
    for a, b, c, d in planes:
        part &= (a * x + b * y) + (c * z + d) < -margin
    inside[:] = False
    inside[box] = part
    return inside
