"""The section Measurements: the table, its lines in the views, text for dictation, and points to drag. Uses Qt."""

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from . import view
from .errors_shown import shownErrors
from .hand_over import rasPoint
from .section import Section

WHERE, NAME, VALUE, RANGE, NORMAL = range(5)
ALARM = "#b5360b"


class MeasurementsSection(Section, VTKObservationMixin):
    """What is measured of the chosen volume, the farthest from normal first."""

    UI = "UI/NeckFracMeasurements.ui"

    def __init__(self, ui, logic, onChanged=None):
        Section.__init__(self, ui, logic, onChanged)
        VTKObservationMixin.__init__(self)
        self._measurements, self._shown = [], None
        table = ui.measurementsTable
        table.connect("currentCellChanged(int,int,int,int)", self._onCurrentCell)
        table.connect("cellClicked(int,int)", lambda row, column: self._go(row))
        ui.copyMeasurementsButton.connect("clicked(bool)", self._onCopy)
        ui.showLinesCheckBox.connect("toggled(bool)", lambda checked: self._showLines())
        ui.movePointsCheckBox.connect("toggled(bool)", lambda checked: self.update())

    def cleanup(self):
        self.removeObservers()
        Section.cleanup(self)

    @property
    def _result(self):
        """The nodes and the findings of the chosen volume; (None, None) without a result."""
        return self.logic.results.of(self._volume) or (None, None)

    @property
    def measurement(self):
        """The measurement of the chosen row; None when there is none."""
        row = self.ui.measurementsTable.currentRow()
        return self._measurements[row] if 0 <= row < len(self._measurements) else None

    def update(self):
        nodes, findings = self._result
        chosen = self.measurement.key if self.measurement else None
        self._fill(findings, chosen)
        ui, there = self.ui, bool(self._measurements)
        for control in (ui.copyMeasurementsButton, ui.showLinesCheckBox, ui.movePointsCheckBox):
            control.setEnabled(there)
        ui.measurementsLabel.setText(self._words(findings))
        self._observe(nodes)
        self._showLines()

    def _fill(self, findings, chosen):
        table = self.ui.measurementsTable
        self._measurements = []  # while it is filled, no row is chosen
        if findings is not None:
            from neckfrac.output.measurements import by_deviation

            rows = by_deviation(findings.measurements)
        else:
            rows = []
        table.setRowCount(len(rows))
        for row, one in enumerate(rows):
            self._fillRow(table, row, one, findings)
        table.resizeColumnsToContents()
        keys = [one.key for one in rows]
        self._measurements = rows
        if chosen in keys and table.currentRow() != keys.index(chosen):
            self._measurements = []
            table.setCurrentCell(keys.index(chosen), WHERE)
            self._measurements = rows

    def _fillRow(self, table, row, one, findings):
        marks = _(" (changed)") if one.edited else ""
        texts = {
            WHERE: self._where(one, findings),
            NAME: one.quantity.title,
            VALUE: one.in_words() + marks,
            RANGE: one.uncertainty_in_words(),
            NORMAL: one.normal.in_words(one.unit) if one.normal else "",
        }
        source = one.normal.source if one.normal else ""
        tip = "\n".join(filter(None, [one.flag, one.quantity.definition, source, one.note]))
        for column, text in texts.items():
            item = qt.QTableWidgetItem(text)
            item.setToolTip(tip)
            if one.flag:
                item.setForeground(qt.QBrush(qt.QColor(ALARM)))
            table.setItem(row, column, item)

    def _where(self, one, findings):
        """Its levels, with what else they could be when the names are uncertain."""
        if not findings.naming.readings:
            return one.where
        return "; ".join(findings.naming.either(level) for level in one.levels)

    def _words(self, findings):
        if findings is None:
            return _("No result of this volume yet.")
        if not findings.measurements:
            return _("Nothing could be measured in this volume.")
        count = len(findings.flagged)
        if not count:
            return _("Nothing that was measured lies outside its normal range.")
        return _("Outside its normal range: {count}. A flag is no diagnosis.").format(count=count)

    def _onCurrentCell(self, row, column, previousRow, previousColumn):
        if self._measurements and row != previousRow:
            self._go(row)

    def _go(self, row):
        """Jump to the middle of a row's lines and show them."""
        if not 0 <= row < len(self._measurements):
            return
        points = self._measurements[row].points
        middle = [sum(values) / len(points) for values in zip(*points, strict=True)]
        view.jumpTo(rasPoint(middle))
        self._showLines()

    def _showLines(self):
        """The chosen row's lines and those that are flagged, or all."""
        nodes, findings = self._result
        if findings is None:
            self._shown = None
            return
        from neckfrac.output.measurement_lines import nodes_of, owners

        chosen = nodes_of(findings, self.measurement, nodes.lines) if self.measurement else []
        ids = [node.GetID() for node in chosen]
        shown = (nodes.text.GetID(), self.ui.showLinesCheckBox.isChecked(), tuple(ids))
        if shown == self._shown:
            return  # what was changed elsewhere stays as it is
        self._shown = shown
        for key, one in owners(findings).values():
            node = nodes.lines[key]
            visible = shown[1] or one.flag is not None or node.GetID() in ids
            node.GetDisplayNode().SetVisibility(visible)
            node.GetDisplayNode().SetPropertiesLabelVisibility(node.GetID() in ids)

    def _observe(self, nodes):
        """Follow the lines while their points may be moved."""
        self.removeObservers(self._onPointMoved)
        movable = bool(nodes) and self.ui.movePointsCheckBox.isChecked()
        for line in nodes.lines.values() if nodes else ():
            line.SetLocked(not movable)
            if movable:
                self.addObserver(line, slicer.vtkMRMLMarkupsNode.PointEndInteractionEvent, self._onPointMoved)

    @vtk.calldata_type(vtk.VTK_INT)
    def _onPointMoved(self, caller, event, index=None):
        key = caller.GetAttribute("NeckFrac.Measurement").rpartition(" ")[0]
        with shownErrors(_("The measurement could not be kept.")):
            self.logic.results.moveMeasurement(self._volume, key)
        self._onChanged()

    def _onCopy(self, checked=False):
        from neckfrac.output.measurements import as_text

        qt.QApplication.clipboard().setText(as_text(self._result[1]))
        slicer.util.showStatusMessage(_("The measurements are in the clipboard."), 3000)
