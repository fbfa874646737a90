"""Findings become nodes of a MRML scene.

The scene is an argument: the same lines serve Slicer, the command line and the tests.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..findings import Analysis
from .all_or_nothing import all_or_nothing
from .hierarchy import arrange
from .mrml import image, ras_affine
from .outputs import Outputs, fill, put_aside
from .result import mark, result_of, show_findings
from .scene_nodes import SceneNodes
from .segments import add_segmentation

if TYPE_CHECKING:
    from ..progress import Progress

BONE_WINDOW, BONE_LEVEL = 2000.0, 400.0
HEAT_SHOWN_FROM = 25.0  # percent


def populate_scene(
    scene: Any,
    analysis: Analysis,
    *,
    progress: Progress | None = None,
    volume_node: Any = None,
    segmentation_node: Any = None,
    outputs: Outputs | None = None,
) -> SceneNodes:
    """Add CT and segmentation (unless their nodes are given), boxes, heat map, table and findings to a scene.

    outputs: the nodes that they go into, which `outputs.is_usable` finds fit; what an earlier result of the same CT has
    beside these stays, hidden, as nodes that belong to no result any more. None: they take the place of the earlier
    result, but not of a segmentation that was given.
    T1 and the skull base come as two more segments, hidden, when the analysis has them. Where the levels' names are
    uncertain, boxes and table say what else they could be; segments keep their names, for other programs.
    Everything lies under the patient and study in the subject hierarchy. When anything goes wrong, what was
    added is removed again.
    """
    nodes = SceneNodes(volume=volume_node, segmentation=segmentation_node)
    earlier = result_of(scene, volume_node) if volume_node is not None else None
    chosen = Outputs.of(earlier) if outputs is None else outputs

    def step(fraction: float) -> None:
        if progress is not None:
            progress.step(fraction)

    with all_or_nothing(scene) as hierarchy:
        if volume_node is None:
            nodes.volume = _add_volume(scene, analysis.volume.voxels, analysis.volume.affine, "CT")
            _show_bone_window(scene, nodes.volume)
        step(0.2)
        if nodes.segmentation is None:
            nodes.segmentation = add_segmentation(scene, analysis, nodes.volume)
            mark(nodes.segmentation, nodes.volume)
        step(0.6)
        nodes.heat = _add_heat(scene, analysis)
        nodes.table = scene.AddNewNodeByClass("vtkMRMLTableNode", "Fracture probabilities")
        nodes.text = scene.AddNewNodeByClass("vtkMRMLTextNode", "NeckFrac findings")
        step(0.9)
        arrange(hierarchy, nodes, analysis.findings)
        show_findings(scene, nodes, analysis.findings)
    # From here on nothing is computed that could fail.
    fill(scene, hierarchy, nodes, chosen if segmentation_node is None else replace(chosen, segmentation=None))
    if earlier is not None:
        put_aside(scene, hierarchy, earlier, nodes, chosen)
    return nodes


def _add_volume(scene: Any, voxels: np.ndarray, affine: np.ndarray, name: str) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetAndObserveImageData(image(voxels))
    node.SetIJKToRASMatrix(ras_affine(affine))
    return node


def _show_bone_window(scene: Any, node: Any) -> None:
    display = scene.AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode")
    display.SetDefaultColorMap()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(BONE_WINDOW, BONE_LEVEL)
    node.SetAndObserveDisplayNodeID(display.GetID())


def _add_heat(scene: Any, analysis: Analysis) -> Any:
    """The heat map, cropped to where there is any, on the CT's own lattice."""
    hot = analysis.heat > 0
    where = [np.flatnonzero(hot.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not len(where[0]):
        return None
    lower = np.array([w[0] for w in where])
    crop = tuple(slice(w[0], w[-1] + 1) for w in where)
    affine = analysis.volume.affine.copy()
    affine[:3, 3] = analysis.volume.to_points(lower)
    node = _add_volume(scene, analysis.heat[crop], affine, "Fracture heat map")
    if drawn_by := analysis.findings.explanation.in_words():
        node.SetDescription(drawn_by)
    display = scene.AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode")
    colors = _heat_colors(scene)
    display.SetAndObserveColorNodeID(colors.GetID())
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0, 100)
    display.ApplyThresholdOn()
    display.SetThreshold(HEAT_SHOWN_FROM, 100)
    node.SetAndObserveDisplayNodeID(display.GetID())
    return node


def _heat_colors(scene: Any) -> Any:
    colors = scene.GetFirstNodeByName("NeckFrac heat")
    if colors is not None and colors.IsA("vtkMRMLColorTableNode"):
        return colors
    colors = scene.AddNewNodeByClass("vtkMRMLColorTableNode", "NeckFrac heat")
    colors.SetTypeToUser()
    colors.SetNumberOfColors(101)
    for percent in range(101):
        share = percent / 100
        colors.SetColor(percent, f"{percent} %", 1.0, 1.0 - 0.85 * share, 0.0, share)
    return colors
