"""A CT under transforms: linear ones are composed, others are applied to a copy; results lie where the anatomy does."""

import importlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

import vtk  # noqa: E402
from slicer_double.whole_panel import Panel  # noqa: E402
from vtk.util.numpy_support import vtk_to_numpy  # noqa: E402

BLOCK = (-4.5, 10.5, 129.0)  # RAS, mm: the middle of the bright block of the CT in its own coordinates


@pytest.fixture
def world(monkeypatch, tmp_path):
    with Panel(monkeypatch, tmp_path) as panel:
        panel.ct = panel.add_ct()
        yield panel


def linear(scene, degrees, shift, parent=None):
    """A transform node that turns about the body's axis and shifts; below `parent`."""
    transform = vtk.vtkTransform()
    transform.Translate(*shift)
    transform.RotateZ(degrees)
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetMatrixTransformToParent(transform.GetMatrix())
    if parent is not None:
        node.SetAndObserveTransformNodeID(parent.GetID())
    return node


def tilted(scene, volume, shift=0.4):
    """The grid transform that Slicer's DICOM reader makes of a tilted gantry: each slice `shift` mm further forward."""
    slices, spacing = volume.GetImageData().GetDimensions()[2], volume.GetSpacing()
    grid = vtk.vtkImageData()
    grid.SetOrigin(*volume.GetOrigin())
    grid.SetDimensions(2, 2, slices)
    columns, rows, _slices = volume.GetImageData().GetDimensions()
    grid.SetSpacing(spacing[0] * columns, spacing[1] * rows, spacing[2])
    grid.AllocateScalars(vtk.VTK_DOUBLE, 3)
    displacements = vtk_to_numpy(grid.GetPointData().GetScalars()).reshape(slices, 2, 2, 3)
    displacements[:] = 0
    displacements[..., 1] = shift * np.arange(slices)[:, None, None]
    transform, directions = slicer.vtkOrientedGridTransform(), vtk.vtkMatrix4x4()
    volume.GetIJKToRASDirectionMatrix(directions)
    transform.SetGridDirectionMatrix(directions)
    transform.SetDisplacementGridData(grid)
    node = scene.AddNewNodeByClass("vtkMRMLGridTransformNode")
    node.SetAndObserveTransformToParent(transform)
    return node


def moved(transformNode, point):
    """Where a transform node puts a point (RAS) in the world."""
    general = vtk.vtkGeneralTransform()
    transformNode.GetTransformToWorld(general)
    return general.TransformPoint(point)


def box_center(world):
    center = [0.0] * 3
    world.scene.GetFirstNodeByClass("vtkMRMLMarkupsROINode").GetCenterWorld(center)
    return center


def test_a_volume_under_nested_linear_transforms_is_analyzed_and_its_box_lies_in_the_transformed_anatomy(world):
    outer = linear(world.scene, 90, (30, -20, 7))
    inner = linear(world.scene, 25, (5, 3, -11), outer)
    world.ct.SetAndObserveTransformNodeID(inner.GetID())
    world.open()
    assert world.ui.applyButton.enabled, world.ui.applyButton.toolTip
    world.run()
    assert box_center(world) == pytest.approx(moved(inner, BLOCK), abs=0.6), "its sides are along the patient's axes"
    # Back in the volume's own voxels it is the block, on the side on which it was.
    back, toVoxel = vtk.vtkGeneralTransform(), vtk.vtkMatrix4x4()
    inner.GetTransformFromWorld(back)
    world.ct.GetRASToIJKMatrix(toVoxel)
    voxel = toVoxel.MultiplyPoint([*back.TransformPoint(box_center(world)), 1])[:3]
    assert voxel == pytest.approx((24.5, 19.5, 14.5), abs=0.6)


