"""One worker process, kept alive: requests in, events out; a job ends once, whatever happens to the process."""

from __future__ import annotations

import json
import logging
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

log = logging.getLogger("neckfrac.server")

SECONDS_TO_CANCEL = 5.0
TICK = 0.5
Event = dict[str, Any]


class Lost(Exception):
    """The worker ended in the middle of a job."""


class Stopped(Exception):
    """The job was not wanted any more and was stopped."""


class Runner(Protocol):
    """What runs one job at a time, here or on another machine."""

    def run(self, request: dict[str, Any], tick: Callable[[str, float], bool]) -> Event:
        """Do the job and return its last event, ``done`` or ``error``.

        tick(stage, fraction): called at least every second; False stops the job. Raises Lost when the worker ended,
        Stopped when tick said so.
        """
        ...

    def warm(self, options: dict[str, Any]) -> None:
        """Load the networks, now or with the first job."""
        ...

    def close(self) -> None: ...


class ProcessRunner:
    """A local process that speaks the protocol of `neckfrac.worker`; started when it is needed, again when it ended."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._process: subprocess.Popen[str] | None = None
        self._events: queue.Queue[Event | None] = queue.Queue()
        self._number = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def warm(self, options: dict[str, Any]) -> None:
        """Load the networks while no job waits."""
        try:
            event = self.run({"command": "warm", "options": options}, lambda stage, fraction: True)
        except Lost:
            log.warning("The worker ended while it loaded the networks.")
            return
        if event["event"] == "error":
            log.warning("The networks could not be loaded (%s).", event.get("kind"))

    def run(self, request: dict[str, Any], tick: Callable[[str, float], bool]) -> Event:
        self._start()
        self._number += 1
        identifier = self._number
        self._send({"id": identifier, **request})
        stage, fraction, ticked = "", 0.0, 0.0
        while True:
            try:
                event = self._events.get(timeout=TICK)
            except queue.Empty:
                event = {}
            if event is None:
                self._process = None
                raise Lost
            if event.get("id") == identifier:  # a late event of an earlier job is no news of this one
                if event["event"] in ("done", "error"):
                    return event
                if event["event"] == "progress":
                    stage, fraction = event["stage"], event["fraction"]
            now = time.monotonic()
            if now - ticked >= TICK:
                ticked = now
                if not tick(stage, fraction):
                    self._cancel(identifier)
                    raise Stopped

    def close(self) -> None:
        """End the process; a running job is cancelled, and killed when it does not listen."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.stdin.close()
            process.wait(SECONDS_TO_CANCEL)
        except (OSError, subprocess.TimeoutExpired):
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End the process at once."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _start(self) -> None:
        if self.pid is not None:
            return
        engine = str(Path(__file__).resolve().parents[2])  # the same code as this process runs
        path = os.pathsep.join(filter(None, [engine, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a traceback may hold a patient's name
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl+C in a terminal is the server's to handle
        )
        self._events = queue.Queue()
        threading.Thread(
            target=_read, args=(self._process, self._events), name=f"worker {self._process.pid}", daemon=True
        ).start()

    def _send(self, request: dict[str, Any]) -> None:
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            self.kill()
            raise Lost from error

    def _cancel(self, identifier: int) -> None:
        """Ask it to stop and wait for the answer; a worker that does not give one is killed."""
        try:
            self._send({"command": "cancel", "id": identifier})
        except Lost:
            return
        deadline = time.monotonic() + SECONDS_TO_CANCEL
        while (left := deadline - time.monotonic()) > 0:
            try:
                event = self._events.get(timeout=left)
            except queue.Empty:
                break
            if event is None:
                self._process = None
                return
            if event.get("id") == identifier and event["event"] in ("done", "error"):
                return
        self.kill()


def _read(process: subprocess.Popen[str], events: queue.Queue[Event | None]) -> None:
    """Pass on the process' events; None at its end."""
    for line in process.stdout:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            events.put(event)
    process.wait()
    events.put(None)
