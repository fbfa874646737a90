"""The section Results: the table that leads through the findings, and what the views show of them. Uses Qt."""

from typing import NamedTuple

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from . import anchors, hand_over, heat_layer, layout, results_chart, results_table, view
from .hand_over import rasPoint
from .section import Section


class Shown(NamedTuple):
    """What the views show of a result. result: its text node's ID. heat: percent of opacity, 0 when it is hidden."""

    result: str | None = None
    rois: tuple = ()
    boxes: bool | None = None
    vertebrae: bool | None = None
    in3D: bool | None = None
    heat: int | None = None
    anchors: bool | None = None


class ResizeWatcher(qt.QObject):
    """Calls a function when the widget that it is installed on has got another size."""

    def __init__(self, onResize):
        qt.QObject.__init__(self)
        self._onResize = onResize

    def eventFilter(self, watched, event):
        """Qt's function: False lets the event go on to the widget."""
        if event.type() == qt.QEvent.Resize:
            self._onResize()
        return False


class ResultsSection(Section):
    """The result of the chosen volume, at the chosen operating point.

    onSelected(level or None): called when another row is chosen.
    """

    UI = "UI/NeckFracResults.ui"

    def __init__(self, ui, logic, onSelected=None):
        Section.__init__(self, ui, logic)
        self.onSelected = onSelected
        self._levels, self._findings, self._nodes, self._shown = [], None, None, Shown()
        self._filling = False
        table = ui.resultsTable
        table.connect("currentCellChanged(int,int,int,int)", self._onCurrentCell)
        table.connect("cellClicked(int,int)", self._onClicked)
        table.horizontalHeader().connect("sectionClicked(int)", self._onHeader)
        ui.readingLayoutButton.connect("clicked(bool)", self._onReadingLayout)
        ui.boneWindowButton.connect("clicked(bool)", lambda checked=False: self._onWindow(view.BONE))
        ui.softTissueWindowButton.connect("clicked(bool)", lambda checked=False: self._onWindow(view.SOFT_TISSUE))
        # The table has its width only once it is laid out; what follows it is drawn after that, not amid it.
        self._drawSoon = qt.QTimer()
        self._drawSoon.setSingleShot(True)
        self._drawSoon.setInterval(0)
        self._drawSoon.connect("timeout()", self._onResized)
        self._watcher = ResizeWatcher(self._drawSoon.start)
        table.installEventFilter(self._watcher)

    def cleanup(self):
        self.ui.resultsTable.removeEventFilter(self._watcher)
        self._drawSoon.stop()
        heat_layer.takeHeatAway()
        Section.cleanup(self)

    def step(self, rows):
        """Choose the row so many rows below the chosen one; stops at the ends."""
        table = self.ui.resultsTable
        if table.rowCount:
            table.setCurrentCell(min(max(table.currentRow() + rows, 0), table.rowCount - 1), 0)

    def showLikeliest(self):
        """Choose the likeliest finding, and go there; to the middle of the neck when nothing was found."""
        if self._findings is None:
            return
        boxes = self._findings.boxes()
        found = [row for row, level in enumerate(self._levels) if level.level in boxes]
        table = self.ui.resultsTable
        if found:
            row = max(found, key=lambda row: self._levels[row].probability or 0.0)
            table.setCurrentCell(row, 0)
            self._go(row)
            return
        table.setCurrentCell(-1, -1)
        centers = [level.center for level in self._findings.levels if level.center is not None]
        if centers:
            view.jumpTo(rasPoint(np.median(np.array(centers), axis=0)))

    @property
    def level(self):
        """The level of the chosen row; None when there is none."""
        row = self.ui.resultsTable.currentRow()
        return self._levels[row].level if 0 <= row < len(self._levels) else None

    def update(self):
        """Show what the scene holds of the chosen volume."""
        volume = self._volume
        result = self.logic.results.of(volume)
        if result and not self.logic.isRunning:
            self.logic.results.showAt(volume, self._parameterNode.operatingPoint.value)
            result = self.logic.results.of(volume)
        self._nodes, self._findings = result or (None, None)
        self._fill()
        self._showInViews(volume)
        ui = self.ui
        for control in (ui.showBoxesCheckBox, ui.showSegmentationCheckBox, ui.show3DCheckBox):
            control.setEnabled(result is not None)
        hot = result is not None and self._nodes.heat is not None
        ui.showHeatCheckBox.setEnabled(hot)
        ui.heatOpacitySlider.setEnabled(hot)
        for button in (ui.boneWindowButton, ui.softTissueWindowButton):
            button.setEnabled(volume is not None)
        self._nameLayoutButton()

    def _fill(self):
        ui, findings, chosen = self.ui, self._findings, self.level
        self._filling = True
        try:
            if findings is None:
                self._levels = []
                ui.resultsTable.setRowCount(0)
                ui.summaryLabel.setText(_("No result of this volume yet."))
                results_table.showNaming(ui.namingLabel, None)
                results_table.showWarnings(ui.caveatLabel, None)
                return
            self._levels = results_table.ordered(findings, self._parameterNode.sortByProbability)
            results_table.fillTable(ui.resultsTable, findings, self._levels)
            ui.summaryLabel.setText(results_table.summary(findings))
            results_table.showNaming(ui.namingLabel, findings.naming)
            results_table.showWarnings(ui.caveatLabel, findings, hand_over.hasMoved(self._volume, findings))
            names = [level.level for level in self._levels]
            if chosen in names:
                ui.resultsTable.setCurrentCell(names.index(chosen), 0)
            results_table.markChosen(ui.resultsTable)
        finally:
            self._filling = False
            self._showChart()

    def _onResized(self):
        results_table.fitColumns(self.ui.resultsTable)
        self._showChart()

    def _showChart(self):
        """The levels in their order in the neck, however the table is sorted: what is broken together lies together."""
        table = self.ui.resultsTable  # as wide as the chart may be, and never hidden
        levels = self._findings.levels if self._findings else ()
        results_chart.showChart(self.ui.chartLabel, self._findings, levels, self.level, table.width)

    def _showInViews(self, volume):
        """What the check boxes say, unless it is shown already: what was changed elsewhere stays as it is."""
        node = self._parameterNode
        if node is None or self._nodes is None:
            if self._shown != Shown():
                heat_layer.takeHeatAway()
            self._shown = Shown()
            return
        shown = Shown(
            self._nodes.text.GetID(),
            tuple(self._nodes.rois),
            node.showBoxes,
            node.showSegmentation,
            node.show3D,
            node.heatOpacity if node.showHeat else 0,
            node.showAnchors,
        )
        if shown == self._shown:
            return
        before, self._shown = self._shown, shown
        if before.result != shown.result:
            view.showVolume(volume)
            view.setFirstWindow(volume)
            before = Shown()  # of another result nothing is shown yet
        if (before.rois, before.boxes) != (shown.rois, shown.boxes):
            view.showBoxes(self._nodes, shown.boxes)
        if (before.vertebrae, before.in3D) != (shown.vertebrae, shown.in3D):
            view.showSegmentation(self._nodes, shown.vertebrae, shown.in3D)
        if before.heat != shown.heat:
            heat_layer.showHeat(self._nodes, shown.heat)
        if before.anchors != shown.anchors:
            anchors.showAnchors(shown.anchors)
        view.select(self._nodes, self.level)

    def _onCurrentCell(self, row, column, previousRow, previousColumn):
        if not self._filling and row != previousRow:
            self._go(row)

    def _onClicked(self, row, column):
        self._go(row)

    def _go(self, row):
        """Jump to the finding of a row, or to its vertebra, and choose its box."""
        if not 0 <= row < len(self._levels):
            if self.onSelected:
                self.onSelected(None)
            return
        level = self._levels[row]
        box = self._findings.boxes().get(level.level) or level.region
        point = level.center if box is None else box.center
        view.jumpTo(None if point is None else rasPoint(point))
        view.select(self._nodes, level.level)
        results_table.markChosen(self.ui.resultsTable)
        self._showChart()
        if self.onSelected:
            self.onSelected(level.level)

    def _onHeader(self, column):
        if self._parameterNode and column in (results_table.LEVEL, results_table.PROBABILITY):
            self._parameterNode.sortByProbability = column == results_table.PROBABILITY

    def _onReadingLayout(self, checked=False):
        if not layout.toggleReadingLayout():
            slicer.util.showStatusMessage(_("There is no layout to change."), 3000)
        self._nameLayoutButton()

    def _nameLayoutButton(self):
        reading = layout.isReadingLayout()
        self.ui.readingLayoutButton.setText(_("Previous layout") if reading else _("Reading layout"))

    def _onWindow(self, window):
        view.setWindow(self._volume, window)
