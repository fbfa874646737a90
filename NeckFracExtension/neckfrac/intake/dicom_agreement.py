"""Whether slices whose header reads pixels otherwise than the rest of the series does can be right.

Bit depth, sign and rescale may differ between slices. Where one slice's differ and its values then do not fit, what
its header says was lost or changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..study_warning import StudyWarning
from .dicom_headers import Frame

MOST = 0.75  # of the slices make a rule that others are held against
BODY = (-1000, 1000)  # HU between which a slice's mean is taken: padding and metal count no more than air and bone
CLEAR = 150  # HU; by which the means of neighbouring slices seldom differ
_ADVICE = "Export the series again, or take the slice out of the folder."


@dataclass(frozen=True)
class UsualReading:
    """The bits that most slices of a series store, and whether with a sign; None where there is no usual one."""

    bits: int | None
    signed: bool | None

    def check(self, stored: np.ndarray, frame: Frame) -> None:
        """Raise InputError for stored values [row, column] that the others' bits and sign would read otherwise."""
        file = frame.file
        if self.bits is None or (file.bits_stored, file.signed) == (self.bits, self.signed):
            return
        if not np.array_equal(_reread(stored, self.bits, self.signed), stored):
            said = f"{file.bits_stored} bits {'with' if file.signed else 'without'} sign"
            usual = f"{self.bits} bits {'with' if self.signed else 'without'} sign"
            raise InputError(
                f"A slice says that its values have {said}, the others {usual}, and read alike they differ.",
                where=frame.where,
                advice=_ADVICE,
            )


def reading_of_most(frames: Sequence[Frame]) -> UsualReading:
    """How most slices' values are stored, where they have one rescale too; else no rule."""
    found = Counter((f.file.bits_stored, f.file.signed, f.slope, f.intercept) for f in frames)
    (bits, signed, *rescale), count = found.most_common(1)[0]
    # A slice with a sign and another intercept may hold the same HU; then only the intercepts are compared.
    alike = all((frame.slope, frame.intercept) == tuple(rescale) for frame in frames)
    return (
        UsualReading(bits, signed) if alike and MOST * len(frames) <= count < len(frames) else UsualReading(None, None)
    )


def _reread(stored: np.ndarray, bits: int, signed: bool) -> np.ndarray:
    """Stored values as another bit depth and sign read the same bits."""
    low = stored.astype(np.int64) & ((1 << bits) - 1)
    return np.where(low >= 1 << (bits - 1), low - (1 << bits), low) if signed else low


def without_unused_bits(raw: np.ndarray, frame: Frame, dataset) -> np.ndarray:
    """Stored values from the words that hold them (PS3.5 8.1.1), which may have more bits than are stored.

    raw: [row, column] as the decoder gives it. Raises InputError where values need more bits than the header says,
    padding aside: some writers store it wider. Bits above, where the data set puts overlays there, are cut off.
    """
    file, bits = frame.file, frame.file.bits_stored
    if bits >= file.bits_allocated or _fits(raw, file.signed, bits):
        return raw
    kept = raw
    if file.padding is not None:
        lower, upper = padding_range(file.padding, raw.dtype)
        kept = raw[(raw < lower) | (raw > upper)]
        if not kept.size or _fits(kept, file.signed, bits):
            return raw
    overlaid = any(e.tag.group >> 8 == 0x60 and e.tag.element == 0x0102 and e.value for e in dataset)
    # Negative values may be stored without the bits above; then all words are positive, and none is too long.
    cut = file.signed and kept.min() >= 0 and kept.max() < 1 << bits and file.high_bit == bits - 1
    if not (overlaid or cut):
        raise InputError(
            f"The values of a slice need more bits than the {bits} that its header says are stored.",
            where=frame.where,
            advice=_ADVICE,
        )
    return _reread(raw, bits, file.signed).astype(raw.dtype)


def _fits(raw: np.ndarray, signed: bool, bits: int) -> bool:
    lowest, highest = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    return bool(lowest <= raw.min() and raw.max() <= highest)


def padding_range(padding: tuple[float, float], dtype: np.dtype) -> tuple[float, float]:
    """The padding range as the pixels' type reads it: some writers say -2000 for 63536, or the other way round."""
    top = np.iinfo(np.int16).max
    lower, upper = padding
    if np.issubdtype(dtype, np.signedinteger) and upper > top:
        lower, upper = (value - 65536 if value > top else value for value in padding)
    elif np.issubdtype(dtype, np.unsignedinteger) and lower < 0:
        lower, upper = (value + 65536 if value < 0 else value for value in padding)
    return min(lower, upper), max(lower, upper)


def check_intercepts(voxels: np.ndarray, frames: Sequence[Frame]) -> None:
    """Raise InputError for a slice that its own rescale makes unlike its neighbours, where the usual one would not.

    voxels: HU [slice, row, column], in the order of frames. Only slices with an unusual rescale are looked at.
    """
    found = Counter((frame.slope, frame.intercept) for frame in frames)
    usual, count = found.most_common(1)[0]
    if not MOST * len(frames) <= count < len(frames):
        return
    like = np.array([(frame.slope, frame.intercept) == usual for frame in frames])
    slope, intercept = (1.0 if usual[0] is None else usual[0]), usual[1] or 0.0
    for number in np.flatnonzero(~like):
        frame = frames[number]
        near = int(np.flatnonzero(like)[np.abs(np.flatnonzero(like) - number).argmin()])
        own = (1.0 if frame.slope is None else frame.slope), frame.intercept or 0.0
        stored = (voxels[number].astype(np.float32) - own[1]) / own[0]
        mean, usual_mean, expected = _mean(voxels[number]), _mean(stored * slope + intercept), _mean(voxels[near])
        if abs(mean - usual_mean) > CLEAR and abs(mean - expected) > 2 * abs(usual_mean - expected):
            raise InputError(
                f"The rescale of a slice (slope {own[0]:g}, intercept {own[1]:g}) differs from that of "
                f"the others ({slope:g}, {intercept:g}), and its values do not fit those of its neighbours.",
                where=frame.where,
                advice=_ADVICE,
            )


def rescale_warning(frames: Sequence[Frame]) -> list[StudyWarning]:
    """A sentence on single slices whose rescale is not that of the series; [] where every slice may have its own."""
    rescales = [(frame.slope, frame.intercept) for frame in frames]
    usual, count = Counter(rescales).most_common(1)[0]
    if not MOST * len(frames) <= count < len(frames):
        return []
    odd = [frame for frame, rescale in zip(frames, rescales, strict=True) if rescale != usual]
    first = odd[0]
    which = f"1 slice ({first.where})" if len(odd) == 1 else f"{len(odd)} slices ({first.where} and others)"
    text = (
        f"The rescale of {which} differs from that of the others (intercept {_figure(first.intercept)} against "
        f"{_figure(usual[1])}, slope {_figure(first.slope)} against {_figure(usual[0])}): read as each says."
    )
    return [StudyWarning("rescale-differs", text, {"slices": len(odd)})]


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def _mean(voxels: np.ndarray) -> float:
    return float(np.clip(voxels, *BODY).mean())
