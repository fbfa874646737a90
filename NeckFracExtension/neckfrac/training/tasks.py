"""What each network learns: its batches and its loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from ..anatomy import N_CLASSES, N_LEVELS
from ..pipeline.crops import axial_slices, cut, vertebra_crop
from ..pipeline.intensity import BONE_WINDOW, TISSUE_AND_BONE
from .cache import Sample, SampleCache
from .loop import Schedule
from .samples import LOCATE_PATCH

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Task:
    """All that is needed to train one network and to write its bundle.

    network: bundle config with its ``_target_``. batches(paths, generator) yields without end.
    """

    name: str
    step: str
    bundle: str
    cache: str  # "locate" or "slabs"
    network: dict[str, Any]
    preprocessing: dict[str, Any]
    schedule: Schedule
    batches: Callable[[list[Path], np.random.Generator], Iterator[Batch]]
    loss: Callable[[nn.Module, Batch], torch.Tensor]
    description: str
    reduced: bool = True  # bfloat16 in training


def augment_hu(hu: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A stored sample seen by another scanner: gain, offset and a little noise. int16 HU to float32 HU."""
    hu = hu.astype(np.float32)
    if generator.random() < 0.5:
        hu = (hu + 1024) * np.float32(generator.uniform(0.9, 1.1)) - 1024 + np.float32(generator.normal(0, 20))
    if generator.random() < 0.3:
        hu = hu + generator.normal(0, generator.uniform(5, 30), hu.shape).astype(np.float32)
    return hu


def _paths(paths: list[Path], generator: np.random.Generator) -> Iterator[Path]:
    while True:
        yield from (paths[n] for n in generator.permutation(len(paths)))


# --- locate -------------------------------------------------------------------------------------


def locate_batches(paths: list[Path], generator: np.random.Generator, size: int = 2) -> Iterator[Batch]:
    """image [B, 1, z, y, x], labels [B, z, y, x]; flipped left-right by chance."""
    source = _paths(paths, generator)
    while True:
        images, labels = [], []
        for _ in range(size):
            sample = SampleCache.load(next(source))
            flip = slice(None, None, -1 if generator.random() < 0.5 else 1)
            hu = augment_hu(sample["hu"], generator)
            images.append(TISSUE_AND_BONE(torch.from_numpy(np.ascontiguousarray(hu[..., flip]))))
            labels.append(torch.from_numpy(np.ascontiguousarray(sample["labels"][..., flip])))
        yield {"image": torch.stack(images)[:, None], "labels": torch.stack(labels).long()}


# Background counts for little in the cross-entropy: it is nine tenths of all voxels, and with even weights the
# networks forgot the levels that few samples hold.
BACKGROUND_WEIGHT = 0.15


def dice_and_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """MONAI's soft Dice over the classes that the batch holds, plus weighted cross-entropy. labels: class indices.

    A class that the batch lacks must not count: its Dice is lost whatever is answered, and its gradient, which
    grows as the answer nears zero, unlearns the class. A first training lost C1 and C3 to C6 that way.
    """
    from monai.losses import DiceLoss

    logits = logits.float()
    n = logits.shape[1]
    dice = DiceLoss(to_onehot_y=True, softmax=True, include_background=False, batch=True, reduction="none")
    per_class = dice(logits, labels[:, None]).flatten()
    present = torch.bincount(labels.flatten(), minlength=n)[1:] > 0
    weight = torch.ones(n, device=logits.device)
    weight[0] = BACKGROUND_WEIGHT
    overlap = per_class[present].mean() if bool(present.any()) else logits.sum() * 0
    return overlap + F.cross_entropy(logits, labels, weight=weight)


def locate_loss(network: nn.Module, batch: Batch) -> torch.Tensor:
    """Dice and cross-entropy at every depth that the network answers at, each deeper one counting half."""
    outputs = network(batch["image"])
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    total, weights = 0.0, 0.0
    for depth, logits in enumerate(outputs):
        labels = batch["labels"]
        if logits.shape[2:] != labels.shape[1:]:
            labels = F.interpolate(labels[:, None].float(), size=logits.shape[2:], mode="nearest")[:, 0].long()
        total, weights = total + 0.5**depth * dice_and_cross_entropy(logits, labels), weights + 0.5**depth
    return total / weights


# --- segment ------------------------------------------------------------------------------------

NEIGHBOURS = 2
WINDOW = 192


