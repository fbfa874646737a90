"""A labelmap from a file or an array: the levels that somebody else, or another program, has outlined."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..anatomy import N_LEVELS
from ..errors import InputError
from ..progress import Progress
from ..study_warning import StudyWarning
from ..volume import CTVolume, to_image
from .file_kinds import check_file_kind, check_name_is_text

# Labels stored with a slope come back a little off: by half a step of 8-bit values for 7 labels, 0.014.
WHOLE = 0.05
MOST_LABELS = 4095  # numbers that are told apart; larger ones are no labelmap's
# TotalSegmentator's task "total", version 2 (its README, "Class details"): vertebrae_C7 is 44, vertebrae_C1 is 50.
TOTALSEGMENTATOR_C1 = 50
TOTALSEGMENTATOR = tuple(TOTALSEGMENTATOR_C1 - n for n in range(N_LEVELS))
EXPECTED = "Give labels 1 to 7 for C1 to C7 (or TotalSegmentator's 50 to 44)."
TAKEN = "The labels are TotalSegmentator's: 50 to 44 were taken as C1 to C7, all others left out."


def whole_numbers(labels: np.ndarray) -> np.ndarray:
    """Labels as integers, rounded slice by slice; integers are returned as they are.

    Raises InputError for what is far from whole numbers, as labels are that were interpolated, or is no number.
    """
    if labels.dtype.kind in "iub":
        return labels
    if labels.dtype.kind != "f":
        raise InputError("The labels are no numbers.", advice=EXPECTED)
    whole = np.empty(labels.shape, np.int32)
    for values, rounded in zip(labels, whole, strict=True):
        nearest = np.rint(values)
        with np.errstate(invalid="ignore"):
            off = ~(np.abs(values - nearest) <= WHOLE) | (np.abs(values) > 2**31 - 1)
        if off.any():
            raise InputError(
                f"The labels are no whole numbers ({values[off].ravel()[0]:.3g} is one): "
                "they were interpolated, or this is no labelmap.",
                advice=EXPECTED,
            )
        rounded[...] = nearest
    return whole


def levels_of(labels: np.ndarray) -> np.ndarray:
    """Labels 1 to 7 as uint8, all others 0; no copy of uint8 when there are no others. Raises InputError."""
    labels = whole_numbers(labels)
    if labels.dtype == np.uint8 and labels.max(initial=0) <= N_LEVELS:
        return labels
    return np.where((labels >= 1) & (labels <= N_LEVELS), labels, 0).astype(np.uint8)


def named_levels(labels: CTVolume) -> tuple[np.ndarray, list[StudyWarning]]:
    """Labels as uint8 1 to 7 for C1 to C7, in our numbers or in TotalSegmentator's, and what was made of them.

    TotalSegmentator's own 1 to 7 are organs, so its vertebrae go first; they are known by their order along the body,
    which the parts of one vertebra under such numbers do not have. Raises InputError for other numbers.
    """
    whole = whole_numbers(labels.voxels)
    found = _numbers(whole)
    theirs = [value for value in TOTALSEGMENTATOR if value in found]
    ours = [value for value in range(1, N_LEVELS + 1) if value in found]
    if theirs and (len(theirs) > 1 or not ours):
        levels = _renamed(whole, {value: TOTALSEGMENTATOR_C1 + 1 - value for value in theirs})
        if _from_above(CTVolume(levels, labels.affine)):
            return levels, [StudyWarning("labels-totalsegmentator", TAKEN)]
    if not ours:
        numbers = ", ".join(map(str, found[:12])) + (" and others" if len(found) > 12 else "") if found else "none"
        raise InputError(f"The labels hold none of C1 to C7 (their numbers: {numbers}).", advice=EXPECTED)
    levels = levels_of(whole)
    if _from_above(CTVolume(levels, labels.affine)):
        return levels, []
    text = "The labels 1 to 7 do not follow each other from the head down: are they C1 to C7?"
    return levels, [StudyWarning("labels-out-of-order", text)]


def _numbers(whole: np.ndarray) -> list[int]:
    """The values above 0, those from MOST_LABELS on as that; slice by slice, without sorting."""
    counts = np.zeros(MOST_LABELS + 1, np.int64)
    for values in whole:
        counts += np.bincount(np.clip(values.ravel().astype(np.int64), 0, MOST_LABELS), minlength=len(counts))
    return [int(value) for value in np.flatnonzero(counts[1:]) + 1]


def _renamed(whole: np.ndarray, levels: dict[int, int]) -> np.ndarray:
    table = np.zeros(max(levels) + 2, np.uint8)  # the last stands for all above
    table[list(levels)] = list(levels.values())
    renamed = np.empty(whole.shape, np.uint8)
    for values, out in zip(whole, renamed, strict=True):
        np.take(table, np.clip(values, 0, len(table) - 1).astype(np.intp), out=out)
    return renamed


def _from_above(levels: CTVolume) -> bool:
    """Whether the middles of the levels, from C1 on, lie one below the other along the patient."""
    from scipy import ndimage

    heights = []
    for label, box in enumerate(ndimage.find_objects(levels.voxels, max_label=N_LEVELS), 1):
        if box is not None:
            inside = np.argwhere(levels.voxels[box] == label).mean(axis=0) + [part.start for part in box]
            heights.append(levels.to_points(inside)[2])
    return bool(np.all(np.diff(heights) < 0))


def read_level_file(path: Path) -> tuple[CTVolume, list[StudyWarning]]:
    """The levels of a file on its own grid: uint8, 1 to 7, others 0; and warnings. Raises InputError."""
    from .dicom_geometry import POSITION_TOLERANCE
    from .files import file_format, read_stored
    from .nifti import shear

    path = Path(path)
    check_file_kind(path)
    check_name_is_text(path)
    if not file_format(path):
        raise InputError("The labels can't be read.", where=path, advice="Give a NIfTI, NRRD or MetaImage file.")
    volume, warnings = read_stored(path, Progress())
    height = float(np.linalg.norm(volume.affine[:3, :3] @ np.array(volume.shape[::-1])))
    if shear(volume.affine) * height > max(POSITION_TOLERANCE, float(volume.spacing.min())):
        raise InputError(
            "The labels' axes are not at right angles.", where=path, advice="Resample them onto the CT's grid."
        )
    upright = volume.affine.copy()
    left, _, right = np.linalg.svd(volume.directions)
    upright[:3, :3] = (left @ right) * volume.spacing[::-1]  # the nearest axes at right angles
    try:
        levels, taken = named_levels(CTVolume(volume.voxels, upright))
    except InputError as error:
        raise InputError(error.what, where=path, advice=error.advice) from error
    return CTVolume(levels, upright), [replace(one, text=f"{one} ({path.name})") for one in warnings + taken]


def read_labels(path: Path, volume: CTVolume) -> tuple[np.ndarray, list[StudyWarning]]:
    """The levels of a file on the volume's voxels, uint8 [z, y, x], 1 to 7 and else 0; and warnings.

    Raises InputError for a file that can't be read as labels, and when none of them lies in the scan.
    """
    import SimpleITK as sitk

    given, warnings = read_level_file(path)
    image = sitk.Resample(to_image(given), to_image(volume), sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    labels = sitk.GetArrayFromImage(image)
    if not labels.any():
        raise InputError(
            "No label of C1 to C7 lies in the scan.", where=path, advice="Give labels 1 to 7 in the scan's frame."
        )
    return labels, warnings
