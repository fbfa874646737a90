"""Boxes slice by slice, in the layout of the RSNA 2022 data set's train_bounding_boxes.csv."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..findings import Box, Findings
from .dicom_source import SourceSeries, read_source

COLUMNS = ("StudyInstanceUID", "x", "y", "width", "height", "slice_number")  # as training/rsna.py reads them
_CORNERS = np.array(list(product((0, 1), repeat=3)))
# Corners that differ along one axis: the twelve edges.
_EDGES = [(a, b) for a in range(8) for b in range(a) if np.abs(_CORNERS[a] - _CORNERS[b]).sum() == 1]


def write_boxes(path: Path, files: Sequence[str | Path] | SourceSeries, findings: Findings) -> None:
    """Write a row for each slice that a suspected fracture's box cuts, in the order of levels and slices.

    As the networks called them: what readers said (`findings.reviews`) is not told in this layout.

    slice_number: the slice's InstanceNumber; slices without one are left out. Raises InputError for a series that is
    no DICOM, and when it can't be written.
    """
    source = read_source(files, findings.study)
    study = str(source.headers[0].StudyInstanceUID)
    boxes = [level.box for level in findings.positive if level.box is not None]
    rows = [[study, *(f"{value:.2f}" for value in row[:4]), row[4]] for box in boxes for row in on_slices(source, box)]
    try:
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    except OSError as error:
        raise InputError(
            f"The boxes can't be written: {error.strerror}.", where=path, advice="Check the room on the disk."
        ) from error


def on_slices(source: SourceSeries, box: Box) -> list[tuple[float, float, float, float, int]]:
    """x, y, width, height (pixels) and number of each slice whose middle the box reaches, around the cut.

    x, y: upper left corner of the cut, counted from the upper left corner of the upper left pixel. A box that lies
    between two slices is told on the nearer one. What lies beyond the image is cut off.
    """
    geometry, file = source.stack.geometry, source.stack.frames[0].file
    size = np.array([file.columns, file.rows], dtype=float)
    corners = np.where(_CORNERS, box.upper, box.lower)
    rows = []
    for frame, distance in zip(source.stack.frames, _distances(source, corners), strict=True):
        # x (column), y (row) and height above the slice, of the box's corners; mm from the first pixel's centre.
        local = (corners - np.array(frame.position)) @ geometry.axes
        local[:, 2] -= distance
        cut = [_crossing(local[a], local[b]) for a, b in _EDGES if local[a, 2] * local[b, 2] <= 0]
        if not cut or frame.instance is None:
            continue
        places = np.concatenate(cut) / geometry.pixel + 0.5
        lower, upper = (np.clip(edge(axis=0), 0, size) for edge in (places.min, places.max))
        if (upper - lower >= 0.01).all():
            number = frame.instance + (1 if source.multi_frame else 0)
            rows.append((*lower, *(upper - lower), number))
    return rows


def _distances(source: SourceSeries, corners: np.ndarray) -> np.ndarray:
    """Where, in mm above each slice, the box is cut for it: 0, but for a box between two slices its nearer side."""
    geometry = source.stack.geometry
    along = (corners - geometry.first) @ geometry.axes[:, 2]
    lowest, highest = along.min(), along.max()
    distances = np.zeros(len(geometry.distances))
    if not ((geometry.distances >= lowest) & (geometry.distances <= highest)).any():
        middle = (lowest + highest) / 2
        nearest = int(np.argmin(np.abs(geometry.distances - middle)))
        if geometry.distances[0] - geometry.step <= middle <= geometry.distances[-1] + geometry.step:
            distances[nearest] = middle - geometry.distances[nearest]
    return distances


def _crossing(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """x, y [n, 2] where an edge meets the slice: one point, or both ends when it lies in it."""
    if one[2] == other[2]:
        return np.stack([one[:2], other[:2]])
    share = one[2] / (one[2] - other[2])
    return (one[:2] + share * (other[:2] - one[:2]))[None]
