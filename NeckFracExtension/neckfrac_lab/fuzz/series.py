"""A small DICOM series as bytes, and its mutations: each of a real kind, drawn from a generator."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from .neck import Truth

Mutation = Callable[["Series", np.random.Generator], None]
MUTATIONS: dict[str, Mutation] = {}
UID = "1.2.826.0.1.3680043.8.498."
# What a careless writer leaves in an element, whatever belongs there.
RUBBISH = (
    "",
    "abc",
    "NaN",
    "inf",
    "-1",
    "0",
    "1e308",
    "1e-308",
    "1\\2",
    "99999999999",
    "0.0001",
    "-0",
    "1,5",
    "x" * 200,
)


def mutation(function: Mutation) -> Mutation:
    """Register a mutation under its name in words."""
    MUTATIONS[function.__name__.replace("_", " ")] = function
    return function


@dataclass
class Series:
    """Files of a series: name to content; truth: what a reader must see of them, or warn."""

    files: dict[str, bytes]
    truth: Truth

    def names(self) -> list[str]:
        """The slices' files, lowest first."""
        return sorted(name for name in self.files if name.startswith("s"))

    def change(self, name: str, how: Callable) -> None:
        """Open a slice, let `how(dataset)` change it, and write it as it is then."""
        from pydicom import dcmread

        dataset = dcmread(io.BytesIO(self.files[name]), force=True)
        how(dataset)
        self.files[name] = to_bytes(dataset)

    def write(self, folder: Path) -> None:
        """All files into a folder that is there."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def to_bytes(dataset) -> bytes:
    """The data set as a file with its preamble, also where an element that the standard asks for is gone."""
    stream = io.BytesIO()
    dataset.preamble = bytes(128)
    dataset.file_meta.FileMetaInformationGroupLength = 0  # pydicom counts it where it is there
    dataset.save_as(stream, enforce_file_format=False)
    return stream.getvalue()


def base_series(truth: Truth, generator: np.random.Generator) -> Series:
    """The truth as a CT series: 12 or 16 bits, signed or not, numbered up or down."""
    signed, bits = bool(generator.random() < 0.5), int(generator.choice([12, 16]))
    return Series(dict(_files(truth, signed, bits, bool(generator.random() < 0.5))), truth)


@lru_cache(maxsize=64)
def _files(truth: Truth, signed: bool, bits: int, downwards: bool) -> tuple[tuple[str, bytes], ...]:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    intercept = 0 if signed and bits == 16 else -1024
    files = {}
    for number, plane in enumerate(truth.voxels):
        d = Dataset()
        d.file_meta = FileMetaDataset()
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = f"{UID}9.{number + 1}"
        d.ImageType, d.Modality, d.Manufacturer = ["ORIGINAL", "PRIMARY", "AXIAL"], "CT", "None"
        d.StudyDate, d.StudyTime, d.AcquisitionTime = "20240102", "101112", "101113"
        d.PatientName, d.PatientID = "Nobody^At All", "0"
        d.KVP, d.ConvolutionKernel, d.SliceThickness = 120, "B60", 4
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = f"{UID}1", f"{UID}2", f"{UID}3"
        d.SeriesNumber, d.AcquisitionNumber = 1, 1
        d.InstanceNumber = len(truth.voxels) - number if downwards else number + 1
        d.ImagePositionPatient = [float(v) for v in truth.affine[:3, 3] + number * truth.affine[:3, 2]]
        d.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        d.SliceLocation = float(d.ImagePositionPatient[2])
        d.PixelSpacing = [float(truth.affine[1, 1]), float(truth.affine[0, 0])]
        d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
        d.Rows, d.Columns = plane.shape
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, bits, bits - 1, int(signed)
        d.RescaleIntercept, d.RescaleSlope, d.RescaleType = intercept, 1, "HU"
        stored = plane.astype(np.int32) - intercept
        if signed and bits == 12:  # half of the range is lost to the sign: shift it there
            stored, d.RescaleIntercept = stored - 2048, 1024
        d.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()
        files[f"s{number:02d}.dcm"] = to_bytes(d)
    return tuple(files.items())


def some(series: Series, generator: np.random.Generator, *, all_too: bool = True) -> list[str]:
    """One slice, some, or all."""
    names = series.names()
    count = int(generator.choice([1, 1, 2, len(names) // 2, len(names) if all_too else len(names) - 1]))
    return [names[i] for i in sorted(generator.choice(len(names), count, replace=False))]


def inner(series: Series, generator: np.random.Generator) -> str:
    """A slice that is neither the first nor the last."""
    names = series.names()
    return names[int(generator.integers(1, len(names) - 1))]


def without(truth: Truth, numbers: list[int]) -> Truth:
    """The truth without its lowest or highest slices."""
    left = [n for n in range(len(truth.voxels)) if n not in numbers]
    affine = truth.affine.copy()
    affine[:3, 3] += truth.affine[:3, 2] * left[0]
    return replace(truth, voxels=truth.voxels[left], affine=affine)
