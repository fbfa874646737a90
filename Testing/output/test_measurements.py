"""Measurements as CSV, text, report, line markups of a scene, and TID 300 of a Structured Report."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
from measurement_case import measured_analysis, near
from neckfrac.findings import Naming
from neckfrac.measurement import with_moved_points
from neckfrac.output.folder import write_result
from neckfrac.output.measurement_lines import KEY, nodes_of, owners, points_of
from neckfrac.output.measurements import HEADER, as_text, by_deviation, write_measurements
from neckfrac.output.report import report
from neckfrac.output.report_measurements import plane_of


@pytest.fixture
def findings():
    return measured_analysis().findings


def test_csv_has_a_row_a_measurement_with_all_that_is_known(findings, tmp_path):
    write_measurements(findings, tmp_path / "measurements.csv")
    with (tmp_path / "measurements.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == HEADER and [row["name"] for row in rows] == [one.name for one in findings.measurements]
    assert {row["review_completed"] for row in rows} == {""}
    stamp = "2026-03-01T10:20:30+00:00"
    write_measurements(replace(findings, review_completed=stamp), tmp_path / "stamped.csv")
    with (tmp_path / "stamped.csv").open(newline="", encoding="utf-8") as file:
        assert {row["review_completed"] for row in csv.DictReader(file)} == {stamp}
    slip = rows[2]
    assert (slip["levels"], slip["value"], slip["unit"]) == ("C4-C5", "3.800", "mm")
    assert (slip["normal_lower"], slip["normal_upper"], slip["normal_source"]) == ("-2", "2", "S")
    assert slip["flag"].startswith("C4 on C5") and slip["edited"] == "no"
    points = [[float(v) for v in point.split()] for point in slip["points_lps_mm"].split("; ")]
    assert near(points, findings.measurements[2].points)


def test_text_for_dictation_begins_with_what_is_not_normal_and_is_no_diagnosis(findings):
    lines = as_text(findings).splitlines()
    assert lines[0] == "C4 on C5: 3.8 mm anterolisthesis (normal -2 to 2 mm)."
    assert "no diagnosis" in lines[1]
    assert "C5 Anterior height: 10.0 mm (9.5 to 10.5 mm)." in lines
    assert as_text(replace(findings, measurements=())) == ""


def test_text_says_first_that_the_levels_names_are_uncertain(findings):
    unsure = replace(findings, naming=Naming(False, "C1–C6", ("C2–C7",), 0.6, "C1 is not in view."))
    assert as_text(unsure).splitlines()[0] == unsure.naming.sentence()


def test_what_a_reader_moved_is_marked_in_csv_text_and_report(findings, tmp_path):
    front = findings.measurements[3]
    moved = with_moved_points(findings.measurements, front.key, [front.points[0], front.points[1]])
    assert moved == findings.measurements, "put back where it was"
    moved = with_moved_points(findings.measurements, front.key, [front.points[0], np.add(front.points[1], 1.0)])
    changed = replace(findings, measurements=moved)
    assert as_text(changed).count("changed by the reader") == 2
    write_measurements(changed, tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_text().count(",yes,") == 2


def test_sorted_by_deviation_the_flagged_one_is_first(findings):
    assert by_deviation(findings.measurements)[0].name == "listhesis"


def test_the_report_shows_flags_tables_and_every_line(findings):
    analysis = measured_analysis()
    html = report(analysis, np.zeros((20, 40, 3), np.uint8))
    section = html[html.index('id="measurements"') :]
    assert "3.8 mm anterolisthesis" in section and "no diagnosis" in section
    assert re.search(r"<td>C5</td><td>10\.0</td><td></td><td>12\.0</td>", section)
    drawn = re.findall(r"<title>(.*?)</title>", section)
    assert len(drawn) == 5, "a ratio is drawn by its heights"
    without = replace(analysis, findings=replace(findings, measurements=()))
    assert "Measurements" not in report(without, np.zeros((20, 40, 3), np.uint8))


def test_lines_of_the_pictures_lie_where_they_were_measured(findings):
    measured = [one for one in findings.measurements if one.name != "height-ratio"]
    plane = plane_of(measured, "sagittal")
    for one in measured:
        rows_columns = (np.array(one.points) - plane.center) @ plane.directions[:2].T / plane.pixel
        at = np.rint(rows_columns + np.array(plane.shape) // 2).astype(int)
        for (row, column), point in zip(at, one.points, strict=True):
            assert np.abs(plane.points()[row, column] - point).max() < 1.0, "in the plane as well"


def test_the_result_folder_holds_measurements(tmp_path):
    write_result(measured_analysis(), tmp_path / "out", scene=False)
    assert (tmp_path / "out" / "measurements.csv").read_text().count("\n") == 7


# --- the scene ----------------------------------------------------------------------------------


@pytest.fixture
def scene(tmp_path):
    pytest.importorskip("slicer")
    from neckfrac.output.scene_file import HeadlessScene

    headless = HeadlessScene(tmp_path / "scene")
    yield headless.scene
    headless.close()


def lines_in(scene):
    return [scene.GetNthNodeByClass(n, "vtkMRMLMarkupsLineNode")
            for n in range(scene.GetNumberOfNodesByClass("vtkMRMLMarkupsLineNode"))]  # fmt: skip


def test_each_line_is_a_locked_markup_once_in_a_folder_of_its_own(scene):
    import slicer
    from neckfrac.output.scene import populate_scene

    analysis = measured_analysis()
    nodes = populate_scene(scene, analysis)
    lines = lines_in(scene)
    assert len(lines) == len(owners(analysis.findings)) == 6 and all(line.GetLocked() for line in lines)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
    folders = {hierarchy.GetItemName(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(line))) for line in lines}
    assert folders == {"NeckFrac measurements"}
    shown = [line.GetName() for line in lines if line.GetDisplayNode().GetVisibility()]
    assert shown == ["C4 on C5 Listhesis 3.8 mm"], "what is not normal"
    for one in analysis.findings.measurements:
        assert near(points_of(analysis.findings, one, nodes.lines), one.points), "RAS and back"


def test_a_result_finds_its_lines_again_and_a_line_that_moved_tells_its_points(scene):
    from neckfrac.output.result import result_of, show_findings
    from neckfrac.output.scene import populate_scene

    analysis = measured_analysis()
    made = populate_scene(scene, analysis)
    nodes = result_of(scene, made.volume)
    assert {*nodes.lines} == {*made.lines}
    front = analysis.findings.measurements[3]
    (node,) = nodes_of(analysis.findings, front, nodes.lines)
    node.SetNthControlPointPosition(1, -front.points[1][0], -front.points[1][1], front.points[1][2] - 2.0)
    moved = points_of(analysis.findings, front, nodes.lines)
    after = replace(analysis.findings, measurements=with_moved_points(analysis.findings.measurements, front.key, moved))
    show_findings(scene, nodes, after)
    assert node.GetName() == "C5 Anterior height 12.0 mm" and len(lines_in(scene)) == 6
    assert node.GetAttribute(KEY) == "anterior-height C5 0"


def test_another_result_takes_the_lines_away(scene):
    from neckfrac.output.scene import populate_scene

    analysis = measured_analysis()
    nodes = populate_scene(scene, analysis)
    without = replace(analysis, findings=replace(analysis.findings, measurements=()))
    populate_scene(scene, without, volume_node=nodes.volume)
    assert lines_in(scene) == []


# --- DICOM --------------------------------------------------------------------------------------


def test_the_structured_report_holds_values_ranges_uncertainty_and_lines(tmp_path, findings):
    highdicom = pytest.importorskip("highdicom")
    from neckfrac.output.dicom_source import read_source
    from neckfrac.output.dicom_sr import write_report
    from output.made_series import FRAME, findings_of, write_case

    measured = replace(findings_of(), measurements=findings.measurements)
    (tmp_path / "series").mkdir()
    source = read_source(write_case(tmp_path / "series"), measured.study)
    write_report(tmp_path / "report.dcm", source, measured)
    content = highdicom.sr.srread(tmp_path / "report.dcm").content
    groups = {group.tracking_identifier: group for group in content.get_image_measurement_groups()}
    slip = groups["NeckFrac measured C4 and C5"].get_measurements()[0]
    assert slip.name.value == "listhesis" and slip.value == 3.8 and slip.unit.value == "mm"
    sites = groups["NeckFrac measured C4 and C5"].finding_sites
    assert [site.value.meaning for site in sites] == ["C4 vertebra", "C5 vertebra"]
    parts = {item.name.meaning: item for item in slip[0].ContentSequence}
    assert parts["Normality"].value.meaning == "Abnormal"
    assert {parts[f"Normal Range {end} Limit"].value for end in ("Lower", "Upper")} == {-2.0, 2.0}
    (line,) = [item for item in slip[0].ContentSequence if item.ValueType == "SCOORD3D"]
    assert near(line.value, findings.measurements[2].points) and line.frame_of_reference_uid == FRAME
    heights = groups["NeckFrac measured C5"].get_measurements()
    assert [one.name.value for one in heights] == ["anterior-height", "posterior-height", "height-ratio"]
