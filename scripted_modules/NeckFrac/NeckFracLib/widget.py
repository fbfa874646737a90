"""The module's panel: inputs, Apply, progress, and the sections below them; no computation. Uses Qt."""

import logging

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from . import hand_over, install, models, stages
from .batch_section import BatchSection
from .engine_path import ensureEngine
from .export_section import ExportSection
from .inspect_section import InspectSection
from .logic import NeckFracLogic
from .measurements_section import MeasurementsSection
from .models_section import ModelsSection
from .results_section import ResultsSection
from .review_section import ReviewSection


class NeckFracWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel of the module NeckFrac."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.ui = None
        self.sections = []
        self._parameterNode = None
        self._parameterNodeGuiTags = []
        self._missing = []
        self._doubts = (None, [])  # (volume's ID and time, what speaks against it)

    def setup(self):
        """Called when the user opens the module for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        ensureEngine()
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/NeckFrac.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        self.logic = self.makeLogic()
        self.results = self._addSection(ResultsSection, onSelected=lambda level: self.review.setLevel(level))
        self.review = self._addSection(ReviewSection, onChanged=self.update, onDetectAgain=self.onDetectAgain)
        self.measurements = self._addSection(MeasurementsSection, onChanged=self.update)
        self.inspect = self._addSection(InspectSection, onChanged=self.update)
        self.export = self._addSection(ExportSection, onChanged=self.update)
        self.batch = self._addSection(BatchSection, onChanged=self.update)
        self.models = self._addSection(ModelsSection, onChanged=self.update)
        self.ui.sections.layout().setContentsMargins(0, 0, 0, 0)
        uiWidget.setMRMLScene(slicer.mrmlScene)

        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEnd)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEnd)
        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.ui.installButton.connect("clicked(bool)", self.onInstallButton)

        self._showProgress(None, 0)
        self.enter()

    def _addSection(self, kind, **options):
        """Load a section's .ui into the panel; the section."""
        uiWidget = slicer.util.loadUI(self.resourcePath(kind.UI))
        uiWidget.layout().setContentsMargins(0, 0, 0, 0)
        self.ui.sections.layout().addWidget(uiWidget)
        section = kind(slicer.util.childWidgetVariables(uiWidget), self.logic, **options)
        self.sections.append(section)
        return section

    def makeLogic(self):
        """The logic that this panel drives; tests give it another."""
        return NeckFracLogic()

    def cleanup(self):
        """Called when the application closes and the panel is destroyed."""
        if self.logic:
            self.logic.close()
        self._disconnectParameterNode()
        self._parameterNode = None
        for section in self.sections:
            section.cleanup()
        self.removeObservers()

    def enter(self):
        """Called each time the user opens this module."""
        self._missing = install.missingPackages()
        self.initializeParameterNode()
        if not self._missing and not self.ui.deviceFoundLabel.text:
            self._askForDevice()

    def exit(self):
        """Called each time the user opens another module; a running analysis goes on."""
        self._disconnectParameterNode()

    def onReload(self):
        """Developer's button: forget NeckFracLib and the engine, too, before Slicer reloads the module."""
        import sys

        self.logic.close()
        for name in list(sys.modules):
            if name.split(".")[0] in ("NeckFracLib", "neckfrac"):
                del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller=None, event=None):
        """The parameter node goes with the scene; the logic stops its analysis by itself."""
        self.logic.results.forget()
        self.setParameterNode(None)

    def onSceneEnd(self, caller=None, event=None):
        """The scene was closed, or one was read, whose results and settings are shown."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        """Make sure that there is a parameter node, observed, and a volume chosen if the scene has one."""
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            first = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if first:
                self._parameterNode.inputVolume = first

    def setParameterNode(self, parameterNode):
        """Show and observe `parameterNode` (None: nothing)."""
        self._disconnectParameterNode()
        self._parameterNode = parameterNode
        for section in self.sections:
            section.setParameterNode(parameterNode)
        if parameterNode:
            uis = [self.ui, *(section.ui for section in self.sections)]
            self._parameterNodeGuiTags = [parameterNode.connectGui(ui) for ui in uis]
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParameterNodeModified)
        self.update()

    def _disconnectParameterNode(self):
        if self._parameterNode and self._parameterNodeGuiTags:
            for tag in self._parameterNodeGuiTags:
                self._parameterNode.disconnectGui(tag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParameterNodeModified)
        self._parameterNodeGuiTags = []

    def _onParameterNodeModified(self, caller=None, event=None):
        self.update()

    def update(self):
        """Show what the parameter node, the scene and the logic say."""
        self._checkCanApply()
        for section in self.sections:
            section.update()

    def _checkCanApply(self):
        """Enable Apply when it would work; its tooltip says what it does or why it can't."""
        button = self.ui.applyButton
        self.ui.installButton.setVisible(bool(self._missing))
        self._showDoubts()
        analyzing = self.logic.jobs.command == "analyze"
        for control in (self.ui.inputSelector, self.ui.segmentationSelector, self.ui.deviceComboBox):
            control.setEnabled(not self.logic.isRunning)
        button.setText(_("Cancel") if analyzing else _("Apply"))
        if analyzing:
            button.setToolTip(_("Stop the analysis; the scene stays as it is."))
            button.setEnabled(True)
            return
        volume = self._parameterNode.inputVolume if self._parameterNode else None
        reason = hand_over.reasonAgainst(volume)
        if not reason and self._missing:
            reason = _("Install the missing packages first: {names}.").format(names=", ".join(self._missing))
        if not reason and self.logic.isRunning:
            reason = _("Something else is running; wait for it or cancel it.")
        button.setEnabled(not reason)
        button.setToolTip(reason or _("Look for fractures of C1 to C7."))

    def _askForDevice(self):
        """Start the worker, which then is warm, and show what it finds to run on."""
        try:
            self.logic.jobs.ask("device", self._onDevice)
        except OSError as error:
            logging.error("NeckFrac's worker can't be started: %s", error)

    def _onDevice(self, event):
        gpus, gib = event.get("gpus") or [], 2**30
        told = [
            _("{name}: {free} of {total} GB free").format(
                name=gpu["name"], free=round(gpu["free"] / gib), total=round(gpu["total"] / gib)
            )
            for gpu in gpus
        ]
        none = _("No graphics card that PyTorch can use: a study takes up to a minute.")
        self.ui.deviceFoundLabel.setText("\n".join(told) or none)

    def _showDoubts(self):
        """Say what speaks against the volume being a CT; its voxels are looked at once only."""
        volume = self._parameterNode.inputVolume if self._parameterNode else None
        usable = volume is not None and hand_over.reasonAgainst(volume) is None
        key = (volume.GetID(), volume.GetImageData().GetMTime()) if usable else None
        if key != self._doubts[0]:
            self._doubts = (key, hand_over.doubtsAbout(volume) if usable else [])
        label = self.ui.inputWarningLabel
        label.setVisible(bool(self._doubts[1]))
        label.setText("\n".join(self._doubts[1]))

    def onApplyButton(self, checked=False):
        """Start an analysis, or cancel the one that runs."""
        if self.logic.isRunning:
            self._showProgress(_("Cancelling…"), None)
            self.logic.cancel()
            return
        self._start(self._parameterNode.inputSegmentation)

    def onDetectAgain(self):
        """Look for fractures again in the vertebrae as the reader has corrected them."""
        nodes, _findings = self.logic.results.of(self._parameterNode.inputVolume)
        self._start(nodes.segmentation)

    def _start(self, segmentationNode):
        with slicer.util.tryWithErrorDisplay(_("The analysis could not be started."), waitCursor=True):
            self.logic.process(
                self._parameterNode.inputVolume,
                self._parameterNode.operatingPoint.value,
                self._parameterNode.device.value,
                waitForCompletion=False,
                onProgress=self.onProgress,
                onFinished=self.onFinished,
                leaveOut=models.leftOut(self._parameterNode.leftOutModels),
                segmentationNode=segmentationNode,
                explanation=self._parameterNode.explanation.value,
            )
            self._showProgress(_("Starting…"), 0)
        self.update()

    def onProgress(self, stage, fraction):
        """Show the engine's stage and the share of the whole that is done."""
        self._showProgress(stages.inWords(stage), fraction)

    def onFinished(self, run):
        """Show what came of the analysis, or why there is nothing."""
        if run.error is None:
            seconds = round(sum(run.findings.timings.values()))
            self._showProgress(_("Done in {seconds} s.").format(seconds=seconds), 1)
        elif run.error.kind == "cancelled":
            self._showProgress(_("Cancelled."), 0)
        else:
            self._showProgress(_("No result: {reason}").format(reason=run.error), 0)
            logging.error("NeckFrac: %s (%s)", run.error, run.error.kind)
            slicer.util.errorDisplay(self._advice(run.error), windowTitle=_("NeckFrac"))
        self.update()

    def onInstallButton(self, checked=False):
        """Install what is missing, after asking, and check it."""
        with slicer.util.tryWithErrorDisplay(_("The installation failed."), waitCursor=True):
            try:
                self._showProgress(_("Installed: PyTorch and MONAI {versions}").format(versions=install.install()), 0)
            finally:
                self._missing = install.missingPackages()
                self._checkCanApply()

    def _advice(self, error):
        advice = {
            "memory": _("The memory did not suffice. Choose the device CPU, or crop the volume to the neck."),
            "missing": _("A package is missing. Restart Slicer and install the missing packages."),
        }
        return "\n\n".join(filter(None, [advice.get(error.kind), str(error)]))

    def _showProgress(self, text, fraction):
        self.ui.statusLabel.setText(text or "")
        if fraction is not None:
            self.ui.progressBar.setValue(round(100 * fraction))
