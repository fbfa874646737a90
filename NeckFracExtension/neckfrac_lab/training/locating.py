"""What the locating network learns: classes of a coarse neck, and the way to each vertebra's centre."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from neckfrac.anatomy import N_CLASSES, THORACIC
from neckfrac.pipeline.grids import COARSE_SPACING
from neckfrac.pipeline.intensity import TISSUE_AND_BONE
from neckfrac.pipeline.locate import OFFSET_UNIT
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .batches import Batch, augment_hu, shuffled
from .cache import SampleCache
from .overlap import dice_and_cross_entropy

# Thoracic vertebrae share a class; only what lies this near (voxels) to a centre is surely that one's.
NEAR_CENTER = 7.0
MIRRORED = 3  # of [class, z, y, x], the column that a left-right flip turns
# Share of the samples that are cut once more, anywhere in a vertebra; share of the cuts that take the lower part.
CUT, CUT_BELOW = 0.35, 0.7
NO_DATA, TISSUE = -1024, -300  # HU; what is above the second is somebody


def offset_targets(labels: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each vertebra's voxels point: float32 [3, z, y, x] in OFFSET_UNIT, and bool [z, y, x] where it counts.

    labels: classes [z, y, x]; centers [n, 4]: class, z, y, x in voxels.
    """
    target, counts = np.zeros((3, *labels.shape), np.float32), np.zeros(labels.shape, bool)
    for label in np.unique(centers[:, 0]).astype(int):
        where = np.nonzero(labels == label)
        if not len(where[0]):
            continue
        places, own = np.stack(where, axis=1), centers[centers[:, 0] == label, 1:]
        ways = own[None] - places[:, None]
        distances = np.linalg.norm(ways, axis=-1)
        nearest = distances.argmin(axis=1)
        rows = np.arange(len(places))
        sure = (distances[rows, nearest] < NEAR_CENTER) | (label != THORACIC)
        target[(slice(None), *where)] = ways[rows, nearest].T / OFFSET_UNIT
        counts[where] = sure
    return target, counts


def locate_batches(paths: list[Path], generator: np.random.Generator, size: int = 2) -> Iterator[Batch]:
    """image [B, 1, z, y, x], labels [B, z, y, x], offsets [B, 3, z, y, x] and where they count [B, z, y, x].

    Flipped left-right by chance.
    """
    source = shuffled(paths, generator)
    while True:
        batch: dict[str, list[torch.Tensor]] = {"image": [], "labels": [], "offsets": [], "counts": []}
        for _ in range(size):
            sample = SampleCache.load(next(source))
            hu, labels, centers = sample["hu"], sample["labels"], sample["centers"]
            if generator.random() < 0.5:
                hu, labels, centers = hu[..., ::-1], labels[..., ::-1], centers.copy()
                centers[:, MIRRORED] = labels.shape[-1] - 1 - centers[:, MIRRORED]
            hu = augment_hu(hu, generator)
            if generator.random() < CUT:
                hu, labels = cut_end(hu, labels, generator)
            hu = np.ascontiguousarray(hu)
            offsets, counts = offset_targets(labels, centers)
            batch["image"].append(TISSUE_AND_BONE(torch.from_numpy(hu))[None])
            batch["labels"].append(torch.from_numpy(np.ascontiguousarray(labels)).long())
            batch["offsets"].append(torch.from_numpy(offsets))
            batch["counts"].append(torch.from_numpy(counts))
        yield {name: torch.stack(parts) for name, parts in batch.items()}


def cut_end(hu: np.ndarray, labels: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The scan [z, y, x] without what lies below (or above) a slice through a vertebra; at least 50 mm stay.

    Patients' scans end anywhere; next to the end of a real head levels were squeezed together.
    """
    held = np.flatnonzero(((labels > 0) & (labels <= THORACIC)).any(axis=(1, 2)))
    below = generator.random() < CUT_BELOW
    data = np.flatnonzero((hu > TISSUE).any(axis=(1, 2)))
    if not len(held) or not len(data):
        return hu, labels
    stay = int(50 / COARSE_SPACING)
    held = held[held <= data[-1] - stay] if below else held[held >= data[0] + stay]
    if not len(held):
        return hu, labels
    hu, labels, at = hu.copy(), labels.copy(), int(generator.choice(held))
    gone = slice(0, at) if below else slice(at + 1, None)
    hu[gone], labels[gone] = NO_DATA, 0
    return hu, labels


def locate_loss(network: nn.Module, batch: Batch) -> torch.Tensor:
    """Dice and cross-entropy at every depth that the network answers at, each deeper one counting half; offsets."""
    outputs = network(batch["image"])
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    pointed = outputs[0][:, N_CLASSES:].float()
    outputs = [outputs[0][:, :N_CLASSES], *outputs[1:]]
    total, weights = 0.0, 0.0
    for depth, logits in enumerate(outputs):
        labels = batch["labels"]
        if logits.shape[2:] != labels.shape[1:]:
            labels = F.interpolate(labels[:, None].float(), size=logits.shape[2:], mode="nearest")[:, 0].long()
        total, weights = total + 0.5**depth * dice_and_cross_entropy(logits, labels), weights + 0.5**depth
    counts = batch["counts"][:, None].expand_as(pointed)
    if not bool(counts.any()):
        return total / weights
    return total / weights + F.smooth_l1_loss(pointed[counts], batch["offsets"][counts], beta=0.1)
