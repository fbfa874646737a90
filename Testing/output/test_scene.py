import json
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from neckfrac.anatomy import LEVEL_BY_NAME, LEVELS
from neckfrac.findings import Findings
from neckfrac.output.scene import TERMINOLOGY, populate_scene, terminology_entry
from neckfrac.output.scene_file import HeadlessScene, read_scene, write_scene
from output_case import center_of, make_analysis

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

    roi = node(scene, "vtkMRMLMarkupsROINode", "C2 fracture 0.87")
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
    assert headless.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == count + 1  # the new heat map


@pytest.mark.parametrize("step", ["_add_table", "_add_heat", "_place"])
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

    monkeypatch.setattr(f"neckfrac.output.scene.{step}", fail)
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
    for index, level in enumerate(LEVELS):
        entry, found = slicer.vtkSlicerTerminologyEntry(), slicer.vtkSlicerTerminologyType()
        assert logic.DeserializeTerminologyEntry(terminology_entry(level), entry)
        assert entry.GetTerminologyContextName() == name
        assert logic.GetNthTypeInTerminologyCategory(name, entry.GetCategoryObject(), index, found)
        kind = entry.GetTypeObject()
        assert (found.GetCodeValue(), found.GetCodeMeaning()) == (kind.GetCodeValue(), kind.GetCodeMeaning())
        assert found.GetCodeValue() == level.snomed
        assert np.allclose(np.array(found.GetRecommendedDisplayRGBValue()) / 255, level.color, atol=0.003)
