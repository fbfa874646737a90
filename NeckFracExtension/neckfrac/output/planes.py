"""Planes through a study along the patient's axes, resampled from the grid as it was stored."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..anatomy import LEVELS
from ..findings import Analysis, Box
from ..volume import CTVolume, window
from .scene import BONE_LEVEL, BONE_WINDOW, HEAT_SHOWN_FROM

BONE = (BONE_LEVEL - BONE_WINDOW / 2, BONE_LEVEL + BONE_WINDOW / 2)  # HU
PALETTE = np.array([(0.0, 0.0, 0.0), *(level.color for level in LEVELS)], np.float32)
# Directions (LPS) in which a plane's rows and columns count up: seen from the feet, from the left, from the front.
_DIRECTIONS = {
    "axial": ((0, 1, 0), (1, 0, 0)),
    "sagittal": ((0, 0, -1), (0, 1, 0)),
    "coronal": ((0, 0, -1), (1, 0, 0)),
}
_LETTERS = {"axial": "APRL", "sagittal": "SIAP", "coronal": "SIRL"}


@dataclass(frozen=True, eq=False)
class Plane:
    """A picture's place in the patient.

    name: axial, sagittal or coronal. center: LPS mm of the middle. half: half height and half width, mm.
    pixel: mm. bend: for each row, mm along the direction through the plane, so that a sagittal or coronal
    plane can follow a bent spine (a curved planar reformation); None for a flat plane.
    """

    name: str
    center: np.ndarray
    half: tuple[float, float]
    pixel: float
    bend: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.bend is not None and self.bend.shape != self.shape[:1]:
            raise ValueError(f"a plane of {self.shape[0]} rows can't be bent by {self.bend.shape}")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, both odd: the middle is a pixel."""
        # Not Python's round: it takes x.5 to the even neighbour, so that one bit decides between two sizes.
        height, width = (2 * math.floor(half / self.pixel + 0.5) + 1 for half in self.half)
        return height, width

    @property
    def letters(self) -> str:
        """Which of the patient's sides lies at the top, bottom, left and right."""
        return _LETTERS[self.name]

    @property
    def directions(self) -> np.ndarray:
        """3x3; rows are the unit vectors (LPS) down, right and through the plane."""
        down, right = (np.array(direction, float) for direction in _DIRECTIONS[self.name])
        return np.array([down, right, np.abs(np.cross(down, right))])

    def offsets(self, axis: int) -> np.ndarray:
        """mm of each row (axis 0) or column (axis 1) from the middle."""
        count = self.shape[axis]
        return (np.arange(count) - count // 2) * self.pixel

    def points(self) -> np.ndarray:
        """LPS mm of each pixel's centre: [rows, columns, 3]."""
        down, right, through = self.directions
        bend = np.zeros(self.shape[0]) if self.bend is None else self.bend
        rows = self.offsets(0)[:, None] * down + bend[:, None] * through
        return self.center + rows[:, None] + (self.offsets(1)[:, None] * right)[None]

    def rectangle(self, box: Box) -> tuple[float, float, float, float]:
        """A box's outline in pixels, seen through the plane: first row, first column, last row, last column."""
        corners = (np.array([box.lower, box.upper]) - self.center) @ self.directions[:2].T / self.pixel
        rows, columns = np.sort(corners + np.array(self.shape) // 2, axis=0).T
        return float(rows[0]), float(columns[0]), float(rows[1]), float(columns[1])


def sample(plane: Plane, volume: CTVolume, array: np.ndarray, *, fill: float = 0.0) -> np.ndarray:
    """An array [z, y, x] on the volume's grid, linearly at the plane's pixels: float32 [rows, columns].

    Any stored axes, any tilt. Only the part of the array near the plane is read.
    """
    block, indices = _near(plane, volume, array)
    if not block.size:
        return np.full(plane.shape, fill, np.float32)
    return ndimage.map_coordinates(block, indices, np.float32, 1, mode="constant", cval=fill, prefilter=False)


def gray(plane: Plane, analysis: Analysis) -> np.ndarray:
    """The CT in the bone window: uint8 [rows, columns]."""
    hu = sample(plane, analysis.volume, analysis.volume.voxels, fill=-1024)
    return np.rint(255 * window(hu, *BONE)).astype(np.uint8)


def overlay(plane: Plane, analysis: Analysis, *, fill: float = 0.0) -> np.ndarray:
    """Levels' outlines (and insides, with opacity `fill`) and the heat map: RGBA, uint8 [rows, columns, 4]."""
    picture = np.zeros((*plane.shape, 4), np.float32)
    block, indices = _near(plane, analysis.volume, analysis.labels)
    for label in np.unique(block[block > 0]):
        # Interpolated and slightly smoothed, so that coarse voxels give a line and not a staircase.
        share = ndimage.map_coordinates(block == label, indices, np.float32, 1, mode="constant", prefilter=False)
        share = ndimage.gaussian_filter(share, 0.3 / plane.pixel)
        slope = np.hypot(*np.gradient(share)) + 1e-3
        line = np.clip(1.4 - np.abs(share - 0.5) / slope, 0, 1)
        _blend(picture, PALETTE[label], np.maximum(0.9 * line, fill * (share > 0.5)))
    warmth = sample(plane, analysis.volume, analysis.heat)
    if warmth.any():
        colors, opacity = heat_colors(warmth)
        _blend(picture, colors, opacity)
    return np.rint(255 * picture).astype(np.uint8)


def heat_colors(percent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours (0...1, [..., 3]: yellow to red) and opacity of heat in percent."""
    share = np.clip(percent / 100, 0, 1)
    colors = np.stack([np.ones_like(share), 0.9 * (1 - share), np.zeros_like(share)], axis=-1)
    return colors, 0.6 * np.clip((percent - HEAT_SHOWN_FROM) / 50, 0, 1)


def compose(base: np.ndarray, above: np.ndarray) -> np.ndarray:
    """RGB uint8: a gray or RGB picture under an RGBA one."""
    base = base[..., None].repeat(3, axis=2) if base.ndim == 2 else base
    opacity = above[..., 3:].astype(np.float32) / 255
    return np.rint(base * (1 - opacity) + above[..., :3] * opacity).astype(np.uint8)


def _near(plane: Plane, volume: CTVolume, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of the array that the plane passes, as a view, and the pixels' indices in it: [3, rows, columns]."""
    indices = volume.to_indices(plane.points())
    lower = np.clip(np.floor(indices.min(axis=(0, 1))).astype(int) - 1, 0, volume.shape)
    upper = np.clip(np.ceil(indices.max(axis=(0, 1))).astype(int) + 2, lower, volume.shape)
    block = array[tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))]
    return block, np.moveaxis(indices - lower, -1, 0)


def _blend(picture: np.ndarray, color: np.ndarray, opacity: np.ndarray) -> None:
    """Put a colour over an RGBA picture (0...1, colours not multiplied by opacity), in place."""
    below = picture[..., 3] * (1 - opacity)
    total = opacity + below
    share = np.divide(opacity, total, out=np.zeros_like(total), where=total > 0)[..., None]
    picture[..., :3] += (color - picture[..., :3]) * share
    picture[..., 3] = total
