"""What a path is, asked before anything opens it, and the files of a folder, behind links too.

A named pipe blocks whoever opens it, and a device may never end.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import InputError
from ..formatting import as_text
from ..marks import written_files

_SPECIAL = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def special_kind(path: Path) -> str:
    """What the path is when it is neither a file nor a folder, as "a named pipe"; "" for those, and what is absent."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "a link that leads in a circle"
        return "a link that leads nowhere" if path.is_symlink() and error.errno == errno.ENOENT else ""
    return next((kind for is_kind, kind in _SPECIAL if is_kind(mode)), "")


def check_file_kind(path: Path) -> None:
    """Raises InputError for what is neither a file nor a folder, and for what is not there."""
    path = Path(path)
    if kind := special_kind(path):
        raise InputError(f"This is {kind}, no file.", where=path, advice="Take it away, or give the files alone.")
    if not path.exists():
        raise InputError("There is no such file or folder.", where=path, advice="Check the path.")


def check_name_is_text(path: Path) -> None:
    """Raises InputError for a path with bytes that are no text: given one, ITK ends the process."""
    if as_text(path) != str(path):
        raise InputError(
            "The path holds bytes that are no text (UTF-8).", where=as_text(path), advice="Rename it."
        )


def walk_files(folder: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    """All that lies below a folder and is no folder, in a stable order; hidden ones are passed over.

    Links to folders are followed, after the rest, and no folder is walked twice: links may lead in circles. What
    NeckFrac has written into a result is passed over, too.
    """
    seen: set[tuple[int, int]] = set()
    tops = deque([folder])
    while tops:
        for parent, folders, names in os.walk(tops.popleft(), onerror=on_error):
            try:
                state = os.stat(parent)
            except OSError as error:
                on_error(error)
                continue
            if (state.st_dev, state.st_ino) in seen:
                folders.clear()
                continue
            seen.add((state.st_dev, state.st_ino))
            shown = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
            linked = [name for name in shown if os.path.islink(os.path.join(parent, name))]
            tops.extend(Path(parent, name) for name in linked)
            folders[:] = [name for name in shown if name not in linked]
            written = written_files(Path(parent), names)
            kept = sorted(name for name in names if not name.startswith(".") and name not in written)
            yield from (Path(parent, name) for name in kept)
