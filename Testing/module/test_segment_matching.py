"""Segmentations of any program become labels on the CT's grid: real MRML nodes, no panel."""

import importlib

import numpy as np
import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from neckfrac.anatomy import ANCHORS, LEVELS  # noqa: E402
from neckfrac.output.scene import _add_volume, populate_scene  # noqa: E402
from neckfrac.output.segments import terminology_entry  # noqa: E402
from output_case import make_analysis, with_anchors  # noqa: E402
from slicer_double import section  # noqa: E402


@pytest.fixture
def world(monkeypatch, tmp_path):
    with section.World(monkeypatch, tmp_path) as world:
        world.matching = importlib.import_module("NeckFracLib.segment_matching")
        yield world


@pytest.fixture
def filled(world):
    """A scene with a CT on an oblique grid, its labels and its segmentation."""
    analysis = with_anchors(make_analysis(turn=25.0))
    return world, analysis, populate_scene(world.scene, analysis)


def segment(name, tag=None, entry=None):
    made = slicer.vtkSegment()
    made.SetName(name)
    if tag is not None:
        made.SetTag("NeckFrac.Level", tag)
    if entry is not None:
        made.SetTag(made.GetTerminologyEntryTagName(), entry)
    return made


@pytest.mark.parametrize(("name", "level"), [
    ("C3", "C3"), ("c3", "C3"), ("C3 vertebra", "C3"), ("vertebrae_C3", "C3"), ("Vertebra C7", "C7"), ("vertC2", "C2"),
    ("Cervical vertebra C5", "C5"), ("seg.C4.nii", "C4"), ("Atlas", "C1"), ("axis", "C2"), ("C1 (atlas)", "C1"),
    ("vertebrae_T1", None), ("C8", None), ("C3-C4", None), ("disc C3", None), ("C5 nerve root", None), ("C", None),
    ("Segment_3", None), ("3", None), ("CT3", None), ("C3 fracture", None), ("C31", None), ("", None),
])  # fmt: skip
def test_a_level_is_known_by_its_name(world, name, level):
    assert world.matching.levelOf(segment(name)) == level


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_known_by_its_snomed_code_whatever_its_name_and_language(world, level):
    assert world.matching.levelOf(segment("Wirbel", entry=terminology_entry(level))) == level.name
    other = f"Other~SCT^123037004^Anatomical Structure~SCT^51282000^Vertebra~^^~List~SCT^{level.snomed}^x~^^"
    assert world.matching.levelOf(segment("C2-ish", entry=other)) == level.name


def test_code_goes_before_name_and_what_a_reader_has_changed_before_both(world):
    of = world.matching.levelOf
    c2, c5 = terminology_entry(LEVELS[1]), terminology_entry(LEVELS[4])
    assert of(segment("C2", entry=c5)) == "C5"
    assert of(segment("C2", tag="C2", entry=c2)) == "C2"
    assert of(segment("C5", tag="C2", entry=c2)) == "C5", "renamed"
    assert of(segment("C2", tag="C2", entry=c5)) == "C5", "given another meaning"
    assert of(segment("my vertebra", tag="C2", entry=c2)) == "C2", "a name that says nothing"
    assert of(segment("T1", tag="C7", entry=terminology_entry(LEVELS[6]))) is None, "it is thoracic, says the reader"
    assert of(segment("C6", entry=terminology_entry(ANCHORS[0]))) is None
    assert of(segment("T1", tag="T1", entry=terminology_entry(ANCHORS[0]))) is None


def test_our_own_segmentation_becomes_the_labels_that_it_was_made_from(filled):
    world, analysis, nodes = filled
    labels = world.matching.labelmapOf(nodes.segmentation, nodes.volume)
    assert labels.dtype == np.uint8 and labels.flags.c_contiguous
    assert (labels == analysis.labels).all(), "and T1 and the skull base are left out"


