"""NIfTI's two places in space, its scaling, its pairs of files, and what its header says against itself."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intake.made_dicom import head
from neckfrac.errors import InputError
from neckfrac.intake.nifti import read_nifti_header
from neckfrac.intake.study import read_study

CODES = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512}
SPACING = (0.6, 0.8, 2.5)


def nifti_file(
    path, voxels=None, *, spacing=SPACING, sform=None, qform=None, qfac=1.0, scaling=(1.0, 0.0), units=2, **changes
):
    """A NIfTI-1 file written byte by byte (nifti1.h), so that any header can be had.

    voxels: [z, y, x]. sform: 3x4, None: none. qform: (b, c, d, x, y, z), None: one that agrees with the spacing;
    False: none. changes: offset=(format, value) pairs as {"at108": ("f", 352)}.
    """
    voxels = head() if voxels is None else voxels
    pair = path.name.endswith(".hdr")
    header = bytearray(352 if not pair else 348)
    kind = voxels.dtype.str[1:]
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *voxels.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, CODES[kind], voxels.dtype.itemsize * 8)
    struct.pack_into("<4f", header, 76, qfac, *spacing)
    struct.pack_into("<3f", header, 108, 0 if pair else 352, *scaling)
    header[123] = units
    struct.pack_into("<2h", header, 252, 0 if qform is False else 1, 0 if sform is None else 1)
    struct.pack_into("<6f", header, 256, *(qform if qform else (0, 0, 0, -31, 17, -250)))
    if sform is not None:
        struct.pack_into("<12f", header, 280, *np.ravel(sform))
    header[344:348] = b"ni1\0" if pair else b"n+1\0"
    for place, (form, value) in changes.items():
        struct.pack_into("<" + form, header, int(place[2:]), value)
    data = voxels.astype(voxels.dtype.newbyteorder("<")).tobytes()
    if pair:
        path.write_bytes(header)
        path.with_suffix(".img").write_bytes(data)
    else:
        content = bytes(header) + data
        path.write_bytes(gzip.compress(content, 1) if path.name.endswith(".gz") else content)
    return path


def sform(*, spacing=SPACING, flip=1.0, origin=(-31, 17, -250), shear=0.0):
    return [[flip * spacing[0], 0, 0, origin[0]], [0, spacing[1], shear, origin[1]], [0, 0, spacing[2], origin[2]]]


def refusal(path) -> str:
    with pytest.raises(InputError) as caught:
        read_study(path)
    assert caught.value.exit_code == 2 and caught.value.advice
    return caught.value.what


def test_sform_and_qform_that_agree_are_read_in_silence(tmp_path):
    study = read_study(nifti_file(tmp_path / "a.nii", sform=sform()))
    assert study.warnings == ()
    np.testing.assert_allclose(study.volume.affine[:3, 3], (31, -17, -250))
    np.testing.assert_allclose(np.diag(study.volume.affine)[:3], (-0.6, -0.8, 2.5), rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.sampled_from([1.0, -1.0]))
def test_a_qform_lies_where_simpleitk_sees_it(tmp_path_factory, quaternion, qfac):
    """The formula of nifti1.h against a reader that is not ours."""
    import SimpleITK as sitk

    b, c, d = np.array(quaternion) * 0.57
    path = nifti_file(tmp_path_factory.mktemp("q") / "q.nii", head((4, 4, 4)), qform=(b, c, d, 5, 6, 7), qfac=qfac)
    image = sitk.ReadImage(str(path))
    expected = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    found = read_nifti_header(path).qform
    np.testing.assert_allclose(found[:3, :3], expected, atol=2e-5)
    np.testing.assert_allclose(found[:3, 3], image.GetOrigin(), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"flip": -1.0, "origin": (-31 + 19 * 0.6, 17, -250)}, "left and right may be exchanged"),
        ({"spacing": (0.6, 0.8, 3.0)}, "spacings 0.6 x 0.8 x 3 and 0.6 x 0.8 x 2.5 mm"),
        ({"origin": (-31, 17, -240)}, "up to 10.0 mm apart"),
    ],
)
def test_where_sform_and_qform_differ_the_sform_is_taken_with_a_warning(tmp_path, change, told):
    study = read_study(nifti_file(tmp_path / "a.nii", sform=sform(**change)))
    (warning,) = (warning for warning in map(str, study.warnings) if "sform and qform" in warning)
    assert told in warning and "the sform was taken" in warning
    rows = np.array(sform(**change)) * [[-1], [-1], [1]]
    np.testing.assert_allclose(study.volume.affine[:3], rows, rtol=1e-6)


def test_pixdim_against_the_sform_is_warned_of(tmp_path):
    path = nifti_file(tmp_path / "a.nii", sform=sform(), qform=False, spacing=(0.6, 0.8, 5.0))
    study = read_study(path)
    assert any("two spacings, 0.6 x 0.8 x 5 mm (pixdim)" in warning for warning in map(str, study.warnings))
    np.testing.assert_allclose(study.volume.spacing, (2.5, 0.8, 0.6), rtol=1e-6)


def test_an_sform_of_zeros_leaves_the_qform(tmp_path):
    study = read_study(nifti_file(tmp_path / "a.nii", sform=np.zeros((3, 4))))
    assert any("sform is not usable" in warning for warning in map(str, study.warnings))
    np.testing.assert_allclose(study.volume.spacing, (2.5, 0.8, 0.6), rtol=1e-6)
    assert "no usable" in refusal(nifti_file(tmp_path / "b.nii", sform=np.full((3, 4), np.nan), qform=False))


@pytest.mark.parametrize("qform", [None, False])
def test_a_shear_of_rounding_size_is_set_upright(tmp_path, qform):
    study = read_study(nifti_file(tmp_path / "a.nii", sform=sform(shear=4e-4), qform=qform))
    np.testing.assert_allclose(study.volume.directions.T @ study.volume.directions, np.eye(3), atol=2e-4)
    np.testing.assert_array_equal(study.volume.voxels, head())
    assert "sheared" in refusal(nifti_file(tmp_path / "b.nii", sform=sform(shear=0.4), qform=qform))


@pytest.mark.parametrize("scaling", [(0.0, -1024.0), (0.0, 0.0), (np.nan, 5.0), (0.0, np.nan)])
def test_a_slope_of_zero_or_none_means_the_stored_values(tmp_path, scaling):
    study = read_study(nifti_file(tmp_path / "a.nii.gz", scaling=scaling))
    np.testing.assert_array_equal(study.volume.voxels, head())


def test_a_slope_is_applied(tmp_path):
    stored = ((head().astype(int) + 1024) * 2).astype(np.int16)
    study = read_study(nifti_file(tmp_path / "a.nii", stored, scaling=(0.5, -1024)))
    np.testing.assert_array_equal(study.volume.voxels, head())


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".hdr"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_voxels_that_are_no_number_are_refused_as_in_nrrd(tmp_path, ending, kind, wrong):
    """SimpleITK reads them as 0 HU: water where there is no data."""
    voxels = head().astype(kind)
    voxels[3, 2, 1] = wrong
    assert "not a number" in refusal(nifti_file(tmp_path / f"a{ending}", voxels))


def test_a_pair_of_files_is_read_by_either(tmp_path):
    header = nifti_file(tmp_path / "a.hdr")
    for source in (header, header.with_suffix(".img"), tmp_path):
        study = read_study(source)
        np.testing.assert_array_equal(study.volume.voxels, head())
        assert study.identity.format == "NIfTI" and study.warnings == ()


def test_a_pair_without_its_voxels_names_them(tmp_path):
    header = nifti_file(tmp_path / "a.hdr")
    header.with_suffix(".img").unlink()
    assert "a.img that the header names is missing" in refusal(header)


def test_analyze_files_do_not_say_their_orientation(tmp_path):
    header = nifti_file(tmp_path / "a.hdr", at344=("i", 0))
    assert any("left and right may be exchanged" in warning for warning in map(str, read_study(header).warnings))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"at108": ("f", 348)}, "begin at byte 348"),
        ({"at108": ("f", 0)}, "begin at byte 0"),
        ({"at108": ("f", np.nan)}, "begin at byte nan"),
        ({"at108": ("f", np.inf)}, "begin at byte inf"),
        ({"at108": ("f", 370)}, "truncated"),
        ({"at72": ("h", 8)}, "contradicts itself: 8 bits"),
        ({"at70": ("h", 1536)}, "not supported"),
        ({"at46": ("h", 27)}, "truncated"),
        ({"at46": ("h", 0)}, "impossible NIfTI dimensions"),
        ({"at40": ("h", 9)}, "impossible NIfTI dimensions"),
        ({"at42": ("h", 32000)}, "truncated"),
    ],
)
def test_a_header_that_can_t_be_is_refused_by_its_reason(tmp_path, change, told):
    assert told in refusal(nifti_file(tmp_path / "a.nii", **change))


def test_a_file_longer_than_its_header_says_is_warned_of(tmp_path):
    """One slice fewer in the header would leave out the lowest slice in silence."""
    study = read_study(nifti_file(tmp_path / "a.nii.gz", at46=("h", 25)))
    assert any("640 bytes more than its header says" in warning for warning in map(str, study.warnings))


def test_a_header_cannot_ask_for_more_memory_than_the_file_justifies(tmp_path):
    path = nifti_file(tmp_path / "a.nii", at42=("h", 1200), at44=("h", 1200), at46=("h", 1200))
    assert "truncated" in refusal(path)
    path = nifti_file(tmp_path / "b.nii", at42=("h", 32000), at44=("h", 32000), at46=("h", 32000))
    assert "too large" in refusal(path)


def test_units_of_metres_are_understood(tmp_path):
    path = nifti_file(tmp_path / "a.nii", spacing=tuple(s / 1000 for s in SPACING), units=1, qform=False,
                      sform=np.array(sform()) / 1000)  # fmt: skip
    np.testing.assert_allclose(read_study(path).volume.affine[:3, 3], (31, -17, -250), rtol=1e-5)
