"""Results that go into nodes of the reader's choice, on the real scene: what is filled, kept as former, and refused."""

import numpy as np
import pytest
from output_case import reviewable

slicer = pytest.importorskip("slicer")

import vtk  # noqa: E402
from neckfrac.output.outputs import Outputs, is_usable  # noqa: E402
from neckfrac.output.result import findings_in, result_of  # noqa: E402
from neckfrac.output.scene import populate_scene  # noqa: E402
from neckfrac.output.scene_file import HeadlessScene  # noqa: E402

KINDS = {"segmentation": "vtkMRMLSegmentationNode", "table": "vtkMRMLTableNode", "heat": "vtkMRMLScalarVolumeNode"}


@pytest.fixture
def shown(tmp_path):
    """The scene and the nodes of the case in it."""
    headless = HeadlessScene(tmp_path)
    yield headless.scene, populate_scene(headless.scene, reviewable())
    headless.close()


def content(nodes):
    """What a result's segmentation, table and heat map hold: names of segments, texts, voxels and their place."""
    segmentation, table = nodes.segmentation.GetSegmentation(), nodes.table.GetTable()
    segments = [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]
    cells = [str(table.GetValue(row, column)) for row in range(8) for column in range(table.GetNumberOfColumns())]
    matrix = vtk.vtkMatrix4x4()
    nodes.heat.GetIJKToRASMatrix(matrix)
    voxels = slicer.util.arrayFromVolume(nodes.heat)
    place = slicer.util.arrayFromVTKMatrix(matrix).tolist()
    return segments, cells, voxels.shape, int(voxels.sum(dtype=np.int64)), place


def empty(scene):
    return {part: scene.AddNewNodeByClass(kind, f"my {part}") for part, kind in KINDS.items()}


def is_former(node):
    return node.GetName().endswith("(former)") and node.GetAttribute("NeckFrac.Result") is None


def test_without_a_choice_another_result_goes_into_the_nodes_of_the_earlier_one(shown):
    scene, first = shown
    before = content(first)
    identifiers = [getattr(first, part).GetID() for part in KINDS]
    first.segmentation.SetName("mine")
    first.segmentation.GetDisplayNode().SetOpacity2DFill(0.9)
    again = populate_scene(scene, reviewable(), volume_node=first.volume)
    assert [getattr(again, part).GetID() for part in KINDS] == identifiers
    assert content(again) == before and again.segmentation.GetName() == "mine"
    assert again.segmentation.GetDisplayNode().GetOpacity2DFill() == pytest.approx(0.9)


def test_chosen_empty_nodes_are_filled_and_the_earlier_result_stays_as_former(shown):
    scene, first = shown
    before, former = content(first), [node for node in first.all() if node is not first.volume]
    chosen = empty(scene)
    count = {kind: scene.GetNumberOfNodesByClass(kind) for kind in KINDS.values()}
    again = populate_scene(scene, reviewable(), volume_node=first.volume, outputs=Outputs(**chosen))
    assert {part: getattr(again, part) for part in KINDS} == chosen
    assert {kind: scene.GetNumberOfNodesByClass(kind) for kind in KINDS.values()} == count, "nothing else was made"
    assert content(again) == content(first) == before
    assert [chosen[part].GetName() for part in KINDS] == [f"my {part}" for part in KINDS]
    assert all(map(is_former, former)) and result_of(scene, first.volume).all() == again.all()
    assert findings_in(again) == reviewable().findings
    again.segmentation.GetSegmentation().RemoveAllSegments()
    assert content(first) == before, "they share nothing that one of them could change"


@pytest.mark.parametrize("part", KINDS)
def test_one_new_node_keeps_its_former_and_the_others_are_filled_again(shown, part):
    scene, first = shown
    former = getattr(first, part)
    outputs = Outputs(**{other: None if other == part else getattr(first, other) for other in KINDS})
    again = populate_scene(scene, reviewable(), volume_node=first.volume, outputs=outputs)
    for other in KINDS:
        assert (getattr(again, other) is getattr(first, other)) == (other != part)
    assert is_former(former) and scene.IsNodePresent(former)
    boxes = scene.GetNumberOfNodesByClass("vtkMRMLMarkupsROINode")
    assert boxes == (4 if part == "table" else 2), "boxes go with the table"
    assert bool(scene.IsNodePresent(first.text)) == (part == "table")
    assert result_of(scene, first.volume).all() == again.all()


def test_a_node_is_usable_when_it_is_of_this_result_or_holds_nothing(shown):
    scene, first = shown
    other = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    for node in empty(scene).values():
        assert is_usable(node, first.volume) and is_usable(node, other)
    for part in KINDS:
        assert is_usable(getattr(first, part), first.volume) and not is_usable(getattr(first, part), other)
    populate_scene(scene, reviewable(), volume_node=first.volume, outputs=Outputs())
    assert not any(is_usable(getattr(first, part), first.volume) for part in KINDS), "what is former stays as it is"
    assert not is_usable(first.volume, first.volume), "the CT itself"
    theirs = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    theirs.GetSegmentation().AddEmptySegment("bone")
    assert not is_usable(theirs, first.volume)


def test_a_node_under_a_transform_is_taken_out_of_it_for_results_lie_in_the_world(shown):
    scene, first = shown
    before, transform = content(first), scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.diag([1.0, -1.0, -1.0, 1.0])))
    for node in (first.segmentation, first.heat):
        node.SetAndObserveTransformNodeID(transform.GetID())
    again = populate_scene(scene, reviewable(), volume_node=first.volume)
    assert content(again) == before
    assert again.segmentation.GetParentTransformNode() is None and again.heat.GetParentTransformNode() is None


def test_what_is_hidden_of_a_new_segmentation_is_hidden_in_the_chosen_one(shown):
    from neckfrac.output.segments import anchor_segments

    scene, first = shown
    hidden = [name for name in anchor_segments(first.segmentation)]
    display = first.segmentation.GetDisplayNode()
    display.SetAllSegmentsVisibility(True)
    again = populate_scene(scene, reviewable(), volume_node=first.volume)
    display = again.segmentation.GetDisplayNode()
    segmentation = again.segmentation.GetSegmentation()
    for index in range(segmentation.GetNumberOfSegments()):
        name = segmentation.GetNthSegmentID(index)
        assert display.GetSegmentVisibility(name) == (name not in hidden)
