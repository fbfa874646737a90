"""What the segmenting network learns: slices of a slab, with what `locate` would have said of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from neckfrac.anatomy import N_CLASSES, THORACIC
from neckfrac.pipeline.intensity import TISSUE_AND_BONE
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .batches import Batch, augment_hu, shuffled
from .cache import SampleCache
from .overlap import dice_and_cross_entropy

NEIGHBOURS = 2
WINDOW = 192


def imitate_prior(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """What `locate` would say of a slab: float16 [N_CLASSES, z, y, x] on a grid of about 2 mm, with its kinds of error.

    Each class is blurred, moved a little and unevenly sure, so that thin parts fade; now and then it leaks into what
    lies beside it. Between two levels the border is sharp, as the chain's decision leaves it, but not in its place.
    """
    from scipy import ndimage

    coarse = labels[::2, ::3, ::3]  # 2 x 1.8 x 1.8 mm
    sigma = generator.uniform(0.5, 1.6)
    prior = np.zeros((N_CLASSES, *coarse.shape), np.float32)
    shift = generator.normal(0, 0.5, 3)
    for label in np.unique(coarse):
        move = shift + generator.normal(0, 0.3, 3)
        field = ndimage.gaussian_filter((coarse == label).astype(np.float32), sigma)
        prior[label] = ndimage.shift(field, move, order=1, mode="nearest") * generator.uniform(0.7, 1.3)
    prior[0] += 0.02
    prior = prior ** generator.uniform(1.0, 2.5)
    prior /= prior.sum(axis=0)
    vertebrae = prior[1 : THORACIC + 1]
    # A facet or a lamina is now and then given to the neighbour: the border wanders by a voxel or two.
    wander = np.zeros_like(vertebrae)
    for label in np.unique(coarse[(coarse > 0) & (coarse <= THORACIC)]):
        field = ndimage.gaussian_filter(generator.normal(0, 1, coarse.shape).astype(np.float32), 2.5)
        wander[label - 1] = field / max(float(field.std()), 1e-6)
    wander *= generator.uniform(0, 1.8)
    mass, nearest = vertebrae.sum(axis=0), (np.log(vertebrae + 1e-6) + wander).argmax(axis=0)
    unsure = ndimage.gaussian_filter(generator.normal(0, 1, mass.shape).astype(np.float32), generator.uniform(1, 3))
    odds = np.log((mass + 1e-3) / (1 - mass + 1e-3)) + generator.uniform(0, 1.5) * unsure / max(unsure.std(), 1e-6)
    changed = 1 / (1 + np.exp(-odds))
    prior[:1] *= (1 - changed) / np.maximum(1 - mass, 1e-3)
    prior[THORACIC + 1 :] *= (1 - changed) / np.maximum(1 - mass, 1e-3)
    vertebrae[:] = 0
    np.put_along_axis(vertebrae, nearest[None], changed[None], axis=0)
    return (prior / prior.sum(axis=0)).astype(np.float16)


def at_slices(prior: torch.Tensor, slices: np.ndarray, shape: tuple[int, ...]) -> torch.Tensor:
    """A prior [classes, z, y, x] on a coarser grid, at some slices of a volume of `shape`: [n, classes, y, x]."""
    place = ((torch.from_numpy(slices) + 0.5) * prior.shape[1] / shape[0] - 0.5).clamp(0, prior.shape[1] - 1)
    below = place.long().clamp(max=prior.shape[1] - 2)
    share = (place - below).view(-1, 1, 1, 1).float()
    parts = prior.movedim(1, 0).float()
    parts = torch.lerp(parts[below], parts[below + 1], share)
    return F.interpolate(parts, size=shape[1:], mode="bilinear", align_corners=False)


def segment_batches(paths: list[Path], generator: np.random.Generator, size: int = 8) -> Iterator[Batch]:
    """image [B, 5 + N_CLASSES, y, x] and labels [B, y, x]: `size` slices, half of them from another slab."""
    source = shuffled(paths, generator)
    while True:
        images, targets = [], []
        for count in (size - size // 2, size // 2):
            sample = SampleCache.load(next(source))
            flip = slice(None, None, -1 if generator.random() < 0.5 else 1)
            labels = np.ascontiguousarray(sample["labels"][..., flip])
            slices = generator.choice(np.arange(NEIGHBOURS, len(labels) - NEIGHBOURS), count, replace=False)
            stacks = sample["hu"][slices[:, None] + np.arange(-NEIGHBOURS, NEIGHBOURS + 1)][..., flip]
            hu = TISSUE_AND_BONE(torch.from_numpy(np.ascontiguousarray(augment_hu(stacks, generator))))
            prior = at_slices(torch.from_numpy(imitate_prior(labels, generator)), slices, labels.shape)
            images.append(torch.cat([hu, prior], dim=1))
            targets.append(torch.from_numpy(labels[slices]).long())
        yield {"image": torch.cat(images), "labels": torch.cat(targets)}


def segment_loss(network: nn.Module, batch: Batch) -> torch.Tensor:
    return dice_and_cross_entropy(network(batch["image"]), batch["labels"])
