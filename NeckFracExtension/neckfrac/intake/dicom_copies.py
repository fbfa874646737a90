"""Images that a series holds twice: the same file again, or the same pixels under a new identifier."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from ..study_warning import StudyWarning
from .dicom_headers import Frame, quiet_pydicom


def without_repeats(frames: Sequence[Frame]) -> list[Frame]:
    """The frames without files that are there twice: of one identifier, place, number, time and kind."""
    seen: set[tuple] = set()
    once: list[Frame] = []
    for frame in frames:
        # The rest tells frames apart that a careless anonymiser gave one identifier.
        key = (frame.file.sop_uid, frame.index, frame.position, frame.orientation, frame.instance, frame.marks,
               frame.acquired, frame.created)  # fmt: skip
        if not frame.file.sop_uid or key not in seen:
            once.append(frame)
        seen.add(key)
    return once


def without_copies(frames: list[Frame], places: np.ndarray) -> tuple[list[Frame], list[StudyWarning]]:
    """The frames without exact copies of others at the same place, and a sentence on how many there were.

    places: [n] the number of each frame's place. Only pixels of images that share one are read, and none further
    once two of them differ: then they are no copies but another stack.
    """
    dropped: set[int] = set()
    with quiet_pydicom():
        for place in np.flatnonzero(np.bincount(places) > 1):
            first, *others = np.flatnonzero(places == place).tolist()
            digests = [_digest(frames[number]) for number in (first, *others)]
            if len(set(digests)) > 1:
                break
            dropped.update(others)
    if not dropped:
        return frames, []
    copies = "1 image is an exact copy" if len(dropped) == 1 else f"{len(dropped)} images are exact copies"
    left = [frame for number, frame in enumerate(frames) if number not in dropped]
    text = (
        f"{copies} of another at the same place, under a new identifier: each place was read once ({len(left)} slices)."
    )
    return left, [StudyWarning("copies-left-out", text, {"left_out": len(dropped), "read": len(left)})]


def _digest(frame: Frame) -> bytes:
    """Of what makes a frame's values: its pixels as stored, and how they are read."""
    import pydicom

    try:
        pixels = pydicom.dcmread(frame.file.path, force=True).PixelData
    except Exception:  # decoding tells what is wrong with it
        return repr(frame.where).encode()
    file = frame.file
    read = (frame.index, frame.slope, frame.intercept, file.rows, file.columns, file.signed, file.bits_stored,
            file.transfer_syntax)  # fmt: skip
    return hashlib.sha256(repr(read).encode() + pixels).digest()
