"""Any program's segmentation as labels 1 to 7 on a volume's grid: which segment is C1, C2, ... C7. No Qt."""

import re

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from . import hand_over
from .engine_path import ensureEngine

LABELMAP = "Binary labelmap"
# "C3", "c3 vertebra", "vertebrae_C3" (TotalSegmentator), "vertC3", "Cervical vertebra C3".
LEVEL = re.compile(r"(?<![a-z0-9])(?:vert(?:ebra|ebrae)?)?([ctls]\d{1,2})(?![a-z0-9])")
# What belongs to a level and is not the vertebra.
NO_VERTEBRA = re.compile(r"disc|disk|nerve|root|rib|cord|canal|fracture|box|heat|ligament|artery|muscle|endplate|node")
SYNONYMS = {"atlas": "C1", "axis": "C2"}


def levelOf(segment):
    """The level of a vtkSegment, "C1" to "C7", or None: by its SNOMED CT code, else its name.

    Our own segments are tagged with what we took them for. A reader who counts the levels anew changes a segment's
    name or its terminology, whichever the Segment Editor offers first: what is not as we made it is the reader's word.
    """
    ensureEngine()
    from neckfrac.anatomy import LEVEL_BY_NAME
    from neckfrac.output.segments import LEVEL_TAG

    coded, named = _byCode(segment), _byName(segment)
    tag = _tag(segment, LEVEL_TAG)
    said = [level for level in (named, coded) if level is not None]
    level = next((level for level in said if level != tag), tag) if tag else next(iter(reversed(said)), None)
    return level if level in LEVEL_BY_NAME else None


def _byCode(segment):
    """What the terminology says: a level, a bone that is none (T1), or None."""
    from neckfrac.anatomy import ANCHORS, LEVELS

    codes = set(re.findall(r"SCT\^(\d+)\^", _tag(segment, segment.GetTerminologyEntryTagName())))
    return next((level.name for level in (*LEVELS, *ANCHORS) if level.snomed in codes), None)


def _byName(segment):
    """What the name says: a level, another vertebra, or None."""
    name = (segment.GetName() or "").casefold().strip()
    if name in SYNONYMS:
        return SYNONYMS[name]
    named = {found.upper() for found in LEVEL.findall(name)}
    # "C3-C4" is a disc or a motion segment, whatever it is called.
    return named.pop() if len(named) == 1 and not NO_VERTEBRA.search(name) else None


def segmentsByLevel(segmentationNode):
    """The segments' ids by level, from C1 down; without levels that it does not have.

    ValueError when there is no such segment, or when two are the same level.
    """
    segmentation = segmentationNode.GetSegmentation()
    found = {}
    for index in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(index)
        level = levelOf(segment)
        if level is None:
            continue
        if level in found:
            message = _("Two segments are {level}: {first} and {second}. Rename or join them.")
            first = segmentation.GetSegment(found[level]).GetName()
            raise ValueError(message.format(level=level, first=first, second=segment.GetName()))
        found[level] = segmentation.GetNthSegmentID(index)
    if not found:
        raise ValueError(_("No segment is a vertebra from C1 to C7: name the segments C1, C2 and so on."))
    return dict(sorted(found.items()))


def reasonAgainst(segmentationNode):
    """Why this node can't be used as C1 to C7, for the user; None when it can."""
    if segmentationNode is None:
        return _("Select a segmentation.")
    if segmentationNode.GetSegmentation() is None or not segmentationNode.GetSegmentation().GetNumberOfSegments():
        return _("The segmentation holds no segments.")
    transform = segmentationNode.GetParentTransformNode()
    if transform is not None and not transform.IsTransformToWorldLinear():
        return _("The segmentation is under a transform that bends it: harden it first (module Transforms).")
    try:
        segmentsByLevel(segmentationNode)
    except ValueError as error:
        return str(error)
    return None


