"""What the fracture networks look at: axial slices of the neck, and each vertebra's own slices with its mask.

Training cuts its samples with the same lines, so that a network meets the same pictures in both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from .intensity import Intensity


def axial_slices(
    hu: torch.Tensor, slices: list[int], corners: np.ndarray, window: int, size: int, intensity: Intensity
) -> torch.Tensor:
    """Axial slices with both neighbours as channels: float32 [slices, 3, size, size].

    hu: int16 [z, y, x] on the fine grid. corners: int [slices, 2], first row and column of each window.
    """
    last = hu.shape[0] - 1
    stacks = torch.stack(
        [
            hu[[max(z - 1, 0), z, min(z + 1, last)], y : y + window, x : x + window]
            for z, (y, x) in zip(slices, corners, strict=True)
        ]
    )
    return F.interpolate(intensity(stacks), size=(size, size), mode="bilinear", antialias=True, align_corners=False)


@dataclass(frozen=True, eq=False)
class VertebraCrop:
    """One vertebra's slices. slices: fine-grid z of each. corner: first (row, column) on the fine grid.

    images: float32 [S, 4, size, size]: the slice, both neighbours, and the vertebra's mask.
    """

    slices: np.ndarray
    corner: tuple[int, int]
    images: torch.Tensor


def vertebra_crop(hu: torch.Tensor, mask: torch.Tensor, count: int, size: int, intensity: Intensity) -> VertebraCrop:
    """`count` slices spread over the vertebra, `size` voxels wide about its middle.

    hu: int16 [z, y, x]; mask: bool, same shape, not empty. What lies beyond the grid is air.
    """
    z, y, x = extents(mask)
    # One slice beyond each end, so that a broken endplate is seen from both sides.
    chosen = np.clip(np.rint(np.linspace(z[0] - 1, z[1] + 1, count)), 0, hu.shape[0] - 1).astype(int)
    corner = tuple(int(round((first + last + 1) / 2 - size / 2)) for first, last in (y, x))
    around = [np.clip(chosen + offset, 0, hu.shape[0] - 1) for offset in (0, -1, 1)]
    stacks = torch.stack([cut(hu, slices, corner, size, -1024) for slices in around], dim=1)
    masks = cut(mask, chosen, corner, size, 0).float()[:, None]
    return VertebraCrop(chosen, corner, torch.cat([intensity(stacks), masks], dim=1))


def extents(mask: torch.Tensor) -> list[tuple[int, int]]:
    """First and last index of the mask along each axis."""
    result = []
    for axis in range(3):
        later, earlier = sorted({0, 1, 2} - {axis}, reverse=True)
        where = torch.nonzero(mask.any(dim=later).any(dim=earlier))
        result.append((int(where[0]), int(where[-1])))
    return result


def cut(array: torch.Tensor, slices: np.ndarray, corner: tuple[int, int], size: int, fill: float) -> torch.Tensor:
    """array[slices, corner : corner + size] with `fill` where that leaves the array."""
    result = torch.full((len(slices), size, size), fill, dtype=array.dtype, device=array.device)
    (y, x), (height, width) = corner, array.shape[1:]
    y0, y1, x0, x1 = max(y, 0), min(y + size, height), max(x, 0), min(x + size, width)
    if y1 > y0 and x1 > x0:
        part = array[torch.as_tensor(slices, device=array.device), y0:y1, x0:x1]
        result[:, y0 - y : y1 - y, x0 - x : x1 - x] = part
    return result
