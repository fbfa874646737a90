"""What the module can do, with and without a panel: a volume node goes to the worker, its findings into the scene."""

import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from . import hand_over
from . import outputs as whereTo
from .job_runner import JobError, JobRun, JobRunner
from .parameter_node import NeckFracParameterNode
from .results import Results


class AnalysisRun(JobRun):
    """One analysis. nodes: what `populate_scene` returned. findings: the Findings."""

    nodes = findings = None


class NeckFracLogic(ScriptedLoadableModuleLogic):
    """Works with and without a GUI. jobs: the JobRunner that everything long goes through. results: see results.py."""

    def __init__(self, workerCommand=None):
        ScriptedLoadableModuleLogic.__init__(self)
        self.jobs = JobRunner(workerCommand)
        self.results = Results()
        self._wrapper = None

    def getParameterNode(self):
        """The scene's parameter node, always in the same wrapper as long as it is the same node."""
        node = super().getParameterNode()
        if self._wrapper is None or self._wrapper.parameterNode is not node:
            self._wrapper = NeckFracParameterNode(node)
        return self._wrapper

    def forgetParameterNode(self):
        """The scene is being closed: its parameter node, which outlives it, loses its values; the next wrapper puts
        the defaults in."""
        self._wrapper = None

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
        segmentationNode=None,
        explanation=None,
        outputs=None,
    ):
        """Analyze a CT volume and fill the scene.

        operatingPoint: sensitive, balanced or specific. device: auto, cpu or cuda.
        onProgress(stage, fraction) and onFinished(run) are called on the main thread.
        leaveOut: members of the ensemble that are not asked, by name.
        segmentationNode: C1 to C7 that are segmented already, taken as they are; None: they are segmented.
        explanation: what draws the heat map: heat (the networks' own), grad-cam or smooth-grad.
        outputs: the nodes that the result goes into (`neckfrac.output.outputs.Outputs`); what an earlier result has
        beside them stays, as former. None: those of the earlier result, if there is one.
        Returns the nodes, or with waitForCompletion=False the AnalysisRun at once.
        Raises ValueError for a volume, a segmentation or outputs that can't be used, JobError for a run without a
        result.
        """
        run = self.begin(
            volumeNode,
            operatingPoint,
            device,
            onProgress,
            onFinished,
            leaveOut,
            segmentationNode,
            explanation,
            outputs,
        )
        if not waitForCompletion:
            self.jobs.follow()
            return run
        self.jobs.wait(run)
        return run.nodes

    def begin(
        self,
        volumeNode,
        operatingPoint="balanced",
        device="auto",
        onProgress=None,
        onFinished=None,
        leaveOut=(),
        segmentationNode=None,
        explanation=None,
        outputs=None,
    ):
        """Start what `process` does; the AnalysisRun, which `jobs.wait` or `jobs.follow` brings to its end."""
        reason = hand_over.reasonAgainst(volumeNode)
        if outputs is not None and not reason:
            reason = whereTo.reasonAgainst(outputs, volumeNode)
        if reason:
            raise ValueError(reason)
        labels = None
        if segmentationNode is not None:
            from .segment_matching import labelmapOf

            labels = labelmapOf(segmentationNode, volumeNode)
        affine = hand_over.affineOf(volumeNode)
        return self.jobs.start(
            "analyze",
            lambda folder: hand_over.analyzeArguments(
                volumeNode, folder, operatingPoint, device, leaveOut, labels, explanation
            ),
            lambda run: self._fillScene(run, volumeNode, affine, segmentationNode, outputs),
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

    def _fillScene(self, run, volumeNode, affine, segmentationNode, outputs):
        """Put the findings into the scene; what fails leaves it as it was. What readers said of it is kept."""
        from dataclasses import replace

        from neckfrac.output.scene import populate_scene

        for node in filter(None, (volumeNode, segmentationNode)):
            if slicer.mrmlScene.GetNodeByID(node.GetID() or "") is not node:
                raise JobError(_("The volume was removed from the scene while it was analyzed."), "scene")
        if outputs is not None:
            outputs = whereTo.present(outputs)
            reason = whereTo.reasonAgainst(outputs, volumeNode)  # somebody may have filled one meanwhile
            if reason:
                raise JobError(reason, "scene")
        analysis = hand_over.readAnalysis(run.folder, affine)
        before = self.results.of(volumeNode)
        if before:
            analysis = replace(analysis, findings=replace(analysis.findings, reviews=before[1].reviews))
        run.nodes = populate_scene(
            slicer.mrmlScene,
            analysis,
            volume_node=volumeNode,
            segmentation_node=segmentationNode,
            outputs=outputs,
        )
        run.findings = analysis.findings
        self.results.forget()
