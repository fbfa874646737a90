"""Given: levels that were segmented elsewhere, or corrected by hand, take the place of ours on the fine grid."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..intake.labels import named_levels
from ..study_warning import StudyWarning
from ..volume import CTVolume
from .grids import COARSE_SPACING, Lattice, bounds, resample
from .segment import Segmented, lattice_along

LEAST_ML = 0.5  # of all levels together: less is a stray spot, no vertebra


def levels_of(labels: np.ndarray, volume: CTVolume) -> tuple[np.ndarray, list[StudyWarning]]:
    """C1...C7 of a labelmap on the volume's voxels: uint8, anything else is 0; and what was made of its numbers.

    Raises InputError when the labels do not lie on the volume, are no whole numbers or hold no level.
    """
    if labels.shape != volume.shape:
        raise InputError(
            f"The segmentation has {labels.shape} voxels, the volume {volume.shape}.",
            advice="Give a segmentation on the volume's own grid.",
        )
    levels, warnings = named_levels(CTVolume(labels, volume.affine))
    if np.count_nonzero(levels) * float(np.prod(volume.spacing)) < 1000 * LEAST_ML:
        raise InputError("The segmentation holds none of C1 to C7.", advice="Name or code the segments C1 to C7.")
    return levels, warnings


def given(volume: CTVolume, levels: np.ndarray, *, window: int) -> Segmented:
    """A segmentation that is there already, as `segment` would give it.

    volume: canonical axes. levels: of `levels_of`, on its voxels. window: the side of the segmentation network's.
    """
    masks = CTVolume(levels, volume.affine)
    coarse = Lattice.around(*bounds(volume), (COARSE_SPACING,) * 3)
    lattice, windows = lattice_along(resample(masks, coarse, nearest=True, fill=0) > 0, coarse, window)
    fine = resample(masks, lattice, nearest=True, fill=0)
    bone = np.where(fine > 0, np.uint8(255), np.uint8(0))
    return Segmented(resample(volume, lattice, sharp=True), fine, bone, fine, lattice, windows, window)
