"""Whole necks in nine sagittal images: how they are simulated, and what is learnt from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from neckfrac.anatomy import LEVEL_NAMES, N_LEVELS
from neckfrac.members.sagittal import COLUMNS, LEAST_CELLS, MARGIN, PLANE_GAP, PLANES, ROWS, shown
from neckfrac.pipeline.intensity import TISSUE_AND_BONE
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .batches import Batch, augment_hu, between_voxels, shuffled, turned
from .cache import Sample, SampleCache
from .samples import Necks
from .vertebrae import heat_loss

FRACTURED = 0.5  # share of the studies
LEVEL_WEIGHT = 4.0  # of a broken level: in a batch about one level in ten is


def sagittal_sample(necks: Necks, seed: int) -> Sample:
    """Nine sagittal images of one neck; half of the necks are fractured, in levels as in RSNA 2022.

    hu int16, labels uint8 (classes of `anatomy`) and fracture uint8 (level label), [PLANES, ROWS, COLUMNS];
    fractured: bool [7], the broken levels, whether their fractures cross a plane or not; kinds: of the fractures.
    Rendered at 1 mm: on planes 4 mm apart the simulator would blur what a scanner would not.
    """
    from neckfrac_lab.simulate.fractures.fracture import draw_fractured_levels, random_fracture, random_mimic
    from neckfrac_lab.simulate.study import Grid, Variation, simulate_study

    generator = np.random.default_rng([5, seed])
    variety = necks.draw_variety(generator, Variation())
    frames = variety.neck.frames
    broken = draw_fractured_levels(generator) if generator.random() < FRACTURED else []
    fractures = [random_fracture(name, frames[name], seed=seed) for name in broken]
    mimics = list(variety.mimics)
    if generator.random() < 0.4:
        name = str(generator.choice(LEVEL_NAMES))
        mimics.append(random_mimic(name, frames[name], seed=seed))
    step = int(PLANE_GAP)
    offset = generator.normal(0, 1, 3) * (1.5, 4, 5) + (0, 12, 0)  # the arches lie behind the bodies
    shape = (ROWS, COLUMNS, step * (PLANES - 1) + 1)
    grid = Grid(shape, (1.0, 1.0, 1.0), ("C4", tuple(map(float, offset))))
    study = simulate_study(
        variety.neck, seed=seed, grid=grid, fractures=fractures, mimics=mimics, variation=variety.variation
    )
    parts = {"hu": study.volume.voxels, "labels": study.labels, "fracture": study.fracture}
    return {
        **{name: np.ascontiguousarray(np.moveaxis(part, 2, 0)[::step]) for name, part in parts.items()},
        "fractured": np.array([name in broken for name in LEVEL_NAMES]),
        "kinds": np.array([field.kind for field in fractures], dtype=str),
    }


def sagittal_batches(paths: list[Path], generator: np.random.Generator, size: int = 4) -> Iterator[Batch]:
    """image [B, 9, 176, 128], labels (int64) and heat (truth mask) of the same shape, target [B, 8] (the patient's
    first), seen [B, 7]."""
    source = shuffled(paths, generator)
    while True:
        samples = [sagittal_look(SampleCache.load(next(source)), generator) for _ in range(size)]
        yield {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}


def sagittal_look(sample: Sample, generator: np.random.Generator) -> Batch:
    """A sample as one of its many looks, without the batch's axis."""
    order = slice(None, None, -1 if generator.random() < 0.5 else 1)  # left and right change places
    known = np.ascontiguousarray(np.where(sample["labels"] <= N_LEVELS, sample["labels"], 0)[order])
    hu = between_voxels(augment_hu(sample["hu"], generator), generator, axes=(1, 2))
    hu = torch.from_numpy(np.ascontiguousarray(hu[order]))
    fracture = torch.from_numpy((sample["fracture"][order] > 0).astype(np.float32))
    numbers = torch.arange(1, N_LEVELS + 1)[:, None, None]
    masks = (torch.from_numpy(known)[:, None] == numbers).float()
    turned_ones, heat = turned(torch.cat([hu[:, None], masks], dim=1), fracture, generator)
    surest, labels = turned_ones[:, 1:].max(dim=1)
    # Segmented outlines are never exact: now a little too wide, now too narrow.
    labels = torch.where(surest > generator.uniform(0.2, 0.8), labels + 1, 0)
    margin = MARGIN + int(generator.integers(-4, 5))
    image = TISSUE_AND_BONE(torch.from_numpy(shown(turned_ones[:, 0].numpy(), labels.numpy(), margin)))
    counts = torch.bincount(labels.flatten(), minlength=N_LEVELS + 1)[1:]
    levels = torch.from_numpy(sample["fractured"]).float()
    target = torch.cat([levels.amax(dim=0, keepdim=True), levels])
    return {
        "image": image, "labels": labels, "heat": heat, "target": target,
        "seen": (counts >= LEAST_CELLS).float(),
    }  # fmt: skip


def sagittal_loss(network: nn.Module, batch: Batch) -> torch.Tensor:
    """Patient, levels that are seen, and where: cross-entropies."""
    output = network(batch["image"], batch["labels"])
    logits, target = output["logits"].float(), batch["target"]
    patient = F.binary_cross_entropy_with_logits(logits[:, 0], target[:, 0])
    weight = torch.tensor(LEVEL_WEIGHT, device=logits.device)
    levels = F.binary_cross_entropy_with_logits(
        logits[:, 1:], target[:, 1:], batch["seen"], pos_weight=weight, reduction="sum"
    )
    everywhere = torch.ones((len(target), 1, 1, 1), device=logits.device)
    where = heat_loss(output["heat"].float(), batch["heat"], everywhere)
    return patient + levels / batch["seen"].sum().clamp_min(1) + 0.5 * where
