"""What Model I learns: axial slices, each labelled by where the fracture is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from neckfrac.anatomy import N_LEVELS
from neckfrac.pipeline.crops import axial_slices
from neckfrac.pipeline.intensity import BONE_WINDOW
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .batches import Batch, augmented, shuffled, turned
from .cache import SampleCache
from .patches import heatmap_loss, patch_batches
from .vertebrae import LEAST_FRACTURE

# NeckFrac's class weights of the eight networks: patient, C1...C7 (REFERENCE: 2,019 RSNA patients).
SLICE_WEIGHTS = (1.05, 6.91, 3.54, 13.83, 9.35, 6.23, 3.64, 2.57)
SLICE_SIZE = 128
SLICE_FIELD = 128  # fine voxels (77 mm): the side of the square about the spine that a slice shows
OF_A_SAMPLE = 4  # slices of each vertebra in a batch


def slice_batches(paths: list[Path], generator: np.random.Generator, size: int = 16) -> Iterator[Batch]:
    """image [B, 3, 128, 128], target [B, 8]: slices of B / 4 vertebrae, each labelled by where its fracture is."""
    source = shuffled(paths, generator)
    while True:
        images, targets = [], []
        while len(images) < size // OF_A_SAMPLE:
            sample = SampleCache.load(next(source))
            if not sample.get("located", True):
                continue  # in which slices it is broken nobody knows
            flip = slice(None, None, -1 if generator.random() < 0.5 else 1)
            hu = torch.from_numpy(np.ascontiguousarray(augmented(sample["hu"], generator)[..., flip]))
            fracture = torch.from_numpy(np.ascontiguousarray(sample["fracture"][..., flip]))
            candidates = np.flatnonzero((sample["labels"] == sample["level"]).any(axis=(1, 2)))
            broken = np.flatnonzero(np.count_nonzero(sample["fracture"], axis=(1, 2)) >= LEAST_FRACTURE)
            chosen = generator.choice(candidates, OF_A_SAMPLE)
            if len(broken):
                # Half of a broken vertebra's slices show the break, or it would hardly be met.
                chosen[: OF_A_SAMPLE // 2] = generator.choice(broken, OF_A_SAMPLE // 2)
            corner = np.rint((np.array(hu.shape[1:]) - SLICE_FIELD) / 2 + generator.normal(0, 2, 2))
            corner = np.clip(corner, 0, np.array(hu.shape[1:]) - SLICE_FIELD).astype(int)
            corners = np.tile(corner, (len(chosen), 1))
            image = axial_slices(hu, chosen.tolist(), corners, SLICE_FIELD, SLICE_SIZE, BONE_WINDOW)
            image, _ = turned(image, image[:, 0], generator)
            images.append(image)
            counts = [(fracture[chosen] == n).sum(dim=(1, 2)) for n in range(1, N_LEVELS + 1)]
            levels = torch.stack(counts, dim=1) >= LEAST_FRACTURE
            targets.append(torch.cat([levels.any(dim=1, keepdim=True), levels], dim=1))
        yield {"image": torch.cat(images), "target": torch.cat(targets).float()}


def slice_patch_batches(paths: list[Path], generator: np.random.Generator) -> Iterator[Batch]:
    """`patch_batches` in Model I's window."""
    return patch_batches(paths, generator, intensity=BONE_WINDOW)


def slice_patch_loss(network: nn.Module, batch: Batch) -> torch.Tensor:
    """Broken or not, and where, of the first of the eight networks alone: a broken piece looks alike at all levels."""
    logits, heat = network.classifiers[0].look(batch["image"][:, 0, :3])
    where = heatmap_loss(heat, batch["heat"])
    return 2 * where + F.binary_cross_entropy_with_logits(logits[:, 0], batch["target"])


def begin_alike(network: nn.Module) -> None:
    """Give all eight networks what the first has learned of pieces."""
    for other in network.classifiers[1:]:
        other.load_state_dict(network.classifiers[0].state_dict())


def slice_loss(network: nn.Module, batch: Batch) -> torch.Tensor:
    """Class-weighted binary cross-entropy, the eight networks side by side."""
    weight = torch.tensor(SLICE_WEIGHTS, device=batch["target"].device)
    return F.binary_cross_entropy_with_logits(network(batch["image"]).float(), batch["target"], pos_weight=weight)
