"""What a reader would place next with the mouse: left as it was when boxes and lines are added to a scene."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def placement_kept(scene: Any) -> Iterator[None]:
    """Markups that the block adds become no target of the mouse.

    Slicer makes each markup that is added the active one (vtkSlicerMarkupsLogic::OnMRMLSceneNodeAdded): the reader's
    next point would become part of our box, and the markup that was being placed would be left unfinished. A reader's
    markup that is gone afterwards is not made active again.
    """
    before = [
        (node, node.GetActivePlaceNodeClassName(), node.GetActivePlaceNodeID())
        for node in _nodes(scene, "vtkMRMLSelectionNode")
    ]
    modes = [
        (node, node.GetCurrentInteractionMode(), node.GetPlaceModePersistence())
        for node in _nodes(scene, "vtkMRMLInteractionNode")
    ]
    try:
        yield
    finally:
        for node, kind, identifier in before:
            # The class first: that is the order in which Slicer's own code sets them.
            if node.GetActivePlaceNodeClassName() != kind:
                node.SetReferenceActivePlaceNodeClassName(kind)
            if identifier is not None and scene.GetNodeByID(identifier) is None:
                identifier = None
            if node.GetActivePlaceNodeID() != identifier:
                node.SetReferenceActivePlaceNodeID(identifier)
        for node, mode, persistence in modes:
            if node.GetPlaceModePersistence() != persistence:
                node.SetPlaceModePersistence(persistence)
            if node.GetCurrentInteractionMode() != mode:
                node.SetCurrentInteractionMode(mode)


def _nodes(scene: Any, kind: str) -> list[Any]:
    return [scene.GetNthNodeByClass(index, kind) for index in range(scene.GetNumberOfNodesByClass(kind))]
