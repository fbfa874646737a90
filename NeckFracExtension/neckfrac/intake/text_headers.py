"""NRRD and MetaImage headers: what SimpleITK passes over in silence, and where the voxels lie and how many they are.

NRRD: teem.sourceforge.net/nrrd/format.html. MetaImage: itk.org/Wiki/MetaIO/Documentation.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..study_warning import StudyWarning
from .streams import Part, check_regular

EXPORT = "Export it again from the program that wrote it."
GIVE_CT = "Give a CT in Hounsfield units."
UNSTATED = "The file does not say how it is oriented: left and right may be exchanged."
LONGEST_HEADER = 2**24  # bytes; Slicer's segmentations keep long texts in theirs
NRRD_TYPES = {
    "i1": "signed char|int8|int8_t",
    "u1": "uchar|unsigned char|uint8|uint8_t",
    "i2": "short|short int|signed short|signed short int|int16|int16_t",
    "u2": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
    "i4": "int|signed int|int32|int32_t",
    "u4": "uint|unsigned int|uint32|uint32_t",
    "i8": "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t",
    "u8": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
    "f4": "float",
    "f8": "double",
}
NRRD_KINDS = {name: kind for kind, names in NRRD_TYPES.items() for name in names.split("|")}
META_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
# Different names of one thing; of two that differ no reader knows which is meant.
META_SYNONYMS = {
    "position": "offset", "origin": "offset", "rotation": "transformmatrix", "orientation": "transformmatrix",
    "elementbyteordermsb": "binarydatabyteordermsb",
}  # fmt: skip
ANATOMICAL = re.compile(r"(left|right)-(anterior|posterior)-(superior|inferior)(-time)?|[lr][ap][si]t?")


@dataclass(frozen=True)
class TextHeader:
    """What an NRRD or MetaImage header says.

    shape: as stored (x, y, z, ...). dtype: of one voxel. parts: where the voxels lie. digits: 10 or 16
    where the voxels are written as decimal or hexadecimal text, else 0. warnings: what the header leaves open.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    parts: tuple[Part, ...]
    digits: int = 0
    warnings: list[StudyWarning] = field(default_factory=list)

    @property
    def voxels(self) -> int:
        return int(np.prod([float(length) for length in self.shape]))


def read_text_header(path: Path, kind: str) -> TextHeader:
    """The header of an "NRRD" or "MetaImage" file. Raises ValueError when it is none, InputError for what can't be."""
    with path.open("rb") as stream:
        start = stream.read(4)
    nrrd = start == b"NRRD"
    if nrrd != (kind == "NRRD"):
        raise ValueError(f"not a {kind} header")
    return _read_nrrd(path) if nrrd else _read_meta(path)


def _refuse(path: Path, what: str, advice: str = EXPORT) -> InputError:
    return InputError(what, where=path, advice=advice)


def _lines(path: Path):
    """Each header line, and the byte after it."""
    with path.open("rb") as stream:
        read = 0
        while line := stream.readline(LONGEST_HEADER):
            read += len(line)
            if read > LONGEST_HEADER:
                raise ValueError("the header does not end")
            yield line.decode("latin-1").strip(), read


def _integers(text: str, what: str) -> tuple[int, ...]:
    parts = text.split()
    if not parts or not all(re.fullmatch(r"\d{1,12}", part) for part in parts):
        raise ValueError(f"{what} is not understood")
    return tuple(int(part) for part in parts)


def _shape(path: Path, sizes: str, dimension: str) -> tuple[int, ...]:
    shape = _integers(sizes, "the size")
    if len(shape) != _integers(dimension, "the dimension")[0] or min(shape) < 1 or len(shape) > 16:
        raise _refuse(path, f"The header contradicts itself: dimension {dimension}, size {sizes}.")
    return shape


