"""NRRD and MetaImage: lengths, checksums and what the headers say against themselves."""

from __future__ import annotations

import gzip
import os
import zlib

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from intake.made_dicom import head
from neckfrac.errors import InputError
from neckfrac.intake.study import read_study

NRRD = {
    "type": "short", "dimension": "3", "space": "left-posterior-superior", "sizes": "20 16 26",
    "space directions": "(0.6,0,0) (0,0.8,0) (0,0,2.5)", "kinds": "domain domain domain", "endian": "little",
    "encoding": "raw", "space origin": "(1,2,3)",
}  # fmt: skip
META = {
    "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False", "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "1 2 3",
    "AnatomicalOrientation": "RAI", "ElementSpacing": "0.6 0.8 2.5", "DimSize": "20 16 26",
    "ElementType": "MET_SHORT", "ElementDataFile": "LOCAL",
}  # fmt: skip


def nrrd(path, data=None, *, ended=True, **changes):
    """An NRRD file; changes: fields, their blanks as _; None leaves one out."""
    fields = NRRD | {name.replace("_", " "): value for name, value in changes.items()}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    path.write_bytes(
        "\n".join(["NRRD0004", *lines]).encode() + b"\n\n"[: 1 + ended] + (head().tobytes() if data is None else data)
    )
    return path


def meta(path, data=None, extra=(), **changes):
    """A MetaImage file; changes: fields, None leaves one out; extra: lines before the last."""
    fields = {**META, **changes}
    last = fields.pop("ElementDataFile")
    lines = [f"{name} = {value}" for name, value in fields.items() if value is not None]
    text = "\n".join([*lines, *extra, f"ElementDataFile = {last}", ""])
    path.write_bytes(text.encode() + (head().tobytes() if data is None else data))
    return path


def refusal(path) -> str:
    with pytest.raises(InputError) as caught:
        read_study(path)
    assert caught.value.exit_code == 2 and caught.value.advice and caught.value.where
    return caught.value.what


def read_alike(path) -> tuple[str, ...]:
    """The warnings of a file whose voxels must be those that were written."""
    study = read_study(path)
    np.testing.assert_array_equal(study.volume.voxels, head())
    return tuple(map(str, study.warnings))


PACKED = {
    "a.nrrd": lambda path, data: nrrd(path, gzip.compress(data), encoding="gzip"),
    "a.mha": lambda path, data: meta(path, zlib.compress(data), CompressedData="True"),
}


@pytest.mark.parametrize("name", PACKED)
def test_every_flipped_bit_of_a_compressed_stream_is_noticed(tmp_path, name):
    """SimpleITK reads on where the checksum is wrong."""
    path = PACKED[name](tmp_path / name, head().tobytes())
    assert read_alike(path) == ()
    content = path.read_bytes()
    # The first ten bytes of gzip hold the time and the system that packed it; nothing checks those.
    start = content.index(b"\x1f\x8b" if name == "a.nrrd" else zlib.compress(head().tobytes())[:10]) + 10

    @settings(max_examples=40, deadline=None)
    @given(st.integers(start, len(content) - 1), st.integers(0, 7))
    def check(place, bit):
        broken = bytearray(content)
        broken[place] ^= 1 << bit
        path.write_bytes(broken)
        assert "corrupt" in refusal(path) or "truncated" in refusal(path)

    check()


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("missing", [1, 8, 300])
def test_compressed_streams_that_end_too_early(tmp_path, name, missing):
    path = PACKED[name](tmp_path / name, head().tobytes())
    path.write_bytes(path.read_bytes()[:-missing])
    assert "truncated" in refusal(path)


@pytest.mark.parametrize("name", PACKED)
def test_a_whole_stream_of_too_few_voxels(tmp_path, name):
    assert "truncated: 16000 of 16640 bytes" in refusal(PACKED[name](tmp_path / name, head().tobytes()[:-640]))


def test_packed_members_one_after_the_other_are_read_as_one(tmp_path):
    data = head().tobytes()
    both = gzip.compress(data[:5000]) + gzip.compress(data[5000:]) + b"\0" * 100
    assert read_alike(nrrd(tmp_path / "a.nrrd", both, encoding="gzip")) == ()
    path = nrrd(tmp_path / "b.nrrd", gzip.compress(data) + b"something else", encoding="gzip")
    assert "belong to nothing" in refusal(path)


@pytest.mark.parametrize(("write", "name"), [(nrrd, "a.nrrd"), (meta, "a.mha")])
def test_more_bytes_than_the_header_says_are_warned_of(tmp_path, write, name):
    size = {"sizes": "20 16 25"} if write is nrrd else {"DimSize": "20 16 25"}
    study = read_study(write(tmp_path / name, **size))
    assert any("640 bytes more than its header says" in warning for warning in map(str, study.warnings))
    assert "truncated" in refusal(write(tmp_path / f"b{name}", head().tobytes()[:-1]))


