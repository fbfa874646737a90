"""A zip archive is unpacked to a temporary folder, with guards against archives made to do harm."""

from __future__ import annotations

import errno
import lzma
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ..errors import InputError
from ..progress import Progress
from ..workspace import scratch_folder

MOST_FILES = 20_000
MOST_BYTES = 8 * 2**30
# Deflate can't exceed about 1030:1, and air in a CT seldom reaches 20:1; an archive of much zeros only
# is no study.
MOST_RATIO = 200
RATIO_FREE = 256 * 2**20  # bytes below which the ratio is not looked at
_CHUNK = 2**20
# Bytes; file systems take 255 a name, Windows 260 a path, of which the temporary folder's needs its share.
LONGEST_NAME, LONGEST_PATH = 150, 180
SUFFIX = 12  # characters at a name's end in which its endings are looked for
_PLAIN = re.compile(r"(\.[A-Za-z0-9]{1,6}){1,2}")
_UNWRITABLE = re.compile(r'[\x00-\x1f<>:"|?*\x7f]')
_RESERVED = frozenset(
    ("CON", "PRN", "AUX", "NUL", *(f"{device}{n}" for device in ("COM", "LPT") for n in range(1, 10)))
)
_DATA_FILE = re.compile(rb"^\s*(?:ElementDataFile\s*=|data ?file\s*:)\s*(\S.*?)\s*$", re.IGNORECASE | re.MULTILINE)


@contextmanager
def unpacked(path: Path, progress: Progress, share: float = 0.2) -> Iterator[Path]:
    """The archive's files in a temporary folder that is removed on leaving.

    Steps `progress` up to `share`. Raises InputError for an archive that is corrupt, encrypted, too large, or
    holds names that lead out of the folder.
    """
    with scratch_folder() as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                _unpack(archive, path, folder, progress, share)
        except NotImplementedError as error:
            raise InputError(
                "The zip archive is compressed in a way that is not supported.", where=path, advice=_UNPACK
            ) from error
        except PermissionError as error:
            raise InputError("A file may not be read.", where=path, advice="Check who may read it.") from error
        except OSError as error:
            if error.errno in _FULL:
                raise _no_room(path) from error
            raise _corrupt(path) from error
        except _BROKEN as error:
            raise _corrupt(path) from error
        try:
            yield folder
        except InputError as error:
            # The folder is gone when the user reads this: name the file as the archive does.
            if error.where is None or str(folder) not in error.where:
                raise
            where = error.where.replace(str(folder), str(path))
            raise type(error)(error.what, where=where, advice=error.advice) from error


# What zipfile and its decompressors raise on damaged archives; a ValueError is a name that can't be decoded, too.
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, struct.error, OverflowError,
           RuntimeError)  # fmt: skip


_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows has no quota error


def _corrupt(path: Path) -> InputError:
    return InputError("The zip archive is truncated or corrupt.", where=path, advice="Pack it again.")


def _no_room(path: Path, total: int = 0) -> InputError:
    size = f" ({total / 2**30:.1f} GB)" if total else ""
    return InputError(
        f"There is no room to unpack the zip archive{size}.",
        where=path,
        advice="Free some space in the folder for temporary files.",
    )


def _unpack(archive: zipfile.ZipFile, path: Path, folder: Path, progress: Progress, share: float) -> None:
    members = [member for member in archive.infolist() if not member.is_dir()]
    _check(members, path, folder)
    total, written = max(sum(member.file_size for member in members), 1), 0
    names = _names(members, path)
    for member, name in zip(members, names, strict=True):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        with archive.open(member) as source, target.open("wb") as stream:
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                if size > member.file_size:
                    raise InputError("The zip archive unpacks to more than it says.", where=path, advice=_UNPACK)
                stream.write(chunk)
                progress.step(share * min((written + size) / total, 1))
        written += size
        if target.suffix.lower() in (".mhd", ".nhdr"):
            _check_data_file(target, path)


_UNPACK = "Unpack it yourself and give the folder."


def _check(members: list[zipfile.ZipInfo], path: Path, folder: Path) -> None:
    total = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if any(member.flag_bits & 0x1 for member in members):
        raise InputError("The zip archive is encrypted.", where=path, advice=_UNPACK)
    if len(members) > MOST_FILES or total > MOST_BYTES or (total > RATIO_FREE and total > MOST_RATIO * packed):
        raise InputError(
            f"The zip archive unpacks to {len(members)} files and {total / 2**30:.1f} GB, more than a study has.",
            where=path,
            advice=_UNPACK,
        )
    if total + 2**20 > shutil.disk_usage(folder).free:
        raise _no_room(path, total)


def _names(members: list[zipfile.ZipInfo], path: Path) -> list[PurePosixPath]:
    """Where in the folder each member goes: under its own name, or a made one where that can't be written.

    That is so for names that are too long or deep for a file system, hold characters that some can't write, or would
    be one with another's (they are twice in the archive, differ in case only, or are another's folder).
    Raises InputError for names that lead out of the folder, and for links.
    """
    wanted = [_checked(member, path) for member in members]
    folders = {parent.as_posix().casefold() for name in wanted for parent in name.parents}
    taken: set[str] = set()
    found = []
    for number, name in enumerate(wanted):
        key = name.as_posix().casefold()
        if not _writable(name) or key in taken or key in folders:
            # The number keeps the archive's order; the ending tells what the file is.
            ending = "".join(PurePosixPath(name.name[-SUFFIX:]).suffixes)
            # What is passed over as hidden stays hidden.
            hidden = "." if any(part.startswith((".", "__MACOSX")) for part in name.parts) else ""
            name = PurePosixPath(f"{hidden}member-{number:05d}{ending if _PLAIN.fullmatch(ending) else ''}")
            key = name.as_posix()
        taken.add(key)
        found.append(name)
    return found


def _writable(name: PurePosixPath) -> bool:
    """Whether every file system can hold a file of this name below a temporary folder."""
    try:
        lengths = [len(part.encode()) for part in name.parts]
    except UnicodeEncodeError:
        return False
    if max(lengths) > LONGEST_NAME or sum(lengths) + len(lengths) > LONGEST_PATH:
        return False
    return not any(
        _UNWRITABLE.search(part) or part.endswith((".", " ")) or part.split(".")[0].upper() in _RESERVED
        for part in name.parts
    )


def _checked(member: zipfile.ZipInfo, path: Path) -> PurePosixPath:
    """The member's name; raises InputError for one that would leave the folder or is a link."""
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or any(":" in part for part in name.parts[:1]) or not name.parts:
        raise InputError("The zip archive holds a name that leads out of its folder.", where=path, advice=_UNPACK)
    if stat.S_ISLNK(member.external_attr >> 16):
        raise InputError("The zip archive holds a link.", where=path, advice=_UNPACK)
    return name


def _check_data_file(header: Path, path: Path) -> None:
    """Raise InputError for a detached image header that points out of the archive."""
    with header.open("rb") as stream:
        names = _DATA_FILE.findall(stream.read(65536))
    for name in names:
        pointed = PurePosixPath(name.decode("utf-8", "replace").replace("\\", "/"))
        if pointed.is_absolute() or ".." in pointed.parts or ":" in pointed.parts[0]:
            raise InputError("An image header in the zip archive points out of it.", where=path, advice=_UNPACK)
