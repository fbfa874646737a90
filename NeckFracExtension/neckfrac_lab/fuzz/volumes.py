"""Small volume files of every format, and their mutations."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .neck import Truth

FILE_MUTATIONS: dict[str, Callable[[VolumeFiles, np.random.Generator], None]] = {}
FORMATS = ("v.nii", "v.nii.gz", "v.hdr", "v.nrrd", "z.nrrd", "v.nhdr", "v.mha", "z.mha", "v.mhd", "z.mhd")
# Text fields that are the only ones to say what they say: another value there is another truth.
ALONE = ("space directions", "space origin", "offset", "elementspacing", "elementsize", "space:", "transformmatrix")
NIFTI_FIELDS = {
    "dim0": ("h", 40), "dim1": ("h", 42), "dim2": ("h", 44), "dim3": ("h", 46), "dim4": ("h", 48),
    "datatype": ("h", 70), "bitpix": ("h", 72), "pixdim0": ("f", 76), "pixdim1": ("f", 80), "pixdim3": ("f", 88),
    "vox_offset": ("f", 108), "scl_slope": ("f", 112), "scl_inter": ("f", 116), "xyzt_units": ("b", 123),
    "qform_code": ("h", 252), "sform_code": ("h", 254), "quatern_b": ("f", 256), "qoffset_x": ("f", 268),
    "srow_x0": ("f", 280), "srow_y3": ("f", 308), "srow_z1": ("f", 316), "magic": ("i", 344), "sizeof_hdr": ("i", 0),
}  # fmt: skip
NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    5,
    7,
    8,
    16,
    32,
    64,
    127,
    255,
    512,
    32767,
    -32768,
    0.5,
    1e-30,
    1e30,
    float("nan"),
    float("inf"),
)


def file_mutation(function):
    """Register a mutation under its name in words."""
    FILE_MUTATIONS[function.__name__.replace("_", " ")] = function
    return function


@dataclass
class VolumeFiles:
    """main: the file that is read; files: it and what belongs to it; packed: where a compressed stream begins."""

    main: str
    files: dict[str, bytes]
    truth: Truth

    @property
    def content(self) -> bytes:
        return self.files[self.main]

    @content.setter
    def content(self, value: bytes) -> None:
        self.files[self.main] = value

    @property
    def data_name(self) -> str:
        """The file that holds the voxels."""
        return next((name for name in self.files if name != self.main), self.main)

    def header_end(self) -> int:
        """The first byte after a text header."""
        if "nrrd" in self.main or self.main.endswith(".nhdr"):
            return self.content.find(b"\n\n") + 2 if b"\n\n" in self.content else len(self.content)
        return self.content.index(b"\n", self.content.index(b"ElementDataFile")) + 1

    def write(self, folder: Path) -> None:
        """All files into a folder that is there."""
        for name, content in self.files.items():
            (folder / name).write_bytes(content)


def base_volume(truth: Truth, generator: np.random.Generator, name: str | None = None) -> VolumeFiles:
    """The truth as one of the formats, its header written field by field."""
    name = name or str(generator.choice(FORMATS))
    data, shape = truth.voxels.astype("<i2").tobytes(), truth.voxels.shape[::-1]
    spacing, origin = np.diag(truth.affine)[:3], truth.affine[:3, 3]
    if name.endswith((".nii", ".nii.gz", ".hdr")):
        return _nifti(name, data, shape, spacing, origin, truth)
    packed = name.startswith("z")
    if "nrrd" in name or name.endswith(".nhdr"):
        axes = " ".join("(" + ",".join(f"{v:g}" for v in row) + ")" for row in np.diag(spacing))
        lines = ["NRRD0004", "type: short", "dimension: 3", "space: left-posterior-superior",
                 "sizes: " + " ".join(map(str, shape)), f"space directions: {axes}", "kinds: domain domain domain",
                 "endian: little", "encoding: " + ("gzip" if packed else "raw"),
                 "space origin: (" + ",".join(f"{v:g}" for v in origin) + ")"]  # fmt: skip
        data = gzip.compress(data, mtime=0) if packed else data
        if name.endswith(".nhdr"):
            text = "\n".join([*lines, "data file: v.raw"]).encode() + b"\n"
            return VolumeFiles(name, {name: text, "v.raw": data}, truth)
        return VolumeFiles(name, {name: "\n".join(lines).encode() + b"\n\n" + data}, truth)
    data = zlib.compress(data) if packed else data
    local = name.endswith(".mha")
    raw = "v.zraw" if packed else "v.raw"
    lines = ["ObjectType = Image", "NDims = 3", "BinaryData = True", "BinaryDataByteOrderMSB = False",
             f"CompressedData = {packed}", *([f"CompressedDataSize = {len(data)}"] if packed else []),
             "TransformMatrix = 1 0 0 0 1 0 0 0 1", "Offset = " + " ".join(f"{v:g}" for v in origin),
             "CenterOfRotation = 0 0 0", "AnatomicalOrientation = RAI",
             "ElementSpacing = " + " ".join(f"{v:g}" for v in spacing), "DimSize = " + " ".join(map(str, shape)),
             "ElementType = MET_SHORT", f"ElementDataFile = {'LOCAL' if local else raw}"]  # fmt: skip
    text = "\n".join(lines).encode() + b"\n"
    return VolumeFiles(name, {name: text + data} if local else {name: text, raw: data}, truth)


def _nifti(name, data, shape, spacing, origin, truth) -> VolumeFiles:
    pair = name.endswith(".hdr")
    header = bytearray(348 if pair else 352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *shape, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<4f", header, 76, 1, *spacing)
    struct.pack_into("<3f", header, 108, 0 if pair else 352, 1, 0)
    header[123] = 2
    struct.pack_into("<2h", header, 252, 1, 1)
    # RAS: x and y turn round, which is half a turn about z (quaternion d = 1).
    struct.pack_into("<6f", header, 256, 0, 0, 1, -origin[0], -origin[1], origin[2])
    rows = np.c_[np.diag(spacing * [-1, -1, 1]), origin * [-1, -1, 1]]
    struct.pack_into("<12f", header, 280, *rows.ravel())
    header[344:348] = b"ni1\0" if pair else b"n+1\0"
    if pair:
        return VolumeFiles(name, {name: bytes(header), "v.img": data}, truth)
    content = bytes(header) + data
    return VolumeFiles(name, {name: gzip.compress(content, mtime=0) if name.endswith(".gz") else content}, truth)


def _is_nifti(volume: VolumeFiles) -> bool:
    return volume.main.endswith((".nii", ".nii.gz", ".hdr"))


def _on_plain(volume: VolumeFiles, change: Callable[[bytearray], None]) -> None:
    """Change a NIfTI header whether the file is compressed or not."""
    packed = volume.main.endswith(".gz")
    content = bytearray(gzip.decompress(volume.content) if packed else volume.content)
    change(content)
    volume.content = gzip.compress(bytes(content), mtime=0) if packed else bytes(content)


@file_mutation
def header_field_changed(volume, generator):
    """A NIfTI field to any number; a text field left out, given twice, emptied or filled with rubbish."""
    if _is_nifti(volume):
        form, place = NIFTI_FIELDS[str(generator.choice(list(NIFTI_FIELDS)))]
        value = NUMBERS[int(generator.integers(len(NUMBERS)))]
        if form != "f":
            limits = {"h": 2**15, "b": 2**7, "i": 2**31}[form]
            value = int(np.clip(np.nan_to_num(value, posinf=limits), -limits, limits - 1))
        _on_plain(volume, lambda content: struct.pack_into("<" + form, content, place, value))
        return
    end = volume.header_end()
    lines = volume.content[:end].decode().split("\n")
    free = [n for n, line in enumerate(lines) if line and not line.lower().startswith(ALONE)]
    number, how = int(generator.choice(free)), int(generator.integers(4))
    separator = ": " if ": " in lines[number] else " = "
    field, _, value = lines[number].partition(separator)
    if how == 0:
        del lines[number]
    elif how == 1:
        lines.insert(number, f"{field}{separator}{generator.choice(['', '1', '2 2 2', 'True', 'big', 'raw', 'gzip'])}")
    elif how == 2:
        lines[number] = field + separator
    else:
        words = ["0", "-1", "1", "nan", "1e30", "99999999999", "abc", "True", "False", "big", "raw", "gzip", "hex",
                 "ascii", "uchar", "float", "MET_UCHAR", "MET_FLOAT", "36 32 11", "36 32 6 2", "LIST", "LOCAL",
                 "../../etc/passwd", "v%02d.raw 1 4 1", "unsigned short", "MET_USHORT"]  # fmt: skip
        lines[number] = field + separator + str(generator.choice(words))
    volume.content = "\n".join(lines).encode() + volume.content[end:]


@file_mutation
def header_bytes_flipped(volume, generator):
    """Not the bytes of what only one field says, nor those of a gain that could be a scanner's."""
    count = int(generator.integers(1, 4))
    if _is_nifti(volume):

        def change(content):
            for _ in range(count):
                place = int(generator.integers(0, 348))
                if not 112 <= place < 120:
                    content[place] ^= 1 << int(generator.integers(8))

        _on_plain(volume, change)
        return
    end = volume.header_end()
    content = bytearray(volume.content)
    starts = [0, *(n + 1 for n in range(end) if content[n] == 10)]
    for _ in range(count):
        place = int(generator.integers(0, end))
        line = max(start for start in starts if start <= place)
        if not bytes(content[line : line + 20]).lower().startswith(tuple(field.encode() for field in ALONE)):
            content[place] ^= 1 << int(generator.integers(8))
    volume.content = bytes(content)


