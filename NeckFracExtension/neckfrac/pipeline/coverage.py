"""How much of each vertebra lies within the scan."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..anatomy import LEVELS
from .locate import EXPECTED_ML
from .segment import Segmented

NOT_SEEN_BELOW = 0.15  # share of the vertebra under which nothing is said of it
NO_DATA = -1000  # HU at and below which a voxel is air or lies outside the scan's field of view


def levels_in_view(segmented: Segmented) -> tuple[dict[str, float], list[str]]:
    """The share (0 to 1) of every level that lies within the scan, and the levels that count as seen.

    A level that touches neither the first or last slice nor a voxel without data is whole. One that does is
    measured against its expected volume, scaled by the whole levels of the same neck.
    """
    voxel_ml = float(np.prod(segmented.lattice.spacing)) / 1000
    volumes, cut = {}, {}
    boxes = ndimage.find_objects(segmented.labels, max_label=len(LEVELS))
    for level, box in zip(LEVELS, boxes, strict=True):
        if box is None:
            continue
        wide = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
        mask = segmented.labels[wide] == level.label
        volumes[level.name] = float(mask.sum()) * voxel_ml
        ends = box[0].start == 0 or box[0].stop == segmented.labels.shape[0]
        edge = ndimage.binary_dilation(mask) & (segmented.hu[wide] <= NO_DATA)
        cut[level.name] = ends or bool(edge.any())
    whole = [volumes[name] / EXPECTED_ML[name] for name in volumes if not cut[name]]
    scale = float(np.median(whole)) if whole else 1.0
    shares = {level.name: 0.0 for level in LEVELS}
    for name, volume in volumes.items():
        shares[name] = min(1.0, volume / (scale * EXPECTED_ML[name])) if cut[name] else 1.0
    return shares, [name for name, share in shares.items() if share >= NOT_SEEN_BELOW]
