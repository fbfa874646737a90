"""One long-lived process with warm networks, spoken to in JSON lines: ``python -m neckfrac.worker``.

A request is one line on stdin, an event one line on stdout; everything else that is printed goes to stderr.

Requests::

    {"id": 1, "command": "analyze", ...}    one of `jobs.JOBS`, whose docstrings say what else it takes
    {"command": "cancel", "id": 1}          handled at once, also while a job runs
    {"id": 2, "command": "ping"}
    {"command": "idle", "seconds": 900}     how long to wait for the next request; null, and at first: for ever
    {"command": "exit"}                     as when stdin closes: the running job is cancelled

Events: ``ready`` (once, with the process id: what started it may be a launcher), ``progress`` (stage, fraction),
``done`` (seconds, and what the job tells), ``pong`` and ``error`` (message, kind); a job may tell others. Kinds:
input, cancelled, memory, missing (a package), protocol, internal.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from typing import IO, Any

from . import __version__
from .errors import Cancelled, NeckFracError
from .jobs import JOBS, EngineLike, JobContext
from .options import AnalysisOptions
from .progress import Progress
from .warm_engine import WarmEngine, load_engine
from .workspace import remove_unfinished

log = logging.getLogger("neckfrac.worker")

# A step that does not ask whether it was cancelled must not keep the process alive once nobody listens.
SECONDS_TO_END = 3.0
SECONDS_BETWEEN_PROGRESS, LEAP = 0.05, 0.02
SECONDS_BETWEEN_LOOKS = 1.0  # at how long nothing was asked

EngineFactory = Callable[[AnalysisOptions], EngineLike]


def error_kind(error: BaseException) -> str:
    """The protocol's word for an error."""
    if isinstance(error, Cancelled):
        return "cancelled"
    if isinstance(error, NeckFracError):
        return "input"
    # torch's class is known by its name: importing torch only to recognise its error would be slow.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "memory"
    return "missing" if isinstance(error, ImportError) else "internal"


def error_parts(error: BaseException) -> dict[str, str]:
    """A known error's what, where and advice apart; of another one only the name of its class."""
    if isinstance(error, NeckFracError):
        return {"what": error.what, "where": error.where or "", "advice": error.advice}
    return {"type": type(error).__name__}


