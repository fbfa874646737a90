"""NIfTI, NRRD and MetaImage files become HU on their stored axes, or are refused."""

from __future__ import annotations

import gzip
import struct
from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
from intake.made_dicom import head
from neckfrac.errors import InputError
from neckfrac.intake.study import list_series, read_study
from neckfrac.volume import CTVolume, Reorientation, to_image

SPACING = (0.6, 0.8, 2.5)  # x, y, z
FORMATS = {
    ".nii": "NIfTI", ".nii.gz": "NIfTI", ".nrrd": "NRRD", ".nhdr": "NRRD", ".mha": "MetaImage", ".mhd": "MetaImage"
}  # fmt: skip
ORIENTATIONS = list(product(permutations(range(3)), product((False, True), repeat=3)))


def neck() -> CTVolume:
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = (-31, 17, -250)
    return CTVolume(head(), affine)


def write(volume_or_array, path, spacing=SPACING):
    if isinstance(volume_or_array, CTVolume):
        image = to_image(volume_or_array)
    else:
        image = sitk.GetImageFromArray(volume_or_array)
        image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path))
    return path


def refusal(path) -> InputError:
    with pytest.raises(InputError) as caught:
        read_study(path)
    assert caught.value.exit_code == 2 and path.name in caught.value.where and caught.value.advice
    return caught.value


@pytest.mark.parametrize("ending", FORMATS)
def test_each_format_comes_back_voxel_for_voxel_in_its_place(tmp_path, ending):
    study = read_study(write(neck(), tmp_path / f"Nächstes Bild{ending}"))
    np.testing.assert_array_equal(study.volume.voxels, neck().voxels)
    np.testing.assert_allclose(study.volume.affine, neck().affine, atol=1e-4)
    assert study.volume.voxels.dtype == np.int16
    assert study.warnings == ()
    assert study.identity.format == FORMATS[ending]


@pytest.mark.parametrize("ending", [".nii", ".nrrd", ".mha"])
def test_left_stays_left_in_all_48_orientations(tmp_path, ending):
    """However the axes are permuted and flipped in the file, each voxel is found at the same place in the patient."""
    expected = neck()
    for number, (axes, flips) in enumerate(ORIENTATIONS):
        stored = Reorientation(axes, tuple(np.flatnonzero(flips)), tuple(expected.shape[axis] for axis in axes))
        turned = CTVolume(stored.apply(expected.voxels), stored.apply_affine(expected.affine))
        volume = read_study(write(turned, tmp_path / f"{number}{ending}")).volume
        assert volume.shape == turned.shape, "the stored axes are kept"
        canonical, _ = volume.canonical()
        np.testing.assert_array_equal(canonical.voxels, expected.voxels)
        np.testing.assert_allclose(canonical.affine, expected.affine, atol=1e-3)


def test_float_voxels_are_rounded_to_hu(tmp_path):
    path = write(neck().voxels.astype(np.float32) + 0.4, tmp_path / "float.nii.gz")
    np.testing.assert_array_equal(read_study(path).volume.voxels, neck().voxels)


def test_padding_of_a_file_becomes_air(tmp_path):
    hu = neck().voxels.copy()
    hu[:, :3] = -2000
    voxels = read_study(write(hu, tmp_path / "padded.nrrd")).volume.voxels
    assert (voxels[:, :3] == -1024).all() and (voxels[:, 3:] == hu[:, 3:]).all()


def test_a_fourth_dimension_of_one_is_ignored(tmp_path):
    image = sitk.JoinSeries([sitk.GetImageFromArray(neck().voxels)])
    path = tmp_path / "one.nrrd"
    sitk.WriteImage(image, str(path))
    np.testing.assert_array_equal(read_study(path).volume.voxels, neck().voxels)


def test_a_folder_with_one_volume_file_is_read(tmp_path):
    write(neck(), tmp_path / "neck.nii.gz")
    (tmp_path / "notes.txt").write_text("nothing")
    assert read_study(tmp_path).identity.format == "NIfTI"


def test_a_folder_with_several_volume_files_asks_for_one(tmp_path):
    write(neck(), tmp_path / "one.nii"), write(neck(), tmp_path / "two.nrrd")
    with pytest.raises(InputError, match="several volume files") as caught:
        read_study(tmp_path)
    assert "one.nii" in caught.value.advice and "two.nrrd" in caught.value.advice


def test_a_volume_file_is_listed_as_one_series(tmp_path):
    (good,) = list_series(write(neck(), tmp_path / "neck.nii"))
    assert good.usable and good.slices == 26 and good.spacing == pytest.approx((2.5, 0.8, 0.6))
    (bad,) = list_series(write(neck().voxels.clip(0, 200), tmp_path / "picture.nii"))
    assert not bad.usable and "picture or a labelmap" in bad.why_not


@pytest.mark.parametrize(
    ("voxels", "what"),
    [
        (head().clip(0, 7), "picture or a labelmap"),
        ((head().astype(int) + 1024).astype(np.uint16), "an offset of 1024 may be missing"),
        (head().clip(-1000, 150), "no bone"),
        (head().clip(-20, 900), "no air and no fat"),
        (np.zeros_like(head()), "same value"),
        (np.where(head() > 1000, np.nan, head()).astype(np.float32), "not a number"),
        (np.where(head() > 1000, np.inf, head()).astype(np.float32), "not a number"),
        (head()[:1], "one slice only"),
        (head()[0], "one slice only"),
    ],
)
def test_values_that_are_no_ct(tmp_path, voxels, what):
    assert what in refusal(write(voxels, tmp_path / "volume.nrrd", SPACING[: voxels.ndim])).what


