"""Whether the body itself contradicts where a volume says that front and head are."""

from __future__ import annotations

import numpy as np

from ..study_warning import StudyWarning
from ..volume import CTVolume

# Set on 14 scans of heads and necks from three sources. Their airways lie 22 to 52 mm (median over the slices) before
# the bones; their lowest fifth holds 26 to 172 cm2 of lung a slice where it reaches the chest, their highest at most 7.
COARSE = 3.0  # mm; every slice, row and column at about this distance is looked at
TISSUE, BONE, LUNG = -400, 250, (-950, -600)  # HU
LEAST_AIRWAY, LEAST_BONE = 50.0, 100.0  # mm2 in a slice
SLICES = 10  # that show airway and bone
BEHIND = 10.0  # mm by which the airway must lie behind the bones
LEAST_LUNG, TIMES_LUNG = 10.0, 3.0  # cm2 a slice at the upper end; times that of the lower
SHOULDERS, TIMES_WIDE = 230.0, 1.5  # mm; times the width of the other end
LOOKS_WRONG = "The orientation looks wrong: {}. It was read as it says; check front and back, left and right, levels."


def anatomy_warnings(volume: CTVolume) -> list[StudyWarning]:
    """A sentence where the airway lies behind the bones, or chest or shoulders above the neck; [] for all else.

    A volume that is mirrored left to right alone can't be told from a good one.
    """
    canonical, _ = volume.canonical()
    steps = np.maximum(np.rint(COARSE / canonical.spacing).astype(int), 1)
    coarse = canonical.voxels[:: steps[0], :: steps[1], :: steps[2]]
    _, row, column = canonical.spacing * steps
    seen = np.array([_slice(plane, row, column) for plane in coarse])
    said, before = [], seen[:, 0][np.isfinite(seen[:, 0])]
    if len(before) >= SLICES and np.median(before) < -BEHIND:
        said.append("the airway lies behind the bones of the neck")
    end = max(len(seen) // 5, 1)
    (low_width, low_lung), (top_width, top_lung) = seen[:end, 1:].mean(axis=0), seen[-end:, 1:].mean(axis=0)
    if top_lung > max(LEAST_LUNG, TIMES_LUNG * low_lung):
        said.append("lung lies at the upper end")
    elif top_width > max(SHOULDERS, TIMES_WIDE * low_width):
        said.append("the scan is as wide as shoulders at the upper end")
    return [StudyWarning("anatomy-upside-down", LOOKS_WRONG.format(" and ".join(said)))] if said else []


def _slice(plane: np.ndarray, row: float, column: float) -> tuple[float, float, float]:
    """Of an axial slice [y, x] in HU: how far (mm) the air inside lies before the bones, NaN without either; the
    body's width (mm); its lung (cm2). row, column: mm between rows, between columns."""
    from scipy import ndimage

    pieces, count = ndimage.label(plane > TISSUE)
    if not count:
        return np.nan, 0.0, 0.0
    body = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    filled = ndimage.binary_fill_holes(body)
    air, bone = filled & (plane < TISSUE), filled & (plane > BONE)
    lung = np.count_nonzero(air & (plane > LUNG[0]) & (plane < LUNG[1])) * row * column / 100
    before = np.nan
    if air.sum() * row * column > LEAST_AIRWAY and bone.sum() * row * column > LEAST_BONE:
        before = (np.nonzero(bone)[0].mean() - np.nonzero(air)[0].mean()) * row
    return before, np.count_nonzero(body.any(axis=0)) * column, lung
