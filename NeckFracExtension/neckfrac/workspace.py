"""Where something is made before it gets its place: a hidden folder beside it, locked, marked and always cleared away.

What is written appears whole or not at all. A `Workspace` belongs to one process, by a lock that ends with the process
however that ends; so a second run into the same output is refused, and what a killed run left is known for certain,
put right and removed by the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
import unicodedata
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import Cancelled, InputError
from .folder_lock import entries, lock_folder, owner_of, sign
from .marks import MARK, is_result, json_keys, keep_foreign_entries, unused

NEW, OLD, GONE = "new", "old", "gone"  # in a workspace: what is made, what it replaces, what is being removed
_NAME = re.compile(r"\.neckfrac-[0-9a-f]{12}")
_held: set[Workspace] = set()


class Workspace:
    """The hidden folder in which this process makes what is to lie at `place`; `claim` gives one.

    new: a folder to write into, which becomes `place`. replaces: whether something of ours there is replaced.
    """

    def __init__(self, folder: Path, place: Path, lock: int, made: list[Path]) -> None:
        self.folder, self.place, self.new = folder, place, folder / NEW
        self._lock, self._made = lock, made  # parents of `place` that were made for it, the outermost first
        self._guard = threading.Lock()  # nothing is removed while folders change places
        self._open, self._replaced, self.replaces = True, False, True
        _held.add(self)

    def put_in_place(
        self,
        is_ours: Callable[[Path], bool] = is_result,
        keep: Callable[[Path, Path], None] = keep_foreign_entries,
    ) -> None:
        """Give `new` its place; of what it replaces, what is not NeckFrac's is kept. Raises OSError, InputError.

        is_ours: whether a folder may be replaced. keep: moves the rest from the old folder into the new one, all or
        nothing. Raises Cancelled when the workspace was removed meanwhile by `remove_unfinished`.
        """
        with self._guard:
            if not self._open:
                raise Cancelled
            old = self.folder / OLD
            if not self.place.is_dir() or not any(self.place.iterdir()):
                if os.name == "nt" and self.place.is_dir():
                    self.place.rmdir()  # nothing is renamed to an empty folder there
                os.rename(self.new, self.place)
            elif not (self.replaces and is_ours(self.place)):
                what = "The output folder has been filled by something else meanwhile."
                raise InputError(what, where=self.place, advice="Choose another.")
            else:
                os.rename(self.place, old)
                try:
                    os.rename(self.new, self.place)
                    try:
                        keep(old, self.place)
                    except OSError:
                        os.rename(self.place, self.new)
                        raise
                except OSError:
                    os.rename(old, self.place)
                    raise
            self._made, self._replaced = [], True

    def keep_parents(self) -> None:
        """Parents that were made for `place` stay: it was written into them."""
        self._made = []

    def close(self) -> None:
        """Remove the folder and all that is in it, give up the lock; parents that were made for nothing go, too."""
        with self._guard:
            if not self._open:
                return
            self._open = False
            _held.discard(self)
            replaced = []
            with contextlib.suppress(OSError):
                if not self._replaced:
                    _put_right(self.folder, self.place)
                replaced.append(OLD)  # else it stays, and with it the mark, for the next run to put it right
            # First out of the way in one step: another thread of this process may still write into it.
            with contextlib.suppress(OSError):
                os.rename(self.new, self.folder / GONE)
            _clear(self.folder, *replaced)
            _remove(self.folder, self._lock)
            for parent in reversed(self._made):
                with contextlib.suppress(OSError):
                    parent.rmdir()


def claim(place: Path) -> Workspace:
    """The workspace of `place`, whose parents are made when they are missing.

    What a run that is no more left in it, or beside it, is put right and removed. Raises InputError when another
    run is at work on `place`, OSError when nothing can be written there.
    """
    place = Path(os.path.realpath(place))
    made: list[Path] = []
    try:
        for parent in [parent for parent in place.parents if not parent.exists()][::-1]:
            parent.mkdir()
            made.append(parent)
        folder = place.parent / _name_for(place.name)
        lock = lock_folder(folder, create=True)
        if lock is None:
            raise InputError(
                "Another run of NeckFrac is writing there.", where=place, advice="Wait for it, or choose another place."
            )
        try:
            earlier = owner_of(lock)
            _put_right(folder, place)
            _clear(folder, OLD)
            made = made or _made_by(earlier, place)
            sign(lock, target=place.name, made=len(made))
            (folder / NEW).mkdir()
        except BaseException:
            _clear(folder)
            _remove(folder, lock)
            raise
    except BaseException:
        for parent in reversed(made):
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise
    workspace = Workspace(folder, place, lock, made)
    remove_leftovers(place.parent)
    return workspace


@contextmanager
def whole_folder(
    place: Path, *, what: str = "result", overwrite: bool | None = None, inputs: Iterable[Path | str] = ()
) -> Iterator[Path]:
    """A temporary folder that becomes `place` when all went well; else nothing is left, and what was there stays.

    what: what is written, for messages. overwrite, inputs: as for `check_place`. Raises InputError.
    """
    with (
        claimed(place, what=what, overwrite=overwrite, inputs=inputs) as workspace,
        writing(workspace, place, what) as unfinished,
    ):
        yield unfinished


@contextmanager
def claimed(
    place: Path, *, what: str = "result", overwrite: bool | None = None, inputs: Iterable[Path | str] = ()
) -> Iterator[Workspace]:
    """The workspace of a folder that is to be written, until the context ends. Raises InputError."""
    inputs = list(inputs)
    check_place(place, overwrite=overwrite, inputs=inputs)
    try:
        workspace = claim(place)
    except OSError as error:
        raise unwritable(place, what, error) from error
    try:
        check_place(place, overwrite=overwrite, inputs=inputs)  # again: what a killed run had set aside is back there
        workspace.replaces = bool(overwrite)
        yield workspace
    finally:
        workspace.close()


@contextmanager
def writing(workspace: Workspace, place: Path, what: str = "result") -> Iterator[Path]:
    """The workspace's folder to write into, which gets its place at the end.

    Errors of the disk become InputErrors, and those that name the workspace name `place`, as the user called it.
    """
    try:
        yield workspace.new
        workspace.new.chmod(0o755)
        workspace.put_in_place()
    except OSError as error:
        raise unwritable(place, what, error) from error
    except InputError as error:
        if error.where is None or not Path(error.where).is_relative_to(workspace.folder):
            raise
        # The workspace is gone when this is read.
        raise type(error)(error.what, where=place, advice=error.advice) from error


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder among the system's temporary files, cleared away as every workspace is. Raises InputError."""
    try:
        workspace = claim(Path(tempfile.gettempdir()) / uuid.uuid4().hex)
    except OSError as error:
        raise InputError(
            f"No folder for temporary files can be made: {error.strerror or error}.",
            where=Path(error.filename).parent if error.filename else None,
            advice="Free some space there, or set TMPDIR (Windows: TEMP) to a folder that you may write to.",
        ) from error
    try:
        yield workspace.new
    finally:
        workspace.close()


