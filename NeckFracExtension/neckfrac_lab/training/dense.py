"""How the dense detector learns: crops about fracture surfaces, the same places intact, and other bone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from monai.losses import DiceLoss
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.networks.dense_unet import STRIDE
from neckfrac.pipeline.dense_features import Scale, features
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .batches import Batch
from .cache import SampleCache
from .dense_augment import augment

CROP = (24, 48, 48)  # [z, y, x] fine voxels: 24 x 29 x 29 mm
SMALL_CROP = (16, 32, 32)  # likewise, of the first steps: more fractures a second, less of what surrounds them
ROOM = (2, 4, 4)  # fine voxels more on each side, which augmentation and top-hats look at
OFF = 0.28  # share of a crop's side by which a fracture may lie off its middle
PLACES = 8  # of a batch; each is shown fractured and intact
SMALL_PLACES = 14  # of a batch of small crops
OTHER_BONE = 0.2  # share of the places that are anywhere on the vertebrae
POSITIVE_WEIGHT = 3.0  # of fractured voxels in the cross-entropy
HOTTEST = 24  # voxels whose answer is pressed down (outside the truth) or up (inside it)
TERMS = {"cross-entropy": 10.0, "dice": 1.0, "hottest": 0.4}
KEPT = 400  # places of each level's surface that are kept in memory
SAMPLES_IN_MEMORY = 600


@dataclass(frozen=True, eq=False)
class Pair:
    """A sample of `dense_sample`, ready to be cropped.

    surfaces: [7] of int [n, 3], places on the fracture surfaces of C1 to C7; fractured_in: [7], in which volume.
    bone: int [n, 3], places on vertebrae.
    """

    hu: np.ndarray
    truth: np.ndarray
    scale: Scale
    surfaces: list[np.ndarray]
    fractured_in: np.ndarray
    bone: np.ndarray


@lru_cache(maxsize=SAMPLES_IN_MEMORY)
def load_pair(path: Path) -> Pair:
    """Read once, kept in memory (about 12 MB each)."""
    sample = SampleCache.load(path)
    generator = np.random.default_rng(int(path.stem))
    fractured_in = sample["fractured"].argmax(axis=0)
    surfaces = [
        _some(np.argwhere(sample["truth"][fractured_in[n]] == n + 1), generator) for n in range(len(LEVEL_NAMES))
    ]
    labels = sample["labels"][0]
    bone = _some(np.argwhere((labels > 0) & (labels <= len(LEVEL_NAMES))), generator)
    return Pair(sample["hu"], sample["truth"], Scale.of(sample["hu"][0]), surfaces, fractured_in, bone)


def _some(places: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return places if len(places) <= KEPT else places[generator.choice(len(places), KEPT, replace=False)]


def small_dense_batches(paths: list[Path], generator: np.random.Generator) -> Iterator[Batch]:
    """`dense_batches` of small crops."""
    return dense_batches(paths, generator, SMALL_PLACES, SMALL_CROP)


def dense_batches(
    paths: list[Path], generator: np.random.Generator, size: int = PLACES, crop: tuple[int, int, int] = CROP
) -> Iterator[Batch]:
    """image [2 P, 3, z, y, x] of `crop`, truth [2 P, z, y / 2, x / 2] (0 or 1): P places (`size`), twice each.

    Both crops of a place are of the same person, pose, scan and augmentation; what is fractured in one is intact in the
    other.
    """
    outer = np.array(crop) + 2 * np.array(ROOM)
    while True:
        crops, truths, scales = [], [], []
        for path in generator.choice(len(paths), size):
            pair = load_pair(paths[path])
            low = _corner(pair, generator, outer)
            box = (slice(None), *(slice(a, a + n) for a, n in zip(low, outer, strict=True)))
            crops.append(_padded(pair.hu[box], outer, -1024))
            truths.append(_padded(pair.truth[box], outer, 0) > 0)
            scales.append((pair.scale.muscle, pair.scale.bone))
        hu = torch.from_numpy(np.stack(crops)).float()  # [P, 2, z, y, x]
        truth = torch.from_numpy(np.stack(truths))
        scaled, truth = augment(hu, truth, torch.tensor(scales), generator)
        inside = (slice(None), *(slice(r, r + n) for r, n in zip(ROOM, crop, strict=True)))
        image = features(scaled.flatten(0, 1))[(slice(None), *inside)]
        truth = F.max_pool3d(truth.flatten(0, 1)[inside][:, None].float(), STRIDE)[:, 0]
        yield {"image": image, "truth": truth}


def _corner(pair: Pair, generator: np.random.Generator, outer: np.ndarray) -> np.ndarray:
    """Where a crop with its room begins: about a fracture surface, or anywhere on the vertebrae."""
    there = [surface for surface in pair.surfaces if len(surface)]
    anywhere = generator.random() < OTHER_BONE or not there
    points = pair.bone if anywhere else there[generator.integers(len(there))]
    point = points[generator.integers(len(points))] if len(points) else np.array(pair.hu.shape[1:]) // 2
    off = np.round(OFF * (outer - 2 * np.array(ROOM))).astype(int)
    low = point + generator.integers(-off, off + 1) - outer // 2
    return np.clip(low, 0, np.maximum(np.array(pair.hu.shape[1:]) - outer, 0))


def _padded(part: np.ndarray, outer: np.ndarray, fill: int) -> np.ndarray:
    """part [2, ...] with `fill` up to the wanted size, where a volume is smaller than a crop."""
    if part.shape[1:] == tuple(outer):
        return part
    missing = [(0, n - have) for n, have in zip(outer, part.shape[1:], strict=True)]
    return np.pad(part, [(0, 0), *missing], constant_values=fill)


def dense_loss(network: nn.Module, batch: Batch) -> torch.Tensor:
    """Cross-entropy of all voxels, Dice, and the hottest voxels outside and inside the truth."""
    logits, truth = network(batch["image"]).float(), batch["truth"]
    weight = torch.tensor(POSITIVE_WEIGHT, device=logits.device)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, pos_weight=weight)
    dice = DiceLoss(sigmoid=True, batch=True)(logits[:, None], truth[:, None])
    flat, inside = logits.flatten(1), truth.flatten(1) > 0
    outside_hottest = flat.masked_fill(inside, -20.0).topk(HOTTEST, dim=1).values
    fractured = inside.sum(dim=1) >= HOTTEST
    pressed = F.softplus(outside_hottest).mean()
    if fractured.any():
        raised = flat[fractured].masked_fill(~inside[fractured], -20.0).topk(HOTTEST, dim=1).values
        pressed = pressed + F.softplus(-raised).mean()
    return TERMS["cross-entropy"] * entropy + TERMS["dice"] * dice + TERMS["hottest"] * pressed
