"""Locate: which voxels are which level, on the coarse grid of the whole scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from ..anatomy import LEVEL_BY_NAME, LEVELS, N_CLASSES, N_LEVELS, THORACIC
from ..progress import Progress
from .device import reduced_precision
from .grids import COARSE_SPACING, Lattice
from .intensity import Intensity

# Volumes of whole adult vertebrae, ml, on a bone-tight label at 2 mm; a child's are about half, a large
# man's half as much again. Only used to tell a vertebra from noise (a fifth) and from what is no neck (x 3).
EXPECTED_ML = {"C1": 11.0, "C2": 14.5, "C3": 9.5, "C4": 9.5, "C5": 10.0, "C6": 11.5, "C7": 14.0}
# Distances between neighbouring levels' centroids, mm: outside this the order is not a neck's.
LEAST_STEP, LARGEST_STEP = 6.0, 36.0
# Pieces of bone no further apart than twice this hang together; discs and the joints of C1 are bridged.
REACH_VOXELS = 2
# Mean probability of a level's voxels from which the network is sure of it; two such levels make a neck. On real
# necks five or more levels reach it; a rod, a cylinder and a lumbar crop, on which it was set, had one at most.
SURE = 0.75
COLUMN_RADIUS = 35.0  # mm: half the depth of a large vertebra, and room for the neck's curve


@dataclass(frozen=True, eq=False)
class Located:
    """Levels on the coarse grid.

    probabilities: float16 [N_CLASSES, z, y, x]. centers: LPS mm by level name, in order, only of
    levels that were found. spine: bool [z, y, x], where those levels lie. reason: why no cervical spine was
    found, or "".
    """

    probabilities: torch.Tensor
    lattice: Lattice
    spine: np.ndarray
    centers: dict[str, tuple[float, float, float]]
    reason: str = ""

    @property
    def found(self) -> bool:
        return not self.reason


@torch.inference_mode()
def locate(
    voxels: np.ndarray,
    lattice: Lattice,
    network: torch.nn.Module,
    *,
    intensity: Intensity,
    window: tuple[int, int, int],
    device: torch.device,
    progress: Progress,
) -> Located:
    """Two passes of a sliding window: over the whole scan, then centred on the spine found in the first.

    voxels: int16 [z, y, x], HU, on `lattice`. window: the network's patch [z, y, x].
    """
    scan = torch.from_numpy(voxels).to(device)
    padded = tuple(max(n, w) for n, w in zip(scan.shape, window, strict=True))
    image = torch.full(padded, -1024, dtype=scan.dtype, device=device)
    image[tuple(slice(0, n) for n in scan.shape)] = scan
    starts = [_starts(n, w, 0.3) for n, w in zip(padded, window, strict=True)]
    # Windows of nothing but air say nothing; a table or a head rest is not skipped.
    first = [(z, y, x) for z in starts[0] for y in starts[1] for x in starts[2]]
    first = [corner for corner in first if int(image[_patch(corner, window)].max()) > 100]
    probabilities = _infer(image, first, window, network, intensity, lambda f: progress.step(0.7 * f))
    spine = probabilities[1 : THORACIC + 1].sum(dim=0, dtype=torch.float32)
    second = _along_spine(spine, window, padded)
    if second:
        probabilities = _infer(
            image, second, window, network, intensity, lambda f: progress.step(0.7 + 0.3 * f), before=probabilities
        )
    probabilities = probabilities[(slice(None), *(slice(0, n) for n in scan.shape))]
    confidence, likeliest = probabilities.float().max(dim=0)
    labels = in_one_column(likeliest.cpu().numpy())
    centers, reason = decide_levels(labels, confidence.cpu().numpy(), lattice)
    spine = np.isin(labels, [LEVEL_BY_NAME[name].label for name in centers])
    return Located(probabilities.cpu(), lattice, spine, centers, reason)


def in_one_column(labels: np.ndarray) -> np.ndarray:
    """Labels [z, y, x] with vertebrae only near the column of bone that holds most of C1 to C7.

    Facial bones are sometimes taken for vertebrae. They lie COLUMN_RADIUS or more from the straight line
    through that column; pieces that lie above or below it, beyond a level that was missed, stay.
    """
    vertebrae = (labels > 0) & (labels <= THORACIC)
    pieces, count = ndimage.label(ndimage.binary_dilation(vertebrae, iterations=REACH_VOXELS))
    if count < 2:
        return labels
    cervical = (labels > 0) & (labels <= N_LEVELS)
    column = np.argwhere(cervical & (pieces == 1 + np.argmax(np.bincount(pieces[cervical], minlength=count + 1)[1:])))
    if not len(column):
        return labels
    z = column[:, 0]
    degree = 1 if np.ptp(z) * COARSE_SPACING > COLUMN_RADIUS else 0
    lines = [np.polynomial.Polynomial.fit(z, column[:, axis], degree) for axis in (1, 2)]
    middles = np.array(ndimage.center_of_mass(vertebrae, pieces, np.arange(1, count + 1)))
    beside = np.hypot(*(middles[:, axis] - line(middles[:, 0]) for axis, line in zip((1, 2), lines, strict=True)))
    stray = np.concatenate([[False], beside * COARSE_SPACING > COLUMN_RADIUS])
    return np.where(vertebrae & stray[pieces], 0, labels)


def decide_levels(
    labels: np.ndarray, confidence: np.ndarray, lattice: Lattice
) -> tuple[dict[str, tuple[float, ...]], str]:
    """The levels of labels [z, y, x] that hold together as a chain: their centres, and why there is none.

    confidence: probability of each voxel's label.
    """
    voxel_ml = float(np.prod(lattice.spacing)) / 1000
    candidates: list[tuple[int, np.ndarray, float]] = []
    for level in LEVELS:
        where = np.argwhere(labels == level.label)
        volume = len(where) * voxel_ml
        if volume < 0.2 * EXPECTED_ML[level.name]:
            continue
        # The median holds against a few voxels elsewhere.
        candidates.append((level.label, lattice.to_points(np.median(where, axis=0)), volume))
    if not candidates:
        return {}, "No voxels look like a cervical vertebra."
    if sum(volume for *_, volume in candidates) > 3 * sum(EXPECTED_ML.values()):
        return {}, "What was found is too large for a neck."
    chain = _longest_chain(candidates)
    if len(chain) < 2:
        return {}, "Fewer than two cervical vertebrae lie in order."
    sure = [c for c in chain if float(confidence[labels == c[0]].mean()) >= SURE]
    if len(sure) < 2:
        return {}, "What was found does not look enough like cervical vertebrae."
    oversized = [c for c in chain if c[2] > 3 * EXPECTED_ML[LEVELS[c[0] - 1].name]]
    if len(oversized) * 2 > len(chain):
        return {}, "The vertebrae found are too large for a neck."
    return {LEVELS[label - 1].name: tuple(float(v) for v in center) for label, center, _ in chain}, ""


def _longest_chain(candidates: list[tuple[int, np.ndarray, float]]) -> list[tuple[int, np.ndarray, float]]:
    """The candidates, in order, with the largest volume whose steps are a neck's (dynamic programming)."""
    best: list[tuple[float, list[tuple[int, np.ndarray, float]]]] = []
    for label, center, volume in candidates:
        options = [(0.0, [])]
        for score, chain in best:
            last_label, last_center, _ = chain[-1]
            steps = label - last_label
            distance = float(np.linalg.norm(center - last_center))
            downward = last_center[2] > center[2] - 5
            if downward and LEAST_STEP * steps <= distance <= LARGEST_STEP * steps:
                options.append((score, chain))
        score, chain = max(options, key=lambda option: option[0])
        best.append((score + volume, [*chain, (label, center, volume)]))
    return max(best, key=lambda option: option[0])[1]


