"""What a NIfTI header says beside what SimpleITK passes on: two places of the volume, scaling, lengths."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..study_warning import StudyWarning
from .streams import Part, check_regular, chunks, is_gzip

EXPORT = "Export it again from the program that wrote it."
# Codes of nifti1.h: numbers of one value; complex numbers and colours.
TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
COLOURS = (32, 128, 1792, 2048, 2304)
# xyzt_units, lower three bits: unknown is taken as mm, as everywhere; metre, mm, micrometre.
MILLIMETRES = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
ROUNDING_SHEAR = 1e-3  # cosine between two axes; what single precision and few decimals leave
# What two descriptions of one place may differ by before they are two places, in parts of a voxel, and two spacings.
SAME_CORNERS, SAME_SPACING = 0.1, 0.01


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """shape: as stored (x, y, z, ...). spacing: mm, of pixdim. qform, sform: 4x4 to LPS mm, None when not given.

    usable: whether each of qform and sform, if given, is finite and invertible. type_code, bits: of a voxel.
    slope, intercept: scl_slope, scl_inter as stored. data: where the voxels lie. order: "<" or ">".
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    qform: np.ndarray | None
    sform: np.ndarray | None
    type_code: int
    bits: int
    slope: float
    intercept: float
    data: Part
    order: str

    @property
    def voxels(self) -> int:
        """How many."""
        return int(np.prod([float(length) for length in self.shape]))

    @property
    def dtype(self) -> np.dtype:
        """Of the stored values."""
        return np.dtype(self.order + TYPES[self.type_code])

    def scaled(self, stored: np.ndarray) -> np.ndarray:
        """slope * stored + intercept; as stored where the slope is 0 or no number, which means no scaling."""
        native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
        if self.slope == 0 or not np.isfinite(self.slope) or (self.slope, self.intercept) == (1, 0):
            return native
        kind = np.float32 if stored.dtype.itemsize <= 2 or stored.dtype == np.float32 else np.float64
        values = native.astype(kind)
        values *= kind(self.slope)
        values += kind(self.intercept)
        return values


def data_file(path: Path) -> Path:
    """Where the voxels of a header lie: the file itself, or the .img of a pair."""
    name = path.name.lower()
    if not name.endswith((".hdr", ".hdr.gz")):
        return path
    stem = path.name[: name.rindex(".hdr")]
    upper = path.name[len(stem) + 1 : len(stem) + 4] == "HDR"
    image = "IMG" if upper else "img"
    found = [path.with_name(f"{stem}.{image}{packed}") for packed in ("", ".gz")]
    return next((candidate for candidate in found if candidate.exists()), found[0])


def header_file(path: Path) -> Path:
    """The header of a pair whose .img is given; any other path as it is."""
    if path.suffix in (".img", ".IMG"):
        header = path.with_suffix(".hdr" if path.suffix == ".img" else ".HDR")
        return header if header.exists() else path
    return path


