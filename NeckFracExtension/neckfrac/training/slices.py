"""What Model I learns: axial slices, each labelled by where the fracture is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from ..anatomy import N_LEVELS
from ..pipeline.crops import axial_slices
from ..pipeline.intensity import BONE_WINDOW
from .batches import Batch, augment_hu, shuffled
from .cache import SampleCache

# NeckFrac's class weights of the eight networks: patient, C1...C7 (REFERENCE: 2,019 RSNA patients).
SLICE_WEIGHTS = (1.05, 6.91, 3.54, 13.83, 9.35, 6.23, 3.64, 2.57)
SLICE_SIZE = 128
LEAST_FRACTURE = 12  # voxels of truth in a slice (about 4 mm2) from which the slice counts as fractured


def slice_batches(paths: list[Path], generator: np.random.Generator, size: int = 16) -> Iterator[Batch]:
    """image [B, 3, 128, 128], target [B, 8]: slices of four slabs, each labelled by where its fracture is."""
    source = shuffled(paths, generator)
    while True:
        images, targets = [], []
        for _ in range(4):
            sample = SampleCache.load(next(source))
            flip = slice(None, None, -1 if generator.random() < 0.5 else 1)
            hu = torch.from_numpy(np.ascontiguousarray(augment_hu(sample["hu"], generator)[..., flip]))
            spine = (sample["labels"] > 0) & (sample["labels"] <= N_LEVELS)
            candidates = np.flatnonzero(spine.any(axis=(1, 2)))
            broken = np.flatnonzero(np.count_nonzero(sample["fracture"], axis=(1, 2)) >= LEAST_FRACTURE)
            count = size // 4
            if not len(candidates):
                continue
            # Half of a broken slab's slices show the break, or it would hardly be met.
            chosen = generator.choice(candidates, count)
            if len(broken):
                chosen[: count // 2] = generator.choice(broken, count // 2)
            jitter = np.rint(generator.normal(0, 4, (count, 2))).astype(int)
            padded = F.pad(hu[None], (16, 16, 16, 16), value=-1024)[0]
            corners = np.clip(16 + jitter, 0, 32)
            images.append(axial_slices(padded, chosen.tolist(), corners, hu.shape[-1], SLICE_SIZE, BONE_WINDOW))
            counts = [np.count_nonzero(sample["fracture"][chosen] == n, axis=(1, 2)) for n in range(1, N_LEVELS + 1)]
            levels = np.stack(counts, axis=1) >= LEAST_FRACTURE
            targets.append(np.concatenate([levels.any(axis=1, keepdims=True), levels], axis=1))
        yield {"image": torch.cat(images), "target": torch.from_numpy(np.concatenate(targets)).float()}


def slice_loss(network: nn.Module, batch: Batch) -> torch.Tensor:
    """Class-weighted binary cross-entropy, the eight networks side by side."""
    weight = torch.tensor(SLICE_WEIGHTS, device=batch["target"].device)
    return F.binary_cross_entropy_with_logits(network(batch["image"]).float(), batch["target"], pos_weight=weight)
