"""A DICOM slice's pixels become HU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..progress import Progress
from .dicom_headers import Frame, quiet_pydicom

AIR = -1024  # HU; nothing is thinner than air (-1000), so what lies lower is padding
HIGHEST = 32767  # int16
# A padding value among tissue values can't be told from tissue (0 HU is water), so it is left alone.
TISSUE = (-500.0, 3071.0)


def decode(frames: Sequence[Frame], progress: Progress, begin: float = 0.0, end: float = 1.0) -> np.ndarray:
    """The frames' pixels in HU: int16 [frame, row, column], at least -1024.

    Steps `progress` from `begin` to `end`. Raises InputError for pixels that can't be decoded.
    """
    first = frames[0].file
    voxels = np.empty((len(frames), first.rows, first.columns), dtype=np.int16)
    opened: tuple[Path | None, object] = (None, None)
    with quiet_pydicom():
        for number, frame in enumerate(frames):
            if number % 10 == 0:
                progress.step(begin + (end - begin) * number / len(frames))
            if opened[0] != frame.file.path:
                opened = (frame.file.path, _open(frame))
            voxels[number] = to_hu(_pixels(opened[1], frame), frame)
    return voxels


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
        lower, upper = _padding(frame, stored.dtype)
        if not TISSUE[0] <= slope * upper + intercept <= TISSUE[1]:
            hu[(stored >= lower) & (stored <= upper)] = AIR
    return hu.astype(np.int16)


def _padding(frame: Frame, dtype: np.dtype) -> tuple[float, float]:
    """The padding range as the pixels' type reads it: some writers store -2000 as 63536."""
    lower, upper = frame.file.padding
    if np.issubdtype(dtype, np.signedinteger) and upper > np.iinfo(np.int16).max:
        lower, upper = (value - 65536 if value > np.iinfo(np.int16).max else value for value in (lower, upper))
    return min(lower, upper), max(lower, upper)


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

    try:
        if _has_decoder(dataset.file_meta.TransferSyntaxUID):
            pixels = pixel_array(dataset, index=frame.index or 0)
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
