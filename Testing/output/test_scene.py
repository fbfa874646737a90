import json
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from neckfrac.anatomy import ANCHORS, LEVEL_BY_NAME, LEVELS, T1
from neckfrac.findings import Findings
from neckfrac.output.scene import populate_scene
from neckfrac.output.scene_file import HeadlessScene, read_scene, write_scene
from neckfrac.output.segments import TERMINOLOGY, show_anchors, terminology_entry
from output_case import ANCHOR_CENTERS, UNCERTAIN, center_of, make_analysis, with_anchors, with_naming

slicer = pytest.importorskip("slicer")
TO_RAS = np.array([-1, -1, 1])


@pytest.fixture
def headless(tmp_path):
    scene = HeadlessScene(tmp_path)
    yield scene
    scene.close()


def node(scene, kind, name=None):
    nodes = [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]
    return next(found for found in nodes if name is None or found.GetName() == name)


def ijk_to_ras(volume_node):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    return np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])


def test_a_written_scene_is_read_back_with_every_node(tmp_path, analysis):
    write_scene(analysis, tmp_path / "scene.mrb")
    read = read_scene(tmp_path / "scene.mrb", tmp_path / "unpacked")
    scene = read.scene
    volume = node(scene, "vtkMRMLScalarVolumeNode", "CT")
    from vtk.util.numpy_support import vtk_to_numpy

    voxels = vtk_to_numpy(volume.GetImageData().GetPointData().GetScalars()).reshape(analysis.volume.shape)
    assert (voxels == analysis.volume.voxels).all()
    assert np.allclose(ijk_to_ras(volume), np.diag([-1, -1, 1, 1]) @ analysis.volume.affine)
    assert volume.GetDisplayNode().GetWindow() == 2000 and volume.GetDisplayNode().GetLevel() == 400

    segmentation = node(scene, "vtkMRMLSegmentationNode").GetSegmentation()
    names = [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]
    assert names == ["C1", "C2", "C3", "C4", "C5", "C6"]  # C7 is not in view
    for n, name in enumerate(names):
        segment, level = segmentation.GetNthSegment(n), LEVEL_BY_NAME[name]
        assert np.allclose(segment.GetColor(), level.color, atol=0.01)
        tag = slicer.vtkSegment.GetTerminologyEntryTagName()
        assert level.snomed in slicer_tag(segment, tag)

    roi = node(scene, "vtkMRMLMarkupsROINode", "C2 fracture 87.0 %")
    assert np.allclose(roi.GetCenter(), center_of(1) * TO_RAS, atol=1e-3)
    assert np.allclose(roi.GetSize(), (14, 10, 8), atol=1e-3)
    assert roi.GetLocked()
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsROINode") == 2

    heat = node(scene, "vtkMRMLScalarVolumeNode", "Fracture heat map")
    assert heat.GetImageData().GetScalarRange()[1] == 90
    table = node(scene, "vtkMRMLTableNode").GetTable()
    assert table.GetNumberOfRows() == 8
    assert table.GetValueByName(6, "Call").ToString() == "not seen"
    findings = Findings.from_dict(json.loads(node(scene, "vtkMRMLTextNode", "NeckFrac findings").GetText()))
    assert findings == analysis.findings

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
    study = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(volume))
    assert hierarchy.GetItemLevel(study) == "Study"
    patient = hierarchy.GetItemParent(study)
    assert hierarchy.GetItemLevel(patient) == "Patient"
    assert hierarchy.GetItemAttribute(patient, "DICOM.PatientID") == "ID-7"
    for inside in (node(scene, "vtkMRMLSegmentationNode"), heat, node(scene, "vtkMRMLTableNode")):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(inside)) == study
    folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(roi))
    assert hierarchy.GetItemName(folder) == "NeckFrac findings"
    read.close()


def slicer_tag(segment, name):
    import vtk

    reference = vtk.reference("")
    assert segment.GetTag(name, reference)
    return str(reference)


