"""A comparison of two segmentations in a MRML scene: distance-coloured vertebrae, where they disagree, the figures."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..comparison.compare import Comparison, Disagreement
from ..comparison.surfaces import DistanceSurface, poly_data
from .all_or_nothing import all_or_nothing
from .hierarchy import place, remove_nodes
from .mrml import LPS_TO_RAS, table_of
from .result import VOLUME
from .segments import LEVEL_TAG, import_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER, ATTRIBUTE, SCALAR, COLORS = "NeckFrac comparison", "NeckFrac.Comparison", "Distance (mm)", "NeckFrac distance"
KINDS = SURFACE, DISAGREEMENT, TABLE, TEXT = "surface", "disagreement", "table", "text"  # the attribute's values
HIDDEN = "NeckFrac.HiddenForComparison"
RANGE = 3.0  # mm, blue (inside the reference) to red (outside): the same for every study, so that pictures compare
# Anchors from -RANGE to RANGE, after ColorBrewer's RdBu: told apart by colour-blind readers, white where both agree.
DIVERGING = [(0.13, 0.40, 0.67), (0.57, 0.77, 0.87), (0.97, 0.97, 0.97), (0.96, 0.65, 0.51), (0.70, 0.09, 0.17)]
STEPS = 255
# Okabe and Ito's vermilion, sky blue and yellow: bright on bone and far apart.
PARTS = (
    ("Only the segmentation", (0.84, 0.37, 0.00)),
    ("Only the reference", (0.34, 0.71, 0.91)),
    ("Another level", (0.94, 0.89, 0.26)),
)


@dataclass
class ComparisonNodes:
    """The nodes that `add_comparison` made. surfaces: by level. disagreement, table: None where there is nothing."""

    surfaces: dict[str, Any] = field(default_factory=dict)
    disagreement: Any = None
    table: Any = None
    text: Any = None


def add_comparison(
    scene: Any, comparison: Comparison, surfaces: Mapping[str, DistanceSurface],
    disagreement: Disagreement | None = None, *, volume_node: Any = None,
) -> ComparisonNodes:  # fmt: skip
    """Put a comparison into the scene, in place of an earlier one; when anything goes wrong, nothing has changed.

    surfaces: by level; disagreement: None without a reference, when there are but flags. volume_node: the CT, beside
    which a folder is made.
    """
    earlier = comparison_nodes(scene)
    nodes = ComparisonNodes()
    with all_or_nothing(scene) as hierarchy:
        colors = _distance_colors(scene)
        for name, surface in surfaces.items():
            nodes.surfaces[name] = _add_surface(scene, name, surface, colors)
        if nodes.surfaces:
            _add_legend(scene, next(iter(nodes.surfaces.values())))
        if disagreement is not None:
            nodes.disagreement = _add_disagreement(scene, disagreement)
        if comparison.levels:
            nodes.table = _add_table(scene, comparison)
        nodes.text = _add_text(scene, comparison, volume_node)
        item = hierarchy.GetItemByDataNode(volume_node) if volume_node is not None else 0
        parent = hierarchy.GetItemParent(item) if item else hierarchy.GetSceneItemID()
        folder = hierarchy.CreateFolderItem(parent, FOLDER)
        for node in (*nodes.surfaces.values(), nodes.disagreement, nodes.table, nodes.text):
            if node is not None:
                place(hierarchy, node, folder)
    _remove(scene, hierarchy, earlier)
    return nodes


def comparison_nodes(scene: Any, kind: str | None = None) -> list[Any]:
    """The scene's nodes that belong to a comparison: all, or those of a kind: SURFACE, DISAGREEMENT or TABLE."""
    nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
    return [node for node in nodes if (node.GetAttribute(ATTRIBUTE) or "") in ((kind,) if kind else KINDS)]


def comparison_in(scene: Any, volume_node: Any = None) -> Comparison | None:
    """The comparison that the scene holds, of the given CT; None when there is none that can be read."""
    for node in comparison_nodes(scene, TEXT):
        if volume_node is None or node.GetNodeReferenceID(VOLUME) == volume_node.GetID():
            try:
                return _comparison_of(node.GetText())
            except (ValueError, TypeError, KeyError):
                return None
    return None


@lru_cache(maxsize=4)
def _comparison_of(text: str) -> Comparison:
    """The comparison of a text, read once a change."""
    return Comparison.from_dict(json.loads(text))


def show_surfaces(scene: Any, shown: bool) -> None:
    """Show or hide the distance-coloured surfaces; segmentations make room for them in 3D as long as they are shown."""
    surfaces = comparison_nodes(scene, SURFACE)
    for node in surfaces:
        for index in range(node.GetNumberOfDisplayNodes()):  # one of them has the legend, too
            node.GetNthDisplayNode(index).SetVisibility(shown)
    kind = "vtkMRMLSegmentationNode"
    for index in range(scene.GetNumberOfNodesByClass(kind)):
        node = scene.GetNthNodeByClass(index, kind)
        display = node.GetDisplayNode()
        if display is None or node.GetAttribute(ATTRIBUTE):
            continue
        if shown and surfaces and display.GetVisibility3D():
            display.SetVisibility3D(False)
            node.SetAttribute(HIDDEN, "1")
        elif not shown and node.GetAttribute(HIDDEN):
            display.SetVisibility3D(True)
            node.RemoveAttribute(HIDDEN)


def show_disagreement(scene: Any, shown: bool) -> None:
    """Show or hide in the slices where the two segmentations disagree."""
    for node in comparison_nodes(scene, DISAGREEMENT):
        node.GetDisplayNode().SetVisibility(shown)