def _read_nrrd(path: Path) -> TextHeader:
    fields: dict[str, str] = {}
    listed: list[str] = []
    end, in_list = 0, False
    for line, after in _lines(path):
        end = after
        if not line:
            break  # an empty line ends the header
        if in_list:
            listed.append(line)
            continue
        if line.startswith("#") or ":=" in line:
            continue
        name, separator, value = line.partition(": ")
        if not separator:
            continue
        name = name.strip().lower().replace("datafile", "data file").replace("byteskip", "byte skip")
        name = name.replace("lineskip", "line skip")
        if name in fields:
            raise _refuse(path, f"The header names its {name} twice.")
        fields[name] = value.strip()
        in_list = name == "data file" and value.upper().split()[:1] == ["LIST"]
    if "dimension" not in fields or "sizes" not in fields:
        raise ValueError("no dimension in the header")
    shape = _shape(path, fields["sizes"], fields["dimension"])
    kind = fields.get("type", "").lower()
    if kind not in NRRD_KINDS:
        raise _refuse(path, f"The voxels' type ({kind or 'none'}) is not supported.", "Save 16-bit integers.")
    encoding = fields.get("encoding", "").lower()
    if encoding in ("bz2", "bzip2"):
        raise _refuse(path, "The compression bzip2 is not supported.", "Save the volume with gzip, or uncompressed.")
    if encoding not in ("raw", "gz", "gzip", "txt", "text", "ascii", "hex"):
        raise _refuse(path, f"The encoding {encoding or '(none given)'!r} is not supported.", "Save it with gzip.")
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "").lower(), "")
    dtype = np.dtype((order or "<") + NRRD_KINDS[kind])
    if not order and dtype.itemsize > 1 and encoding in ("raw", "gz", "gzip", "hex"):
        raise _refuse(path, "The header does not say the order of the bytes (endian).")
    packed = encoding in ("gz", "gzip")
    digits = {"txt": 10, "text": 10, "ascii": 10, "hex": 16}.get(encoding, 0)
    kinds = set(fields.get("kinds", "").lower().split()) - {"domain", "space", "time", "none", "???", "stub", "scalar"}
    if kinds:
        raise _refuse(path, "The voxels are colours or vectors; a CT has one value a voxel.", GIVE_CT)
    total = int(np.prod([float(length) for length in shape])) * dtype.itemsize
    parts = _nrrd_parts(path, fields, listed, end, packed, total)
    warnings = _nrrd_geometry(path, fields)
    return TextHeader(shape, dtype, parts, digits, warnings)


