"""Where a result lies in the subject hierarchy: patient > study > CT, segmentation, ... and a folder of boxes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..findings import Findings
from .scene_nodes import SceneNodes

FOLDER, MEASUREMENTS = "NeckFrac findings", "NeckFrac measurements"


def items_of(hierarchy: Any) -> list[int]:
    """Every item of the subject hierarchy."""
    import vtk

    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    return [items.GetId(index) for index in range(items.GetNumberOfIds())]


def arrange(hierarchy: Any, nodes: SceneNodes, findings: Findings) -> None:
    """Patient > study > (CT, segmentation, ...) in the subject hierarchy; an existing place of the CT is kept.

    A CT of which no patient or study is known stays where it is: nothing invents a patient. The boxes come later,
    with `folder_of` and `place`.
    """
    volume_item, identity = hierarchy.GetItemByDataNode(nodes.volume), findings.study
    parent = hierarchy.GetItemParent(volume_item) if volume_item else hierarchy.GetSceneItemID()
    known = identity.patient_name or identity.patient_id or identity.study_uid
    if parent == hierarchy.GetSceneItemID() and known:
        name = identity.patient_name or identity.patient_id or "Patient"
        patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), name)
        hierarchy.SetItemAttribute(patient, "DICOM.PatientID", identity.patient_id)
        hierarchy.SetItemAttribute(patient, "DICOM.PatientName", identity.patient_name)
        described = " ".join(part for part in (identity.study_description, identity.study_date) if part)
        parent = hierarchy.CreateStudyItem(patient, described or "Study")
        if identity.study_uid:
            hierarchy.SetItemUID(parent, "DICOM", identity.study_uid)
    place(hierarchy, nodes.volume, parent)
    for node in nodes.all():
        if node is not nodes.volume and node not in nodes.rois.values() and node not in nodes.lines.values():
            place(hierarchy, node, parent)


def measurements_folder(hierarchy: Any, volume_node: Any) -> int:
    """The folder beside a CT that holds the lines of its measurements; made when it is not there."""
    return folder_of(hierarchy, volume_node, MEASUREMENTS)


def folder_of(hierarchy: Any, volume_node: Any, name: str = FOLDER) -> int:
    """The folder beside a CT that holds the boxes of its findings; made when it is not there."""
    import vtk

    parent, children = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(volume_node)), vtk.vtkIdList()
    hierarchy.GetItemChildren(parent, children, False)
    for index in range(children.GetNumberOfIds()):
        if hierarchy.GetItemName(children.GetId(index)) == name:
            return children.GetId(index)
    return hierarchy.CreateFolderItem(parent, name)


def remove_nodes(scene: Any, hierarchy: Any, nodes: Iterable[Any]) -> None:
    """Take nodes out of the scene, what shows and stores them, and their items.

    The items first: Slicer's application removes the item of a node that goes, and an item that is not there any
    more is an error to the hierarchy.
    """
    for node in nodes:
        item, also = hierarchy.GetItemByDataNode(node), []
        if item:
            hierarchy.RemoveItem(item, False, False)
        if node.IsA("vtkMRMLDisplayableNode"):
            also += [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())]
        if node.IsA("vtkMRMLStorableNode"):
            also += [node.GetNthStorageNode(n) for n in range(node.GetNumberOfStorageNodes())]
        for one in (node, *also):
            if one is not None and scene.IsNodePresent(one):
                scene.RemoveNode(one)


def place(hierarchy: Any, node: Any, parent: int) -> None:
    """Put a node's item below `parent`; in Slicer the application has made the item, elsewhere nobody has."""
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, parent)
    else:
        hierarchy.CreateItem(parent, node)
