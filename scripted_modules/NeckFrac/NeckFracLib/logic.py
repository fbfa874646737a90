"""What the module can do, with and without a panel: a volume node goes to the worker, its findings into the scene."""

import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from . import hand_over
from .job_runner import JobError, JobRun, JobRunner
from .parameter_node import NeckFracParameterNode


class AnalysisRun(JobRun):
    """One analysis. nodes: what `populate_scene` returned. findings: the Findings."""

    nodes = findings = None


class NeckFracLogic(ScriptedLoadableModuleLogic):
    """Works with and without a GUI. jobs: the JobRunner that everything long goes through."""

    def __init__(self, workerCommand=None):
        ScriptedLoadableModuleLogic.__init__(self)
        self.jobs = JobRunner(workerCommand)

    def getParameterNode(self):
        return NeckFracParameterNode(super().getParameterNode())

    @property
    def isRunning(self):
        return self.jobs.isRunning

    @property
    def workerPid(self):
        """The worker's process id, None when there is none."""
        return self.jobs.workerPid

    def process(
        self,
        volumeNode,
        operatingPoint="balanced",
        device="auto",
        waitForCompletion=True,
        onProgress=None,
        onFinished=None,
        leaveOut=(),
    ):
        """Analyze a CT volume and fill the scene.

        operatingPoint: sensitive, balanced or specific. device: auto, cpu or cuda.
        leaveOut: members of the ensemble that are not asked, by name.
        onProgress(stage, fraction) and onFinished(run) are called on the main thread.
        Returns the nodes, or with waitForCompletion=False the AnalysisRun at once.
        Raises ValueError for a volume that can't be used, JobError for a run without a result.
        """
        run = self.begin(volumeNode, operatingPoint, device, onProgress, onFinished, leaveOut)
        if not waitForCompletion:
            self.jobs.follow()
            return run
        self.jobs.wait(run)
        return run.nodes

    def begin(
        self, volumeNode, operatingPoint="balanced", device="auto", onProgress=None, onFinished=None, leaveOut=()
    ):
        """Start what `process` does; the AnalysisRun, which `jobs.wait` or `jobs.follow` brings to its end."""
        reason = hand_over.reasonAgainst(volumeNode)
        if reason:
            raise ValueError(reason)
        affine = hand_over.affineOf(volumeNode)
        return self.jobs.start(
            "analyze",
            lambda folder: hand_over.analyzeArguments(volumeNode, folder, operatingPoint, device, leaveOut),
            lambda run: self._fillScene(run, volumeNode, affine),
            onProgress,
            onFinished=onFinished,
            run=AnalysisRun,
        )

    def cancel(self):
        """Ask whatever runs to stop; it ends within a second, the scene stays as it was."""
        self.jobs.cancel()

    def close(self):
        """Stop everything: the job, the worker, the timer."""
        self.jobs.close()

    def _fillScene(self, run, volumeNode, affine):
        """Put the findings into the scene; what fails leaves it as it was."""
        from neckfrac.output.scene import populate_scene

        if slicer.mrmlScene.GetNodeByID(volumeNode.GetID() or "") is not volumeNode:
            raise JobError(_("The volume was removed from the scene while it was analyzed."), "scene")
        analysis = hand_over.readAnalysis(run.folder, affine)
        run.findings = analysis.findings
        run.nodes = populate_scene(slicer.mrmlScene, analysis, volume_node=volumeNode)
