"""Each vertebra's own axes, fitted from its body and canal: not from the scanner's axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...anatomy import LEVEL_BY_NAME, LEVEL_NAMES
from ..grids import Lattice
from .surface import Surface

CELL = 0.6  # mm of the map that a vertebra is looked at along its long axis
THIN = 2  # every which voxel is looked at: enough for a map of outlines, and half the time
LEAST_CANAL = 60.0  # mm2 of the canal, looking along it
LEAST_ML = 1.0  # of a level's mask, below which nothing is measured of it


@dataclass(frozen=True, eq=False)
class VertebraAxes:
    """A vertebra's own frame.

    center: LPS mm, of the body (of C1: of the ring's hole). rows: 3x3, unit vectors left, posterior, superior.
    canal: mm behind `center` of the canal's middle. half_height: mm of the body (of C1: of the ring).
    """

    center: np.ndarray
    rows: np.ndarray
    canal: float
    half_height: float

    def world(self, local: np.ndarray) -> np.ndarray:
        """Points [..., 3] (mm left, posterior, superior of the centre) in LPS mm."""
        return np.asarray(local, float) @ self.rows + self.center

    def local(self, points: np.ndarray) -> np.ndarray:
        """LPS mm [..., 3] in the vertebra's own axes."""
        return (np.asarray(points, float) - self.center) @ self.rows.T


def voxels_of(labels: np.ndarray, lattice: Lattice) -> dict[str, np.ndarray]:
    """The voxels' centres (LPS mm, [n, 3]) of each level that is large enough to be measured."""
    boxes, result = ndimage.find_objects(labels, max_label=len(LEVEL_NAMES)), {}
    for name, box in zip(LEVEL_NAMES, boxes, strict=True):
        if box is None:
            continue
        index = np.argwhere(labels[box] == LEVEL_BY_NAME[name].label)
        if len(index) * float(np.prod(lattice.spacing)) >= 1000 * LEAST_ML:
            result[name] = lattice.to_points(index + [part.start for part in box])
    return result


def fit_axes(voxels: dict[str, np.ndarray], surface: Surface) -> dict[str, VertebraAxes]:
    """The axes of each level whose body and canal can be told."""
    centers = {name: points.mean(axis=0) for name, points in voxels.items()}
    names, result = list(voxels), {}
    for n, name in enumerate(names):
        above, below = names[max(n - 1, 0)], names[min(n + 1, len(names) - 1)]
        up = _unit(centers[above] - centers[below]) if above != below else np.array([0.0, 0.0, 1.0])
        found = _atlas(voxels[name], up) if name == "C1" else _rough(voxels[name], up, name == "C2")
        if found is not None and name not in ("C1", "C2"):
            found = to_endplates(found, name, surface)
        if found is not None:
            result[name] = found
    return result


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _rows(posterior: np.ndarray, superior: np.ndarray) -> np.ndarray:
    """Rows left, posterior, superior: `superior` kept, `posterior` made perpendicular to it."""
    superior = _unit(superior)
    posterior = _unit(posterior - (posterior @ superior) * superior)
    return np.array([np.cross(posterior, superior), posterior, superior])


def _canal(flat: np.ndarray, closing: int) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """(canal's middle (x, y), thickness map in mm [y, x], its first corner (x, y)), looking along the third axis.

    flat: a THINth of the voxels' centres [n, 3] in axes of which the third runs along the vertebra.
    """
    corner = flat[:, :2].min(axis=0) - 3.0
    cells = np.floor((flat[:, :2] - corner) / CELL).astype(int)
    shape = cells.max(axis=0) + 6
    # Voxels are 0.6 x 0.6 x 1.0 mm: each cell counts as many millimetres of bone as it has voxels.
    counts = np.bincount(cells[:, 1] * shape[0] + cells[:, 0], minlength=int(shape.prod())).reshape(shape[::-1])
    thick = THIN * ndimage.uniform_filter(counts.astype(np.float32), 3)
    solid = thick > 1.2
    if closing:
        solid = ndimage.binary_closing(solid, iterations=closing)
    holes, count = ndimage.label(ndimage.binary_fill_holes(solid) & ~solid)
    if not count:
        return None
    room = ndimage.distance_transform_edt(holes > 0)
    y, x = np.unravel_index(int(np.argmax(room)), room.shape)
    hole = holes == holes[y, x]
    if hole.sum() * CELL**2 < LEAST_CANAL:
        return None
    middle = np.array([place.mean() for place in np.nonzero(hole)])[::-1]
    return (middle + 0.5) * CELL + corner, thick, corner


def _rough(points: np.ndarray, up: np.ndarray, axis: bool) -> VertebraAxes | None:
    """C2 to C7 from the outline alone. axis: of C2, whose long axis runs through the dens."""
    posterior, points = np.array([0.0, 1.0, 0.0]), points[::THIN]
    for turn in range(3):
        rows = _rows(posterior, up)
        flat = points @ rows.T
        found = next((hole for closing in (0, 2, 4) if (hole := _canal(flat, closing))), None)
        if found is None:
            return None
        canal, thick, corner = found
        y, x = np.mgrid[: thick.shape[0], : thick.shape[1]]
        offset = (np.stack([x, y], axis=-1) + 0.5) * CELL + corner - canal
        ahead = (offset[..., 1] < -6) & (np.abs(offset[..., 0]) < np.minimum(-offset[..., 1], 11.0))
        ahead &= np.hypot(*np.moveaxis(offset, -1, 0)) < 28
        if not ahead.any():
            return None
        body = ahead & (thick > 0.6 * np.quantile(thick[ahead], 0.95))
        middle = offset[body].mean(axis=0)
        height, aside = flat[:, 2], np.hypot(*(flat[:, :2] - canal - middle).T)
        near = aside < 5.0
        if near.sum() < 25:
            return None
        low, high = np.quantile(height[near], [0.01, 0.99])
        if axis:
            # The dens' axis: from the body's middle to the middle of what stands high above it.
            column = aside < 9.0
            lower = flat[column & (height > low + 4) & (height < low + 11)]
            upper = flat[column & (height > high - 9) & (height < high - 2)]
            if len(lower) and len(upper) and high - low > 22:
                line = (upper.mean(axis=0) - lower.mean(axis=0)) @ rows
                if turn < 2 and line @ up > 0.8 * np.linalg.norm(line):
                    up = _unit(line - (line @ rows[0]) * rows[0])
            low, high = low, low + 18.0
        posterior = -(middle @ rows[:2])
        if turn == 2:
            center = np.array([*(canal + middle), (low + high) / 2]) @ rows
            rows = _rows(posterior, up)
            return VertebraAxes(center, rows, float(np.linalg.norm(middle)), float(high - low) / 2)
    return None


def _atlas(points: np.ndarray, up: np.ndarray) -> VertebraAxes | None:
    """C1: a flat ring, widest from side to side."""
    middle = points.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov((points - middle).T))
    superior, left = vectors[:, 0], vectors[:, 2]
    superior = superior * np.sign(superior @ up)
    left = left * np.sign(left[0])
    if superior @ up < 0.7 or left[0] < 0.5:
        superior, left = up, np.array([1.0, 0.0, 0.0])
    rows = _rows(np.cross(superior, left), superior)
    flat = points[::THIN] @ rows.T
    found = next((hole for closing in (0, 2, 4) if (hole := _canal(flat, closing))), None)
    if found is None:
        return None
    height = flat[:, 2]
    center = np.array([*found[0], np.median(height)]) @ rows
    low, high = np.quantile(height, [0.02, 0.98])
    return VertebraAxes(center, rows, 0.0, float(high - low) / 2)