def read_nifti_header(path: Path) -> NiftiHeader:
    """The header of a NIfTI-1 or NIfTI-2 file, of a pair's .hdr, or of Analyze 7.5; compressed or not.

    Offsets: nifti1.h and nifti2.h of the NIfTI Data Format Working Group. Raises ValueError when it is none,
    InputError when it contradicts itself or its .img is missing.
    """
    start = b""
    for chunk in chunks(Part(path, packed=is_gzip(path))):
        start += chunk
        if len(start) >= 540:
            break
    if len(start) < 348:
        raise ValueError("shorter than a NIfTI header")
    for order in "<>":
        (size,) = struct.unpack_from(order + "i", start)
        if size == 348:
            dim = struct.unpack_from(order + "8h", start, 40)
            code, bits = struct.unpack_from(order + "2h", start, 70)
            pixdim = struct.unpack_from(order + "8f", start, 76)
            offset, slope, intercept = struct.unpack_from(order + "3f", start, 108)
            units = start[123]
            codes = struct.unpack_from(order + "2h", start, 252)
            quaternion = struct.unpack_from(order + "6f", start, 256)
            rows = struct.unpack_from(order + "12f", start, 280)
            magic = start[344:347]
        elif size == 540 and len(start) >= 540:
            code, bits = struct.unpack_from(order + "2h", start, 12)
            dim = struct.unpack_from(order + "8q", start, 16)
            pixdim = struct.unpack_from(order + "8d", start, 104)
            offset, slope, intercept = struct.unpack_from(order + "q2d", start, 168)
            codes = struct.unpack_from(order + "2i", start, 344)
            quaternion = struct.unpack_from(order + "6d", start, 352)
            rows = struct.unpack_from(order + "12d", start, 400)
            (units,) = struct.unpack_from(order + "i", start, 500)
            magic = start[4:7]
        else:
            continue
        if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1:
            raise ValueError("impossible NIfTI dimensions")
        scale = MILLIMETRES.get(units & 7, 1.0)
        spacing = tuple(abs(float(length)) * scale for length in pixdim[1:4])
        analyze = not magic.startswith((b"n+", b"ni"))
        qform = _qform(quaternion, pixdim, scale) if codes[0] > 0 and not analyze else None
        sform = _sform(rows, scale) if codes[1] > 0 and not analyze else None
        shape = tuple(int(length) for length in dim[1 : dim[0] + 1])
        data = _data(path, magic, size, offset)
        header = NiftiHeader(shape, spacing, qform, sform, code, bits, slope, intercept, data, order)
        _check_type(header, path)
        return header
    raise ValueError("not a NIfTI header")


def _data(path: Path, magic: bytes, size: int, offset: float) -> Part:
    """Where the voxels begin. Raises InputError for a place within the header, or for a missing .img."""
    single = magic.startswith(b"n+")
    if single and path.name.lower().endswith((".hdr", ".hdr.gz")):
        raise ValueError("a single NIfTI file under the name of a pair's header")
    image = path if single else data_file(path)
    if not single and image == path:
        raise ValueError("the header of a pair under the name of a single file")
    check_regular(image, path)
    begin = int(offset) if np.isfinite(offset) else -1
    if begin != offset or begin < (size + 4 if single else 0):
        raise InputError(
            f"The header says that the voxels begin at byte {offset:g}, which can't be.", where=path, advice=EXPORT
        )
    packed = is_gzip(image)
    return Part(image, 0 if packed else begin, packed=packed, skip=begin if packed else 0)


def _check_type(header: NiftiHeader, path: Path) -> None:
    if header.type_code in COLOURS:
        raise InputError(
            "The voxels are colours or vectors; a CT has one value a voxel.",
            where=path,
            advice="Give a CT in Hounsfield units.",
        )
    if header.type_code not in TYPES:
        raise InputError(
            f"The voxels' type (NIfTI code {header.type_code}) is not supported.",
            where=path,
            advice="Save the CT as 16-bit integers.",
        )
    bits = 8 * header.dtype.itemsize
    if bits != header.bits:
        raise InputError(
            f"The header contradicts itself: {header.bits} bits a voxel, of a type that takes {bits}.",
            where=path,
            advice=EXPORT,
        )


def _sform(rows: tuple[float, ...], scale: float) -> np.ndarray:
    affine = np.eye(4)
    affine[:3] = np.array(rows, dtype=np.float64).reshape(3, 4) * scale
    return TO_LPS @ affine


def _qform(quaternion: tuple[float, ...], pixdim: tuple[float, ...], scale: float) -> np.ndarray:
    """The affine of quaternion b, c, d and offsets (nifti1.h, method 2); NaN where it can't be one."""
    b, c, d = (float(part) for part in quaternion[:3])
    rest = 1.0 - (b * b + c * c + d * d)
    if rest < -1e-3:  # no rotation at all, and no rounding of one
        rest = np.nan
    if rest < 1e-7:  # a turn by 180°: normalise, as nifti1.h does
        length = np.sqrt(b * b + c * c + d * d)
        b, c, d = b / length, c / length, d / length
    a = 0.0 if rest < 1e-7 else np.sqrt(rest)
    turn = np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
    ])  # fmt: skip
    mirror = -1.0 if pixdim[0] < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = turn * [abs(float(length)) * scale for length in pixdim[1:4]] * [1.0, 1.0, mirror]
    affine[:3, 3] = np.array(quaternion[3:6], dtype=np.float64) * scale
    return TO_LPS @ affine