def labelmapOf(segmentationNode, volumeNode):
    """Labels uint8 [z, y, x] on the volume's grid, 1 to 7 for C1 to C7; where segments overlap, the upper level.

    The node is not changed. ValueError, with the reason for the user, when it can't be used or lies elsewhere.
    """
    reason = reasonAgainst(segmentationNode)
    if reason:
        raise ValueError(reason)
    from neckfrac.anatomy import LEVEL_BY_NAME

    toWorld = hand_over.affineOf(volumeNode)
    shape = volumeNode.GetImageData().GetDimensions()[::-1]
    labels = np.zeros(shape, np.uint8)
    segmentation = _withLabelmaps(segmentationNode, volumeNode)
    for level, identifier in segmentsByLevel(segmentationNode).items():
        segment = segmentation.GetSegment(identifier)
        mask, affine = _maskOf(segment, segmentationNode)
        if mask is not None:
            _paint(labels, toWorld, mask, affine, LEVEL_BY_NAME[level].label)
    if not labels.any():
        raise ValueError(_("The segmentation and the volume do not lie in the same place, or it is empty."))
    return labels


def _tag(segment, name):
    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else ""


def _withLabelmaps(segmentationNode, volumeNode):
    """The node's segmentation, or a copy on the volume's grid when it has surfaces alone."""
    segmentation = segmentationNode.GetSegmentation()
    if segmentation.ContainsRepresentation(LABELMAP):
        return segmentation
    copy = slicer.vtkMRMLSegmentationNode()
    copy.GetSegmentation().DeepCopy(segmentation)
    copy.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    if not copy.GetSegmentation().CreateRepresentation(LABELMAP):
        raise ValueError(_("The segmentation can't be turned into a labelmap."))
    return copy.GetSegmentation()


def _maskOf(segment, segmentationNode):
    """A segment's mask [z, y, x] and its affine to LPS mm in the world; (None, None) when it is empty."""
    from neckfrac.output.mrml import LPS_TO_RAS
    from vtk.util.numpy_support import vtk_to_numpy

    image = segment.GetRepresentation(LABELMAP)
    if image is None or min(image.GetDimensions()) < 1 or image.GetPointData().GetScalars() is None:
        return None, None
    scalars = vtk_to_numpy(image.GetPointData().GetScalars())
    mask = scalars.reshape(image.GetDimensions()[::-1]) == segment.GetLabelValue()
    matrix, parent = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)  # here, "world" is what the segmentation node's transforms start from
    transform = segmentationNode.GetParentTransformNode()
    if transform is not None:
        # All transforms above it: the import and export functions of Slicer 5.10 took only the nearest one.
        transform.GetMatrixTransformToWorld(parent)
    affine = slicer.util.arrayFromVTKMatrix(parent) @ slicer.util.arrayFromVTKMatrix(matrix)
    first = np.eye(4)
    first[:3, 3] = image.GetExtent()[::2]
    return mask, LPS_TO_RAS @ affine @ first


def _paint(labels, toWorld, mask, affine, value):
    """Write a label where a mask on another grid lies, by the nearest voxel, over what is free."""
    from scipy import ndimage

    box = ndimage.find_objects(mask.view(np.uint8))[0] if mask.any() else None
    if box is None:
        return
    # A rim: a voxel's outer half lies beyond its center, and sampling ends at the outermost centers.
    mask = np.pad(mask[box], 1)
    rim = np.eye(4)
    rim[:3, 3] = [part.start - 1 for part in box[::-1]]
    # From voxel (i, j, k) of the volume to that of the mask; then the part of the volume that the mask can reach.
    onto = np.linalg.inv(affine @ rim) @ toWorld
    corners = np.array(np.meshgrid(*((0, n - 1) for n in mask.shape[::-1]))).reshape(3, -1)
    back = np.linalg.inv(onto)
    reached = back[:3, :3] @ corners + back[:3, 3:]
    lower = np.clip(np.floor(reached.min(axis=1)).astype(int)[::-1], 0, labels.shape)
    upper = np.clip(np.ceil(reached.max(axis=1)).astype(int)[::-1] + 1, 0, labels.shape)
    if (upper <= lower).any():
        return
    target = labels[tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))]
    turn = onto[:3, :3][::-1, ::-1]
    start = turn @ lower + onto[:3, 3][::-1]
    steps = np.rint(start).astype(int)
    if np.abs(turn - np.eye(3)).max() < 1e-6 and np.abs(start - steps).max() < 1e-3 and (steps >= 0).all():
        # The same grid, moved by whole voxels, as for a segmentation that was made on this volume: no sampling.
        found = mask[tuple(slice(a, a + n) for a, n in zip(steps, target.shape, strict=True))]
        target = target[tuple(slice(n) for n in found.shape)]
    else:
        found = ndimage.affine_transform(mask.view(np.uint8), turn, start, target.shape, order=0)
    target[(found > 0) & (target == 0)] = value
