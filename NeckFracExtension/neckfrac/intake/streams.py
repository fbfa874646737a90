"""The bytes of a volume's voxels as they lie in a file: unpacked to their end, checksums and lengths checked."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..progress import Progress
from ..study_warning import StudyWarning

CHUNK = 2**22  # bytes
# Beyond what a header asks for, unpacking stops: a small file can unpack to terabytes.
MOST_BEYOND = 2**26  # bytes
MOST_DEFLATED = 1032  # times; deflate packs no better (zlib's technical notes)
# zlib's window bits for "zlib or gzip, as the stream says"; either's checksum is verified (zlib.h, inflateInit2).
ZLIB_OR_GZIP = 47
COPY_AGAIN = "Copy or export it again."


@dataclass(frozen=True)
class Part:
    """One run of bytes. start: first byte; length: bytes in the file, None: to its end. packed: zlib or gzip.

    skip: unpacked bytes before the voxels.
    """

    path: Path
    start: int = 0
    length: int | None = None
    packed: bool = False
    skip: int = 0


def is_gzip(path: Path) -> bool:
    """Whether the file begins as gzip does (RFC 1952)."""
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def check_regular(path: Path, named_by: Path | None = None) -> None:
    """Raise InputError for a file that is not there or is no plain file (a pipe would never end).

    named_by: the header that names the file, told when it is missing.
    """
    if not path.exists():
        raise InputError(
            f"The data file {path.name} that the header names is missing.",
            where=named_by or path,
            advice="Put it beside the header, or export the volume as one file.",
        )
    if not path.is_file():
        raise InputError("This is no plain file.", where=path, advice="Give a file.")


def chunks(part: Part) -> Iterator[bytes]:
    """The part's bytes, unpacked. Raises InputError for a stream that ends early or whose checksum is wrong."""
    with part.path.open("rb") as stream:
        stream.seek(part.start)
        yield from _unpacked(stream, part) if part.packed else _plain(stream, part.length)


def _plain(stream, length: int | None) -> Iterator[bytes]:
    left = length
    while left is None or left > 0:
        chunk = stream.read(CHUNK if left is None else min(CHUNK, left))
        if not chunk:
            return
        left = None if left is None else left - len(chunk)
        yield chunk


def _unpacked(stream, part: Part) -> Iterator[bytes]:
    """One or more gzip members, or one zlib stream; zeros after the last one are a tape's padding."""
    inflate, pending, begun = zlib.decompressobj(ZLIB_OR_GZIP), b"", False
    source = _plain(stream, part.length)
    while True:
        if not pending:
            pending = next(source, b"")
            if not pending:
                break
        if inflate.eof:
            # The next of several gzip members; some writers pack in blocks.
            pending = pending.lstrip(b"\0")
            if not pending:
                continue
            if not pending.startswith(b"\x1f"):
                raise _corrupt(part.path, "after the compressed data come bytes that belong to nothing")
            inflate = zlib.decompressobj(ZLIB_OR_GZIP)
        begun = True
        try:
            chunk = inflate.decompress(pending, CHUNK)
        except zlib.error as error:
            wrong = "the checksum is wrong" if "check" in str(error) else "the compressed data are damaged"
            raise _corrupt(part.path, wrong) from error
        pending = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
        if chunk:
            yield chunk
    if not (begun and inflate.eof):
        raise InputError(
            "The file is truncated: its compressed data end too early.", where=part.path, advice=COPY_AGAIN
        )


def _corrupt(path: Path, wrong: str) -> InputError:
    return InputError(f"The file is corrupt: {wrong}.", where=path, advice=COPY_AGAIN)


def read_bytes(parts: list[Part], expected: int, progress: Progress) -> tuple[np.ndarray, list[StudyWarning]]:
    """The expected bytes of voxels (uint8), and a warning when the parts hold more.

    Every compressed byte is unpacked, which verifies the checksums. SimpleITK does neither: it gives back what is in
    the memory where it could not unpack. Raises InputError when the parts hold less; memory is taken only for what
    their sizes can hold.
    """
    possible = sum(_most_bytes(part) for part in parts)
    if possible < expected:
        raise _truncated(parts[0].path, possible, expected, exact=not any(part.packed for part in parts))
    voxels, held = np.empty(expected, np.uint8), 0
    for part in parts:
        skip = part.skip
        for chunk in chunks(part):
            progress.step(0.0)
            if skip:
                chunk, skip = chunk[skip:], max(skip - len(chunk), 0)
            fits = chunk[: max(expected - held, 0)]
            voxels[held : held + len(fits)] = np.frombuffer(fits, np.uint8)
            held += len(chunk)
            if held > expected + MOST_BEYOND:
                raise InputError(
                    f"The file holds far more than the {expected} bytes of voxels that its header says.",
                    where=part.path,
                    advice=COPY_AGAIN,
                )
    if held < expected:
        raise _truncated(parts[0].path, held, expected)
    if held > expected:
        text = (
            f"The file holds {held - expected} bytes more than its header says: its size may be wrong there, "
            "or slices are left out."
        )
        return voxels, [StudyWarning("file-longer", text, {"bytes": held - expected})]
    return voxels, []


def _most_bytes(part: Part) -> int:
    """What the part can hold by its size in the file."""
    size = part.path.stat().st_size - part.start
    size = max(size if part.length is None else min(size, part.length), 0)
    return size * MOST_DEFLATED + 1024 if part.packed else size


def _truncated(path: Path, held: int, expected: int, exact: bool = True) -> InputError:
    told = f"{held}" if exact else f"at most {held}"
    return InputError(f"The file is truncated: {told} of {expected} bytes of voxels.", where=path, advice=COPY_AGAIN)
