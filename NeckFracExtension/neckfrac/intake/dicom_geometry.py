"""Where the slices of a series lie, and the upright grid that gantry tilt and uneven gaps are resampled on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..errors import InputError
from ..progress import Progress
from ..study_warning import SLICES_TILTED, SLICES_UNEVEN, StudyWarning
from ..volume import CTVolume, Gap
from .checks import MOST_VOXELS

# Positions are written with few decimals; an error of a twentieth of a millimetre, or of a slice
# distance, is below what rounding and the table's motion leave.
POSITION_TOLERANCE = 0.05  # mm
STEP_TOLERANCE = 0.05  # of the slice distance
MISSING_FROM = 1.6  # times the usual distance between two slices, from which one is missing between them
SHIFT_TOLERANCE = 0.25  # of a pixel, sideways over the whole series
SAME_PLACE = 0.02  # mm; slices closer than this are images of one place
# A gap is bridged up to three usual slice distances, or up to 5 mm (the thickest slices that necks are
# routinely scanned with: a bridge of that length loses no more than such slices do), and never above 10 mm:
# bodies of C3...C7 are about 11 to 15 mm high, so a longer gap could hide most of one.
GAP_FACTOR, ROUTINE_GAP, LARGEST_GAP = 3.0, 5.0, 10.0  # -, mm, mm
OF_GEOMETRY = frozenset((SLICES_TILTED, SLICES_UNEVEN))  # codes of what a stack's geometry warns of


@dataclass(frozen=True, eq=False)
class StackGeometry:
    """The places of n parallel slices in the order of their normal, and the grid they belong on.

    order: the slices' numbers as given, sorted along the normal. axes: 3x3, columns are the unit vectors
    (LPS) of a row, of a column and the normal. first: LPS mm of the first pixel of the first slice.
    pixel: mm between columns, between rows. distances: [n] mm along the normal from the first slice.
    shifts: [n, 2] mm along the row and the column from the first slice. step: mm between the grid's slices.
    """

    order: np.ndarray
    axes: np.ndarray
    first: np.ndarray
    pixel: tuple[float, float]
    distances: np.ndarray
    shifts: np.ndarray
    step: float

    @property
    def tilted(self) -> bool:
        """Whether the slices are shifted against each other, as a tilted gantry leaves them."""
        return bool((np.abs(self.shifts).max(axis=0) > SHIFT_TOLERANCE * np.array(self.pixel)).any())

    @property
    def tilt(self) -> float:
        """Angle in degrees between the slices' normal and the way from the first to the last slice."""
        return float(np.degrees(np.arctan2(np.linalg.norm(self.shifts[-1]), self.distances[-1])))

    @property
    def uneven(self) -> bool:
        """Whether the slices lie off an evenly spaced grid."""
        grid = np.linspace(0, self.distances[-1], len(self.distances))
        tolerance = max(POSITION_TOLERANCE, STEP_TOLERANCE * self.distances[-1] / (len(grid) - 1))
        return bool(np.abs(self.distances - grid).max() > tolerance)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Where slices are missing, but for half a step beside those that are there."""
        found, normal = [], self.axes[:, 2]
        for below, above in pairwise(self.distances) if self.uneven else ():
            if above - below > MISSING_FROM * self.step:
                point = self.first + (below + self.step / 2) * normal
                found.append(Gap(tuple(point.tolist()), tuple(normal.tolist()), float(above - below - self.step)))
        return tuple(found)

    def warnings(self) -> list[StudyWarning]:
        """What is resampled; their codes are `OF_GEOMETRY`."""
        found = []
        if self.tilted:
            text = (
                f"The slices are shifted against each other (gantry tilt {self.tilt:.1f}°): "
                "they were resampled to their true places."
            )
            found.append(StudyWarning(SLICES_TILTED, text, {"tilt_degrees": self.tilt}))
        if self.uneven:
            gaps = np.diff(self.distances)
            text = (
                f"The slices are unevenly spaced ({gaps.min():.2f} to {gaps.max():.2f} mm): "
                f"they were resampled every {self.step:.2f} mm. What lies in a wide gap is interpolated."
            )
            apart = {"least_mm": gaps.min(), "most_mm": gaps.max(), "resampled_mm": self.step}
            found.append(StudyWarning(SLICES_UNEVEN, text, apart))
        return found


def normal_of(orientation: Sequence[float]) -> np.ndarray:
    """Unit normal (LPS) of slices whose row and column cosines are given (6 numbers)."""
    normal = np.cross(orientation[:3], orientation[3:])
    return normal / np.linalg.norm(normal)


def valid_orientation(orientation: Sequence[float]) -> bool:
    """Whether row and column cosines are unit vectors at a right angle, within rounding."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    return abs(np.linalg.norm(row) - 1) < 0.01 and abs(np.linalg.norm(column) - 1) < 0.01 and abs(row @ column) < 0.01


