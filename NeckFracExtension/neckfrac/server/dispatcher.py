"""Takes jobs from the table, has them done by runners, and records how they ended."""

from __future__ import annotations

import logging
import re
import shutil
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .database import CANCELLED
from .jobtable import Claim, JobTable
from .metrics import Metrics
from .runner import Event, Lost, Runner, Stopped
from .settings import ServerSettings
from .store import Store

log = logging.getLogger("neckfrac.server")

PAUSE = 0.5  # seconds between two looks at an empty queue; an upload of this server wakes it at once
LONG_PAUSE = 5.0  # after an error of the database or the disk

TOO_LONG = {
    "kind": "internal",
    "what": "The analysis took longer than a study may.",
    "where": "",
    "advice": "Send the cervical series alone, or ask for more time or a faster machine.",
}
MISSING = {
    "kind": "missing",
    "what": "The server lacks a package that the analysis needs.",
    "where": "",
    "advice": "Ask whoever runs the service to install it anew.",
}


class Dispatcher:
    """One thread a runner, each with one job at a time; and one that closes series that are quiet."""

    def __init__(
        self,
        table: JobTable,
        store: Store,
        settings: ServerSettings,
        new_runner: Callable[[], Runner],
        metrics: Metrics | None = None,
    ) -> None:
        self.table, self.store, self.settings, self.metrics = table, store, settings, metrics or Metrics()
        self._new_runner = new_runner
        self._stopping, self._news = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self._runners: list[Runner] = []

    def start(self) -> None:
        """Take up what an earlier run of this server left, then work until `stop`."""
        for identifier in self.table.recover():
            self.store.remove(identifier)
        self._remove_cancelled()
        for number in range(self.settings.workers):
            runner = self._new_runner()
            self._runners.append(runner)
            self._threads.append(threading.Thread(target=self._serve, args=(runner,), name=f"jobs {number}"))
        self._threads.append(threading.Thread(target=self._close_series, name="series"))
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def stop(self) -> None:
        """End the runners; what they were at goes back into the queue."""
        self._stopping.set()
        self._news.set()
        for thread in self._threads:
            thread.join(30.0)

    def wake(self) -> None:
        """There is something new in the queue."""
        self._news.set()

    def alive(self) -> bool:
        return bool(self._threads) and all(thread.is_alive() for thread in self._threads)

    def _serve(self, runner: Runner) -> None:
        try:
            runner.warm(self._worker_options({}))
            while not self._stopping.is_set():
                try:
                    claim = self.table.claim()
                    if claim is not None:
                        self._do(claim, runner)
                        continue
                except Exception as error:  # the database or the disk, not the study: it is tried again later
                    log.error("A job could not be taken or recorded (%s).", type(error).__name__)
                    self._stopping.wait(LONG_PAUSE)
                self._news.wait(PAUSE)
                self._news.clear()
        finally:
            runner.close()

    def _do(self, claim: Claim, runner: Runner) -> None:
        scratch = self.store.new_scratch(f"{claim.id}-{claim.attempt}")
        began = time.monotonic()
        deadline = began + self.settings.limits.study_seconds

        def tick(stage: str, fraction: float) -> bool:
            if self._stopping.is_set() or time.monotonic() > deadline:
                return False
            return self.table.renew(claim, stage, fraction)

        try:
            event = runner.run(self._request(claim, scratch), tick)
            outcome = self._record(claim, event, scratch)
        except Lost:
            outcome = "lost"
            self.table.give_back(claim, fault=True)
        except Stopped:
            late = time.monotonic() > deadline
            outcome = "too long" if late else "stopped"
            if late:
                self.table.fail(claim, TOO_LONG)
            elif self._stopping.is_set():
                self.table.give_back(claim, fault=False)
        except BaseException:
            self.table.give_back(claim, fault=True)
            raise
        finally:
            self.store.remove_scratch(scratch)
        self._forget_cancelled(claim.id)
        self.metrics.job_ended(outcome, time.monotonic() - began)
        log.info("Job %s, attempt %d: %s.", claim.id, claim.attempt, outcome)

    def _request(self, claim: Claim, scratch: Path) -> dict[str, Any]:
        temporary = scratch / "tmp"
        temporary.mkdir()
        chosen = claim.options
        return {
            "command": "study",
            "upload": str(self.store.upload(claim.explains or claim.id)),
            "folder": str(scratch / "result"),
            "scratch": str(temporary),
            "name": f"study {(claim.explains or claim.id)[:8]}",
            "series": chosen.get("series"),
            "capture": bool(self.settings.pacs and self.settings.pacs.capture and not claim.explains),
            "options": self._worker_options(chosen),
        }

    def _worker_options(self, chosen: dict[str, Any]) -> dict[str, Any]:
        settings = self.settings
        fixed = {"device": settings.device, "threads": settings.threads}
        if settings.models:
            fixed["models_dir"] = str(settings.models)
        return {**{key: value for key, value in chosen.items() if key != "series"}, **fixed}

    def _record(self, claim: Claim, event: Event, scratch: Path) -> str:
        """Write down how the job ended; in a word."""
        if event["event"] == "done":
            result = scratch / "result"
            deliver = self.settings.pacs is not None and not claim.explains and (result / "report.dcm").is_file()
            name = self.store.keep_result(result, claim.id, claim.attempt)
            kept = self.table.finish(claim, name, event.get("summary") or {}, deliver)
            for other in self.store.results_of(claim.id):
                if (other != name) == kept:  # those of earlier attempts; or ours, when it came too late
                    shutil.rmtree(self.store.result(claim.id, other), ignore_errors=True)
            return "done" if kept else "stopped"
        kind = event.get("kind", "internal")
        where = str(event.get("where") or "")
        if kind == "missing":
            self.table.fail(claim, MISSING)
        elif kind == "input" and not where.startswith(str(scratch)):
            self.table.fail(claim, self._problem(claim, event, scratch))
        else:  # a full disk is no fault of the study either
            self.table.give_back(claim, fault=True)
            log.warning("Job %s, attempt %d: %s %s.", claim.id, claim.attempt, kind, _word(event.get("type")))
        return kind

    def _problem(self, claim: Claim, event: Event, scratch: Path) -> dict[str, Any]:
        upload = self.store.upload(claim.explains or claim.id)
        said = {key: str(event.get(key) or "") for key in ("what", "advice")}
        if not said["what"]:
            said["what"] = "The study can't be analysed."
        for key, text in said.items():
            for folder in (scratch, upload, self.store.data):
                text = text.replace(f"{folder}/", "").replace(str(folder), "the upload")
            said[key] = text
        return {"kind": "input", **said, "where": place_in_upload(upload, str(event.get("where") or ""))}

    def _close_series(self) -> None:
        while not self._stopping.wait(1.0):
            try:
                if self.table.close_quiet_series():
                    self.wake()
            except Exception as error:
                log.error("Series could not be closed (%s).", type(error).__name__)
                self._stopping.wait(LONG_PAUSE)

    def _forget_cancelled(self, identifier: str) -> None:
        row = self.table.get(identifier)
        if row is None or row["state"] == CANCELLED:
            self.store.remove(identifier)

    def _remove_cancelled(self) -> None:
        """What a server that was killed right after a cancellation left."""
        for row in self.table.studies(limit=1_000_000, offset=0, state=CANCELLED):
            self.store.remove(row["id"])


def place_in_upload(upload: Path, where: str) -> str:
    """ "file 12 of 340" for a path below the upload: the client knows the names, which may be a patient's."""
    parts = Path(where).parts[len(upload.parts) :] if where.startswith(f"{upload}/") else ()
    number = re.match(r"(\d+)", parts[0]) if parts else None
    if number is None:
        return ""
    place = f"file {int(number[1])} of {sum(1 for _ in upload.iterdir())}"
    if len(parts) > 1:
        try:
            with zipfile.ZipFile(upload / parts[0]) as archive:
                members = [name for name in archive.namelist() if not name.endswith("/")]
            place += f", member {members.index('/'.join(parts[1:])) + 1} of {len(members)} of the zip"
        except (OSError, ValueError, zipfile.BadZipFile):
            pass
    return place


def _word(text: Any) -> str:
    """A class' name; nothing else of a foreign error is logged."""
    return text if isinstance(text, str) and re.fullmatch(r"\w{1,60}", text) else ""
