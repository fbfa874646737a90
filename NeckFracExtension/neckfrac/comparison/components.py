"""The levels of a segmentation as connected pieces, and which of them the scan cuts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..anatomy import LEVELS, N_LEVELS
from ..intake.labels import levels_of
from ..volume import CTVolume

CRUMB_ML = 0.05  # smaller pieces are not counted at all
# The scan cuts a level that has this area (mm2) in the first or last slice that is labelled at all, and this part of
# what it has a millimeter further in: whole ones taper to less than 0.57.
CUT_AREA, CUT_TAPER = 20.0, 0.6


@dataclass(frozen=True, eq=False)
class Piece:
    """A connected part of a level: its centroid, and the voxel nearest to that (LPS mm); volume in ml."""

    center: np.ndarray
    inside: np.ndarray
    ml: float


@dataclass(frozen=True, eq=False)
class SegmentedLevel:
    """A level as it is segmented: pieces from the largest down; cut: where the labels end, it goes on."""

    number: int
    pieces: tuple[Piece, ...]
    cut: bool

    @property
    def name(self) -> str:
        return LEVELS[self.number - 1].name

    @property
    def main(self) -> Piece:
        return self.pieces[0]

    @property
    def ml(self) -> float:
        return sum(piece.ml for piece in self.pieces)


def read_levels(labels: np.ndarray, affine: np.ndarray) -> list[SegmentedLevel]:
    """The levels C1 to C7 of labels [z, y, x] in any orientation, by number; affine: voxel (i, j, k) to LPS mm."""
    from scipy import ndimage

    volume, reorientation = CTVolume(labels, affine).canonical()
    labels = levels_of(reorientation.apply(labels))
    boxes = ndimage.find_objects(labels, max_label=N_LEVELS)
    ends = [(box[0].start, box[0].stop - 1) for box in boxes if box is not None]
    if not ends:
        return []
    first, last = min(end[0] for end in ends), max(end[1] for end in ends)
    voxel_ml = abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000
    found = []
    for number, box in enumerate(boxes, 1):
        if box is None:
            continue
        mask = labels[box] == number
        pieces = _pieces(mask, volume, np.array([part.start for part in box]), voxel_ml)
        ends = [mask] * (box[0].start == first) + [mask[::-1]] * (box[0].stop - 1 == last)
        if pieces:
            found.append(SegmentedLevel(number, pieces, any(_is_cut(end, volume.spacing) for end in ends)))
    return found


def _is_cut(mask: np.ndarray, spacing: np.ndarray) -> bool:
    """Whether a level ends flat in its first slice. mask: bool [z, y, x]; spacing: mm along z, y, x."""
    inwards = min(max(round(1.0 / spacing[0]), 1), len(mask) - 1)
    area = float(mask[0].sum() * spacing[1] * spacing[2])
    return area >= CUT_AREA and mask[0].sum() >= CUT_TAPER * mask[inwards].sum()


def _pieces(mask: np.ndarray, volume: CTVolume, start: np.ndarray, voxel_ml: float) -> tuple[Piece, ...]:
    from scipy import ndimage

    parts, count = ndimage.label(mask, np.ones((3, 3, 3)))  # voxels that touch by a corner belong together
    sizes = np.bincount(parts.reshape(-1), minlength=count + 1)
    pieces = []
    for part in 1 + np.argsort(-sizes[1:], kind="stable"):
        if sizes[part] * voxel_ml < CRUMB_ML:
            break
        points = volume.to_points(np.argwhere(parts == part) + start)
        center = points.mean(axis=0)
        # The centroid of a ring lies in the canal; the reader is sent to bone.
        inside = points[np.argmin(((points - center) ** 2).sum(axis=1))]
        pieces.append(Piece(center, inside, float(sizes[part] * voxel_ml)))
    return tuple(pieces)
