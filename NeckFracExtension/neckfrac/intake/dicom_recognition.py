"""Whether a file is DICOM: by its preamble, or by the first elements of a data set of before there was one."""

from __future__ import annotations

import struct
from pathlib import Path

DICOM_EXTENSIONS = frozenset((".dcm", ".dicom", ".ima"))
# The value representations of PS3.5 6.2, and those whose length takes four bytes (PS3.5 7.1.2).
LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
VALUE_REPRESENTATIONS = LONG | frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
LAST_FIRST_GROUP = 0x0028  # a data set that says nothing before its pixels' description is no image
ENOUGH = 4  # elements in order that no other format's first bytes give
START = 4096  # bytes that are looked at
UNDEFINED = 0xFFFFFFFF


def looks_like_dicom(path: Path) -> bool:
    """Whether the file opens with DICOM's preamble, with a data set without one, or is named as DICOM is."""
    if path.name.upper() == "DICOMDIR" or path.name.startswith("."):
        return False
    try:
        if path.exists() and not path.is_file():  # a pipe or a device would be waited for
            return False
        with path.open("rb") as stream:
            start = stream.read(START)
            size = path.stat().st_size
    except OSError:
        return path.suffix.lower() in DICOM_EXTENSIONS
    # A prefix at the start is what is left where a preamble was cut off; reading it tells that it is broken.
    if b"DICM" in (start[128:132], start[:4]):
        return True
    return path.suffix.lower() in DICOM_EXTENSIONS or opens_with_elements(start, size)


def opens_with_elements(start: bytes, size: int) -> bool:
    """Whether a file's first bytes are DICOM elements: tags that rise, lengths that the file has room for.

    Explicit and implicit value representation in little endian, and explicit in big endian (PS3.5 7.1, A.3).
    size: the whole file's, in bytes.
    """
    return any(
        _count(start, size, order, explicit) >= ENOUGH for order, explicit in (("<", True), ("<", False), (">", True))
    )


def _count(start: bytes, size: int, order: str, explicit: bool) -> int:
    """How many elements follow each other from the first byte on, as far as `start` shows; 0 when one breaks rules."""
    place, last, found = 0, -1, 0
    while place + 8 <= len(start) and found < ENOUGH:
        group, element = struct.unpack_from(order + "HH", start, place)
        tag = group << 16 | element
        if not 0x0002 <= group <= (LAST_FIRST_GROUP if not found else 0x7FE0) or tag <= last:
            return 0
        if not found and (group % 2 or group == 4):  # private elements open no data set; group 4 is a DICOMDIR's
            return 0
        header = 8
        # Group 2 is explicit little endian in whatever encoding the data set is (PS3.10 7.1).
        if explicit or group == 2:
            representation = start[place + 4 : place + 6]
            if representation not in VALUE_REPRESENTATIONS:
                return 0
            if representation in LONG:
                if place + 12 > len(start):
                    break
                (length,), header = struct.unpack_from(order + "L", start, place + 8), 12
            else:
                (length,) = struct.unpack_from(order + "H", start, place + 6)
        else:
            (length,) = struct.unpack_from(order + "L", start, place + 4)
            if length % 2 and length != UNDEFINED:
                return 0
        found, last = found + 1, tag
        if length == UNDEFINED or place + header + length > len(start):
            # What follows lies beyond the bytes at hand; a sequence or a long text fits into the file.
            fits = length == UNDEFINED or place + header + length <= size
            return ENOUGH if fits and (found > 1 or group == 2) else 0
        place += header + length
    return found
