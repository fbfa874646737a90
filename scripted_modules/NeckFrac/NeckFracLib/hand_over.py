"""What passes between the scene and the worker: a volume node out, an Analysis back, both as plain files."""

import json
from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _

from .engine_path import ensureEngine

VOLUME, GIVEN, RESULT = "ct.npy", "given.npy", "result"


def reasonAgainst(volumeNode):
    """Why this node can't be analyzed, for the user; None when it can."""
    if volumeNode is None:
        return _("Select a CT volume.")
    if not volumeNode.IsA("vtkMRMLScalarVolumeNode") or volumeNode.IsA("vtkMRMLLabelMapVolumeNode"):
        return _("Select a scalar volume: a CT, not a labelmap or a color image.")
    image = volumeNode.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        return _("The volume holds no voxels.")
    if image.GetNumberOfScalarComponents() != 1:
        return _("The volume has several values a voxel; a CT has one.")
    if min(image.GetDimensions()) < 2:
        return _("The volume is a single slice; a CT volume is needed.")
    if isBent(volumeNode):
        return _(
            "The volume is under a transform that bends it, as Slicer adds one to a CT with a tilted gantry or uneven "
            "slices. Straighten a copy, and analyze that."
        )
    return None


def isBent(volumeNode):
    """Whether a volume is under a transform that is not linear: then no matrix says where its voxels lie."""
    transform = volumeNode.GetParentTransformNode() if volumeNode else None
    return transform is not None and not transform.IsTransformToWorldLinear()


def straightenedCopy(volumeNode):
    """A copy of a volume that lies where its transforms put it: resampled on straight axes, beside the volume.

    It is no series of the archive any more: nothing that names the DICOM files is copied. RuntimeError if it fails.
    """
    ensureEngine()
    from neckfrac.output.all_or_nothing import all_or_nothing
    from neckfrac.output.hierarchy import place

    scene = volumeNode.GetScene()
    with all_or_nothing(scene) as hierarchy:
        name = _("{name} straightened").format(name=volumeNode.GetName() or "")
        copy = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name.strip())
        copy.CopyOrientation(volumeNode)
        copy.SetAndObserveImageData(volumeNode.GetImageData())  # hardening puts resampled voxels in its place
        copy.CreateDefaultDisplayNodes()
        shown, display = volumeNode.GetScalarVolumeDisplayNode(), copy.GetScalarVolumeDisplayNode()
        if shown and display:
            display.SetAutoWindowLevel(shown.GetAutoWindowLevel())
            display.SetWindowLevel(shown.GetWindow(), shown.GetLevel())
        copy.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
        if not copy.HardenTransform() or copy.GetImageData() is volumeNode.GetImageData():
            raise RuntimeError(_("The volume's transform can't be applied to its voxels."))
        copy.SetDescription(_("Resampled from {name}").format(name=volumeNode.GetName() or ""))
        item = hierarchy.GetItemByDataNode(volumeNode)
        place(hierarchy, copy, hierarchy.GetItemParent(item) if item else hierarchy.GetSceneItemID())
    return copy


def doubtsAbout(volumeNode):
    """What speaks against the volume being a CT in HU that can be read well; [] when nothing does.

    By a sample of the voxels, so that the panel does not wait: the worker looks at all of them.
    """
    from neckfrac.errors import InputError
    from neckfrac.intake.checks import check_volume
    from neckfrac.volume import CTVolume

    volume = CTVolume(slicer.util.arrayFromVolume(volumeNode), affineOf(volumeNode))
    try:
        return [str(warning) for warning in check_volume(volume, sample=True)]
    except InputError as error:
        return [str(error)]


def affineOf(volumeNode):
    """The 4x4 affine of the volume in the world, below all its linear transforms: voxel (i, j, k) to mm in LPS."""
    import vtk
    from neckfrac.output.mrml import LPS_TO_RAS

    matrix, toWorld = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    transform = volumeNode.GetParentTransformNode()
    if transform is not None:
        transform.GetMatrixTransformToWorld(toWorld)
    toRas = slicer.util.arrayFromVTKMatrix(toWorld) @ slicer.util.arrayFromVTKMatrix(matrix)
    return np.linalg.inv(LPS_TO_RAS) @ toRas


def hasMoved(volumeNode, findings):
    """Whether a volume lies elsewhere than when it was analyzed: boxes and segments have stayed where it was."""
    before = findings.geometry.get("affine")
    return before is not None and not np.allclose(np.array(before), affineOf(volumeNode), atol=1e-3)


def rasPoint(point):
    """An LPS point (x, y, z) in mm as [r, a, s]."""
    from neckfrac.output.mrml import LPS_TO_RAS

    return (LPS_TO_RAS[:3, :3] @ np.asarray(point, dtype=float)).tolist()


