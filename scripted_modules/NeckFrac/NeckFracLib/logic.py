"""One analysis at a time: a volume node goes to the worker process, its findings come into the scene."""

import logging
import os
import shutil
import tempfile
import time

import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic
from slicer.util import VTKObservationMixin

from . import hand_over
from .engine_path import enginePath, ensureEngine, pythonExecutable
from .parameter_node import NeckFracParameterNode
from .worker_client import EXITED, WorkerClient

# A network's step that does not ask whether it was cancelled is not waited for: the worker is killed instead.
SECONDS_TO_CANCEL = 0.7
POLL_MILLISECONDS = 50


class AnalysisError(RuntimeError):
    """An analysis without a result. kind: the worker's word (input, cancelled, memory, missing, internal),
    `stopped` when its process ended, or `scene` when the findings could not be put into the scene."""

    def __init__(self, message, kind):
        super().__init__(message)
        self.kind = kind


class AnalysisRun:
    """One analysis from its request to its nodes.

    nodes: what `populate_scene` returned. findings: the Findings. error: an AnalysisError, or None.
    """

    def __init__(self, identifier, volumeNode, folder, onProgress, onFinished):
        self.identifier, self.volumeNode, self.folder = identifier, volumeNode, folder
        self.affine = hand_over.affineOf(volumeNode)
        self.onProgress, self.onFinished = onProgress, onFinished
        self.cancelledAt = None
        self.finished = False
        self.nodes = self.findings = self.error = None


class NeckFracLogic(ScriptedLoadableModuleLogic, VTKObservationMixin):
    """Works with and without a GUI. workerCommand: what runs the engine; tests inject another."""

    def __init__(self, workerCommand=None):
        ScriptedLoadableModuleLogic.__init__(self)
        VTKObservationMixin.__init__(self)
        self._workerCommand = workerCommand
        self._client = None
        self._run = None
        self._runs = 0
        self._timer = None

    def getParameterNode(self):
        return NeckFracParameterNode(super().getParameterNode())

    @property
    def isRunning(self):
        return self._run is not None

    @property
    def workerPid(self):
        """The worker's process id, None when there is none."""
        return self._client.pid if self._client else None

    def process(
        self,
        volumeNode,
        operatingPoint="balanced",
        device="auto",
        waitForCompletion=True,
        onProgress=None,
        onFinished=None,
    ):
        """Analyze a CT volume and fill the scene.

        operatingPoint: sensitive, balanced or specific. device: auto, cpu or cuda.
        onProgress(stage, fraction) and onFinished(run) are called on the main thread.
        Returns the nodes, or with waitForCompletion=False the AnalysisRun at once.
        Raises ValueError for a volume that can't be used, AnalysisError for a run without a result.
        """
        reason = hand_over.reasonAgainst(volumeNode)
        if reason:
            raise ValueError(reason)
        if self._run:
            raise RuntimeError(_("An analysis is running already."))
        ensureEngine()
        run = self._begin(volumeNode, operatingPoint, device, onProgress, onFinished)
        if not waitForCompletion:
            self._startTimer()
            return run
        try:
            while not run.finished:
                self.poll(POLL_MILLISECONDS / 1000)
                slicer.app.processEvents()
        except BaseException:
            self.abandon()
            raise
        if run.error:
            raise run.error
        return run.nodes

    def cancel(self):
        """Ask the running analysis to stop; it ends within a second, the scene stays as it was."""
        if self._run and self._run.cancelledAt is None:
            self._run.cancelledAt = time.monotonic()
            self._client.send({"command": "cancel", "id": self._run.identifier})

    def abandon(self):
        """Stop the running analysis before this returns."""
        run = self._run
        self.cancel()
        while run and not run.finished:
            self.poll(0.02)

    def close(self):
        """Stop everything: the analysis, the worker, the timer."""
        self.abandon()
        if self._client:
            self._client.stop()

    def poll(self, timeout=0.0):
        """Handle what the worker has said, waiting up to `timeout` seconds for it."""
        run = self._run
        if run is None:
            self._stopTimer()
            return
        for event in self._client.events(timeout):
            if run.finished:
                return
            if event["event"] == EXITED:
                self._finish(run, AnalysisError(self._wordsOnExit(event["status"]), "stopped"))
            elif event.get("id") == run.identifier:
                self._handle(run, event)
        if not run.finished and run.cancelledAt and time.monotonic() - run.cancelledAt > SECONDS_TO_CANCEL:
            self._client.stop(0)
            self._finish(run, AnalysisError(_("Cancelled."), "cancelled"))

    def _begin(self, volumeNode, operatingPoint, device, onProgress, onFinished):
        if self._client is None:
            command = self._workerCommand or [pythonExecutable(), "-m", "neckfrac.worker"]
            paths = [str(enginePath()), os.environ.get("PYTHONPATH", "")]
            self._client = WorkerClient(command, {"PYTHONPATH": os.pathsep.join(filter(None, paths))})
        self._runs += 1
        folder = tempfile.mkdtemp(prefix="neckfrac-", dir=slicer.app.temporaryPath)
        try:
            request = hand_over.analyzeRequest(self._runs, volumeNode, folder, operatingPoint, device)
            self._client.start()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._run = run = AnalysisRun(self._runs, volumeNode, folder, onProgress, onFinished)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self._onSceneStartClose)
        self._client.send(request)
        return run

    def _handle(self, run, event):
        if event["event"] == "progress":
            if run.onProgress and not run.cancelledAt:
                run.onProgress(event["stage"], event["fraction"])
        elif event["event"] == "error":
            self._finish(run, AnalysisError(event["message"], event["kind"]))
        elif event["event"] == "done":
            if run.cancelledAt:
                self._finish(run, AnalysisError(_("Cancelled."), "cancelled"))
            else:
                self._finish(run, self._fillScene(run))

    def _fillScene(self, run):
        """Put the findings into the scene; an AnalysisError when that fails: `populate_scene` then adds nothing."""
        from neckfrac.output.scene import populate_scene

        if slicer.mrmlScene.GetNodeByID(run.volumeNode.GetID() or "") is not run.volumeNode:
            return AnalysisError(_("The volume was removed from the scene while it was analyzed."), "scene")
        try:
            analysis = hand_over.readAnalysis(run.folder, run.affine)
            run.findings = analysis.findings
            run.nodes = populate_scene(slicer.mrmlScene, analysis, volume_node=run.volumeNode)
        except Exception as error:
            logging.exception("NeckFrac could not fill the scene.")
            message = _("The findings could not be put into the scene: {reason}").format(reason=error)
            return AnalysisError(message, "scene")
        return None

    def _finish(self, run, error):
        run.error, run.finished, self._run = error, True, None
        self._stopTimer()
        self.removeObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self._onSceneStartClose)
        shutil.rmtree(run.folder, ignore_errors=True)
        if run.onFinished:
            run.onFinished(run)

    def _onSceneStartClose(self, caller=None, event=None):
        self.abandon()

    def _wordsOnExit(self, status):
        for line in self._client.lastMessages:
            logging.error("NeckFrac worker: %s", line)
        if status in (-9, 137):
            return _("The process that runs the networks was stopped by the system, probably for lack of memory.")
        message = _("The process that runs the networks stopped unexpectedly (status {status}).")
        return message.format(status=status)

    def _startTimer(self):
        import qt

        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.connect("timeout()", self.poll)
        self._timer.start()

    def _stopTimer(self):
        if self._timer:
            self._timer.stop()
            self._timer = None
