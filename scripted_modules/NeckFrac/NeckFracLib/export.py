"""What leaves the scene: report, tables, DICOM. Gathers it for the worker, which writes. No Qt."""

import re
from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _

from . import hand_over
from .segment_matching import labelmapOf

COMMAND = "export"
LABELS, HEAT = "labels.npy", "heat.npy"


def dicomFiles(volumeNode):
    """The files of the series that a volume was read from, as far as Slicer's DICOM database knows them."""
    uids = (volumeNode.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    if not uids or database is None:
        return []
    files = [database.fileForInstance(uid) for uid in uids]
    return files if all(file and Path(file).is_file() for file in files) else []


def reasonAgainstDicom(volumeNode):
    """Why DICOM can't be written of a volume, for the user; None when it can."""
    if volumeNode is None:
        return _("Select a CT volume.")
    if not volumeNode.GetAttribute("DICOM.instanceUIDs"):
        return _("The volume was not loaded from DICOM: whose patient and study it is, nobody knows.")
    if volumeNode.GetParentTransformNode() is not None:
        return _("A transform has moved the volume: DICOM results would not lie on the images in the archive.")
    if not dicomFiles(volumeNode):
        return _("The DICOM files of the volume are not in Slicer's DICOM database any more.")
    return None


def newFolder(parent, volumeNode):
    """A folder in `parent`, named after the volume, that does not exist yet."""
    name = re.sub(r"[^\w .-]", "_", volumeNode.GetName() or "").strip(". ") or "CT"
    folder, number = Path(parent) / f"{name} NeckFrac", 2
    while folder.exists():
        folder = Path(parent) / f"{name} NeckFrac {number}"
        number += 1
    return folder


def exportArguments(nodes, findings, folder, target, withDicom):
    """What the worker's job `export` takes; writes the arrays to `folder`. Raises ValueError for what can't be used."""
    labels = hand_over.emptyLike(nodes.volume)
    if nodes.segmentation is not None and nodes.segmentation.GetSegmentation().GetNumberOfSegments():
        labels = labelmapOf(nodes.segmentation, nodes.volume)
    paths = {"labels": Path(folder) / LABELS, "heat": Path(folder) / HEAT}
    for name, array in (("labels", labels), ("heat", wholeHeat(nodes))):
        np.save(paths[name], array, allow_pickle=False)
    return {
        "volume": str(hand_over.writeVolume(nodes.volume, folder)),
        "affine": hand_over.affineOf(nodes.volume).tolist(),
        **{name: str(path) for name, path in paths.items()},
        "findings": findings.to_dict(),
        "folder": str(target),
        "dicom": dicomFiles(nodes.volume) if withDicom else [],
    }


def wholeHeat(nodes):
    """The heat map, which is cropped in the scene, on the whole grid of its CT: uint8 [z, y, x]."""
    whole = hand_over.emptyLike(nodes.volume)
    if nodes.heat is None:
        return whole
    part = slicer.util.arrayFromVolume(nodes.heat)
    first = np.append(hand_over.affineOf(nodes.heat)[:3, 3], 1.0)
    x, y, z = np.rint(np.linalg.inv(hand_over.affineOf(nodes.volume)) @ first)[:3].astype(int)
    whole[z : z + part.shape[0], y : y + part.shape[1], x : x + part.shape[2]] = part
    return whole
