"""The soft tissue in front of the spine: from the bodies' front walls to the air of throat and windpipe."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ...volume import CTVolume
from .axes import VertebraAxes

LEVELS = ("C2", "C3", "C6")
AIR = -475.0  # HU, half-way between muscle and air
REACH = 40.0  # mm in front of the wall within which air is looked for
STEP = 0.25
STEPS = np.arange(0.5, REACH, STEP)  # mm in front of the wall
LEAST_AIR = 2.0  # mm of air that are an airway: bubbles in the tissue are less
TUBE = 250.0  # HU of what lies in the soft tissue or behind the air and is neither: a tube or its marker
TUBE_NOTE = "Something dense, perhaps a tube, lies in or before the soft tissue here."


def thickness(
    wall: np.ndarray, axes: VertebraAxes, volume: CTVolume
) -> tuple[tuple[np.ndarray, np.ndarray], str] | None:
    """((front wall, air), note) of one level, LPS mm; None where no air lies in front within the scan.

    wall: the front wall's point in the midline. volume: the scan itself, for the working grid ends too near.
    """
    points = rays(wall, axes)
    index = np.moveaxis(volume.to_indices(points), -1, 0)
    hu = ndimage.map_coordinates(volume.voxels, index, np.float32, order=1, cval=np.nan)
    with np.errstate(invalid="ignore"):
        distance = to_air(hu < AIR, np.isnan(hu))
    if distance is None:
        return None
    near = (STEPS > 3.0) & (distance + 8.0 > STEPS)
    with np.errstate(invalid="ignore"):
        dense = bool(((hu > TUBE) & near).any())
    return (wall, wall - distance * axes.rows[1]), TUBE_NOTE if dense else ""


def rays(wall: np.ndarray, axes: VertebraAxes) -> np.ndarray:
    """Points [rays, STEPS, 3] forwards from about the front wall's point."""
    x, z = (part.ravel() for part in np.meshgrid([-2.0, 0.0, 2.0], [-1.5, 0.0, 1.5]))
    starts = wall + x[:, None] * axes.rows[0] + z[:, None] * axes.rows[2]
    return starts[:, None] - STEPS[None, :, None] * axes.rows[1]


def to_air(air: np.ndarray, unseen: np.ndarray | None = None) -> float | None:
    """mm along rays [n, STEPS] to the airway; None when most do not meet it, or leave the scan before."""
    run = int(LEAST_AIR / STEP)
    sums = np.cumsum(np.pad(air, ((0, 0), (1, 0))), axis=1, dtype=np.int32)
    whole = sums[:, run:] - sums[:, :-run] == run
    first = np.where(whole.any(axis=1), np.argmax(whole, axis=1), -1)
    known = first >= 0
    if unseen is not None:
        known &= ~(unseen & (np.arange(air.shape[1]) < first[:, None])).any(axis=1)
    return float(np.median(STEPS[first[known]]) - STEP / 2) if known.sum() > 2 * len(air) / 3 - 0.5 else None
