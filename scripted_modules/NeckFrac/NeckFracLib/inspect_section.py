"""The section Inspection: each network's probabilities, the segmentation against a reference, what is odd. Uses Qt."""

import logging

import qt
import slicer
from slicer.i18n import tr as _

from . import hand_over, inspection, stages, view
from .engine_path import ensureEngine
from .errors_shown import shownErrors
from .section import Section

LEVEL, DICE, SURFACE_1, SURFACE_2, HAUSDORFF, VOLUME, REFERENCE_VOLUME, REMARK = range(8)
FLAG_LEVELS, FLAG_SENTENCE = range(2)
POOR_DICE = 0.7  # from here down a level is marked: it lies elsewhere, or half of it is missing
MARK = "#f2d7d5"


class InspectSection(Section):
    """For researchers: what stands behind a result."""

    UI, COMMAND = "UI/NeckFracInspect.ui", inspection.COMMAND

    def __init__(self, ui, logic, onChanged=None):
        Section.__init__(self, ui, logic, onChanged)
        self._members, self._levels, self._flags = [], [], []
        self._shown = None
        ui.referenceSelector.setMRMLScene(slicer.mrmlScene)
        ui.compareButton.connect("clicked(bool)", self.onCompareButton)
        ui.membersTable.connect("cellClicked(int,int)", lambda row, column: self._jump(self._members, row))
        ui.comparisonTable.connect("cellClicked(int,int)", lambda row, column: self._jump(self._levels, row))
        ui.flagsTable.connect("cellClicked(int,int)", lambda row, column: self._jump(self._flags, row))
        self._show("")

    @property
    def _result(self):
        """The nodes and the findings of the chosen volume; (None, None) without a result."""
        return self.logic.results.of(self._volume) or (None, None)

    def update(self):
        nodes, findings = self._result
        self._fillMembers(findings)
        comparison = inspection.comparisonOf(self._volume)
        self._fillLevels(comparison)
        self._fillFlags(comparison)
        self._showInViews(comparison)
        self._enable(nodes.segmentation if nodes else None, comparison)

    def onCompareButton(self, checked=False):
        """Compare, or cancel what runs."""
        if self.isRunning:
            self._show(_("Cancelling…"))
            self.logic.cancel()
            return
        volume, reference = self._volume, self._parameterNode.referenceSegmentation
        segmentation = self._result[0].segmentation
        with shownErrors(_("The comparison could not be started."), waitCursor=True):
            self.logic.jobs.start(
                inspection.COMMAND,
                lambda folder: inspection.compareArguments(volume, segmentation, reference, folder),
                lambda run: inspection.takeIn(run.folder, volume),
                onProgress=self.onProgress,
                onFinished=self.onFinished,
            )
            self.logic.jobs.follow()
            self._show(_("Comparing…"), 0)
        self._onChanged()

    def onProgress(self, stage, fraction):
        self._show(stages.inWords(stage), fraction)

    def onFinished(self, run):
        """Show the figures, or why there are none."""
        self._shown = None  # a new comparison follows the check boxes
        if run.error is None:
            self._show(self._summary(inspection.comparisonOf(self._volume)))
        elif run.error.kind == "cancelled":
            self._show(_("Cancelled."))
        else:
            logging.error("NeckFrac's comparison ended: %s", run.error.kind)
            self._show(_("No comparison: {reason}").format(reason=run.error))
        self._onChanged()

    def _summary(self, comparison):
        if comparison is None:
            return ""
        words = []
        if comparison.mean_dice is not None:
            words.append(_("Mean Dice {dice}.").format(dice=_figure(comparison.mean_dice, 3)))
        count = len(inspection.flagsOf(comparison))
        words.append(_("Nothing odd was found.") if not count else _("To look at: {count}.").format(count=count))
        return " ".join(words)

    def _fillMembers(self, findings):
        table = self.ui.membersTable
        if findings is None:
            self._members = []
            table.setRowCount(0)
            table.setColumnCount(1)
            return
        from neckfrac.formatting import as_percent

        columns, rows = inspection.memberTable(findings)
        self._members = [place for _name, _values, place in rows]
        table.setColumnCount(1 + len(columns))
        titles = [_("Ensemble") if name == inspection.ENSEMBLE else name.removeprefix("neckfrac-") for name in columns]
        for index, title in enumerate([_("Level"), *titles]):
            item = qt.QTableWidgetItem(title)
            item.setToolTip(title if index < 2 else columns[index - 1])
            table.setHorizontalHeaderItem(index, item)
        table.setRowCount(len(rows))
        for index, (name, values, _place) in enumerate(rows):
            self._fillRow(table, index, [name, *map(as_percent, values)], place=self._members[index])
        table.resizeColumnsToContents()

    def _fillLevels(self, comparison):
        table = self.ui.comparisonTable
        levels = comparison.levels if comparison else ()
        self._levels = [level.place for level in levels]
        table.setRowCount(len(levels))
        for index, level in enumerate(levels):
            texts = [
                level.level,
                _figure(level.dice, 3),
                _figure(level.surface_dice_1mm, 3),
                _figure(level.surface_dice_2mm, 3),
                _figure(level.hausdorff95_mm, 1),
                _figure(level.volume_ml or None, 1),
                _figure(level.reference_ml or None, 1),
                self._remark(level),
            ]
            poor = bool(texts[REMARK]) or (level.dice is not None and level.dice < POOR_DICE)
            self._fillRow(table, index, texts, marked=poor and level.place is not None, place=level.place)
            if texts[REMARK]:
                table.item(index, REMARK).setToolTip(texts[REMARK])
        table.resizeColumnsToContents()

    def _remark(self, level):
        if level.lies_in:
            return _("Lies in {level}").format(level=level.lies_in)
        return {
            "only in the segmentation": _("Not in the reference"),
            "only in the reference": _("Not in the segmentation"),
            "in neither": _("In neither"),
        }.get(level.found, "")

    def _fillFlags(self, comparison):
        table = self.ui.flagsTable
        flags = inspection.flagsOf(comparison) if comparison else []
        self._flags = [flag.place for flag, _inReference in flags]
        table.setRowCount(len(flags))
        for index, (flag, inReference) in enumerate(flags):
            names = ", ".join(flag.levels)
            text = _("{levels}, reference").format(levels=names) if inReference else names
            self._fillRow(table, index, [text, flag.sentence], place=flag.place)
            table.item(index, FLAG_SENTENCE).setToolTip(flag.sentence)
        table.resizeColumnsToContents()
        table.setVisible(bool(flags))

    def _fillRow(self, table, row, texts, marked=False, place=None):
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(_("Click to show the place in all views.") if place else "")
            if marked:
                item.setBackground(qt.QBrush(qt.QColor(MARK)))
                item.setForeground(qt.QBrush(qt.QColor("black")))
            table.setItem(row, column, item)

    def _jump(self, places, row):
        place = places[row] if 0 <= row < len(places) else None
        return place is not None and view.jumpTo(hand_over.rasPoint(place))

    def _showInViews(self, comparison):
        """What the check boxes say, unless it is shown already: what was changed elsewhere stays as it is."""
        if comparison is None or self._parameterNode is None or self.logic.isRunning:
            self._shown = None
            return
        shown = (self._parameterNode.showDistances, self._parameterNode.showDisagreement)
        if shown != self._shown:
            inspection.show(*shown)
            self._shown = shown

    def _enable(self, segmentation, comparison):
        ui, running = self.ui, self.isRunning
        reference = self._parameterNode.referenceSegmentation if self._parameterNode else None
        for control in (ui.showDistancesCheckBox, ui.showDisagreementCheckBox):
            control.setEnabled(comparison is not None and bool(comparison.levels))
        ui.referenceSelector.setEnabled(not running)
        ui.comparisonTable.setVisible(comparison is not None and bool(comparison.levels))
        if running:
            ui.compareButton.setText(_("Cancel"))
            ui.compareButton.setToolTip(_("Stop; the scene stays as it is."))
            ui.compareButton.setEnabled(True)
            return
        ensureEngine()
        reason = inspection.reasonAgainst(self._volume, segmentation, reference)
        if self.logic.isRunning:
            reason = _("Something else is running.")
        told = _("Measure overlap and distances of each level, and look for levels that are odd.")
        alone = _("Look for levels that are out of order, there twice, fused, in pieces or missing.")
        ui.compareButton.setText(_("Compare") if reference else _("Check without a reference"))
        ui.compareButton.setToolTip(reason or (told if reference else alone))
        ui.compareButton.setEnabled(not reason)

    def _show(self, text, fraction=None):
        self.ui.compareStatusLabel.setText(text)
        self.ui.compareStatusLabel.setVisible(bool(text))
        if fraction is not None:
            self.ui.compareProgressBar.setValue(round(100 * fraction))
        self.ui.compareProgressBar.setVisible(self.isRunning)


def _figure(value, digits):
    return "" if value is None else f"{value:.{digits}f}"
