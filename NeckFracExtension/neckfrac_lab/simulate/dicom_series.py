"""A simulated study as the images of a DICOM CT series (PS3.3, A.3 CT Image IOD)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from neckfrac import DISCLAIMER, __version__
from neckfrac.errors import InputError

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from .study import SimulatedStudy

# One fixed date: equal studies must give equal files.
DATE, TIME = "20250101", "120000"
LOWEST_INTERCEPT = -1024


def _checked(study: SimulatedStudy) -> tuple[np.ndarray, np.ndarray]:
    """(voxels int32 [z, y, x], affine), with slices in the order in which their normal runs."""
    volume = study.volume
    directions = volume.directions
    if abs(directions[:, 0] @ directions[:, 1]) > 1e-4:
        raise InputError("Rows and columns of the volume are not perpendicular; DICOM can't hold it.",
                         advice="Resample the volume to a rectangular grid first.")
    voxels, affine = np.rint(volume.voxels).astype(np.int32), volume.affine.copy()
    normal = np.cross(directions[:, 0], directions[:, 1])
    if directions[:, 2] @ normal < 0:
        affine[:3, 3] = volume.to_points(np.array([volume.shape[0] - 1, 0, 0]))
        affine[:3, 2] *= -1
        voxels = voxels[::-1]
    return voxels, affine


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value) + 0.0)


def slices(study: SimulatedStudy) -> Iterator[FileDataset]:
    """Each slice as a dataset in Explicit VR Little Endian, instance numbers from 1 along the slices' normal.

    Stored values are unsigned 16 bit with the intercept -1024 (lower where HU reach lower). Raises InputError
    when rows and columns are not perpendicular or HU span more than 16 bits.
    """
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    voxels, affine = _checked(study)
    intercept = min(LOWEST_INTERCEPT, int(voxels.min()))
    if int(voxels.max()) - intercept > 65535:
        raise InputError("The HU of the volume span more than 16 bits; DICOM CT can't hold them.")
    record = json.dumps({"seed": study.truth.get("seed"), "truth": study.truth}, sort_keys=True, default=str)
    content = hashlib.sha256(record.encode() + np.ascontiguousarray(voxels).tobytes() + affine.tobytes()).hexdigest()

    def uid(*names: object) -> str:
        return generate_uid(entropy_srcs=["NeckFrac simulation", content, *map(str, names)])

    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    orientation = [_decimal(v) for v in (affine[:3, :2] / spacing[:2]).T.ravel()]
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    normal /= np.linalg.norm(normal)
    seed = study.truth.get("seed", 0)
    between = float(abs(affine[:3, 2] @ normal))
    thickness = study.truth.get("scanner", {}).get("slice_thickness", between)

    for number, plane in enumerate(voxels, start=1):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = uid("image", number)
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.ImplementationClassUID = generate_uid(entropy_srcs=["NeckFrac implementation"])
        meta.ImplementationVersionName = f"NECKFRAC {__version__}"[:16]
        data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        data.SpecificCharacterSet = "ISO_IR 100"
        data.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.InstanceCreationDate = data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = DATE
        data.InstanceCreationTime = data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = TIME
        data.AccessionNumber = data.ReferringPhysicianName = ""
        data.Modality, data.Manufacturer = "CT", "NeckFrac"
        data.ManufacturerModelName, data.SoftwareVersions = "NeckFrac simulation", __version__
        data.StudyDescription, data.SeriesDescription = "Simulated neck CT", "Simulated cervical spine, bone"
        data.PatientName, data.PatientID = "NeckFrac^Simulated", f"SIMULATED-{seed}"
        data.PatientBirthDate, data.PatientSex = "", "O"
        data.PatientIdentityRemoved, data.DeidentificationMethod = "YES", "Simulated: there is no patient"
        data.BodyPartExamined, data.PatientPosition = "CSPINE", "HFS"
        data.SliceThickness, data.SpacingBetweenSlices, data.KVP = _decimal(thickness), _decimal(between), "120"
        data.ConvolutionKernel = "SIMULATED BONE"
        data.StudyInstanceUID, data.SeriesInstanceUID = uid("study"), uid("series")
        data.FrameOfReferenceUID, data.PositionReferenceIndicator = uid("frame"), ""
        data.StudyID, data.SeriesNumber, data.AcquisitionNumber, data.InstanceNumber = "1", 1, 1, number
        position = affine[:3, 3] + (number - 1) * affine[:3, 2]
        data.ImagePositionPatient = [_decimal(v) for v in position]
        data.ImageOrientationPatient = orientation
        data.SliceLocation = _decimal(position @ normal)
        data.ImageComments = f"Simulated (seed {seed}): there is no patient. {DISCLAIMER}"
        data.BurnedInAnnotation = "NO"
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.Rows, data.Columns = plane.shape
        # The spacing of rows comes first: it runs along the columns, the volume's second axis.
        data.PixelSpacing = [_decimal(spacing[1]), _decimal(spacing[0])]
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
        data.RescaleIntercept, data.RescaleSlope, data.RescaleType = str(intercept), "1", "HU"
        data.WindowCenter, data.WindowWidth = "400", "1800"
        data.PixelData = (plane - intercept).astype("<u2").tobytes()
        data["PixelData"].VR = "OW"
        yield data
