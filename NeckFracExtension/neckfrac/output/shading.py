"""The segmented vertebrae in three dimensions, with NumPy alone: no OpenGL, no display."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..findings import Analysis
from .planes import PALETTE, Plane, heat_colors

GRID = 0.6  # mm between the points at which the vertebrae are looked for
LIGHTS = ((np.array([-0.55, -0.45, -0.7]), 0.75), (np.array([0.7, -0.1, -0.7]), 0.25))  # down, right, away; share
AMBIENT = 0.22


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The vertebrae on a cubic grid along the patient's axes, [z, y, x] upwards, backwards, to the left.

    origin: LPS mm of voxel (0, 0, 0). bone: float32, 0...1, smooth. labels, heat: as in the analysis.
    """

    origin: np.ndarray
    bone: np.ndarray
    labels: np.ndarray
    heat: np.ndarray


def gather(analysis: Analysis) -> Surroundings | None:
    """The labelled part of the study on a cubic grid; None when there is no label."""
    volume, labels = analysis.volume, analysis.labels
    where = [np.flatnonzero(labels.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not len(where[0]):
        return None
    lower, upper = np.array([w[0] - 1 for w in where]), np.array([w[-1] + 1 for w in where])
    corners = volume.to_points(np.array(np.meshgrid(*zip(lower, upper, strict=True))).reshape(3, -1).T)
    first, last = corners.min(axis=0) - 2 * GRID, corners.max(axis=0) + 2 * GRID
    axes = [np.arange(a, b, GRID) for a, b in zip(first, last, strict=True)]
    block = tuple(slice(max(a, 0), b + 1) for a, b in zip(lower, upper, strict=True))
    start = np.array([s.start for s in block])
    # Index = origin + z * a + y * b + x * c: one affine map for the whole grid.
    matrix = np.linalg.inv(volume.affine)[:3, :3][::-1, ::-1] * GRID
    offset = volume.to_indices(first) - start
    shape = tuple(len(axis) for axis in axes[::-1])

    def onto(array: np.ndarray, order: int) -> np.ndarray:
        return ndimage.affine_transform(array, matrix, offset, shape, order=order, prefilter=False)

    bone = onto((labels[block] > 0).astype(np.float32), 1)
    sigma = np.clip(0.45 * volume.spacing.max() / GRID, 0.8, 1.6)
    smooth = ndimage.gaussian_filter(bone, sigma)
    return Surroundings(first, smooth, onto(labels[block], 0), onto(analysis.heat[block], 1))


def shade(surroundings: Surroundings | None, plane: Plane, background: np.ndarray) -> np.ndarray:
    """The vertebrae seen through a sagittal or coronal plane's window, from the left or the front: RGB uint8."""
    picture = np.zeros((*plane.shape, 3), np.uint8) + background.astype(np.uint8)
    if surroundings is None:
        return picture
    bone, labels, heat = (_looked_at(a, plane) for a in (surroundings.bone, surroundings.labels, surroundings.heat))
    colors, cover = _shaded(bone, labels, heat)
    # Where each of the picture's pixels falls on the view's grid.
    top = surroundings.origin[2] + (surroundings.bone.shape[0] - 1) * GRID
    across = 1 if plane.name == "sagittal" else 0
    rows = (top - (plane.center[2] - plane.offsets(0))) / GRID
    columns = (plane.center[across] + plane.offsets(1) - surroundings.origin[across]) / GRID
    places = np.meshgrid(rows, columns, indexing="ij")
    opacity = ndimage.map_coordinates(cover, places, order=1, mode="constant", prefilter=False)
    opacity = np.clip(0.5 + 2.5 * (opacity - 0.5), 0, 1)[..., None]
    channels = np.moveaxis(colors, -1, 0)
    color = [ndimage.map_coordinates(one, places, order=1, mode="nearest", prefilter=False) for one in channels]
    return np.rint(picture * (1 - opacity) + 255 * np.stack(color, axis=-1) * opacity).astype(np.uint8)


def _looked_at(array: np.ndarray, plane: Plane) -> np.ndarray:
    """A view [down, right, away from the viewer]: from the left, front to the left; or from the front."""
    array = array[::-1]
    return array[:, :, ::-1] if plane.name == "sagittal" else array.transpose(0, 2, 1)


def _shaded(bone: np.ndarray, labels: np.ndarray, heat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours (0...1) [rows, columns, 3], continued past the rim, and the bone's coverage [rows, columns]."""
    bone = np.pad(bone, 1)
    cover = bone.max(axis=2)
    hit = cover > 0.5
    if not hit.any():
        return np.zeros((*labels.shape[:2], 3), np.float32), cover[1:-1, 1:-1]
    row, column = np.nonzero(hit)
    away = (bone[row, column] > 0.5).argmax(axis=1)
    before, at = bone[row, column, away - 1], bone[row, column, away]
    depth = np.zeros(hit.shape, np.float32)
    depth[hit] = away - (at - 0.5) / (at - before)

    # Normals from the field itself are smoother than those from the depth map, and right at the rim.
    ahead = np.minimum(away + 1, bone.shape[2] - 1)
    normal = np.stack([
        bone[row - 1, column, away] - bone[row + 1, column, away],
        bone[row, column - 1, away] - bone[row, column + 1, away],
        bone[row, column, away - 1] - bone[row, column, ahead],
    ], axis=-1)  # fmt: skip
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-6
    light = sum(share * np.clip(normal @ (way / np.linalg.norm(way)), 0, None) for way, share in LIGHTS)

    # What lies deeper than its surroundings gets less light: canals, joints, the far arches.
    hollow = np.zeros(len(row), np.float32)
    for reach in (3.0, 9.0):
        weight = ndimage.gaussian_filter(hit.astype(np.float32), reach)
        mean = ndimage.gaussian_filter(depth, reach) / np.maximum(weight, 1e-3)
        hollow += np.clip((depth - mean)[hit] * GRID / (0.8 * reach), 0, 1)
    brightness = (AMBIENT + (1 - AMBIENT) * 1.25 * light) * (1 - 0.3 * hollow)

    inside = np.minimum(away[:, None] - 1 + np.arange(5), labels.shape[2] - 1)
    met = labels[row[:, None] - 1, column[:, None] - 1, inside]
    label = np.take_along_axis(met, (met > 0).argmax(axis=1)[:, None], axis=1)[:, 0]
    warm, opacity = heat_colors(heat[row[:, None] - 1, column[:, None] - 1, inside].max(axis=1).astype(np.float32))
    # A little grey keeps the level's colour from drowning the shading.
    base = 0.85 * PALETTE[label] + 0.15
    base = base * (1 - 1.4 * opacity[:, None]) + warm * 1.4 * opacity[:, None]
    colors = np.zeros((*hit.shape, 3), np.float32)
    colors[hit] = np.clip(base * brightness[:, None], 0, 1)
    nearest = ndimage.distance_transform_edt(~hit, return_distances=False, return_indices=True)
    return colors[tuple(nearest)][1:-1, 1:-1], cover[1:-1, 1:-1]
