"""Results on their way to the PACS by STOW-RS (PS3.18 10.5), tried again with growing pauses until it took them."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import and_, or_, select, update

from .database import READ_ONLY, deliveries, jobs
from .jobtable import JobTable
from .metrics import Metrics
from .settings import Pacs
from .store import Store

log = logging.getLogger("neckfrac.server")

OBJECTS = ("segmentation.dcm", "report.dcm", "overview.dcm")
LONGEST_PAUSE = 3600.0
SENDING_SECONDS = 600.0  # after that another server may take over a delivery
FAILED_INSTANCES = "00081198"  # FailedSOPSequence
_PIECE = 2**18


class Delivery:
    """One thread that sends what is due. An object that is sent twice has the same UID: the PACS keeps it once."""

    def __init__(self, table: JobTable, store: Store, pacs: Pacs, metrics: Metrics) -> None:
        self._table, self._store, self._pacs, self._metrics = table, store, pacs, metrics
        self._reading = table.engine.execution_options(**{READ_ONLY: True})
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="delivery", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(self._pacs.timeout)

    def again(self, identifier: str) -> bool:
        """Send a study's results now, once more if need be; False when it has none to send, or is being sent."""
        values = {"state": "waiting", "tries": 0, "next_try": self._table.now(), "error": ""}
        which = and_(deliveries.c.job == identifier, deliveries.c.state != "sending")
        return self._change(which, **values)

    def _work(self) -> None:
        while not self._stopping.wait(1.0):
            try:
                while not self._stopping.is_set() and (due := self._claim()):
                    self._send(due)
            except Exception as error:
                log.error("A delivery could not be taken or recorded (%s).", type(error).__name__)
                self._stopping.wait(5.0)

    def _claim(self) -> dict[str, Any] | None:
        now = self._table.now()
        late = and_(deliveries.c.state == "sending", deliveries.c.next_try < now - SENDING_SECONDS)
        due = or_(and_(deliveries.c.state == "waiting", deliveries.c.next_try <= now), late)
        columns = (deliveries, jobs.c.result)
        query = select(*columns).join(jobs, jobs.c.id == deliveries.c.job).where(due)
        with self._reading.connect() as connection:
            row = connection.execute(query.order_by(deliveries.c.next_try).limit(1)).mappings().first()
        if row is None:
            return None
        values = {"state": "sending", "tries": row["tries"] + 1, "owner": self._table.owner, "next_try": now}
        same = and_(due, deliveries.c.job == row["job"], deliveries.c.tries == row["tries"])
        return {**row, **values} if self._change(same, **values) else None

    def _send(self, due: dict[str, Any]) -> None:
        folder = self._store.result(due["job"], due["result"])
        fault = post(self._pacs, [folder / name for name in OBJECTS if (folder / name).is_file()])
        now = self._table.now()
        if not fault:
            values = {"state": "delivered", "error": "", "delivered": now}
        elif due["tries"] >= self._pacs.tries:
            values = {"state": "failed", "error": fault}
        else:
            pause = min(self._pacs.first_pause * 2 ** (due["tries"] - 1), LONGEST_PAUSE)
            values = {"state": "waiting", "error": fault, "next_try": now + pause}
        mine = and_(
            deliveries.c.job == due["job"], deliveries.c.state == "sending", deliveries.c.tries == due["tries"],
            deliveries.c.owner == self._table.owner,
        )  # fmt: skip
        self._change(mine, **values, owner=None)
        self._metrics.deliveries.labels("delivered" if not fault else "not delivered").inc()
        log.info("Delivery of job %s, try %d: %s", due["job"], due["tries"], fault or "delivered.")

    def _change(self, which: Any, **values: Any) -> bool:
        with self._table.engine.begin() as connection:
            return connection.execute(update(deliveries).where(which).values(values)).rowcount == 1


def post(pacs: Pacs, files: list[Path]) -> str:
    """Send DICOM files in one request; "" when the PACS took all of them, else what went wrong."""
    boundary = uuid.uuid4().hex
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Accept": "application/dicom+json",
    }
    if pacs.token:
        headers["Authorization"] = f"Bearer {pacs.token}"
    login = (pacs.user, pacs.password) if pacs.user else None
    try:
        content = _multipart(files, boundary)
        answer = httpx.post(pacs.url, content=content, headers=headers, auth=login, timeout=pacs.timeout)
    except httpx.HTTPError as error:
        return f"The PACS can't be reached ({type(error).__name__})."
    if answer.status_code != 200:
        return f"The PACS answered {answer.status_code}."
    try:
        said = answer.json()
    except ValueError:
        return ""  # some answer in XML, whatever they were asked for; 200 means that all was stored
    objects = said if isinstance(said, list) else [said]
    refused = sum(len(one.get(FAILED_INSTANCES, {}).get("Value", [])) for one in objects if isinstance(one, dict))
    return f"The PACS refused {refused} of {len(files)} objects." if refused else ""


def _multipart(files: list[Path], boundary: str) -> Iterator[bytes]:
    for path in files:
        yield f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        with path.open("rb") as stream:
            while piece := stream.read(_PIECE):
                yield piece
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()
