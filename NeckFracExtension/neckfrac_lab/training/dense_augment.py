"""Crops of the dense detector's samples as other scans of such people would show them."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

BONE_SHARE = (100.0, 200.0)  # HU at which a voxel begins to count as bone, and how many more make it all bone
GRAIN = ((1.0, 2.0, 240.0), (2.0, 4.0, 160.0), (5.0, 10.0, 110.0))  # voxels (from, to) of blotches, HU at most


def augment(
    hu: torch.Tensor, truth: torch.Tensor, scales: torch.Tensor, generator: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scaled HU float32 and truth of P places, both volumes of a place alike.

    hu: float32 HU [P, 2, z, y, x]; truth: bool, same shape; scales: float32 [P, 2], each scan's muscle and bone HU.
    """
    count = len(hu)

    def draw(low: float, high: float, chance: float = 1.0) -> torch.Tensor:
        """[P, 1, 1, 1, 1], 0 where the chance says no."""
        values = generator.uniform(low, high, count) * (generator.random(count) < chance)
        return torch.from_numpy(values.astype(np.float32)).view(-1, 1, 1, 1, 1)

    flip = torch.from_numpy(generator.random(count) < 0.5)
    hu = torch.where(flip.view(-1, 1, 1, 1, 1), hu.flip(-1), hu)
    truth = torch.where(flip.view(-1, 1, 1, 1, 1), truth.flip(-1), truth)
    # On the working grid a scan is interpolated; samples are simulated on the grid itself.
    for axis in (2, 3, 4):
        shift = draw(-0.5, 0.5)
        amount = shift.abs()
        moved = torch.where(shift > 0, hu.roll(1, axis), hu.roll(-1, axis))
        hu = torch.lerp(hu, moved, amount)
    share = ((hu - BONE_SHARE[0]) / BONE_SHARE[1]).clamp(0, 1)
    for smallest, largest, most in GRAIN:
        size = generator.uniform(smallest, largest, 3)
        shape = [int(n / s) + 2 for n, s in zip(hu.shape[2:], size, strict=True)]
        coarse = torch.from_numpy(generator.standard_normal((count, 1, *shape), dtype=np.float32))
        blotches = F.interpolate(coarse, size=hu.shape[2:], mode="trilinear", align_corners=False)
        blotches = blotches / blotches.std(dim=(2, 3, 4), keepdim=True).clamp(min=1e-6)
        hu = hu + draw(0, most, 0.7) * blotches * share
    # Kernels: softer, or sharper than what was simulated.
    smooth = F.avg_pool3d(F.pad(hu.flatten(0, 1)[:, None], (1, 1, 1, 1, 0, 0), mode="replicate"), (1, 3, 3), stride=1)
    smooth = smooth[:, 0].view_as(hu)
    hu = hu + (draw(0.2, 0.9, 0.25) * (smooth - hu) + draw(0.2, 0.8, 0.2) * (hu - smooth))
    hu = hu + draw(5, 45, 0.35) * torch.from_numpy(generator.standard_normal((count, 1, *hu.shape[2:]), np.float32))
    muscle, bone = (scales[:, n].view(-1, 1, 1, 1, 1) for n in (0, 1))
    scaled = (hu - muscle) / (bone - muscle)
    # What a scan's own muscle and bone are measured to be is a little off.
    return scaled * (1 + draw(-0.18, 0.18)) + draw(-0.06, 0.06), truth