def imitate_prior(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """What `locate` would say of a slab: float16 [9, z, y, x] on a grid of about 2 mm, with its kinds of error.

    Each class is blurred, moved a little and unevenly sure; borders between levels blur most.
    """
    from scipy import ndimage

    coarse = labels[::2, ::3, ::3]  # 2 x 1.8 x 1.8 mm
    sigma = generator.uniform(0.5, 1.6)
    prior = np.empty((N_LEVELS + 2, *coarse.shape), np.float32)
    shift = generator.normal(0, 0.5, 3)
    for label in range(N_LEVELS + 2):
        mask = coarse == label
        if not mask.any():
            prior[label] = 0
            continue
        move = shift + generator.normal(0, 0.3, 3)
        field = ndimage.gaussian_filter(mask.astype(np.float32), sigma)
        prior[label] = ndimage.shift(field, move, order=1, mode="nearest") * generator.uniform(0.7, 1.3)
    prior += 0.02
    sharpness = generator.uniform(1.0, 2.5)
    prior = prior**sharpness
    return (prior / prior.sum(axis=0)).astype(np.float16)


def segment_batches(paths: list[Path], generator: np.random.Generator, size: int = 8) -> Iterator[Batch]:
    """image [B, 5 + 9, y, x] and labels [B, y, x]: `size` slices of one slab."""
    source = _paths(paths, generator)
    while True:
        sample = SampleCache.load(next(source))
        flip = slice(None, None, -1 if generator.random() < 0.5 else 1)
        labels = np.ascontiguousarray(sample["labels"][..., flip])
        hu = TISSUE_AND_BONE(torch.from_numpy(np.ascontiguousarray(augment_hu(sample["hu"], generator)[..., flip])))
        prior = torch.from_numpy(imitate_prior(labels, generator)).float()
        prior = F.interpolate(prior[None], size=labels.shape, mode="trilinear", align_corners=False)[0]
        slices = generator.choice(np.arange(NEIGHBOURS, len(labels) - NEIGHBOURS), size, replace=False)
        images = [torch.cat([hu[z - NEIGHBOURS : z + NEIGHBOURS + 1], prior[:, z]]) for z in slices]
        yield {"image": torch.stack(images), "labels": torch.from_numpy(labels[slices]).long()}


def segment_loss(network: nn.Module, batch: Batch) -> torch.Tensor:
    return dice_and_cross_entropy(network(batch["image"]), batch["labels"])


# --- Model I ------------------------------------------------------------------------------------

# NeckFrac's class weights of the eight networks: patient, C1...C7 (REFERENCE: 2,019 RSNA patients).
SLICE_WEIGHTS = (1.05, 6.91, 3.54, 13.83, 9.35, 6.23, 3.64, 2.57)
SLICE_SIZE = 128
LEAST_FRACTURE = 12  # voxels of truth in a slice (about 4 mm2) from which the slice counts as fractured


def slice_batches(paths: list[Path], generator: np.random.Generator, size: int = 16) -> Iterator[Batch]:
    """image [B, 3, 128, 128], target [B, 8]: slices of four slabs, each labelled by where its fracture is."""
    source = _paths(paths, generator)
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


# --- Model II -----------------------------------------------------------------------------------

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
    source = _paths(paths, generator)
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


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "locate",
            "locate",
            "neckfrac-locate",
            "locate",
            {"_target_": "neckfrac.networks.locate_unet.LocateUNet", "n_classes": N_CLASSES},
            {**TISSUE_AND_BONE.to_dict(), "spacing_mm": [2.0, 2.0, 2.0], "window": list(LOCATE_PATCH)},
            Schedule(steps=2400),
            locate_batches,
            locate_loss,
            "3D U-Net that finds C1 to C7 on a 2 mm grid of the whole scan.",
        ),
        Task(
            "segment",
            "segment",
            "neckfrac-segment",
            "slabs",
            {"_target_": "neckfrac.networks.segment_unet.SegmentUNet", "neighbours": NEIGHBOURS},
            {
                **TISSUE_AND_BONE.to_dict(),
                "spacing_mm": [1.0, 0.6, 0.6],
                "window": WINDOW,
                "neighbours": NEIGHBOURS,
            },
            Schedule(steps=2400),
            segment_batches,
            segment_loss,
            "2.5D U-Net that segments C1 to C7, a slice with its neighbours and the located levels.",
        ),
        Task(
            "model1",
            "slices",
            "neckfrac-model-one",
            "slabs",
            {"_target_": "neckfrac.networks.slice_classifier.ModelOne"},
            {**BONE_WINDOW.to_dict(), "size": SLICE_SIZE, "step": 2},
            Schedule(steps=1200),
            slice_batches,
            slice_loss,
            "Model I: eight EfficientNets on axial slices, for the patient and C1 to C7.",
            reduced=False,
        ),
        Task(
            "model2",
            "vertebrae",
            "neckfrac-model-two",
            "slabs",
            {"_target_": "neckfrac.networks.vertebra_sequence.VertebraSequence", "slices": VERTEBRA_SLICES},
            {**TISSUE_AND_BONE.to_dict(), "slices": VERTEBRA_SLICES, "size": VERTEBRA_SIZE},
            Schedule(steps=1600, learning_rate=2e-3),
            vertebra_batches,
            vertebra_loss,
            "Model II: ResNet and bidirectional GRU over a vertebra's slices, its mask as a channel.",
        ),
    )
}
