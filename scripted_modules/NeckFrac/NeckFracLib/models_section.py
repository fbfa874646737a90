"""The panel's section for the networks: what is installed, which of them the next run asks, add and delete. Uses Qt."""

import logging

import qt
import slicer
from slicer.i18n import tr as _

from . import models
from .errors_shown import shownErrors
from .section import Section

NAME, STEP, VERSION, WEIGHT, CHECKSUM, LICENSE, TRAINED_ON = range(7)
SHORT = 10  # digits of a checksum in the table; the tooltip has all


class ModelsSection(Section):
    """Lists the bundles; a member's check box says whether the next run asks it."""

    UI = "UI/NeckFracModels.ui"

    def __init__(self, ui, logic, onChanged=None):
        Section.__init__(self, ui, logic, onChanged)
        self._entries = []
        self._filling = False
        ui.modelsTable.connect("cellChanged(int,int)", self.onCellChanged)
        ui.modelsTable.connect("itemSelectionChanged()", self._enable)
        ui.addModelButton.connect("clicked(bool)", self.onAddButton)
        ui.removeModelButton.connect("clicked(bool)", self.onRemoveButton)
        ui.modelsFolderButton.connect("clicked(bool)", self.onFolderButton)
        self._show("")
        self.refresh()

    def update(self):
        self._tick()
        self._enable()

    def refresh(self):
        """Read what is installed, and show it."""
        try:
            self._entries = models.readModels()
        except Exception as error:  # without the module's resources nothing else works either
            logging.exception("NeckFrac can't list its networks.")
            self._entries = []
            self._show(str(error))
        self._filling = True
        self.ui.modelsTable.setRowCount(len(self._entries))
        for index, entry in enumerate(self._entries):
            self._fillRow(index, entry)
        self._filling = False
        self.ui.modelsFolderButton.setToolTip(
            _("Show where added networks lie: {folder}").format(folder=models.userFolder())
        )
        self.update()
        self.ui.modelsTable.resizeColumnsToContents()  # the check boxes need room, too

    def onCellChanged(self, row, column):
        """A check box was clicked."""
        if self._filling or column != NAME or not self._parameterNode or not 0 <= row < len(self._entries):
            return
        entry = self._entries[row]
        if not models.isMember(entry):
            return
        used = self.ui.modelsTable.item(row, NAME).checkState() == qt.Qt.Checked
        chosen = models.withChoice(self._parameterNode.leftOutModels, entry.name, used)
        reason = models.reasonAgainstLeavingOut(self._entries, chosen)
        self._show(reason or "")
        if reason:
            self._tick()
        else:
            self._parameterNode.leftOutModels = chosen

    def onAddButton(self, checked=False):
        path = self.askForFile()
        if path:
            self.add(path)

    def askForFile(self):
        """The zip that the user chooses; "" for none. PythonQt gives the path alone. Not run here."""
        return qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Add a network"), "", _("Bundle (*.zip)")
        )

    def add(self, path, replace=False):
        """Let the worker check the bundle and add it."""
        with shownErrors(_("The network could not be added."), waitCursor=True):
            self.logic.jobs.start(
                models.ADD,
                lambda folder: models.addArguments(path, replace),
                onFinished=lambda run: self.onAdded(run, path),
            )
            self.logic.jobs.follow()
            self._show(_("Checking the network…"))
        self._onChanged()

    def onAdded(self, run, path):
        """Tell what came of it; ask before another network is replaced."""
        self.refresh()
        self._onChanged()
        if run.error is not None:
            self._show(_("Not added: {reason}").format(reason=run.error))
        elif run.answer.get("taken"):
            self._show(_("Not added: {reason}").format(reason=run.answer["taken"]))
            question = _("{reason} Use the added one instead?").format(reason=run.answer["taken"])
            if slicer.util.confirmOkCancelDisplay(question, windowTitle=_("NeckFrac")):
                self.add(path, replace=True)
        else:
            self._show(_("Added and checked: {name}.").format(name=run.answer["name"]))

    def onRemoveButton(self, checked=False):
        """Delete the chosen bundle, after asking."""
        entry = self._chosen()
        question = _("Delete the network {name} from the disk?").format(name=entry.name) if entry else ""
        if not entry or not slicer.util.confirmOkCancelDisplay(question, windowTitle=_("NeckFrac")):
            return
        try:
            models.remove(entry.name)
            message = _("Deleted: {name}.").format(name=entry.name)
        except ValueError as error:
            message = _("Not deleted: {reason}").format(reason=error)
        self.refresh()
        self._show(message)

    def onFolderButton(self, checked=False):
        folder = models.userFolder()
        folder.mkdir(parents=True, exist_ok=True)
        self.openFolder(folder)

    def openFolder(self, folder):
        """Show a folder in the system's file manager. Not run here."""
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder)))

    def _fillRow(self, index, entry):
        texts = {
            NAME: entry.name,
            STEP: entry.step,
            VERSION: entry.version,
            WEIGHT: "" if entry.weight is None else f"{entry.weight:.2g}",
            CHECKSUM: ("✓ " if entry.checked else "") + entry.sha256[:SHORT],
            LICENSE: entry.license,
            TRAINED_ON: entry.trained_on,
        }
        for column, text in texts.items():
            item = qt.QTableWidgetItem(text)
            item.setToolTip(self._tooltip(column, entry))
            self.ui.modelsTable.setItem(index, column, item)

    def _tooltip(self, column, entry):
        if entry.error:
            return entry.error
        if column == CHECKSUM:
            verified = _("The weights are as published (SHA-256 checked).") if entry.checked else _("Not checked.")
            return f"{verified}\n{entry.sha256}"
        if column == WEIGHT:
            return _("Its share in the ensemble; 0: it is asked, but does not count.")
        if column in (STEP, TRAINED_ON, LICENSE):
            return {STEP: entry.title, TRAINED_ON: entry.trained_on, LICENSE: entry.license}[column]
        whose = _("Added by you.") if entry.own else _("Comes with NeckFrac.")
        return f"{whose}\n{entry.folder}"

    def _tick(self):
        """Show in the check boxes what the parameter node says."""
        named = models.withChoice(self._parameterNode.leftOutModels, "", True) if self._parameterNode else ""
        named = set(named.split(","))
        self._filling = True
        for index, entry in enumerate(self._entries):
            if models.isMember(entry):
                state = qt.Qt.Unchecked if entry.name in named else qt.Qt.Checked
                self.ui.modelsTable.item(index, NAME).setCheckState(state)
        self._filling = False

    def _chosen(self):
        row = self.ui.modelsTable.currentRow()
        return self._entries[row] if 0 <= row < len(self._entries) else None

    def _enable(self):
        running, entry = self.logic.isRunning, self._chosen()
        self.ui.modelsTable.setEnabled(not running)
        self.ui.addModelButton.setEnabled(not running)
        self.ui.removeModelButton.setEnabled(not running and entry is not None and entry.own)
        if entry is not None and not entry.own:
            self.ui.removeModelButton.setToolTip(_("What comes with NeckFrac is not deleted; untick it instead."))
        else:
            self.ui.removeModelButton.setToolTip(_("Delete the chosen network that you added."))

    def _show(self, text):
        self.ui.modelsStatusLabel.setText(text)
        self.ui.modelsStatusLabel.setVisible(bool(text))
