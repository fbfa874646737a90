"""Which images of a series are parallel and of one size: reformats and localizers among the slices are left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..study_warning import StudyWarning
from .dicom_geometry import normal_of
from .dicom_headers import Frame

PARALLEL = 2e-3  # by which direction cosines of parallel slices may differ
SAME_PIXEL = 1e-3  # of the pixel spacing
AXIAL = np.cos(np.radians(45))
SHARE = 0.25  # of the largest group's slices that axial ones must have to go before it
SMALLEST = 3  # slices that are left when others are left out


def few(odd: int, total: int) -> bool:
    """Whether `odd` of `total` images can be left out as strays: one, or a twentieth, of at least six times as many."""
    return odd <= max(1, total // 20) and total >= 6 * odd


def one_grid(frames: Sequence[Frame]) -> tuple[list[Frame], list[StudyWarning]]:
    """The frames of one orientation, size and pixel spacing; which others were left out, in words.

    Axial ones go before reformats. Raises InputError where images of another size or spacing are slices that the
    stack would lack, and where no two images or few are parallel.
    """
    orientations = _clusters([frame.orientation for frame in frames], lambda a, b: np.abs(a - b) <= PARALLEL)
    if len(orientations) > 1:
        chosen = _main(frames, orientations)
        if len(chosen) < SMALLEST or len(chosen) < SHARE * len(frames):
            first, other = frames[orientations[0][0]], frames[orientations[1][0]]
            raise InputError(
                "The slices of the series are not parallel.",
                where=f"{first.where} and {other.where}",
                advice="Separate the series into folders of parallel slices.",
            )
        warnings = [_left_out(frames, chosen, orientations)]
    else:
        chosen, warnings = orientations[0], []
    parallel = [frames[number] for number in chosen]
    sizes = [(frame.file.rows, frame.file.columns, *frame.spacing) for frame in parallel]
    grids = _clusters(sizes, lambda a, b: np.abs(a - b) <= SAME_PIXEL * np.abs(b))
    if len(grids) == 1:
        return parallel, warnings
    best = max(grids, key=len)
    kept = [parallel[number] for number in best]
    others = [frame for number, frame in enumerate(parallel) if number not in set(best)]
    if not few(len(others), len(parallel)) and _lacked(kept, others):
        raise _differ(kept[0], others[0])
    file = kept[0].file
    what = "1 image of another size or pixel spacing was"
    if len(others) > 1:
        what = f"{len(others)} images of other sizes or pixel spacings were"
    text = (
        f"{what} left out of the series: the {len(kept)} slices of {file.rows} x {file.columns} pixels and "
        f"{kept[0].spacing[0]:.3g} mm were read, the most that are alike."
    )
    warnings.append(StudyWarning("other-grid-left-out", text, {"left_out": len(others), "read": len(kept)}))
    return kept, warnings


def _clusters(values: Sequence[Sequence[float]], alike) -> list[list[int]]:
    """Numbers of values that are like the first of their cluster."""
    table = np.array(values, dtype=np.float64)
    left, found = np.arange(len(table)), []
    while len(left):
        near = alike(table[left], table[left[0]]).all(axis=1)
        near[0] = True
        found.append(left[near].tolist())
        left = left[~near]
    return found


def _main(frames: Sequence[Frame], groups: list[list[int]]) -> list[int]:
    """The largest group, or the largest axial one when it is not much smaller."""
    largest = max(groups, key=len)
    axial = [g for g in groups if abs(normal_of(frames[g[0]].orientation)[2]) > AXIAL]
    best = max(axial, key=len, default=largest)
    return best if len(best) >= max(SHARE * len(largest), SMALLEST) else largest


def _left_out(frames: Sequence[Frame], chosen: list[int], groups: list[list[int]]) -> StudyWarning:
    others = [group for group in groups if group is not chosen]
    count = sum(map(len, others))
    kinds = sorted({_plane(frames[group[0]]) for group in others})
    read = _plane(frames[chosen[0]])
    reason = "axial ones are what is analysed" if read == "axial" else "they are the most"
    what = f"{count} image that is" if count == 1 else f"{count} images that are"
    text = (
        f"The series holds {what} not parallel to its slices ({', '.join(kinds)}; a localizer or reformat): "
        f"the {len(chosen)} {read} slices were read, as {reason}; {count} left out."
    )
    return StudyWarning("not-parallel-left-out", text, {"left_out": count, "read": len(chosen)})


def _plane(frame: Frame) -> str:
    normal = np.abs(normal_of(frame.orientation))
    return ("sagittal", "coronal", "axial")[int(normal.argmax())] if normal.max() > AXIAL else "oblique"


def _lacked(kept: list[Frame], others: list[Frame]) -> bool:
    """Whether most of the other parallel images lie where no kept one does: beyond them, or in a gap of theirs."""
    normal = normal_of(kept[0].orientation)
    places = np.sort(np.array([frame.position for frame in kept]) @ normal)
    along = np.array([frame.position for frame in others]) @ normal
    step = float(np.median(np.diff(places))) if len(places) > 1 else 0.0
    away = np.abs(along[:, None] - places[None]).min(axis=1)
    return bool((away > 0.75 * step).mean() > 0.5)


def _differ(first: Frame, other: Frame) -> InputError:
    file, size = other.file, (first.file.rows, first.file.columns)
    what = "The slices of the series differ in pixel spacing."
    if (file.rows, file.columns) != size:
        what = (
            f"The slices of the series differ in size: {file.rows}x{file.columns} and "
            f"{size[0]}x{size[1]} (rows x columns)."
        )
    return InputError(
        what, where=f"{first.where} and {other.where}", advice="Separate the series into folders of equal slices."
    )