@pytest.mark.parametrize(
    ("write", "name", "field"), [(nrrd, "a.nhdr", "data_file"), (meta, "a.mhd", "ElementDataFile")]
)
def test_data_in_a_file_of_their_own(tmp_path, write, name, field):
    (tmp_path / "Stück 1.raw").write_bytes(head().tobytes())
    path = write(tmp_path / name, b"", **{field: "Stück 1.raw"})
    assert read_alike(path) == ()
    (tmp_path / "Stück 1.raw").write_bytes(head().tobytes()[:-2])
    assert "truncated: 16638 of 16640 bytes" in refusal(path)
    (tmp_path / "Stück 1.raw").unlink()
    assert refusal(path) == "The data file Stück 1.raw that the header names is missing."
    os.mkfifo(tmp_path / "Stück 1.raw")
    assert "no plain file" in refusal(path)


def test_slices_listed_one_by_one(tmp_path):
    for number, plane in enumerate(head()):
        (tmp_path / f"{number}.raw").write_bytes(plane.tobytes())
    names = [f"{number}.raw" for number in range(26)]
    assert read_alike(nrrd(tmp_path / "a.nhdr", b"", data_file="\n".join(["LIST", *names]), ended=False)) == ()
    assert read_alike(meta(tmp_path / "a.mhd", b"", ElementDataFile="\n".join(["LIST", *names]))) == ()
    (tmp_path / "7.raw").unlink()
    for name in ("a.nhdr", "a.mhd"):
        assert "7.raw that the header names is missing" in refusal(tmp_path / name)


def test_text_voxels(tmp_path):
    words = " ".join(map(str, head().ravel())).encode()
    assert read_alike(nrrd(tmp_path / "a.nrrd", words, encoding="text")) == ()
    assert "truncated: 8319 of 8320 voxels" in refusal(
        nrrd(tmp_path / "b.nrrd", words.rsplit(b" ", 1)[0], encoding="text")
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"encoding": "bzip2"}, "bzip2 is not supported"),
        ({"encoding": "zrl"}, "'zrl' is not supported"),
        ({"type": "block"}, "type (block) is not supported"),
        ({"space_units": '"cm" "cm" "cm"'}, "lengths are in cm"),
        ({"space_directions": "(0.6,0,0) (0,0.8,0) none"}, "no voxel spacing"),
        ({"sizes": "20 16"}, "contradicts itself"),
        ({"endian": None}, "order of the bytes"),
        ({"line_skip": "x"}, "not understood"),
    ],
)
def test_an_nrrd_that_can_t_be_read_is_refused_by_its_reason(tmp_path, changes, told):
    assert told in refusal(nrrd(tmp_path / "a.nrrd", **changes))


@pytest.mark.parametrize(
    ("changes", "extra", "told"),
    [
        ({}, ["DimSize = 20 16 13"], "gives DimSize twice"),
        ({}, ["Origin = 5 5 5"], "gives Origin twice"),
        ({}, ["ElementByteOrderMSB = True"], "gives ElementByteOrderMSB twice"),
        ({}, ["HeaderSize = 10"], "says at 10"),
        ({"Modality": "MET_MOD_MR"}, [], "modality MR"),
        ({"DistanceUnits": "cm"}, [], "lengths are in cm"),
        ({"ElementType": "MET_SHORT_ARRAY"}, [], "not supported"),
        ({"ElementNumberOfChannels": "3"}, [], "colours or vectors"),
        ({"CompressedData": "True", "CompressedDataSize": "99"}, [], "the header says 99"),
        ({"CompressedDataSize": "1e999", "CompressedData": "True"}, [], "truncated or corrupt"),
    ],
)
def test_a_metaimage_that_can_t_be_read_is_refused_by_its_reason(tmp_path, changes, extra, told):
    assert told in refusal(meta(tmp_path / "a.mha", extra=extra, **changes))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"TransformMatrix": "-1 0 0 0 1 0 0 0 1"}, "two orientations, RAI (AnatomicalOrientation) and LAI"),
        ({"TransformMatrix": "2 0 0 0 1 0 0 0 1"}, "not of length 1"),
        ({"TransformMatrix": None, "AnatomicalOrientation": None}, "left and right may be exchanged"),
        ({"ElementToIntensityFunctionSlope": "2"}, "taken as stored"),
    ],
)
def test_what_a_metaimage_leaves_open_is_warned_of(tmp_path, changes, told):
    warnings = read_alike(meta(tmp_path / "a.mha", **changes))
    assert len(warnings) == 1 and told in warnings[0]


@pytest.mark.parametrize(
    ("matrix", "letters"),
    [("1 0 0 0 1 0 0 0 1", "RAI"), ("0 1 0 0 0 1 1 0 0", "AIR"), ("0 0 -1 -1 0 0 0 1 0", "SLA")],
)
def test_orientation_letters_are_those_of_simpleitk(tmp_path, matrix, letters):
    warnings = read_alike(meta(tmp_path / "a.mha", TransformMatrix=matrix, AnatomicalOrientation=letters))
    assert not any("orientation" in warning for warning in warnings)
    image = sitk.ReadImage(str(tmp_path / "a.mha"))
    sitk.WriteImage(image, str(tmp_path / "b.mha"))
    assert f"AnatomicalOrientation = {letters}".encode() in (tmp_path / "b.mha").read_bytes()


def test_an_unknown_space_of_an_nrrd_is_warned_of(tmp_path):
    path = nrrd(tmp_path / "a.nrrd", space=None, space_directions=None, space_origin=None, spacings="0.6 0.8 2.5")
    assert any("left and right may be exchanged" in warning for warning in read_alike(path))
