"""What the member that looks at three planes learns first: small pieces of all three about a break, and without one.

A break that lies flat (through the dens, under an endplate) shows in no axial piece, so Model II's pieces do not teach
what upright views are for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from neckfrac.members.planes import DEPTH, Box, Places
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .batches import Batch, augmented, matched_pairs
from .cache import Sample
from .patches import PATCH, PIECES, heatmap_loss, some_matched_pairs
from .three_planes import PLANE_ROWS, broken_views, pictures_and_truth
from .vertebrae import imitate_mask

HEIGHT = PATCH * DEPTH // PLANE_ROWS + 1  # fine slices that PATCH rows of an upright view show (42 mm)
OFF = np.array([8, 14, 14])  # fine voxels (z, y, x) by which the views' common point may lie off the pieces' middle


def plane_patch_batches(paths: list[Path], generator: np.random.Generator, size: int = 4) -> Iterator[Batch]:
    """axial [B, 1, 3, 64, 64], upright [B, 2, 3, 64, 64], axial_heat and upright_heat: their truth masks, without
    channels; pieces of `size` vertebrae.

    Matched pairs (`vertebra_sample`) give the same places. A piece without a break is as good as one with.
    """
    source, names = matched_pairs(paths, generator), ("axial", "axial_heat", "upright", "upright_heat")
    while True:
        rows = []
        for samples in some_matched_pairs(source, size):
            points, seed = _points(samples, generator), int(generator.integers(2**32))
            rows += [row for sample in samples for row in _pieces(sample, points, seed)]
        if rows:
            yield {name: torch.stack(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _points(samples: list[Sample], generator: np.random.Generator) -> np.ndarray:
    """[PIECES, 3] z, y, x: on the break of one of the samples, or anywhere on the vertebra."""
    where = np.argwhere(np.any([sample["fracture"] == sample["level"] for sample in samples], axis=0))
    if not len(where):
        where = np.argwhere(samples[0]["labels"] == samples[0]["level"])
    return where[generator.integers(len(where), size=PIECES)]


def _pieces(sample: Sample, points: np.ndarray, seed: int) -> Iterator[tuple[torch.Tensor, ...]]:
    """Axial piece, its truth, sagittal and coronal pieces, their truth: of each point, as `pictures` shows them."""
    look = np.random.default_rng(seed)
    hu, flip = augmented(sample["hu"], look), -1 if look.random() < 0.5 else 1
    # The true mask leaves gaps out: a network would learn to read the break off it.
    mask = imitate_mask(sample["labels"] == sample["level"], look)
    parts = (hu, mask, sample["fracture"] == sample["level"])
    hu, mask, truth = (torch.from_numpy(np.ascontiguousarray(part[..., ::flip])) for part in parts)
    shape, half = np.array(hu.shape), np.array([HEIGHT, PATCH, PATCH]) // 2
    for z, y, x in points:
        point = np.array([z, y, x if flip == 1 else shape[2] - 1 - x])
        first = point + look.integers(-OFF, OFF + 1) - half
        first[1:] = np.clip(first[1:], 0, shape[1:] - PATCH)
        slices = np.clip(np.arange(first[0], first[0] + HEIGHT), 0, shape[0] - 1)
        cut = (slices, slice(first[1], first[1] + PATCH), slice(first[2], first[2] + PATCH))
        # The views pass through the point, which lies anywhere in them: what is in the middle is no sign of a break.
        axial, coronal, sagittal = (point - first)[:, None]
        places = Places(axial, sagittal, coronal)
        box = Box(hu[cut], mask[cut], tuple(first), slices)
        yield pictures_and_truth(box, truth[cut], places, PATCH, look)


def plane_patch_loss(network: nn.Module, batch: Batch) -> torch.Tensor:
    """Broken or not, of each view and of the three together, and where: cross-entropies."""
    output = network(batch["axial"], batch["upright"])
    truths = batch["axial_heat"], batch["upright_heat"]
    broken = broken_views(truths)
    told = (output["logit"], broken.amax(dim=1)), (output["view_logits"], broken)
    heats = output["heat"], output["upright_heat"]
    where = sum(heatmap_loss(heat.float(), truth) for heat, truth in zip(heats, truths, strict=True)) / len(truths)
    return 2 * where + sum(F.binary_cross_entropy_with_logits(logits.float(), truth) for logits, truth in told)
