"""The module's panel: inputs, Apply, progress, and the sections below them; no computation. Uses Qt."""

import logging

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from . import hand_over, inputs, install, models, outputs, stages, view
from .batch_section import BatchSection
from .engine_path import ensureEngine
from .errors_shown import shownErrors
from .export_section import ExportSection
from .gui_connection import GuiConnection
from .inspect_section import InspectSection
from .keys import ReadingKeys
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
        self.keys = None
        self.sections = []
        self._parameterNode = None
        self._connection = None
        self._asked = False  # the worker for a device, whose answer is on its way
        self._checking = False  # the installation is being checked
        self._missing = []
        self._doubts = (None, [])  # (volume's ID and time, what speaks against it)
        self._outputsOf = None  # the ID of the volume that the outputs were chosen for

    def setup(self):
        """Called when the panel is first needed, not always by a user: what is heavy is started in `enter`."""
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
        for inner in (uiWidget, self.ui.sections):  # the panel around them has margins
            inner.layout().setContentsMargins(0, 0, 0, 0)
        uiWidget.setMRMLScene(slicer.mrmlScene)

        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEnd)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEnd)
        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.ui.installButton.connect("clicked(bool)", self.onInstallButton)
        self.ui.straightenButton.connect("clicked(bool)", self.onStraightenButton)
        self.keys = ReadingKeys(self._readingKeys())

        self._showProgress(None, 0)
        self.update()
        if self.parent.isEntered:  # after the developer's Reload, which does not enter again
            self.enter()

    def _addSection(self, kind, **options):
        """Load a section's .ui into the panel; the section."""
        uiWidget = slicer.util.loadUI(self.resourcePath(kind.UI))
        uiWidget.layout().setContentsMargins(0, 0, 0, 0)
        self.ui.sections.layout().addWidget(uiWidget)
        section = kind(slicer.util.childWidgetVariables(uiWidget), self.logic, **options)
        self.sections.append(section)
        return section

    def _readingKeys(self):
        """What a key does, and the widget whose tooltip tells the key."""
        results, review = self.results.ui, self.review.ui
        return {
            "Shift+N": (results.resultsTable, _("next level"), lambda: self.results.step(1)),
            "Shift+P": (results.resultsTable, _("previous level"), lambda: self.results.step(-1)),
            "Shift+C": (review.confirmButton, _("confirm"), review.confirmButton.click),
            "Shift+R": (review.rejectButton, _("reject"), review.rejectButton.click),
            "Shift+U": (review.undoButton, _("undo"), review.undoButton.click),
            "Shift+H": (results.showHeatCheckBox, _("heat map"), results.showHeatCheckBox.click),
            "Shift+B": (results.showBoxesCheckBox, _("boxes"), results.showBoxesCheckBox.click),
        }

    def makeLogic(self):
        """The logic that this panel drives; tests give it another."""
        return NeckFracLogic()

    def cleanup(self):
        """Called when the application closes and the panel is destroyed."""
        if self.logic:
            self.logic.close()
        self.setParameterNode(None, quietly=True)
        if self.keys:
            self.keys.close()
        for section in self.sections:
            section.cleanup()
        self.removeObservers()

    def enter(self):
        """Called each time the user opens this module: from now on the panel follows the scene."""
        if not self._checking:
            self._missing = install.missingPackages()
        self.initializeParameterNode()
        self.keys.setEnabled(True)
        if not self._missing and not self.logic.jobs.hasWorker:
            self._askForDevice()

    def exit(self):
        """Called each time the user opens another module; a running analysis goes on."""
        self.keys.setEnabled(False)
        self._followParameterNode(False)

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
        self.logic.forgetParameterNode()

    def onSceneEnd(self, caller=None, event=None):
        """The scene was closed, or one was read, whose results and settings are shown."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        """Make sure that there is a parameter node, observed, and a volume chosen if the scene has one."""
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            likely = inputs.likelyVolume()
            if likely:
                self._parameterNode.inputVolume = likely
        # While a scene is read its references lead nowhere yet, and the selectors have shown that.
        self._parameterNode.parameterNode.Modified()

    def setParameterNode(self, parameterNode, quietly=False):
        """Show and observe `parameterNode` (None: nothing). quietly: the panel goes and needs no update.

        Widgets are connected anew for another node only: they follow it while another module is open, too.
        """
        if parameterNode is not self._parameterNode:
            self._followParameterNode(False)
            if self._connection:
                self._connection.disconnect()
            self._parameterNode, self._connection, self._outputsOf = parameterNode, None, None
            for section in self.sections:
                section.setParameterNode(parameterNode)
            if parameterNode:
                self._connection = GuiConnection(parameterNode, self.ui, *(section.ui for section in self.sections))
        self._followParameterNode(parameterNode is not None)
        if not quietly:
            self.update()

    def _followParameterNode(self, following):
        """Update the panel with each change of the parameter node, or do not."""
        node, event = self._parameterNode, vtk.vtkCommand.ModifiedEvent
        if node is None:
            return
        observed = self.hasObserver(node.parameterNode, event, self._onParameterNodeModified)
        if following and not observed:
            self.addObserver(node.parameterNode, event, self._onParameterNodeModified)
        elif observed and not following:
            self.removeObserver(node.parameterNode, event, self._onParameterNodeModified)

    def _onParameterNodeModified(self, caller=None, event=None):
        self.update()

    def update(self):
        """Show what the parameter node, the scene and the logic say."""
        if self._parameterNode:
            self.logic.jobs.setIdleMinutes(self._parameterNode.keepMinutes)
        self._followOutputs()
        selectors = (self.ui.inputSelector, self.ui.segmentationSelector, self.inspect.ui.referenceSelector)
        inputs.hideOwnNodes(*selectors, also=[self._parameterNode.outputHeat] if self._parameterNode else [])
        self._checkCanApply()
        self._showOutputs()
        for section in self.sections:
            section.update()

    def _followOutputs(self):
        """Offer the nodes that a result can go into.

        For another volume they are those of its result; what the reader chose for this one stays.
        """
        node = self._parameterNode
        if node is None or node.inputVolume is None:
            return
        identifier = node.inputVolume.GetID()
        before, self._outputsOf = self._outputsOf, identifier
        self._offerOutputs()  # before one is chosen: a selector takes no node that it hides
        if before not in (None, identifier):
            result = self.logic.results.of(node.inputVolume)
            outputs.choose(node, result[0] if result else None)
            self._offerOutputs()

    def _offerOutputs(self):
        ui, node = self.ui, self._parameterNode
        inputs.hide(ui.outputSegmentationSelector, outputs.unusable("segmentation", node))
        inputs.hide(ui.outputTableSelector, outputs.unusable("table", node))
        inputs.hide(ui.outputHeatSelector, outputs.unusable("heat", node))

    def _showOutputs(self):
        """Tell what Apply would do with the chosen outputs."""
        node, ui = self._parameterNode, self.ui
        idle, given = not self.logic.isRunning, node is not None and node.inputSegmentation is not None
        ui.outputSegmentationSelector.setEnabled(idle and not given)
        ui.outputTableSelector.setEnabled(idle)
        ui.outputHeatSelector.setEnabled(idle)
        result = self.logic.results.of(node.inputVolume) if node else None
        told = outputs.inWords(outputs.chosen(node), result and result[0], node.inputSegmentation) if node else ""
        ui.outputsLabel.setText(told)

    def _checkCanApply(self):
        """Enable Apply when it would work; its tooltip says what it does or why it can't."""
        button, node = self.ui.applyButton, self._parameterNode
        self.ui.installButton.setVisible(bool(self._missing) and not self._checking)
        volume = node.inputVolume if node else None
        reason = hand_over.reasonAgainst(volume) or inputs.reasonAgainst(node.inputSegmentation if node else None)
        self._showDoubts(volume, reason)
        analyzing = self.logic.jobs.command == "analyze"
        for control in (self.ui.inputSelector, self.ui.segmentationSelector, self.ui.deviceComboBox):
            control.setEnabled(not self.logic.isRunning)
        self.ui.straightenButton.setVisible(hand_over.isBent(volume))
        self.ui.straightenButton.setEnabled(not self.logic.isRunning)
        button.setText(_("Cancel") if analyzing else _("Apply"))
        if analyzing:
            button.setToolTip(_("Stop the analysis; the scene stays as it is."))
            button.setEnabled(True)
            return
        if not reason and node:
            reason = outputs.reasonAgainst(outputs.chosen(node), volume)
        if not reason and self._checking:
            reason = _("The installation is being checked.")
        if not reason and self._missing:
            reason = _("Install the missing packages first: {names}.").format(names=install.inWords(self._missing))
        if not reason and self.logic.isRunning:
            reason = _("Something else is running; wait for it or cancel it.")
        button.setEnabled(not reason)
        button.setToolTip(reason or _("Look for fractures of C1 to C7."))

    def _askForDevice(self):
        """Start the worker, which then is warm, and show what it finds to run on."""
        if self._asked:
            return
        try:
            self.logic.jobs.ask("device", self._onDevice, self._onNoAnswer)
            self._asked = True
        except OSError as error:
            logging.error("NeckFrac's worker can't be started: %s", error)

    def _onNoAnswer(self):
        self._asked = False

    def _onDevice(self, event):
        self._asked = False
        gpus, gib = event.get("gpus") or [], 2**30
        told = [
            _("{name}: {free} of {total} GB free").format(
                name=gpu["name"], free=round(gpu["free"] / gib), total=round(gpu["total"] / gib)
            )
            for gpu in gpus
        ]
        none = _("No graphics card that PyTorch can use: a study takes up to a minute.")
        self.ui.deviceFoundLabel.setText("\n".join(told) or none)

    def _showDoubts(self, volume, reason):
        """Say why a chosen volume can't be analyzed, or what speaks against its being a CT; once for each volume."""
        if volume is None:
            self._doubts = (None, [])
        else:
            image = volume.GetImageData()
            key = (volume.GetID(), image.GetMTime() if image else None, reason)
            if key != self._doubts[0]:
                self._doubts = (key, [reason] if reason else hand_over.doubtsAbout(volume))
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

    def onStraightenButton(self, checked=False):
        """Make a copy of the chosen volume that no transform bends, and choose it."""
        with shownErrors(_("The volume could not be straightened."), waitCursor=True):
            self._parameterNode.inputVolume = hand_over.straightenedCopy(self._parameterNode.inputVolume)
            view.showVolume(self._parameterNode.inputVolume)
        self.update()

    def onDetectAgain(self):
        """Look for fractures again in the vertebrae as the reader has corrected them."""
        nodes, _findings = self.logic.results.of(self._parameterNode.inputVolume)
        self._start(nodes.segmentation)

    def _start(self, segmentationNode):
        with shownErrors(_("The analysis could not be started."), waitCursor=True):
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
                outputs=outputs.chosen(self._parameterNode),
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
        shown = run.error is None and self._parameterNode and self._parameterNode.inputVolume is run.nodes.volume
        if shown:
            outputs.choose(self._parameterNode, run.nodes)  # the next run fills them again, unless the reader says else
        self.update()
        if shown:
            self.results.showLikeliest()

    def onInstallButton(self, checked=False):
        """Install what is missing, after asking, and check it in the background."""
        self._showProgress(_("Nothing was installed."), 0)
        with shownErrors(_("The installation failed.")):
            install.install()
            self._showProgress(_("Checking the installation…"), 0)
            self._checking = True
            try:
                install.checkInChildProcess(self.onChecked)
            except install.InstallError:
                self._checking = False
                raise
        self._missing = install.missingPackages()
        self.update()

    def onChecked(self, versions, error=None):
        """The installation was checked: versions that work, or the InstallError."""
        self._checking = False
        self._missing = install.missingPackages()
        if error is None:
            self._showProgress(_("Installed: PyTorch and MONAI {versions}").format(versions=versions), 0)
        else:
            self._showProgress(str(error), 0)
            slicer.util.errorDisplay(str(error), windowTitle=_("NeckFrac"))
        self.update()

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
