"""The module's panel: shows the parameter node, starts and stops the logic, no computation."""

import logging

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from . import anchors, hand_over, install, models, results_table
from .logic import NeckFracLogic


class NeckFracWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel of the module NeckFrac."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.ui = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._missing = []
        self._rows = []
        self._anchorsShown = None

    def setup(self):
        """Called when the user opens the module for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/NeckFrac.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = self.makeLogic()

        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.ui.installButton.connect("clicked(bool)", self.onInstallButton)
        self.ui.resultsTable.connect("cellClicked(int,int)", self.onRow)
        self.ui.resultsTable.connect("cellActivated(int,int)", self.onRow)

        self._showProgress(None, 0)
        self._missing = install.missingPackages()
        self.initializeParameterNode()

    def makeLogic(self):
        """The logic that this panel drives; tests give it another."""
        return NeckFracLogic()

    def cleanup(self):
        """Called when the application closes and the panel is destroyed."""
        if self.logic:
            self.logic.close()
        self._disconnectParameterNode()
        self._parameterNode = None
        self.removeObservers()

    def enter(self):
        """Called each time the user opens this module."""
        self._missing = install.missingPackages()
        self.initializeParameterNode()

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
        self.setParameterNode(None)

    def onSceneEndClose(self, caller=None, event=None):
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
        if parameterNode:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParameterNodeModified)
        self._onParameterNodeModified()

    def _disconnectParameterNode(self):
        if self._parameterNode and self._parameterNodeGuiTag is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParameterNodeModified)
        self._parameterNodeGuiTag = None

    def _onParameterNodeModified(self, caller=None, event=None):
        self._checkCanApply()
        self._rows = results_table.readRows(self._parameterNode.results if self._parameterNode else "")
        results_table.fillTable(self.ui.resultsTable, self._rows)
        results_table.showNaming(self.ui.namingLabel, self._parameterNode.naming if self._parameterNode else "")
        shown = self._parameterNode.showAnchors if self._parameterNode else None
        if shown is not None and shown != self._anchorsShown:  # segments that were toggled elsewhere stay as they are
            anchors.showAnchors(shown)
        self._anchorsShown = shown

    def _checkCanApply(self):
        """Enable Apply when it would work; its tooltip says what it does or why it can't."""
        button = self.ui.applyButton
        self.ui.installButton.setVisible(bool(self._missing))
        for control in (self.ui.inputSelector, self.ui.operatingPointComboBox, self.ui.deviceComboBox):
            control.setEnabled(not self.logic.isRunning)
        if self.logic.isRunning:
            button.setText(_("Cancel"))
            button.setToolTip(_("Stop the analysis; the scene stays as it is."))
            button.setEnabled(True)
            return
        button.setText(_("Apply"))
        volume = self._parameterNode.inputVolume if self._parameterNode else None
        reason = hand_over.reasonAgainst(volume)
        if not reason and self._missing:
            reason = _("Install the missing packages first: {names}.").format(names=", ".join(self._missing))
        button.setEnabled(not reason)
        button.setToolTip(reason or _("Look for fractures of C1 to C7."))

    def onApplyButton(self, checked=False):
        """Start an analysis, or cancel the one that runs."""
        if self.logic.isRunning:
            self._showProgress(_("Cancelling…"), None)
            self.logic.cancel()
            return
        with slicer.util.tryWithErrorDisplay(_("The analysis could not be started."), waitCursor=True):
            self.logic.process(
                self._parameterNode.inputVolume,
                self._parameterNode.operatingPoint.value,
                self._parameterNode.device.value,
                waitForCompletion=False,
                onProgress=self.onProgress,
                onFinished=self.onFinished,
                leaveOut=models.leftOut(self._parameterNode.leftOutModels),
            )
            self._showProgress(_("Starting…"), 0)
        self._checkCanApply()

    def onProgress(self, stage, fraction):
        """Show the engine's stage and the share of the whole that is done."""
        stages = {
            "Locating the spine": _("Locating the spine"),
            "Segmenting the vertebrae": _("Segmenting the vertebrae"),
            "Looking for fractures": _("Looking for fractures"),
            "Drawing boxes": _("Drawing boxes"),
        }
        self._showProgress(stages.get(stage, stage), fraction)

    def onFinished(self, run):
        """Show what came of the analysis: rows, or why there are none."""
        self._checkCanApply()
        if run.error is None:
            if self._parameterNode:
                self._parameterNode.results = results_table.rowsOf(run.findings)
                self._parameterNode.naming = results_table.namingOf(run.findings)
                anchors.showAnchors(self._parameterNode.showAnchors)
            self._showProgress(self._summary(run.findings), 1)
        elif run.error.kind == "cancelled":
            self._showProgress(_("Cancelled."), 0)
        else:
            self._showProgress(_("No result: {reason}").format(reason=run.error), 0)
            logging.error("NeckFrac: %s (%s)", run.error, run.error.kind)
            slicer.util.errorDisplay(self._advice(run.error), windowTitle=_("NeckFrac"))

    def onInstallButton(self, checked=False):
        """Install what is missing, after asking, and check it."""
        with slicer.util.tryWithErrorDisplay(_("The installation failed."), waitCursor=True):
            try:
                self._showProgress(_("Installed: PyTorch and MONAI {versions}").format(versions=install.install()), 0)
            finally:
                self._missing = install.missingPackages()
                self._checkCanApply()

    def onRow(self, row, column):
        """Jump to the clicked row's finding in all slices."""
        if 0 <= row < len(self._rows):
            results_table.jumpTo(self._rows[row])

    def _summary(self, findings):
        suspected = findings.levels_in_words(findings.positive)
        if findings.patient_status == "not seen":
            text = _("No cervical vertebra was recognized in this volume.")
        elif suspected:
            text = _("Suspected fractures: {levels}.").format(levels=suspected)
        else:
            text = _("No fracture found in the levels that are in view.")
        return " ".join([text, *findings.further_warnings])

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