def unwritable(place: Path, what: str, error: OSError) -> InputError:
    """The InputError for a disk that is full, locked or gone."""
    return InputError(
        f"The {what} can't be written: {error.strerror or error}.",
        where=place,
        advice="Choose a folder that you may write to, on a disk with room.",
    )


def check_place(folder: Path, *, overwrite: bool | None = None, inputs: Iterable[Path | str] = ()) -> None:
    """Raises InputError when writing to `folder` would replace anything but a result, and that only with `overwrite`.

    overwrite: None where it can't be asked for. inputs: what is read; a folder that is one of them, or holds one, is
    never replaced, whatever it bears.
    """
    folder = Path(folder)
    if os.path.lexists(folder) and not folder.is_dir():
        raise InputError("The output is a file, not a folder.", where=folder, advice="Choose another --output.")
    if not folder.is_dir():
        return
    if os.path.ismount(folder):  # nothing can be renamed to it, empty as it may be
        advice = "Give the name of a folder in it."
        raise InputError("The output is a mount point, the top folder of a disk.", where=folder, advice=advice)
    if held := next((path for path in inputs if holds(folder, path)), None):
        raise InputError(f"The output folder holds what is read ({held}).", where=folder, advice="Choose another.")
    try:
        empty = not any(folder.iterdir())
    except OSError as error:
        raise unwritable(folder, "result", error) from error
    if empty:
        return
    ours = is_result(folder)
    if not overwrite:
        advice = "Choose another, or add --overwrite." if ours and overwrite is not None else "Choose another."
        raise InputError("The output folder already holds something.", where=folder, advice=advice)
    if not ours:
        raise InputError(
            "The output folder holds something else than a result of NeckFrac.",
            where=folder,
            advice="Choose another: only results are overwritten.",
        )


