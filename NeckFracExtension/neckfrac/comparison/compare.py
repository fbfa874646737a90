"""One segmentation of C1 to C7 against another: overlap and distances level by level, on the crop of each level."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..anatomy import LEVELS, N_LEVELS
from ..errors import InputError
from ..intake.labels import levels_of, read_labels, read_level_file
from ..progress import Progress
from ..volume import CTVolume
from .overlap import level_figures
from .plausibility import Flag, find_flags
from .scoring import misnamed

BOTH, ONLY_OURS, ONLY_REFERENCE, NEITHER = "both", "only in the segmentation", "only in the reference", "in neither"


@dataclass(frozen=True)
class LevelComparison:
    """One level of a segmentation and of its reference.

    found: in which of the two the level is. dice, surface_dice_1mm, surface_dice_2mm: 0 to 1; hausdorff95_mm: the
    95 % Hausdorff distance; all None unless the level is in both. volume_ml, reference_ml: of the level in each.
    place: its centroid in the reference (or in the segmentation, where the reference lacks it), LPS mm.
    lies_in: the reference's level that most of it lies in, when that is another one ("" for none); else None.
    """

    level: str
    found: str
    dice: float | None = None
    surface_dice_1mm: float | None = None
    surface_dice_2mm: float | None = None
    hausdorff95_mm: float | None = None
    volume_ml: float = 0.0
    reference_ml: float = 0.0
    place: tuple[float, float, float] | None = None
    lies_in: str | None = None


@dataclass(frozen=True)
class Comparison:
    """A segmentation against a reference. levels: C1 to C7; flags, reference_flags: what is odd in each by itself.

    warnings: what is doubtful in the files that they were read from, in words.
    """

    levels: tuple[LevelComparison, ...]
    flags: tuple[Flag, ...] = ()
    reference_flags: tuple[Flag, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def mean_dice(self) -> float | None:
        """Over the levels of the reference; a level that the segmentation lacks counts as 0. None without any."""
        values = [level.dice or 0.0 for level in self.levels if level.found in (BOTH, ONLY_REFERENCE)]
        return float(np.mean(values)) if values else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "mean_dice": self.mean_dice}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Comparison:
        """The Comparison that `to_dict` wrote."""
        levels = [
            LevelComparison(**{**level, "place": level["place"] and tuple(level["place"])})
            for level in content["levels"]
        ]
        flags = [tuple(Flag.from_dict(flag) for flag in content[key]) for key in ("flags", "reference_flags")]
        return cls(tuple(levels), *flags, tuple(content.get("warnings", ())))


def compare_segmentations(
    labels: np.ndarray, reference: np.ndarray | None, affine: np.ndarray, progress: Progress | None = None
) -> Comparison:
    """Compare labels [z, y, x] with a reference on the same grid; 1 to 7 are C1 to C7, other values are left out.

    affine: 4x4, voxel (i, j, k) to mm in LPS. Distances take the axes as orthogonal, as a gantry tilt's are not quite.
    Without a reference there are no levels in the result, but flags.
    Raises InputError when the grids differ or neither holds any level.
    """
    progress = progress or Progress()
    if reference is None:
        return Comparison((), tuple(find_flags(labels, affine)))
    labels, reference, affine = labelled_part(labels, reference, affine)
    boxes = _boxes(labels, reference)
    if not any(boxes):
        raise InputError("Neither segmentation holds a level from C1 to C7.", advice="Their labels must be 1 to 7.")
    grid = CTVolume(labels, affine)
    voxel_ml = abs(float(np.linalg.det(grid.affine[:3, :3]))) / 1000
    names = misnamed(labels, reference, voxel_ml)
    levels = []
    for index, (level, box) in enumerate(zip(LEVELS, boxes, strict=True)):
        progress.step(0.8 * index / N_LEVELS)
        if box is None:
            levels.append(LevelComparison(level.name, NEITHER))
            continue
        ours, theirs = labels[box] == level.label, reference[box] == level.label
        where = np.argwhere(theirs if theirs.any() else ours).mean(axis=0) + [part.start for part in box]
        x, y, z = grid.to_points(where)
        figures = level_figures(ours, theirs, grid.spacing.tolist()) if ours.any() and theirs.any() else {}
        levels.append(LevelComparison(
            level.name,
            BOTH if figures else ONLY_OURS if ours.any() else ONLY_REFERENCE,
            *(figures.get(name) for name in ("dice", "surface dice 1 mm", "surface dice 2 mm", "hausdorff95 mm")),
            volume_ml=int(ours.sum()) * voxel_ml, reference_ml=int(theirs.sum()) * voxel_ml,
            place=(float(x), float(y), float(z)), lies_in=names.get(level.name),
        ))  # fmt: skip
    progress.step(0.8)
    flags = tuple(find_flags(labels, affine))
    progress.step(0.9)
    result = Comparison(tuple(levels), flags, tuple(find_flags(reference, affine)))
    progress.step(1.0)
    return result


@dataclass(frozen=True, eq=False)
class Disagreement:
    """Where two segmentations differ. parts: uint8 [z, y, x], 0 where they agree, 1 only the segmentation has a level,
    2 only the reference has, 3 they have different ones. affine: 4x4, voxel (i, j, k) to mm in LPS."""

    parts: np.ndarray
    affine: np.ndarray


def disagreement(labels: np.ndarray, reference: np.ndarray, affine: np.ndarray) -> Disagreement:
    """Where one has a level that the other has not, cut to the part that holds levels of either."""
    labels, reference, affine = labelled_part(labels, reference, affine)
    parts = np.zeros(labels.shape, np.uint8)
    differ = labels != reference
    parts[differ & (reference == 0)] = 1
    parts[differ & (labels == 0)] = 2
    parts[differ & (labels > 0) & (reference > 0)] = 3
    return Disagreement(parts, affine)


def compare_files(labels: Path, reference: Path, progress: Progress | None = None) -> Comparison:
    """Compare two files of labels 1 to 7 (NIfTI, NRRD, MetaImage) on the grid of the first. Raises InputError."""
    progress = progress or Progress()
    volume, warnings = read_level_file(labels)
    other, others = read_labels(reference, volume)
    comparison = compare_segmentations(volume.voxels, other, volume.affine, progress)
    return replace(comparison, warnings=tuple(dict.fromkeys(map(str, warnings + others))))


def labelled_part(
    labels: np.ndarray, reference: np.ndarray, affine: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both as uint8 with 1 to 7 alone, cut to the part that holds levels of either, and its affine.

    Most of a CT holds none, and looking there takes most of the time. Raises InputError when the grids differ.
    """
    if labels.shape != reference.shape:
        raise InputError("The two segmentations do not lie on one grid.", where=f"{labels.shape}, {reference.shape}")
    labels, reference = levels_of(labels), levels_of(reference)
    box = []
    for axis in range(3):
        others = tuple({0, 1, 2} - {axis})
        where = np.flatnonzero(labels.any(axis=others) | reference.any(axis=others))
        box.append(slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(0, 0))
    start = np.array(affine, dtype=np.float64)
    start[:3, 3] = CTVolume(labels, affine).to_points(np.array([part.start for part in box]))
    return labels[tuple(box)], reference[tuple(box)], start


def _boxes(labels: np.ndarray, reference: np.ndarray) -> list[tuple[slice, ...] | None]:
    """Of each level, the smallest box that holds it in both; None where neither has it."""
    from scipy import ndimage

    found = [ndimage.find_objects(array, max_label=N_LEVELS) for array in (labels, reference)]
    boxes: list[tuple[slice, ...] | None] = []
    for pair in zip(*found, strict=True):
        axes = zip(*(box for box in pair if box is not None), strict=True)
        box = tuple(slice(min(part.start for part in axis), max(part.stop for part in axis)) for axis in axes)
        boxes.append(box or None)
    return boxes
