"""The dense detector over a segmented study: fracture logits of all voxels in one pass, shared out among levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import expit

from ..anatomy import LEVELS
from ..bundles.tensors import tensor
from ..networks.dense_unet import STRIDE
from ..pipeline.dense_features import Scale, features
from ..pipeline.device import reduced_precision
from ..pipeline.segment import Segmented
from ..progress import Progress
from ..volume import Gap
from ._levels import LEAST_VOXELS
from ._prediction import MemberPrediction

TITLE = "Fracture probability of every voxel of the cervical spine"
MARGIN = (8, 14, 14)  # fine voxels (z, y, x) of surroundings that the network sees beyond the vertebrae
MULTIPLE = (8, 16, 16)  # fine voxels that the network's stages halve
MOST_VOXELS = 4_500_000  # fine voxels in one pass; longer spines are shown in overlapping parts
OVERLAP = 24  # fine slices that a part shows beyond what is taken from it
TERRITORY = 2.4  # mm about a segmented level within which a fracture is still its own
POOLED = 128  # hottest answers of a level whose mean is its logit (0.18 ml)
NO_DATA = -1000  # HU at and below which a voxel was not measured: no evidence lies within a voxel of it


def data_format(network_config: dict[str, Any]) -> dict[str, Any]:
    """The network's tensors in MONAI's terms (channel first, batch left out)."""
    hats = {0: "HU on the scale of the scan's muscle and bone, 1.0 x 0.6 x 0.6 mm", 1: "black top-hat, 3 x 3 x 3"}
    image = tensor("image", ["*", "*", "*"], {**hats, 2: "black top-hat of the smoothed image, 5 x 7 x 7"})
    prediction = tensor("image", ["*", "*", "*"], {0: "fracture, of each 1 x 2 x 2 voxels"}, "classes")
    return {"inputs": {"image": image}, "outputs": {"logits": prediction}}


@dataclass(frozen=True, eq=False)
class DenseAnswer:
    """logits: float32 [z, y, x], one for STRIDE fine voxels; box: which fine voxels they cover."""

    logits: np.ndarray
    box: tuple[slice, slice, slice]


def predict(
    segmented: Segmented, network: torch.nn.Module, *, device: torch.device, progress: Progress
) -> MemberPrediction:
    """Each level's mean of its hottest voxels; where, as a heat map of the whole spine."""
    if not segmented.labels.any():
        return MemberPrediction({})
    answer = ask_dense(segmented, network, device=device, progress=progress)
    owned = territories(segmented, answer)
    levels = {name: float(expit(value)) for name, value in level_logits(segmented, answer, owned).items()}
    heat = {name: (share, place) for name, share, place in dense_heat(segmented, answer, owned)}
    return MemberPrediction(levels, fine_heat=heat)


