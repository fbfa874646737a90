"""A DICOM slice's pixels become HU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..progress import Progress
from .checks import AIR_BELOW
from .dicom_agreement import check_intercepts, padding_range, reading_of_most, without_unused_bits
from .dicom_headers import Frame, known_syntax, quiet_pydicom
from .hu_range import AIR_LIES_LOW, AIR_TOO_LOW

AIR = -1024  # HU; nothing is thinner than air (-1000), so what lies lower is padding
HIGHEST = 32767  # int16
# A padding value that air or tissue has too can't be told from them (0 HU is water), so it is left alone; one below air
# becomes air as all that lies there.
HIGHEST_TISSUE = 3071.0  # HU; the most that 12 bits hold
SAMPLED, PADDINGS, MOST_LOW = 4, 3, 0.02  # rows and columns; values; share; noise alone reaches as low in fewer
AIR_UNTIL = -850  # HU; air with its noise
THIN = 1e-3  # of a neck's voxels are air or fat, at least; noise alone reaches fewer


def decode(frames: Sequence[Frame], progress: Progress, begin: float = 0.0, end: float = 1.0) -> np.ndarray:
    """The frames' pixels in HU: int16 [frame, row, column], at least -1024.

    Steps `progress` from `begin` to `end`. Raises InputError for pixels that can't be decoded.
    """
    voxels = None
    shape = (len(frames), frames[0].file.rows, frames[0].file.columns)
    usual = reading_of_most(frames)
    opened: tuple[Path | None, object] = (None, None)
    low: Counter[float] = Counter()
    with quiet_pydicom():
        for number, frame in enumerate(frames):
            if number % 10 == 0:
                progress.step(begin + (end - begin) * number / len(frames))
            if opened[0] != frame.file.path:
                opened = (frame.file.path, _open(frame))
            stored = _pixels(opened[1], frame)
            usual.check(stored, frame)
            if voxels is None:
                # Only now: a compressed slice's size is a claim until one has been decoded.
                voxels = np.empty(shape, dtype=np.int16)
            voxels[number] = to_hu(stored, frame)
            low += _below_air(stored, frame)
    _check_air(low, voxels[:, ::SAMPLED, ::SAMPLED], frames[0])
    check_intercepts(voxels, frames)
    if any(frame.slope is None or frame.intercept is None for frame in frames):
        _check_unscaled(voxels, frames[0])
    return voxels


def _below_air(stored: np.ndarray, frame: Frame) -> Counter[float]:
    """How often which values (HU) far below air occur among the sampled ones of a slice, before they are cut off."""
    slope, intercept = 1.0 if frame.slope is None else frame.slope, frame.intercept or 0.0
    hu = stored[::SAMPLED, ::SAMPLED] * slope + intercept
    values, counts = np.unique(hu[hu < AIR_TOO_LOW], return_counts=True)
    return Counter(dict(zip(values.tolist(), counts.tolist(), strict=True)))


def _check_air(low: Counter[float], sampled: np.ndarray, frame: Frame) -> None:
    """Raise InputError where much lies far below air and has noise, unlike padding, which has a few values.

    Padding that was compressed with losses has noise, too; then the air itself lies where it should. sampled: HU of
    the voxels that `low` was counted among.
    """
    air = sum(low.values()) - sum(count for _, count in low.most_common(PADDINGS))
    rightly = np.count_nonzero((sampled > AIR) & (sampled < AIR_UNTIL))
    if air > MOST_LOW * sampled.size and rightly < air:
        raise InputError(
            AIR_LIES_LOW,
            where=frame.where,
            advice="Export it from the archive with its original header.",
        )


def _check_unscaled(voxels: np.ndarray, frame: Frame) -> None:
    """Raise InputError where values without a rescale lack air and fat, so that an offset must be missing.

    Whatever lies at the lowest value that is kept is padding; without it, some voxel of a neck is air or fat.
    """
    held = voxels > AIR
    if held.any() and (held & (voxels < AIR_BELOW)).sum() < THIN * held.sum():
        raise InputError(
            f"The series does not say how its values become HU, and up to {voxels.max()} (padding aside) "
            "they hold no air and no fat: an offset of 1024 may be missing.",
            where=frame.where,
            advice="Export it from the archive with its original header.",
        )


def to_hu(stored: np.ndarray, frame: Frame) -> np.ndarray:
    """Stored values [row, column] of a frame in HU: slope * value + intercept (PS3.3 C.11.1), padding as air.

    Returns int16 within -1024...32767; rounding loses at most half a HU.
    """
    slope = 1.0 if frame.slope is None else frame.slope
    intercept = 0.0 if frame.intercept is None else frame.intercept
    if slope == 1 and intercept == int(intercept):
        hu = stored.astype(np.int32)
        hu += int(intercept)
    else:
        hu = np.rint(stored.astype(np.float32) * np.float32(slope) + np.float32(intercept))
    np.clip(hu, AIR, HIGHEST, out=hu)
    if frame.file.padding is not None:
        lower, upper = padding_range(frame.file.padding, stored.dtype)
        if slope * upper + intercept > HIGHEST_TISSUE:
            hu[(stored >= lower) & (stored <= upper)] = AIR
    return hu.astype(np.int16)


def _open(frame: Frame):
    import pydicom
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    try:
        dataset = pydicom.dcmread(frame.file.path, force=True)
        if not getattr(dataset.file_meta, "TransferSyntaxUID", None):
            implicit, little = dataset.original_encoding
            explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
        return dataset
    except Exception as error:
        raise _corrupt(frame) from error


def _pixels(dataset, frame: Frame) -> np.ndarray:
    """Stored values [row, column] of the frame."""
    from pydicom.pixels import pixel_array

    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if not known_syntax(syntax):
        raise InputError(
            f"The pixels are written in a transfer syntax that is not known ({syntax}).",
            where=frame.where,
            advice="Export the series uncompressed.",
        )
    try:
        if _has_decoder(dataset.file_meta.TransferSyntaxUID):
            raw = pixel_array(dataset, index=frame.index or 0, correct_unused_bits=False)
            pixels = without_unused_bits(raw, frame, dataset)
        else:
            pixels = _pixels_through_itk(dataset, frame)
    except InputError:
        raise
    except Exception as error:  # the decoders raise nearly everything on broken data
        raise _corrupt(frame) from error
    if pixels.shape != (frame.file.rows, frame.file.columns):
        raise _corrupt(frame)
    return pixels


def _has_decoder(syntax: str) -> bool:
    from pydicom.pixels import get_decoder

    try:
        return not syntax.is_compressed or syntax.is_deflated or get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _pixels_through_itk(dataset, frame: Frame) -> np.ndarray:
    """Stored values of what pydicom has no decoder for: retired JPEG processes, or any where plugins are missing."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(frame.file.path))
    try:
        if frame.index is not None:
            raise RuntimeError("ITK rescales all frames alike")
        rescaled = sitk.GetArrayFromImage(reader.Execute())[0]
    except RuntimeError as error:
        raise InputError(
            f"The compression of the pixels is not supported ({dataset.file_meta.TransferSyntaxUID.name}).",
            where=frame.where,
            advice="Export the series uncompressed.",
        ) from error
    # ITK gives slope * value + intercept; only then is the padding looked for, so undo it.
    slope = 1.0 if frame.slope is None else frame.slope
    intercept = 0.0 if frame.intercept is None else frame.intercept
    return np.rint((rescaled - intercept) / slope).astype(np.int32)


def _corrupt(frame: Frame) -> InputError:
    return InputError(
        "A slice is truncated or corrupt: its pixels can't be read.",
        where=frame.where,
        advice="Export the series again.",
    )