def write_json_file(path: Path, content: dict[str, Any]) -> None:
    """Write JSON, whole or not at all, and only over an older file of the same kind: one with the same keys.

    Raises InputError when something else has that name, or it can't be written.
    """
    path = Path(path)
    if os.path.lexists(path):
        keys = json_keys(path)
        if not keys or not (keys <= set(content) or keys >= set(content)):
            raise InputError("The output is a file of something else.", where=path, advice="Choose another --out.")
    try:
        workspace = claim(path)
        try:
            part = workspace.new / path.name
            part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            os.replace(part, workspace.place)
            workspace.keep_parents()
        finally:
            workspace.close()
    except OSError as error:
        raise unwritable(path, "file", error) from error


def holds(folder: Path, path: Path | str) -> bool:
    """Whether `path` is the folder or lies in it, by any name: through links, "..", or letters' case."""
    for way in (os.path.abspath(os.path.expanduser(path)), os.path.realpath(os.path.expanduser(path))):
        for parent in (Path(way), *Path(way).parents):
            with contextlib.suppress(OSError):
                if os.path.samefile(folder, parent):
                    return True
    return False


def remove_leftovers(folder: Path) -> None:
    """Put right and remove what runs that are no more left in a folder; what is not NeckFrac's, or in use, stays."""
    for name in entries(folder):
        path = Path(folder, name)
        with contextlib.suppress(OSError, InputError):
            if _NAME.fullmatch(name) and not path.is_symlink() and path.is_dir() and _is_own(path):
                _remove_leftover(path)


def _remove_leftover(path: Path) -> None:
    """Raises OSError or InputError where it must stay."""
    if not entries(path):
        path.rmdir()  # its run was killed before it could mark it
        return
    lock = lock_folder(path, create=False)
    if lock is None:
        return
    try:
        owner = owner_of(lock)
        place = path.parent / _target(owner)
        _put_right(path, place)
        _clear(path, OLD)
    finally:
        _remove(path, lock)
    for parent in reversed(_made_by(owner, place)):
        parent.rmdir()


def remove_unfinished() -> None:
    """Remove every workspace of this process, which is about to end while a step still runs."""
    for workspace in list(_held):
        workspace.close()


def _name_for(name: str) -> str:
    """The same for names that one file system or another takes for the same."""
    same = unicodedata.normalize("NFC", name).casefold().encode("utf-8", "surrogateescape")
    return f".neckfrac-{hashlib.sha256(same).hexdigest()[:12]}"


def _target(owner: dict | None) -> str:
    """The name, never a path, of what a workspace was for."""
    name = owner.get("target") if owner else None
    is_name = isinstance(name, str) and name == os.path.basename(name) and name not in ("", ".", "..")
    return name if is_name else "result"


def _made_by(owner: dict | None, place: Path) -> list[Path]:
    """The parents that an earlier owner had made, the outermost first."""
    count = owner.get("made") if owner else None
    return list(place.parents[:count])[::-1] if isinstance(count, int) and count > 0 else []


def _put_right(folder: Path, place: Path) -> None:
    """What was being replaced goes back, or, when its replacement has its place, gives up what is not NeckFrac's."""
    old, new = folder / OLD, folder / NEW
    if not old.is_dir():
        return
    if new.is_dir() or not place.is_dir():
        os.rename(old, place if not os.path.lexists(place) else unused(place.with_name(f"{place.name} earlier")))
    else:
        keep_foreign_entries(old, place)


def _clear(folder: Path, *replaced: str) -> None:
    """Remove all but the mark, which goes last, and what is being replaced, unless that is named: it was put right."""
    for _ in range(5):  # another thread may still put something there
        for name in set(entries(folder)) - {MARK, OLD} | set(replaced):
            path = folder / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    path.unlink()
        if set(entries(folder)) <= {MARK}:
            return


def _remove(folder: Path, lock: int) -> None:
    """Remove an empty workspace; its lock is held until its mark is gone, where the system allows that."""
    if os.name == "nt":
        os.close(lock)
    for _ in range(3):  # some file systems need room even to remove something
        with contextlib.suppress(OSError):
            if set(entries(folder)) <= {MARK}:
                (folder / MARK).unlink(missing_ok=True)
                folder.rmdir()
            break
    if os.name != "nt":
        os.close(lock)


def _is_own(path: Path) -> bool:
    """Whether the folder belongs to this user: in a common folder for temporary files others' do not count."""
    return os.name == "nt" or path.stat().st_uid == os.getuid()