def choose_place(header: NiftiHeader, path: Path) -> tuple[np.ndarray, list[StudyWarning]]:
    """The 4x4 to LPS mm that is taken, and what contradicts it; the spacing alone when the file says no more.

    The sform where there is one, as nibabel and most programs do. Raises InputError for one that is sheared.
    """
    sform, qform = header.sform, header.qform
    if sform is None and qform is None:
        affine = np.diag([*header.spacing, *(1.0,) * (4 - len(header.spacing))])
        text = "The file does not say how it is oriented: left and right may be exchanged."
        return affine, [StudyWarning("orientation-unstated", text)]
    s_usable, q_usable = (form is not None and _usable(form) for form in (sform, qform))
    if not (s_usable or q_usable):
        raise InputError("The file's place in space (sform, qform) is no usable one.", where=path, advice=EXPORT)
    if not s_usable:
        unusable = StudyWarning("sform-unusable", "The file's sform is not usable: its qform was taken.")
        return qform, [unusable] if sform is not None else []
    if shear(sform) >= ROUNDING_SHEAR:
        raise InputError(
            "The slices are sheared (the sform's axes are not at right angles), as after a gantry tilt.",
            where=path,
            advice="Give the DICOM series, or convert it again with tilt correction.",
        )
    if q_usable:
        return sform, _difference(sform, qform, header.shape)
    unusable = StudyWarning("qform-unusable", "The file's qform is not usable: its sform was taken.")
    warnings = [] if qform is None else [unusable]
    lengths = np.linalg.norm(sform[:3, :3], axis=0)
    if not np.allclose(lengths, header.spacing, rtol=SAME_SPACING, atol=0):
        text = (
            f"The file gives two spacings, {_spacing(header.spacing)} mm (pixdim) and {_spacing(lengths)} mm (sform): "
            "the sform's was taken."
        )
        given = {"pixdim_mm": list(header.spacing), "sform_mm": lengths.tolist()}
        warnings.append(StudyWarning("file-spacings-differ", text, given))
    return sform, warnings


def shear(affine: np.ndarray) -> float:
    """The largest cosine between two axes of a 4x4 affine: 0 when they are at right angles."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.abs(directions.T @ directions - np.eye(3)).max())


def _usable(affine: np.ndarray) -> bool:
    return bool(np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-9)


def _spacing(lengths) -> str:
    return " x ".join(f"{length:.3g}" for length in lengths)


def _difference(sform: np.ndarray, qform: np.ndarray, shape: tuple[int, ...]) -> list[StudyWarning]:
    """A warning when sform and qform put the volume's corners at different places."""
    ends = [(0, length - 1) for length in (*shape, 1, 1)[:3]]
    corners = np.array([(*corner, 1) for corner in np.stack(np.meshgrid(*ends), axis=-1).reshape(-1, 3)]).T
    apart = float(np.linalg.norm(((sform - qform) @ corners)[:3], axis=0).max())
    spacings = [np.linalg.norm(form[:3, :3], axis=0) for form in (sform, qform)]
    if apart <= SAME_CORNERS * min(spacing.min() for spacing in spacings):
        return []
    how = f"up to {apart:.1f} mm apart"
    if np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0:
        how = "mirrored: left and right may be exchanged"
    elif not np.allclose(*spacings, rtol=SAME_SPACING, atol=0):
        how = f"spacings {_spacing(spacings[0])} and {_spacing(spacings[1])} mm"
    text = f"The file gives two places, sform and qform, that differ ({how}): the sform was taken."
    return [StudyWarning("sform-qform-differ", text, {"apart_mm": apart})]