@torch.inference_mode()
def ask_dense(
    segmented: Segmented, network: torch.nn.Module, *, device: torch.device, progress: Progress
) -> DenseAnswer:
    """The network's logits about the vertebrae. No mask goes in: the labels only say where to look."""
    box = spine_box(segmented.labels)
    hu = segmented.hu[box]
    scale = Scale.of(hu)
    padding = [(0, -n % multiple) for n, multiple in zip(hu.shape, MULTIPLE, strict=True)]
    padded = np.pad(hu, padding, mode="edge")
    rows = max(MOST_VOXELS // (padded.shape[1] * padded.shape[2]) // MULTIPLE[0] * MULTIPLE[0], MULTIPLE[0])
    result = np.empty((padded.shape[0], padded.shape[1] // STRIDE[1], padded.shape[2] // STRIDE[2]), np.float32)
    for first in range(0, padded.shape[0], rows):
        progress.step(first / padded.shape[0])
        last = min(first + rows, padded.shape[0])
        low, high = max(first - OVERLAP, 0), min(last + OVERLAP, padded.shape[0])
        image = features(scale(torch.from_numpy(padded[low:high]).to(device))[None])
        with reduced_precision(device):
            logits = network(image)[0]
        result[first:last] = logits[first - low : last - low].float().cpu().numpy()
    covered = tuple(
        slice(s.start, s.start + n * step) for s, n, step in zip(box, result.shape, STRIDE, strict=True)
    )
    return DenseAnswer(np.ascontiguousarray(result), covered)


def spine_box(labels: np.ndarray) -> tuple[slice, slice, slice]:
    """About all levels [z, y, x] with a margin, as far as the grid reaches."""
    from scipy import ndimage

    found = ndimage.find_objects((labels > 0).view(np.uint8))[0]
    return tuple(
        slice(max(s.start - m, 0), min(s.stop + m, n)) for s, m, n in zip(found, MARGIN, labels.shape, strict=True)
    )


def territories(segmented: Segmented, answer: DenseAnswer) -> np.ndarray:
    """Whose each answer is: uint8 like the logits, a level's label or 0.

    A voxel belongs to the nearest level within TERRITORY; what lies next to voxels without data, or where slices are
    missing, belongs to none.
    """
    from scipy import ndimage

    labels = _folded(segmented.labels, answer, np.max)
    spacing = np.array(segmented.lattice.spacing) * STRIDE
    distance, nearest = ndimage.distance_transform_edt(labels == 0, sampling=spacing, return_indices=True)
    owned = np.where(distance <= TERRITORY, labels[tuple(nearest)], 0)
    unmeasured = _folded(segmented.hu <= NO_DATA, answer, np.max)
    owned[ndimage.binary_dilation(unmeasured, iterations=2)] = 0
    for gap in segmented.gaps:
        owned[_between_slices(segmented, answer, gap)] = 0
    return owned


def _between_slices(segmented: Segmented, answer: DenseAnswer, gap: Gap) -> np.ndarray:
    """Which answers lie where slices are missing: bool like the logits."""
    middles = [
        part.start + (np.arange(count) + 0.5) * step - 0.5
        for part, count, step in zip(answer.box, answer.logits.shape, STRIDE, strict=True)
    ]
    indices = np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1)
    return gap.holds(segmented.lattice.to_points(indices))


def _folded(array: np.ndarray, answer: DenseAnswer, over) -> np.ndarray:
    """A fine array on the answers' voxels: one value of the STRIDE voxels that each covers; 0 beyond the grid."""
    part = array[answer.box]
    missing = [(0, n * step - have) for n, step, have in zip(answer.logits.shape, STRIDE, part.shape, strict=True)]
    part = np.pad(part, missing)
    z, y, x = answer.logits.shape
    return over(part.reshape(z, y, STRIDE[1], x, STRIDE[2]), axis=(2, 4))


def dense_heat(
    segmented: Segmented, answer: DenseAnswer, owned: np.ndarray
) -> Iterator[tuple[str, np.ndarray, tuple]]:
    """Each level's share of the answer: name, probabilities (float32) on a part of the fine grid, and which part.

    owned: see `territories`.
    """
    from scipy import ndimage

    starts = [part.start for part in answer.box]
    for level, found in zip(LEVELS, ndimage.find_objects(owned, max_label=len(LEVELS)), strict=True):
        if found is None or not (segmented.labels == level.label).any():
            continue
        heat = np.where(owned[found] == level.label, expit(answer.logits[found]), 0).astype(np.float32)
        for axis, step in enumerate(STRIDE):
            heat = heat.repeat(step, axis) if step > 1 else heat
        place = tuple(
            slice(start + s.start * step, min(start + s.stop * step, n))
            for start, s, step, n in zip(starts, found, STRIDE, segmented.labels.shape, strict=True)
        )
        yield level.name, heat[tuple(slice(0, s.stop - s.start) for s in place)], place


def level_logits(segmented: Segmented, answer: DenseAnswer, owned: np.ndarray) -> dict[str, float]:
    """Each level's mean of its POOLED hottest logits, of the levels that are large enough to be asked about.

    owned: see `territories`.
    """
    result = {}
    sizes = np.bincount(segmented.labels.ravel(), minlength=len(LEVELS) + 1)
    for level in LEVELS:
        own = answer.logits[owned == level.label]
        if sizes[level.label] < LEAST_VOXELS or not len(own):
            continue
        count = min(POOLED, len(own))
        result[level.name] = float(np.partition(own, len(own) - count)[len(own) - count :].mean())
    return result
