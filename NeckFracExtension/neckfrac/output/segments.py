"""Levels, and the bones they are counted from, as segments of one segmentation node."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..anatomy import ANCHORS, LEVELS, Level
from ..findings import Analysis, Naming
from .mrml import image, ras_affine

# SNOMED CT: body structure > vertebra, as DICOM PS3.16 CID 7603 codes it.
CATEGORY = ("SCT", "123037004", "Anatomical Structure")
# Slicer's own lists have no single cervical vertebrae; Resources/Terminology/NeckFrac.term.json has.
TERMINOLOGY = "NeckFrac cervical vertebrae"
LEVEL_TAG, ALTERNATIVES_TAG, ANCHOR_TAG = "NeckFrac.Level", "NeckFrac.AlternativeLevels", "NeckFrac.Anchor"


def terminology_entry(level: Level) -> str:
    """The level as Slicer serialises a terminology entry: context, category, type, no modifier, no region."""
    code = f"SCT^{level.snomed}^{level.meaning}"
    return "~".join([TERMINOLOGY, "^".join(CATEGORY), code, "^^", "Anatomic codes - DICOM master list", "^^", "^^"])


def add_segmentation(scene: Any, analysis: Analysis, volume_node: Any) -> Any:
    """Add a segmentation node with the levels in view and their surfaces; anchors are there, but hidden."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Cervical vertebrae")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    naming = analysis.findings.naming
    node.SetDescription(naming.sentence())
    node.SetAttribute("NeckFrac.Names", "certain" if naming.certain else "uncertain")
    crop = _extent(analysis)
    if crop is not None:
        labels = np.asarray(analysis.labels[crop])
        if analysis.anchors is not None:
            labels = np.where(labels > 0, labels, analysis.anchors[crop])
        known = {level.label: level for level in (*LEVELS, *ANCHORS)}
        # The import makes a segment of each value: one that is unknown would shift the names of those after it.
        table = np.zeros(256, np.uint8)
        table[list(known)] = list(known)
        labels = table[labels]
        affine = analysis.volume.affine.copy()
        affine[:3, 3] = analysis.volume.to_points(np.array([part.start for part in crop]))
        import_labels(scene, labels, affine, node)
        present = [known[value] for value in np.flatnonzero(np.bincount(labels.reshape(-1))) if value]
        segmentation = node.GetSegmentation()
        for index, level in enumerate(present):
            _name_segment(segmentation.GetNthSegment(index), level, naming)
        node.CreateClosedSurfaceRepresentation()
    display = node.GetDisplayNode()
    display.SetOpacity2DFill(0.25)
    display.SetOpacity3D(1.0)
    show_anchors(node, False)
    return node


def anchor_segments(node: Any) -> list[str]:
    """The ids of a segmentation node's anchors: T1 and the skull base, as far as they are in view."""
    segmentation = node.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]
    return [identifier for identifier in ids if segmentation.GetSegment(identifier).HasTag(ANCHOR_TAG)]


def show_anchors(node: Any, shown: bool) -> None:
    """Show or hide a segmentation node's anchors; the levels stay as they are."""
    display = node.GetDisplayNode()
    for identifier in anchor_segments(node) if display else ():
        display.SetSegmentVisibility(identifier, shown)


def only(node: Any, *, anchors: bool) -> Any:
    """A segmentation node outside every scene that holds a copy of the anchors alone, or of the levels alone."""
    import slicer

    result = slicer.vtkMRMLSegmentationNode()
    segmentation = result.GetSegmentation()
    segmentation.DeepCopy(node.GetSegmentation())
    chosen = set(anchor_segments(result))
    for index in reversed(range(segmentation.GetNumberOfSegments())):
        identifier = segmentation.GetNthSegmentID(index)
        if (identifier in chosen) != anchors:
            segmentation.RemoveSegment(identifier)
    return result


def _extent(analysis: Analysis) -> tuple[slice, ...] | None:
    """The part of the grid that holds segments, with a voxel around them; None when there are none."""
    masks = [mask for mask in (analysis.labels, analysis.anchors) if mask is not None]
    where = []
    for axis in range(3):
        others = tuple({0, 1, 2} - {axis})
        where.append(np.flatnonzero(np.logical_or.reduce([mask.any(axis=others) for mask in masks])))
    if not len(where[0]):
        return None
    return tuple(slice(max(int(w[0]) - 1, 0), int(w[-1]) + 2) for w in where)


def import_labels(scene: Any, labels: np.ndarray, affine: np.ndarray, node: Any) -> None:
    """One import of all labels: one call a level took several times as long."""
    import slicer

    labelmap = slicer.vtkMRMLLabelMapVolumeNode()
    labelmap.SetAndObserveImageData(image(labels))
    labelmap.SetIJKToRASMatrix(ras_affine(affine))
    scene.AddNode(labelmap)
    try:
        if not slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labelmap, node):
            raise RuntimeError("the labelmap could not be imported into a segmentation")
    finally:
        scene.RemoveNode(labelmap)


def _name_segment(segment: Any, level: Level, naming: Naming) -> None:
    segment.SetName(level.name)
    segment.SetColor(*level.color)
    segment.SetNameAutoGenerated(False)
    segment.SetColorAutoGenerated(False)
    segment.SetTag(segment.GetTerminologyEntryTagName(), terminology_entry(level))
    segment.SetTag(LEVEL_TAG, level.name)
    if naming.alternatives_of(level.name):
        segment.SetTag(ALTERNATIVES_TAG, " ".join(naming.alternatives_of(level.name)))
    if level in ANCHORS:
        segment.SetTag(ANCHOR_TAG, "1")