@file_mutation
def stream_bytes_flipped(volume, generator):
    name, count = volume.data_name, int(generator.integers(1, 6))
    content = bytearray(volume.files[name])
    packed = volume.main.startswith("z") or volume.main.endswith(".gz")
    begin = 0
    if name == volume.main:
        begin = (10 if packed else 352) if _is_nifti(volume) else volume.header_end() + (10 if packed else 0)
    if begin >= len(content):
        return
    for _ in range(count):
        content[int(generator.integers(begin, len(content)))] ^= 1 << int(generator.integers(8))
    volume.files[name] = bytes(content)
    if not packed:
        volume.truth = replace(volume.truth, may_differ=count)


@file_mutation
def cut(volume, generator):
    name = volume.data_name if generator.random() < 0.8 else volume.main
    content = volume.files[name]
    keep = int(generator.choice([0, 10, 100, 347, len(content) // 2, len(content) - 9, len(content) - 1]))
    volume.files[name] = content[:keep]


@file_mutation
def lengthened(volume, generator):
    name, extra = volume.data_name, int(generator.choice([1, 2, 100, 2304, 100000]))
    volume.files[name] += bytes(extra) if generator.random() < 0.5 else generator.bytes(extra)


@file_mutation
def data_file_absent_or_other(volume, generator):
    name = volume.data_name
    if name == volume.main:
        volume.content = volume.content[: len(volume.content) // 3]
        return
    how = int(generator.integers(3))
    content = volume.files.pop(name)
    if how == 0:
        volume.files["other.raw"] = content
    elif how == 1:
        volume.files[name] = b""
    else:
        volume.files[name] = generator.bytes(len(content))
        volume.truth = replace(volume.truth, may_differ=volume.truth.voxels.size)


@file_mutation
def values_changed(volume, generator):
    """Offset lost, with padding; moved; half, twice or ten times; another border; one slice moved."""
    hu = volume.truth.voxels.astype(np.int32)
    how = int(generator.integers(8))
    if how == 7:
        hu[int(generator.integers(1, len(hu) - 1))] += int(generator.choice([1024, -1024, 500]))
    else:
        hu = [hu + 1024, hu - 976, hu // 2, hu * 2, hu * 10, (hu + 1024) * 2 - 1024, hu + 1024][how]
    padding = int(generator.choice([0, 0, -2000, -32768, 32767] if how == 6 else [0, -2000]))
    if padding:
        hu[:, :4] = padding
    changed = replace(volume.truth, voxels=np.clip(hu, -32768, 32767).astype(np.int16))
    volume.files = base_volume(changed, generator, volume.main).files


@file_mutation
def other_name(volume, generator):
    """A file under another format's ending."""
    endings = [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".nhdr", ".hdr", ".dcm", ""]
    new = "w" + str(generator.choice(endings))
    volume.files[new] = volume.files.pop(volume.main)
    volume.main = new


@file_mutation
def packed_again(volume, generator):
    name = volume.data_name
    how = int(generator.integers(3))
    content = volume.files[name]
    volume.files[name] = [gzip.compress(content), zlib.compress(content), gzip.compress(content)[:-8] + bytes(8)][how]


@file_mutation
def rubbish(volume, generator):
    volume.content = generator.bytes(int(generator.choice([0, 1, 348, 352, 5000])))


@file_mutation
def no_number(volume, generator):
    """NaN or infinite voxels in a NIfTI of floats; other formats of floats are told by their type."""
    voxels = volume.truth.voxels.astype("<f4")
    voxels[:, :3] = float(generator.choice([np.nan, np.inf, -np.inf]))
    if volume.main not in ("v.nii", "v.nii.gz"):
        volume.main = "v.nii"
    base = base_volume(volume.truth, generator, "v.nii").content
    header = bytearray(base[:352])
    struct.pack_into("<2h", header, 70, 16, 32)
    content = bytes(header) + voxels.tobytes()
    volume.files = {volume.main: gzip.compress(content) if volume.main.endswith(".gz") else content}
