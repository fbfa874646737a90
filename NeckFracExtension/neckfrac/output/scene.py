"""Findings become nodes of a MRML scene.

The scene is an argument: the same lines serve Slicer, the command line and the tests.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..findings import Analysis, Findings, Naming, VertebraFinding, as_figure
from .mrml import LPS_TO_RAS, image, ras_affine
from .segments import add_segmentation

if TYPE_CHECKING:
    from ..progress import Progress

BONE_WINDOW, BONE_LEVEL = 2000.0, 400.0
HEAT_SHOWN_FROM = 25.0  # percent
# Okabe and Ito's yellow, orange and vermilion: told apart by colour-blind readers, brighter is surer.
SEVERITY_COLORS = {"low": (0.94, 0.89, 0.26), "medium": (0.90, 0.62, 0.00), "high": (0.84, 0.21, 0.00)}


@dataclass
class SceneNodes:
    """The nodes that `populate_scene` made (or was given, for the volume)."""

    volume: Any = None
    segmentation: Any = None
    heat: Any = None
    table: Any = None
    text: Any = None
    rois: dict[str, Any] = field(default_factory=dict)

    def all(self) -> list[Any]:
        nodes = [self.volume, self.segmentation, self.heat, self.table, self.text, *self.rois.values()]
        return [node for node in nodes if node is not None]


def populate_scene(
    scene: Any, analysis: Analysis, *, progress: Progress | None = None, volume_node: Any = None
) -> SceneNodes:
    """Add CT (unless `volume_node` is given), segmentation, boxes, heat map, table and findings to a scene.

    T1 and the skull base come as two more segments, hidden, when the analysis has them. Where the levels' names are
    uncertain, boxes and table say what else they could be; segments keep their names, for other programs.
    Everything lies under the patient and study in the subject hierarchy. When anything goes wrong, what was
    added is removed again.
    """
    import slicer

    before = {scene.GetNthNode(n).GetID() for n in range(scene.GetNumberOfNodes())}
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
    items_before = set(_items(hierarchy))
    nodes = SceneNodes(volume=volume_node)

    def step(fraction: float) -> None:
        if progress is not None:
            progress.step(fraction)

    try:
        if volume_node is None:
            nodes.volume = _add_volume(scene, analysis.volume.voxels, analysis.volume.affine, "CT")
            _show_bone_window(scene, nodes.volume)
        step(0.2)
        nodes.segmentation = add_segmentation(scene, analysis, nodes.volume)
        step(0.6)
        nodes.heat = _add_heat(scene, analysis)
        for finding in analysis.findings.positive:
            if finding.box is not None:
                nodes.rois[finding.level] = _add_roi(scene, finding, analysis.findings.naming)
        nodes.table = _add_table(scene, analysis.findings)
        nodes.text = _add_text(scene, analysis.findings)
        step(0.9)
        _arrange(hierarchy, nodes, analysis.findings)
    except BaseException:
        for index in reversed(range(scene.GetNumberOfNodes())):
            node = scene.GetNthNode(index)
            if node is not None and node.GetID() not in before and not node.GetSingletonTag():
                scene.RemoveNode(node)
        for item in _items(hierarchy):
            if item not in items_before:
                hierarchy.RemoveItem(item, False, False)
        raise
    return nodes


def _items(hierarchy: Any) -> list[int]:
    """Every item of the subject hierarchy."""
    import vtk

    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    return [items.GetId(index) for index in range(items.GetNumberOfIds())]


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
    if analysis.findings.explanation:
        node.SetDescription(analysis.findings.explanation)
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


def finding_name(finding: VertebraFinding, naming: Naming) -> str:
    """How a finding is called in the scene: ``C2 fracture 0.87``, or ``C2 or C3 fracture 0.87``."""
    return f"{naming.either(finding.level)} fracture {as_figure(finding.probability)}"


def _add_roi(scene: Any, finding: VertebraFinding, naming: Naming) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", finding_name(finding, naming))
    node.CreateDefaultDisplayNodes()
    # The box lies along the patient's axes: RAS only turns two signs, sizes stay.
    node.SetCenter(*(LPS_TO_RAS[:3, :3] @ finding.box.center))
    node.SetSize(*finding.box.size)
    node.SetLocked(True)
    node.SetDescription(" ".join(filter(None, [f"{finding.severity} severity.", naming.sentence()])))
    node.SetAttribute("NeckFrac.Level", finding.level)
    # A markup's description is not in its file; its attributes are in the scene.
    if naming.sentence():
        node.SetAttribute("NeckFrac.Naming", naming.sentence())
    display = node.GetDisplayNode()
    color = SEVERITY_COLORS[finding.severity or "low"]
    display.SetColor(*color)
    display.SetSelectedColor(*color)
    display.SetFillOpacity(0.1)
    display.SetHandlesInteractive(False)
    return node


def _add_table(scene: Any, findings: Findings) -> Any:
    import vtk

    node = scene.AddNewNodeByClass("vtkMRMLTableNode", "Fracture probabilities")
    node.SetDescription(findings.naming.sentence())
    members = sorted({name for level in findings.levels for name in level.members})
    columns: list[tuple[str, list[Any]]] = [
        ("Level", [*(findings.naming.either(level.level) for level in findings.levels), "Patient"]),
        ("Probability", [*(level.probability for level in findings.levels), findings.patient_probability]),
        ("Call", [*(level.status for level in findings.levels), findings.patient_status]),
        ("Severity", [*(level.severity or "" for level in findings.levels), ""]),
        ("Share in view", [*(level.share_in_view for level in findings.levels), None]),
        ("Threshold", [*(level.threshold for level in findings.levels), findings.patient_threshold]),
    ]
    for name in members:
        values = [level.members.get(name) for level in findings.levels]
        columns.append((name, [*values, findings.patient_members.get(name)]))
    for name, values in columns:
        text = name in ("Level", "Call", "Severity")
        array = vtk.vtkStringArray() if text else vtk.vtkDoubleArray()
        array.SetName(name)
        for value in values:
            array.InsertNextValue(value if text else float("nan") if value is None else float(value))
        node.AddColumn(array)
    return node


def _add_text(scene: Any, findings: Findings) -> Any:
    """The findings as JSON, so that the scene tells all by itself."""
    node = scene.AddNewNodeByClass("vtkMRMLTextNode", "NeckFrac findings")
    node.SetText(json.dumps(findings.to_dict()))
    node.SetAttribute("NeckFrac.Findings", "1")
    return node


def _arrange(hierarchy: Any, nodes: SceneNodes, findings: Findings) -> None:
    """Patient > study > (CT, segmentation, ...) in the subject hierarchy; an existing place of the CT is kept."""
    volume_item = hierarchy.GetItemByDataNode(nodes.volume)
    parent = hierarchy.GetItemParent(volume_item) if volume_item else 0
    if parent in (0, hierarchy.GetSceneItemID()):
        identity = findings.study
        name = identity.patient_name or identity.patient_id or "Patient"
        patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), name)
        hierarchy.SetItemAttribute(patient, "DICOM.PatientID", identity.patient_id)
        hierarchy.SetItemAttribute(patient, "DICOM.PatientName", identity.patient_name)
        described = " ".join(part for part in (identity.study_description, identity.study_date) if part)
        parent = hierarchy.CreateStudyItem(patient, described or "Study")
        if identity.study_uid:
            hierarchy.SetItemUID(parent, "DICOM", identity.study_uid)
        _place(hierarchy, nodes.volume, parent)
    folder = hierarchy.CreateFolderItem(parent, "NeckFrac findings")
    for node in nodes.all():
        if node is nodes.volume:
            continue
        inside = folder if node in nodes.rois.values() else parent
        _place(hierarchy, node, inside)


def _place(hierarchy: Any, node: Any, parent: int) -> None:
    """Put a node's item below `parent`; in Slicer the application has made the item, elsewhere nobody has."""
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, parent)
    else:
        hierarchy.CreateItem(parent, node)
