"""A vertebra in three planes, bone and soft tissue, and what the member that looks at them says.

Training cuts its samples with the same lines, so that a network meets the same pictures in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from ..anatomy import LEVEL_NAMES
from ..bundles.tensors import finest_stage, heat_map, tensor
from ..options import HEATMAP
from ..pipeline.crops import VertebraCrop, cut, extents
from ..pipeline.device import reduced_precision
from ..pipeline.grids import AIR
from ..pipeline.intensity import Intensity
from ..pipeline.saliency import Score, Watched, saliency
from ..pipeline.segment import Segmented
from ..progress import Progress
from ._levels import MASKS, own_heatmap, present, scaled
from ._prediction import LevelHeat, MemberPrediction

DEPTH = 52  # fine slices (mm) that a box about a vertebra is high: C2 of a tall neck, and all that a sample holds


TITLE = "Fracture probability of a vertebra from axial, sagittal and coronal views"


def data_format(network_config: dict[str, Any]) -> dict[str, Any]:
    """The network's tensors in MONAI's terms (channel first, batch left out)."""
    views, channels = network_config.get("views", 8), {0: "bone window", 1: "soft-tissue window", 2: "mask"}
    images = {"axial": tensor("image", [views, "*", "*"], channels)}
    images["upright"] = tensor("image", [2 * views, "*", "*"], channels)  # sagittal views, then coronal ones
    prediction = tensor("probabilities", [], {0: "vertebra fractured"}, "classes")
    heat = heat_map(finest_stage(network_config))
    return {"inputs": images, "outputs": {"logit": prediction, "heat": heat, "upright_heat": heat}}


@dataclass(frozen=True, eq=False)
class Box:
    """What surrounds a vertebra on the fine grid: hu int16 and mask bool, [DEPTH, size, size] about the mask's middle.

    origin: fine-grid (slice, row, column) of its first voxel; may lie outside the grid. slices: the fine-grid z of
    each of its slices: beyond the grid's ends the last slice again; what lies beyond its sides is air.
    """

    hu: torch.Tensor
    mask: torch.Tensor
    origin: tuple[int, int, int]
    slices: np.ndarray


@dataclass(frozen=True)
class Places:
    """Which slices, columns and rows of a box are seen: axial along z, sagittal along x, coronal along y."""

    axial: np.ndarray
    sagittal: np.ndarray
    coronal: np.ndarray


def box_about(hu: torch.Tensor, mask: torch.Tensor, size: int) -> Box:
    """hu: [z, y, x] on the fine grid; mask: bool, same shape, not empty. The box's sides are `size` voxels."""
    shape = (DEPTH, size, size)
    middles = [(first + last + 1) / 2 for first, last in extents(mask)]
    z, y, x = (int(round(middle - length / 2)) for middle, length in zip(middles, shape, strict=True))
    slices = np.clip(np.arange(z, z + DEPTH), 0, hu.shape[0] - 1)
    return Box(cut(hu, slices, (y, x), size, AIR), cut(mask, slices, (y, x), size, False), (z, y, x), slices)


def places_in(mask: torch.Tensor, views: int, shift: float = 0.0) -> Places:
    """Where to look at a box's mask. shift: of all planes, as a share (-0.5...0.5) of the way to the next.

    Axial slices are even, from one beyond the vertebra to the other. The others are half even and half as dense as
    the bone is: most of a vertebra's width is transverse processes, most of its bone lies in the middle.
    """
    results = []
    for axis, (first, last) in enumerate(extents(mask)):
        if axis == 0:
            first, last = first - 1, last + 1
            at = np.linspace(first, last, views) + shift * (last - first) / max(views - 1, 1)
        else:
            share = (np.arange(views) + 0.5 + shift) / views
            filled = mask.sum(dim=tuple({0, 1, 2} - {axis}))[first : last + 1].double().cumsum(0).numpy()
            dense = first - 0.5 + np.interp(share * filled[-1], [0.0, *filled], np.arange(len(filled) + 1))
            at = (first + share * (last - first) + dense) / 2
        results.append(np.clip(np.rint(at), max(first, 0), min(last, mask.shape[axis] - 1)).astype(int))
    axial, coronal, sagittal = results
    return Places(axial, sagittal, coronal)


