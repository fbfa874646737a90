"""What Model II learns: a vertebra as a row of slices, broken or whole, and where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from ..anatomy import N_LEVELS
from ..pipeline.crops import cut, vertebra_crop
from ..pipeline.intensity import TISSUE_AND_BONE
from .batches import Batch, augment_hu, shuffled
from .cache import Sample, SampleCache
from .slices import LEAST_FRACTURE

VERTEBRA_SLICES = 24
VERTEBRA_SIZE = 128
LEAST_TRUTH = 40  # voxels of truth (about 15 mm3) from which a vertebra counts as fractured


def usable_levels(sample: Sample) -> list[int]:
    """Labels of the vertebrae that lie whole within the slab."""
    labels = sample["labels"]
    return [
        n
        for n in range(1, N_LEVELS + 1)
        if np.count_nonzero(labels == n) > 5000 and not (labels[0] == n).any() and not (labels[-1] == n).any()
    ]


def vertebra_batches(paths: list[Path], generator: np.random.Generator, size: int = 4) -> Iterator[Batch]:
    """image [B, 24, 4, 128, 128], target [B], heat [B, 24, 128, 128] (truth mask)."""
    source = shuffled(paths, generator)
    while True:
        images, targets, heats = [], [], []
        while len(images) < size:
            sample = SampleCache.load(next(source))
            flip = slice(None, None, -1 if generator.random() < 0.5 else 1)
            hu = torch.from_numpy(np.ascontiguousarray(augment_hu(sample["hu"], generator)[..., flip]))
            labels = np.ascontiguousarray(sample["labels"][..., flip])
            fracture = np.ascontiguousarray(sample["fracture"][..., flip])
            for label in usable_levels({"labels": labels}):
                mask = torch.from_numpy(imitate_mask(labels == label, generator))
                crop = vertebra_crop(hu, mask, VERTEBRA_SLICES, VERTEBRA_SIZE, TISSUE_AND_BONE)
                truth = torch.from_numpy(fracture == label)
                images.append(crop.images)
                targets.append(float(truth.sum() >= LEAST_TRUTH))
                heats.append(cut(truth, crop.slices, crop.corner, VERTEBRA_SIZE, 0).float())
        yield {
            "image": torch.stack(images[:size]),
            "target": torch.tensor(targets[:size]),
            "heat": torch.stack(heats[:size]),
        }


def imitate_mask(mask: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A segmented mask instead of the true one: its surface moved in and out by up to about a voxel."""
    from scipy import ndimage

    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    wide = tuple(slice(max(s.start - 3, 0), s.stop + 3) for s in box)
    blurred = ndimage.gaussian_filter(mask[wide].astype(np.float32), 1.0)
    noise = ndimage.gaussian_filter(generator.normal(0, 1, blurred.shape).astype(np.float32), 3.0)
    result = np.zeros_like(mask)
    result[wide] = blurred > 0.5 + 0.15 * noise / max(float(noise.std()), 1e-6) + generator.normal(0, 0.08)
    return result if result.any() else mask


def vertebra_loss(network: nn.Module, batch: Batch) -> torch.Tensor:
    """Fractured or not, in which slices, and where: cross-entropies; the heat map's truth is rare, so weighted."""
    output = network(batch["image"])
    whole = F.binary_cross_entropy_with_logits(output["logit"].float(), batch["target"])
    broken = (batch["heat"].sum(dim=(2, 3)) >= LEAST_FRACTURE).float()
    slices = F.binary_cross_entropy_with_logits(output["slice_logits"].float(), broken)
    heat = output["heat"].float()
    truth = F.adaptive_max_pool2d(batch["heat"], heat.shape[-2:])
    where = F.binary_cross_entropy_with_logits(heat, truth, pos_weight=torch.tensor(10.0, device=heat.device))
    # The heat map has thousands of answers a vertebra where the whole has one: it teaches the encoder first.
    shares = heat.sigmoid()
    overlap = 1 - (2 * (shares * truth).sum() + 1) / (shares.sum() + truth.sum() + 1)
    return whole + slices + 4 * where + overlap