def _add_surface(scene: Any, name: str, surface: DistanceSurface, colors: Any) -> Any:
    from vtkmodules.util.numpy_support import numpy_to_vtk

    data = poly_data(surface.points @ LPS_TO_RAS[:3, :3], surface.triangles)
    distances = numpy_to_vtk(np.ascontiguousarray(surface.distances, dtype=np.float32), deep=True)
    distances.SetName(SCALAR)
    data.GetPointData().SetScalars(distances)
    node = scene.AddNewNodeByClass("vtkMRMLModelNode", f"{name} distance")
    node.SetAndObservePolyData(data)
    node.SetAttribute(ATTRIBUTE, SURFACE)
    node.SetAttribute(LEVEL_TAG, name)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetActiveScalar(SCALAR, 0)  # vtkAssignAttribute::POINT_DATA
    display.SetAndObserveColorNodeID(colors.GetID())
    display.SetScalarRangeFlag(display.UseManualScalarRange)
    display.SetScalarRange(-RANGE, RANGE)
    display.SetScalarVisibility(True)
    return node


def _add_legend(scene: Any, surface_node: Any) -> None:
    """What the colours mean, beside the 3D view: one legend for all surfaces, which share their colours and range.

    A display node of one surface, as Slicer's colour logic would add it: it goes with that surface.
    """
    import slicer

    # Not by the class's name: without a running application the scene does not know it.
    legend = scene.AddNode(slicer.vtkMRMLColorLegendDisplayNode())
    legend.SetName(f"{SCALAR} color legend")
    surface_node.AddAndObserveDisplayNodeID(legend.GetID())
    legend.SetAndObservePrimaryDisplayNode(surface_node.GetDisplayNode())
    legend.SetTitleText(SCALAR)
    legend.SetUseColorNamesForLabels(False)  # they would name every step; the range says the same in seven figures
    legend.SetLabelFormat("%.0f")
    legend.SetNumberOfLabels(round(2 * RANGE) + 1)
    legend.SetMaxNumberOfColors(STEPS)
    legend.SetVisibility2D(False)  # the surfaces are seen in 3D


def _distance_colors(scene: Any) -> Any:
    colors = scene.GetFirstNodeByName(COLORS)
    if colors is not None and colors.IsA("vtkMRMLColorTableNode"):
        return colors
    colors = scene.AddNewNodeByClass("vtkMRMLColorTableNode", COLORS)
    colors.SetTypeToUser()
    colors.SetNumberOfColors(STEPS)
    distances = np.linspace(-RANGE, RANGE, STEPS)
    anchors = np.linspace(-RANGE, RANGE, len(DIVERGING))
    channels = [np.interp(distances, anchors, values) for values in zip(*DIVERGING, strict=True)]
    for index, (distance, *color) in enumerate(zip(distances, *channels, strict=True)):
        colors.SetColor(index, f"{distance:+.2f} mm", *map(float, color), 1.0)
    colors.GetLookupTable().SetRange(-RANGE, RANGE)
    return colors


def _add_disagreement(scene: Any, disagreement: Disagreement) -> Any:
    """A segment for each kind of disagreement; None when the two agree."""
    counts = np.bincount(disagreement.parts.reshape(-1), minlength=len(PARTS) + 1)
    if not counts[1:].any():
        return None
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Disagreement")
    node.SetAttribute(ATTRIBUTE, DISAGREEMENT)
    node.CreateDefaultDisplayNodes()
    import_labels(scene, disagreement.parts, disagreement.affine, node)
    there = [part for part, count in zip(PARTS, counts[1:], strict=True) if count]
    for index, (name, color) in enumerate(there):
        segment = node.GetSegmentation().GetNthSegment(index)
        segment.SetName(name)
        segment.SetColor(*color)
        segment.SetNameAutoGenerated(False)
        segment.SetColorAutoGenerated(False)
    display = node.GetDisplayNode()
    display.SetOpacity2DFill(0.6)
    display.SetVisibility3D(False)
    return node


def _add_table(scene: Any, comparison: Comparison) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", "Comparison with the reference")
    node.SetAttribute(ATTRIBUTE, TABLE)
    columns = {
        "Level": "level", "Dice": "dice", "Surface Dice 1 mm": "surface_dice_1mm",
        "Surface Dice 2 mm": "surface_dice_2mm", "Hausdorff 95 % (mm)": "hausdorff95_mm", "Volume (ml)": "volume_ml",
        "Reference (ml)": "reference_ml", "Found": "found",
    }  # fmt: skip
    values = {title: [getattr(level, name) for level in comparison.levels] for title, name in columns.items()}
    node.SetAndObserveTable(table_of(values, texts=("Level", "Found")))
    return node


def _add_text(scene: Any, comparison: Comparison, volume_node: Any) -> Any:
    """All figures and flags as JSON: what a panel shows of them comes back with the scene."""
    node = scene.AddNewNodeByClass("vtkMRMLTextNode", "NeckFrac comparison")
    node.SetText(json.dumps(comparison.to_dict()))
    node.SetAttribute(ATTRIBUTE, TEXT)
    if volume_node is not None:
        node.SetNodeReferenceID(VOLUME, volume_node.GetID())
    return node


def _remove(scene: Any, hierarchy: Any, nodes: list[Any]) -> None:
    """Take an earlier comparison out of the scene: its nodes, what shows and stores them, its empty folder."""
    items = [hierarchy.GetItemByDataNode(node) for node in nodes]
    folders = {hierarchy.GetItemParent(item) for item in items if item}
    remove_nodes(scene, hierarchy, nodes)
    for folder in folders:
        if hierarchy.GetItemName(folder) == FOLDER and not hierarchy.GetNumberOfItemChildren(folder):
            hierarchy.RemoveItem(folder, False, False)
