"""A folder of one process: its mark is locked until the process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time
from pathlib import Path
from typing import Any

from .errors import InputError
from .marks import MARK, UNFINISHED, new_mark, parse_mark

_TRIES, _PAUSE = 12, 0.05  # s; another process may look at the folder for a moment, or just be removing it


def lock_folder(folder: Path, *, create: bool) -> int | None:
    """The handle of the folder's mark, locked; None when another process holds it.

    create: make the folder and its mark when they are missing. Raises OSError, InputError when the folder is not ours.
    """
    made = False
    for number in range(_TRIES):
        if create:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o700)
                made = True
        names = entries(folder)
        if folder.is_symlink() or (names and MARK not in names):
            raise InputError("A folder that is not NeckFrac's is in the way.", where=folder, advice="Move it away.")
        flags = os.O_RDWR | (os.O_CREAT if create else 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        try:
            handle = os.open(folder / MARK, flags, 0o600)
        except FileNotFoundError:
            if not create:
                raise
            continue  # its last owner has just removed it
        except OSError:
            if made:  # without room for its mark; the folder is still empty, or another process's by now
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
            raise
        ours = False
        try:
            if _lock(handle):
                ours = _is_mark_of(handle, folder)
                if ours:
                    return handle
            elif not create or number == _TRIES - 1:
                return None
        finally:
            if not ours:
                os.close(handle)
        time.sleep(_PAUSE)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(folder))


def _is_mark_of(handle: int, folder: Path) -> bool:
    """Whether the locked file still is the folder's mark; its last owner may have removed it meanwhile.

    Raises InputError when it does not say that the folder is ours.
    """
    try:
        there, held = os.stat(folder / MARK), os.fstat(handle)
    except FileNotFoundError:
        return False
    if (there.st_dev, there.st_ino) != (held.st_dev, held.st_ino):
        return False
    if not stat.S_ISREG(held.st_mode) or (owner_of(handle) is None and set(entries(folder)) - {MARK}):
        raise InputError("A folder that is not NeckFrac's is in the way.", where=folder, advice="Move it away.")
    return True


def _lock(handle: int) -> bool:
    """Lock the file until its handle is closed, be it by the process' end; False when another process has it."""
    try:
        import fcntl
    except ImportError:
        import msvcrt

        os.lseek(handle, 2**30, os.SEEK_SET)  # behind the text, which others must be able to read
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: who owns it is told by the mark alone
        return not _lives(owner_of(handle))
    return True


def _lives(owner: dict | None) -> bool:
    """Whether the process of a mark may still be there; of another machine's nobody here can tell."""
    if owner is None:
        return False
    if owner.get("host") != socket.gethostname() or not isinstance(owner.get("pid"), int):
        return True
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def owner_of(handle: int) -> dict | None:
    """What the mark behind a handle says; None for an empty one, or none of an unfinished folder."""
    os.lseek(handle, 0, os.SEEK_SET)
    mark = parse_mark(os.read(handle, 65536).decode("utf-8", "replace"))
    return mark if mark is not None and mark["kind"] == UNFINISHED else None


def sign(handle: int, **facts: Any) -> None:
    """Write into a locked mark who owns the folder now."""
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%dT%H:%M:%S")}
    text = new_mark(UNFINISHED, **owner, **facts)
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, text.encode("utf-8"))


def entries(folder: Path) -> list[str]:
    """The names in a folder; none for what is no folder or can't be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