def _nrrd_parts(
    path: Path, fields: dict[str, str], listed: list[str], end: int, packed: bool, total: int
) -> tuple[Part, ...]:
    try:
        lines, skip = int(fields.get("line skip", "0")), int(fields.get("byte skip", "0"))
    except ValueError as error:
        raise ValueError("line skip or byte skip is not understood") from error
    if "data file" not in fields:
        files, start = [path], end
    else:
        files, start = _data_files(path, fields["data file"], listed), 0
    parts = []
    for file in files:
        begin = _after_lines(file, start, lines)
        if packed:
            parts.append(Part(file, begin, packed=True, skip=max(skip, 0)))
        elif skip == -1:  # the voxels are the last bytes
            size = file.stat().st_size
            parts.append(Part(file, max(size - total // len(files), begin)))
        else:
            parts.append(Part(file, begin + max(skip, 0)))
    return tuple(parts)


def _after_lines(path: Path, start: int, lines: int) -> int:
    if lines <= 0:
        return start
    with path.open("rb") as stream:
        stream.seek(start)
        for _ in range(lines):
            if not stream.readline(LONGEST_HEADER):
                break
        return stream.tell()


def _data_files(path: Path, named: str, listed: list[str]) -> list[Path]:
    """The files that a header names: one, those listed after LIST, or a numbered pattern."""
    words = named.split()
    if words and words[0].upper() == "LIST":
        names = listed
    elif "%" in named and len(words) >= 4 and all(re.fullmatch(r"-?\d{1,9}", word) for word in words[1:4]):
        first, last, step = (int(word) for word in words[1:4])
        numbers = range(first, last + (1 if step > 0 else -1), step) if step else range(0)
        if len(numbers) > 100000 or not re.fullmatch(r"[^%]*%0?\d{0,2}[du][^%]*", words[0]):
            raise ValueError("the pattern of data files is not understood")
        names = [words[0] % number for number in numbers]
    else:
        names = [named]
    # Bytes of a name are whatever the file system has them for.
    files = [path.parent / os.fsdecode(name.encode("latin-1")) for name in names if name]
    if not files:
        raise ValueError("the header names no data file")
    for file in files:
        check_regular(file, path)
    return files


def _nrrd_geometry(path: Path, fields: dict[str, str]) -> list[StudyWarning]:
    dimension = int(fields["dimension"])
    directions = re.findall(r"\([^)]*\)|none", fields.get("space directions", "").lower())
    spatial = [part for part in directions if part != "none"]
    spacings = fields.get("spacings", "nan").lower().split()
    spaced = len(spatial) >= min(dimension, 3) if directions else _all_numbers(spacings[:3])
    if dimension >= 3 and not spaced:
        raise _refuse(path, "The file has no voxel spacing.")
    units = {unit.lower() for unit in re.findall(r'"([^"]*)"', fields.get("space units", "") + fields.get("units", ""))}
    if other := units - {"mm", "millimeter", "millimetre", "millimeters", "", "???"}:
        raise _refuse(path, f"The file's lengths are in {', '.join(sorted(other))}.", "Save it in mm.")
    if directions and ANATOMICAL.fullmatch(fields.get("space", "").lower()):
        return []
    return [StudyWarning("orientation-unstated", UNSTATED)]


def _all_numbers(parts: list[str]) -> bool:
    try:
        return bool(parts) and all(np.isfinite(float(part)) and float(part) != 0 for part in parts)
    except ValueError:
        return False


def _read_meta(path: Path) -> TextHeader:
    fields: dict[str, str] = {}
    listed: list[str] = []
    end = 0
    for line, after in _lines(path):
        if "elementdatafile" in fields:
            if fields["elementdatafile"].upper().split()[:1] != ["LIST"]:
                break
            listed.append(line)
            continue
        name, separator, value = line.partition("=")
        if not separator:
            raise ValueError("not a MetaImage header")
        name, value, end = name.strip().lower(), value.strip(), after
        if name != "comment":
            name = META_SYNONYMS.get(name, name)
            if fields.get(name, value).split() != value.split():
                raise _refuse(path, f"The header contradicts itself: it gives {line.partition('=')[0].strip()} twice.")
            fields[name] = value
    if "ndims" not in fields or "dimsize" not in fields or "elementdatafile" not in fields:
        raise ValueError("no dimension in the header")
    shape = _shape(path, fields["dimsize"], fields["ndims"])
    kind = fields.get("elementtype", "").upper()
    if kind not in META_TYPES:
        raise _refuse(path, f"The voxels' type ({kind or 'none'}) is not supported.", "Save 16-bit integers.")
    channels = _integers(fields.get("elementnumberofchannels", "1"), "the number of channels")[0]
    big = fields.get("binarydatabyteordermsb", "false").lower()[:1] in ("t", "1")
    dtype = np.dtype((">" if big else "<") + META_TYPES[kind])
    if channels != 1:
        raise _refuse(path, "The voxels are colours or vectors; a CT has one value a voxel.", GIVE_CT)
    digits = 0 if fields.get("binarydata", "false").lower()[:1] in ("t", "1") else 10
    total = int(np.prod([float(length) for length in shape])) * dtype.itemsize
    parts = _meta_parts(path, fields, listed, end, total)
    return TextHeader(shape, dtype, parts, digits, _meta_geometry(path, fields, shape))


def _meta_parts(path: Path, fields: dict[str, str], listed: list[str], end: int, total: int) -> tuple[Part, ...]:
    packed = fields.get("compresseddata", "false").lower()[:1] in ("t", "1")
    length = int(float(fields.get("compresseddatasize", "0") or 0)) if packed else 0
    header = int(fields.get("headersize", "0") or 0)
    named = fields["elementdatafile"]
    if named.upper() == "LOCAL":
        files, start = [path], end
    else:
        files, start = _data_files(path, named, [line for line in listed if line]), 0
    parts = []
    if header > 0 and files == [path] and header != end:
        raise _refuse(path, f"The header contradicts itself: it ends at byte {end}, and says at {header}.")
    for file in files:
        size = file.stat().st_size
        if packed:
            if length and start + length != size:
                raise _refuse(file, f"Of {size - start} bytes of compressed data the header says {length}.")
            parts.append(Part(file, start, packed=True))
        elif header == -1:
            parts.append(Part(file, max(size - total // len(files), start)))
        else:
            parts.append(Part(file, header if header > 0 else start))
    return tuple(parts)


def _meta_geometry(path: Path, fields: dict[str, str], shape: tuple[int, ...]) -> list[StudyWarning]:
    if len(shape) >= 3 and not {"elementspacing", "elementsize"} & fields.keys():
        raise _refuse(path, "The file has no voxel spacing.")
    unit = fields.get("distanceunits", "mm").lower()
    if unit not in ("mm", "?", ""):
        raise _refuse(path, f"The file's lengths are in {unit}.", "Save it in mm.")
    modality = fields.get("modality", "").upper().removeprefix("MET_MOD_")
    if modality not in ("", "CT", "OTHER", "UNKNOWN", "?"):
        raise _refuse(path, f"The file is not a CT (modality {modality}).", GIVE_CT)
    warnings = []
    scaling = [fields.get(f"elementtointensityfunction{name}", str(plain)) for name, plain in _UNSCALED]
    if [_float(text) for text in scaling] != [1.0, 0.0]:
        text = "The file asks for its values to be scaled (ElementToIntensityFunction): they were taken as stored."
        warnings.append(StudyWarning("scaling-not-applied", text))
    matrix = np.array([_float(part) for part in fields.get("transformmatrix", "").split()])
    if matrix.size != len(shape) ** 2:
        return [*warnings, StudyWarning("orientation-unstated", UNSTATED)]
    axes = matrix.reshape(len(shape), len(shape))[:3, :3]  # one axis a row
    if len(axes) == 3 and not np.allclose(np.linalg.norm(axes, axis=1), 1, rtol=0, atol=1e-3):
        text = "The file's axes (TransformMatrix) are not of length 1: its spacing was multiplied by theirs."
        warnings.append(StudyWarning("axes-not-unit", text))
    letters = fields.get("anatomicalorientation", "").upper()
    if re.fullmatch("[RLAPIS]{3}", letters) and len(axes) == 3 and _letters(axes) != letters:
        text = (
            f"The file gives two orientations, {letters} (AnatomicalOrientation) and {_letters(axes)} "
            "(TransformMatrix): the latter was taken."
        )
        warnings.append(StudyWarning("orientations-differ", text, {"said": letters, "taken": _letters(axes)}))
    return warnings


_UNSCALED = (("slope", 1), ("offset", 0))


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _letters(axes: np.ndarray) -> str:
    """The patient's side that each axis (a row, LPS) starts from, in ITK's letters: the unit matrix is RAI."""
    from ..volume import Reorientation

    if not np.isfinite(axes).all() or (np.linalg.norm(axes, axis=1) == 0).any():
        return ""
    affine = np.eye(4)
    affine[:3, :3] = axes.T
    order = Reorientation.towards_lps(affine, (2, 2, 2))
    letters = [""] * 3
    for world, old in enumerate(reversed(order.axes)):
        stored = 2 - old
        letters[stored] = ("RL", "AP", "IS")[world][int(axes[stored, world] < 0)]
    return "".join(letters)
