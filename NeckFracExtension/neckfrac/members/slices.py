"""Model I: eight networks (patient, C1 to C7) on axial slices."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from ..anatomy import LEVEL_NAMES, LEVELS
from ..bundles.tensors import numbered, tensor
from ..pipeline.crops import VertebraCrop, axial_slices, cut
from ..pipeline.device import reduced_precision
from ..pipeline.grids import AIR
from ..pipeline.intensity import Intensity
from ..pipeline.saliency import Score, saliency
from ..pipeline.segment import Segmented
from ..progress import Progress
from ._levels import LEAST_VOXELS, present, scaled
from ._prediction import LevelHeat, MemberPrediction

TITLE = "Model I: fracture probability of patient and levels from axial slices"
IN_BATCHES = True
HAS_HEATMAP = False
SHARPNESS = 8  # exponent of the mean over slices: 1 is the mean, infinity the maximum


def data_format(network_config: dict[str, Any]) -> dict[str, Any]:
    """The network's tensors in MONAI's terms (channel first, batch left out)."""
    size = network_config.get("size", 128)
    image = tensor("image", [size, size], numbered("axial slice", network_config.get("in_channels", 3)))
    prediction = tensor("probabilities", [], dict(enumerate(("patient", *LEVEL_NAMES))), "classes")
    return {"inputs": {"image": image}, "outputs": {"logits": prediction}}


@torch.inference_mode()
def predict(
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
) -> MemberPrediction:
    """Probabilities of patient and levels from axial slices, every `step`-th of the fine grid.

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
        return MemberPrediction({})
    probabilities, areas = np.concatenate(outputs), areas[slices].astype(float)
    levels = {
        name: pool_slices(probabilities[:, n + 1], areas[:, n])
        for n, name in enumerate(LEVEL_NAMES)
        if areas[:, n].sum() * step >= LEAST_VOXELS
    }
    return MemberPrediction(levels, pool_slices(probabilities[:, 0], areas.sum(axis=1)))


def explain(
    segmented: Segmented, network: nn.Module, *, levels: list[str], method: str, intensity: Intensity,
    field: int, size: int, step: int, device: torch.device, progress: Progress,
) -> LevelHeat:  # fmt: skip
    """Each level's slices as `predict` shows them, weighed as in its pooled probability."""
    hu, heat = torch.from_numpy(segmented.hu), {}
    window = tuple(min(field, length) for length in segmented.labels.shape[1:])
    for name, mask, part in present(segmented, levels, progress):
        areas = np.count_nonzero(mask, axis=(1, 2))[::step]
        cuts = np.flatnonzero(areas)
        if not len(cuts):
            continue
        rows = np.arange(cuts[0], cuts[-1] + 1)
        chosen = (step * rows).tolist()
        corners = field_corners(segmented, chosen, field)
        images = axial_slices(hu, chosen, corners, field, size, intensity)[None].to(device)
        weights = torch.from_numpy(areas[rows] / areas.sum()).to(device)
        label = LEVEL_NAMES.index(name) + 1
        single = hasattr(network, "classifiers")  # then one of the eight answers alone
        score = Score(
            network.classifiers[label] if single else network,
            lambda network, x, w=weights, n=0 if single else label: pooled(network(x[0])[:, n], w),
        )
        found = torch.from_numpy(saliency(score, images, method, progress=part))[:, None]
        found = F.interpolate(found, window, mode="bilinear", align_corners=False)[:, 0].numpy()
        # Each slice shows a square of its own; the heat gets one that holds them all.
        corner = corners.min(axis=0)
        side = int((corners.max(axis=0) - corner + window).max())
        whole = np.zeros((len(chosen), side, side), np.float32)
        for square, picture, (y, x) in zip(whole, found, corners - corner, strict=True):
            square[y : y + window[0], x : x + window[1]] = picture
        where = (np.array(chosen), (int(corner[0]), int(corner[1])))
        crop = VertebraCrop(*where, intensity(cut(hu, *where, side, AIR))[:, None])
        heat[name] = (crop, scaled(whole, cut(torch.from_numpy(mask), *where, side, False)))
    return heat


def pool_slices(probabilities: np.ndarray, areas: np.ndarray) -> float:
    """One probability from those of the slices [n], weighted by the area [n] that each cuts.

    The generalised mean (sum w p^k / sum w)^(1/k): near the largest, yet one slice that barely grazes
    the vertebra does not decide. A slice counts for every vertebra that it cuts.
    """
    weights = areas / areas.sum()
    return float((weights * probabilities**SHARPNESS).sum() ** (1 / SHARPNESS))


def pooled(logits: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The logit of `pool_slices`' probability, differentiable. logits, weights: [S], the weights' sum 1."""
    log = torch.logsumexp(weights.log() + SHARPNESS * F.logsigmoid(logits.double()), dim=0) / SHARPNESS
    return log - torch.log(-torch.expm1(log.clamp(max=-1e-12)))


def field_corners(segmented: Segmented, slices: list[int], field: int) -> np.ndarray:
    """First row and column [slices, 2] of a square of `field` voxels about the vertebrae of each slice."""
    corners = []
    limit = np.maximum(np.array(segmented.labels.shape[1:]) - field, 0)
    for z in slices:
        places = np.argwhere(segmented.labels[z])
        middle = (places.min(axis=0) + places.max(axis=0) + 1) / 2
        corners.append(np.clip(np.rint(middle - field / 2), 0, limit))
    return np.array(corners, int).reshape(-1, 2)