def shown_segments(node):
    """Name and whether it is shown, of each segment."""
    segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
    ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
    return {segmentation.GetSegment(i).GetName(): bool(display.GetSegmentVisibility(i)) for i in ids}


def test_anchors_come_back_with_the_scene_listed_grey_and_hidden(tmp_path, analysis):
    write_scene(with_anchors(analysis), tmp_path / "scene.mrb")
    read = read_scene(tmp_path / "scene.mrb", tmp_path / "unpacked")
    found = node(read.scene, "vtkMRMLSegmentationNode")
    levels = {f"C{n}": True for n in range(1, 7)}
    assert shown_segments(found) == levels | {"T1": False, "Skull base": False}
    segmentation = found.GetSegmentation()
    tag = slicer.vtkSegment.GetTerminologyEntryTagName()
    for n, anchor in enumerate(ANCHORS, start=6):
        segment = segmentation.GetNthSegment(n)
        assert max(anchor.color) - min(anchor.color) < 0.1, "muted"
        assert np.allclose(segment.GetColor(), anchor.color, atol=0.01)
        assert f"SCT^{anchor.snomed}^{anchor.meaning}" in slicer_tag(segment, tag)
        bounds = np.array(segment.GetRepresentation("Closed surface").GetBounds()).reshape(3, 2)
        assert np.allclose(bounds.mean(axis=1), ANCHOR_CENTERS[anchor.label] * TO_RAS, atol=1.6)
    show_anchors(found, True)
    assert all(shown_segments(found).values())
    read.close()


def test_anchors_never_take_a_voxel_from_a_level_and_unknown_values_no_name(headless, analysis):
    plain = populate_scene(headless.scene, analysis).segmentation.GetSegmentation()
    everywhere = with_anchors(analysis)
    everywhere.anchors[...] = T1
    everywhere.anchors[:20] = 9
    mixed = populate_scene(headless.scene, everywhere).segmentation.GetSegmentation()
    names = [mixed.GetNthSegment(n).GetName() for n in range(mixed.GetNumberOfSegments())]
    assert names == ["C1", "C2", "C3", "C4", "C5", "C6", "T1"]
    for n in range(6):
        alike = [s.GetNthSegment(n).GetRepresentation("Closed surface").GetNumberOfPoints() for s in (plain, mixed)]
        assert alike[0] == alike[1] > 100


def test_uncertain_names_are_told_in_table_boxes_and_segmentation_and_segments_keep_theirs(tmp_path, analysis):
    write_scene(with_naming(analysis, UNCERTAIN), tmp_path / "scene.mrb")
    read = read_scene(tmp_path / "scene.mrb", tmp_path / "unpacked")
    table = node(read.scene, "vtkMRMLTableNode")
    shown = [table.GetTable().GetValueByName(row, "Level").ToString() for row in range(8)]
    expected = ["C1 or C2", "C2 or C3", "C3 or C4", "C4 or C5", "C5 or C6", "C6 or C7", "C7", "Patient"]
    assert shown == expected
    segmentation = node(read.scene, "vtkMRMLSegmentationNode")
    assert segmentation.GetAttribute("NeckFrac.Names") == "uncertain"
    assert UNCERTAIN.sentence() == table.GetDescription() == segmentation.GetDescription()
    second = segmentation.GetSegmentation().GetNthSegment(1)
    assert second.GetName() == "C2" and slicer_tag(second, "NeckFrac.AlternativeLevels") == "C3"
    roi = node(read.scene, "vtkMRMLMarkupsROINode", "C2 or C3 fracture 87.0 %")
    assert roi.GetAttribute("NeckFrac.Level") == "C2" and roi.GetAttribute("NeckFrac.Naming") == UNCERTAIN.sentence()
    read.close()


def test_closed_surfaces_lie_where_the_labels_lie(headless, analysis):
    nodes = populate_scene(headless.scene, analysis)
    segmentation = nodes.segmentation.GetSegmentation()
    for n in range(segmentation.GetNumberOfSegments()):
        surface = segmentation.GetNthSegment(n).GetRepresentation("Closed surface")
        bounds = np.array(surface.GetBounds()).reshape(3, 2)
        assert np.allclose(bounds.mean(axis=1), center_of(n) * TO_RAS, atol=1.5)


