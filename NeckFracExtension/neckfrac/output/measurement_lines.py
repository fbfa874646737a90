"""Measurements in a scene: locked line markups, in a folder of their own, that a reader may drag."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..findings import Findings
from ..measurement import Measurement, Point
from .hierarchy import measurements_folder, place, remove_nodes
from .mrml import LPS_TO_RAS

KEY = "NeckFrac.Measurement"  # attribute of a line: the measurement that it is of, and which of its lines
COLOR, FLAGGED, EDITED = (0.94, 0.89, 0.26), (0.84, 0.21, 0.00), (0.34, 0.71, 0.91)  # as boxes have

Line = tuple[Point, Point]


def owners(findings: Findings) -> dict[Line, tuple[str, Measurement]]:
    """Each line once, with its key and its measurement: heights come before the ratios that are made of them."""
    found: dict[Line, tuple[str, Measurement]] = {}
    for one in findings.measurements:
        for n, line in enumerate(one.lines):
            found.setdefault(line, (f"{one.key} {n}", one))
    return found


def match_lines(scene: Any, findings: Findings, nodes: dict[str, Any]) -> dict[str, Any]:
    """A line node for each line of the measurements, by its key: some are there (`nodes`), some come, some go."""
    import slicer

    wanted = {key: (line, one) for line, (key, one) in owners(findings).items()}
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
    remove_nodes(scene, hierarchy, [node for key, node in nodes.items() if key not in wanted])
    kept = {key: nodes[key] for key in wanted if key in nodes}
    for key, (line, one) in wanted.items():
        if key not in kept:
            node = kept[key] = scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode")
            node.CreateDefaultDisplayNodes()
            node.SetLocked(True)
            node.SetAttribute(KEY, key)
            display = node.GetDisplayNode()
            # All at once would hide the neck: the panel shows the chosen one as well.
            display.SetVisibility(one.flag is not None)
            display.SetPropertiesLabelVisibility(False)
            display.SetPointLabelsVisibility(False)
        if not _lies_at(kept[key], line):
            kept[key].RemoveAllControlPoints()
            for point in line:
                kept[key].AddControlPoint(*(LPS_TO_RAS[:3, :3] @ np.array(point)))
    return kept


def tell_lines(hierarchy: Any, volume: Any, findings: Findings, nodes: dict[str, Any]) -> None:
    """Make the nodes of `match_lines` say what the measurements say, in their folder beside the CT."""
    if not nodes:
        return
    folder = measurements_folder(hierarchy, volume)
    for key, one in owners(findings).values():
        node, color = nodes[key], FLAGGED if one.flag else EDITED if one.edited else COLOR
        node.SetName(f"{one.where} {one.quantity.title} {one.in_words()}")
        node.SetDescription(" ".join(filter(None, [one.flag, one.note, one.uncertainty_in_words()])))
        node.GetDisplayNode().SetColor(*color)
        node.GetDisplayNode().SetSelectedColor(*color)
        place(hierarchy, node, folder)


def nodes_of(findings: Findings, one: Measurement, nodes: dict[str, Any]) -> list[Any]:
    """The line nodes that a measurement is drawn with, in the order of its lines."""
    found = owners(findings)
    return [nodes[found[line][0]] for line in one.lines]


def points_of(findings: Findings, one: Measurement, nodes: dict[str, Any]) -> tuple[Point, ...]:
    """Where a measurement's points lie now in its line nodes, LPS mm; as they were where nobody moved them."""
    result: list[Point] = []
    for line, node in zip(one.lines, nodes_of(findings, one, nodes), strict=True):
        result += line if _lies_at(node, line) else _points(node)
    return tuple(result)


def _points(node: Any) -> list[Point]:
    found, ras = [], [0.0, 0.0, 0.0]
    for index in range(node.GetNumberOfControlPoints()):
        node.GetNthControlPointPosition(index, ras)
        found.append(tuple(round(float(v), 3) for v in LPS_TO_RAS[:3, :3] @ np.array(ras)))
    return found


def _lies_at(node: Any, line: Line) -> bool:
    points = _points(node)
    return len(points) == 2 and bool(np.abs(np.array(points) - np.array(line)).max() < 2e-3)
