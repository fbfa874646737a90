"""The files of the service: uploads, results, scratch; whole and on the disk before anybody hears of them."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from ..errors import InputError

UPLOAD, RESULT = "upload", "result"
_SLOTS = 64  # servers that one machine may run on one data folder


class Store:
    """A data folder::

        studies/<id>/upload/00001.dcm    as they came, numbered in the order in which they came
        studies/<id>/result-<attempt>/   what `neckfrac analyze` writes; the job's row says which one counts
        scratch/<owner>/                 what running jobs make; emptied at the owner's start
        owners/<owner>.lock              held as long as the server runs

    owner: this server's name: the machine's and a number, the same again after a restart. Raises InputError when the
    folder can't be used.
    """

    def __init__(self, data: Path) -> None:
        self.data = Path(data).absolute()
        try:
            for folder in (self.data, self.data / "studies", self.data / "scratch", self.data / "owners"):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.owner, self._lock = self._own()
        except OSError as error:
            raise InputError(
                f"The service's data folder can't be used: {error.strerror}.",
                where=self.data,
                advice="Choose another with --data.",
            ) from error
        self.scratch = self.data / "scratch" / self.owner
        self.empty_scratch()

    def _own(self) -> tuple[str, IO[str]]:
        host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:80] or "host"
        for number in range(_SLOTS):
            name = f"{host}-{number}"
            lock = (self.data / "owners" / f"{name}.lock").open("a")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            return name, lock
        raise OSError(0, f"{_SLOTS} servers use it already")

    def close(self) -> None:
        """Let go of the owner's name."""
        self._lock.close()

    def study(self, identifier: str) -> Path:
        return self.data / "studies" / _plain(identifier)

    def upload(self, identifier: str) -> Path:
        return self.study(identifier) / UPLOAD

    def result(self, identifier: str, name: str) -> Path:
        return self.study(identifier) / _plain(name)

    def new_upload(self, identifier: str) -> Path:
        """An empty folder for a study's files."""
        folder = self.upload(identifier)
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def new_scratch(self, name: str) -> Path:
        """An empty folder that one attempt may fill; what an earlier one of that name left is gone."""
        folder = self.scratch / _plain(name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def keep_result(self, made: Path, identifier: str, attempt: int) -> str:
        """Sync a result folder that lies in scratch and move it to its study; the name that it has there."""
        name = f"{RESULT}-{attempt}"
        target = self.result(identifier, name)
        target.parent.mkdir(mode=0o700, exist_ok=True)  # another heat map's row has no upload
        sync(made)
        shutil.rmtree(target, ignore_errors=True)
        os.rename(made, target)
        sync_folder(target.parent)
        sync_folder(target.parent.parent)
        return name

    def remove(self, identifier: str) -> None:
        """Delete a study's files."""
        shutil.rmtree(self.study(identifier), ignore_errors=True)

    def remove_scratch(self, folder: Path) -> None:
        """Remove a folder that `new_scratch` made."""
        shutil.rmtree(folder, ignore_errors=True)

    def empty_scratch(self) -> None:
        """Remove what killed jobs of this server left: it may hold a patient's CT."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)

    def study_ids(self) -> Iterator[str]:
        yield from (entry.name for entry in os.scandir(self.data / "studies") if entry.is_dir())

    def results_of(self, identifier: str) -> list[str]:
        """Names of a study's result folders."""
        folder = self.study(identifier)
        return [entry.name for entry in os.scandir(folder) if entry.name.startswith(RESULT)] if folder.is_dir() else []

    def free(self) -> int:
        """Free bytes where the data lie."""
        return shutil.disk_usage(self.data).free


def sync(folder: Path) -> None:
    """All files below the folder, and the folders themselves, are on the disk when this returns."""
    files, folders = [], [folder]
    for parent, names, entries in os.walk(folder):
        folders += [Path(parent, name) for name in names]
        files += [Path(parent, entry) for entry in entries]
    with ThreadPoolExecutor(max_workers=8) as pool:  # the disk takes many at once for little more than one
        list(pool.map(_sync_file, files))
    for one in folders:
        sync_folder(one)


def _sync_file(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """The folder's entries are on the disk when this returns."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _plain(name: str) -> str:
    """The name, when it is one part of a path; ids come from clients. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}", name):
        raise ValueError("no name of a study or a result")
    return name
