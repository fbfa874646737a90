"""One job of the worker process at a time: from its request to its end, however that comes. Knows no panel."""

import logging
import os
import shutil
import tempfile
import time

import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from .engine_path import enginePath, ensureEngine, pythonExecutable
from .worker_client import EXITED, WorkerClient

# A network's step that does not ask whether it was cancelled is not waited for: the worker is killed instead.
SECONDS_TO_CANCEL = 0.7
POLL_MILLISECONDS = 50


class JobError(RuntimeError):
    """A job without a result. kind: the worker's word (input, cancelled, memory, missing, internal),
    `stopped` when its process ended, or `scene` when the result could not be put into the scene."""

    def __init__(self, message, kind):
        super().__init__(message)
        self.kind = kind


class JobRun:
    """One job. folder: of its own, removed at its end. answer: the worker's `done` event. error: JobError or None.

    outlivesScene: whether it goes on when the scene is closed; else it is stopped then.
    """

    outlivesScene = False

    def __init__(self, identifier, command, folder, onDone, onProgress, onEvent, onFinished):
        self.identifier, self.command, self.folder = identifier, command, folder
        self.onDone, self.onProgress, self.onEvent, self.onFinished = onDone, onProgress, onEvent, onFinished
        self.cancelledAt = None
        self.finished = False
        self.answer = self.error = None


class LastingRun(JobRun):
    """It has all that it needs and writes to a folder only: it goes on when the scene is closed."""

    outlivesScene = True


class JobRunner(VTKObservationMixin):
    """Runs jobs in a worker that is kept warm. workerCommand: what runs the engine; tests inject another."""

    def __init__(self, workerCommand=None):
        VTKObservationMixin.__init__(self)
        self._workerCommand = workerCommand
        self._client = None
        self._run = None
        self._runs = 0
        self._timer = None
        self._questions = {}

    @property
    def isRunning(self):
        return self._run is not None

    @property
    def command(self):
        """The running job's command, None when nothing runs."""
        return self._run.command if self._run else None

    @property
    def workerPid(self):
        """The worker's process id, None when there is none."""
        return self._client.pid if self._client else None

    def start(self, command, arguments, onDone=None, onProgress=None, onEvent=None, onFinished=None, run=JobRun):
        """Start a job; its run, which `wait` or the application's own loop (`follow`) brings to its end.

        arguments(folder) gives what the request holds beside id and command; it may write files to the folder.
        onDone(run) takes the result in, before the folder goes; what it raises becomes the run's error.
        onProgress(stage, fraction), onEvent(event) for events of the job's own and onFinished(run) are called on
        the main thread. Raises RuntimeError when a job runs already.
        """
        if self._run:
            raise RuntimeError(_("Something is running already; wait for it or cancel it."))
        self._needClient()
        self._runs += 1
        folder = tempfile.mkdtemp(prefix="neckfrac-", dir=slicer.app.temporaryPath)
        try:
            request = {"id": self._runs, "command": command, **arguments(folder)}
            self._client.start()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._run = run(self._runs, command, folder, onDone, onProgress, onEvent, onFinished)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self._onSceneStartClose)
        self._client.send(request)
        return self._run

    def ask(self, question, onAnswer):
        """Put a short question to the worker, beside the jobs; onAnswer(event), `done` or `error`, comes later.

        Without an answer when the process ends before.
        """
        self._needClient()
        self._client.start()
        self._runs += 1
        self._questions[self._runs] = onAnswer
        self._client.send({"id": self._runs, "command": question})
        self.follow()

    def _needClient(self):
        ensureEngine()
        if self._client is None:
            program = self._workerCommand or [pythonExecutable(), "-m", "neckfrac.worker"]
            paths = [str(enginePath()), os.environ.get("PYTHONPATH", "")]
            self._client = WorkerClient(program, {"PYTHONPATH": os.pathsep.join(filter(None, paths))})

    def wait(self, run):
        """Keep the application alive until the run has ended. Raises its JobError."""
        try:
            while not run.finished:
                self.poll(POLL_MILLISECONDS / 1000)
                slicer.app.processEvents()
        except BaseException:
            self.abandon()
            raise
        if run.error:
            raise run.error

    def follow(self):
        """Let the application's own loop bring the running job to its end."""
        import qt

        if self._timer:
            return
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.connect("timeout()", self.poll)
        self._timer.start()

    def cancel(self):
        """Ask the running job to stop; it ends within a second, the scene stays as it was."""
        if self._run and self._run.cancelledAt is None:
            self._run.cancelledAt = time.monotonic()
            self._client.send({"command": "cancel", "id": self._run.identifier})

    def abandon(self):
        """Stop the running job before this returns."""
        run = self._run
        self.cancel()
        while run and not run.finished:
            self.poll(0.02)

    def close(self):
        """Stop everything: the job, the worker, the timer."""
        self.abandon()
        self._questions.clear()
        self._stopTimer()
        if self._client:
            self._client.stop()

    def poll(self, timeout=0.0):
        """Handle what the worker has said, waiting up to `timeout` seconds for it."""
        run = self._run
        if run is None and not self._questions:
            self._stopTimer()
            return
        for event in self._client.events(timeout):
            if event["event"] == EXITED:
                self._questions.clear()
            if event["event"] in ("done", "error") and event.get("id") in self._questions:
                self._questions.pop(event["id"])(event)
            elif run is None or run.finished:
                continue
            elif event["event"] == EXITED:
                self._finish(run, JobError(self._wordsOnExit(event["status"]), "stopped"))
            elif event.get("id") == run.identifier:
                self._handle(run, event)
        if run and not run.finished and run.cancelledAt and time.monotonic() - run.cancelledAt > SECONDS_TO_CANCEL:
            self._client.stop(0)
            self._questions.clear()
            self._finish(run, JobError(_("Cancelled."), "cancelled"))

    def _handle(self, run, event):
        if event["event"] == "progress":
            if run.onProgress and not run.cancelledAt:
                run.onProgress(event["stage"], event["fraction"])
        elif event["event"] == "error":
            self._finish(run, JobError(event["message"], event["kind"]))
        elif event["event"] == "done":
            run.answer = event
            self._finish(run, self._takeIn(run))
        elif run.onEvent and not run.cancelledAt:
            run.onEvent(event)

    def _takeIn(self, run):
        """The JobError of a run whose result could not be used; None when all is well."""
        if run.cancelledAt:
            return JobError(_("Cancelled."), "cancelled")
        try:
            if run.onDone:
                run.onDone(run)
        except JobError as error:
            return error
        except Exception as error:
            logging.exception("NeckFrac could not take a result in.")
            return JobError(_("The result could not be put into the scene: {reason}").format(reason=error), "scene")
        return None

    def _finish(self, run, error):
        run.error, run.finished, self._run = error, True, None
        self._stopTimer()
        self.removeObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self._onSceneStartClose)
        shutil.rmtree(run.folder, ignore_errors=True)
        if run.onFinished:
            run.onFinished(run)

    def _onSceneStartClose(self, caller=None, event=None):
        if self._run and not self._run.outlivesScene:
            self.abandon()

    def _wordsOnExit(self, status):
        for line in self._client.lastMessages:
            logging.error("NeckFrac worker: %s", line)
        if status in (-9, 137):
            return _("The process that runs the networks was stopped by the system, probably for lack of memory.")
        message = _("The process that runs the networks stopped unexpectedly (status {status}).")
        return message.format(status=status)

    def _stopTimer(self):
        if self._timer:
            self._timer.stop()
            self._timer = None
