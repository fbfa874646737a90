"""The few header fields of volume files that SimpleITK does not pass on, or fills in where they are missing."""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """shape: as stored (x, y, z, ...). pixdim: spacing in the file's unit. affine: 3x3 of the sform.

    data_end: bytes that the file, unpacked, must have at least.
    """

    shape: tuple[int, ...]
    pixdim: tuple[float, ...]
    qform_code: int
    sform_code: int
    affine: np.ndarray
    data_end: int

    @property
    def orthogonal(self) -> bool:
        """Whether the sform's axes are at right angles (to 1e-3, what ITK takes for rounding)."""
        lengths = np.linalg.norm(self.affine, axis=0)
        if not np.isfinite(self.affine).all() or lengths.min() <= 0:
            return False
        directions = self.affine / lengths
        return bool(np.abs(directions.T @ directions - np.eye(3)).max() < 1e-3)


def read_nifti_header(path: Path) -> NiftiHeader:
    """The header of a NIfTI-1 or NIfTI-2 file, compressed or not. Raises ValueError when it is none.

    Offsets: nifti1.h and nifti2.h of the NIfTI Data Format Working Group.
    """
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as stream:
        start = stream.read(540)
    if len(start) < 348:
        raise ValueError("shorter than a NIfTI header")
    for order in "<>":
        (size,) = struct.unpack_from(order + "i", start)
        if size == 348:
            dim = struct.unpack_from(order + "8h", start, 40)
            (bits,) = struct.unpack_from(order + "h", start, 72)
            pixdim = struct.unpack_from(order + "8f", start, 76)
            (offset,) = struct.unpack_from(order + "f", start, 108)
            codes = struct.unpack_from(order + "2h", start, 252)
            rows = struct.unpack_from(order + "12f", start, 280)
            single = start[344:347] == b"n+1"
        elif size == 540 and len(start) == 540:
            (bits,) = struct.unpack_from(order + "h", start, 14)
            dim = struct.unpack_from(order + "8q", start, 16)
            pixdim = struct.unpack_from(order + "8d", start, 104)
            (offset,) = struct.unpack_from(order + "q", start, 168)
            codes = struct.unpack_from(order + "2i", start, 344)
            rows = struct.unpack_from(order + "12d", start, 400)
            single = start[4:7] == b"n+2"
        else:
            continue
        if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1:
            raise ValueError("impossible NIfTI dimensions")
        shape = tuple(int(length) for length in dim[1 : dim[0] + 1])
        voxels = int(np.prod([float(length) for length in shape]))
        end = int(offset) + voxels * bits // 8 if single else 0
        affine = np.array(rows, dtype=np.float64).reshape(3, 4)[:, :3]
        spacing = tuple(abs(float(length)) for length in pixdim[1:4])
        return NiftiHeader(shape, spacing, codes[0], codes[1], affine, end)
    raise ValueError("not a NIfTI header")


@dataclass(frozen=True)
class TextHeader:
    """What an NRRD or MetaImage header says of its geometry."""

    dimension: int
    has_spacing: bool
    has_orientation: bool


def read_text_header(path: Path) -> TextHeader:
    """The header of an NRRD or MetaImage file (text before the data). Raises ValueError when it is none."""
    with path.open("rb") as stream:
        text = stream.read(65536)
    fields: dict[str, str] = {}
    nrrd = text.startswith(b"NRRD")
    for line in text.splitlines():
        if nrrd and not line.strip():
            break  # an empty line ends an NRRD header
        name, separator, value = line.decode("latin-1").partition(":" if nrrd else "=")
        if separator:
            fields.setdefault(name.strip().lower(), value.strip())
        if name.strip().lower() == "elementdatafile":
            break
    dimension = fields.get("dimension" if nrrd else "ndims", "")
    if not dimension.isdecimal():
        raise ValueError("no dimension in the header")
    if nrrd:
        spacings = fields.get("spacings", "nan").lower().split()
        directions = "space directions" in fields
        spaced = directions or all(part not in ("nan", "none", "0") for part in spacings[:3])
        return TextHeader(int(dimension), spaced, directions and "space" in fields)
    return TextHeader(int(dimension), bool({"elementspacing", "elementsize"} & fields.keys()), True)
