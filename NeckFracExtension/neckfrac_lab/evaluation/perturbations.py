"""One neck under one swept condition: simulated anew, or a real scan resampled with its answer carried along."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from neckfrac.anatomy import LEVELS, T1
from neckfrac.volume import CTVolume, from_image, to_image

if TYPE_CHECKING:
    from neckfrac_lab.simulate.neck import Neck
    from neckfrac_lab.simulate.study import Scanner, SimulatedStudy, Variation

AIR, HIGHEST = -1024, 3071
# [z, y, x] of a swept study, mm: from the skull base to T2, and the width of the neck with some of the shoulders.
EXTENT, SPACING = (190.0, 154.0, 154.0), (1.0, 0.8, 0.8)
NARROW = 128.0  # mm along y and x where voxels are tiny: a small field of view, as scanners then have it
ROTATIONS = ("pitch", "roll", "yaw")
CUTS = ("cut from below", "cut from above", "cut from both ends")
# In-plane blur (mm) and overshoot of each kernel; "standard" is the baseline.
KERNELS = {
    "very soft": (1.4, 0.0), "soft": (0.8, 0.0), "standard": (0.4, 0.0), "sharp": (0.3, 0.5), "very sharp": (0.3, 1.0),
}  # fmt: skip
MOST_VOXELS, MARGIN = 60_000_000, 60.0  # of a resampled scan; mm kept around the vertebrae when it would be more
BASE_NOISE = 20.0  # HU, of a simulated study unless noise is what is swept


@dataclass(frozen=True, eq=False)
class Case:
    """A scan with what is known of it, all on one grid.

    labels: uint8 [z, y, x], levels and T1. shares: of each level in view. points: landmarks (x, y, z; mm, LPS).
    """

    volume: CTVolume
    labels: np.ndarray
    shares: dict[str, float]
    points: dict[str, tuple[float, float, float]]


def hardware_chance() -> str | None:
    """The name of the simulator's chance of implants; None where the simulator has none."""
    from neckfrac_lab.simulate.study import Variation

    return next((field.name for field in fields(Variation) if field.name.startswith(("implant", "hardware"))), None)


