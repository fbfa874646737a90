"""Locate: which voxels are which level, on the coarse grid of the whole scan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ..anatomy import N_CLASSES, N_LEVELS, OTHER_BONE
from ..findings import Naming
from ..progress import Progress
from ..study_warning import StudyWarning
from .device import reduced_precision
from .grids import Lattice
from .intensity import Intensity
from .level_labeling import Chain, doubts, find_vertebrae, name_chain, rename

# Volumes of whole adult vertebrae, ml, on a bone-tight label at 2 mm; a child's are about half, a large
# man's half as much again.
EXPECTED_ML = {"C1": 11.0, "C2": 14.5, "C3": 9.5, "C4": 9.5, "C5": 10.0, "C6": 11.5, "C7": 14.0}
# Mean probability that a vertebra is a cervical one from which the network is sure of it; two such make a neck.
SURE = 0.7
# Slices without data that are put above and below the scan, so that the network sees where the scan ends: with 8 of
# them the levels next to the end were squeezed.
BEYOND = 24
# The network's offsets to a vertebra's centre: three, in tens of voxels.
N_OFFSETS, OFFSET_UNIT = 3, 10.0


@dataclass(frozen=True, eq=False)
class Located:
    """Levels on the coarse grid.

    probabilities: float16 [N_CLASSES, z, y, x], after the chain's decision. centers: LPS mm by level name, in order,
    only of levels that were found (of the body: it may lie outside the scan). spine: bool [z, y, x], where those
    levels lie. naming: how sure their names are. warnings: what to check all the same. reason: why no
    cervical spine was found, or "".
    """

    probabilities: torch.Tensor
    lattice: Lattice
    spine: np.ndarray
    centers: dict[str, tuple[float, float, float]]
    naming: Naming = Naming()
    warnings: tuple[StudyWarning, ...] = ()
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
    size = (scan.shape[0] + 2 * BEYOND, *scan.shape[1:])
    padded = tuple(max(n, w) for n, w in zip(size, window, strict=True))
    above = BEYOND + (padded[0] - size[0]) // 2
    inner = (slice(above, above + scan.shape[0]), *(slice(0, n) for n in scan.shape[1:]))
    image = torch.full(padded, -1024, dtype=scan.dtype, device=device)
    image[inner] = scan
    starts = [_starts(n, w, 0.3) for n, w in zip(padded, window, strict=True)]
    # Windows of nothing but air say nothing; a table or a head rest is not skipped.
    first = [(z, y, x) for z in starts[0] for y in starts[1] for x in starts[2]]
    first = [corner for corner in first if int(image[_patch(corner, window)].max()) > 100]
    answer = _infer(image, first, window, network, intensity, lambda f: progress.step(0.7 * f))
    spine = answer[1 : N_LEVELS + 1].sum(dim=0, dtype=torch.float32)
    second = _along_spine(spine, window, padded)
    if second:
        report = partial(_second_half, progress)
        answer = _infer(image, second, window, network, intensity, report, before=answer)
    answer = answer[(slice(None), *inner)].cpu()
    probabilities, offsets = answer[:N_CLASSES].numpy(), answer[N_CLASSES:].numpy() * OFFSET_UNIT
    return decide(probabilities, offsets, lattice)


def _second_half(progress: Progress, share: float) -> None:
    progress.step(0.7 + 0.3 * share)


def decide(probabilities: np.ndarray, offsets: np.ndarray, lattice: Lattice) -> Located:
    """Vertebrae, their chain and their names, or why there is no neck.

    probabilities: float16 [N_CLASSES, z, y, x]; offsets: float16 [3, z, y, x], voxels to the vertebra's centre.
    """
    numbers, vertebrae = find_vertebrae(probabilities, offsets, lattice)
    chain = name_chain(vertebrae, probabilities, lattice)
    reason = no_neck(chain)
    if reason:
        nothing = np.zeros(numbers.shape, bool)
        return Located(torch.from_numpy(probabilities), lattice, nothing, {}, chain.naming, reason=reason)
    probabilities = rename(probabilities, numbers, chain, OTHER_BONE)
    spine = np.isin(numbers, [one.number for one in chain.levels.values()])
    centers = {name: tuple(float(v) for v in one.center) for name, one in chain.levels.items()}
    return Located(torch.from_numpy(probabilities), lattice, spine, centers, chain.naming, tuple(doubts(chain)))


def no_neck(chain: Chain) -> str:
    """Why a chain is no cervical spine; "" when it is one."""
    levels = chain.levels
    if not levels:
        return "No voxels look like a cervical vertebra."
    if len(levels) < 2:
        return "Fewer than two cervical vertebrae lie in order."
    if sum(one.cervical >= SURE for one in levels.values()) < 2:
        return "What was found does not look enough like cervical vertebrae."
    if sum(one.volume > 3 * EXPECTED_ML[name] for name, one in levels.items()) * 2 > len(levels):
        return "The vertebrae found are too large for a neck."
    return ""


def _infer(image, corners, window, network, intensity, report, before=None) -> torch.Tensor:
    """Probabilities, then offsets, [N_CLASSES + 3, z, y, x], averaged over windows with a Gaussian weight.

    Those of an earlier pass count a tenth.
    """
    from monai.data.utils import compute_importance_map

    weight = compute_importance_map(window, mode="gaussian", sigma_scale=0.2, device=image.device).clamp_min(1e-3)
    total = torch.zeros((N_CLASSES + N_OFFSETS, *image.shape), device=image.device)
    weights = torch.zeros(image.shape, device=image.device)
    if before is not None:
        total += 0.1 * before.float()
        weights += 0.1
    for done, corner in enumerate(corners):
        report(done / len(corners))
        patch = _patch(corner, window)
        with reduced_precision(image.device):
            answer = network(intensity(image[patch])[None, None])[0].float()
        answer[:N_CLASSES] = answer[:N_CLASSES].softmax(dim=0)
        total[(slice(None), *patch)] += answer * weight
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
