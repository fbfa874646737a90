"""Segment: the vertebrae in full in-plane detail, slice by slice, with the located levels as a prior."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - PyTorch's own name for it

from ..anatomy import LEVEL_BY_NAME, LEVELS, N_LEVELS, SKULL, T1
from ..progress import Progress
from ..volume import CTVolume, Gap
from .device import reduced_precision
from .grids import FINE_SPACING, Lattice, onto, place_in, resample, seen_by
from .intensity import Intensity
from .locate import Located

MARGIN = np.array([14.0, 14.0, 12.0])  # mm (x, y, z) around what was located
# HU above the muscle around it from which a voxel rather is bone (about 200 HU; the edge of a thin cortex in a CT of
# 1 mm), how fast that turns from no to yes, and how much it counts beside the network (in logits).
EDGE_ABOVE_MUSCLE, EDGE_WIDTH, EDGE_WEIGHT = 150.0, 100.0, 2.0
EDGE_RANGE = (120.0, 320.0)  # HU between which the edge is believed to lie, whatever the scanner's zero
SKULL_BASE = 16.0  # mm of the skull above C1 that are shown as an anchor


@dataclass(frozen=True, eq=False)
class Segmented:
    """The spine on the fine grid.

    hu: int16, labels: uint8 (0 or a level's label), bone: uint8 (0...255, how sure a voxel is any level),
    level: uint8 (the likeliest level, also where there is no bone); all [z, y, x] on `lattice`.
    windows: int [z, 2], first row and column of each slice's window; window: its side in voxels.
    gaps: where the scan lacks slices.
    anchors: uint8, T1 and SKULL where these lie, or None when they were not asked for; on `anchor_lattice`, which has
    more slices than `lattice`.
    """

    hu: np.ndarray
    labels: np.ndarray
    bone: np.ndarray
    level: np.ndarray
    lattice: Lattice
    windows: np.ndarray
    window: int
    anchors: np.ndarray | None = None
    anchor_lattice: Lattice | None = None
    gaps: tuple[Gap, ...] = ()

    def of(self, name: str) -> np.ndarray:
        """Mask [z, y, x] of one level."""
        return self.labels == LEVEL_BY_NAME[name].label

    def centers(self, names: list[str]) -> dict[str, tuple[float, float, float]]:
        """The centroid (x, y, z; mm, LPS) of each named level that has voxels."""
        places = {name: np.argwhere(self.of(name)) for name in names}
        means = {name: self.lattice.to_points(place.mean(axis=0)) for name, place in places.items() if len(place)}
        return {name: (float(x), float(y), float(z)) for name, (x, y, z) in means.items()}


@torch.inference_mode()
def segment(
    volume: CTVolume,
    located: Located,
    network: torch.nn.Module,
    *,
    intensity: Intensity,
    window: int,
    neighbours: int,
    device: torch.device,
    progress: Progress,
    anchors: bool = False,
    batch: int = 8,
) -> Segmented:
    """Segment the levels that were located. volume: canonical axes. anchors: T1 and the skull's base as well."""
    lattice, windows = lattice_along(located.spine, located.lattice, window)
    hu = resample(volume, lattice, sharp=True)
    edge = bone_edge(hu)
    progress.step(0.1)
    ask = partial(
        _shares, located=located, network=network, intensity=intensity, window=window, neighbours=neighbours,
        device=device, batch=batch,
    )  # fmt: skip
    bone, level, labels = (np.zeros(lattice.shape, np.uint8) for _ in range(3))
    # Anchors have a grid of their own, more slices of the same: what is said of the levels must not hang on them.
    wide, wide_windows, below = with_anchors(located, lattice, windows, window) if anchors else (lattice, windows, 0)
    other = np.zeros(wide.shape, np.uint8) if anchors else None
    share = (lattice.shape[0] / wide.shape[0]) * 0.8
    for done, chosen, middle, shares in ask(hu, lattice, windows, range(lattice.shape[0])):
        progress.step(0.1 + share * done)
        any_level = shares[:, 1 : N_LEVELS + 1].sum(dim=1)
        any_level = toward_edge(any_level, torch.from_numpy(middle).to(device), edge)
        likeliest = shares[:, 1 : N_LEVELS + 1].argmax(dim=1) + 1
        is_bone = (any_level > 0.5).cpu().numpy()
        any_level = (any_level * 255).to(torch.uint8).cpu().numpy()
        likeliest = likeliest.to(torch.uint8).cpu().numpy()
        for n, (z, view) in enumerate(chosen):
            bone[(z, *view)], level[(z, *view)] = any_level[n], likeliest[n]
            labels[(z, *view)] = likeliest[n] * is_bone[n]
        if other is not None:
            _name_anchors(other, [(z + below, view) for z, view in chosen], shares)
    if other is not None:
        beyond = [z for z in range(wide.shape[0]) if not below <= z < below + lattice.shape[0]]
        for done, chosen, _, shares in ask(resample(volume, wide), wide, wide_windows, beyond):
            progress.step(0.1 + share + (0.8 - share) * done)
            _name_anchors(other, chosen, shares)
    _drop_fragments(labels, bone)
    return Segmented(hu, labels, bone, level, lattice, windows, window, other, wide if anchors else None)


def _shares(
    hu: np.ndarray, lattice: Lattice, windows: np.ndarray, slices: Iterable[int], *, located: Located,
    network: torch.nn.Module, intensity: Intensity, window: int, neighbours: int, device: torch.device, batch: int,
) -> Iterator[tuple[float, list, np.ndarray, torch.Tensor]]:  # fmt: skip
    """The network's answer to some slices of a grid, a batch at a time.

    Yields how much is done (0 to 1), each slice's z and its window's rows and columns, its HU [n, window, window] and
    the shares of all classes [n, classes, window, window].
    """
    absent = [level.label for level in LEVELS if level.name not in located.centers]
    padded = np.pad(hu, ((neighbours, neighbours), (0, 0), (0, 0)), mode="edge")
    slices = [z for z in slices if hu[z].max() > 150]
    for start in range(0, len(slices), batch):
        chosen = slices[start : start + batch]
        views = [(slice(y, y + window), slice(x, x + window)) for y, x in windows[chosen]]
        stacks = np.stack([padded[(slice(z, z + 2 * neighbours + 1), *v)] for z, v in zip(chosen, views, strict=True)])
        image = intensity(torch.from_numpy(stacks).to(device))
        prior = sample_prior(located.probabilities, located.lattice, lattice, chosen, windows[chosen], window)
        with reduced_precision(device):
            inputs = torch.cat([image, prior.to(device)], dim=1).contiguous(memory_format=torch.channels_last)
            logits = network(inputs)
        logits = logits.float()
        logits[:, absent] = -20.0
        yield start / len(slices), list(zip(chosen, views, strict=True)), stacks[:, neighbours], logits.softmax(dim=1)


def _name_anchors(other: np.ndarray, chosen: list, shares: torch.Tensor) -> None:
    """Write T1 and the skull of a batch of slices into `other`."""
    named = shares.argmax(dim=1).to(torch.uint8).cpu().numpy()
    for n, (z, view) in enumerate(chosen):
        other[(z, *view)] = np.where(np.isin(named[n], (T1, SKULL)), named[n], 0)


def bone_edge(hu: np.ndarray) -> float:
    """HU at which bone begins in this scan: a step above its muscle, whose HU tell where the scanner's zero is."""
    part = hu[::3, ::4, ::4]
    soft = part[(part > -60) & (part < 250)]
    if soft.size < 100:
        return EDGE_RANGE[0] + (EDGE_RANGE[1] - EDGE_RANGE[0]) / 2
    counts, bins = np.histogram(soft, bins=62)
    smooth = np.convolve(counts, np.ones(7) / 7, mode="same")
    return float(np.clip(bins[int(np.argmax(smooth))] + EDGE_ABOVE_MUSCLE, *EDGE_RANGE))


def toward_edge(share: torch.Tensor, hu: torch.Tensor, edge: float) -> torch.Tensor:
    """The network's share of bone (0 to 1), drawn to the CT's own bone edge where the network is not sure.

    The edge counts as much everywhere, but only next to the surface is it enough to turn the answer: marrow stays
    inside, the canal stays open and other bone outside.
    """
    doubt = torch.tanh((hu.float() - edge) / EDGE_WIDTH)
    return torch.sigmoid(torch.logit(share.clamp(0.005, 0.995)) + EDGE_WEIGHT * doubt)


def with_anchors(
    located: Located, lattice: Lattice, windows: np.ndarray, window: int
) -> tuple[Lattice, np.ndarray, int]:
    """The levels' lattice and windows with slices for T1 and the skull above C1; how many were added below."""
    wanted = located.spine | (located.probabilities[T1].numpy() > 0.5)
    heights = np.flatnonzero(located.spine.any(axis=(1, 2)))
    top = min(int(heights[-1] + SKULL_BASE / located.lattice.spacing[0]), wanted.shape[0] - 1)
    if "C1" in located.centers and top > heights[-1]:
        wanted[top] |= wanted[heights[-1]]
    wide, _ = lattice_along(wanted, located.lattice, window)
    step, count = lattice.spacing[0], lattice.shape[0]
    ends = [lattice.origin[2] - wide.origin[2], wide.origin[2] - lattice.origin[2] + (wide.shape[0] - count) * step]
    below, above = (max(int(np.floor(end / step + 1e-6)), 0) for end in ends)
    origin = (*lattice.origin[:2], lattice.origin[2] - below * step)
    grid = Lattice((below + count + above, *lattice.shape[1:]), lattice.spacing, origin)
    return grid, np.pad(windows, ((below, above), (0, 0)), mode="edge"), below


def sample_prior(
    probabilities: torch.Tensor, coarse: Lattice, fine: Lattice, slices: list[int], corners: np.ndarray, window: int
) -> torch.Tensor:
    """Located probabilities [classes, z, y, x] at the windows of some fine slices.

    Returns float32 [slices, classes, window, window].
    """
    result = []
    for z, corner in zip(slices, corners, strict=True):
        start = coarse.to_indices(fine.to_points(np.array([z, *corner])))
        step = np.array(fine.spacing) / np.array(coarse.spacing)
        axes = []
        for axis, count in ((0, 1), (1, window), (2, window)):
            index = start[axis] + step[axis] * torch.arange(count, dtype=torch.float32)
            axes.append(2 * index / max(coarse.shape[axis] - 1, 1) - 1)
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1).float()
        z_near = int(np.clip(start[0], 0, coarse.shape[0] - 2)) if coarse.shape[0] > 1 else 0
        two = probabilities[:, z_near : z_near + 2].float()  # only the slices between which it lies
        grid[..., 2] = 2 * float(np.clip(start[0] - z_near, 0, 1)) - 1 if two.shape[1] > 1 else 0.0
        result.append(F.grid_sample(two[None], grid[None], padding_mode="border", align_corners=True)[0, :, 0])
    return torch.stack(result)