def views_of(volume: torch.Tensor, places: Places, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A box's array [DEPTH, size, size] as float32 axial [V, size, size] and upright [2 V, rows, size] views.

    Upright ones are the sagittal, then the coronal; their slices are interpolated to `rows`.
    """
    axial = volume[torch.as_tensor(places.axial)].float()
    sagittal = volume[:, :, torch.as_tensor(places.sagittal)].permute(2, 0, 1)
    coronal = volume[:, torch.as_tensor(places.coronal)].permute(1, 0, 2)
    upright = torch.cat([sagittal, coronal]).float()[:, None]
    upright = F.interpolate(upright, size=(rows, upright.shape[-1]), mode="bilinear", align_corners=False)
    return axial, upright[:, 0]


def pictures(box: Box, places: Places, rows: int, windows: tuple[Intensity, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Axial [V, C, size, size] and upright [2 V, C, rows, size] images: the box in each window, then its mask."""
    hu, masks = views_of(box.hu, places, rows), views_of(box.mask, places, rows)
    axial, upright = (
        torch.stack([*(window(values) for window in windows), mask], dim=1)
        for values, mask in zip(hu, masks, strict=True)
    )
    return axial, upright


@torch.inference_mode()
def predict(
    segmented: Segmented,
    network: torch.nn.Module,
    *,
    intensity: Intensity,
    tissue: list[float],
    views: int,
    size: int,
    rows: int,
    device: torch.device,
    progress: Progress,
) -> MemberPrediction:
    """A network over views of each vertebra in three planes; the axial views' heat says where.

    intensity: of bone. tissue: lower and upper HU of the soft-tissue window.
    """
    hu, windows = torch.from_numpy(segmented.hu), (intensity, tissue_window(*tissue))
    levels: dict[str, float] = {}
    heat: LevelHeat = {}
    for name, mask, _ in present(segmented, LEVEL_NAMES, progress):
        box = box_about(hu, torch.from_numpy(mask), size)
        places = places_in(box.mask, views)
        axial, upright = pictures(box, places, rows, windows)
        with reduced_precision(device):
            output = network(axial[None].to(device), upright[None].to(device))
        levels[name] = float(output["logit"].float().sigmoid())
        crop = VertebraCrop(box.slices[places.axial], box.origin[1:], axial)
        heat[name] = (crop, output["heat"][0].float().sigmoid().cpu().numpy())
    return MemberPrediction(levels, None, heat)


def explain(
    segmented: Segmented, network: nn.Module, *, levels: list[str], method: str, intensity: Intensity,
    tissue: list[float], views: int, size: int, rows: int, device: torch.device, progress: Progress,
) -> LevelHeat:  # fmt: skip
    """Each level's heat on the axial views that `predict` shows; the others stay as they are."""
    hu, windows, heat = torch.from_numpy(segmented.hu), (intensity, tissue_window(*tissue)), {}
    for name, mask, part in present(segmented, levels, progress):
        box = box_about(hu, torch.from_numpy(mask), size)
        places = places_in(box.mask, views)
        axial, upright = pictures(box, places, rows, windows)
        crop = VertebraCrop(box.slices[places.axial], box.origin[1:], axial)
        images, upright = axial[None].to(device), upright[None].to(device)
        if method == HEATMAP:
            heat[name] = (crop, own_heatmap(network, images, upright))
            continue
        masks = images[:, :, -MASKS:]
        score = Score(network, lambda network, x, m=masks, u=upright: network(torch.cat([x, m], dim=2), u)["logit"])
        score.network.encoder = Watched(score.network.encoder)
        found = saliency(score, images[:, :, :-MASKS], method, progress=part)
        heat[name] = (crop, scaled(found, axial[:, -1]))
    return heat


def tissue_window(lower: float, upper: float) -> Intensity:
    """A window of soft tissue, -1 to 1: muscle, fat and the swelling before a broken vertebra differ in it."""
    return Intensity(lower, upper, (lower + upper) / 2, (upper - lower) / 2)
