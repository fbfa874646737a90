"""Small real DICOM series, written with pydicom, for the tests of intake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT, ENHANCED_CT, SECONDARY = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.7"
AXIAL = (1, 0, 0, 0, 1, 0)
PATIENT_NAME, PATIENT_ID = "Xylophon^Quendolin", "ID-4711-XYZ"


def head(shape: tuple[int, int, int] = (26, 16, 20), seed: int = 0) -> np.ndarray:
    """HU [z, y, x] with air, tissue and bone, no two voxels of a neighbourhood alike."""
    hu = np.random.default_rng(seed).integers(-100, 200, shape).astype(np.int16)
    hu[:, :2] = -1000
    hu[:, -5:-2, 3:7] = 1200
    return hu


def slice_dataset(hu: np.ndarray, position: Sequence[float], orientation: Sequence[float], spacing: Sequence[float]):
    """One CT slice [row, column] with 1024 added, as most scanners store it."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CT
    dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PatientName, dataset.PatientID = PATIENT_NAME, PATIENT_ID
    dataset.StudyDate = "20240102"
    dataset.StudyDescription = "Trauma"
    dataset.StudyInstanceUID = "1.2.3.4"
    dataset.SeriesInstanceUID = "1.2.3.4.1"
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = "Neck"
    dataset.ImagePositionPatient = [f"{value:.9g}" for value in position]
    dataset.ImageOrientationPatient = [f"{value:.9g}" for value in orientation]
    dataset.PixelSpacing = [f"{value:.9g}" for value in spacing]
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    set_pixels(dataset, (hu.astype(np.int32) + 1024).astype(np.uint16))
    return dataset


def set_pixels(dataset: Dataset, stored: np.ndarray) -> None:
    """Put stored values (uint16, int16 or uint8; [row, column] or [..., sample]) into the dataset."""
    dataset.SamplesPerPixel = stored.shape[2] if stored.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if stored.ndim == 3 else "MONOCHROME2"
    if stored.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.BitsAllocated = dataset.BitsStored = stored.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(np.issubdtype(stored.dtype, np.signedinteger))
    dataset.PixelData = stored.tobytes()


def save(dataset: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CT)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", generate_uid())
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder: Path,
    hu: np.ndarray,
    *,
    spacing: tuple[float, float, float] = (2.5, 0.8, 0.6),
    orientation: Sequence[float] = AXIAL,
    origin: Sequence[float] = (-5.0, -7.0, 30.0),
    positions: np.ndarray | None = None,
    change: Callable[[Dataset, int], None] | None = None,
    name: str = "image",
    **elements,
) -> list[Path]:
    """Write hu [z, y, x] as one file a slice, along the slices' normal unless `positions` (LPS mm) says otherwise.

    elements: DICOM keywords set on every slice (None removes one); change(dataset, number): any other change.
    Files are numbered against the order of the slices, so that a reader has to sort.
    """
    normal = np.cross(orientation[:3], orientation[3:])
    if positions is None:
        positions = np.array(origin) + np.arange(len(hu))[:, None] * spacing[0] * normal
    paths = []
    for number, (pixels, position) in enumerate(zip(hu, positions, strict=True)):
        dataset = slice_dataset(pixels, position, orientation, spacing[1:])
        dataset.InstanceNumber = number + 1
        for keyword, value in elements.items():
            if value is None:
                del dataset[keyword]
            else:
                setattr(dataset, keyword, value)
        if change is not None:
            change(dataset, number)
        paths.append(save(dataset, folder / f"{name}{len(hu) - number:03d}.dcm"))
    return paths


def enhanced(hu: np.ndarray, spacing: tuple[float, float, float], origin: Sequence[float]) -> Dataset:
    """An enhanced CT image: all slices of hu [z, y, x] as frames of one file, last slice first."""
    dataset = slice_dataset(hu[0], origin, AXIAL, spacing[1:])
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope",
                    "RescaleIntercept"):  # fmt: skip
        del dataset[keyword]
    dataset.SOPClassUID = ENHANCED_CT
    dataset.NumberOfFrames = len(hu)
    dataset.PixelData = (hu[::-1].astype(np.int32) + 1024).astype(np.uint16).tobytes()
    shared, measures, plane, values = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = list(spacing[1:])
    plane.ImageOrientationPatient = list(AXIAL)
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1, -1024, "HU"
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [plane]
    shared.PixelValueTransformationSequence = [values]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for number in reversed(range(len(hu))):
        group, position = Dataset(), Dataset()
        position.ImagePositionPatient = [origin[0], origin[1], origin[2] + number * spacing[0]]
        group.PlanePositionSequence = [position]
        frames.append(group)
    dataset.PerFrameFunctionalGroupsSequence = frames
    return dataset


def without_preamble(path: Path, *, first: int = 0, implicit: bool = False, little: bool = True) -> Path:
    """The file's data set as it was stored before DICOM files had a preamble, without an extension.

    first: tag of the element that it is to begin with; those before it are left out.
    """
    from pydicom import dcmread, dcmwrite

    dataset = dcmread(path)
    if first > 0x00030000:
        plain = Dataset({tag: element for tag, element in dataset.items() if tag >= first})
        if not little:
            plain.PixelData = np.frombuffer(plain.PixelData, "<u2").astype(">u2").tobytes()
        dcmwrite(path.with_suffix(""), plain, implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    else:
        # The file's meta elements (group 2) are kept, the preamble and its prefix are not.
        path.with_suffix("").write_bytes(path.read_bytes()[132:])
    path.unlink()
    return path.with_suffix("")