def onto_volume(segmented: Segmented, volume: CTVolume, into: np.ndarray) -> None:
    """Write the labels onto the volume's own voxels. into: zeros, uint8, the volume's shape.

    The share of bone is interpolated, then cut at one half: smooth edges at any voxel size.
    """
    target = seen_by(segmented.lattice, volume)
    if 0 in target.shape:
        return
    kept = np.where(segmented.labels > 0, np.maximum(segmented.bone, 128), np.minimum(segmented.bone, 127))
    bone = onto(kept.astype(np.uint8), segmented.lattice, target)
    level = onto(segmented.level, segmented.lattice, target, nearest=True)
    into[place_in(volume, target)] = np.where(bone >= 128, level, 0)


def anchors_onto_volume(segmented: Segmented, volume: CTVolume, into: np.ndarray) -> None:
    """Write T1 and the skull's base onto the volume's own voxels. into: zeros, uint8, the volume's shape."""
    if segmented.anchors is None:
        return
    target = seen_by(segmented.anchor_lattice, volume)
    if 0 not in target.shape:
        into[place_in(volume, target)] = onto(segmented.anchors, segmented.anchor_lattice, target, nearest=True)


def lattice_along(spine: np.ndarray, coarse: Lattice, window: int) -> tuple[Lattice, np.ndarray]:
    """The fine lattice around the spine mask (coarse grid) and each fine slice's window, centred on the spine."""
    where = np.argwhere(spine)
    # A few stray voxels must not blow up the grid.
    low, high = np.percentile(where, 0.2, axis=0), np.percentile(where, 99.8, axis=0)
    lower = coarse.to_points(low) - MARGIN
    upper = coarse.to_points(high) + MARGIN
    least = (window - 1) * FINE_SPACING[1]
    missing = np.maximum(np.array([least, least, 0]) - (upper - lower), 0)
    lower, upper = lower - missing / 2, upper + missing / 2
    # Never above or below the scan: the network would see made-up slices there.
    lower[2] = max(lower[2], coarse.origin[2])
    upper[2] = min(upper[2], coarse.origin[2] + (coarse.shape[0] - 1) * coarse.spacing[0])
    lattice = Lattice.around(lower, upper + 1e-3, FINE_SPACING)
    shape = (lattice.shape[0], max(lattice.shape[1], window), max(lattice.shape[2], window))
    lattice = replace(lattice, shape=shape)

    heights = [z for z in range(spine.shape[0]) if spine[z].any()]
    middles = np.array([[(m.min() + m.max()) / 2 for m in np.nonzero(spine[z])] for z in heights])
    fine_z = lattice.origin[2] + np.arange(shape[0]) * lattice.spacing[0]
    coarse_z = coarse.origin[2] + np.array(heights) * coarse.spacing[0]
    windows = np.empty((shape[0], 2), int)
    for axis in (0, 1):  # y, x
        smooth = np.convolve(np.pad(middles[:, axis], 4, mode="edge"), np.ones(9) / 9, mode="valid")
        place = coarse.origin[1 - axis] + np.interp(fine_z, coarse_z, smooth) * coarse.spacing[1 + axis]
        first = np.rint((place - lattice.origin[1 - axis]) / lattice.spacing[1 + axis] - window / 2)
        windows[:, axis] = np.clip(first, 0, shape[1 + axis] - window)
    return lattice, windows


def _drop_fragments(labels: np.ndarray, bone: np.ndarray) -> None:
    """Clear pieces of a level below an eighth of its largest one: a chip of bone stays, a stray spot goes."""
    from scipy import ndimage

    for label, box in enumerate(ndimage.find_objects(labels, max_label=N_LEVELS), start=1):
        if box is None:
            continue
        pieces, count = ndimage.label(labels[box] == label)
        if count < 2:
            continue
        sizes = np.bincount(pieces.ravel())[1:]
        small = np.isin(pieces, np.flatnonzero(sizes < sizes.max() / 8) + 1)
        labels[box][small] = 0
        bone[box][small] = 0
