"""A scene that stays as it was when filling it fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .hierarchy import items_of


@contextmanager
def all_or_nothing(scene: Any) -> Iterator[Any]:
    """Gives the scene's subject hierarchy; when the block raises, nodes and items that it added are removed."""
    import slicer

    before = {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
    items_before = set(items_of(hierarchy))
    try:
        yield hierarchy
    except BaseException:
        for index in reversed(range(scene.GetNumberOfNodes())):
            node = scene.GetNthNode(index)
            # Removing one node can take others along.
            if node is not None and node.GetID() not in before and not node.GetSingletonTag():
                scene.RemoveNode(node)
        for item in items_of(hierarchy):
            if item not in items_before:
                hierarchy.RemoveItem(item, False, False)
        raise
