"""Stacks that lie in one place, slice beside slice, and that nothing but their values tells apart."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..study_warning import StudyWarning
from .dicom_geometry import OF_GEOMETRY, stack_geometry
from .dicom_series import Stack

# The limits lie well between 16 scans of four scanners, also interpolated to half their slice distance, and the same
# with every second slice shifted by a pixel, 10 HU higher, smoothed, or noisier (Testing/intake/test_mixed_stacks.py).
# In those scans the mean difference grows with the distance, from neighbours to the next but one 1.1 to 1.7 times.
MOST_STACKS = 4
UNLIKE = 0.9  # a slice's difference from the next of its own stack, as a share of that from its neighbour
MOVED = 4.0  # HU between every second slice and its neighbours, in the mean of soft tissue
NOISIER = 0.15  # by which the noise of every second slice differs; interpolation between slices may change it by 0.12
STEADY = 0.95  # of the slices differ the same way
FEWEST = 12  # slices that show a pattern
LEAST_TISSUE = 30  # voxels of a slice
TISSUE, LARGEST_STEP, NOISE_BELOW = (-300, 300), 500, 150  # HU
ACROSS = 96  # rows and columns that are looked at


@dataclass(frozen=True)
class Mixture:
    """How many stacks lie slice beside slice in one volume, and what shows it, in words."""

    stacks: int
    why: str


def mixture(voxels: np.ndarray, axis: int = 0, *, noise: bool = False) -> Mixture | None:
    """Whether every second (third, fourth) slice along an axis belongs to another stack; None where nothing shows it.

    In one scan a slice is more like its neighbour than like the next but one, and neither brightness nor noise go up
    and down from slice to slice. noise: whether to look at that, too: it also does in what was interpolated.
    voxels: HU, [z, y, x].
    """
    slices = np.moveaxis(voxels, axis, 0)
    if len(slices) < FEWEST:
        return None
    rows, columns = (max(length // ACROSS, 1) for length in slices.shape[1:])
    own = slices[:, rows // 2 :: rows, columns // 2 : -1 : columns].astype(np.float32)
    beside = slices[:, rows // 2 :: rows, columns // 2 + 1 :: columns].astype(np.float32)
    own, beside = own.reshape(len(own), -1), beside.reshape(len(beside), -1)
    tissue = (own > TISSUE[0]) & (own < TISSUE[1])
    apart = [_median_mean(np.abs(own[n:] - own[:-n]).clip(max=LARGEST_STEP), tissue[n:] | tissue[:-n])
             for n in range(1, MOST_STACKS + 1)]  # fmt: skip
    for stacks in range(2, MOST_STACKS + 1):
        if apart[stacks - 1] < UNLIKE * apart[0]:
            return Mixture(stacks, "are more like each other than like their neighbours")
    moved = own[1:-1] - (own[:-2] + own[2:]) / 2
    steady, by = _alternation(_means(moved, tissue[:-2] & tissue[1:-1] & tissue[2:]))
    if steady >= STEADY and by >= MOVED:
        return Mixture(2, f"lie {by:.0f} HU off their neighbours")
    if noise:
        grain = np.abs(own - beside)
        level = _means(grain, tissue & (grain < NOISE_BELOW))
        steady, by = _alternation(level[1:-1] - (level[:-2] + level[2:]) / 2)
        if steady >= STEADY and by >= NOISIER * np.nanmedian(level):
            return Mixture(2, "differ from their neighbours in noise or sharpness")
    return None


def _means(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The mean of each row's values where `inside`; NaN in rows with too few of them."""
    count = inside.sum(axis=1)
    total = np.where(inside, values, 0).sum(axis=1)
    return np.where(count >= LEAST_TISSUE, total / np.maximum(count, 1), np.nan)


def _median_mean(values: np.ndarray, inside: np.ndarray) -> float:
    means = _means(values, inside)
    return float(np.median(means[np.isfinite(means)])) if np.isfinite(means).any() else 0.0


def _alternation(values: np.ndarray) -> tuple[float, float]:
    """Which share of values are now positive, now negative, and the median of what they are so."""
    turned = values * np.where(np.arange(len(values)) % 2, -1, 1)
    turned = turned[np.isfinite(turned)]
    if len(turned) < FEWEST - 4:
        return 0.0, 0.0
    return float(max((turned > 0).mean(), (turned < 0).mean())), float(abs(np.median(turned)))


def one_of_mixed(voxels: np.ndarray, stack: Stack) -> tuple[np.ndarray, Stack, list[StudyWarning]]:
    """A series' decoded slices ([slice, row, column], HU) and stack, or those of one of several that are mixed in it.

    Read is the stack that holds the image with the lowest number; what was left out is said in words. Raises
    InputError as `stack_geometry` does.
    """
    found = mixture(voxels, noise=True)
    if found is None:
        return voxels, stack, []
    numbers = [frame.instance for frame in stack.frames]
    first = 0 if None in numbers else int(np.argmin(numbers)) % found.stacks
    frames = stack.frames[first :: found.stacks]
    geometry = stack_geometry(
        np.array([frame.position for frame in frames]), frames[0].orientation, frames[0].spacing,
        [frame.where for frame in frames],
    )  # fmt: skip
    kept = [one for one in stack.warnings if one.code not in OF_GEOMETRY] + geometry.warnings()
    lost = len(stack.frames) - len(frames)
    text = (
        f"{_every(found)}, as those of {found.stacks} stacks in one place do, and nothing in the headers tells them "
        f"apart: the stack of the first image was read ({len(frames)} slices), so that they are not mixed; "
        f"{lost} images were left out."
    )
    one = replace(stack, frames=frames, geometry=geometry, warnings=tuple(kept))
    said = StudyWarning("stacks-separated", text, {"stacks": found.stacks, "left_out": lost, "read": len(frames)})
    return np.ascontiguousarray(voxels[first :: found.stacks]), one, [said]


def mixture_warnings(voxels: np.ndarray, axis: int) -> list[StudyWarning]:
    """A sentence where a volume's slices along an axis are those of several stacks."""
    found = mixture(voxels, axis)
    if found is None:
        return []
    text = (
        f"{_every(found)}: {found.stacks} scans or reconstructions seem to be mixed in the volume. Findings in it mean "
        "little; give one of them."
    )
    return [StudyWarning("stacks-mixed", text, {"stacks": found.stacks})]


def _every(found: Mixture) -> str:
    return f"The slices of every {('second', 'third', 'fourth')[found.stacks - 2]} place {found.why}"
