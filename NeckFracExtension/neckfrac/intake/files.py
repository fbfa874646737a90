"""One volume in one file (NIfTI, NRRD, MetaImage) becomes a CTVolume."""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import InputError, first_line
from ..progress import Progress
from ..study_warning import StudyWarning
from ..volume import CTVolume
from .checks import MOST_VOXELS, check_values
from .dicom_geometry import upright
from .dicom_pixels import AIR, HIGHEST
from .nifti import ROUNDING_SHEAR, choose_place, header_file, read_nifti_header
from .streams import COPY_AGAIN, check_regular, chunks, read_bytes
from .text_headers import TextHeader, read_text_header

__all__ = ["FORMATS", "file_format", "header_file", "read_file", "read_stored"]

FORMATS = {
    ".nii": "NIfTI",
    ".nii.gz": "NIfTI",
    ".hdr": "NIfTI",
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


def read_file(path: Path, progress: Progress) -> tuple[CTVolume, list[StudyWarning]]:
    """The CT (int16 HU, at least -1024, on its stored axes) and warnings about its geometry and values.

    Raises InputError for a file that is truncated or corrupt, no 3D volume of single values, holds NaN, does not
    say its spacing, or whose values can't be HU.
    """
    volume, warnings = read_stored(path, progress)
    voxels = volume.voxels
    try:
        # Before what lies below air is cut off: what is there tells padding from air in another unit.
        warnings = warnings + check_values(voxels)
        if np.issubdtype(voxels.dtype, np.floating):
            voxels = np.rint(voxels)
        # Integers this far out are padding or metal; float files keep whole HU, which is what scanners measure.
        voxels = np.clip(voxels, AIR, HIGHEST).astype(np.int16, copy=False)
        volume, sheared = upright(CTVolume(voxels, volume.affine), progress)
    except InputError as error:
        raise InputError(error.what, where=path, advice=error.advice) from error
    return volume, warnings + sheared


def read_stored(path: Path, progress: Progress) -> tuple[CTVolume, list[StudyWarning]]:
    """The file's values as they are, with its affine (which may be sheared), and warnings about its geometry.

    Raises InputError for a file that is truncated or corrupt, no 3D volume of single values, holds NaN, or does not
    say its spacing.
    """
    check_regular(path)
    kind = file_format(path)
    if not kind:
        raise InputError("This is no volume file.", where=path, advice="Give a NIfTI, NRRD or MetaImage file.")
    try:
        voxels, affine, warnings = (_read_nifti if kind == "NIfTI" else _read_text)(path, kind, progress)
        volume = CTVolume(voxels, affine)
    except PermissionError as error:
        raise InputError("The file may not be read.", where=path, advice="Check who may read it.") from error
    except RuntimeError as error:
        # The last line of NRRD's library says what is wrong; SimpleITK's others say where in its sources.
        reason = re.search(r"\[nrrd\] \w+: ([^\n]+)$", str(error).strip())
        told = f": {reason[1]}." if reason else ", or SimpleITK can't read its kind."
        raise InputError(f"The {kind} file is truncated or corrupt{told}", where=path, advice=_EXPORT) from error
    except (OSError, EOFError, zlib.error, ValueError, ArithmeticError) as error:
        raise InputError(
            f"The {kind} file is truncated or corrupt: {first_line(error)}.", where=path, advice=_EXPORT
        ) from error
    progress.step(0.8)
    if np.issubdtype(voxels.dtype, np.floating) and not all(np.isfinite(plane).all() for plane in voxels):
        raise InputError(
            "The volume holds voxels that are not a number (NaN or infinite).",
            where=path,
            advice="Replace them by air (-1000 HU), or export the CT again.",
        )
    row, column = (axis / np.linalg.norm(axis) for axis in affine[:3, :2].T)
    if ROUNDING_SHEAR < abs(row @ column) < 0.01:  # beyond, `upright` refuses it
        apart = float(np.degrees(np.arccos(row @ column)))
        text = f"Rows and columns are {apart:.2f}°, not 90°, apart."
        warnings.append(StudyWarning("axes-not-perpendicular", text, {"degrees": apart}))
    return volume, warnings


@contextlib.contextmanager
def _quiet_itk() -> Iterator[None]:
    import SimpleITK as sitk

    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _read_image(path: Path, *, voxels: bool):
    """The file as a SimpleITK image, or its header alone as a SimpleITK reader."""
    import SimpleITK as sitk

    with _quiet_itk():
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        return reader.Execute() if voxels else reader


def _check_shape(path: Path, shape: tuple[int, ...], voxels: int) -> None:
    """Refuse by its header what is no volume, before a byte of its voxels is read."""
    if len(shape) > 3 and any(length != 1 for length in shape[3:]):
        raise InputError(
            f"The file holds {len(shape)} dimensions ({' x '.join(map(str, shape))}).",
            where=path,
            advice="Give one 3D volume.",
        )
    if len(shape) < 3 or min(shape[:3]) < 2:
        raise InputError("The file holds one slice only.", where=path, advice="Give the whole volume.")
    if voxels > MOST_VOXELS:
        raise InputError(
            f"The volume of {' x '.join(map(str, shape))} voxels is too large.",
            where=path,
            advice="Give the neck alone.",
        )


def _read_nifti(path: Path, _: str, progress: Progress) -> tuple[np.ndarray, np.ndarray, list[StudyWarning]]:
    """Values, affine and warnings of a NIfTI file.

    Not by SimpleITK: it reads missing data as zeros and NaN as 0 HU, adds the intercept of a slope of 0, and takes
    the qform where the sform says another place.
    """
    header = read_nifti_header(path)
    _check_shape(path, header.shape, header.voxels)
    if header.sform is None and not all(0 < length < np.inf for length in header.spacing):
        raise InputError("The file has no voxel spacing.", where=path, advice=_EXPORT)
    affine, warnings = choose_place(header, path)
    data, longer = read_bytes([header.data], header.voxels * header.dtype.itemsize, progress)
    voxels = data.view(header.dtype).reshape(header.shape[2::-1])
    return header.scaled(voxels), affine, warnings + longer


def _read_text(path: Path, kind: str, progress: Progress) -> tuple[np.ndarray, np.ndarray, list[StudyWarning]]:
    """Values, affine and warnings of an NRRD or MetaImage file: its place as SimpleITK understands it.

    Its bytes not by SimpleITK, which passes over wrong checksums. Voxels written as text are read by it.
    """
    header = read_text_header(path, kind)
    _check_shape(path, header.shape, header.voxels)
    if header.digits:
        held = _count_written(header)
        if held < header.voxels:
            raise InputError(f"The file is truncated: {held} of {header.voxels} voxels.", where=path, advice=COPY_AGAIN)
        import SimpleITK as sitk

        voxels, longer = sitk.GetArrayFromImage(_read_image(path, voxels=True)), []
    else:
        data, longer = read_bytes(list(header.parts), header.voxels * header.dtype.itemsize, progress)
        voxels = data.view(header.dtype)
    reader = _read_image(path, voxels=False)
    affine = np.eye(4)
    axes = np.array(reader.GetDirection()).reshape(len(header.shape), -1)[:3, :3]
    affine[:3, :3] = axes * np.array(reader.GetSpacing()[:3])
    affine[:3, 3] = reader.GetOrigin()[:3]
    return voxels.reshape(header.shape[2::-1]), affine, header.warnings + longer


def _count_written(header: TextHeader) -> int:
    written = b"".join(chunk for part in header.parts for chunk in chunks(part)).split()
    return len(written) if header.digits == 10 else sum(map(len, written)) // (2 * header.dtype.itemsize)
