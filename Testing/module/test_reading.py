"""Reading and reviewing as a radiologist wants it: where a run ends, what the table says, keys, the review's end."""

import csv
import importlib
import json
from types import SimpleNamespace

import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from PySide6 import QtCore, QtGui, QtWidgets  # noqa: E402
from slicer_double.whole_panel import Panel  # noqa: E402

PROBABILITY, THRESHOLD, SUSPICION, IN_VIEW = range(1, 5)


@pytest.fixture
def world(monkeypatch, tmp_path):
    with Panel(monkeypatch, tmp_path) as panel:
        panel.ct = panel.add_ct()
        panel.slices = panel.add_slices()
        panel.open()
        yield panel


def place(world):
    axial, sagittal, coronal = (node.GetSliceToRAS() for node in world.slices)
    return sagittal.GetElement(0, 3), coronal.GetElement(1, 3), axial.GetElement(2, 3)


def test_after_apply_the_likeliest_finding_is_chosen_and_the_slices_stand_on_it(world):
    world.ui.operatingPointComboBox.setCurrentIndex(0)  # C3 is called, too
    world.run()
    assert world.widget.results.level == "C4" and world.ui.levelLabel.text.startswith("C4")
    assert place(world) == pytest.approx((-4.5, 10.5, 129))


def test_where_nothing_is_found_the_slices_stand_in_the_middle_of_the_neck_and_no_row_is_chosen(world):
    world.ct.SetName("calm")
    world.run()
    assert world.widget.results.level is None
    # Of the two vertebrae that were seen: C4 at 129 mm, C3 20 mm above it.
    assert place(world) == pytest.approx((-4.5, 10.5, 139))


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.87, "87.0 %"), (0.0034, "0.3 %"), (0.0001, "<0.1 %"), (0.99996, ">99.9 %"), (None, ""), (1.0, ">99.9 %")],
)
def test_probabilities_are_percent_with_one_decimal(probability, text):
    from neckfrac.formatting import as_percent

    assert as_percent(probability) == text


def test_how_much_is_in_view_has_a_column_only_when_the_scans_edge_cuts_a_level(world):
    from dataclasses import replace

    world.run()
    table = world.ui.resultsTable
    assert table.isColumnHidden(IN_VIEW)
    fill = importlib.import_module("NeckFracLib.results_table").fillTable
    findings = world.widget.logic.results.of(world.ct)[1]
    levels = [replace(level, share_in_view=0.78) if level.level == "C3" else level for level in findings.levels]
    fill(table, findings, levels)
    assert not table.isColumnHidden(IN_VIEW)
    assert [table.item(row, IN_VIEW).text() for row in range(7)] == ["", "", "78 %", "", "", "", ""]


def test_the_bar_of_the_chosen_row_has_the_text_color_of_the_selection(world):
    world.run()
    table = world.ui.resultsTable
    styles = [table.cellWidget(row, PROBABILITY).styleSheet for row in (0, 1)]
    assert "highlighted-text" in styles[0] and "highlighted-text" not in styles[1]
    world.ui.resultsTable.setCurrentCell(1, 0)
    styles = [table.cellWidget(row, PROBABILITY).styleSheet for row in (0, 1)]
    assert "highlighted-text" not in styles[0] and "highlighted-text" in styles[1]


def test_headers_say_suspicion_and_threshold_and_no_longer_severity(world):
    table = world.ui.resultsTable
    titles = [table.horizontalHeaderItem(column).text() for column in range(table.columnCount)]
    assert titles == ["Level", "Probability", "Threshold", "Suspicion", "In view", "Review"]
    world.run()
    node = world.scene.GetFirstNodeByClass("vtkMRMLTableNode").GetTable()
    assert node.GetColumnByName("Suspicion").GetValue(3) == "moderate" and node.GetColumnByName("Severity") is None
    roi = world.scene.GetFirstNodeByClass("vtkMRMLMarkupsROINode")
    assert roi.GetName() == "C4 fracture 90.0 %" and "Suspicion: moderate" in roi.GetDescription()
    assert "nchor" not in world.ui.showAnchorsCheckBox.text


def shortcuts(world):
    return {one.key.toString(): one for one in slicer.util.mainWindow().findChildren(QtGui.QShortcut)}


