"""What the dense detector is shown: HU on the scale of the scan's own muscle and bone, and its dark sheets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

# HU between which muscle's mode is looked for, and by which bone lies above it.
MUSCLE_RANGE, BONE_ABOVE = (-60.0, 200.0), 130.0
BONE_QUANTILE = 0.8
USUAL_MUSCLE, USUAL_BONE = 50.0, 550.0  # HU, where a scan shows too little of either
LEAST_SPAN = 200.0  # HU from muscle to bone
RANGE = (-1.0, 3.0)  # of what is shown; 0 is muscle, 1 dense bone
CLOSINGS = ((3, 3, 3), (5, 7, 7))  # voxels z, y, x: sheets thinner than these light up
CHANNELS = 1 + len(CLOSINGS)
REACH = 6  # voxels beyond which nothing changes what is shown of a voxel


@dataclass(frozen=True)
class Scale:
    """HU of a scan's muscle and of its dense bone. In one scan of seven muscle lies far from where it belongs."""

    muscle: float = USUAL_MUSCLE
    bone: float = USUAL_BONE

    @classmethod
    def of(cls, hu: np.ndarray) -> Scale:
        """Measured on every third voxel of hu [z, y, x]: muscle's mode, and the 80th percentile of what is bone."""
        part = hu[::2, ::3, ::3].astype(np.float32)
        soft = part[(part > MUSCLE_RANGE[0]) & (part < MUSCLE_RANGE[1])]
        if soft.size < 200:
            return cls()
        counts, edges = np.histogram(soft, bins=65)
        muscle = float(edges[int(np.argmax(np.convolve(counts, np.ones(9) / 9, mode="same")))])
        bone = part[part > muscle + BONE_ABOVE]
        dense = float(np.quantile(bone, BONE_QUANTILE)) if bone.size >= 200 else muscle + USUAL_BONE - USUAL_MUSCLE
        return cls(muscle, max(dense, muscle + LEAST_SPAN))

    def __call__(self, hu: torch.Tensor) -> torch.Tensor:
        """HU as float32 on the scan's own scale, not clipped: 0 is muscle, 1 dense bone."""
        return (hu.float() - self.muscle) / (self.bone - self.muscle)


def features(scaled: torch.Tensor) -> torch.Tensor:
    """[batch, CHANNELS, z, y, x] of scaled HU [batch, z, y, x]: itself, and its black top-hats at two sizes.

    A black top-hat (closing minus image; Meyer 1979) is bright where a dark sheet or groove lies between brighter bone.
    The larger one is of the smoothed image, so that it does not answer to noise.
    """
    image = scaled.clamp(*RANGE)[:, None]
    smooth = F.avg_pool3d(F.pad(image, (1,) * 6, mode="replicate"), 3, stride=1)
    hats = [closing(part, size) - part for part, size in zip((image, smooth), CLOSINGS, strict=True)]
    return torch.cat([image, *hats], dim=1)


def closing(image: torch.Tensor, size: tuple[int, int, int]) -> torch.Tensor:
    """Grey closing by a box, one axis at a time: the greatest of each box, then the least of each."""
    for extreme in (torch.maximum, torch.minimum):
        for axis, width in enumerate(size, start=image.ndim - len(size)):
            image = _running(extreme, image, axis, width)
    return image


def _running(extreme, image: torch.Tensor, axis: int, width: int) -> torch.Tensor:
    """The greatest or least of every `width` neighbours along an axis, at the edges of those that are there.

    Shifted views, for max_pool3d with such flat kernels is many times slower on a CPU.
    """
    count, half = image.shape[axis], width // 2
    ends = [image.narrow(axis, place, 1).expand(*(half if n == axis else -1 for n in range(image.ndim)))
            for place in (0, count - 1)]  # fmt: skip
    padded = torch.cat([ends[0], image, ends[1]], dim=axis)
    result = padded.narrow(axis, 0, count).clone()
    for start in range(1, width):
        extreme(result, padded.narrow(axis, start, count), out=result)
    return result
