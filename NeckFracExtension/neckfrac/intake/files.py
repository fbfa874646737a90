"""One volume in one file (NIfTI, NRRD, MetaImage) becomes a CTVolume."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..progress import Progress
from ..volume import CTVolume, from_image
from .checks import MOST_VOXELS
from .dicom_geometry import upright
from .dicom_pixels import AIR, HIGHEST
from .file_headers import TextHeader, read_nifti_header, read_text_header

FORMATS = {
    ".nii": "NIfTI",
    ".nii.gz": "NIfTI",
    ".nrrd": "NRRD",
    ".nhdr": "NRRD",
    ".mha": "MetaImage",
    ".mhd": "MetaImage",
}
_EXPORT = "Export it again from the program that wrote it."


def file_format(path: Path) -> str:
    """NIfTI, NRRD or MetaImage by the file's ending; '' for others."""
    name = path.name.lower()
    return next((kind for ending, kind in FORMATS.items() if name.endswith(ending)), "")


def read_file(path: Path, progress: Progress) -> tuple[CTVolume, list[str]]:
    """The volume (int16 HU, at least -1024, on its stored axes) and warnings about its geometry.

    Raises InputError for a file that is truncated or corrupt, no 3D volume of single values, holds NaN, or
    does not say its spacing.
    """
    kind = file_format(path)
    try:
        warnings = _check_nifti(path, progress) if kind == "NIfTI" else _check_text(path, kind)
        progress.step(0.3)
        image = _read_image(path)
    except (OSError, EOFError, zlib.error, RuntimeError, ValueError) as error:
        raise InputError(f"The {kind} file is truncated or corrupt.", where=path, advice=_EXPORT) from error
    progress.step(0.8)
    volume = from_image(image)
    del image
    voxels = volume.voxels
    if np.issubdtype(voxels.dtype, np.floating):
        if not np.isfinite(voxels).all():
            raise InputError(
                "The volume holds voxels that are not a number (NaN or infinite).",
                where=path,
                advice="Replace them by air (-1000 HU), or export the CT again.",
            )
        voxels = np.rint(voxels)
    # Integers this far out are padding or metal; float files keep whole HU, which is what scanners measure.
    voxels = np.clip(voxels, AIR, HIGHEST).astype(np.int16, copy=False)
    try:
        volume, sheared = upright(CTVolume(voxels, volume.affine), progress)
    except InputError as error:
        raise InputError(error.what, where=path, advice=error.advice) from error
    return volume, warnings + sheared


@contextlib.contextmanager
def _quiet_itk() -> Iterator[None]:
    import SimpleITK as sitk

    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _read_image(path: Path):
    """The file as a 3D SimpleITK image of one value a voxel."""
    import SimpleITK as sitk

    with _quiet_itk():
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        size = list(reader.GetSize())
        is_complex = reader.GetPixelID() in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64)
        if is_complex or reader.GetNumberOfComponents() != 1:
            raise InputError(
                "The voxels are colours or vectors; a CT has one value a voxel.",
                where=path,
                advice="Give a CT in Hounsfield units.",
            )
        if len(size) > 3 and any(length != 1 for length in size[3:]):
            raise InputError(
                f"The file holds {len(size)} dimensions ({' x '.join(map(str, size))}).",
                where=path,
                advice="Give one 3D volume.",
            )
        if len(size) < 3 or min(size[:3]) < 2:
            raise InputError("The file holds one slice only.", where=path, advice="Give the whole volume.")
        if np.prod([float(length) for length in size]) > MOST_VOXELS:
            raise InputError(
                f"The volume of {' x '.join(map(str, size))} voxels is too large.",
                where=path,
                advice="Give the neck alone.",
            )
        image = reader.Execute()
        return image if len(size) == 3 else image[(slice(None),) * 3 + (0,) * (len(size) - 3)]


def _check_nifti(path: Path, progress: Progress) -> list[str]:
    """What SimpleITK passes over in silence: missing data (read as zeros), no spacing, a sheared affine."""
    header = read_nifti_header(path)
    if len(header.shape) >= 3 and min(header.pixdim[:3]) <= 0:
        raise InputError("The file has no voxel spacing.", where=path, advice=_EXPORT)
    if header.sform_code > 0 and not header.orthogonal:
        raise InputError(
            "The slices are sheared (the affine is not orthogonal), as after a gantry tilt.",
            where=path,
            advice="Give the DICOM series, or convert it again with tilt correction.",
        )
    held = _uncompressed_size(path, progress)
    if held < header.data_end:
        raise InputError(
            f"The file is truncated: {held} of {header.data_end} bytes.", where=path, advice="Copy or export it again."
        )
    if header.sform_code <= 0 and header.qform_code <= 0:
        return ["The file does not say how it is oriented: left and right may be exchanged."]
    return []


def _uncompressed_size(path: Path, progress: Progress) -> int:
    with path.open("rb") as stream:
        if stream.read(2) != b"\x1f\x8b":
            return path.stat().st_size
    size = 0
    # Reading to the end checks the checksum too, which SimpleITK does not.
    with gzip.open(path) as stream:
        while chunk := stream.read(2**22):
            size += len(chunk)
            progress.step(0.0)
    return size


def _check_text(path: Path, kind: str) -> list[str]:
    header: TextHeader = read_text_header(path)
    if header.dimension >= 3 and not header.has_spacing:
        raise InputError("The file has no voxel spacing.", where=path, advice=_EXPORT)
    if kind == "NRRD" and not header.has_orientation:
        return ["The file does not say how it is oriented: left and right may be exchanged."]
    return []
