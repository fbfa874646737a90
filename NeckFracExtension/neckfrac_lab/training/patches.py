"""What members that look at vertebrae learn first: small pieces of slices, with a break and without, half of each.

A whole vertebra holds a hundred times more bone than break, and a network that began with whole vertebrae was still
at chance after a thousand steps; with pieces it is not after three hundred.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from neckfrac.pipeline.intensity import TISSUE_AND_BONE, Intensity
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .batches import Batch, augmented, matched_pairs, turned
from .cache import Sample, SampleCache
from .vertebrae import LEAST_FRACTURE, imitate_mask

PATCH = 64  # fine voxels (38 mm): the side of a piece
OFF = 16  # fine voxels by which a break may lie off the piece's middle
PIECES = 6  # of each vertebra in a batch
BEYOND = 3  # slices beyond those of the pieces: their neighbours, and what the mask's imitated edge depends on


def patch_batches(
    paths: list[Path], generator: np.random.Generator, size: int = 8, intensity: Intensity = TISSUE_AND_BONE
) -> Iterator[Batch]:
    """image [B, 1, 4, 64, 64], heat [B, 1, 64, 64] (truth mask), target [B]: pieces of `size` vertebrae.

    Matched pairs (`vertebra_sample`) give the same places. A piece without a break is as good as one with.
    """
    source = matched_pairs(paths, generator)
    while True:
        images, heats = [], []
        for samples in some_matched_pairs(source, size):
            places, seed = _places(samples, generator), int(generator.integers(2**32))
            parts, places = _about(samples, places)
            for part in parts:
                for image, heat in _pieces(part, places, seed, intensity):
                    images.append(image)
                    heats.append(heat)
        if images:
            heat = torch.stack(heats)
            broken = (heat.sum(dim=(1, 2, 3)) >= LEAST_FRACTURE).float()
            yield {"image": torch.stack(images), "heat": heat, "target": broken}


def some_matched_pairs(source: Iterator[list[Path]], size: int) -> Iterator[list[Sample]]:
    """The next `size` vertebrae of `matched_pairs`, those of one person together.

    Without fractures of which nobody knows the place.
    """
    for group in islice(source, max(size // 2, 1)):
        if samples := [sample for sample in map(SampleCache.load, group) if sample.get("located", True)]:
            yield samples


def _places(samples: list[Sample], generator: np.random.Generator) -> np.ndarray:
    """[PIECES, 3] z, y, x of middles: about the break of one of the samples, or anywhere on the vertebra."""
    own = [sample["fracture"] == sample["level"] for sample in samples]
    where = np.any(own, axis=0)
    if not where.any():
        where = samples[0]["labels"] == samples[0]["level"]
    areas, limit = np.count_nonzero(where, axis=(1, 2)), np.array(where.shape[1:]) - PATCH // 2
    places = []
    for z in generator.choice(np.flatnonzero(areas >= min(LEAST_FRACTURE, areas.max())), PIECES):
        within = np.argwhere(where[z])
        middle = within[generator.integers(len(within))] + generator.integers(-OFF, OFF + 1, 2)
        places.append((z, *np.clip(middle, PATCH // 2, limit)))
    return np.array(places)


def _about(samples: list[Sample], places: np.ndarray) -> tuple[list[Sample], np.ndarray]:
    """What the pieces show of the samples, and the places in it: all of them would take three times as long."""
    half = PATCH // 2
    lower = np.maximum(places.min(axis=0) - (BEYOND, half, half), 0)
    upper = places.max(axis=0) + (BEYOND + 1, half, half)
    box = tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))
    parts = [{**sample, **{name: sample[name][box] for name in ("hu", "labels", "fracture")}} for sample in samples]
    return parts, places - lower


def _pieces(
    sample: Sample, places: np.ndarray, seed: int, intensity: Intensity = TISSUE_AND_BONE
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The pieces of one sample: image [1, 4, PATCH, PATCH] as `vertebra_crop` makes them, and truth [1, ...]."""
    look = np.random.default_rng(seed)
    hu, flip = augmented(sample["hu"], look), -1 if look.random() < 0.5 else 1
    level, last = sample["level"], len(hu) - 1
    # The true mask leaves gaps out: a network would learn to read the break off it.
    mask = imitate_mask(sample["labels"] == level, look)
    for number, (z, y, x) in enumerate(places):
        view = slice(y - PATCH // 2, y + PATCH // 2), slice(x - PATCH // 2, x + PATCH // 2)
        stack = [hu[(min(max(z + offset, 0), last), *view)] for offset in (0, -1, 1)]
        parts = (np.stack(stack), mask[(z, *view)], sample["fracture"][(z, *view)] == level)
        stack, own, truth = (torch.from_numpy(np.ascontiguousarray(part[..., ::flip])) for part in parts)
        image = torch.cat([intensity(stack), own[None].float()])
        yield turned(image[None], truth[None].float(), np.random.default_rng([seed, number]))


def patch_loss(network: nn.Module, batch: Batch) -> torch.Tensor:
    """Broken or not, twice (as a slice and as a whole of one slice), and where: cross-entropies."""
    output = network(batch["image"])
    told = (output["logit"], output["slice_logits"][:, 0])
    where = heatmap_loss(output["heat"].float(), batch["heat"])
    return 2 * where + sum(F.binary_cross_entropy_with_logits(part.float(), batch["target"]) for part in told)


def heatmap_loss(heat: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of heat maps of pieces [B, V, h, w] (logits) with their truth masks [B, V, y, x]."""
    truth = F.adaptive_max_pool2d(truth, heat.shape[-2:])
    return F.binary_cross_entropy_with_logits(heat, truth, pos_weight=torch.tensor(2.0, device=heat.device))
