"""The near end of the worker process: starts it, writes requests, collects events. Knows no scene and no Qt."""

import json
import logging
import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque

EXITED, READY = "exited", "ready"
SECONDS_OF_LAUNCHER = 1.0  # until it has seen that its child ended
SECONDS_TO_END = 5.0  # for a killed process, or one that has but started and learns that its stdin was closed


class WorkerClient:
    """One worker process, started when first needed and again after it has ended.

    In Slicer the command is a launcher, which starts the worker as its child and waits for it. Killing the launcher
    would leave the worker running; so the process that is killed is the one that said `ready`.

    command: what to run. environment: variables added to this process' own.
    """

    def __init__(self, command, environment=None):
        self._command = list(command)
        self._environment = dict(environment or {})
        self._process = None
        self._readers = []
        self._events = queue.Queue()
        self._pid = None
        self.lastMessages = deque(maxlen=40)

    @property
    def pid(self):
        """The running worker's own process id, which it tells once it is ready; None before and after."""
        return self._pid if self.isRunning else None

    @property
    def isRunning(self):
        return self._process is not None and self._process.poll() is None

    @property
    def hasFailed(self):
        """Whether the last messages hold a Python error: then the process did not just vanish."""
        return any(line.startswith("Traceback (most recent call last)") for line in self.lastMessages)

    def start(self):
        """Start the process unless it runs; OSError if that fails."""
        if self.isRunning:
            return
        self.stop(0)
        # No console window on top of Slicer; elsewhere a group of its own, so that a launcher's child can be reached.
        own = {"creationflags": subprocess.CREATE_NO_WINDOW} if os.name == "nt" else {"start_new_session": True}
        self._pid = None
        self.lastMessages.clear()
        self._process = process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUTF8": "1", **self._environment},
            encoding="utf-8",
            errors="replace",
            **own,
        )
        # A queue of its own for each process: a dead one's last words must not reach the next one's reader.
        self._events = events = queue.Queue()
        messages = threading.Thread(target=self._readMessages, args=(process,), daemon=True)
        replies = threading.Thread(target=self._readEvents, args=(process, events, messages), daemon=True)
        self._readers = [messages, replies]
        for thread in self._readers:
            thread.start()

    def forgetMessages(self):
        """What was said so far belongs to jobs that have ended."""
        self.lastMessages.clear()

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
        """End the process: its stdin closes, and after `timeout` seconds it is killed. Waits until it has ended.

        Whether it has; False only when the system lets nobody kill it.
        """
        process, self._process = self._process, None
        if process is None:
            return True
        try:
            process.stdin.close()
        except OSError:
            logging.debug("NeckFrac's worker had closed its stdin.")
        ended = self._waitForEnd(timeout)
        if not ended:
            ended = self._kill(process)
        try:
            process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            ended = False
        if not ended:
            logging.error("NeckFrac's worker could not be ended.")
        return ended

    def _waitForEnd(self, seconds):
        """Whether launcher and worker end within so many seconds: both hold the pipes open as long as they live."""
        deadline = time.monotonic() + seconds
        for thread in self._readers:
            thread.join(max(deadline - time.monotonic(), 0.0))
        return not any(thread.is_alive() for thread in self._readers)

    def _kill(self, process):
        """Kill the worker, known by what it told; then, if need be, what started it. Whether both have ended."""
        how = signal.SIGTERM if os.name == "nt" else signal.SIGKILL  # on Windows, that one ends a process at once
        steps = [(os.kill, self._pid, SECONDS_OF_LAUNCHER)] if self._pid else []
        # The group has the worker in it before it was ready, too; Windows has none: there, its closed stdin ends it.
        steps.append((os.kill if os.name == "nt" else os.killpg, process.pid, SECONDS_TO_END))
        for kill, target, seconds in steps:
            try:
                kill(target, how)
            except OSError:
                logging.debug("NeckFrac's worker had ended.")
            if self._waitForEnd(seconds):
                return True
        return False

    def _readEvents(self, process, events, messages):
        with process.stdout:
            for line in process.stdout:
                try:
                    event = json.loads(line)
                except ValueError:
                    logging.warning("NeckFrac's worker wrote a line that is no event.")
                    continue
                if event.get("event") == READY and process is self._process:
                    self._pid = event.get("pid")
                events.put(event)
        # Its last messages first: they tell a Python error from a process that the system has ended.
        messages.join(SECONDS_TO_END)
        events.put({"event": EXITED, "status": process.wait()})

    def _readMessages(self, process):
        # Read to the end, or the worker would block once the pipe is full.
        with process.stderr:
            for line in process.stderr:
                self.lastMessages.append(line.rstrip())
                logging.debug("NeckFrac worker: %s", line.rstrip())
