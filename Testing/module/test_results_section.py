"""The section Results in the whole panel, offscreen: the table that leads through the findings, and the views."""

import importlib
from dataclasses import replace

import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from output_case import make_analysis  # noqa: E402
from slicer_double.whole_panel import Panel  # noqa: E402

LEVEL, PROBABILITY, THRESHOLD, SUSPICION = range(4)


@pytest.fixture
def world(monkeypatch, tmp_path):
    with Panel(monkeypatch, tmp_path) as panel:
        panel.ct = panel.add_ct()
        yield panel


@pytest.fixture
def analyzed(world):
    """With slices, and the result of the CT."""
    world.slices = world.add_slices()
    world.open()
    world.run()
    return world


def place(world):
    axial, sagittal, coronal = (node.GetSliceToRAS() for node in world.slices)
    return sagittal.GetElement(0, 3), coronal.GetElement(1, 3), axial.GetElement(2, 3)


def test_apply_fills_scene_and_table_the_most_probable_level_first(analyzed):
    assert analyzed.boxes() == {"C4"}
    assert analyzed.texts(0) == ["C4", "90.0 %", "50.0 %", "moderate", "", ""]
    assert analyzed.texts(1) == ["C3", "10.0 %", "50.0 %", "none found", "", ""]
    assert analyzed.texts(2) == ["C1", "", "", "not seen", "", ""]
    assert analyzed.ui.statusLabel.text.startswith("Done in") and analyzed.ui.progressBar.value == 100
    assert "C4" in analyzed.ui.summaryLabel.text


def test_the_summary_says_why_a_patient_below_the_threshold_is_positive(world):
    from NeckFracLib import results_table

    findings = make_analysis().findings
    low = replace(findings, patient_probability=0.41)
    assert low.note_on_call() in results_table.summary(low) and "0.41" in low.note_on_call()
    assert "called positive because" not in results_table.summary(findings)


def test_a_click_on_a_head_sorts_by_level_or_by_probability_and_keeps_the_chosen_row(analyzed):
    header = analyzed.ui.resultsTable.horizontalHeader()
    analyzed.ui.resultsTable.setCurrentCell(0, 0)
    header.sectionClicked.emit(LEVEL)
    assert [analyzed.texts(row)[0] for row in range(7)] == [f"C{n}" for n in range(1, 8)]
    assert analyzed.widget.results.level == "C4" and not analyzed.node.sortByProbability
    header.sectionClicked.emit(SUSPICION)
    assert analyzed.texts(0)[0] == "C1", "only these two sort"
    header.sectionClicked.emit(PROBABILITY)
    assert analyzed.texts(0)[0] == "C4" and analyzed.widget.results.level == "C4"


def test_a_click_jumps_all_slices_and_the_camera_to_the_finding_and_makes_its_box_stand_out(analyzed):
    camera = analyzed.scene.AddNewNodeByClass("vtkMRMLCameraNode")
    camera.SetPosition(0, 500, 0)
    analyzed.ui.resultsTable.cellClicked.emit(0, 1)
    # The bright block's middle is at LPS (4.5, -10.5, 129): RAS turns x and y.
    assert place(analyzed) == pytest.approx((-4.5, 10.5, 129))
    assert camera.GetFocalPoint() == pytest.approx((-4.5, 10.5, 129))
    assert camera.GetPosition() == pytest.approx((-4.5, 510.5, 129)), "it looks from the same side"
    view = importlib.import_module("NeckFracLib.view")
    roi = analyzed.scene.GetFirstNodeByClass("vtkMRMLMarkupsROINode")
    assert roi.GetDisplayNode().GetFillOpacity() == pytest.approx(view.OPACITY_SELECTED)
    analyzed.ui.resultsTable.cellClicked.emit(analyzed.row("C1"), 0)  # not seen: nowhere to go
    assert place(analyzed) == pytest.approx((-4.5, 10.5, 129))
    assert roi.GetDisplayNode().GetFillOpacity() == pytest.approx(view.OPACITY)


def test_up_and_down_walk_through_the_findings(analyzed):
    from PySide6 import QtCore, QtGui, QtWidgets

    table = analyzed.ui.resultsTable
    table.setCurrentCell(0, 0)
    for key, height in ((QtCore.Qt.Key_Down, 149), (QtCore.Qt.Key_Up, 129)):
        event = QtGui.QKeyEvent(QtCore.QEvent.Type.KeyPress, key, QtCore.Qt.KeyboardModifier.NoModifier)
        QtWidgets.QApplication.sendEvent(table, event)
        assert place(analyzed)[2] == pytest.approx(height)


def test_another_operating_point_is_shown_at_once_without_a_run(analyzed):
    pid = analyzed.widget.logic.workerPid
    for index, (call, boxes) in enumerate(
        [("high", {"C3", "C4"}), ("moderate", {"C4"}), ("none found", set())]
    ):
        analyzed.ui.operatingPointComboBox.setCurrentIndex(index)
        assert analyzed.texts(analyzed.row("C4"))[SUSPICION] == call and analyzed.boxes() == boxes
        assert not analyzed.widget.logic.isRunning
    assert analyzed.widget.logic.workerPid == pid


def test_nothing_above_the_threshold_is_said_together_with_the_highest_level(world):
    world.ct.SetName("calm")
    world.open()
    world.run()
    assert "Nothing found above the threshold" in world.ui.summaryLabel.text
    assert "C4, 20.0 % (threshold 50.0 %)" in world.ui.summaryLabel.text and world.boxes() == set()


