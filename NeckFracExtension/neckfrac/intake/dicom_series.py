"""Frames become series; a series' frames become one stack of CT slices, or the reason why they can't."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..study_warning import StudyWarning
from .dicom_agreement import rescale_warning
from .dicom_copies import without_repeats
from .dicom_geometry import StackGeometry, stack_geometry
from .dicom_grids import one_grid
from .dicom_headers import CT_CLASSES, Frame
from .dicom_order import in_line
from .dicom_orientation import orientation_warnings
from .dicom_soundness import GIVE_CT, likely_hounsfield, sound_images, surplus_warning, too_large
from .dicom_stacks import one_stack

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SMALLEST = 3  # slices of a study; fewer with an identifier of their own are an anonymiser's
SPACING_ALIKE = 0.1  # by which the slice distance that headers say may differ from that of the places


@dataclass(frozen=True, eq=False)
class Stack:
    """The slices of one CT series, sorted along their normal, all at different places."""

    frames: tuple[Frame, ...]
    geometry: StackGeometry
    warnings: tuple[StudyWarning, ...]


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
    split = [part for group in groups.values() for part in _by_study(group)]
    return sorted(split, key=lambda group: (group[0].file.series_number is None, group[0].file.series_number or 0))


def _by_study(frames: list[Frame]) -> list[list[Frame]]:
    """Frames of one series identifier, apart where they are of several patients or studies.

    A careless anonymiser gives all studies one series identifier, or each image a study of its own: the latter stay
    together.
    """
    studies: dict[tuple[str, str], list[Frame]] = {}
    for frame in frames:
        studies.setdefault((frame.file.patient_id, frame.file.study_uid), []).append(frame)
    return list(studies.values()) if min(map(len, studies.values())) >= SMALLEST else [frames]


def arrange(frames: Sequence[Frame]) -> Stack:
    """One series' frames as a stack of CT slices. Raises InputError saying why it can't be one.

    Images that are no such slices, or are those of another stack in the same place, are left out; `warnings` say so.
    """
    frames, warnings = _only_slices(frames)
    for step in (sound_images, _without_repeats, one_grid, one_stack, in_line):
        frames, more = step(frames)
        warnings += more
    warnings += _warnings(frames)
    if len(frames) < 2:
        raise InputError(
            "The series has one slice only.", where=frames[0].where, advice="Give the folder with all of its slices."
        )
    if (error := too_large(frames)) is not None:
        raise error
    positions = np.array([frame.position for frame in frames])
    geometry = stack_geometry(positions, frames[0].orientation, frames[0].spacing, [frame.where for frame in frames])
    warnings += [*geometry.warnings(), *_spacing_warning(frames, geometry)]
    return Stack(tuple(frames[number] for number in geometry.order), geometry, tuple(warnings))


def _without_repeats(frames: Sequence[Frame]) -> tuple[list[Frame], list[StudyWarning]]:
    return without_repeats(frames), []


def _warnings(frames: Sequence[Frame]) -> list[StudyWarning]:
    """What limits the reading of the slices that are read."""
    warnings = surplus_warning(frames)
    if frames[0].file.photometric == "MONOCHROME1":
        text = "The series is stored for inverted display (MONOCHROME1); its values were read as HU."
        warnings.append(StudyWarning("inverted-display", text))
    if any(frame.slope is None or frame.intercept is None for frame in frames):
        text = (
            "The series does not say how its values become HU (no rescale slope or intercept): they were taken as HU."
        )
        warnings.append(StudyWarning("rescale-absent", text))
    units = sorted({frame.rescale_type for frame in frames if likely_hounsfield(frame.rescale_type)})
    if units:
        text = (
            f"The series says that its values are in the unit {', '.join(units)}, not HU: they were read as HU, "
            "which they look like."
        )
        warnings.append(StudyWarning("rescale-unit", text, {"units": units}))
    if any(frame.file.lossy for frame in frames):
        text = "The series was compressed with loss: fine fracture lines may be gone."
        warnings.append(StudyWarning("compressed-with-loss", text))
    return warnings + rescale_warning(frames) + orientation_warnings(frames)


def _spacing_warning(frames: Sequence[Frame], geometry: StackGeometry) -> list[StudyWarning]:
    """A sentence where the headers say another distance between slices than their places have."""
    said = {abs(frame.file.slice_spacing) for frame in frames if frame.file.slice_spacing}
    gaps = np.diff(geometry.distances)
    if not said or any(np.abs(gaps - spacing).min() <= SPACING_ALIKE * spacing for spacing in said):
        return []
    text = (
        f"The headers say that slices are {min(said):.2f} mm apart (Spacing Between Slices), but their places lie "
        f"{geometry.step:.2f} mm apart: the places were used. Slices may be missing, or two scans mixed."
    )
    return [StudyWarning("spacing-contradicted", text, {"said_mm": min(said), "found_mm": geometry.step})]


def _only_slices(frames: Sequence[Frame]) -> tuple[list[Frame], list[StudyWarning]]:
    """The CT slices among a series' frames, without localizers and captures."""
    where = frames[0].file.path
    if all(frame.file.sop_class.startswith(SECONDARY_CAPTURE) for frame in frames):
        raise InputError("The series is a secondary capture, not a CT.", where=where, advice=GIVE_CT)
    slices = [f for f in frames if f.file.modality == "CT" or (not f.file.modality and f.file.sop_class in CT_CLASSES)]
    if not slices:
        modality = frames[0].file.modality or "unknown"
        raise InputError(f"The series is not a CT (modality {modality}).", where=where, advice=GIVE_CT)
    # Raw data and other objects without an image may carry the modality CT.
    slices = [f for f in slices if f.file.rows and not f.file.sop_class.startswith(SECONDARY_CAPTURE)]
    if not slices:
        raise InputError("The series holds no CT images.", where=where, advice=GIVE_CT)
    warnings = _others_warning(frames, slices)
    localizers = ["LOCALIZER" in (*f.file.image_type, *f.frame_type) for f in slices]
    if all(localizers):
        raise InputError("The series is a localizer (scout) only.", where=where, advice=GIVE_CT)
    if any(localizers):
        text = f"{sum(localizers)} localizer image(s) of the series were left out."
        warnings.append(StudyWarning("localizers-left-out", text, {"left_out": sum(localizers)}))
        slices = [f for f, localizer in zip(slices, localizers, strict=True) if not localizer]
    return slices, warnings


def _others_warning(frames: Sequence[Frame], slices: Sequence[Frame]) -> list[StudyWarning]:
    """A sentence on a series' images that are no CT slices; objects without an image need none."""
    kept = set(map(id, slices))
    others = [frame for frame in frames if frame.file.rows and id(frame) not in kept]
    if not others:
        return []
    kinds = {f.file.modality[:16] or "none" for f in others if not f.file.sop_class.startswith(SECONDARY_CAPTURE)}
    captures = any(f.file.sop_class.startswith(SECONDARY_CAPTURE) for f in others)
    said = [f"modality {', '.join(sorted(kinds))}"] * bool(kinds) + ["secondary capture"] * captures
    count = f"{len(others)} image{'s are' if len(others) > 1 else ' is'}"
    text = f"{count} no CT slice by the header ({'; '.join(said)}) and left out of the series."
    return [StudyWarning("series-image-left-out", text, {"left_out": len(others)})]
