"""Classify: how likely each level is fractured, as each member of the ensemble sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..anatomy import LEVEL_NAMES, LEVELS
from ..progress import Progress
from .crops import VertebraCrop, axial_slices, vertebra_crop
from .device import reduced_precision
from .intensity import Intensity
from .segment import Segmented

if TYPE_CHECKING:
    from .dense import DenseAnswer

LEAST_VOXELS = 300  # of a level on the fine grid (about 0.1 ml): less is no picture of a vertebra
SHARPNESS = 8  # exponent of the mean over slices: 1 is the mean, infinity the maximum


@dataclass(frozen=True, eq=False)
class Opinion:
    """What one member says: probability by level, perhaps of the patient, and where: by level, or of all voxels."""

    levels: dict[str, float]
    patient: float | None = None
    heat: dict[str, tuple[VertebraCrop, np.ndarray]] = field(default_factory=dict)
    dense: DenseAnswer | None = None


def pool_slices(probabilities: np.ndarray, areas: np.ndarray) -> float:
    """One probability from those of the slices [n], weighted by the area [n] that each cuts.

    The generalised mean (sum w p^k / sum w)^(1/k): near the largest, yet one slice that barely grazes
    the vertebra does not decide. A slice counts for every vertebra that it cuts.
    """
    weights = areas / areas.sum()
    return float((weights * probabilities**SHARPNESS).sum() ** (1 / SHARPNESS))


@torch.inference_mode()
def classify_slices(
    segmented: Segmented,
    network: torch.nn.Module,
    *,
    intensity: Intensity,
    field: int,
    size: int,
    step: int,
    device: torch.device,
    progress: Progress,
    batch: int = 32,
) -> Opinion:
    """Model I: eight networks (patient, C1...C7) on axial slices, every `step`-th of the fine grid.

    field: fine voxels, the side of the square about the spine that each slice shows.
    """
    areas = np.stack([np.count_nonzero(segmented.labels == level.label, axis=(1, 2)) for level in LEVELS], axis=1)
    slices = [z for z in range(0, len(areas), step) if areas[z].any()]
    hu, corners = torch.from_numpy(segmented.hu), field_corners(segmented, slices, field)
    outputs = []
    for start in range(0, len(slices), batch):
        progress.step(start / len(slices))
        chosen = slices[start : start + batch]
        where = corners[start : start + batch]
        images = axial_slices(hu, chosen, where, field, size, intensity).to(device)
        with reduced_precision(device):
            logits = network(images.contiguous(memory_format=torch.channels_last))
        outputs.append(logits.float().sigmoid().cpu().numpy())
    if not outputs:
        return Opinion({})
    probabilities, areas = np.concatenate(outputs), areas[slices].astype(float)
    levels = {
        name: pool_slices(probabilities[:, n + 1], areas[:, n])
        for n, name in enumerate(LEVEL_NAMES)
        if areas[:, n].sum() * step >= LEAST_VOXELS
    }
    return Opinion(levels, pool_slices(probabilities[:, 0], areas.sum(axis=1)))


def field_corners(segmented: Segmented, slices: list[int], field: int) -> np.ndarray:
    """First row and column [slices, 2] of a square of `field` voxels about the vertebrae of each slice."""
    corners = []
    limit = np.maximum(np.array(segmented.labels.shape[1:]) - field, 0)
    for z in slices:
        places = np.argwhere(segmented.labels[z])
        middle = (places.min(axis=0) + places.max(axis=0) + 1) / 2
        corners.append(np.clip(np.rint(middle - field / 2), 0, limit))
    return np.array(corners, int).reshape(-1, 2)


def present(
    segmented: Segmented, levels: Sequence[str], progress: Progress
) -> Iterator[tuple[str, np.ndarray, Progress]]:
    """Name, mask [z, y, x] and progress of each level that is large enough to be asked about."""
    for n, name in enumerate(levels):
        part = progress.part(n / len(levels), (n + 1) / len(levels))
        part.step(0.0)
        mask = segmented.of(name)
        if np.count_nonzero(mask) >= LEAST_VOXELS:
            yield name, mask, part


@torch.inference_mode()
def classify_vertebrae(
    segmented: Segmented,
    network: torch.nn.Module,
    *,
    intensity: Intensity,
    slices: int,
    size: int,
    device: torch.device,
    progress: Progress,
) -> Opinion:
    """Model II: a network over the slices of each vertebra, its mask as a channel; with a heat map."""
    hu = torch.from_numpy(segmented.hu)
    levels: dict[str, float] = {}
    heat: dict[str, tuple[VertebraCrop, np.ndarray]] = {}
    for name, mask, _ in present(segmented, LEVEL_NAMES, progress):
        crop = vertebra_crop(hu, torch.from_numpy(mask), slices, size, intensity)
        with reduced_precision(device):
            output = network(crop.images[None].to(device))
        levels[name] = float(output["logit"].float().sigmoid())
        heat[name] = (crop, output["heat"][0].float().sigmoid().cpu().numpy())
    return Opinion(levels, None, heat)
