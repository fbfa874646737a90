"""The section Review: confirm, reject or add findings, move boxes, correct the segmentation. Uses Qt."""

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from . import editor
from .errors_shown import shownErrors
from .section import Section


class ReviewSection(Section, VTKObservationMixin):
    """What a reader says of the chosen level. onDetectAgain(): of that button."""

    UI = "UI/NeckFracReview.ui"

    def __init__(self, ui, logic, onChanged=None, onDetectAgain=None):
        Section.__init__(self, ui, logic, onChanged)
        VTKObservationMixin.__init__(self)
        self.onDetectAgain, self._level = onDetectAgain, None
        self._opened = None  # the result's text node for which this section was opened
        ui.confirmButton.connect("clicked(bool)", lambda checked=False: self._say("confirmed"))
        ui.rejectButton.connect("clicked(bool)", lambda checked=False: self._say("rejected"))
        ui.addButton.connect("clicked(bool)", lambda checked=False: self._say("added"))
        ui.clearButton.connect("clicked(bool)", lambda checked=False: self._say(None))
        ui.undoButton.connect("clicked(bool)", lambda checked=False: self._change(self.logic.results.undo))
        ui.redoButton.connect("clicked(bool)", lambda checked=False: self._change(self.logic.results.redo))
        ui.noteLineEdit.connect("editingFinished()", self._onNote)
        ui.editBoxesCheckBox.connect("toggled(bool)", self._onEdit)
        ui.completeCheckBox.connect("clicked(bool)", self._onComplete)
        ui.segmentEditorButton.connect("clicked(bool)", self._onSegmentEditor)
        ui.detectAgainButton.connect("clicked(bool)", self._onDetectAgain)

    def cleanup(self):
        self.removeObservers()
        Section.cleanup(self)

    def setLevel(self, level):
        """The level that the buttons are for."""
        self._level = level
        self.update()

    def update(self):
        ui, result = self.ui, self.logic.results.of(self._volume)
        nodes, findings = result or (None, None)
        idle = result is not None and not self.logic.isRunning
        level = findings.level(self._level) if findings and self._level else None
        review = findings.review_of(self._level) if level else None
        ui.levelLabel.setText(self._words(findings, level, review) if level else _("Select a level in the table."))
        for button in (ui.confirmButton, ui.rejectButton):
            button.setEnabled(idle and level is not None and level.region is not None)
        ui.addButton.setEnabled(idle and level is not None)
        ui.clearButton.setEnabled(idle and review is not None)
        ui.noteLineEdit.setEnabled(idle and review is not None)
        note = review.note if review else ""
        if ui.noteLineEdit.text != note:
            ui.noteLineEdit.text = note
        ui.undoButton.setEnabled(idle and self.logic.results.canUndo)
        ui.redoButton.setEnabled(idle and self.logic.results.canRedo)
        ui.editBoxesCheckBox.setEnabled(idle)
        self._showCompleted(idle)
        self._open(nodes)
        for button in (ui.segmentEditorButton, ui.detectAgainButton):
            button.setEnabled(idle and nodes.segmentation is not None)
        self._observe(nodes)

    def _showCompleted(self, idle):
        """Whether the reader has called the review complete, and when."""
        ui, when = self.ui, self.logic.results.completedAt(self._volume)
        ui.completeCheckBox.setEnabled(idle)
        if ui.completeCheckBox.checked != bool(when):
            ui.completeCheckBox.checked = bool(when)
        title = _("Review complete ({when})").format(when=when.replace("T", " ")) if when else _("Review complete")
        ui.completeCheckBox.setText(title)

    def _open(self, nodes):
        """Open the section once there is a result; whoever closes it then has it closed."""
        identifier = nodes.text.GetID() if nodes else None
        if identifier and identifier != self._opened:
            self.ui.reviewCollapsibleButton.collapsed = False
        self._opened = identifier

    def _onComplete(self, checked=False):
        with shownErrors(_("The review could not be stamped.")):
            self.logic.results.setComplete(self._volume, checked)
        self._onChanged()

    def _observe(self, nodes):
        """Follow the boxes while they may be moved."""
        self.removeObservers(self._onBoxMoved)
        editable = bool(nodes) and self.ui.editBoxesCheckBox.isChecked()
        self.logic.results.editBoxes(self._volume, editable)
        if editable:
            for roi in nodes.rois.values():
                self.addObserver(roi, slicer.vtkMRMLMarkupsNode.PointEndInteractionEvent, self._onBoxMoved)

    def _words(self, findings, level, review):
        from neckfrac.formatting import as_percent

        name = findings.naming.either(level.level)
        said = {"confirmed": _("confirmed"), "rejected": _("rejected"), "added": _("added by the reader")}
        verdict = said[review.verdict] if review else _("not reviewed")
        if level.probability is None:
            return _("{level}: {verdict}").format(level=name, verdict=verdict)
        return _("{level}, probability {probability}: {verdict}").format(
            level=name, probability=as_percent(level.probability), verdict=verdict
        )

    def _say(self, verdict):
        results, volume, level = self.logic.results, self._volume, self._level
        findings = results.of(volume)[1]
        review = findings.review_of(level)
        note = review.note if review else ""

        def change():
            box = editor.boxHere(findings.level(level)) if verdict == "added" else review.box if review else None
            results.review(volume, level, verdict, note, box)

        self._change(change)

    def _onNote(self):
        result = self.logic.results.of(self._volume)
        review = result[1].review_of(self._level) if result and self._level else None
        note = self.ui.noteLineEdit.text
        if review and note != review.note:
            self._change(
                lambda: self.logic.results.review(self._volume, self._level, review.verdict, note, review.box)
            )

    def _onEdit(self, checked):
        self.update()

    @vtk.calldata_type(vtk.VTK_INT)
    def _onBoxMoved(self, caller, event, index=None):
        self._change(lambda: self.logic.results.moveBox(self._volume, caller.GetAttribute("NeckFrac.Level")))

    def _change(self, change):
        with shownErrors(_("The review could not be kept.")):
            change()
        self._onChanged()

    def _onSegmentEditor(self, checked=False):
        nodes, _findings = self.logic.results.of(self._volume)
        editor.openSegmentEditor(nodes.segmentation, nodes.volume)

    def _onDetectAgain(self, checked=False):
        if self.onDetectAgain:
            self.onDetectAgain()