@pytest.mark.parametrize("axes", list(permutations(range(3))))
def test_boxes_and_labels_do_not_depend_on_the_stored_axes(headless, axes):
    for signs in product((False, True), repeat=3):
        flips = tuple(axis for axis in range(3) if signs[axis])
        nodes = populate_scene(headless.scene, make_analysis(axes, flips, turn=15.0))
        assert np.allclose(nodes.rois["C4"].GetCenter(), center_of(3) * TO_RAS)
        surface = nodes.segmentation.GetSegmentation().GetNthSegment(1).GetRepresentation("Closed surface")
        middle = np.array(surface.GetBounds()).reshape(3, 2).mean(axis=1)
        assert np.allclose(middle, center_of(1) * TO_RAS, atol=1.6)
        headless.scene.Clear(0)


def test_the_given_volume_node_is_used_and_none_is_added(headless, analysis):
    first = populate_scene(headless.scene, analysis)
    count = headless.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    second = populate_scene(headless.scene, analysis, volume_node=first.volume)
    assert second.volume is first.volume
    assert headless.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == count  # a new heat map for the old


@pytest.mark.parametrize("step", ["scene.show_findings", "scene._add_heat", "hierarchy.place"])
def test_a_failure_on_the_way_leaves_the_scene_as_it_was(headless, analysis, monkeypatch, step):
    def content(scene):
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
        ids = {scene.GetNthNode(n).GetID() for n in range(scene.GetNumberOfNodes())}
        return ids, hierarchy.GetNumberOfItems()

    # What any first node of a kind brings along once (its logic's default nodes) is no part of the findings.
    populate_scene(headless.scene, analysis)
    before = content(headless.scene)

    def fail(*_):
        raise RuntimeError("not today")

    monkeypatch.setattr(f"neckfrac.output.{step}", fail)
    with pytest.raises(RuntimeError, match="not today"):
        populate_scene(headless.scene, analysis)
    assert content(headless.scene) == before


def test_a_ct_that_lies_in_a_study_already_keeps_its_place_and_the_findings_join_it(headless, analysis):
    first = populate_scene(headless.scene, analysis)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(headless.scene)
    study = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(first.volume))
    second = populate_scene(headless.scene, analysis, volume_node=first.volume)
    for node_ in (second.volume, second.segmentation, second.heat, second.table):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node_)) == study


def test_a_study_without_a_neck_makes_an_empty_segmentation_and_no_boxes(headless):
    nodes = populate_scene(headless.scene, make_analysis(empty=True))
    assert nodes.segmentation.GetSegmentation().GetNumberOfSegments() == 0
    assert nodes.rois == {} and nodes.heat is None


def test_slicer_finds_each_segment_s_code_in_the_terminology_that_is_shipped():
    file = Path(__file__).parents[2] / "Resources" / "Terminology" / "NeckFrac.term.json"
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    name = logic.LoadTerminologyFromFile(str(file))
    assert name == TERMINOLOGY
    for index, level in enumerate((*LEVELS, *ANCHORS)):
        entry, found = slicer.vtkSlicerTerminologyEntry(), slicer.vtkSlicerTerminologyType()
        assert logic.DeserializeTerminologyEntry(terminology_entry(level), entry)
        assert entry.GetTerminologyContextName() == name
        assert logic.GetNthTypeInTerminologyCategory(name, entry.GetCategoryObject(), index, found)
        kind = entry.GetTypeObject()
        assert (found.GetCodeValue(), found.GetCodeMeaning()) == (kind.GetCodeValue(), kind.GetCodeMeaning())
        assert found.GetCodeValue() == level.snomed
        assert np.allclose(np.array(found.GetRecommendedDisplayRGBValue()) / 255, level.color, atol=0.003)