def test_a_segmentation_of_another_grid_lies_where_it_lies(filled):
    world, analysis, nodes = filled
    finer = analysis.volume.affine @ np.diag([0.5, 0.5, 0.5, 1.0])
    finer[:3, 3] = analysis.volume.to_points(np.array([-0.25, -0.25, -0.25]))  # eight voxels for one
    other = _add_volume(world.scene, np.zeros(tuple(2 * n for n in analysis.volume.shape), np.int16), finer, "finer")
    labels = world.matching.labelmapOf(nodes.segmentation, other)
    assert (labels == analysis.labels.repeat(2, 0).repeat(2, 1).repeat(2, 2)).all()
    cropped = analysis.volume.crop((20, 10, 5), (60, 70, 40))
    part = _add_volume(world.scene, np.ascontiguousarray(cropped.voxels), cropped.affine, "part")
    assert (world.matching.labelmapOf(nodes.segmentation, part) == analysis.labels[20:60, 10:70, 5:40]).all()


def test_all_transforms_above_a_segmentation_count(filled):
    """Slicer's own export took only the nearest of two nested transforms."""
    import vtk

    world, analysis, nodes = filled
    outer, inner = (world.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode") for _ in range(2))
    for node, steps in ((outer, (0.0, 0.0, 4.0)), (inner, (0.0, 0.0, 6.0))):
        matrix = vtk.vtkMatrix4x4()
        for row, step in enumerate(steps):
            matrix.SetElement(row, 3, step)
        node.SetMatrixTransformToParent(matrix)
    inner.SetAndObserveTransformNodeID(outer.GetID())
    nodes.segmentation.SetAndObserveTransformNodeID(inner.GetID())
    labels = world.matching.labelmapOf(nodes.segmentation, nodes.volume)
    expected = np.zeros_like(analysis.labels)
    expected[5:] = analysis.labels[:-5]  # 10 mm up, slices of 2 mm
    assert (labels == expected).all()


def test_a_segmentation_of_surfaces_alone_is_used_and_left_as_it_is(filled):
    world, analysis, nodes = filled
    segmentation = nodes.segmentation.GetSegmentation()
    segmentation.SetSourceRepresentationName("Closed surface")
    segmentation.RemoveRepresentation("Binary labelmap")
    labels = world.matching.labelmapOf(nodes.segmentation, nodes.volume)
    both = (labels > 0) & (analysis.labels > 0)
    assert both.sum() > 0.85 * (analysis.labels > 0).sum() and (labels[both] == analysis.labels[both]).mean() > 0.99
    assert not segmentation.ContainsRepresentation("Binary labelmap")


def test_of_two_segments_that_overlap_the_upper_level_has_the_voxel(filled):
    world, analysis, nodes = filled
    node = world.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    for name, low, high in (("C4", 10, 30), ("C3", 25, 40)):
        voxels = np.zeros(analysis.volume.shape, np.uint8)
        voxels[low:high, 20:40, 10:30] = 1
        made = segment(name)
        made.AddRepresentation("Binary labelmap", oriented(voxels, nodes.volume))
        node.GetSegmentation().AddSegment(made)
    labels = world.matching.labelmapOf(node, nodes.volume)
    assert (labels[10:25, 20:40, 10:30] == 4).all() and (labels[25:40, 20:40, 10:30] == 3).all()
    assert (labels > 0).sum() == 30 * 20 * 20


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_levels_are_found_among_other_structures_of_the_same_image(filled, kind):
    """As TotalSegmentator's: one image, many values."""
    world, analysis, nodes = filled
    voxels = np.full(analysis.volume.shape, 90, kind)
    for level in range(1, 8):
        voxels[analysis.labels == level] = 50 - level
    image, node = oriented(voxels, nodes.volume), world.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    for name, value in (("body", 90), *((f"vertebrae_C{level}", 50 - level) for level in range(1, 8))):
        made = segment(name)
        made.AddRepresentation("Binary labelmap", image)
        made.SetLabelValue(value)
        node.GetSegmentation().AddSegment(made)
    assert (world.matching.labelmapOf(node, nodes.volume) == analysis.labels).all()


@pytest.mark.parametrize("away", [(0, 0, 0), (3, -2, 5), (-40, 0, 0), (0, 10_000, 0), (0, 0, -45)])
def test_a_segmentation_of_the_same_grid_that_is_moved_by_whole_voxels_lies_there_as_far_as_the_volume_goes(
    filled, away
):
    world, analysis, nodes = filled
    moved = analysis.volume.affine.copy()
    moved[:3, 3] = analysis.volume.to_points(np.array(away, dtype=float))
    other = _add_volume(world.scene, np.zeros(analysis.volume.shape, np.int16), moved, "moved")
    expected = np.zeros_like(analysis.labels)
    where = np.argwhere(analysis.labels > 0)
    inside = ((where - away >= 0) & (where - away < analysis.labels.shape)).all(axis=1)
    expected[tuple((where - away)[inside].T)] = analysis.labels[tuple(where[inside].T)]
    if inside.any():
        assert (world.matching.labelmapOf(nodes.segmentation, other) == expected).all()
    else:
        with pytest.raises(ValueError, match="same place"):
            world.matching.labelmapOf(nodes.segmentation, other)


def test_a_turned_grid_is_sampled_by_the_nearest_voxel(filled):
    """Against scipy's sampling of each level by itself; voxels halfway between two may go either way."""
    from scipy import ndimage

    world, analysis, nodes = filled
    angle = np.deg2rad(11)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine = turn @ analysis.volume.affine @ np.diag([1.3, 0.8, 1.1, 1.0])
    other = _add_volume(world.scene, np.zeros((60, 90, 40), np.int16), affine, "turned")
    onto = np.linalg.inv(analysis.volume.affine) @ affine
    expected = ndimage.affine_transform(
        np.pad(analysis.labels, 1), onto[:3, :3][::-1, ::-1], onto[:3, 3][::-1] + 1, (60, 90, 40), order=0
    )
    labels = world.matching.labelmapOf(nodes.segmentation, other)
    assert (expected > 0).sum() > 1000 and (labels != expected).sum() < 0.001 * (expected > 0).sum()


def oriented(voxels, volume):
    import vtk
    from neckfrac.output.mrml import image

    result, matrix = slicer.vtkOrientedImageData(), vtk.vtkMatrix4x4()
    result.ShallowCopy(image(voxels))
    volume.GetIJKToRASMatrix(matrix)
    result.SetImageToWorldMatrix(matrix)
    return result


def test_what_can_not_be_used_is_told_with_its_reason(filled):
    world, analysis, nodes = filled
    reason = world.matching.reasonAgainst
    assert "Select" in reason(None)
    empty = world.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert "no segments" in reason(empty)
    empty.GetSegmentation().AddSegment(segment("Liver"))
    assert "C1 to C7" in reason(empty)
    empty.GetSegmentation().AddSegment(segment("C3 left"))
    empty.GetSegmentation().AddSegment(segment("C3 right"))
    assert "Two segments are C3: C3 left and C3 right" in reason(empty)
    assert reason(nodes.segmentation) is None
    bent = world.scene.AddNewNodeByClass("vtkMRMLGridTransformNode")
    nodes.segmentation.SetAndObserveTransformNodeID(bent.GetID())
    assert "harden" in reason(nodes.segmentation)
    nodes.segmentation.SetAndObserveTransformNodeID(None)
    far = analysis.volume.affine.copy()
    far[:3, 3] += 1000
    elsewhere = _add_volume(world.scene, np.zeros((5, 6, 7), np.int16), far, "elsewhere")
    with pytest.raises(ValueError, match="same place"):
        world.matching.labelmapOf(nodes.segmentation, elsewhere)
    with pytest.raises(ValueError, match="Two segments"):
        world.matching.labelmapOf(empty, nodes.volume)


def image_of(values):
    from vtk.util.numpy_support import numpy_to_vtk

    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*values.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(values.ravel(), deep=True))
    return image


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_labels_stored_as_floats_a_little_off_are_rounded(world, kind):
    """As a slope leaves them; cut to integers, C2 would be called C1."""
    values = np.zeros((4, 5, 6), kind)
    values[1:3, 1:4, 2:5] = 1.99998
    values[2, 2, 2] = 3.00004
    labels, first = world.matching._levelsIn(image_of(values), {1: 1, 2: 2, 3: 3})
    assert first == [2, 1, 1] and set(np.unique(labels)) == {2, 3} and labels.shape == (2, 3, 3)


@pytest.mark.parametrize("value", [1.5, np.nan])
def test_labels_far_from_whole_numbers_are_refused(world, value):
    values = np.ones((4, 5, 6), np.float32)
    values[2, 2, 2] = value
    with pytest.raises(ValueError, match="whole numbers"):
        world.matching._levelsIn(image_of(values), {1: 1, 2: 2})
