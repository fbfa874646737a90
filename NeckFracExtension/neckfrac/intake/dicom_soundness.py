"""What is wrong with a single image of a series: no place, no HU, a size that its pixel data contradict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from ..errors import InputError
from ..study_warning import StudyWarning
from .checks import MOST_VOXELS
from .dicom_geometry import valid_orientation
from .dicom_grids import few
from .dicom_headers import FileHeader, Frame, known_syntax

PROJECTIONS = frozenset(("MIP", "MINIP", "VRT", "SSD", "SCREEN SAVE"))
HOUNSFIELD = frozenset(("", "HU", "HU_MOD"))
# What some writers put there for HU: "unspecified" (PS3.3 C.11.1.1.2), or the unit's name in full.
LIKELY_HOUNSFIELD = ("US", "HOUNSFIELD", "H.U.", "UNSPECIFIED")
FARTHEST = 1e5  # mm; no scanner's frame of reference is a hundred metres wide
STEEPEST, LARGEST_INTERCEPT = 1e3, 1e5  # rescale values that 16 bits and HU leave no use for
LARGEST_SIDE = 16_384  # pixels; CT images have up to 4096
GIVE_CT = "Give a CT series of the neck with its axial slices."
ORIGINAL_HEADER = "Export it from the archive with its original header."


def sound_images(frames: Sequence[Frame]) -> tuple[list[Frame], list[StudyWarning]]:
    """The frames that can be slices in HU. A stray image that can't is left out, in words; many raise InputError.

    Raises InputError also for a single image whose header contradicts its pixel data: another slice's may too.
    """
    for frame in {frame.file.path: frame for frame in frames}.values():
        if (fault := _fault_of_pixels(frame)) is not None:
            raise fault
    faulty = {number: fault for number, frame in enumerate(frames) if (fault := _fault(frame)) is not None}
    unscaled = [
        number
        for number, frame in enumerate(frames)
        if number not in faulty and (frame.slope is None or frame.intercept is None)
    ]
    if 0 < len(unscaled) < len(frames) - len(faulty):
        for number in unscaled:
            faulty[number] = InputError(
                "A slice does not say how its values become HU (rescale slope or intercept), though others do.",
                where=frames[number].where,
                advice=ORIGINAL_HEADER,
            )
    if not faulty:
        return list(frames), []
    if not few(len(faulty), len(frames)):
        raise next(iter(faulty.values()))
    reasons = Counter(fault.what for fault in faulty.values())
    warnings = [
        StudyWarning("faulty-images-left-out", f"{_images(count)} left out of the series. {what}", {"left_out": count})
        for what, count in reasons.items()
    ]
    return [frame for number, frame in enumerate(frames) if number not in faulty], warnings


def _images(count: int) -> str:
    return "1 image was" if count == 1 else f"{count} images were"


def _fault_of_pixels(frame: Frame) -> InputError | None:
    """A number of frames, a size or a bit depth that the length of the file's pixel data contradicts."""
    file = frame.file
    if file.transfer_syntax and not known_syntax(file.transfer_syntax):
        return InputError(
            f"The pixels are written in a transfer syntax that is not known ({file.transfer_syntax}).",
            where=frame.where,
            advice="Export the series uncompressed.",
        )
    size = f"{file.rows} x {file.columns} pixels"
    if max(file.rows, file.columns) > LARGEST_SIDE:
        return InputError(
            f"A slice says that it has {size}: more than any CT.", where=frame.where, advice=ORIGINAL_HEADER
        )
    if file.bits_allocated not in (8, 16, 32, 64) or not 1 <= file.bits_stored <= file.bits_allocated:
        return InputError(
            f"A slice says that {file.bits_stored} bits of {file.bits_allocated} are stored: that is not possible.",
            where=frame.where,
            advice=ORIGINAL_HEADER,
        )
    one = file.rows * file.columns * file.samples * file.bits_allocated // 8
    if file.frames != 1 and not 1 <= file.frames <= _frames_held(file, one):
        return InputError(
            f"An image says that it holds {file.frames} frames; its pixel data have no room for them.",
            where=frame.where,
            advice=ORIGINAL_HEADER,
        )
    if file.pixel_bytes is None:
        return None
    missing, surplus = one * file.frames - file.pixel_bytes, file.pixel_bytes - one * file.frames
    if missing > 0 or surplus >= min(file.rows, file.columns) * file.bits_allocated // 8:
        return InputError(
            f"The size of a slice contradicts its pixel data: {size} of {file.bits_allocated} bits need "
            f"{one * file.frames} bytes, there are {file.pixel_bytes}: its header, or the file, is corrupt.",
            where=frame.where,
            advice=ORIGINAL_HEADER,
        )
    return None


