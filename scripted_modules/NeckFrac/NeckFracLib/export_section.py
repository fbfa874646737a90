"""The section Export: report, tables, and DICOM for the archive. Uses Qt."""

import qt
from slicer.i18n import tr as _

from . import export, install
from .batch import removeLeftovers
from .errors_shown import Declined, shownErrors
from .job_runner import LastingRun
from .section import Section


class ExportSection(Section):
    """Writes the result of the chosen volume, as it was reviewed, into a folder of its own."""

    UI, COMMAND = "UI/NeckFracExport.ui", export.COMMAND

    def __init__(self, ui, logic, onChanged=None):
        Section.__init__(self, ui, logic, onChanged)
        self._folder, self._parent, self._notes = "", None, []
        ui.exportButton.connect("clicked(bool)", self.onExportButton)
        ui.openExportButton.connect("clicked(bool)", self.onOpenButton)
        ui.exportPathLineEdit.connect("currentPathChanged(QString)", lambda path="": self.update())

    def update(self):
        ui, volume = self.ui, self._volume
        against = export.reasonAgainstDicom(volume)
        ui.exportDicomCheckBox.setEnabled(against is None)
        ui.exportDicomCheckBox.setToolTip(
            against or _("A DICOM Segmentation of C1 to C7 and a Structured Report, for the patient's archive.")
        )
        reason = None
        if self.isRunning:
            pass
        elif self.logic.isRunning:
            reason = _("Something else is running; wait for it or cancel it.")
        elif self.logic.results.of(volume) is None:
            reason = _("There is no result of this volume yet: press Apply first.")
        elif not ui.exportPathLineEdit.currentPath:
            reason = _("Choose a folder.")
        ui.exportButton.setText(_("Cancel") if self.isRunning else _("Export"))
        ui.exportButton.setEnabled(reason is None)
        ui.exportButton.setToolTip(reason or _("Write report, tables and pictures, as they were reviewed."))
        ui.openExportButton.setEnabled(bool(self._folder))

    def onExportButton(self, checked=False):
        """Start to write, or cancel it."""
        if self.isRunning:
            self.logic.cancel()
            return
        ui = self.ui
        with shownErrors(_("The export could not be started.")):
            volume = self._volume
            nodes, findings = self.logic.results.of(volume)
            withDicom = ui.exportDicomCheckBox.isChecked() and export.reasonAgainstDicom(volume) is None
            try:
                if withDicom:
                    install.installForDicom()
            except Declined:
                withDicom = False  # report and tables are wanted all the same
            self._notes = self._whatToSay(volume, withDicom)
            target = export.newFolder(ui.exportPathLineEdit.currentPath, volume)
            self._parent = target.parent
            self.logic.jobs.start(
                export.COMMAND,
                lambda folder: export.exportArguments(nodes, findings, folder, target, withDicom),
                onProgress=self.onProgress,
                onFinished=self.onFinished,
                run=LastingRun,
            )
            self.logic.jobs.follow()
            ui.exportPathLineEdit.addCurrentPathToHistory()
            ui.exportStatusLabel.setText(_("Writing…"))
        self._onChanged()

    def _whatToSay(self, volume, withDicom):
        """What a reader must know of what is written."""
        notes = []
        if self.ui.exportDicomCheckBox.isChecked() and not withDicom:
            notes.append(_("DICOM was not written."))
        if not self.logic.results.completedAt(volume):
            notes.append(_("The review was not marked as complete."))
        return notes

    def onProgress(self, stage, fraction):
        self.ui.exportProgressBar.setValue(round(100 * fraction))

    def onFinished(self, run):
        """Say where it lies, or why there is nothing."""
        ui = self.ui
        if run.error is None:
            self._folder = run.answer["folder"]
            written = _("Written: {folder}").format(folder=self._folder)
            ui.exportStatusLabel.setText("\n".join([written, *self._notes]))
        else:
            # A worker that had to be stopped clears nothing away.
            removeLeftovers(self._parent)
            ui.exportStatusLabel.setText(_("Nothing was written: {reason}").format(reason=run.error))
        ui.exportProgressBar.setValue(0 if run.error else 100)
        self._onChanged()

    def onOpenButton(self, checked=False):
        """Show the folder in the system's file manager."""
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(self._folder))
