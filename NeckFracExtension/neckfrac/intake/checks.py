"""Whether a volume can be a neck CT in HU: errors for what can't be used, warnings for what limits it."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..study_warning import StudyWarning
from ..volume import CTVolume
from .anatomy_orientation import anatomy_warnings
from .hu_range import check_spectrum, odd_slices, spectrum

# Some voxel of any CT of a neck is thinner than this: airway and outside air are near -1000, and fat
# (-100) with noise reaches it even where a crop holds no air.
AIR_BELOW = -150  # HU
BONE_ABOVE = 200  # HU; trabecular bone starts at about 100, cortical at 500
LUNG_AND_AIR = -300  # HU; only air and lung lie below
SMALLEST_SPACING, LARGEST_SPACING = 0.05, 10.0  # mm; beyond them it is microscopy, or units are mixed up
THICK_SLICES, COARSE_PIXELS, SHORT_STACK = 3.0, 1.2, 60.0  # mm
# 4 GB of int16; a larger number in a header is a mistake more often than a study.
MOST_VOXELS = 2**31
SAMPLED_EVERY = 3  # voxels along each axis, for a first impression


def check_volume(volume: CTVolume, *, values: bool = True, sample: bool = False) -> list[StudyWarning]:
    """Warnings on a volume that will be analysed. Raises InputError for one that can't be a neck CT in HU.

    Refused: one slice, NaN or infinite voxels, implausible spacing, values that have no air or no bone, or whose air
    and soft tissue do not lie where those of HU do. values: False when `check_values` has seen them already.
    sample: look at every third voxel along each axis only, for a first impression in no time.
    """
    voxels = volume.voxels
    if min(voxels.shape) < 2:
        raise InputError("The volume has one slice only.", advice="Give all slices of the series.")
    if not (np.issubdtype(voxels.dtype, np.integer) or np.issubdtype(voxels.dtype, np.floating)):
        raise InputError(f"The voxels are not numbers of one value each ({voxels.dtype}).", advice=_GIVE_CT)
    if sample and min(voxels.shape) >= 3 * SAMPLED_EVERY:
        voxels = voxels[::SAMPLED_EVERY, ::SAMPLED_EVERY, ::SAMPLED_EVERY]
    if np.issubdtype(voxels.dtype, np.floating) and not np.isfinite(voxels).all():
        raise InputError(
            "The volume holds voxels that are not a number (NaN or infinite).",
            advice="Replace them by air (-1000 HU), or export the CT again.",
        )
    if volume.spacing.min() < SMALLEST_SPACING or volume.spacing.max() > LARGEST_SPACING:
        spacing = " x ".join(f"{value:.3g}" for value in volume.spacing)
        raise InputError(
            f"The spacing of {spacing} mm is not that of a neck CT.", advice="Check the pixel spacing and its unit."
        )
    warnings = check_values(voxels) if values else []
    # Slices are compared with their neighbours, of which a sample has none.
    odd = [] if sample else _slice_warnings(volume) + anatomy_warnings(volume)
    return warnings + odd + _resolution_warnings(volume)


_GIVE_CT = "Give a CT in Hounsfield units."


def _slice_warnings(volume: CTVolume) -> list[StudyWarning]:
    from .mixed_stacks import mixture_warnings  # which reads DICOM, and with it this module

    axis = slice_axis(volume)
    mixed = mixture_warnings(volume.voxels, axis)
    odd = odd_slices(volume.voxels, axis)
    if not odd or mixed:
        return mixed
    which = ", ".join(str(number + 1) for number in odd[:5]) + (" and others" if len(odd) > 5 else "")
    text = f"The values of slice {which} of {volume.shape[axis]} differ from those of its neighbours: no HU there?"
    return [StudyWarning("slice-values-differ", text, {"slices": [number + 1 for number in odd]})]


def check_values(voxels: np.ndarray) -> list[StudyWarning]:
    """Warnings on values (finite numbers, [z, y, x]) that may be no HU. Raises InputError for what can't be HU."""
    found = spectrum(voxels)
    lowest, highest = found.lowest, found.highest
    told = f"The values run from {lowest:.0f} to {highest:.0f}"
    if lowest == highest:
        raise InputError("All voxels have the same value.", advice=_GIVE_CT)
    if lowest >= 0 and highest <= 255:
        raise InputError(f"{told}: this is a picture or a labelmap, not a CT in Hounsfield units.", advice=_GIVE_CT)
    if lowest >= 0 and highest >= 1024 + BONE_ABOVE:
        raise InputError(
            f"{told}: no air, so they are not Hounsfield units; an offset of 1024 may be missing.",
            advice="Subtract the offset, or give the DICOM series.",
        )
    if lowest > AIR_BELOW:
        raise InputError(f"{told}: no air and no fat, so they are not Hounsfield units.", advice=_GIVE_CT)
    if highest < BONE_ABOVE:
        raise InputError(
            f"{told}: no bone, so there is no spine in it or they are not Hounsfield units.", advice=_GIVE_CT
        )
    doubts = check_spectrum(found)
    if lowest > LUNG_AND_AIR:
        text = f"{told}: there is no air in the volume; are they Hounsfield units?"
        doubts.append(StudyWarning("air-absent", text, {"lowest_hu": lowest, "highest_hu": highest}))
    return doubts


def slice_axis(volume: CTVolume) -> int:
    """The array's axis across the slices: the one whose spacing differs from the other two, else the head-foot one."""
    spacing = volume.spacing
    unlike = [abs(np.log(spacing[(axis + 1) % 3] / spacing[(axis + 2) % 3])) for axis in range(3)]
    upright = np.abs(volume.directions[2, ::-1])
    return min(range(3), key=lambda axis: (round(unlike[axis], 2), -upright[axis]))


def _resolution_warnings(volume: CTVolume) -> list[StudyWarning]:
    axis = slice_axis(volume)
    between = float(volume.spacing[axis])
    pixel = float(max(volume.spacing[other] for other in range(3) if other != axis))
    upright = int(np.argmax(np.abs(volume.directions[2, ::-1])))
    height = float(volume.shape[upright] * volume.spacing[upright])
    warnings = []
    if between > THICK_SLICES:
        text = f"The slices are {between:.1f} mm apart; above {THICK_SLICES:.0f} mm fine fractures are lost."
        warnings.append(StudyWarning("spacing-thick", text, {"spacing_mm": between, "limit_mm": THICK_SLICES}))
    if pixel > COARSE_PIXELS:
        text = f"The pixels are {pixel:.1f} mm wide; above {COARSE_PIXELS:.1f} mm fine fractures are lost."
        warnings.append(StudyWarning("pixels-coarse", text, {"pixel_mm": pixel, "limit_mm": COARSE_PIXELS}))
    if height < SHORT_STACK:
        text = f"The scan is only {height:.0f} mm high: it can't hold the whole cervical spine."
        warnings.append(StudyWarning("scan-short", text, {"height_mm": height, "limit_mm": SHORT_STACK}))
    return warnings