def identityOf(volumeNode):
    """Which study the volume is, as far as the subject hierarchy knows."""
    identity = {"source": volumeNode.GetName() or "", "format": "MRML"}
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volumeNode.GetScene())
    item = hierarchy.GetItemByDataNode(volumeNode) if hierarchy else 0
    if not item:
        return identity
    identity["series_uid"] = hierarchy.GetItemUID(item, "DICOM")
    names = slicer.vtkMRMLSubjectHierarchyConstants
    study = hierarchy.GetItemAncestorAtLevel(item, names.GetDICOMLevelStudy())
    patient = hierarchy.GetItemAncestorAtLevel(item, names.GetDICOMLevelPatient())
    if study:
        identity["study_uid"] = hierarchy.GetItemUID(study, "DICOM")
        identity["study_date"] = hierarchy.GetItemAttribute(study, names.GetDICOMStudyDateAttributeName())
        identity["study_description"] = hierarchy.GetItemAttribute(
            study, names.GetDICOMStudyDescriptionAttributeName()
        )
    if patient:
        identity["patient_id"] = hierarchy.GetItemAttribute(patient, names.GetDICOMPatientIDAttributeName())
        identity["patient_name"] = hierarchy.GetItemAttribute(patient, names.GetDICOMPatientNameAttributeName())
    return {key: value or "" for key, value in identity.items()}


def emptyLike(volumeNode):
    """A labelmap of nothing on a volume's voxels: uint8 [z, y, x]."""
    return np.zeros(slicer.util.arrayFromVolume(volumeNode).shape, np.uint8)


def writeVolume(volumeNode, folder):
    """Write the voxels (HU, int16 or float32, [z, y, x]) to `folder`; the file's path."""
    voxels = slicer.util.arrayFromVolume(volumeNode)
    if voxels.dtype.kind in "iub":
        limits = np.iinfo(np.int16)
        fits = voxels.dtype.itemsize == 1 or (voxels.min() >= limits.min and voxels.max() <= limits.max)
        kind = np.int16 if fits else np.float32
    else:
        kind = np.float32
    path = Path(folder) / VOLUME
    np.save(path, voxels.astype(kind, copy=False), allow_pickle=False)
    return path


def engineOptions(operatingPoint="balanced", device="auto", leaveOut=(), explanation=None):
    """The options of the worker's jobs that analyze. explanation: what draws the heat map, see `analyzeArguments`."""
    options = {"device": device, "operating_point": operatingPoint, "anchors": True, "leave_out": list(leaveOut)}
    return options if explanation in (None, "heat") else {**options, "explain": explanation}


def analyzeArguments(volumeNode, folder, operatingPoint, device, leaveOut=(), labels=None, explanation=None):
    """What the worker's job `analyze` takes for one volume; writes the voxels to `folder`.

    labels: levels that are segmented already, uint8 [z, y, x] on the volume's voxels; None: to be segmented.
    explanation: what draws the heat map, None or "heat": the networks' own.
    """
    arguments = {
        "volume": str(writeVolume(volumeNode, folder)),
        "affine": affineOf(volumeNode).tolist(),
        "identity": identityOf(volumeNode),
        "options": engineOptions(operatingPoint, device, leaveOut, explanation),
        "result": str(Path(folder) / RESULT),
    }
    if labels is not None:
        arguments["labels"] = str(Path(folder) / GIVEN)
        np.save(arguments["labels"], labels, allow_pickle=False)
    return arguments


def readAnalysis(folder, affine):
    """The Analysis that the worker wrote for the volume in `folder`; its arrays stay on disk (memory-mapped).

    ValueError when labels, heat map or anchors do not lie on the volume's grid.
    """
    from neckfrac.findings import Analysis, Findings
    from neckfrac.jobs import ANCHORS, FINDINGS, HEAT, LABELS
    from neckfrac.volume import CTVolume

    folder = Path(folder)
    volume = CTVolume(np.load(folder / VOLUME, mmap_mode="r", allow_pickle=False), np.asarray(affine))
    arrays = {}
    for name in (LABELS, HEAT, ANCHORS):
        path = folder / RESULT / name
        if name != ANCHORS or path.exists():  # a study without a neck has none
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
    if any(array.shape != volume.shape for array in arrays.values()):
        raise ValueError("the results do not lie on the volume's grid")
    findings = Findings.from_dict(json.loads((folder / RESULT / FINDINGS).read_text(encoding="utf-8")))
    return Analysis(volume, arrays[LABELS], arrays[HEAT], findings, arrays.get(ANCHORS))