def stack_geometry(
    positions: np.ndarray, orientation: Sequence[float], spacing: Sequence[float], names: Sequence[str]
) -> StackGeometry:
    """The geometry of parallel slices at different places.

    positions: [n, 3] LPS mm of each slice's first pixel, any order. orientation: row and column cosines.
    spacing: mm between rows, between columns. names: of the slices, for errors.
    Raises InputError for a gap above the largest that is bridged.
    """
    positions = np.asarray(positions, dtype=np.float64)
    normal = normal_of(orientation)
    row = np.array(orientation[:3]) / np.linalg.norm(orientation[:3])
    axes = np.stack([row, np.cross(normal, row), normal], axis=1)
    order = np.argsort(positions @ normal, kind="stable")
    places = (positions[order] - positions[order[0]]) @ axes
    distances, shifts = places[:, 2], places[:, :2]
    gaps = np.diff(distances)
    allowed = min(max(GAP_FACTOR * float(np.median(gaps)), ROUTINE_GAP), LARGEST_GAP)
    widest = int(np.argmax(gaps))
    if gaps[widest] > allowed + POSITION_TOLERANCE:
        raise InputError(
            f"Between two slices {gaps[widest]:.1f} mm are missing; at most {allowed:.1f} mm are bridged.",
            where=f"{names[order[widest]]} and {names[order[widest + 1]]}",
            advice="Export the series whole, or choose a series with thinner slices.",
        )
    # The lower quartile, not the median: a neck at 1 mm below a head at 5 mm keeps its 1 mm.
    usual = float(np.percentile(gaps, 25, method="lower"))
    step = distances[-1] / max(round(distances[-1] / usual), 1)
    geometry = StackGeometry(
        order, axes, positions[order[0]], (float(spacing[1]), float(spacing[0])), distances, shifts, float(step)
    )
    if geometry.uneven:
        return geometry
    even = distances[-1] / (len(distances) - 1)
    return StackGeometry(order, axes, geometry.first, geometry.pixel, distances, shifts, float(even))


def place(voxels: np.ndarray, geometry: StackGeometry, progress: Progress, begin: float, end: float) -> CTVolume:
    """The slices (int16 [n, row, column], sorted as `geometry.order`) on an orthonormal grid.

    Evenly spaced slices straight above each other are returned as they are. Others: each slice keeps its
    plane and is shifted in it to its true place (cubic convolution, Keys 1981, a = -0.5), and between
    slices values are linear. Where no slice reaches, -1024.
    """
    affine = np.eye(4)
    affine[:3, :3] = geometry.axes * (*geometry.pixel, geometry.step)
    affine[:3, 3] = geometry.first
    if not (geometry.tilted or geometry.uneven):
        return CTVolume(voxels, affine)
    # Shifts in pixels (x, y), from the corner that all slices fit on.
    shifts = geometry.shifts / geometry.pixel if geometry.tilted else np.zeros_like(geometry.shifts)
    lowest = shifts.min(axis=0)
    affine[:3, 3] += affine[:3, :2] @ lowest
    shifts = shifts - lowest
    _check_room(voxels.shape, geometry, shifts.max(axis=0))
    extra = np.ceil(shifts.max(axis=0) - 1e-6).astype(int)
    count = round(geometry.distances[-1] / geometry.step) + 1
    shape = (count, voxels.shape[1] + extra[1], voxels.shape[2] + extra[0])
    result = np.empty(shape, dtype=np.int16)
    placed: dict[int, np.ndarray] = {}
    # A place within the tolerance of a slice is the slice itself, so that it is not blurred with the next.
    fractions = np.interp(np.arange(count) * geometry.step, geometry.distances, np.arange(len(voxels)))
    near = np.rint(fractions).astype(int)
    tolerance = max(POSITION_TOLERANCE, STEP_TOLERANCE * geometry.step)
    exact = np.abs(np.arange(count) * geometry.step - geometry.distances[near]) <= tolerance
    for number, fraction in enumerate(np.where(exact, near, fractions)):
        if number % 10 == 0:
            progress.step(begin + (end - begin) * number / count)
        below = int(fraction)
        weight = fraction - below
        needed = [below] if weight == 0 else [below, below + 1]
        placed = {k: placed[k] if k in placed else _shifted(voxels[k], shifts[k], shape[1:]) for k in needed}
        mixed = placed[below] if weight == 0 else (1 - weight) * placed[below] + weight * placed[below + 1]
        result[number] = np.clip(np.rint(mixed), -1024, 32767)
    return CTVolume(result, affine)