def test_vertebrae_lie_in_the_transformed_anatomy_too_and_go_back_to_the_volumes_voxels(world):
    world.ct.SetAndObserveTransformNodeID(linear(world.scene, 90, (30, -20, 7)).GetID())
    world.open()
    world.run()
    matching = importlib.import_module("NeckFracLib.segment_matching")
    labels = matching.labelmapOf(world.scene.GetFirstNodeByClass("vtkMRMLSegmentationNode"), world.ct)
    expected = np.zeros((30, 40, 50), bool)
    expected[12:18, 15:25, 20:30] = True
    assert np.array_equal(labels == 4, expected)


def test_a_bent_volume_is_said_to_be_bent_where_it_is_read_and_a_straightened_copy_is_analyzed(world):
    transform = tilted(world.scene, world.ct)
    world.ct.SetAndObserveTransformNodeID(transform.GetID())
    world.ct.SetAttribute("DICOM.instanceUIDs", "1 2 3")
    before = slicer.util.arrayFromVolume(world.ct).copy()
    world.open()
    assert not world.ui.inputWarningLabel.isHidden() and "Straighten a copy" in world.ui.inputWarningLabel.text
    assert not world.ui.applyButton.enabled and not world.ui.straightenButton.isHidden()
    world.ui.straightenButton.click()
    copy = world.node.inputVolume
    assert copy is not world.ct and copy.GetName() == "ct straightened" and copy.GetParentTransformNode() is None
    assert world.ct.GetParentTransformNode() is transform, "the volume itself stays as it is"
    assert np.array_equal(slicer.util.arrayFromVolume(world.ct), before)
    assert copy.GetAttribute("DICOM.instanceUIDs") is None, "it is no series of the archive"
    assert world.ui.straightenButton.isHidden() and world.ui.applyButton.enabled
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(world.scene)
    places = [hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in (copy, world.ct)]
    assert places[0] == places[1]
    world.run()
    assert box_center(world) == pytest.approx(moved(transform, BLOCK), abs=1.0)
    assert slicer.util.arrayFromVolume(copy).min() == -1000, "what the copy has more of is air"


def test_a_volume_that_a_transform_has_moved_is_not_written_as_dicom(world, monkeypatch):
    world.open()
    export = importlib.import_module("NeckFracLib.export")
    world.ct.SetAttribute("DICOM.instanceUIDs", "1")
    database = SimpleNamespace(fileForInstance=lambda uid: sys.executable)
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    assert export.reasonAgainstDicom(world.ct) is None
    world.ct.SetAndObserveTransformNodeID(linear(world.scene, 0, (1, 0, 0)).GetID())
    assert "transform" in export.reasonAgainstDicom(world.ct)


def test_results_of_a_volume_that_was_moved_afterwards_say_so(world):
    world.open()
    hand_over = importlib.import_module("NeckFracLib.hand_over")
    findings = SimpleNamespace(geometry={"affine": hand_over.affineOf(world.ct).tolist()})
    assert not hand_over.hasMoved(world.ct, findings)
    world.ct.SetAndObserveTransformNodeID(linear(world.scene, 0, (1, 0, 0)).GetID())
    assert hand_over.hasMoved(world.ct, findings)
    assert not hand_over.hasMoved(world.ct, SimpleNamespace(geometry={})), "not known"
    world.run()
    table = importlib.import_module("NeckFracLib.results_table")
    findings = world.widget.logic.results.of(world.ct)[1]
    table.showWarnings(world.ui.caveatLabel, findings, moved=True)
    assert "moved since it was analyzed" in world.ui.caveatLabel.text


def test_a_segmentation_that_can_not_be_used_is_told_before_apply(world):
    world.open()
    empty = world.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    world.ui.segmentationSelector.setCurrentNode(empty)
    assert "no segments" in world.ui.inputWarningLabel.text and not world.ui.applyButton.enabled
    world.ui.segmentationSelector.setCurrentNode(None)
    assert world.ui.inputWarningLabel.isHidden() and world.ui.applyButton.enabled
