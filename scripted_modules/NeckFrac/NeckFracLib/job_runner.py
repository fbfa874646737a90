"""One job of the worker process at a time: from its request to its end, however that comes. Knows no panel."""

import logging
import os
import shutil
import tempfile
import time
from pathlib import Path

import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from .engine_path import enginePath, ensureEngine, pythonExecutable
from .worker_client import EXITED, WorkerClient

# A network's step that does not ask whether it was cancelled is not waited for: the worker is killed instead.
SECONDS_TO_CANCEL = 0.7
POLL_MILLISECONDS = 50
SECONDS_TO_REMOVE = 2.0  # the files of a job: on Windows a file can't be removed before its last reader is gone
KILLED = (-9, 137)  # exit status of a process that the system has killed, and as a shell tells it
CRASHED = 1  # of a launcher whose child crashed or was killed
IDLE_MINUTES = 15  # after which the worker ends by itself, until `setIdleMinutes` says otherwise


class JobError(RuntimeError):
    """A job without a result. kind: the worker's word (input, cancelled, memory, missing, internal); `memory`, too,
    when its process was ended as the system does for lack of it; `stopped` when it ended otherwise, or `scene` when
    the result could not be put into the scene."""

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
        self.request, self.heard = None, False  # heard: the worker has said something of it
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
        self._idleMinutes = IDLE_MINUTES
        self._leftFolders = []

    @property
    def isRunning(self):
        return self._run is not None

    @property
    def command(self):
        """The running job's command, None when nothing runs."""
        return self._run.command if self._run else None

    @property
    def workerPid(self):
        """The worker's own process id; None when there is none, or none that is ready."""
        return self._client.pid if self._client else None

    @property
    def hasWorker(self):
        """Whether the worker's process is there, ready or not."""
        return self._client is not None and self._client.isRunning

    def setIdleMinutes(self, minutes):
        """How long the worker is kept when nothing runs; the next job starts another. 0: for ever."""
        if minutes != self._idleMinutes:
            self._idleMinutes = minutes
            if self.hasWorker:
                self._sendIdleTime()

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
            self._startWorker()
        except BaseException:
            self._removeFolder(folder)
            raise
        self._run = run(self._runs, command, folder, onDone, onProgress, onEvent, onFinished)
        self._run.request = request
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self._onSceneStartClose)
        self._client.forgetMessages()
        self._client.send(request)
        return self._run

    def ask(self, question, onAnswer, onNone=None):
        """Put a short question to the worker, beside the jobs; onAnswer(event), `done` or `error`, comes later.

        onNone(): the process has ended without an answer.
        """
        self._needClient()
        self._startWorker()
        self._runs += 1
        self._questions[self._runs] = (onAnswer, onNone)
        self._client.send({"id": self._runs, "command": question})
        self.follow()

    def _needClient(self):
        ensureEngine()
        if self._client is None:
            program = self._workerCommand or [pythonExecutable(), "-m", "neckfrac.worker"]
            paths = [str(enginePath()), os.environ.get("PYTHONPATH", "")]
            self._client = WorkerClient(program, {"PYTHONPATH": os.pathsep.join(filter(None, paths))})

    def _startWorker(self):
        """Make sure that the worker's process is there; it may have ended by itself."""
        if not self._client.isRunning:
            self._client.start()
            self._sendIdleTime()

    def _sendIdleTime(self):
        self._client.send({"command": "idle", "seconds": 60 * self._idleMinutes if self._idleMinutes else None})

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

        if self._timer is None:  # one for good: a timer must not be dropped within its own time-out
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
        self._dropQuestions()
        self._stopTimer()
        if self._client:
            self._client.stop()
        for folder in self._leftFolders:
            shutil.rmtree(folder, ignore_errors=True)
        self._leftFolders = [folder for folder in self._leftFolders if Path(folder).exists()]

    def poll(self, timeout=0.0):
        """Handle what the worker has said, waiting up to `timeout` seconds for it."""
        run = self._run
        if run is None and not self._questions:
            self._stopTimer()
            return
        for event in self._client.events(timeout):
            if event["event"] == EXITED:
                self._dropQuestions()
            if event["event"] in ("done", "error") and event.get("id") in self._questions:
                self._questions.pop(event["id"])[0](event)
            elif run is None or run.finished:
                continue
            elif event["event"] == EXITED and event["status"] == 0 and not run.heard:
                self._sendAgain(run)
                return
            elif event["event"] == EXITED:
                self._finish(run, self._errorOnExit(event["status"]))
            elif event.get("id") == run.identifier:
                run.heard = True
                self._handle(run, event)
        if run and not run.finished and run.cancelledAt and time.monotonic() - run.cancelledAt > SECONDS_TO_CANCEL:
            self._client.stop(0)
            self._dropQuestions()
            self._finish(run, JobError(_("Cancelled."), "cancelled"))

    def _dropQuestions(self):
        """Nobody will answer what was asked of a process that has ended."""
        questions, self._questions = self._questions, {}
        for _onAnswer, onNone in questions.values():
            if onNone:
                onNone()

    def _sendAgain(self, run):
        """The worker was just ending for having nothing to do, and has not read the request: start another."""
        run.heard = True  # once only
        try:
            self._startWorker()
        except OSError as error:
            self._finish(run, JobError(str(error), "stopped"))
        else:
            self._client.send(run.request)

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
            return error.with_traceback(None)  # which would keep the result's files open
        except Exception as error:
            logging.exception("NeckFrac could not take a result in.")
            return JobError(_("The result could not be put into the scene: {reason}").format(reason=error), "scene")
        return None

    def _finish(self, run, error):
        run.error, run.finished, self._run = error, True, None
        self._stopTimer()
        self.removeObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self._onSceneStartClose)
        left = not self._removeFolder(run.folder)
        if run.onFinished:
            run.onFinished(run)
        if left:
            message = _("Files of the patient could not be removed; please delete this folder:\n{folder}")
            slicer.util.errorDisplay(message.format(folder=run.folder), windowTitle=_("NeckFrac"))

    def _removeFolder(self, folder):
        """Remove a job's folder, which holds the patient's voxels; whether it is gone. `close` tries once more."""
        end = time.monotonic() + SECONDS_TO_REMOVE
        while True:
            shutil.rmtree(folder, ignore_errors=True)
            if not Path(folder).exists():
                return True
            if time.monotonic() > end:
                self._leftFolders.append(folder)
                logging.error("NeckFrac could not remove the folder %s", folder)
                return False
            time.sleep(0.05)

    def _onSceneStartClose(self, caller=None, event=None):
        if self._run and not self._run.outlivesScene:
            self.abandon()

    def _errorOnExit(self, status):
        """The JobError for a worker that has ended during a job.

        A launcher makes status 1 of every crash of its child; Python itself ends with 1 and a traceback.
        """
        for line in self._client.lastMessages:
            logging.error("NeckFrac worker: %s", line)
        if status in KILLED or (status == CRASHED and not self._client.hasFailed):
            message = _("The process that runs the networks was stopped by the system, probably for lack of memory.")
            return JobError(message, "memory")
        message = _("The process that runs the networks stopped unexpectedly (status {status}).")
        return JobError(message.format(status=status), "stopped")

    def _stopTimer(self):
        if self._timer:
            self._timer.stop()