def _frames_held(file: FileHeader, bytes_a_frame: int) -> int:
    """At most how many frames the file has room for; of compressed ones each needs an item of 8 bytes (PS3.5 A.4)."""
    if file.pixel_bytes is None:
        return file.path.stat().st_size // 8
    return file.pixel_bytes // max(bytes_a_frame, 1)


def surplus_warning(frames: Sequence[Frame]) -> list[StudyWarning]:
    """A sentence where pixel data are longer than they need to be, though by less than a row or column of pixels."""
    longer = {f.file.path for f in frames if f.file.pixel_bytes is not None and _surplus(f.file) > 1}
    if not longer:
        return []
    text = (
        f"The pixel data of {len(longer)} slices are some bytes longer than their size says: "
        "they were read as the size says."
    )
    return [StudyWarning("pixel-data-longer", text, {"files": len(longer)})]


def _surplus(file: FileHeader) -> int:
    return file.pixel_bytes - file.rows * file.columns * file.samples * file.bits_allocated // 8 * file.frames


def _fault(frame: Frame) -> InputError | None:
    """Why one image is no slice in HU at a known place; None where it is one."""
    for wrong, what, advice in _FAULTS:
        if wrong(frame):
            return InputError(what(frame) if callable(what) else what, where=frame.where, advice=advice)
    return None


def _types(frame: Frame) -> set[str]:
    return {kind.upper() for kind in (*frame.file.image_type, *frame.frame_type)}


def _in_colour(frame: Frame) -> bool:
    return frame.file.samples != 1 or not (frame.file.photometric or "MONOCHROME2").startswith("MONOCHROME")


def likely_hounsfield(unit: str) -> bool:
    """Whether a rescale type that is not "HU" may yet mean it."""
    return unit.upper().startswith(LIKELY_HOUNSFIELD)


def _other_unit(frame: Frame) -> bool:
    unit = frame.rescale_type
    return frame.file.modality_lut or not (unit.upper() in HOUNSFIELD or likely_hounsfield(unit))


def _unit(frame: Frame) -> str:
    kind = "through a lookup table" if frame.file.modality_lut else f"in the unit {frame.rescale_type}"
    return f"The values are not HU (given {kind})."


def _no_rescale(frame: Frame) -> bool:
    return math.isnan(frame.slope or 0.0) or math.isnan(frame.intercept or 0.0)


def _wild_rescale(frame: Frame) -> bool:
    slope, intercept = frame.slope, frame.intercept
    return (slope is not None and not 0 < slope <= STEEPEST) or abs(intercept or 0.0) > LARGEST_INTERCEPT


_Fault = tuple[Callable[[Frame], bool], "str | Callable[[Frame], str]", str]
_FAULTS: tuple[_Fault, ...] = (
    (_in_colour, "The images are in colour; a CT has one value a voxel.", GIVE_CT),
    (lambda f: bool(_types(f) & PROJECTIONS), "The series is a projection or rendering, not slices.", GIVE_CT),
    (_other_unit, _unit, GIVE_CT),
    (lambda f: f.slope == 0, "The rescale slope is 0: the values are no HU.", GIVE_CT),
    (_no_rescale, "The rescale slope or intercept is no finite number: the values are no HU.", ORIGINAL_HEADER),
    (
        _wild_rescale,
        lambda f: f"The rescale slope {f.slope or 1:g} and intercept {f.intercept or 0:g} make no HU.",
        ORIGINAL_HEADER,
    ),
    (lambda f: f.spacing is None or min(f.spacing) <= 0, "The series has no pixel spacing.", ORIGINAL_HEADER),
    (
        lambda f: f.orientation is None or not valid_orientation(f.orientation),
        "The series does not say how its slices are oriented (Image Orientation).",
        ORIGINAL_HEADER,
    ),
    (
        lambda f: f.position is None,
        "The series does not say where its slices lie (Image Position).",
        ORIGINAL_HEADER,
    ),
    (
        lambda f: max(map(abs, f.position)) > FARTHEST,
        lambda f: f"A slice says that it lies {max(map(abs, f.position)):.3g} mm away (Image Position).",
        ORIGINAL_HEADER,
    ),
)


def too_large(frames: Sequence[Frame]) -> InputError | None:
    """An error where the slices together have more voxels than a volume may."""
    file = frames[0].file
    if len(frames) * file.rows * file.columns <= MOST_VOXELS:
        return None
    return InputError(
        f"The series of {len(frames)} x {file.rows} x {file.columns} voxels is too large.",
        where=frames[0].where,
        advice="Give the neck alone.",
    )
