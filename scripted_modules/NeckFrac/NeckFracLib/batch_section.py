"""The panel's section for many studies: folders in, a worklist out, a row opens its scene. Uses Qt."""

import logging

import qt
from slicer.i18n import tr as _

from . import batch, install, models, stages
from .errors_shown import shownErrors
from .job_runner import LastingRun
from .probability_bar import UNCALLED, showBar
from .section import Section

PROBABILITY, LEVEL, FINDING, STUDY, PATIENT = range(5)
CALLED = "#d98880"  # no severity's color: a patient has none


class BatchSection(Section):
    """Analyzes a folder of studies, or the DICOM browser's selection, and lists the results by probability.

    Its folders belong to the reader, not to a scene: opening a row replaces the scene and must not empty the list.
    """

    UI, COMMAND = "UI/NeckFracBatch.ui", batch.COMMAND

    def __init__(self, ui, logic, onChanged=None):
        Section.__init__(self, ui, logic, onChanged)
        self._files = []  # of the DICOM browser's selection; instead of the folder when there are any
        self._rows = []
        self._status = ""
        ui.batchInputPathLineEdit.connect("currentPathChanged(QString)", self.onInputPath)
        ui.batchResultsPathLineEdit.connect("currentPathChanged(QString)", self.onResultsPath)
        ui.batchDicomButton.connect("clicked(bool)", self.onDicomButton)
        ui.batchStartButton.connect("clicked(bool)", self.onStartButton)
        ui.batchOpenButton.connect("clicked(bool)", self.onOpenButton)
        ui.worklistTable.connect("cellDoubleClicked(int,int)", self.onRow)
        ui.worklistTable.connect("itemSelectionChanged()", self._enable)
        self._show(0)
        self.onResultsPath(ui.batchResultsPathLineEdit.currentPath)

    def update(self):
        self._enable()

    def onInputPath(self, path=""):
        """A folder was chosen: it replaces the DICOM browser's selection."""
        if path:
            self._files = []
        self._enable()

    def onResultsPath(self, path=""):
        self.fillTable()
        self._enable()

    def onDicomButton(self, checked=False):
        """Take what is selected in the DICOM browser."""
        try:
            self._files = batch.selectedDicomFiles()
        except ValueError as error:
            self._files = []
            self._show(0, str(error))
            self._enable()
            return
        if self._files:
            self.ui.batchInputPathLineEdit.currentPath = ""
            self._show(0, _("{count} files from the DICOM browser's selection.").format(count=len(self._files)))
        else:
            self._show(0, _("Nothing is selected in the DICOM browser: open the module DICOM and select series first."))
        self._enable()

    def onStartButton(self, checked=False):
        """Start, or stop: finished studies keep their results, and the next start goes on from there."""
        if self.isRunning:
            self._show(None, _("Cancelling…"))
            self.logic.cancel()
            return
        results = self.ui.batchResultsPathLineEdit.currentPath
        with shownErrors(_("The batch could not be started."), waitCursor=True):
            self.logic.jobs.start(
                batch.COMMAND,
                lambda folder: batch.batchArguments(
                    self._studies(),
                    results,
                    folder,
                    self._parameterNode.operatingPoint.value,
                    self._parameterNode.device.value,
                    models.leftOut(self._parameterNode.leftOutModels),
                    self.ui.batchAgainCheckBox.checked,
                ),
                onProgress=self.onProgress,
                onEvent=lambda event: self.fillTable(),
                onFinished=lambda run: self.onFinished(run, results),
                run=LastingRun,
            )
            for edit in (self.ui.batchInputPathLineEdit, self.ui.batchResultsPathLineEdit):
                if edit.currentPath:
                    edit.addCurrentPathToHistory()
            self.logic.jobs.follow()
            self._show(0, _("Starting…"))
        self._onChanged()

    def onProgress(self, stage, fraction):
        self._show(fraction, stages.inWords(stage))

    def onFinished(self, run, results):
        """Tell what came of it; results that are there stay, whatever happened."""
        self.fillTable()
        if run.error is None:
            self._show(1, batch.summary(run.answer))
        else:
            batch.removeLeftovers(results)
            if run.error.kind == "cancelled":
                self._show(0, _("Cancelled. Finished studies keep their results; Start goes on with the others."))
            else:
                logging.error("NeckFrac's batch ended: %s", run.error.kind)
                self._show(0, _("The batch ended: {reason}").format(reason=run.error))
        self._onChanged()

    def onOpenButton(self, checked=False):
        self.onRow(self.ui.worklistTable.currentRow())

    def onRow(self, row, column=0):
        """Open the row's scene, or say why it has none."""
        if not 0 <= row < len(self._rows):
            return
        path = batch.scenePath(self.ui.batchResultsPathLineEdit.currentPath, self._rows[row])
        if path is None:
            self._show(None, self._rows[row].error or _("The result's scene is not there any more."))
            return
        with shownErrors(_("The result could not be opened.")):
            batch.openResult(path)

    def fillTable(self):
        """Show the worklist that lies in the folder of results; the chosen row stays chosen."""
        table = self.ui.worklistTable
        chosen = self._rows[table.currentRow()].source if 0 <= table.currentRow() < len(self._rows) else None
        try:
            self._rows = batch.readWorklist(self.ui.batchResultsPathLineEdit.currentPath)
        except ValueError as error:
            self._rows = []
            self._show(None, str(error))
        table.setRowCount(len(self._rows))
        for index, row in enumerate(self._rows):
            self._fillRow(index, row)
            if row.source == chosen:
                table.selectRow(index)
        table.resizeColumnsToContents()
        table.setColumnWidth(PROBABILITY, 90)

    def _fillRow(self, index, row):
        statuses = {
            "positive": _("suspected fracture"),
            "negative": _("no fracture found"),
            "not seen": _("no cervical spine"),
        }
        texts = {
            LEVEL: row.level,
            FINDING: _("no result") if row.error else statuses.get(row.status, ""),
            STUDY: row.study,
            PATIENT: row.patient_name or row.patient_id,
        }
        for column, text in texts.items():
            item = qt.QTableWidgetItem(text)
            item.setToolTip(self._tooltip(row))
            self.ui.worklistTable.setItem(index, column, item)
        color = CALLED if row.status == "positive" else UNCALLED
        showBar(self.ui.worklistTable, index, PROBABILITY, row.probability, color, self._tooltip(row))

    def _tooltip(self, row):
        if row.error:
            return row.error
        from neckfrac.formatting import as_percent

        lines = [_("Double-click to open the result's scene.")]
        if row.level:
            message = _("Highest level: {level}, probability {probability}.")
            lines.append(message.format(level=row.level, probability=as_percent(row.level_probability)))
        if row.note:
            lines.append(row.note)
        if row.uncertain_names:
            lines.append(_("Uncertain level names: {readings}.").format(readings=row.uncertain_names))
        identity = ", ".join(filter(None, [row.patient_name, row.patient_id, row.study_date]))
        return "\n".join([*lines, *filter(None, [identity])])

    def _studies(self):
        return self._files or self.ui.batchInputPathLineEdit.currentPath

    def _enable(self):
        """What can be used now; tooltips say why not."""
        ui, running = self.ui, self.isRunning
        for control in (ui.batchInputPathLineEdit, ui.batchResultsPathLineEdit, ui.batchDicomButton):
            control.setEnabled(not running)
        ui.batchAgainCheckBox.setEnabled(not running)
        ui.batchStartButton.setText(_("Cancel") if running else _("Start"))
        if running:
            ui.batchStartButton.setToolTip(_("Stop; finished studies keep their results."))
            ui.batchStartButton.setEnabled(True)
        else:
            reason = batch.reasonAgainst(self._studies(), ui.batchResultsPathLineEdit.currentPath)
            if self.logic.isRunning:
                reason = _("Something else is running.")
            elif self._parameterNode is None:
                reason = reason or _("Open the module first.")
            elif not reason and (missing := install.missingPackages()):
                reason = _("Install the missing packages first: {names}.").format(names=", ".join(missing))
            ui.batchStartButton.setToolTip(reason or _("Analyze the studies that have no result yet."))
            ui.batchStartButton.setEnabled(not reason)
        row = ui.worklistTable.currentRow()
        there = 0 <= row < len(self._rows) and not self._rows[row].error
        # Opening closes the scene, and with it whatever else runs on it.
        ui.batchOpenButton.setEnabled(there and (running or not self.logic.isRunning))

    def _show(self, fraction, text=""):
        self.ui.batchStatusLabel.setText(text)
        self.ui.batchStatusLabel.setVisible(bool(text))
        if fraction is not None:
            self.ui.batchProgressBar.setValue(round(100 * fraction))
        self.ui.batchProgressBar.setVisible(self.isRunning)
