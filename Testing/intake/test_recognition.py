"""DICOM is known by what a file begins with, whatever its name and with or without a preamble."""

from __future__ import annotations

import os
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from intake.made_dicom import head, without_preamble, write_series
from neckfrac.errors import InputError
from neckfrac.intake.dicom_headers import looks_like_dicom
from neckfrac.intake.study import read_study

FIRST = {
    "meta elements": 0x00020000,
    "character set": 0x00080005,
    "image type": 0x00080008,
    "creation date": 0x00080012,
    "SOP class": 0x00080016,
    "SOP instance": 0x00080018,
    "study date": 0x00080020,
    "modality": 0x00080060,
}


def begin_with(dataset, number):
    dataset.SpecificCharacterSet, dataset.InstanceCreationDate = "ISO_IR 100", "20240102"


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize(("implicit", "little"), [(False, True), (True, True), (False, False)])
def test_slices_without_a_preamble_are_read_with_the_others(tmp_path, first, implicit, little):
    """They begin with any element, in any encoding; a meta group says its own."""
    hu = head()
    for path in write_series(tmp_path, hu, change=begin_with)[13:]:
        without_preamble(path, first=FIRST[first], implicit=implicit, little=little)
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, hu)
    assert study.warnings == ()


def test_slices_without_a_preamble_are_read_from_a_zip_and_from_a_list(tmp_path):
    hu = head()
    paths = [without_preamble(path, first=0x00080016) for path in write_series(tmp_path / "s", hu)]
    np.testing.assert_array_equal(read_study(paths).volume.voxels, hu)
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for path in paths:
            archive.write(path, path.name)
    np.testing.assert_array_equal(read_study(tmp_path / "s.zip").volume.voxels, hu)


def test_how_many_files_were_no_images_is_said(tmp_path):
    write_series(tmp_path, head())
    (tmp_path / "DICOMDIR").write_bytes(b"an index")
    assert read_study(tmp_path).warnings == ()
    (tmp_path / "readme.txt").write_text("Dear colleague")
    (tmp_path / "viewer.exe").write_bytes(b"MZ" + bytes(200))
    (warning,) = map(str, read_study(tmp_path).warnings)
    assert "2 files are no DICOM images" in warning and "26 were looked at" in warning


@given(st.binary(max_size=600))
def test_no_bytes_break_the_look_at_a_file_and_few_are_dicom(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "file"
    path.write_bytes(content)
    assert looks_like_dicom(path) in (True, False)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"Dear colleague, thank you for sending this patient.",
        b"\x89PNG\r\n\x1a\n" + bytes(300),
        b"PK\x03\x04" + bytes(300),
        b"\x5c\x01\x00\x00" + bytes(600),  # a NIfTI header
        bytes(2000),
        np.arange(1000, dtype="<i2").tobytes(),
        np.random.default_rng(3).integers(-1000, 2000, 1000).astype("<i2").tobytes(),
        b"\x08\x00\x08\x00\x08\x00\x08\x00" * 100,
    ],
)
def test_other_files_are_not_taken_for_dicom(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert not looks_like_dicom(tmp_path / "file")


def test_a_file_whose_preamble_was_cut_off_up_to_its_prefix_is_not_passed_over(tmp_path):
    paths = write_series(tmp_path, head())
    paths[3].with_suffix("").write_bytes(paths[3].read_bytes()[128:])
    paths[3].unlink()
    with pytest.raises(InputError, match="truncated or corrupt"):
        read_study(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.dcm")
    assert not looks_like_dicom(tmp_path / "pipe.dcm")
