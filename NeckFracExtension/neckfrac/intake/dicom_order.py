"""Slices whose places contradict those of all the others: typing errors in Image Position, which are left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..study_warning import StudyWarning
from .dicom_geometry import SAME_PLACE, normal_of
from .dicom_grids import few
from .dicom_headers import Frame

SIDEWAYS = 1.0  # mm, or a pixel: by which a slice may lie beside the line through its neighbours
REGULAR = 0.85  # of the distances that must be alike before one that is not is called an error
ALIKE = 0.1  # of the usual distance
FEWEST = 6  # slices that show a line


def in_line(frames: Sequence[Frame]) -> tuple[list[Frame], list[StudyWarning]]:
    """The slices (at different places) without single ones far beside the others, or squeezed in between two.

    A gantry's tilt shifts all slices alike, and keeps them. Where many lie out of line, all are kept. What was left
    out is said in words.
    """
    if len(frames) < FEWEST:
        return list(frames), []
    frames, warnings = _without_shifted(list(frames))
    frames, more = _without_squeezed(frames)
    return frames, warnings + more


def _without_shifted(frames: list[Frame]) -> tuple[list[Frame], list[StudyWarning]]:
    positions = np.array([frame.position for frame in frames])
    rows = np.array(frames[0].orientation).reshape(2, 3)
    along, across = positions @ normal_of(frames[0].orientation), positions @ rows.T
    order = np.argsort(along, kind="stable")
    # The medians of a line's slope and offset: half of the slices may be wrong (after Theil and Sen).
    gaps = np.maximum(np.diff(along[order]), SAME_PLACE)
    slope = np.median(np.diff(across[order], axis=0) / gaps[:, None], axis=0)
    beside = across - along[:, None] * slope
    away = np.abs(beside - np.median(beside, axis=0)).max(axis=1)
    wrong = away > max(SIDEWAYS, *frames[0].spacing)
    count = int(wrong.sum())
    if not count or not few(count, len(frames)):
        return frames, []
    what = "1 slice that says it lies" if count == 1 else f"{count} slices that say they lie"
    text = (
        f"{what} up to {away.max():.4g} mm beside its neighbours (Image Position) was left out: such a place is a "
        "mistake. The gap is filled from the slices next to it."
    )
    kept = [frame for frame, out in zip(frames, wrong, strict=True) if not out]
    return kept, [StudyWarning("slice-beside-left-out", text, {"left_out": count, "beside_mm": away.max()})]


def _without_squeezed(frames: list[Frame]) -> tuple[list[Frame], list[StudyWarning]]:
    along = np.array([frame.position for frame in frames]) @ normal_of(frames[0].orientation)
    order = np.argsort(along, kind="stable")
    gaps = np.diff(along[order])
    usual = float(np.median(gaps))
    if (np.abs(gaps - usual) <= ALIKE * usual).mean() < REGULAR:
        return frames, []
    # Both distances of a squeezed slice together are one usual distance.
    both = np.abs(gaps[1:] + gaps[:-1] - usual) <= ALIKE * usual
    wrong = order[1:-1][both]
    if not len(wrong) or not few(len(wrong), len(frames)):
        return frames, []
    what = "1 slice that says it lies" if len(wrong) == 1 else f"{len(wrong)} slices that say they lie"
    text = (
        f"{what} between two others, which are as far apart as all are ({usual:.2f} mm), was left out: "
        "such a place (Image Position) is a mistake, or the slice is of another scan."
    )
    kept = [frame for number, frame in enumerate(frames) if number not in set(wrong.tolist())]
    return kept, [StudyWarning("slice-between-left-out", text, {"left_out": len(wrong), "spacing_mm": usual})]
