"""Boxes around suspected fractures: ROI markups that follow the findings, and what readers make of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..findings import ADDED, CONFIRMED, Box, Findings, VertebraFinding
from ..formatting import as_percent, suspicion_in_words
from .hierarchy import remove_nodes
from .mrml import LPS_TO_RAS

# Okabe and Ito's yellow, orange and vermilion: told apart by colour-blind readers, brighter is surer.
SEVERITY_COLORS = {"low": (0.94, 0.89, 0.26), "medium": (0.90, 0.62, 0.00), "high": (0.84, 0.21, 0.00)}
READER_COLOR = (0.34, 0.71, 0.91)  # a finding that a reader added: Okabe and Ito's sky blue
LEVEL = "NeckFrac.Level"
POINT = 0.5  # mm


def finding_name(finding: VertebraFinding, findings: Findings) -> str:
    """How a finding is called in the scene: ``C2 fracture 87.0 %``, ``C2 or C3 fracture 87.0 %, confirmed``."""
    review, named = findings.review_of(finding.level), findings.naming.either(finding.level)
    if review is not None and review.verdict == ADDED:
        return f"{named} fracture, added by the reader"
    told = f"{named} fracture {as_percent(finding.probability)}".strip()
    return f"{told}, confirmed" if review is not None and review.verdict == CONFIRMED else told


def match_boxes(scene: Any, findings: Findings, nodes: dict[str, Any]) -> dict[str, Any]:
    """A ROI node for each box of the findings, by level: some are there (`nodes`), some come, some go."""
    import slicer

    boxes = findings.boxes()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
    remove_nodes(scene, hierarchy, [node for level, node in nodes.items() if level not in boxes])
    kept = {level: nodes[level] for level in boxes if level in nodes}
    for level, box in boxes.items():
        if level not in kept:
            node = kept[level] = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
            node.CreateDefaultDisplayNodes()
            node.SetLocked(True)
            node.GetDisplayNode().SetFillOpacity(0.1)
            node.GetDisplayNode().SetHandlesInteractive(False)
            # The point in a box's middle would hide what is suspected there.
            node.GetDisplayNode().SetUseGlyphScale(False)
            node.GetDisplayNode().SetGlyphSize(POINT)
            node.SetAttribute(LEVEL, level)
        if box_of(kept[level]) != box:
            # The box lies along the patient's axes: RAS only turns two signs, sizes stay.
            kept[level].SetCenter(*(LPS_TO_RAS[:3, :3] @ box.center))
            kept[level].SetSize(*box.size)
    return kept


def tell_boxes(findings: Findings, nodes: dict[str, Any]) -> None:
    """Make the nodes of `match_boxes` say what the findings say.

    After all of them have their places: MRML clears the description of other markups when one gets its first size.
    """
    for level in findings.boxes():
        _tell(nodes[level], findings.level(level), findings)


def _tell(node: Any, finding: VertebraFinding, findings: Findings) -> None:
    naming, review = findings.naming, findings.review_of(finding.level)
    node.SetName(finding_name(finding, findings))
    suspicion = f"Suspicion: {suspicion_in_words(finding.severity)}." if finding.severity else ""
    note = review.note if review is not None else ""
    node.SetDescription(" ".join(filter(None, [suspicion, naming.sentence(), note])))
    # A markup's description is not in its file; its attributes are in the scene.
    if naming.sentence():
        node.SetAttribute("NeckFrac.Naming", naming.sentence())
    added = review is not None and review.verdict == ADDED
    color = READER_COLOR if added else SEVERITY_COLORS[finding.severity or "low"]
    display = node.GetDisplayNode()
    display.SetColor(*color)
    display.SetSelectedColor(*color)


def box_of(node: Any) -> Box:
    """Where a ROI node lies now; one that a reader has turned by its bounds along the patient's axes."""
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    corners = LPS_TO_RAS[:3, :3] @ np.array(bounds).reshape(3, 2)
    lower, upper = corners.min(axis=1), corners.max(axis=1)
    return Box(tuple(round(float(v), 3) for v in lower), tuple(round(float(v), 3) for v in upper))


def edit_boxes(nodes: dict[str, Any], editable: bool) -> None:
    """Let the reader move and resize the boxes, or keep them where they are."""
    for node in nodes.values():
        node.SetLocked(not editable)
        node.GetDisplayNode().SetHandlesInteractive(editable)