class Subject:
    """One simulated person in one pose, scanned again and again, each time with one thing changed.

    sign: +1 or -1, towards which side the person is turned.
    """

    def __init__(self, neck: Neck, seed: int, sign: int) -> None:
        from neckfrac_lab.simulate.study import Scanner, Variation

        self.neck, self.seed, self.sign = neck, seed, sign
        upright = {"rotation": (0.0, 0.0, 0.0), "rotation_range": 0.0, "extreme_chance": 0.0}
        self.variation = replace(Variation(), **upright, fillings_chance=0.0, collar_chance=0.0)
        if chance := hardware_chance():
            self.variation = replace(self.variation, **{chance: 0.0})
        self.scanner = Scanner(noise=BASE_NOISE)
        self._baseline: Case | None = None

    def case(self, condition: str, value: float | str) -> Case:
        """The person under a condition of `robustness.CONDITIONS`."""
        if condition in CUTS:
            return cut(self.baseline(), condition, int(value))
        if condition == "HU offset":
            return offset(self.baseline(), float(value))
        variation, scanner, spacing, keep = self.variation, self.scanner, SPACING, 1
        if condition in ROTATIONS:
            variation = self._turned(ROTATIONS.index(condition), self.sign * float(value))
        elif condition == "slice thickness":
            # Drawn on thin slices, of which every so many are kept: a thick slice is no point sample.
            keep = max(round(float(value)), 1)
            scanner, spacing = replace(scanner, slice_thickness=float(value)), (float(value) / keep, *SPACING[1:])
        elif condition == "noise":
            scanner = replace(scanner, noise=float(value))
        elif condition == "kernel":
            blur, sharpening = KERNELS[str(value)]
            scanner = replace(scanner, blur=blur, sharpening=sharpening)
        elif condition == "metal":
            variation, scanner = self._with_metal(str(value))
        elif condition == "shoulder streaks":
            scanner = replace(scanner, streaks=float(value), shoulder_noise=2.0 + float(value) / 60)
        elif condition == "in-plane spacing":
            spacing = (SPACING[0], float(value), float(value))
        else:
            return self.baseline()
        return self._scan(variation, scanner, spacing, keep)

    def baseline(self) -> Case:
        """The person with nothing changed; kept."""
        if self._baseline is None:
            self._baseline = self._scan(self.variation, self.scanner, SPACING)
        return self._baseline

    def _simulate(self, variation: Variation, scanner: Scanner, shape, spacing) -> SimulatedStudy:
        from neckfrac_lab.simulate.study import Grid, simulate_study

        grid = Grid(shape, spacing, ("C4", (0.0, 12.0, 0.0)))
        return simulate_study(self.neck, seed=self.seed, grid=grid, variation=variation, scanner=scanner)

    def _scan(self, variation: Variation, scanner: Scanner, spacing, keep: int = 1) -> Case:
        wide = (NARROW if step < 0.5 else extent for extent, step in zip(EXTENT[1:], spacing[1:], strict=True))
        extents = (EXTENT[0], *wide)
        shape = tuple(int(round(extent / step)) for extent, step in zip(extents, spacing, strict=True))
        study = self._simulate(variation, scanner, shape, spacing)
        affine = study.volume.affine.copy()
        affine[:3, 2] *= keep
        volume = CTVolume(np.ascontiguousarray(study.volume.voxels[::keep]), affine)
        labels = np.where(study.labels <= T1, study.labels, 0)[::keep]
        return Case(volume, labels, study.shares, {})

    def _turned(self, axis: int, degrees: float) -> Variation:
        """The pose turned by so many degrees about one axis and not about the others.

        A pose's rotation is drawn: a unit normal number times the standard deviation that is given. What is
        drawn from this seed is read off a tiny study, and the deviation is chosen to give the wanted angle.
        """
        unit = replace(self.variation, rotation=(1.0, 1.0, 1.0))
        probe = self._simulate(unit, self.scanner, (8, 8, 8), (20.0, 20.0, 20.0))
        drawn = probe.truth["pose"]["rotation_degrees"]
        wanted = [degrees if n == axis else 0.0 for n in range(3)]
        return replace(self.variation, rotation=tuple(w / d for w, d in zip(wanted, drawn, strict=True)))

    def _with_metal(self, kind: str) -> tuple[Variation, Scanner]:
        if kind == "implants":
            return replace(self.variation, **{hardware_chance(): 1.0}), self.scanner
        strength = {"fillings": 1.0, "strong streaks": 2.5}[kind]
        return replace(self.variation, fillings_chance=1.0), replace(self.scanner, metal=strength)


class RealScan:
    """A real scan, made worse by resampling; its labels are its own answer on the scan as it came."""

    def __init__(self, case: Case, seed: int = 0) -> None:
        self.case_as_read, self.seed = case, seed

    def case(self, condition: str, value: float | str) -> Case:
        """The scan under a condition; "as it is" gives it back untouched."""
        whole, spacing = self.case_as_read, self.case_as_read.volume.spacing
        if condition in CUTS:
            return cut(whole, condition, int(value))
        if condition == "HU offset":
            return offset(whole, float(value))
        if condition in ROTATIONS:
            return turned(whole, ROTATIONS.index(condition), float(value))
        if condition == "slice thickness":
            return thickened(whole, float(value))
        if condition == "noise":
            return noisy(whole, float(value), self.seed)
        if condition == "kernel":
            return filtered(whole, *KERNELS[str(value)])
        if condition == "in-plane spacing":
            return on_spacing(whole, (spacing[0], float(value), float(value)))
        return whole


