"""A result in the real scene: found again, shown at other operating points and as readers review it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from neckfrac.findings import ADDED, CONFIRMED, REJECTED, Box, Review
from output_case import reviewable

slicer = pytest.importorskip("slicer")

from neckfrac.output.boxes import READER_COLOR, box_of, edit_boxes, match_boxes, tell_boxes  # noqa: E402
from neckfrac.output.result import findings_in, result_of, show_findings  # noqa: E402
from neckfrac.output.scene import populate_scene  # noqa: E402
from neckfrac.output.scene_file import HeadlessScene  # noqa: E402


@pytest.fixture
def headless(tmp_path):
    headless = HeadlessScene(tmp_path)
    yield headless
    headless.close()


@pytest.fixture
def shown(headless):
    """The scene and the nodes of the case in it."""
    return headless.scene, populate_scene(headless.scene, reviewable())


def rois(scene):
    return {
        scene.GetNthNodeByClass(n, "vtkMRMLMarkupsROINode").GetAttribute("NeckFrac.Level")
        for n in range(scene.GetNumberOfNodesByClass("vtkMRMLMarkupsROINode"))
    }


def cells(nodes, column):
    array = nodes.table.GetTable().GetColumnByName(column)
    return [array.GetValue(row) for row in range(array.GetNumberOfValues())]


def items(scene):
    return slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene).GetNumberOfItems()


def test_a_result_is_found_again_by_its_ct_with_the_findings_that_it_holds(shown):
    scene, nodes = shown
    found = result_of(scene, nodes.volume)
    assert found.all() == nodes.all() and set(found.rois) == {"C2", "C4"}
    assert findings_in(found) == reviewable().findings
    other = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert result_of(scene, other) is None


def test_a_second_result_of_the_same_ct_takes_the_place_of_the_first(shown):
    scene, nodes = shown
    before = scene.GetNumberOfNodes(), items(scene)
    again = populate_scene(scene, reviewable(), volume_node=nodes.volume)
    assert (scene.GetNumberOfNodes(), items(scene)) == before
    assert result_of(scene, nodes.volume).all() == again.all()


def test_a_segmentation_that_was_given_is_kept_by_every_later_result(shown):
    scene, nodes = shown
    theirs = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "TotalSegmentator")
    given = populate_scene(scene, reviewable(), volume_node=nodes.volume, segmentation_node=theirs)
    assert given.segmentation is theirs and result_of(scene, nodes.volume).segmentation is theirs
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1, "ours went with the first result"
    populate_scene(scene, reviewable(), volume_node=nodes.volume)
    assert scene.GetNodeByID(theirs.GetID()) is theirs


def test_our_own_corrected_segmentation_stays_the_one_of_the_new_result(shown):
    scene, nodes = shown
    again = populate_scene(scene, reviewable(), volume_node=nodes.volume, segmentation_node=nodes.segmentation)
    assert again.segmentation is nodes.segmentation
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


def test_another_operating_point_moves_boxes_and_calls_and_back_again(shown):
    scene, nodes = shown
    findings = findings_in(nodes)
    expected = {"sensitive": {"C2", "C3", "C4", "C6"}, "specific": {"C2"}, "balanced": {"C2", "C4"}}
    for point, levels in expected.items():
        show_findings(scene, nodes, findings.at(point))
        assert rois(scene) == set(nodes.rois) == levels
        calls = dict(zip(cells(nodes, "Level"), cells(nodes, "Call"), strict=True))
        assert {level for level, call in calls.items() if call == "positive"} - {"Patient"} == levels
        assert findings_in(result_of(scene, nodes.volume)).operating_point == point


def test_what_a_reader_says_is_in_boxes_table_and_text_and_can_be_taken_back(shown):
    scene, nodes = shown
    findings = findings_in(nodes)
    own = Box((0.0, 0.0, 900.0), (10.0, 10.0, 912.0))
    reviewed = (
        findings.reviewed("C2", Review("C2", CONFIRMED, "certain"))
        .reviewed("C4", Review("C4", REJECTED, "artefact"))
        .reviewed("C7", Review("C7", ADDED, "", own))
    )
    show_findings(scene, nodes, reviewed)
    assert rois(scene) == {"C2", "C7"}
    assert nodes.rois["C2"].GetName().endswith("confirmed") and "certain" in nodes.rois["C2"].GetDescription()
    assert box_of(nodes.rois["C7"]) == own
    assert np.allclose(nodes.rois["C7"].GetDisplayNode().GetColor(), READER_COLOR, atol=1e-3)
    assert cells(nodes, "Review") == ["", "confirmed", "", "rejected", "", "", "added", ""]
    assert cells(nodes, "Note")[3] == "artefact"
    assert findings_in(result_of(scene, nodes.volume)) == reviewed
    # At the specific point C2 alone is called: what the reader said stays.
    show_findings(scene, nodes, reviewed.at("specific"))
    assert rois(scene) == {"C2", "C7"}
    show_findings(scene, nodes, findings)
    assert rois(scene) == {"C2", "C4"} and set(cells(nodes, "Review")) == {""}


def test_boxes_stay_where_they_are_until_a_reader_may_move_them(shown):
    _, nodes = shown
    for editable in (True, False):
        edit_boxes(nodes.rois, editable)
        assert {node.GetLocked() for node in nodes.rois.values()} == {not editable}


def test_results_and_reviews_come_back_from_a_saved_scene(headless, tmp_path):
    nodes = populate_scene(headless.scene, reviewable())
    reviewed = findings_in(nodes).reviewed("C2", Review("C2", REJECTED, "vessel"))
    show_findings(headless.scene, nodes, reviewed)
    file = tmp_path / "saved.mrb"
    from neckfrac.output.scene_file import write_nodes

    write_nodes(headless.scene, nodes, file)
    other = HeadlessScene(tmp_path / "other")
    try:
        other.scene.SetURL(str(file))
        assert other.scene.ReadFromMRB(str(file))
        volumes = [
            other.scene.GetNthNodeByClass(n, "vtkMRMLScalarVolumeNode")
            for n in range(other.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode"))
        ]
        (found,) = filter(None, (result_of(other.scene, volume) for volume in volumes))
        assert findings_in(found) == reviewed and set(found.rois) == {"C4"}
    finally:
        other.close()


number = st.floats(-500, 500).map(lambda value: round(value, 2))


@given(st.tuples(number, number, number), st.tuples(*[st.floats(6, 80).map(lambda v: round(v, 2))] * 3))
def test_a_box_comes_back_from_its_node(lower, size):
    box = Box(lower, tuple(round(a + b, 3) for a, b in zip(lower, size, strict=True)))
    findings = reviewable().findings.reviewed("C7", Review("C7", ADDED, "", box))
    scene = slicer.vtkMRMLScene()
    nodes = match_boxes(scene, findings, {})
    tell_boxes(findings, nodes)
    back = box_of(nodes["C7"])
    assert np.allclose([back.lower, back.upper], [box.lower, box.upper], atol=2e-3)


def test_the_point_in_the_middle_of_a_box_does_not_hide_what_is_suspected_there(shown):
    for node in shown[1].rois.values():
        display = node.GetDisplayNode()
        assert not display.GetUseGlyphScale() and display.GetGlyphSize() <= 0.5
