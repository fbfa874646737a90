"""A zip archive is unpacked to a temporary folder, with guards against archives made to do harm."""

from __future__ import annotations

import re
import shutil
import stat
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
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
            raise InputError("The zip archive is truncated or corrupt.", where=path, advice="Pack it again.") from error
        except OSError as error:
            raise InputError(
                f"The zip archive can't be unpacked: {error.strerror or error}.", where=path, advice=_UNPACK
            ) from error
        try:
            yield folder
        except InputError as error:
            # The folder is gone when the user reads this: name the file as the archive does.
            if error.where is None or str(folder) not in error.where:
                raise
            where = error.where.replace(str(folder), str(path))
            raise type(error)(error.what, where=where, advice=error.advice) from error


def _unpack(archive: zipfile.ZipFile, path: Path, folder: Path, progress: Progress, share: float) -> None:
    members = [member for member in archive.infolist() if not member.is_dir()]
    _check(members, path, folder)
    total, written = max(sum(member.file_size for member in members), 1), 0
    targets: set[Path] = set()
    for number, member in enumerate(members):
        target = _target(member, path, folder)
        if target in targets:  # two names that a case-insensitive or renaming step made one
            target = target.with_name(f"{number}-{target.name}")
        targets.add(target)
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
        raise InputError(
            f"There is no room to unpack the zip archive ({total / 2**30:.1f} GB).",
            where=path,
            advice="Free some space in the folder for temporary files.",
        )


def _target(member: zipfile.ZipInfo, path: Path, folder: Path) -> Path:
    """Where the member goes; raises InputError for one that would leave `folder` or is a link."""
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or any(":" in part for part in name.parts[:1]) or not name.parts:
        raise InputError("The zip archive holds a name that leads out of its folder.", where=path, advice=_UNPACK)
    if stat.S_ISLNK(member.external_attr >> 16):
        raise InputError("The zip archive holds a link.", where=path, advice=_UNPACK)
    return folder.joinpath(*name.parts)


def _check_data_file(header: Path, path: Path) -> None:
    """Raise InputError for a detached image header that points out of the archive."""
    with header.open("rb") as stream:
        names = _DATA_FILE.findall(stream.read(65536))
    for name in names:
        pointed = PurePosixPath(name.decode("utf-8", "replace").replace("\\", "/"))
        if pointed.is_absolute() or ".." in pointed.parts or ":" in pointed.parts[0]:
            raise InputError("An image header in the zip archive points out of it.", where=path, advice=_UNPACK)
