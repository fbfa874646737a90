"""A result in a scene: the nodes that belong to one CT, found again, and made to say what changed findings say."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from ..findings import Findings
from .boxes import LEVEL, match_boxes, tell_boxes
from .hierarchy import folder_of, place
from .measurement_lines import KEY, match_lines, tell_lines
from .placement import placement_kept
from .probabilities import fill_table
from .scene_nodes import SceneNodes

RESULT, VOLUME = "NeckFrac.Result", "NeckFrac.Volume"  # attribute of what a result made; reference to its CT
FORMER = "NeckFrac.FormerResult"  # attribute of what a result made that another one has put aside
SEGMENTATION = "NeckFrac.Segmentation"  # reference of the findings to the segmentation that they are of
FINDINGS = "NeckFrac.Findings"  # attribute of the text node that holds them as JSON


def mark(node: Any, volume_node: Any) -> None:
    """Say that a node is a result's own: it goes when another result takes its place."""
    node.SetAttribute(RESULT, "1")
    node.SetNodeReferenceID(VOLUME, volume_node.GetID())


def show_findings(scene: Any, nodes: SceneNodes, findings: Findings) -> None:
    """Make the boxes, the table and the text of a result say what `findings` say."""
    import slicer

    with placement_kept(scene):
        nodes.rois = match_boxes(scene, findings, nodes.rois)
        nodes.lines = match_lines(scene, findings, nodes.lines)
    fill_table(nodes.table, findings)
    nodes.text.SetText(json.dumps(findings.to_dict()))
    nodes.text.SetAttribute(FINDINGS, "1")
    if nodes.segmentation is not None:
        nodes.text.SetNodeReferenceID(SEGMENTATION, nodes.segmentation.GetID())
    for node in (nodes.heat, nodes.table, nodes.text, *nodes.rois.values(), *nodes.lines.values()):
        if node is not None:
            mark(node, nodes.volume)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
    folder = folder_of(hierarchy, nodes.volume)
    for node in nodes.rois.values():
        place(hierarchy, node, folder)
    tell_boxes(findings, nodes.rois)
    tell_lines(hierarchy, nodes.volume, findings, nodes.lines)


def result_of(scene: Any, volume_node: Any) -> SceneNodes | None:
    """The nodes of a CT's result in the scene, None when it has none."""
    nodes = SceneNodes(volume=volume_node)
    for index in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(index)
        if node.GetAttribute(RESULT) is None or node.GetNodeReferenceID(VOLUME) != volume_node.GetID():
            continue
        if node.IsA("vtkMRMLMarkupsROINode"):
            nodes.rois[node.GetAttribute(LEVEL)] = node
        elif node.GetAttribute(KEY) is not None:
            nodes.lines[node.GetAttribute(KEY)] = node
        elif node.IsA("vtkMRMLSegmentationNode"):
            nodes.segmentation = node
        elif node.IsA("vtkMRMLTableNode"):
            nodes.table = node
        elif node.IsA("vtkMRMLTextNode"):
            nodes.text = node
        elif node.IsA("vtkMRMLScalarVolumeNode"):
            nodes.heat = node
    if nodes.text is None or nodes.table is None:
        return None
    nodes.segmentation = nodes.text.GetNodeReference(SEGMENTATION) or nodes.segmentation
    return nodes


def findings_in(nodes: SceneNodes) -> Findings:
    """The findings that a result's text node holds. Raises ValueError when they can't be read."""
    try:
        return _findings_of(nodes.text.GetText())
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"the findings in the scene can't be read: {error}") from error


@lru_cache(maxsize=8)
def _findings_of(text: str) -> Findings:
    """The findings of a text, read once a change: every part of a panel asks for them at each of its updates."""
    return Findings.from_dict(json.loads(text))