def test_colour_and_complex_voxels(tmp_path):
    colour = sitk.GetImageFromArray(np.zeros((5, 6, 7, 3), np.uint8), isVector=True)
    sitk.WriteImage(colour, str(tmp_path / "colour.nrrd"))
    assert "colours or vectors" in refusal(tmp_path / "colour.nrrd").what
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((5, 6, 7), np.complex64)), str(tmp_path / "complex.nii"))
    assert "colours or vectors" in refusal(tmp_path / "complex.nii").what


def test_a_series_over_time(tmp_path):
    image = sitk.JoinSeries([sitk.GetImageFromArray(neck().voxels)] * 3)
    for ending in (".nii", ".nrrd"):
        sitk.WriteImage(image, str(tmp_path / f"time{ending}"))
        assert "4 dimensions (20 x 16 x 26 x 3)" in refusal(tmp_path / f"time{ending}").what


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_truncated_files(tmp_path, ending, share):
    """SimpleITK reads what is missing from a NIfTI file as zeros, which must not pass as tissue."""
    path = write(neck(), tmp_path / f"volume{ending}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "truncated" in refusal(path).what


def test_a_compressed_file_with_a_flipped_byte(tmp_path):
    path = write(neck(), tmp_path / "volume.nii.gz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert "corrupt" in refusal(path).what


@pytest.mark.parametrize("ending", FORMATS)
def test_rubbish_under_a_known_ending(tmp_path, ending):
    path = tmp_path / f"rubbish{ending}"
    path.write_bytes(b"not an image at all " * 60)
    assert "truncated or corrupt" in refusal(path).what


def nifti(path, *, qform=1, sform=1, rows=None, pixdim=None):
    """A NIfTI-1 file whose header fields are set by hand; SimpleITK would not write such."""
    content = bytearray(write(neck(), path).read_bytes())
    struct.pack_into("<2h", content, 252, qform, sform)
    if rows is not None:
        struct.pack_into("<12f", content, 280, *np.ravel(rows))
    if pixdim is not None:
        struct.pack_into("<3f", content, 80, *pixdim)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("qform", [0, 1])
def test_a_sheared_nifti_is_refused_and_not_read_without_its_shear(tmp_path, qform):
    """With a valid qform beside the sheared sform SimpleITK would silently take the former."""
    path = nifti(tmp_path / "sheared.nii", qform=qform, rows=[[0.6, 0, 0, 0], [0, 0.8, 0.9, 0], [0, 0, 2.5, 0]])
    assert "sheared" in refusal(path).what


def test_a_sheared_nrrd_is_set_upright(tmp_path):
    path = write(neck(), tmp_path / "sheared.nrrd")
    content = path.read_bytes()
    old = b"(0.59999999999999998,0,0) (0,0.80000000000000004,0) (0,0,2.5)"
    assert old in content
    path.write_bytes(content.replace(old, b"(0.6,0,0) (0,0.8,0) (0,0.9,2.5)"))
    study = read_study(path)
    assert any("gantry tilt" in warning for warning in map(str, study.warnings))
    np.testing.assert_allclose(study.volume.directions, np.eye(3), atol=1e-9)
    # The bone of the last slice lies where the shear put it: 25 x 0.9 mm further back.
    bone = study.volume.to_points(np.argwhere(study.volume.voxels[25:] > 1100) + (25, 0, 0))
    np.testing.assert_allclose(bone[:, 1].mean(), 17 + 12 * 0.8 + 25 * 0.9, atol=0.3)


def test_a_file_without_orientation_is_warned_of(tmp_path):
    study = read_study(nifti(tmp_path / "unknown.nii", qform=0, sform=0))
    assert any("left and right may be exchanged" in warning for warning in map(str, study.warnings))


def test_files_without_spacing(tmp_path):
    assert "no voxel spacing" in refusal(nifti(tmp_path / "volume.nii", qform=0, sform=0, pixdim=(0, 0, 0))).what
    data = neck().voxels.tobytes()
    (tmp_path / "volume.nrrd").write_bytes(
        b"NRRD0004\ntype: short\ndimension: 3\nsizes: 20 16 26\nendian: little\nencoding: raw\n\n" + data
    )
    assert "no voxel spacing" in refusal(tmp_path / "volume.nrrd").what
    (tmp_path / "volume.mha").write_bytes(
        b"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nDimSize = 20 16 26\n"
        b"ElementType = MET_SHORT\nElementDataFile = LOCAL\n" + data
    )
    assert "no voxel spacing" in refusal(tmp_path / "volume.mha").what


def test_a_header_without_its_data_file(tmp_path):
    path = write(neck(), tmp_path / "volume.mhd")
    (tmp_path / "volume.raw").unlink()
    assert "volume.raw that the header names is missing" in refusal(path).what


def test_a_gzip_file_under_the_plain_ending_is_judged_by_its_content(tmp_path):
    plain = write(neck(), tmp_path / "volume.nii")
    plain.write_bytes(gzip.compress(plain.read_bytes())[:-400])
    assert "truncated" in refusal(plain).what
