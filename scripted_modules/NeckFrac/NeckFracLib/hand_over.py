"""What passes between the scene and the worker: a volume node out, an Analysis back, both as plain files."""

import json
from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _

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
    if volumeNode.GetParentTransformNode() is not None:
        return _("The volume is under a transform: harden it first (module Transforms).")
    return None


def doubtsAbout(volumeNode):
    """What speaks against the volume being a CT in HU that can be read well; [] when nothing does."""
    from neckfrac.errors import InputError
    from neckfrac.intake.checks import check_volume
    from neckfrac.volume import CTVolume

    try:
        return check_volume(CTVolume(slicer.util.arrayFromVolume(volumeNode), affineOf(volumeNode)))
    except InputError as error:
        return [str(error)]


def affineOf(volumeNode):
    """The 4x4 affine of the volume: voxel (i, j, k) to mm in LPS."""
    import vtk
    from neckfrac.output.mrml import LPS_TO_RAS

    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return np.linalg.inv(LPS_TO_RAS) @ slicer.util.arrayFromVTKMatrix(matrix)


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
