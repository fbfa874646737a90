"""Which nodes of a scene a result goes into: chosen ones, those of an earlier result, or new ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .hierarchy import place, remove_nodes
from .result import FINDINGS, FORMER, RESULT, SEGMENTATION, VOLUME, mark
from .scene_nodes import SceneNodes


@dataclass(frozen=True)
class Outputs:
    """The nodes whose content a result takes the place of; None: a new node is made.

    Boxes, lines of measurements and the findings themselves go with the table: where that is a new one, they are new.
    """

    segmentation: Any = None
    table: Any = None
    heat: Any = None

    @classmethod
    def of(cls, earlier: SceneNodes | None) -> Outputs:
        """Those of an earlier result, whose place another one takes; but not a segmentation that it was given."""
        if earlier is None:
            return cls()
        own = earlier.segmentation is not None and earlier.segmentation.GetAttribute(RESULT) is not None
        return cls(earlier.segmentation if own else None, earlier.table, earlier.heat)

    def nodes(self) -> list[Any]:
        return [node for node in (self.segmentation, self.table, self.heat) if node is not None]


def is_usable(node: Any, volume_node: Any) -> bool:
    """Whether a node may become a part of a CT's result: it is one already, or holds nothing that could be lost."""
    if node.GetAttribute(FORMER) is not None:
        return False
    if node.GetAttribute(RESULT) is not None:
        return volume_node is not None and node.GetNodeReferenceID(VOLUME) == volume_node.GetID()
    if node.IsA("vtkMRMLSegmentationNode"):
        return node.GetSegmentation().GetNumberOfSegments() == 0
    if node.IsA("vtkMRMLTableNode"):
        return node.GetTable() is None or node.GetNumberOfColumns() == 0
    return node.IsA("vtkMRMLScalarVolumeNode") and node.GetImageData() is None


def fill(scene: Any, hierarchy: Any, nodes: SceneNodes, outputs: Outputs) -> None:
    """Move what new nodes hold into those that were chosen, and let the new ones go; `nodes` then names the chosen.

    Where a segmentation was given, which stays itself, the outputs must have none. The chosen nodes keep their names,
    and what a reader has set of how they are shown.
    """
    parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(nodes.volume))
    moves = {"segmentation": _move_segmentation, "table": _move_table, "heat": _move_image}
    for part, move in moves.items():
        source, target = getattr(nodes, part), getattr(outputs, part)
        if source is None or target is None or source is target:
            continue
        move(scene, source, target, nodes.volume)
        target.SetDescription(source.GetDescription())
        mark(target, nodes.volume)
        place(hierarchy, target, parent)
        setattr(nodes, part, target)
        remove_nodes(scene, hierarchy, [source])
    if nodes.segmentation is not None:
        nodes.text.SetNodeReferenceID(SEGMENTATION, nodes.segmentation.GetID())


def put_aside(scene: Any, hierarchy: Any, earlier: SceneNodes, nodes: SceneNodes, outputs: Outputs) -> None:
    """What an earlier result of the same CT still has: removed where it was to be replaced, else kept as former."""
    replaced = [node for node in outputs.nodes() if node not in nodes.all()]  # chosen, and there is nothing for it
    follow = [earlier.text, *earlier.rois.values(), *earlier.lines.values()]
    kept = [node for node in (earlier.segmentation, earlier.table, earlier.heat) if node is not None]
    kept = [node for node in kept if node not in nodes.all() and node not in replaced]
    if earlier.table in (nodes.table, outputs.table):
        replaced += follow
    else:
        kept += follow
    remove_nodes(scene, hierarchy, (node for node in replaced if node.GetAttribute(RESULT) is not None))
    for node in kept:
        if node.GetAttribute(RESULT) is not None:
            _retire(scene, node)


def _retire(scene: Any, node: Any) -> None:
    """Let a node be part of a result no more: it stays, hidden and named as former."""
    node.RemoveAttribute(RESULT)
    node.RemoveAttribute(FINDINGS)
    node.SetAttribute(FORMER, "1")
    node.SetName(scene.GenerateUniqueName(f"{node.GetName()} (former)"))
    if node.IsA("vtkMRMLDisplayableNode") and node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetVisibility(False)


def _move_segmentation(scene: Any, source: Any, target: Any, volume_node: Any) -> None:
    shown, old, new = source.GetDisplayNode(), target.GetSegmentation(), source.GetSegmentation()
    visible = {}
    for index in range(new.GetNumberOfSegments()):
        identifier = new.GetNthSegmentID(index)
        visible[identifier] = shown.GetSegmentVisibility(identifier)
    target.SetAndObserveTransformNodeID(None)  # the segments lie in the world
    # One by one: Slicer's subject hierarchy follows the segments that come and go.
    old.RemoveAllSegments()
    old.SetSourceRepresentationName(new.GetSourceRepresentationName())
    target.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    for identifier in visible:
        old.CopySegmentFromSegmentation(new, identifier, True)  # moved: nothing is copied
    target.SetAttribute("NeckFrac.Names", source.GetAttribute("NeckFrac.Names"))
    if target.GetDisplayNode() is None:
        target.CreateDefaultDisplayNodes()
        target.GetDisplayNode().SetOpacity2DFill(shown.GetOpacity2DFill())
        target.GetDisplayNode().SetOpacity3D(shown.GetOpacity3D())
    for identifier, seen in visible.items():
        target.GetDisplayNode().SetSegmentVisibility(identifier, seen)


def _move_table(scene: Any, source: Any, target: Any, volume_node: Any) -> None:
    target.SetAndObserveTable(source.GetTable())


def _move_image(scene: Any, source: Any, target: Any, volume_node: Any) -> None:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    source.GetIJKToRASMatrix(matrix)
    target.SetAndObserveTransformNodeID(None)
    target.SetIJKToRASMatrix(matrix)
    target.SetAndObserveImageData(source.GetImageData())
    if target.GetDisplayNode() is None:
        display = source.GetDisplayNode()
        source.SetAndObserveDisplayNodeID(None)  # it goes on to show the chosen node
        target.SetAndObserveDisplayNodeID(display.GetID())
