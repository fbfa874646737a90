"""Explain: the heat map of the member that counts most and has one, and one box a vertebra where it is hottest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F  # noqa: N812

from ..findings import Box
from ..members import MemberPrediction
from ..volume import CTVolume
from .crops import VertebraCrop
from .grids import onto, place_in, seen_by
from .segment import Segmented

REACH = 3  # fine voxels (about 2 mm in plane) around the vertebra where heat still belongs to it
LEAST_SIDE = 6.0  # mm, of a box


def draw(
    segmented: Segmented, predictions: Iterable[MemberPrediction], volume: CTVolume, into: np.ndarray
) -> dict[str, Box]:
    """Write the members' heat onto the volume's own voxels; where each level that has any is the hottest.

    predictions: of the members, heaviest first: the first that has heat for a level draws its box.
    into: zeros, uint8 [z, y, x], the volume's shape; becomes 0...100.
    """
    fine, boxes = np.zeros(segmented.labels.shape, np.uint8), {}
    for prediction in predictions:
        for name, warmth, place in heat_of(segmented, prediction):
            fine[place] = np.maximum(fine[place], np.rint(100 * warmth).astype(np.uint8))
            if name not in boxes and warmth.any():
                boxes[name] = box_of(segmented, warmth, place)
    target = seen_by(segmented.lattice, volume)
    into[place_in(volume, target)] = onto(fine, segmented.lattice, target)
    return boxes


def heat_of(segmented: Segmented, prediction: MemberPrediction) -> Iterator[tuple[str, np.ndarray, tuple]]:
    """A prediction's heat by level: name, heat (0...1) on a part of the fine grid, and which part."""
    for name, (heat, place) in prediction.fine_heat.items():
        yield name, heat, place
    for name, (crop, heat) in prediction.heat.items():
        yield name, *level_heat(segmented, name, crop, heat)


def level_heat(segmented: Segmented, name: str, crop: VertebraCrop, heat: np.ndarray) -> tuple[np.ndarray, tuple]:
    """A crop's heat [S, h, w] (0...1) on the fine grid's voxels: float32 and the slices of the grid it fills."""
    size = crop.images.shape[-1]
    first, last = int(crop.slices[0]), int(crop.slices[-1])
    shape = (last - first + 1, size, size)
    full = F.interpolate(torch.from_numpy(heat)[None, None], size=shape, mode="trilinear", align_corners=False)[0, 0]
    inside, source = [slice(first, last + 1)], [slice(None)]
    for corner, length in zip(crop.corner, segmented.labels.shape[1:], strict=True):
        low, high = max(corner, 0), min(corner + size, length)
        inside.append(slice(low, high))
        source.append(slice(low - corner, high - corner))
    place = tuple(inside)
    mask = ndimage.binary_dilation(segmented.of(name)[place], iterations=REACH)
    return full.numpy()[tuple(source)] * mask, place


def box_of(segmented: Segmented, heat: np.ndarray, place: tuple) -> Box:
    """The box (mm, LPS) of the hottest connected region above half the largest heat."""
    regions, count = ndimage.label(heat >= 0.5 * heat.max())
    sums = ndimage.sum_labels(heat, regions, np.arange(1, count + 1))
    bounds = ndimage.find_objects(regions)[int(np.argmax(sums))]
    low = np.array([s.start + p.start for s, p in zip(bounds, place, strict=True)]) - 0.5
    high = np.array([s.stop + p.start for s, p in zip(bounds, place, strict=True)]) - 0.5
    lower, upper = segmented.lattice.to_points(low), segmented.lattice.to_points(high)
    missing = np.maximum(LEAST_SIDE - (upper - lower), 0) / 2
    return Box(tuple(map(float, lower - missing)), tuple(map(float, upper + missing)))
