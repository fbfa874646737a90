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
    labels = hand_over.emptyLike(volumeNode)
    segmentation = _withLabelmaps(segmentationNode, volumeNode)
    layers = {}  # segments that do not overlap share an image: all of them in one pass
    for level, identifier in segmentsByLevel(segmentationNode).items():
        segment = segmentation.GetSegment(identifier)
        image = segment.GetRepresentation(LABELMAP)
        if image is not None and image.GetPointData().GetScalars() is not None:
            layers.setdefault(image, {})[segment.GetLabelValue()] = LEVEL_BY_NAME[level].label
    painted = False
    for image, meanings in layers.items():
        part, first = _levelsIn(image, meanings)
        if part is not None:
            painted |= _paint(labels, toWorld, part, _affineOf(image, first, segmentationNode))
    if not painted:
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


def _levelsIn(image, meanings):
    """The part of a labelmap that holds levels, as their labels, and its first voxel (i, j, k) in the image.

    meanings: label by the image's value. (None, None) when there is nothing of them. ValueError for values that are
    no whole numbers.
    """
    from vtk.util.numpy_support import vtk_to_numpy

    voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
    box = _boundsOf(voxels)
    if box is None:
        return None, None
    voxels = _wholeNumbers(voxels[box])
    meaning = np.zeros(max(meanings) + 2, np.uint8)  # its first and last say that a value is no level
    meaning[list(meanings)] = list(meanings.values())
    labels = np.empty(voxels.shape, np.uint8)
    for found, part in zip(labels, voxels, strict=True):  # by slices: indices take eight bytes a voxel
        np.take(meaning, part.astype(np.intp), out=found, mode="clip")
    inner = _boundsOf(labels)
    if inner is None:
        return None, None
    first = [a.start + b.start for a, b in zip(box, inner, strict=True)][::-1]
    return labels[inner], first


def _wholeNumbers(voxels):
    """Labels stored as floats, as a slope leaves them a little off, rounded. ValueError for what is none."""
    if not np.issubdtype(voxels.dtype, np.floating):
        return voxels
    from neckfrac.errors import InputError
    from neckfrac.intake.labels import whole_numbers

    try:
        return whole_numbers(voxels)
    except InputError as error:
        raise ValueError(str(error)) from error


def _boundsOf(voxels):
    """The slices [z, y, x] that hold everything above zero; None when nothing is. Three passes at memory's speed."""
    if not voxels.size:
        return None
    z = np.flatnonzero(voxels.max(axis=(1, 2)) > 0)
    if not len(z):
        return None
    plane = voxels[z[0] : z[-1] + 1].max(axis=0)
    held = [z, np.flatnonzero(plane.max(axis=1) > 0), np.flatnonzero(plane.max(axis=0) > 0)]
    return tuple(slice(int(one[0]), int(one[-1]) + 1) for one in held)


def _affineOf(image, first, segmentationNode):
    """The affine to LPS mm in the world of a part of a segment's image that begins at its voxel `first` (i, j, k)."""
    from neckfrac.output.mrml import LPS_TO_RAS

    matrix, parent, shift = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4(), np.eye(4)
    image.GetImageToWorldMatrix(matrix)  # here, "world" is what the segmentation node's transforms start from
    transform = segmentationNode.GetParentTransformNode()
    if transform is not None:
        # All transforms above it: the import and export functions of Slicer 5.10 took only the nearest one.
        transform.GetMatrixTransformToWorld(parent)
    shift[:3, 3] = np.add(image.GetExtent()[::2], first)
    toRas = slicer.util.arrayFromVTKMatrix(parent) @ slicer.util.arrayFromVTKMatrix(matrix)
    return LPS_TO_RAS @ toRas @ shift


def _paint(labels, toWorld, part, affine):
    """Write labels that lie on another grid, by the nearest voxel; where two meet, the upper level. Whether any did."""
    onto = np.linalg.inv(affine) @ toWorld  # from voxel (i, j, k) of the volume to that of the part
    steps = np.rint(onto[:3, 3]).astype(int)[::-1]
    # The same grid, moved by whole voxels, as for a segmentation that was made on this volume: no sampling.
    same = np.abs(onto[:3, :3] - np.eye(3)).max() < 1e-6 and np.abs(onto[:3, 3][::-1] - steps).max() < 1e-3
    if same:
        lower, upper = -steps, part.shape - steps
    else:  # what the part can reach; a voxel's outer half lies beyond its center
        corners = np.array(np.meshgrid(*((-0.5, n - 0.5) for n in part.shape[::-1]))).reshape(3, -1)
        back = np.linalg.inv(onto)
        reached = (back[:3, :3] @ corners + back[:3, 3:])[::-1]
        lower, upper = np.floor(reached.min(axis=1)).astype(int), np.ceil(reached.max(axis=1)).astype(int) + 1
    lower, upper = np.maximum(lower, 0), np.minimum(upper, labels.shape)
    if (upper <= lower).any():
        return False
    if same:
        found = part[tuple(slice(a, b) for a, b in zip(lower + steps, upper + steps, strict=True))]
    else:
        found = _sampled(part, onto, lower, upper)
    target = labels[tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))]
    target[...] = np.minimum(target - 1, found - 1) + 1  # in uint8 the background's 0 becomes the largest for a moment
    return bool(found.any())


def _sampled(part, onto, lower, upper):
    """The nearest voxels of `part` at the voxels `lower` to `upper` [z, y, x] of a grid; onto: from its (i, j, k)."""
    from neckfrac.output.mrml import image
    from vtk.util.numpy_support import vtk_to_numpy

    transform, reslice = vtk.vtkMatrixToLinearTransform(), vtk.vtkImageReslice()
    transform.SetInput(slicer.util.vtkMatrixFromArray(onto))
    reslice.SetInputData(image(np.ascontiguousarray(part)))
    reslice.SetResliceTransform(transform)
    reslice.SetInterpolationModeToNearestNeighbor()
    reslice.BorderOn()  # to the faces of the outermost voxels, not to their centers
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputOrigin(0, 0, 0)
    ends = zip(lower[::-1], upper[::-1] - 1, strict=True)
    reslice.SetOutputExtent(*(int(end) for pair in ends for end in pair))
    reslice.Update()
    return vtk_to_numpy(reslice.GetOutput().GetPointData().GetScalars()).reshape(upper - lower)