def test_keys_lead_through_the_findings_and_work_only_while_the_module_is_open(world):
    world.run()
    keys = shortcuts(world)
    assert all(key.enabled for key in keys.values())
    keys["Shift+N"].activated.emit()
    assert world.widget.results.level == "C3"
    keys["Shift+P"].activated.emit()
    keys["Shift+P"].activated.emit()  # it is the first
    assert world.widget.results.level == "C4"
    keys["Shift+R"].activated.emit()
    assert world.boxes() == set()
    keys["Shift+U"].activated.emit()
    assert world.boxes() == {"C4"}
    keys["Shift+C"].activated.emit()
    assert world.texts(0)[-1] == "confirmed"
    keys["Shift+H"].activated.emit()
    keys["Shift+B"].activated.emit()
    assert not world.node.showHeat and not world.node.showBoxes
    assert "Shift+C: confirm" in world.ui.confirmButton.toolTip
    assert "Shift+N: next level; Shift+P: previous level" in world.ui.resultsTable.toolTip
    world.exit()
    assert not any(key.enabled for key in keys.values())
    world.enter()
    assert all(key.enabled for key in keys.values())
    world.widget.cleanup()
    assert shortcuts(world) == {}


def test_a_capital_letter_in_a_note_is_no_key(world):
    world.run()
    world.ui.confirmButton.click()
    event = QtGui.QKeyEvent(
        QtCore.QEvent.Type.ShortcutOverride, QtCore.Qt.Key_R, QtCore.Qt.KeyboardModifier.ShiftModifier, "R"
    )
    event.ignore()
    QtWidgets.QApplication.sendEvent(world.ui.noteLineEdit, event)
    assert event.isAccepted(), "the field wants the letter, so Qt gives it to no shortcut"


def test_the_review_opens_with_a_result_and_stays_closed_when_the_reader_closes_it(world):
    part = world.ui.reviewCollapsibleButton
    assert part.collapsed
    world.run()
    assert not part.collapsed
    part.collapsed = True
    world.widget.update()
    assert part.collapsed


def test_a_complete_review_is_stamped_and_the_next_change_takes_the_stamp_off(world, tmp_path):
    assert not world.ui.completeCheckBox.enabled
    world.run()
    world.ui.completeCheckBox.click()
    results = world.widget.logic.results
    when = results.completedAt(world.ct)
    assert when.endswith("+00:00") and when[:10] in world.ui.completeCheckBox.text
    world.ui.confirmButton.click()
    assert results.completedAt(world.ct) == "" and not world.ui.completeCheckBox.checked
    world.ui.completeCheckBox.click()
    world.ui.undoButton.click()
    assert results.completedAt(world.ct) == ""
    world.ui.completeCheckBox.click()
    world.ui.redoButton.click()
    assert results.completedAt(world.ct) == ""
    world.ui.completeCheckBox.click()
    world.run()
    assert results.completedAt(world.ct) == "", "another result is not reviewed yet"


@pytest.mark.parametrize("complete", [False, True])
def test_an_export_says_and_every_file_holds_whether_the_review_is_complete(world, tmp_path, complete):
    world.run()
    if complete:
        world.ui.completeCheckBox.click()
    world.ui.exportPathLineEdit.currentPath = str(tmp_path)
    world.ui.exportButton.click()
    world.wait_until(lambda: not world.widget.logic.isRunning)
    assert "Written" in world.ui.exportStatusLabel.text
    assert ("not marked as complete" in world.ui.exportStatusLabel.text) != complete
    (folder,) = tmp_path.glob("ct NeckFrac*")
    when = world.widget.logic.results.completedAt(world.ct)
    assert bool(when) == complete
    assert json.loads((folder / "findings.json").read_text())["review_completed"] == when
    report = (folder / "report.html").read_text(encoding="utf-8")
    words = f"A reader marked the review as complete: {when.replace('T', ' ')}."
    assert ("No reader has marked" in report) != complete and (words in report) == complete
    with (folder / "findings.csv").open(encoding="utf-8") as file:
        assert {row["review_completed"] for row in csv.DictReader(file)} == {when}
    assert (folder / "measurements.csv").read_text().splitlines()[0].endswith(",review_completed")


def test_help_and_acknowledgement_link_to_pages_over_https(world):
    parent = SimpleNamespace()
    importlib.import_module("NeckFrac").NeckFrac(parent)
    for text in (parent.helpText, parent.acknowledgementText):
        assert 'href="https://' in text and "{" not in text
