"""Each member's heat by a method of choice: its own heat map, or what moved its answer (see `saliency`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from ..anatomy import LEVEL_NAMES
from ..errors import Cancelled, InputError, first_line
from ..options import GRAD_CAM, HEATMAP, SMOOTH_GRAD
from ..progress import Progress
from ..volume import CTVolume
from .classify import SHARPNESS, Opinion, field_corners, present
from .crops import VertebraCrop, axial_slices, cut, extents, vertebra_crop
from .explain import draw
from .grids import AIR, Lattice, resample
from .intensity import Intensity
from .sagittal import lattice_of_planes, nine_planes, shown
from .saliency import Score, Watched, saliency
from .segment import Segmented

if TYPE_CHECKING:
    from .engine import Networks

TITLES = {HEATMAP: "Heat map", GRAD_CAM: "Grad-CAM", SMOOTH_GRAD: "SmoothGrad"}
N_MASKS = 1  # the last channels of a vertebra's crop: no picture, so neither noise nor heat belongs on them

LevelHeat = dict[str, tuple[VertebraCrop, np.ndarray]]


def member_to_explain(networks: Networks, method: str, member: str | None) -> str | None:
    """Whose heat is drawn: the member asked for, else the one that weighs most; None: the members' own heat maps.

    Raises InputError for an unknown member, or one that the method can't explain.
    """
    if member is not None and member not in networks.members:
        raise InputError(f"There is no member {member!r}.", advice=f"Choose {', '.join(networks.members)}.")
    if method == HEATMAP and member is None:
        return None
    known = [name for name, bundle in networks.members.items() if can_explain(bundle.step, method)]
    if not known or member not in (None, *known):
        raise InputError(
            f"{TITLES[method]} can't explain {member or 'any member'}.",
            advice=f"Choose {', '.join(known)}." if known else "Leave --explain out.",
        )
    return member or max(known, key=networks.ensemble.weight)


def can_explain(step: str, method: str) -> bool:
    """Whether members of a step can be explained so: Model I has no heat map of its own."""
    return step in EXPLAIN and (method, step) != (HEATMAP, "slices")


def explain_levels(
    segmented: Segmented, networks: Networks, member: str, levels: list[str], method: str, progress: Progress
) -> LevelHeat:
    """A member's heat (0...1) on its crop of each level that is there; for all but HEATMAP 1 at its hottest place.

    The results are as in `classify.Opinion.heat`.
    """
    function = EXPLAIN[networks.bundles[member].step]
    return function(segmented, levels=levels, method=method, progress=progress, **networks.arguments(member))


def redraw(
    segmented: Segmented, networks: Networks, member: str, levels: list[str], method: str, volume: CTVolume,
    into: np.ndarray, progress: Progress,
) -> str:  # fmt: skip
    """Write a member's heat of the levels instead of what is there; what drew it, or "" when it fails (with a warning).

    volume, into: as in `explain.draw`.
    """
    try:
        heat = explain_levels(segmented, networks, member, levels, method, progress)
    except Cancelled:
        raise
    except (RuntimeError, MemoryError) as error:
        progress.warn(f"{TITLES[method]} of {member} failed; the heat is the members' own: {first_line(error)}")
        return ""
    draw(segmented, [Opinion({}, None, heat)], volume, into)
    return f"{TITLES[method]} of {member}"


def explain_vertebrae(
    segmented: Segmented, network: nn.Module, *, levels: list[str], method: str, intensity: Intensity,
    slices: int, size: int, device: torch.device, progress: Progress,
) -> LevelHeat:  # fmt: skip
    """For members that look at each vertebra's own slices, as `classify_vertebrae` asks them."""
    hu, heat = torch.from_numpy(segmented.hu), {}
    for name, mask, part in present(segmented, levels, progress):
        crop = vertebra_crop(hu, torch.from_numpy(mask), slices, size, intensity)
        images = crop.images[None].to(device)
        if method == HEATMAP:
            heat[name] = (crop, _own_heat(network, images))
            continue
        masks = images[:, :, -N_MASKS:]
        score = Score(network, lambda network, x, masks=masks: network(torch.cat([x, masks], dim=2))["logit"])
        found = saliency(score, images[:, :, :-N_MASKS], method, progress=part)
        heat[name] = (crop, scaled(found, crop.images[:, -1]))
    return heat


