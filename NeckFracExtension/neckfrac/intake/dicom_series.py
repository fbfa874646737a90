"""Frames become series; a series' frames become one stack of CT slices, or the reason why they can't."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .dicom_geometry import SAME_PLACE, StackGeometry, normal_of, stack_geometry, valid_orientation
from .dicom_headers import CT_CLASSES, Frame

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
PROJECTIONS = frozenset(("MIP", "MINIP", "VRT", "SSD", "SCREEN SAVE"))
# Images of one place are told apart by the first of these that puts each group's slices at different places.
GROUPING = (
    ("time point", lambda frame: frame.temporal),
    ("acquisition", lambda frame: frame.acquisition),
    ("tube voltage", lambda frame: frame.voltage),
    ("echo", lambda frame: frame.echo),
    ("image type", lambda frame: "\\".join(frame.frame_type or frame.file.image_type)),
    ("kernel", lambda frame: frame.file.kernel),
)


@dataclass(frozen=True, eq=False)
class Stack:
    """The slices of one CT series, sorted along their normal, all at different places."""

    frames: tuple[Frame, ...]
    geometry: StackGeometry
    warnings: tuple[str, ...]


def group_series(frames: Sequence[Frame]) -> list[list[Frame]]:
    """The frames of each series, in the order of series number; without UIDs, by what else tells series apart."""
    groups: dict[tuple, list[Frame]] = {}
    for frame in frames:
        file = frame.file
        key: tuple = (file.series_uid,)
        if not file.series_uid:
            rounded = None if frame.orientation is None else tuple(round(cosine, 3) for cosine in frame.orientation)
            key = (
                "",
                file.patient_id,
                file.study_date,
                file.modality,
                file.series_number,
                file.description,
                file.kernel,
                file.frame_of_reference,
                file.rows,
                file.columns,
                frame.spacing,
                rounded,
            )
        groups.setdefault(key, []).append(frame)
    numbered = sorted(
        groups.values(), key=lambda group: (group[0].file.series_number is None, group[0].file.series_number or 0)
    )
    return numbered


def arrange(frames: Sequence[Frame]) -> Stack:
    """One series' frames as a stack of CT slices. Raises InputError saying why it can't be one."""
    frames, warnings = _only_slices(frames)
    _check_alike(frames)
    if frames[0].file.photometric == "MONOCHROME1":
        warnings.append("The series is stored for inverted display (MONOCHROME1); its values were read as HU.")
    if any(frame.slope is None or frame.intercept is None for frame in frames):
        warnings.append(
            "The series does not say how its values become HU (no rescale slope or intercept): they were taken as HU."
        )
    if any(frame.file.lossy for frame in frames):
        warnings.append("The series was compressed with loss: fine fracture lines may be gone.")
    frames, chosen = _one_per_place(frames)
    warnings += chosen
    if len(frames) < 2:
        raise InputError(
            "The series has one slice only.", where=frames[0].where, advice="Give the folder with all of its slices."
        )
    positions = np.array([frame.position for frame in frames])
    geometry = stack_geometry(positions, frames[0].orientation, frames[0].spacing, [frame.where for frame in frames])
    warnings += geometry.warnings()
    return Stack(tuple(frames[number] for number in geometry.order), geometry, tuple(warnings))


def _only_slices(frames: Sequence[Frame]) -> tuple[list[Frame], list[str]]:
    """The CT slices among a series' frames, without localizers and captures."""
    where = frames[0].file.path
    if all(frame.file.sop_class.startswith(SECONDARY_CAPTURE) for frame in frames):
        raise InputError("The series is a secondary capture, not a CT.", where=where, advice=_GIVE_CT)
    slices = [f for f in frames if f.file.modality == "CT" or (not f.file.modality and f.file.sop_class in CT_CLASSES)]
    if not slices:
        modality = frames[0].file.modality or "unknown"
        raise InputError(f"The series is not a CT (modality {modality}).", where=where, advice=_GIVE_CT)
    # Raw data and other objects without an image may carry the modality CT.
    slices = [f for f in slices if f.file.rows and not f.file.sop_class.startswith(SECONDARY_CAPTURE)]
    if not slices:
        raise InputError("The series holds no CT images.", where=where, advice=_GIVE_CT)
    localizers = ["LOCALIZER" in (*f.file.image_type, *f.frame_type) for f in slices]
    if all(localizers):
        raise InputError("The series is a localizer (scout) only.", where=where, advice=_GIVE_CT)
    warnings = []
    if any(localizers):
        warnings.append(f"{sum(localizers)} localizer image(s) of the series were left out.")
        slices = [f for f, localizer in zip(slices, localizers, strict=True) if not localizer]
    return slices, warnings


_GIVE_CT = "Give a CT series of the neck with its axial slices."


