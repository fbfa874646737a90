"""The near end of the worker process: starts it, writes requests, collects events. Knows no scene and no Qt."""

import json
import logging
import os
import queue
import subprocess
import threading
import time
from collections import deque

EXITED = "exited"


class WorkerClient:
    """One worker process, started when first needed and again after it has ended.

    command: what to run. environment: variables added to this process' own.
    """

    def __init__(self, command, environment=None):
        self._command = list(command)
        self._environment = dict(environment or {})
        self._process = None
        self._events = queue.Queue()
        self.lastMessages = deque(maxlen=40)

    @property
    def pid(self):
        """The running worker's process id, or None."""
        return self._process.pid if self.isRunning else None

    @property
    def isRunning(self):
        return self._process is not None and self._process.poll() is None

    def start(self):
        """Start the process unless it runs; OSError if that fails."""
        if self.isRunning:
            return
        self.stop(0)
        options = {}
        if os.name == "nt":
            # No console window on top of Slicer.
            options["creationflags"] = subprocess.CREATE_NO_WINDOW
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUTF8": "1", **self._environment},
            encoding="utf-8",
            errors="replace",
            **options,
        )
        # A queue of its own for each process: a dead one's last words must not reach the next one's reader.
        self._events = queue.Queue()
        for target in (self._readEvents, self._readMessages):
            threading.Thread(target=target, args=(self._process, self._events), daemon=True).start()

    def send(self, request):
        """Write one request; a worker that has just died is reported by its `exited` event, not here."""
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError, AttributeError):
            logging.debug("NeckFrac's worker does not listen.")

    def events(self, timeout=0.0):
        """The events that have arrived; waits up to `timeout` seconds for the first one."""
        arrived = []
        try:
            arrived.append(self._events.get(timeout=timeout) if timeout > 0 else self._events.get_nowait())
            while True:
                arrived.append(self._events.get_nowait())
        except queue.Empty:
            return arrived

    def stop(self, timeout=1.0):
        """End the process: its stdin closes, and after `timeout` seconds it is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.stdin.close()
        except OSError:
            logging.debug("NeckFrac's worker had closed its stdin.")
        deadline = time.monotonic() + timeout
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if process.poll() is None:
            process.kill()
        process.wait()

    @staticmethod
    def _readEvents(process, events):
        with process.stdout:
            for line in process.stdout:
                try:
                    events.put(json.loads(line))
                except ValueError:
                    logging.warning("NeckFrac's worker wrote a line that is no event.")
        events.put({"event": EXITED, "status": process.wait()})

    def _readMessages(self, process, events):
        # Read to the end, or the worker would block once the pipe is full.
        with process.stderr:
            for line in process.stderr:
                self.lastMessages.append(line.rstrip())
                logging.debug("NeckFrac worker: %s", line.rstrip())
