"""The section Review in the whole panel, offscreen: what a reader says, taking it back, and detecting again."""

import importlib
from types import SimpleNamespace

import numpy as np
import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from slicer_double.whole_panel import Panel  # noqa: E402

REVIEW = 5


@pytest.fixture
def world(monkeypatch, tmp_path):
    """The panel with the result of a CT: C4 called, C3 not, the others not seen."""
    with Panel(monkeypatch, tmp_path) as panel:
        panel.ct = panel.add_ct()
        panel.slices = panel.add_slices()
        panel.open()
        panel.run()
        yield panel


def choose(world, level):
    world.ui.resultsTable.setCurrentCell(world.row(level), 0)


def findings(world):
    return world.widget.logic.results.of(world.node.inputVolume)[1]


def test_before_a_level_is_chosen_there_is_nothing_to_say(world):
    ui = world.ui
    ui.resultsTable.setCurrentCell(-1, -1)
    assert ui.levelLabel.text == "Select a level in the table."
    buttons = (ui.confirmButton, ui.rejectButton, ui.addButton, ui.clearButton, ui.undoButton, ui.redoButton)
    assert not any(button.enabled for button in buttons)


def test_a_rejected_finding_loses_its_box_keeps_a_note_and_comes_back_with_undo(world):
    choose(world, "C4")
    assert world.ui.levelLabel.text == "C4, probability 90.0 %: not reviewed"
    world.ui.rejectButton.click()
    assert world.boxes() == set() and world.texts(0)[REVIEW] == "rejected"
    world.ui.noteLineEdit.setText("nutrient vessel")
    world.ui.noteLineEdit.editingFinished.emit()
    assert findings(world).review_of("C4").note == "nutrient vessel"
    assert world.ui.resultsTable.item(0, REVIEW).toolTip() == "nutrient vessel"
    world.ui.undoButton.click()
    assert findings(world).review_of("C4").note == "" and world.ui.noteLineEdit.text == ""
    world.ui.undoButton.click()
    assert world.boxes() == {"C4"} and not world.ui.undoButton.enabled
    world.ui.redoButton.click()
    assert world.boxes() == set()
    world.ui.clearButton.click()
    assert world.boxes() == {"C4"} and world.texts(0)[REVIEW] == ""


def test_a_confirmed_finding_stays_at_every_operating_point(world):
    choose(world, "C4")
    world.ui.confirmButton.click()
    world.ui.operatingPointComboBox.setCurrentIndex(2)
    assert world.texts(world.row("C4"))[3] == "none found" and world.boxes() == {"C4"}


def test_a_finding_is_added_where_the_slices_are_centered(world):
    for node in world.slices:
        node.JumpSliceByCentering(-4.0, 12.0, 109.0)
    choose(world, "C7")
    assert world.ui.addButton.enabled and not world.ui.confirmButton.enabled
    world.ui.addButton.click()
    assert world.boxes() == {"C4", "C7"} and world.texts(world.row("C7"))[REVIEW] == "added"
    assert np.allclose(findings(world).boxes()["C7"].center, (4.0, -12.0, 109.0)), "RAS turns x and y"
    assert world.texts(world.row("C7"))[3] == "not seen", "what the networks say stays"


def test_a_box_that_the_reader_moves_is_kept(world):
    choose(world, "C4")
    roi = world.scene.GetFirstNodeByClass("vtkMRMLMarkupsROINode")
    assert roi.GetLocked()
    world.ui.editBoxesCheckBox.click()
    assert not roi.GetLocked()
    roi.SetCenter(0, 10, 120)
    roi.InvokeEvent(slicer.vtkMRMLMarkupsNode.PointEndInteractionEvent)
    review = findings(world).review_of("C4")
    assert review.verdict == "confirmed" and np.allclose(review.box.center, (0, -10, 120))
    world.ui.editBoxesCheckBox.click()
    assert roi.GetLocked()
    roi.SetCenter(5, 5, 5)
    roi.InvokeEvent(slicer.vtkMRMLMarkupsNode.PointEndInteractionEvent)
    assert np.allclose(findings(world).review_of("C4").box.center, (0, -10, 120)), "no longer followed"


def test_reviews_stay_through_another_run_and_are_in_the_table_node(world):
    choose(world, "C4")
    world.ui.rejectButton.click()
    world.run()
    assert world.boxes() == set() and world.texts(0)[REVIEW] == "rejected"
    table = world.scene.GetFirstNodeByClass("vtkMRMLTableNode").GetTable().GetColumnByName("Review")
    assert table.GetValue(3) == "rejected"
    assert not world.ui.undoButton.enabled, "what was said of other findings is not taken back"


def test_fractures_are_detected_again_in_the_segmentation_that_was_corrected(world):
    node = world.scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    segmentation = node.GetSegmentation()
    segment = next(
        segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments())
        if segmentation.GetNthSegment(n).GetName() == "C4"
    )  # fmt: skip
    segment.SetName("C5")  # the reader has counted the levels
    assert world.ui.detectAgainButton.enabled
    world.ui.detectAgainButton.click()
    world.wait_until(lambda: not world.widget.logic.isRunning)
    assert world.boxes() == {"C5"}
    assert world.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
    assert world.scene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is node


def test_the_segment_editor_opens_with_the_vertebrae_and_the_ct(world, monkeypatch):
    editor = importlib.import_module("NeckFracLib.editor")
    opened = []
    monkeypatch.setattr(editor, "openSegmentEditor", lambda *nodes: opened.append(nodes))
    world.ui.segmentEditorButton.click()
    assert opened == [(world.scene.GetFirstNodeByClass("vtkMRMLSegmentationNode"), world.ct)]


def test_while_something_runs_nothing_can_be_reviewed(world, monkeypatch):
    choose(world, "C4")
    world.ct.SetName("slow")
    world.ui.applyButton.click()
    assert not world.ui.confirmButton.enabled and not world.ui.editBoxesCheckBox.enabled
    world.run()  # cancels
    assert world.ui.confirmButton.enabled


def test_without_slices_a_finding_is_added_at_its_vertebra_or_refused(world, caplog):
    for node in world.slices:
        world.scene.RemoveNode(node)
    choose(world, "C3")
    world.ui.addButton.click()
    assert np.allclose(findings(world).boxes()["C3"].center, findings(world).level("C3").center)
    choose(world, "C7")
    world.ui.addButton.click()
    assert "C7" not in world.boxes() and "Center the slices" in caplog.text
    editor = importlib.import_module("NeckFracLib.editor")
    with pytest.raises(ValueError, match="Center the slices"):
        editor.boxHere(SimpleNamespace(center=None))
