"""Zip archives are read, leave nothing behind, and can't do harm."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from intake.made_dicom import head, write_series
from neckfrac.errors import Cancelled, InputError
from neckfrac.intake import archive
from neckfrac.intake.study import list_series, read_study
from neckfrac.progress import Progress


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files; empty again after every test, refused or not."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def study_zip(tmp_path) -> Path:
    paths = write_series(tmp_path / "dicom", head())
    with zipfile.ZipFile(tmp_path / "study.zip", "w", zipfile.ZIP_DEFLATED) as target:
        for path in paths:
            target.write(path, f"CD/IMAGES/{path.name}")
        target.writestr("CD/README.TXT", "hello")
        target.writestr("__MACOSX/CD/._image001.dcm", b"\0\5\x16\7")
    return tmp_path / "study.zip"


def one_member(tmp_path, name, content=b"DICM" * 100) -> Path:
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as target:
        target.writestr(name, content)
    return tmp_path / "made.zip"


def test_a_zip_of_dicom_is_read_and_nothing_stays_behind(study_zip):
    study = read_study(study_zip)
    np.testing.assert_array_equal(study.volume.voxels, head())
    assert study.identity.source == str(study_zip)
    assert len(list_series(study_zip)) == 1


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mhd", ".nhdr"])
def test_a_zip_of_one_volume_file_is_read(tmp_path, ending):
    image = sitk.GetImageFromArray(head())
    image.SetSpacing((0.6, 0.8, 2.5))
    folder = tmp_path / "volume"
    folder.mkdir()
    sitk.WriteImage(image, str(folder / f"neck{ending}"))
    with zipfile.ZipFile(tmp_path / "volume.zip", "w") as target:
        for path in folder.iterdir():
            target.write(path, path.name)
    np.testing.assert_array_equal(read_study(tmp_path / "volume.zip").volume.voxels, head())


@pytest.mark.parametrize("name", ["../outside.dcm", "/etc/outside.dcm", "a/../../outside.dcm", "..\\outside.dcm",
                                  "C:/outside.dcm"])  # fmt: skip
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="leads out of its folder"):
        read_study(one_member(tmp_path, name))
    assert not list(tmp_path.rglob("outside.dcm"))


def test_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("link.nii")
    link.external_attr = 0o120777 << 16
    with pytest.raises(InputError, match="holds a link"):
        read_study(one_member(tmp_path, link, "/etc/passwd"))


@pytest.mark.parametrize("pointer", ["/dev/zero", "../../secret.raw"])
def test_an_image_header_that_points_out_of_the_archive_is_refused(tmp_path, pointer):
    header = f"ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementType = MET_SHORT\nElementDataFile = {pointer}\n"
    with pytest.raises(InputError, match="points out of it"):
        read_study(one_member(tmp_path, "volume.mhd", header))


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, temporary):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("zeros.dcm", bytes(2**20))
    monkeypatch.setattr(archive, "RATIO_FREE", 2**16)
    with pytest.raises(InputError, match="more than a study has"):
        read_study(tmp_path / "bomb.zip")


def test_too_many_or_too_large_files_are_refused(study_zip, monkeypatch):
    monkeypatch.setattr(archive, "MOST_FILES", 20)
    with pytest.raises(InputError, match="28 files"):
        read_study(study_zip)
    monkeypatch.undo()
    monkeypatch.setattr(archive, "MOST_BYTES", 10_000)
    with pytest.raises(InputError, match="more than a study has"):
        read_study(study_zip)


def test_a_truncated_zip_is_refused(study_zip):
    study_zip.write_bytes(study_zip.read_bytes()[:-500])
    with pytest.raises(InputError, match="zip archive is truncated or corrupt"):
        read_study(study_zip)


def test_a_corrupt_member_is_refused(study_zip):
    content = bytearray(study_zip.read_bytes())
    content[300:340] = bytes(40)
    study_zip.write_bytes(content)
    with pytest.raises(InputError, match="zip archive is truncated or corrupt"):
        read_study(study_zip)


def test_an_error_names_the_file_as_the_archive_does(tmp_path):
    with pytest.raises(InputError) as caught:
        read_study(one_member(tmp_path, "CD/broken.dcm", b"rubbish" * 100))
    assert caught.value.where == f"{tmp_path / 'made.zip'}/CD/broken.dcm"


def test_cancelling_while_unpacking_leaves_nothing_behind(study_zip):
    calls = []

    def cancelled():
        calls.append(None)
        return len(calls) > 3

    with pytest.raises(Cancelled):
        read_study(study_zip, progress=Progress(cancelled=cancelled))


LONG = "d" * 300


@pytest.mark.parametrize(
    "names",
    [
        lambda n: f"{LONG}{n:03d}.dcm",
        lambda n: f"{LONG}/{n:03d}.dcm",
        lambda n: "/".join(["deep"] * 1200) + f"/{n:03d}.dcm",
        lambda n: f"{'ü' * 140}{n:03d}.dcm",
        lambda n: f"a:b/{n:03d}?*<>|.dcm" if n else "plain.dcm",
        lambda n: f"{n:03d}\x07\n.dcm",
        lambda n: f"con.{n}/aux.dcm",
        lambda n: f"{n} / . /x ",
        lambda n: "same.dcm",
        lambda n: "".join(c.upper() if n >> i & 1 else c for i, c in enumerate("abcdef")) + ".dcm",
        lambda n: "IM" if n == 0 else f"IM/{n:03d}.dcm",
        lambda n: f"IM/{n:03d}" if n < 25 else "im",
        lambda n: f"\u202e\u0000{n}",
    ],
    ids=["long file", "long folder", "deep", "long in bytes", "odd", "control", "reserved", "blanks", "same",
         "case", "file and folder", "folder and file", "direction"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_any_name_are_read(tmp_path, names):
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as target:
        for number, path in enumerate(write_series(tmp_path / "dicom", head())):
            name = names(number)
            if ":" in name.split("/")[0]:
                name = f"x/{name}"  # a colon in the first part may be a drive, and is refused
            target.writestr(name, path.read_bytes())
    np.testing.assert_array_equal(read_study(tmp_path / "study.zip").volume.voxels, head())


def test_a_hidden_file_of_a_long_name_stays_hidden(study_zip):
    with zipfile.ZipFile(study_zip, "a") as target:
        target.writestr(f"__MACOSX/CD/._{LONG}.dcm", b"\0\5\x16\7")
    np.testing.assert_array_equal(read_study(study_zip).volume.voxels, head())


def test_a_compression_that_is_not_supported_is_said(study_zip):
    content = bytearray(study_zip.read_bytes())
    for mark, place in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
        start = content.find(mark)
        while start >= 0:
            content[start + place] = 97  # WavPack
            start = content.find(mark, start + 4)
    study_zip.write_bytes(content)
    with pytest.raises(InputError, match="compressed in a way that is not supported"):
        read_study(study_zip)


@pytest.mark.parametrize("seed", range(20))
def test_damaged_archives_are_refused_or_read(study_zip, seed):
    """Whatever bytes change, nothing but an InputError comes of it."""
    content = np.frombuffer(study_zip.read_bytes(), np.uint8).copy()
    random = np.random.default_rng(seed)
    # The directory at the end is where an archive's structure is.
    content[-random.integers(1, 1500, 4)] = random.integers(0, 256, 4)
    study_zip.write_bytes(content.tobytes())
    try:
        read_study(study_zip)
    except InputError as error:
        assert error.exit_code == 2