def _check_room(shape: tuple[int, ...], geometry: StackGeometry, shift: np.ndarray) -> None:
    """Raise InputError where slices ([n, row, column]) shifted by up to `shift` (x, y) pixels are no scan of one body.

    No gantry leans more than about 30 degrees, and no grid that slices are placed on may outgrow a volume.
    """
    reach, way = float((shift * geometry.pixel).max()), float(geometry.distances[-1])
    wide = max(shape[1] * geometry.pixel[1], shape[2] * geometry.pixel[0])
    voxels = (way / geometry.step + 1) * (shape[1] + shift[1] + 1) * (shape[2] + shift[0] + 1)
    if reach > way + wide or voxels > MOST_VOXELS:
        raise InputError(
            f"The slices are shifted against each other by {reach:.4g} mm, over {way:.4g} mm along the scan: "
            "that is no scan of one body, or too large a volume.",
            advice="Export it from the archive with its original header.",
        )


def _shifted(voxels: np.ndarray, shift: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A slice moved by `shift` (x, y) pixels, both >= 0, on a float32 canvas of air of `shape`."""
    moved = voxels.astype(np.float32)
    for axis, (amount, size) in enumerate(zip(shift[::-1], shape, strict=True)):
        whole = int(np.floor(amount + 1e-4))
        part = max(float(amount) - whole, 0.0)
        before = [(0, 0), (0, 0)]
        # One row of air more on each side lets the kernel's four taps run over the border.
        before[axis] = (whole + 2, max(size - moved.shape[axis] - whole, 0) + 2)
        moved = np.moveaxis(np.pad(moved, before, constant_values=-1024), axis, 0)
        if part < 1e-3:
            moved = moved[2 : size + 2]
        else:
            t = part
            taps = (
                (t**3 - t**2) / 2,
                (-3 * t**3 + 4 * t**2 + t) / 2,
                (3 * t**3 - 5 * t**2 + 2) / 2,
                (-(t**3) + 2 * t**2 - t) / 2,
            )
            moved = sum(np.float32(tap) * moved[offset : offset + size] for offset, tap in enumerate(taps))
        moved = np.moveaxis(moved, 0, axis)
    return moved


def upright(volume: CTVolume, progress: Progress) -> tuple[CTVolume, list[StudyWarning]]:
    """A volume whose slices are sheared (its affine is not orthogonal), on an orthonormal grid, with warnings.

    Volumes with an orthogonal affine are returned as they are. Raises InputError when row and column of a
    slice are not at a right angle.
    """
    row, column, way = volume.affine[:3, :3].T
    # 1e-4 of 300 mm is less than a tenth of a pixel.
    directions = volume.directions
    if np.abs(directions.T @ directions - np.eye(3)).max() < 1e-4:
        return volume, []
    orientation = (*directions[:, 0], *directions[:, 1])
    if not valid_orientation(orientation):
        raise InputError("Rows and columns of the slices are not at a right angle.", advice="Give the DICOM series.")
    positions = volume.affine[:3, 3] + np.arange(volume.shape[0])[:, None] * way
    spacing = (float(np.linalg.norm(column)), float(np.linalg.norm(row)))
    names = [f"slice {number}" for number in range(volume.shape[0])]
    geometry = stack_geometry(positions, orientation, spacing, names)
    return place(volume.voxels[geometry.order], geometry, progress, 0.5, 1.0), geometry.warnings()
