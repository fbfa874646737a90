"""A labelmap from a file: the levels that somebody else, or another program, has outlined."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..anatomy import LEVELS
from ..errors import InputError
from ..volume import CTVolume, to_image
from .file_kinds import check_file_kind, check_name_is_text


def read_labels(path: Path, volume: CTVolume) -> np.ndarray:
    """Labels 1 to 7 of a file on the volume's voxels: uint8 [z, y, x], other values 0. Raises InputError."""
    import SimpleITK as sitk

    check_file_kind(path)
    check_name_is_text(path)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(
            "The labels can't be read.", where=path, advice="Give a NIfTI, NRRD or MetaImage file."
        ) from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError("This is no 3D labelmap.", where=path, advice="Give one label a voxel, 1 to 7.")
    image = sitk.Resample(image, to_image(volume), sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    labels = sitk.GetArrayFromImage(image)
    labels = np.where((labels >= 1) & (labels <= len(LEVELS)), labels, 0).astype(np.uint8)
    if not labels.any():
        raise InputError(
            "No label of C1 to C7 lies in the scan.", where=path, advice="Give labels 1 to 7 in the scan's frame."
        )
    return labels