def _check_alike(frames: Sequence[Frame]) -> None:
    """Raise InputError for what is no HU slice, says no place or spacing, or differs within the series."""
    first = frames[0]
    for frame in frames:
        file = frame.file
        types = {kind.upper() for kind in (*file.image_type, *frame.frame_type)}
        if file.samples != 1 or not (file.photometric or "MONOCHROME2").startswith("MONOCHROME"):
            raise InputError(
                "The images are in colour; a CT has one value a voxel.", where=frame.where, advice=_GIVE_CT
            )
        if types & PROJECTIONS:
            raise InputError("The series is a projection or rendering, not slices.", where=frame.where, advice=_GIVE_CT)
        if file.modality_lut or frame.rescale_type not in ("", "HU", "HU_MOD"):
            kind = "through a lookup table" if file.modality_lut else f"in the unit {frame.rescale_type}"
            raise InputError(f"The values are not HU (given {kind}).", where=frame.where, advice=_GIVE_CT)
        if frame.slope == 0:
            raise InputError("The rescale slope is 0: the values are no HU.", where=frame.where, advice=_GIVE_CT)
        if frame.spacing is None or min(frame.spacing) <= 0:
            raise InputError(
                "The series has no pixel spacing.",
                where=frame.where,
                advice="Export it from the archive with its original header.",
            )
        if frame.orientation is None or not valid_orientation(frame.orientation):
            raise InputError(
                "The series does not say how its slices are oriented (Image Orientation).",
                where=frame.where,
                advice="Export it from the archive with its original header.",
            )
        if frame.position is None:
            raise InputError(
                "The series does not say where its slices lie (Image Position).",
                where=frame.where,
                advice="Export it from the archive with its original header.",
            )
        if (file.rows, file.columns) != (first.file.rows, first.file.columns):
            raise InputError(
                f"The slices of the series differ in size: {file.rows}x{file.columns} and "
                f"{first.file.rows}x{first.file.columns} (rows x columns).",
                where=f"{first.where} and {frame.where}",
                advice="Separate the series into folders of equal slices.",
            )
        if not np.allclose(frame.spacing, first.spacing, rtol=1e-3, atol=0):
            raise InputError(
                "The slices of the series differ in pixel spacing.",
                where=f"{first.where} and {frame.where}",
                advice="Separate the series into folders of equal slices.",
            )
        if not np.allclose(frame.orientation, first.orientation, rtol=0, atol=2e-3):
            raise InputError(
                "The slices of the series are not parallel.",
                where=f"{first.where} and {frame.where}",
                advice="Separate the series into folders of parallel slices.",
            )


def _places(frames: Sequence[Frame]) -> np.ndarray:
    """For each frame the number of its place along the normal; frames closer than SAME_PLACE share one."""
    along = np.array([frame.position for frame in frames]) @ normal_of(frames[0].orientation)
    order = np.argsort(along, kind="stable")
    numbers = np.empty(len(frames), dtype=int)
    numbers[order] = np.concatenate([[0], np.cumsum(np.diff(along[order]) > SAME_PLACE)])
    return numbers


def _one_per_place(frames: list[Frame]) -> tuple[list[Frame], list[str]]:
    """One frame for each place: files that are there twice are dropped, of several time points one is chosen.

    Raises InputError when several images share a place and nothing tells which belong together.
    """
    seen: set[tuple] = set()
    once: list[Frame] = []
    for frame in frames:
        # The number tells frames apart that a careless anonymiser gave one UID.
        key = (frame.file.sop_uid, frame.index, frame.position, frame.instance, frame.acquisition)
        if not frame.file.sop_uid or key not in seen:
            once.append(frame)
        seen.add(key)
    frames, places = once, _places(once)
    count = int(places.max()) + 1
    if count == 1 and len(frames) > 1:
        raise InputError(
            f"All {len(frames)} images of the series show one and the same slice.",
            where=f"{frames[0].where} and {frames[1].where}",
            advice="Give a series that covers the neck.",
        )
    if count == len(frames):
        return frames, []
    for name, value in GROUPING:
        groups: dict[str, list[int]] = {}
        for number, frame in enumerate(frames):
            groups.setdefault(value(frame), []).append(number)
        if len(groups) > 1 and all(len(set(places[group])) == len(group) for group in groups.values()):
            # The longest stack; of equals the first in the file order's instance numbers.
            best = max(groups.values(), key=lambda group: (len(group), -min(frames[n].instance or 0 for n in group)))
            return [frames[n] for n in best], [
                f"The series holds {len(groups)} images of one place, told apart by {name}: "
                f"one stack of {len(best)} slices was read, {len(frames) - len(best)} images were left out."
            ]
    stacks = _by_instance(frames, places, count)
    if stacks is not None:
        return stacks[0], [
            f"The series holds {len(stacks)} images of every place: the first stack was read, "
            f"{len(frames) - count} images were left out."
        ]
    twice = int(np.flatnonzero(np.bincount(places) > 1)[0])
    pair = [frames[n].where for n in np.flatnonzero(places == twice)[:2]]
    raise InputError(
        "Several slices lie at one place, and nothing tells which belong together.",
        where=" and ".join(pair),
        advice="Export the series' phases or reconstructions separately.",
    )


def _by_instance(frames: list[Frame], places: np.ndarray, count: int) -> list[list[Frame]] | None:
    """Stacks that follow each other by instance number, each with one image of every place; None if there are none."""
    if len(frames) % count or any(frame.instance is None for frame in frames):
        return None
    order = sorted(range(len(frames)), key=lambda n: frames[n].instance)
    blocks = [order[start : start + count] for start in range(0, len(order), count)]
    if any(len(set(places[block])) != count for block in blocks):
        return None
    return [[frames[n] for n in block] for block in blocks]
