"""The section Measurements on a real scene: sorted by deviation, jumps, lines, copying, and points that are dragged."""

from dataclasses import replace

import numpy as np
import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from measurement_case import measured_analysis, near  # noqa: E402
from slicer_double import qt_stand_in  # noqa: E402
from slicer_double.section import Section, World  # noqa: E402


@pytest.fixture
def world(monkeypatch, tmp_path):
    """The section with the result of a CT in which C4 slips on C5."""
    from neckfrac.output.scene import populate_scene

    with World(monkeypatch, tmp_path) as world:
        world.analysis = measured_analysis()
        world.nodes = populate_scene(world.scene, world.analysis)
        world.slices = [world.scene.AddNode(slicer.vtkMRMLSliceNode()) for _ in range(3)]
        world.shown = Section(world, "measurements_section", "MeasurementsSection")
        world.shown.node.inputVolume = world.nodes.volume
        world.shown.section.update()
        yield world


def texts(world, row):
    table = world.shown.ui.measurementsTable
    return [table.item(row, column).text() for column in range(table.columnCount)]


def visible(world):
    return {key for key, node in world.nodes.lines.items() if node.GetDisplayNode().GetVisibility()}


def findings(world):
    return world.shown.logic.results.of(world.nodes.volume)[1]


def test_the_farthest_from_normal_comes_first_with_value_uncertainty_and_range(world):
    assert world.shown.ui.measurementsTable.rowCount == 6
    assert texts(world, 0) == ["C4 on C5", "Listhesis", "3.8 mm", "3.3 to 4.3 mm", "-2 to 2 mm"]
    assert world.shown.ui.measurementsTable.item(0, 0).toolTip().startswith("C4 on C5: 3.8 mm anterolisthesis")
    assert world.shown.ui.measurementsLabel.text == "Outside its normal range: 1. A flag is no diagnosis."


def test_without_a_result_there_is_nothing_to_do(world):
    world.shown.node.inputVolume = world.add_ct("another")
    world.shown.section.update()
    ui = world.shown.ui
    assert ui.measurementsTable.rowCount == 0 and ui.measurementsLabel.text == "No result of this volume yet."
    assert not any(one.enabled for one in (ui.copyMeasurementsButton, ui.showLinesCheckBox, ui.movePointsCheckBox))


def test_a_row_jumps_to_its_line_and_shows_it_beside_what_is_flagged(world):
    assert visible(world) == {"listhesis C4 C5 0"}
    row = next(n for n in range(6) if texts(world, n)[1] == "Anterior height")
    world.shown.ui.measurementsTable.setCurrentCell(row, 0)
    assert visible(world) == {"listhesis C4 C5 0", "anterior-height C5 0"}
    middle = np.mean(world.analysis.findings.measurements[3].points, axis=0)
    matrix = world.slices[0].GetSliceToRAS()
    assert near([matrix.GetElement(n, 3) for n in range(3)], middle * (-1, -1, 1))
    ratio = next(n for n in range(6) if "/" in texts(world, n)[1])
    world.shown.ui.measurementsTable.setCurrentCell(ratio, 0)
    assert visible(world) == {"listhesis C4 C5 0", "anterior-height C5 0", "posterior-height C5 0"}


def test_all_lines_are_shown_and_hidden_again(world):
    world.shown.ui.showLinesCheckBox.click()
    assert visible(world) == {*world.nodes.lines}
    world.shown.ui.showLinesCheckBox.click()
    assert visible(world) == {"listhesis C4 C5 0"}


def test_measurements_are_copied_as_text(world):
    world.shown.ui.copyMeasurementsButton.click()
    text = qt_stand_in.QtWidgets.QApplication.clipboard().text()
    assert text.startswith("C4 on C5: 3.8 mm anterolisthesis (normal -2 to 2 mm).")


def test_a_point_that_is_dragged_changes_the_value_until_it_is_undone(world):
    node = world.nodes.lines["anterior-height C5 0"]
    assert node.GetLocked()
    world.shown.ui.movePointsCheckBox.click()
    assert not node.GetLocked()
    x, y, z = world.analysis.findings.measurements[3].points[1]
    node.SetNthControlPointPosition(1, -x, -y, z - 2.0)
    node.InvokeEvent(slicer.vtkMRMLMarkupsNode.PointEndInteractionEvent)
    by_name = {one.name: one for one in findings(world).measurements}
    assert by_name["anterior-height"].value == pytest.approx(12.0) and by_name["anterior-height"].edited
    assert by_name["height-ratio"].value == pytest.approx(1.0), "what is made of it follows"
    rows = [texts(world, n) for n in range(6)]
    assert ["C5", "Anterior height", "12.0 mm (changed)", "11.5 to 12.5 mm", ""] in rows
    world.shown.logic.results.undo()
    assert findings(world).measurements == world.analysis.findings.measurements
    world.shown.ui.movePointsCheckBox.click()
    assert node.GetLocked()


def test_uncertain_names_are_said_in_the_table(world):
    from neckfrac.findings import Naming
    from neckfrac.output.result import show_findings

    unsure = replace(world.analysis.findings, naming=Naming(False, "C1–C6", ("C2–C7",), 0.6, "C1 is not in view."))
    show_findings(world.scene, world.nodes, unsure)
    world.shown.section.update()
    assert texts(world, 0)[0] == "C4 or C5; C5 or C6"