def cut(case: Case, where: str, count: int) -> Case:
    """So many whole levels: the upper ones, the lower ones or those in the middle; cut by whole slices.

    The slices that hold any voxel of these levels stay, and one more on each side. Where fewer levels are whole,
    all of them stay.
    """
    canonical, reorientation = case.volume.canonical()
    labels = reorientation.apply(case.labels)
    labels_whole = [
        level.label for level in LEVELS if case.shares.get(level.name, 0) >= 0.95 and (labels == level.label).any()
    ]
    if not labels_whole:
        return case
    spare = max(len(labels_whole) - count, 0)
    first = {CUTS[0]: 0, CUTS[1]: spare, CUTS[2]: spare // 2}[where]
    heights = np.flatnonzero(np.isin(labels, labels_whole[first : first + count]).any(axis=(1, 2)))
    low = 0 if where == CUTS[1] else max(int(heights[0]) - 1, 0)
    high = len(labels) if where == CUTS[0] else min(int(heights[-1]) + 2, len(labels))
    part = canonical.crop((low, 0, 0), (high, *labels.shape[1:]))
    shares = {
        level.name: case.shares.get(level.name, 0.0) * float((labels[low:high] == level.label).sum() / total)
        for level in LEVELS
        if (total := (labels == level.label).sum())
    }
    part = CTVolume(np.ascontiguousarray(part.voxels), part.affine)
    return Case(part, np.ascontiguousarray(labels[low:high]), shares, case.points)


def offset(case: Case, hu: float) -> Case:
    """Every voxel with data brighter or darker by so many HU."""
    voxels = case.volume.voxels
    moved = np.where(voxels > AIR, np.clip(voxels + np.int16(hu), AIR, HIGHEST), voxels).astype(np.int16)
    return replace(case, volume=CTVolume(moved, case.volume.affine))


def noisy(case: Case, hu: float, seed: int) -> Case:
    """Noise of so many HU added, correlated over half a millimetre in plane as after reconstruction."""
    from scipy.ndimage import gaussian_filter

    voxels, spacing = case.volume.voxels, case.volume.spacing
    field = np.random.default_rng(seed).standard_normal(voxels.shape, dtype=np.float32)
    field = gaussian_filter(field, (0.0, 0.5 / spacing[1], 0.5 / spacing[2]), mode="wrap")
    changed = np.where(voxels > AIR, voxels + field * (hu / field.std()), voxels)
    return replace(case, volume=_as_hu(changed, case.volume.affine))


def filtered(case: Case, blur: float, sharpening: float) -> Case:
    """Another kernel: blurred in plane by so many mm (0.4, the baseline, is none) or sharpened."""
    from scipy.ndimage import gaussian_filter

    spacing, voxels = case.volume.spacing, case.volume.voxels.astype(np.float32)
    if extra := max(blur**2 - KERNELS["standard"][0] ** 2, 0) ** 0.5:
        voxels = gaussian_filter(voxels, (0.0, extra / spacing[1], extra / spacing[2]))
    if sharpening:
        voxels += sharpening * (voxels - gaussian_filter(voxels, (0.0, 1.0 / spacing[1], 1.0 / spacing[2])))
    return replace(case, volume=_as_hu(voxels, case.volume.affine))


def thickened(case: Case, thickness: float) -> Case:
    """Slices so thick, one after the other; the slice profile is a Gaussian of 0.38 of the thickness."""
    from scipy.ndimage import gaussian_filter1d

    own = float(case.volume.spacing[0])
    sigma = 0.38 * max(thickness**2 - own**2, 0.0) ** 0.5 / own
    voxels = case.volume.voxels
    if sigma:
        voxels = gaussian_filter1d(voxels.astype(np.float32), sigma, axis=0, mode="nearest")
    blurred = replace(case, volume=_as_hu(voxels, case.volume.affine))
    return on_spacing(blurred, (thickness, *case.volume.spacing[1:]))


def on_spacing(case: Case, spacing: tuple[float, float, float]) -> Case:
    """The same scan on voxels of another size (mm along z, y, x); coarser ones average over theirs.

    Where that makes too many voxels the field of view is narrowed in plane, as a scanner's would be.
    """
    from scipy.ndimage import gaussian_filter

    if np.prod(case.volume.shape * case.volume.spacing / np.array(spacing)) > MOST_VOXELS:
        case = narrowed(case)
    volume = case.volume
    # In plane a coarser voxel averages; along z the slice profile has done so. A box has 0.29 of its width.
    own, new = volume.spacing[1:], np.array(spacing[1:])
    sigmas = 0.29 * np.sqrt(np.maximum(new**2 - own**2, 0)) / own
    if sigmas.any():
        volume = _as_hu(gaussian_filter(volume.voxels.astype(np.float32), (0.0, *sigmas)), volume.affine)
    extent = (np.array(volume.shape) - 1) * volume.spacing
    shape = np.floor(extent / np.array(spacing) + 1e-6).astype(int) + 1
    affine = volume.affine.copy()
    affine[:3, :3] = volume.directions * np.array(spacing[::-1])
    return _resampled(replace(case, volume=volume), shape, affine, None)


def narrowed(case: Case) -> Case:
    """What lies within MARGIN of the vertebrae in plane."""
    where = np.argwhere(case.labels)
    margin = np.array([0.0, MARGIN, MARGIN]) / case.volume.spacing
    low, high = (where.min(0) - margin).astype(int), (where.max(0) + 1 + margin).astype(int)
    low[0], high[0] = 0, case.volume.shape[0]
    low = np.maximum(low, 0)
    part = case.volume.crop(low, high)
    labels = case.labels[tuple(slice(a, a + n) for a, n in zip(low, part.shape, strict=True))]
    return replace(case, volume=part, labels=np.ascontiguousarray(labels))


def turned(case: Case, axis: int, degrees: float) -> Case:
    """The patient turned about the scan's middle: pitch lowers the face, roll bends to a side, yaw looks to one."""
    import SimpleITK as sitk

    canonical, reorientation = case.volume.canonical()
    upright = replace(case, volume=canonical, labels=reorientation.apply(case.labels))
    middle = canonical.to_points((np.array(canonical.shape) - 1) / 2)
    angles = np.zeros(3)
    angles[axis] = np.radians(degrees)
    # The transform goes from a new voxel's place to where it was before.
    back = sitk.Euler3DTransform(middle.tolist(), *(-angles).tolist())
    result = _resampled(upright, canonical.shape, canonical.affine, back)
    shares = dict(case.shares)
    for level in LEVELS:
        before = int((case.labels == level.label).sum())
        left = int((result.labels == level.label).sum()) / before if before else 1.0
        # Nearest voxels change a count by a percent or two; less than that is a part turned out of view.
        if left < 0.97:
            shares[level.name] = left * shares.get(level.name, 0.0)
    forward = back.GetInverse()
    points = {name: forward.TransformPoint(point) for name, point in case.points.items()}
    return replace(result, shares=shares, points=points)


def _resampled(case: Case, shape, affine: np.ndarray, transform) -> Case:
    import SimpleITK as sitk

    target = CTVolume(np.zeros(tuple(int(n) for n in shape), np.uint8), affine)
    grid, transform = to_image(target), transform or sitk.Transform()
    labels = to_image(CTVolume(case.labels, case.volume.affine))
    hu = sitk.Resample(to_image(case.volume), grid, transform, sitk.sitkLinear, float(AIR))
    labels = sitk.Resample(labels, grid, transform, sitk.sitkNearestNeighbor, 0)
    return Case(from_image(hu), sitk.GetArrayFromImage(labels), case.shares, case.points)


def _as_hu(voxels: np.ndarray, affine: np.ndarray) -> CTVolume:
    return CTVolume(np.clip(np.rint(voxels), AIR, HIGHEST).astype(np.int16), affine)
