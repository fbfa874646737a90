"""Series that come slice by slice from a PACS: which study a slice belongs to, and when a series is complete.

DICOM can't say that a series is complete: it is taken for complete after some seconds without a new slice. A slice
that comes later makes a new revision of the study, with all slices that came before.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from .database import QUEUED, READ_ONLY, RECEIVING, RUNNING, jobs
from .jobtable import JobTable
from .settings import ServerSettings
from .store import Store, sync, sync_folder

CT_CLASSES = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1")  # CT, Enhanced CT (PS3.4 B.5)
CANNOT_UNDERSTAND, NOT_SUPPORTED = 0xC000, 0x0122  # PS3.4 table GG.4-1, PS3.18 table 10.5.3-1


@dataclass(frozen=True)
class Instance:
    """One DICOM file that came, or why it is not taken (failure: a status of PS3.4)."""

    path: Path
    sop_class: str = ""
    sop_instance: str = ""
    study: str = ""
    series: str = ""
    failure: int | None = None


def read_instance(path: Path) -> Instance:
    """What a file is, by its header."""
    import pydicom

    from ..intake.dicom_headers import quiet_pydicom

    keywords = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
    try:
        with quiet_pydicom():
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=keywords)
            said = [str(header.get(keyword) or "") for keyword in keywords]
    except Exception:  # pydicom raises nearly everything on a broken file
        return Instance(path, failure=CANNOT_UNDERSTAND)
    if not all(said):
        return Instance(path, *said, failure=CANNOT_UNDERSTAND)
    return Instance(path, *said, failure=None if said[0] in CT_CLASSES else NOT_SUPPORTED)


class IncomingSeries:
    """Puts instances into the studies of their series."""

    def __init__(self, table: JobTable, store: Store, settings: ServerSettings) -> None:
        self._table, self._store, self._quiet = table, store, settings.quiet
        self._reading = table.engine.execution_options(**{READ_ONLY: True})
        self._lock = threading.Lock()

    def add(self, instances: Sequence[Instance]) -> set[str]:
        """Move the files of one request to their studies; ids of these. All is on the disk when this returns."""
        series: dict[str, list[Instance]] = {}
        for instance in instances:
            series.setdefault(instance.series, []).append(instance)
        with self._lock:
            return {self._add(uid, group) for uid, group in series.items()}

    def _add(self, uid: str, instances: list[Instance]) -> str:
        key = hashlib.sha256(uid.encode()).hexdigest()
        while True:
            latest = self._latest(key)
            if latest is not None and self._has_all(latest["id"], instances):
                return latest["id"]  # sent again; nothing is new
            identifier = self._open(key, latest)
            if identifier is None:
                continue  # another server was faster
            self._fill(identifier, instances)
            if self._touch(identifier):
                return identifier
            # It was closed meanwhile: these slices make a new revision.

    def _latest(self, key: str) -> dict[str, Any] | None:
        query = select(jobs).where(jobs.c.series_key == key).order_by(jobs.c.revision.desc()).limit(1)
        with self._reading.connect() as connection:
            row = connection.execute(query).mappings().first()
            return None if row is None else dict(row)

    def _has_all(self, identifier: str, instances: list[Instance]) -> bool:
        folder = self._store.upload(identifier)
        return all(_same(folder / _name(instance), instance.path) for instance in instances)

    def _open(self, key: str, latest: dict[str, Any] | None) -> str | None:
        """A study that is still receiving: the latest, or a new revision of it. None when another made one."""
        if latest is not None and latest["state"] == RECEIVING and self._touch(latest["id"]):
            return latest["id"]
        revision = 1 if latest is None else latest["revision"] + 1
        try:
            # Without a time to close it, a start of this server removes what a kill left half filled.
            identifier = self._table.begin(series_key=key, revision=revision)
        except IntegrityError:
            return None
        folder = self._store.new_upload(identifier)
        if latest is not None and self._store.upload(latest["id"]).is_dir():
            for path in self._store.upload(latest["id"]).iterdir():
                os.link(path, folder / path.name)  # the slices are on the disk once
            if latest["state"] in (QUEUED, RUNNING) and self._table.cancel(latest["id"]):
                self._store.remove(latest["id"])  # its result would be of half a series
        sync_folder(folder)
        sync_folder(folder.parent)
        sync_folder(folder.parent.parent)
        return identifier

    def _fill(self, identifier: str, instances: list[Instance]) -> None:
        folder = self._store.upload(identifier)
        sync(instances[0].path.parent)
        for instance in instances:
            target = folder / _name(instance)
            target.unlink(missing_ok=True)
            os.link(instance.path, target)
        sync_folder(folder)

    def _touch(self, identifier: str) -> bool:
        """Wait for more from now on; False when it is closed already."""
        files = list(self._store.upload(identifier).iterdir()) if self._store.upload(identifier).is_dir() else []
        values = {
            "closes_at": self._table.now() + self._quiet,
            "files": len(files),
            "bytes": sum(path.stat().st_size for path in files),
        }
        with self._table.engine.begin() as connection:
            which = (jobs.c.id == identifier) & (jobs.c.state == RECEIVING)
            return connection.execute(update(jobs).where(which).values(values)).rowcount == 1


def _name(instance: Instance) -> str:
    return f"{hashlib.sha256(instance.sop_instance.encode()).hexdigest()[:32]}.dcm"


def _same(kept: Path, new: Path) -> bool:
    """Whether the same bytes are there already."""
    if not kept.is_file() or kept.stat().st_size != new.stat().st_size:
        return False
    return hashlib.sha256(kept.read_bytes()).digest() == hashlib.sha256(new.read_bytes()).digest()
