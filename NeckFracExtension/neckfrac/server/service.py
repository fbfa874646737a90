"""All parts of one service together, and what they do for a request; nothing here knows of HTTP's addresses."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from anyio import CancelScope
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from .access import Access, Principal
from .database import CANCELLED, QUEUED, RECEIVING, UNFINISHED, open_database
from .delivery import Delivery
from .dispatcher import Dispatcher
from .jobtable import JobTable, KeyTaken
from .metrics import Metrics
from .models import StudyOptions
from .problems import Problem
from .results import Results
from .runner import ProcessRunner, Runner
from .series import IncomingSeries
from .settings import ServerSettings
from .store import Store, sync
from .uploads import SEND, receive

log = logging.getLogger("neckfrac.server")

AUDITED_AGAIN_AFTER = 60.0  # seconds; a page that asks for progress every second is one access


class Service:
    """One server: its settings, table, files and threads."""

    def __init__(self, settings: ServerSettings, new_runner: Callable[[], Runner] | None = None) -> None:
        self.settings, self.metrics = settings, Metrics()
        self.store = Store(settings.data)
        self.engine = open_database(settings.database_url)
        self.table = JobTable(self.engine, self.store.owner, settings.lease)
        self.access = Access(self.engine, settings)
        self.results = Results(self.table, self.store)
        self.series = IncomingSeries(self.table, self.store, settings)
        new_runner = new_runner or (lambda: ProcessRunner(settings.worker_command))
        self.dispatcher = Dispatcher(self.table, self.store, settings, new_runner, self.metrics)
        self.delivery = Delivery(self.table, self.store, settings.pacs, self.metrics) if settings.pacs else None
        self._noted: OrderedDict[tuple[Any, ...], float] = OrderedDict()
        self._noting = threading.Lock()

    def start(self) -> None:
        self.dispatcher.start()
        if self.delivery:
            self.delivery.start()

    def stop(self) -> None:
        if self.delivery:
            self.delivery.stop()
        self.dispatcher.stop()
        self.engine.dispose()
        self.store.close()

    async def take_upload(self, request: Request, principal: Principal) -> str:
        """Take the files of a form and queue them as one study; the id. Acknowledged only once all is on the disk."""
        await run_in_threadpool(self._check_queue, principal)
        key = _upload_key(principal, request.headers.get("idempotency-key", ""))
        try:
            identifier = await run_in_threadpool(self.table.begin, upload_key=key)
        except KeyTaken as taken:
            return await self._sent_again(request, taken.job)
        answer = "refused"
        try:
            folder = self.store.new_upload(identifier)
            received = await receive(request, folder, self.settings.limits, self.store)
            options = StudyOptions.of_form(received.fields)
            if not received.files:
                raise Problem(415, "Nothing in the upload can be read as a CT.", SEND)
            await run_in_threadpool(self._queue, identifier, received, options)
            answer = "accepted"
        finally:
            self.metrics.uploads.labels(answer).inc()
            if answer == "refused":
                with CancelScope(shield=True):  # also when the server is being stopped
                    await run_in_threadpool(self._discard, identifier)
        self.metrics.upload_bytes.inc(received.bytes)
        return identifier

    def _discard(self, identifier: str) -> None:
        self.store.remove(identifier)
        self.table.remove(identifier)

    def _queue(self, identifier: str, received: Any, options: StudyOptions) -> None:
        sync(self.store.study(identifier))
        size = sum(path.stat().st_size for path in received.files)
        how = {"files": len(received.files), "size": size, "options": options.chosen()}
        if not self.table.enqueue(identifier, **how):
            raise Problem(409, "The upload was cancelled while it came.")
        self.dispatcher.wake()

    def _check_queue(self, principal: Principal) -> None:
        self.access.uploads.take(principal.name, "Uploads come too fast.")
        counts = self.table.counts()
        if counts.get(QUEUED, 0) + counts.get(RECEIVING, 0) >= self.settings.limits.queue_length:
            raise Problem(503, "The queue is full.", "Try again in a minute.", headers={"Retry-After": "60"})

    async def _sent_again(self, request: Request, identifier: str) -> str:
        row = await run_in_threadpool(self.table.get, identifier)
        if row is None or row["state"] == RECEIVING:
            raise Problem(
                409, "An upload with this key is on its way.", "Try again in a while.", headers={"Retry-After": "5"}
            )
        size = 0
        async for piece in request.stream():  # a client that is still sending would not hear the answer
            size += len(piece)
            if size > self.settings.limits.upload_bytes:
                break
        return identifier

    def explain(self, row: dict[str, Any], options: dict[str, Any]) -> str:
        """Queue another heat map of a study that is done; the id that its files have. The same again is the same."""
        self.results.folder(row)
        if row["explains"]:
            raise Problem(409, "This is a heat map itself.", "Ask for one of the study that it explains.")
        for other in self.table.explanations(row["id"]):
            wanted = {key: other["options"].get(key) for key in ("explain", "member")}
            if other["state"] in (*UNFINISHED, "done") and wanted == options:
                return other["id"]
        how = {**{k: v for k, v in row["options"].items() if k in ("series", "operating_point")}, **options}
        how = {key: value for key, value in how.items() if value is not None}
        identifier = self.table.begin(options=how, explains=row["id"])
        self.table.enqueue(identifier)
        self.dispatcher.wake()
        return identifier

    def remove(self, row: dict[str, Any], principal: Principal) -> str:
        """Cancel what is not finished; delete what is, which needs the role admin. In a word, what was done."""
        identifier = row["id"]
        if self.table.cancel(identifier):
            self.store.remove(identifier)
            return "cancel"
        if row["state"] != CANCELLED and not principal.may("admin"):
            raise Problem(403, "Deleting a finished study needs the role admin.")
        family = [identifier, *(other["id"] for other in self.table.explanations(identifier))]
        for one in family:
            self.table.cancel(one)
            self.store.remove(one)
        self.table.remove(identifier)
        return "delete"

    def note(self, principal: Principal, action: str, job: str | None = None) -> None:
        """Write an access down, unless the same was less than a minute ago."""
        key, now = (principal.name, action, job, principal.address), time.monotonic()
        with self._noting:
            recent = now - self._noted.get(key, -1e9) < AUDITED_AGAIN_AFTER
            if recent and action.startswith(("see", "list")):
                return
            self._noted[key] = now
            self._noted.move_to_end(key)
            if len(self._noted) > 10_000:
                self._noted.popitem(last=False)
        self.table.note_access(principal.name, principal.role, action, job, principal.address)

    def ready(self) -> dict[str, bool]:
        """What has to be well before requests should come here."""
        try:
            self.table.counts()
            database = True
        except Exception as error:
            log.error("The database does not answer (%s).", type(error).__name__)
            database = False
        disk = self.store.free() >= self.settings.limits.disk_floor
        return {"database": database, "disk": disk, "dispatcher": self.dispatcher.alive()}


def _upload_key(principal: Principal, key: str) -> str | None:
    return hashlib.sha256(f"{principal.name}\0{key}".encode()).hexdigest() if key else None