def to_endplates(axes: VertebraAxes, level: str, surface: Surface) -> VertebraAxes | None:
    """The axes turned until both endplates lie across them, their centre half-way between the endplates."""
    x, y = (part.ravel() for part in np.meshgrid([-4.0, -2.0, 0.0, 2.0, 4.0], [-4.5, -1.5, 1.5, 4.5]))
    flat = np.stack([x, y, np.zeros_like(x)], axis=1)
    design = np.stack([x, y, np.ones_like(x)], axis=1)
    for _ in range(2):
        starts = axes.world(flat)
        top = surface.exits(level, starts, axes.rows[2], axes.half_height + 9)
        bottom = -surface.exits(level, starts, -axes.rows[2], axes.half_height + 9)
        planes = [_plane(design, end) for end in (top, bottom)]
        if any(plane is None for plane in planes):
            return None
        (a, b, c), (d, e, f) = planes
        slope = np.array([-(a + d) / 2, -(b + e) / 2, 1.0])
        center = axes.world(np.array([0.0, 0.0, (c + f) / 2]))
        axes = VertebraAxes(center, _rows(axes.rows[1], slope @ axes.rows), axes.canal, (c - f) / 2)
    return axes if axes.half_height > 2.5 else None


def _plane(design: np.ndarray, height: np.ndarray) -> np.ndarray | None:
    """Slopes and height of the plane through most of the points; None when too few are known."""
    known = np.isfinite(height)
    for _ in range(2):
        if known.sum() < 10:
            return None
        plane = np.linalg.lstsq(design[known], height[known], rcond=None)[0]
        off = np.abs(design @ plane - height)
        known = np.isfinite(height) & (off < max(2.5 * float(np.nanmedian(off)), 0.8))
    return plane
