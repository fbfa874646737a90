"""Files out of a request's body as it streams in: never whole in memory, numbered, inside one folder."""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from ..intake.dicom_headers import looks_like_dicom
from ..intake.files import file_format
from .problems import Problem
from .settings import Limits
from .store import Store

FIELD_BYTES = 64 * 1024
HEADER_BYTES = 8 * 1024
AT_ONCE = 2**20  # bytes that go to the disk together
FREE_CHECKED_EVERY = 64 * 2**20
MOST_DIRECTORY = 6 * 2**20  # bytes of a zip's table of contents; each entry takes some 600 bytes of memory
_ENDING = re.compile(r"(\.nii\.gz|\.[a-z0-9]{1,8})$")
_HEADER_AND_DATA = (".mhd", ".nhdr")  # their data lie in a second file, named inside
SEND = "Send a DICOM series, a zip of it, or one NIfTI, NRRD or MHA file."
NO_ROOM = "Ask whoever runs the service to make room."


@dataclass
class Received:
    """files: as they lie in the folder, in the order in which they came. skipped: how many were no images."""

    files: list[Path] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    bytes: int = 0
    skipped: int = 0


class Receiver:
    """Takes the body of a multipart request in pieces. Raises Problem for one that is not to be taken.

    any_type: keep parts of all types (DICOMweb, whose parts are looked at one by one).
    """

    def __init__(self, content_type: str, folder: Path, limits: Limits, store: Store, any_type: bool = False) -> None:
        kind, options = parse_options_header(content_type)
        wanted = b"multipart/related" if any_type else b"multipart/form-data"
        if kind != wanted or not options.get(b"boundary"):
            raise Problem(415, f"The body is no {wanted.decode()}.", SEND)
        self.received = Received()
        self._folder, self._limits, self._store, self._any_type = folder, limits, store, any_type
        self._unchecked, self._ended = 0, False
        self._headers: dict[str, str] = {}
        self._name, self._value = b"", b""
        self._file: IO[bytes] | None = None
        self._path, self._field, self._hidden = Path(), "", False
        self._taken: bytearray | None = None
        callbacks = {
            "on_part_begin": self._part_begin, "on_header_field": self._header_field,
            "on_header_value": self._header_value, "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished, "on_part_data": self._part_data,
            "on_part_end": self._part_end, "on_end": self._end,
        }  # fmt: skip
        self._parser = MultipartParser(options[b"boundary"], callbacks)

    def feed(self, data: bytes) -> None:
        self.received.bytes += len(data)
        if self.received.bytes > self._limits.upload_bytes:
            raise too_large(self._limits)
        self._unchecked += len(data)
        if self._unchecked > FREE_CHECKED_EVERY:
            self._unchecked = 0
            check_room(self._store, self._limits, 0)
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise Problem(400, "The body is no proper multipart.", SEND) from error

    def finish(self) -> Received:
        """Raises Problem when the body ended too early or holds nothing of use."""
        if not self._ended:
            raise Problem(400, "The body ends in the middle of a part.", "Send it again.")
        return self.received

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _part_begin(self) -> None:
        self._headers, self._name, self._value = {}, b"", b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._limit_header()

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._limit_header()

    def _limit_header(self) -> None:
        if len(self._name) + len(self._value) > HEADER_BYTES or len(self._headers) > 32:
            raise Problem(400, "A part's headers are too long.", SEND)

    def _header_end(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value.decode("utf-8", "replace")
        self._name, self._value = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", ""))
        filename = options.get(b"filename")
        if not self._any_type and filename is None:
            self._field, self._taken = options.get(b"name", b"").decode("utf-8", "replace"), bytearray()
            return
        self._taken = None
        number = len(self.received.files) + self.received.skipped + 1
        if number > self._limits.upload_files:
            raise Problem(
                413, f"The upload has more than {self._limits.upload_files:,} files.", "Send one series at a time."
            )
        name = _last_part((filename or b"").decode("utf-8", "replace"))
        ending = _ENDING.search(name.lower())
        if ending and ending[1] in _HEADER_AND_DATA:
            raise Problem(
                415, "An image header without its data was sent.", "Send both in one zip, or save as MHA or NRRD.",
                where=f"file {number}",
            )  # fmt: skip
        self._path = self._folder / f"{number:05d}{ending[1] if ending else ''}"
        self._hidden = name.startswith(".") or name.upper() in ("DICOMDIR", "THUMBS.DB")
        self._file = self._path.open("xb")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._taken is None:
            self._file.write(data[start:end])
            return
        self._taken += data[start:end]
        if len(self._taken) > FIELD_BYTES:
            raise Problem(413, "A field of the form is too long.", "Files need a filename.")

    def _part_end(self) -> None:
        if self._taken is not None:
            if len(self.received.fields) >= 32:
                raise Problem(413, "The form has too many fields.", "See /docs for those that there are.")
            self.received.fields[self._field] = self._taken.decode("utf-8", "replace")
            return
        self._file.close()
        self._file = None
        if not self._any_type and (self._hidden or not self._is_image()):
            self._path.unlink()
            self.received.skipped += 1
        else:
            self.received.files.append(self._path)

    def _is_image(self) -> bool:
        """Zips, volume files and DICOM are kept; what else lies in a folder of images is passed over."""
        with self._path.open("rb") as stream:
            zipped = stream.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
        if zipped:
            path = self._path.with_name(f"{self._path.name.split('.')[0]}.zip")
            self._path.rename(path)
            self._path = path
            check_zip(path, self._limits, self._store)
            return True
        return bool(file_format(self._path)) or looks_like_dicom(self._path)

    def _end(self) -> None:
        self._ended = True


async def receive(request: Request, folder: Path, limits: Limits, store: Store, any_type: bool = False) -> Received:
    """Write the files of a request's body into the folder. Raises Problem."""
    check_length(request, limits, store)
    receiver = Receiver(request.headers.get("content-type", ""), folder, limits, store, any_type)
    try:
        async for chunk in _larger(request.stream()):
            await run_in_threadpool(receiver.feed, chunk)
        return receiver.finish()
    finally:
        receiver.close()


async def _larger(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of about AT_ONCE."""
    pieces, size = [], 0
    async for piece in stream:
        pieces.append(piece)
        size += len(piece)
        if size >= AT_ONCE:
            yield b"".join(pieces)
            pieces, size = [], 0
    if pieces:
        yield b"".join(pieces)


def check_length(request: Request, limits: Limits, store: Store) -> None:
    """Before the first byte is taken: what the request says of itself. Raises Problem 413 or 507."""
    length = request.headers.get("content-length", "")
    size = int(length) if length.isdigit() else 0
    if size > limits.upload_bytes:
        raise too_large(limits)
    check_room(store, limits, size)


def too_large(limits: Limits) -> Problem:
    size = f"{limits.upload_bytes / 2**30:.3g} GiB"
    return Problem(413, f"The upload is larger than {size}.", "Send the cervical series alone.")


def check_room(store: Store, limits: Limits, size: int) -> None:
    """Raises Problem 507 when so many more bytes would leave less than the floor."""
    if store.free() - size < limits.disk_floor:
        raise Problem(507, "The service's disk is nearly full.", NO_ROOM)


def check_zip(path: Path, limits: Limits, store: Store) -> None:
    """What a zip says of itself; its names, links and true sizes are checked where it is unpacked. Raises Problem."""
    where = f"file {int(path.name.split('.')[0])}"
    bad = Problem(422, "The zip archive is truncated or corrupt.", "Pack it again.", where=where)
    entries, directory = _zip_contents(path)
    if entries is None:
        raise bad
    too_much = Problem(413, "The zip archive holds more than a study has.", "Send one series.", where=where)
    if entries > limits.upload_files or directory > MOST_DIRECTORY:
        raise too_much
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise bad from error
    size = sum(member.file_size for member in members)
    if len(members) > limits.upload_files or size > limits.unpacked_bytes:
        raise too_much
    check_room(store, limits, size)


def _zip_contents(path: Path) -> tuple[int | None, int]:
    """Entries and bytes of the table of contents, before it is read into memory (APPNOTE 4.3.14 to 4.3.16)."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - 66_000))
        tail = stream.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) < at + 22:
            return None, 0
        entries, directory = struct.unpack("<HL", tail[at + 10 : at + 16])
        if at >= 20 and tail[at - 20 : at - 16] == b"PK\x06\x07":
            (offset,) = struct.unpack("<Q", tail[at - 12 : at - 4])
            stream.seek(min(offset, size))
            record = stream.read(56)
            if record[:4] != b"PK\x06\x06" or len(record) < 56:
                return None, 0
            entries, directory = struct.unpack("<QQ", record[32:48])
    return entries, directory


def _last_part(name: str) -> str:
    """The file's own name; the folders before it, which may climb, are not used."""
    return PurePosixPath(name.replace("\\", "/")).name