def test_levels_that_were_not_seen_are_grey_and_say_why(analyzed):
    table = analyzed.ui.resultsTable
    seen, unseen = table.item(0, 0), table.item(analyzed.row("C7"), 0)
    assert "not in the scan" in unseen.toolTip() and "Click" in seen.toolTip()
    assert unseen.foreground().color() != seen.foreground().color()
    assert table.cellWidget(analyzed.row("C7"), PROBABILITY) is None


def test_the_bars_grow_with_the_probability_and_tell_what_each_network_says(analyzed):
    table = analyzed.ui.resultsTable
    high, low = table.cellWidget(0, PROBABILITY), table.cellWidget(1, PROBABILITY)
    assert high.value > low.value > 0 and "fake: 90.0 %" in high.toolTip and "Threshold: 50.0 %" in high.toolTip


def test_the_check_boxes_show_and_hide_boxes_vertebrae_surfaces_and_heat(analyzed):
    scene, ui = analyzed.scene, analyzed.ui
    roi = scene.GetFirstNodeByClass("vtkMRMLMarkupsROINode").GetDisplayNode()
    vertebrae = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode").GetDisplayNode()
    for box, shown in (
        (ui.showBoxesCheckBox, roi.GetVisibility),
        (ui.showSegmentationCheckBox, vertebrae.GetVisibility2D),
        (ui.show3DCheckBox, vertebrae.GetVisibility3D),
    ):
        assert shown()
        box.click()
        assert not shown()
        box.click()
        assert shown()


def test_the_heat_map_lies_over_the_ct_as_strongly_as_the_slider_says(world):
    composite = world.scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    world.open()
    world.run()
    heat = next(
        node for n in range(2) if (node := world.scene.GetNthNodeByClass(n, "vtkMRMLScalarVolumeNode")) is not world.ct
    )
    assert composite.GetBackgroundVolumeID() == world.ct.GetID()
    assert composite.GetForegroundVolumeID() == heat.GetID()
    world.ui.heatOpacitySlider.setValue(75)
    assert composite.GetForegroundOpacity() == pytest.approx(0.75) and world.node.heatOpacity == 75
    world.ui.showHeatCheckBox.click()
    assert composite.GetForegroundVolumeID() is None
    other = world.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    composite.SetForegroundVolumeID(other.GetID())
    world.ui.heatOpacitySlider.setValue(20)
    assert composite.GetForegroundVolumeID() == other.GetID(), "what was put there by others stays"


def test_the_reading_layout_has_a_large_axial_view_and_needs_a_layout(world):
    world.open()
    world.ui.readingLayoutButton.click()  # nothing to change: no error
    layout = world.scene.AddNewNodeByClass("vtkMRMLLayoutNode")
    world.ui.readingLayoutButton.click()
    module = importlib.import_module("NeckFracLib.layout")
    assert layout.GetViewArrangement() == module.READING_LAYOUT
    root = layout.GetCurrentLayoutDescription()
    assert root.index("Axial") < root.index("Sagittal") < root.index("Coronal") < root.index("vtkMRMLViewNode")


def test_each_volume_shows_its_own_result(analyzed):
    other = analyzed.add_ct("calm")
    analyzed.ui.inputSelector.setCurrentNode(other)
    assert analyzed.ui.resultsTable.rowCount == 0 and "No result" in analyzed.ui.summaryLabel.text
    analyzed.run()
    assert analyzed.texts(0)[:2] == ["C4", "20.0 %"]
    analyzed.ui.inputSelector.setCurrentNode(analyzed.ct)
    assert analyzed.texts(0)[:2] == ["C4", "90.0 %"] and analyzed.boxes() == {"C4"}


def test_the_results_come_back_when_the_module_is_opened_again(analyzed):
    analyzed.widget.exit()
    analyzed.ui.resultsTable.setRowCount(0)
    analyzed.widget.enter()
    assert analyzed.texts(0)[0] == "C4"


def test_uncertain_names_are_warned_of_above_the_table_and_in_it(world):
    world.ct.SetName("uncertain")
    world.open()
    label = world.ui.namingLabel
    assert label.isHidden()
    world.run()
    assert not label.isHidden() and "C3–C4 or C4–C5" in label.text
    assert label.toolTip == "Neither C1 nor C2 is in view."
    results = world.ui.resultsCollapsibleButton.layout()
    assert results.indexOf(label) < results.indexOf(world.ui.resultsTable)
    assert {world.texts(row)[0] for row in range(7)} == {"C1", "C2", "C3 or C4", "C4 or C5", "C5", "C6", "C7"}
    assert world.ui.caveatLabel.text == "Another warning." and not world.ui.caveatLabel.isHidden()
    world.widget.exit()
    label.setVisible(False)
    world.widget.enter()
    assert not label.isHidden(), "it comes back with the scene"
    world.ui.inputSelector.setCurrentNode(world.add_ct())
    world.run()
    assert label.isHidden() and world.ui.caveatLabel.isHidden()


@pytest.mark.parametrize("text", ["nonsense", "[1]", '{"schema": "1.0"}', "7"])
def test_a_scene_that_holds_nonsense_for_findings_shows_no_result(analyzed, text):
    analyzed.scene.GetFirstNodeByClass("vtkMRMLTextNode").SetText(text)
    analyzed.widget.update()
    assert analyzed.ui.resultsTable.rowCount == 0 and "No result" in analyzed.ui.summaryLabel.text
