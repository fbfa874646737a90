"""Ways through the neck that tubes take: airway, gullet and neck veins of a neck at rest."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np

from ..neck import TISSUES, Neck


@dataclass(frozen=True, eq=False)
class Passages:
    """Points (x, y, z) mm at rest, from top to bottom, [n, 3] each; empty where a neck lacks the way.

    airway: its middle below the soft palate. pharynx: its back wall there. gullet: the oesophagus.
    veins: the jugular vein by side. skin: the front of the neck at the same heights as the airway.
    """

    airway: np.ndarray
    pharynx: np.ndarray
    gullet: np.ndarray
    veins: dict[str, np.ndarray]
    skin: np.ndarray


_cache: weakref.WeakKeyDictionary[Neck, Passages] = weakref.WeakKeyDictionary()


def _rows(neck: Neck, mask: np.ndarray, most: int = 10_000) -> dict[int, np.ndarray]:
    """Points (x, y) mm of a mask by slice, of slices with fewer than `most` voxels."""
    found = {}
    for row in mask.any((1, 2)).nonzero()[0]:
        y, x = mask[row].nonzero()
        if len(y) < most:
            found[int(row)] = np.stack([x, y], 1) * neck.tissue_spacing + np.array(neck.tissue_origin[:2])
    return found


def _smooth(points: list) -> np.ndarray:
    """Points from top to bottom, evened out along the way and thinned to every second."""
    from scipy.ndimage import gaussian_filter1d

    if len(points) < 4:
        return np.zeros((0, 3))
    return gaussian_filter1d(np.array(points)[::-1], 2.0, axis=0, mode="nearest")[::2]


def find_passages(neck: Neck) -> Passages:
    """The ways of a neck, worked out once from its labelmap of soft tissue."""
    if neck in _cache:
        return _cache[neck]
    height = neck.tissue_origin[2] + neck.tissue_spacing * np.arange(neck.tissue.shape[0])
    name = next((n for n in ("C2", "C3", "C4") if n in neck.frames), next(iter(neck.frames)))
    top = neck.frames[name].center[2] + 8
    airway, pharynx, skin = [], [], []
    for row, points in _rows(neck, neck.tissue == TISSUES.index("airway")).items():
        middle = points[np.abs(points[:, 0]) < 14]
        if not len(middle) or height[row] > top:
            continue
        # Where it forks or where sinuses are in the slice, the part next to the spine counts.
        middle = middle[middle[:, 1] > middle[:, 1].max() - 24]
        airway.append((*middle.mean(0), height[row]))
        pharynx.append((middle[:, 0].mean(), middle[:, 1].max() - 2, height[row]))
        x = int(np.clip((middle[:, 0].mean() - neck.tissue_origin[0]) / neck.tissue_spacing, 0, neck.body.shape[2] - 1))
        front = (neck.body[row, :, x] < 0).nonzero()[0]
        skin.append((middle[:, 0].mean(), neck.tissue_origin[1] + neck.tissue_spacing * (front[0] if len(front) else 0),
                     height[row]))
    rows = _rows(neck, neck.tissue == TISSUES.index("oesophagus"))
    gullet = [(*points.mean(0), height[row]) for row, points in rows.items()]
    veins = {}
    for side in ("left", "right"):
        rows, way = _rows(neck, neck.tissue == TISSUES.index(f"vessel {side}")), []
        for row, points in rows.items():
            if height[row] > top + 10:
                continue
            # The jugular vein lies outermost of the vessels in a slice.
            outer = np.abs(points[:, 0])
            way.append((*points[outer > outer.max() - 9].mean(0), height[row]))
        veins[side] = _smooth(way)
    _cache[neck] = Passages(_smooth(airway), _smooth(pharynx), _smooth(gullet), veins, _smooth(skin))
    return _cache[neck]