def explain_planes(
    segmented: Segmented, network: nn.Module, *, levels: list[str], method: str, intensity: Intensity,
    tissue: list[float], views: int, size: int, rows: int, device: torch.device, progress: Progress,
) -> LevelHeat:  # fmt: skip
    """For the member that looks in three planes, as `classify_planes` asks it; by its axial views, others as given."""
    from .three_planes import box_about, pictures, places_in, tissue_window

    hu, windows, heat = torch.from_numpy(segmented.hu), (intensity, tissue_window(*tissue)), {}
    for name, mask, part in present(segmented, levels, progress):
        box = box_about(hu, torch.from_numpy(mask), size)
        places = places_in(box.mask, views)
        axial, upright = pictures(box, places, rows, windows)
        crop = VertebraCrop(box.slices[places.axial], box.origin[1:], axial)
        images, upright = axial[None].to(device), upright[None].to(device)
        if method == HEATMAP:
            heat[name] = (crop, _own_heat(network, images, upright))
            continue
        masks = images[:, :, -N_MASKS:]
        score = Score(network, lambda network, x, m=masks, u=upright: network(torch.cat([x, m], dim=2), u)["logit"])
        score.network.encoder = Watched(score.network.encoder)
        found = saliency(score, images[:, :, :-N_MASKS], method, progress=part)
        heat[name] = (crop, scaled(found, axial[:, -1]))
    return heat


def explain_slices(
    segmented: Segmented, network: nn.Module, *, levels: list[str], method: str, intensity: Intensity,
    field: int, size: int, step: int, device: torch.device, progress: Progress,
) -> LevelHeat:  # fmt: skip
    """For Model I, as `classify_slices` asks it: each level's slices, weighed as in its pooled probability."""
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


def explain_sagittal(
    segmented: Segmented, network: nn.Module, *, levels: list[str], method: str, intensity: Intensity,
    device: torch.device, progress: Progress,
) -> LevelHeat:  # fmt: skip
    """For the member that looks at nine sagittal images, as `classify_sagittal` asks it; between them, interpolated."""
    heat: LevelHeat = {}
    if not segmented.labels.any():
        return heat
    hu, labels = nine_planes(segmented)
    images = intensity(torch.from_numpy(shown(hu, labels)))[None].to(device)
    labels, planes = torch.from_numpy(labels).long()[None].to(device), lattice_of_planes(segmented)
    for name, mask, part in present(segmented, levels, progress):
        number = LEVEL_NAMES.index(name) + 1
        if method == HEATMAP:
            with torch.inference_mode():
                found = network(images, labels)["heat"][0].float().sigmoid().cpu().numpy()
        else:
            score = Score(network, lambda network, x, n=number: network(x[:, :, 0], labels)["logits"][:, n])
            found = saliency(score, images[:, :, None], method, progress=part)
        found = F.interpolate(torch.from_numpy(found)[:, None], planes.shape[:2], mode="bilinear")[:, 0].numpy()
        (z, last), *sides = extents(torch.from_numpy(mask))
        heights, side = np.arange(z, last + 1), max(b - a + 1 for a, b in sides)
        where = (heights, tuple((a + b + 1 - side) // 2 for a, b in sides))
        origin = segmented.lattice.to_points(np.array([z, *where[1]]))
        box = Lattice((len(heights), side, side), segmented.lattice.spacing, tuple(map(float, origin)))
        volume = CTVolume(np.ascontiguousarray(np.moveaxis(found, 0, 2)), planes.affine)
        own = cut(torch.from_numpy(mask), *where, side, False)
        crop = VertebraCrop(*where, intensity(cut(torch.from_numpy(segmented.hu), *where, side, AIR))[:, None])
        there = resample(volume, box, fill=0.0)
        heat[name] = (crop, there if method == HEATMAP else scaled(there, own))
    return heat


# By the step that a bundle names, as `members.CLASSIFY`.
EXPLAIN = {
    "slices": explain_slices,
    "vertebrae": explain_vertebrae,
    "planes": explain_planes,
    "sagittal": explain_sagittal,
}


def scaled(heat: np.ndarray, mask: torch.Tensor) -> np.ndarray:
    """Heat [S, h, w] with the hottest place within the vertebra (mask [S, y, x]) as 1: these methods know no scale."""
    within = F.adaptive_max_pool2d(mask.float()[:, None], heat.shape[-2:])[:, 0].numpy() > 0
    top = float(heat[within].max(initial=0.0))
    return np.clip(heat / top, 0, 1).astype(np.float32) if top > 0 else np.zeros_like(heat, np.float32)


def pooled(logits: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The logit of `classify.pool_slices`' probability, differentiable. logits, weights: [S], the weights' sum 1."""
    log = torch.logsumexp(weights.log() + SHARPNESS * F.logsigmoid(logits.double()), dim=0) / SHARPNESS
    return log - torch.log(-torch.expm1(log.clamp(max=-1e-12)))


@torch.inference_mode()
def _own_heat(network: nn.Module, *images: torch.Tensor) -> np.ndarray:
    return network(*images)["heat"][0].float().sigmoid().cpu().numpy()