def _infer(image, corners, window, network, intensity, report, before=None) -> torch.Tensor:
    """Probabilities averaged over windows with a Gaussian weight; those of an earlier pass count a tenth."""
    from monai.data.utils import compute_importance_map

    weight = compute_importance_map(window, mode="gaussian", sigma_scale=0.2, device=image.device).clamp_min(1e-3)
    total = torch.zeros((N_CLASSES, *image.shape), device=image.device)
    weights = torch.zeros(image.shape, device=image.device)
    if before is not None:
        total += 0.1 * before.float()
        weights += 0.1
    for done, corner in enumerate(corners):
        report(done / len(corners))
        patch = _patch(corner, window)
        with reduced_precision(image.device):
            logits = network(intensity(image[patch])[None, None])
        total[(slice(None), *patch)] += logits[0].float().softmax(dim=0) * weight
        weights[patch] += weight
    if before is None:
        # Where no window looked there is air.
        total[0][weights == 0] = 1.0
        weights[weights == 0] = 1.0
    return (total / weights).half()


def _along_spine(spine: torch.Tensor, window: tuple[int, int, int], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Windows centred on the spine, half a window apart along z; none when there is no spine."""
    mass = spine.sum(dim=(1, 2))
    heights = (mass > 20).nonzero().flatten()
    if not len(heights):
        return []
    ny, nx = spine.shape[1:]
    y, x = torch.arange(ny, device=spine.device), torch.arange(nx, device=spine.device)
    corners = []
    low, high = int(heights.min()), int(heights.max())
    count = max(1, round((high - low) / (window[0] / 2)))
    for center in np.linspace(low, high, count + 2)[1:-1] if count > 1 else [(low + high) / 2]:
        z0 = int(np.clip(round(center - window[0] / 2), 0, shape[0] - window[0]))
        slab = spine[z0 : z0 + window[0]].clamp_min(0)
        total = slab.sum().clamp_min(1e-6)
        cy, cx = float((slab.sum(dim=(0, 2)) * y).sum() / total), float((slab.sum(dim=(0, 1)) * x).sum() / total)
        y0 = int(np.clip(round(cy - window[1] / 2), 0, shape[1] - window[1]))
        x0 = int(np.clip(round(cx - window[2] / 2), 0, shape[2] - window[2]))
        corners.append((z0, y0, x0))
    return corners


def _starts(length: int, size: int, overlap: float) -> list[int]:
    """First indices of windows of `size` that cover `length` and overlap by at least `overlap`."""
    count = 1 if length <= size else int(np.ceil((length - size) / (size * (1 - overlap)))) + 1
    return sorted({round(value) for value in np.linspace(0, length - size, count)})


def _patch(corner: tuple[int, ...], window: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(c, c + w) for c, w in zip(corner, window, strict=True))