class Worker:
    """Reads requests on a thread, does the jobs on the calling thread, one after the other."""

    def __init__(self, requests: Iterable[str], replies: IO[str], engine_factory: EngineFactory = load_engine):
        self._requests, self._replies, self._warm_engine = requests, replies, WarmEngine(engine_factory)
        self._write_lock = threading.Lock()
        self._jobs: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._cancelled: dict[Any, threading.Event] = {}
        self._idle_seconds: float | None = None

    def run(self) -> int:
        """Serve until ``exit``, until stdin closes or until nothing was asked for long; the exit status."""
        self._send({"event": "ready", "version": __version__, "pid": os.getpid()})
        threading.Thread(target=self._read, name="requests", daemon=True).start()
        while (job := self._next()) is not None:
            self._answer(job)
        return 0

    def _next(self) -> dict[str, Any] | None:
        """The next job; None when it is time to end. A request that comes just then is lost: ask again."""
        began = time.monotonic()
        while True:
            try:
                return self._jobs.get(timeout=SECONDS_BETWEEN_LOOKS)
            except queue.Empty:
                if self._idle_seconds is not None and time.monotonic() - began > self._idle_seconds:
                    log.info("Nothing was asked for %g s.", self._idle_seconds)
                    return None

    def _send(self, event: dict[str, Any]) -> None:
        # Nobody listening is no error of its own: stdin closes then, too, and ends the process.
        with self._write_lock:
            try:
                self._replies.write(json.dumps(event) + "\n")
                self._replies.flush()
            except (OSError, ValueError):
                log.debug("Nobody reads the replies.")

    def _read(self) -> None:
        """On a thread of its own, so that a cancellation is seen while an analysis runs."""
        for line in self._requests:
            if not line.strip():
                continue
            try:
                request = json.loads(line)
                command = request["command"]
            except (ValueError, KeyError, TypeError):
                self._fail(None, "A request is one JSON object with a command in one line.", "protocol")
                continue
            if command == "exit":
                break
            self._accept(command, request)
        for flag in list(self._cancelled.values()):
            flag.set()
        self._jobs.put(None)
        threading.Thread(target=self._end_deaf_job, name="end", daemon=True).start()

    def _accept(self, command: str, request: dict[str, Any]) -> None:
        identifier = request.get("id")
        if command == "idle":
            seconds = request.get("seconds")
            if seconds is None or (isinstance(seconds, int | float) and seconds >= 0):
                self._idle_seconds = seconds
            else:
                self._fail(identifier, "The idle time is a number of seconds, or null.", "protocol")
        elif command == "ping":
            self._send({"id": identifier, "event": "pong"})
        elif command == "cancel":
            flag = self._cancelled.get(identifier)
            if flag is None:
                self._fail(identifier, "There is no such analysis to cancel.", "protocol")
            else:
                flag.set()
        elif command in JOBS:
            absent = [key for key in ("id", *JOBS[command].needs) if request.get(key) is None]
            if absent or identifier in self._cancelled:
                reason = f"The request lacks {', '.join(absent)}." if absent else "That id is running already."
                self._fail(identifier, reason, "protocol")
            else:
                self._cancelled[identifier] = threading.Event()
                self._jobs.put(request)
        else:
            self._fail(identifier, f"There is no command {command!r}.", "protocol")

    def _end_deaf_job(self) -> None:
        time.sleep(SECONDS_TO_END)
        remove_unfinished()
        os._exit(0)

    def _answer(self, request: dict[str, Any]) -> None:
        identifier, began = request["id"], time.perf_counter()
        flag = self._cancelled[identifier]
        try:
            progress = Progress(self._reporter(identifier), flag.is_set)
            progress.step(0.0)
            context = JobContext(progress, self._warm_engine, lambda event: self._send({"id": identifier, **event}))
            told = JOBS[request["command"]].run(request, context)
            seconds = round(time.perf_counter() - began, 3)
            self._send({"id": identifier, "event": "done", **(told or {}), "seconds": seconds})
        except Exception as error:
            kind = error_kind(error)
            if kind not in ("cancelled", "input"):
                traceback.print_exc(file=sys.stderr)
            message = str(error) if kind in ("cancelled", "input") else f"{type(error).__name__}: {error}"
            self._fail(identifier, message, kind, error_parts(error))
            if kind == "memory":
                self._warm_engine.forget()
        finally:
            self._cancelled.pop(identifier, None)

    def _reporter(self, identifier: Any) -> Callable[[str, float], None]:
        last: list[Any] = ["", 0.0, 0.0]

        def report(stage: str, fraction: float) -> None:
            now = time.monotonic()
            # A leap is told at once: the step after it may take long.
            leap = fraction - last[2] >= LEAP or fraction >= 1
            if stage != last[0] or leap or now - last[1] >= SECONDS_BETWEEN_PROGRESS:
                last[:] = stage, now, fraction
                event = {"id": identifier, "event": "progress", "stage": stage}
                self._send({**event, "fraction": round(float(fraction), 4)})

        return report

    def _fail(self, identifier: Any, message: str, kind: str, parts: dict[str, str] | None = None) -> None:
        self._send({"id": identifier, "event": "error", "message": message, "kind": kind, **(parts or {})})


def reserve_stdout() -> IO[str]:
    """The process' stdout for the protocol alone; from here on, file descriptor 1 is stderr's, for C code too."""
    sys.stdout.flush()
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return replies


def main(engine_factory: EngineFactory = load_engine) -> int:
    """Serve stdin and stdout."""
    replies = reserve_stdout()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8", errors="replace")
    return Worker(requests, replies, engine_factory).run()


if __name__ == "__main__":
    sys.exit(main())
