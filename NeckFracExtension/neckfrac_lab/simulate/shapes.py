"""Signed-distance shapes and a voxel grid to sculpt a bone from them.

Distances are in mm, negative inside. Points are arrays [n, 3] (x left, y posterior, z superior) in the
frame of whatever is being sculpted; most bones fold x to |x|, so one shape makes a left and a right part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Vector = Sequence[float]
FAR = 1.0e3
# A shape is evaluated this far (mm) around its bounds; beyond, nothing can blend with it.
REACH = 8.0


@dataclass(frozen=True)
class Shape:
    """A signed distance with the box outside which nothing of the shape lies.

    distance: function of points float32 [n, 3] in mm to float32 [n]. lower, upper: corners of the box.
    """

    distance: Callable[[np.ndarray], np.ndarray]
    lower: np.ndarray
    upper: np.ndarray


def smooth_minimum(first: np.ndarray, second: np.ndarray, blend: float) -> np.ndarray:
    """The polynomial smooth minimum (Quilez 2013): a union whose seam is rounded over `blend` mm."""
    if blend <= 0:
        return np.minimum(first, second)
    share = np.clip(0.5 + 0.5 * (second - first) / blend, 0, 1)
    return second + share * (first - second) - blend * share * (1 - share)


def smooth_maximum(first: np.ndarray, second: np.ndarray, blend: float) -> np.ndarray:
    """The intersection that goes with `smooth_minimum`."""
    return -smooth_minimum(-first, -second, blend)


def _scaled_distance(scaled: Sequence[np.ndarray], radii: Sequence[np.ndarray | float]) -> np.ndarray:
    """First-order distance to an ellipsoid; scaled: the coordinates [n] along each axis over its radius."""
    level = np.sqrt(sum(part * part for part in scaled))
    steepness = np.sqrt(sum((part / radius) ** 2 for part, radius in zip(scaled, radii, strict=True)))
    smallest = radii[0]
    for radius in radii[1:]:
        smallest = np.minimum(smallest, radius)
    return np.where(level > 1e-3, level * (level - 1) / np.maximum(steepness, 1e-6), smallest * (level - 1))


def ellipsoid(center: Vector, radii: Vector, turn: np.ndarray | None = None) -> Shape:
    """An ellipsoid; `turn` is a 3x3 matrix whose rows are its axes (default x, y, z)."""
    middle, radius = np.asarray(center, np.float32), np.asarray(radii, np.float32)
    rows = np.eye(3, dtype=np.float32) if turn is None else np.asarray(turn, np.float32)
    extent = np.sqrt(((rows * radius[:, None]) ** 2).sum(axis=0))

    def distance(points: np.ndarray) -> np.ndarray:
        return _scaled_distance(rows @ (points - middle).T / radius[:, None], radius)

    return Shape(distance, middle - extent, middle + extent)


def box(center: Vector, half: Vector, rounding: float = 1.0, turn: np.ndarray | None = None) -> Shape:
    """A box with rounded edges; `half` are its outer half sizes along the rows of `turn`."""
    middle, size = np.asarray(center, np.float32), np.asarray(half, np.float32) - np.float32(rounding)
    rows = np.eye(3, dtype=np.float32) if turn is None else np.asarray(turn, np.float32)

    def distance(points: np.ndarray) -> np.ndarray:
        away = [np.abs(part) - edge for part, edge in zip(rows @ (points - middle).T, size, strict=True)]
        outer = np.sqrt(sum(np.maximum(part, 0) ** 2 for part in away))
        return outer + np.minimum(np.maximum(np.maximum(away[0], away[1]), away[2]), 0) - rounding

    extent = np.abs(rows * np.asarray(half, np.float32)[:, None]).sum(axis=0)
    return Shape(distance, middle - extent, middle + extent)


def half_space(point: Vector, normal: Vector) -> Shape:
    """Everything behind the plane through `point` with outward `normal`; unbounded."""
    where, unit = np.asarray(point, np.float32), np.asarray(normal, np.float32)
    unit = unit / np.linalg.norm(unit)
    everywhere = np.full(3, FAR, np.float32)
    return Shape(lambda points: (points - where) @ unit, -everywhere, everywhere)


def curve(points: Sequence[Vector], count: int = 12) -> np.ndarray:
    """`count` points along a smooth curve through `points` (any columns), spaced by chord length."""
    from scipy.interpolate import CubicSpline

    knots = np.asarray(points, float)
    if len(knots) < 3:
        return np.linspace(knots[0], knots[-1], max(count, 2))
    chord = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots[:, :3], axis=0), axis=1))])
    return CubicSpline(chord, knots, bc_type="natural")(np.linspace(0, chord[-1], count))


def sweep(points: Sequence[Vector], across: Vector = (0, 0, 1), count: int = 0, cap: float = 1.0) -> Shape:
    """An elliptical section swept along a path.

    points: rows (x, y, z, half size along `across`, half size along the other direction), mm. across: the
    direction, made perpendicular to the path, in which the first half size is measured. count: resample the
    path as a smooth curve with so many points (0: straight pieces between the given ones). cap: how far the
    rounded ends reach, in units of the smaller half size.
    """
    rows = np.asarray(points, float)
    path = (curve(rows, count) if count else rows).astype(np.float32)
    up = np.asarray(across, np.float32)
    pieces = []
    for start, end in zip(path[:-1], path[1:], strict=True):
        along = end[:3] - start[:3]
        length = float(np.linalg.norm(along))
        if length < 1e-6:
            continue
        along = along / length
        first = up - along * (up @ along)
        first = first / np.linalg.norm(first)
        pieces.append((start, end, np.stack([along, first, np.cross(along, first)]), np.float32(length)))

    def distance(where: np.ndarray) -> np.ndarray:
        best = np.full(len(where), np.float32(FAR))
        for start, end, frame, length in pieces:
            run, first, second = frame @ (where - start[:3]).T
            share = np.clip(run / length, 0, 1)
            size = [start[axis] + share * (end[axis] - start[axis]) for axis in (3, 4)]
            tip = cap * np.minimum(size[0], size[1])
            scaled = (first / size[0], second / size[1], (run - share * length) / tip)
            np.minimum(best, _scaled_distance(scaled, (*size, tip)), out=best)
        return best

    extent = path[:, 3:5].max(axis=1, keepdims=True) * max(cap, 1.0)
    return Shape(distance, (path[:, :3] - extent).min(axis=0), (path[:, :3] + extent).max(axis=0))


def rod(start: Vector, end: Vector, radius: float, end_radius: float | None = None) -> Shape:
    """A round rod between two points whose radius may taper."""
    last = end_radius or radius
    return sweep([(*start, radius, radius), (*end, last, last)], across=_aside(start, end))


def _aside(start: Vector, end: Vector) -> np.ndarray:
    """An axis that does not run along the line from start to end."""
    along = np.abs(np.asarray(end, float) - np.asarray(start, float))
    return np.eye(3)[int(np.argmin(along))]


def meet(shape: Shape, *others: Shape, blend: float = 1.0) -> Shape:
    """What `shape` has in common with all the others, edges rounded over `blend` mm."""

    def distance(points: np.ndarray) -> np.ndarray:
        value = shape.distance(points)
        for other in others:
            value = smooth_maximum(value, other.distance(points), blend)
        return value

    return Shape(distance, shape.lower, shape.upper)


def outside(shape: Shape) -> Shape:
    """All that is not in `shape`."""
    everywhere = np.full(3, FAR, np.float32)
    return Shape(lambda points: -shape.distance(points), -everywhere, everywhere)


def placed(shape: Shape, turn: np.ndarray, center: Vector) -> Shape:
    """A shape given in its own frame (rows of `turn` are that frame's axes, `center` its origin) in the outer frame."""
    rows, middle = np.asarray(turn, np.float32), np.asarray(center, np.float32)
    corners = np.array([np.where(bits, shape.upper, shape.lower) for bits in np.ndindex(2, 2, 2)]) @ rows + middle
    return Shape(lambda points: shape.distance((points - middle) @ rows.T), corners.min(axis=0), corners.max(axis=0))


def turned(*, pitch: float = 0.0, roll: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    """A 3x3 matrix whose rows are x, y, z axes turned by degrees.

    pitch tips the upper end forward (to -y), roll tips it to the left (+x), yaw turns the front (-y) to the
    right (-x).
    """
    p, r, w = np.radians([pitch, roll, yaw])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    about_y = np.array([[np.cos(r), 0, -np.sin(r)], [0, 1, 0], [np.sin(r), 0, np.cos(r)]])
    about_z = np.array([[np.cos(w), -np.sin(w), 0], [np.sin(w), np.cos(w), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
