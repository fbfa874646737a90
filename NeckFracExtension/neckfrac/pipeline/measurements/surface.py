"""Where bone begins and ends along rays: by a level's mask first, then by the CT's own edge."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy import ndimage

from ...anatomy import LEVEL_BY_NAME
from ..coverage import NO_DATA
from ..grids import Lattice

STEP = 0.5  # mm between samples of the mask along a ray
GAP = 2.0  # mm without bone after which a ray has left it: fracture gaps and vessels are narrower
LATE = 3.0  # mm after which a ray that should start in bone must have met it
# mm along a ray about the mask's edge: where the cortex is looked for, and what lies outside it.
PROFILE = np.arange(-2.5, 3.01, 0.25)
CORTEX = (-2.5, 0.75)
# What is taken for granted of a cortex: mm thick, and the density of the marrow behind it as a share of its own.
# KERNEL: mm, the width of a scanner's usual blur.
CORTEX_THICK, MARROW, KERNEL = 1.0, 0.25, 0.9
SKULL_FROM = 350.0  # HU
TISSUE = -500.0  # HU; what is less dense beside a vertebra is no tissue but what lies beyond the scan, noise and all
SOFT = 60.0  # HU between two bones that nearly touch, where blur leaves no dark valley
LARGEST_SHIFT = 1.6  # mm by which the CT's edge may lie off the mask's
RIM = 1.2 * np.array([(0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)])  # mm
# A mask that reaches beyond the bone, over a disc or into an osteophyte: mm behind its edge where the bone's own is
# looked for, the share of the brightest that is cortex still, mm between both edges from which the CT is believed, and
# the share of the brightest by which HU rise again at another cortex.
LEAK, CORTEX_SHARE, LEAST_LEAK, RISE = 8.0, 0.55, 1.5, 0.3
LEAST_CONTRAST = 120.0  # HU between cortex and what is outside, below which the mask's edge stays


class Surface(Protocol):
    """Bone of each level along rays. Origins [n, 3] and unit directions [3] or [n, 3], mm, LPS.

    together: mm within which neighbouring rays end when they meet one surface; beyond it a mask has leaks or holes.
    """

    together: float

    def exits(self, level: str, origins: np.ndarray, directions: np.ndarray, reach: float) -> np.ndarray:
        """mm [n] at which each ray leaves the bone that it starts in; NaN where it does not, or leaves the scan."""

    def entries(self, level: str, origins: np.ndarray, directions: np.ndarray, reach: float) -> np.ndarray:
        """mm [n] at which each ray that starts outside meets the bone; NaN where it does not."""

    def gaps(
        self, levels: tuple[str, str], origins: np.ndarray, directions: np.ndarray, reach: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """mm [n] at which each ray leaves the first level, which it starts in, and meets the second; NaN if not."""

    def other_bone(self, points: np.ndarray) -> np.ndarray:
        """Whether bone of no cervical level is at points [..., 3]: of the skull, above C1."""

    def in_view(self, point: np.ndarray) -> bool:
        """Whether a point, in the tissue beside a vertebra, lies where the scan has data."""


def crossings(inside: np.ndarray, leaving: bool) -> np.ndarray:
    """Index [n] of the first sample past the border along rays' samples inside bone [n, samples]; -1 for none.

    leaving: the first that begins `GAP` mm outside, after the ray has been inside; else the first of 1 mm inside.
    """
    if leaving:
        first = np.argmax(inside, axis=1)
        met = inside.any(axis=1) & (first <= LATE / STEP)
        been = np.arange(inside.shape[1]) >= first[:, None]
        wanted, run = ~inside & been, int(GAP / STEP)
    else:
        wanted, run, met = inside, 2, np.ones(len(inside), bool)
    sums = np.cumsum(np.pad(wanted, ((0, 0), (1, 0))), axis=1, dtype=np.int32)
    whole = sums[:, run:] - sums[:, :-run] == run
    return np.where(whole.any(axis=1) & met, np.argmax(whole, axis=1), -1)


def edge_share(extent: np.ndarray) -> np.ndarray:
    """At which share of the height of a blurred cortex its true edge lies, by what it is blurred over (mm).

    Half-way for a thick one. Of a thin shell before marrow, averaged over a box that is wider than it, the edge lies
    higher: there the box holds all of the shell already, or half the box is filled with it.
    """
    inside = np.minimum(extent / 2, CORTEX_THICK) + MARROW * np.maximum(extent / 2 - CORTEX_THICK, 0)
    most = np.minimum(extent, CORTEX_THICK) + MARROW * np.maximum(extent - CORTEX_THICK, 0)
    return inside / most


class ScanSurface:
    """The bone of a segmented scan.

    hu: int16 [z, y, x]; labels: uint8 of the same shape, 1...7 for C1...C7; both on `lattice`. voxel: rows are the
    edges (LPS mm) of the voxels of the scan itself; None: those of the lattice.
    """

    together = 2.0

    def __init__(self, hu: np.ndarray, labels: np.ndarray, lattice: Lattice, voxel: np.ndarray | None = None) -> None:
        self.values, self.labels, self.lattice = hu, labels, lattice
        self.grid = np.diag(lattice.spacing[::-1])
        self.voxel = self.grid if voxel is None else voxel

    def _share(self, directions: np.ndarray) -> np.ndarray:
        """`edge_share` along directions [n, 3]: blurred by the scanner, its voxels and the grid."""
        along = [np.abs(directions @ edges.T).max(axis=1) for edges in (self.voxel, self.grid)]
        return edge_share(np.sqrt(along[0] ** 2 + along[1] ** 2 + KERNEL**2))

    def hu(self, points: np.ndarray) -> np.ndarray:
        """HU (float32) at points [..., 3] by linear interpolation; NaN outside the scan."""
        index = np.moveaxis(self.lattice.to_indices(points), -1, 0)
        return ndimage.map_coordinates(self.values, index, np.float32, order=1, cval=np.nan)

    def in_view(self, point: np.ndarray) -> bool:
        """See `Surface`."""
        return bool(self.hu(point[None])[0] > TISSUE)

    def label(self, points: np.ndarray) -> np.ndarray:
        """The label at points [..., 3], 0 outside."""
        index = np.rint(np.nan_to_num(self.lattice.to_indices(points), nan=-1.0)).astype(np.int32)
        inside = ((index >= 0) & (index < self.labels.shape)).all(axis=-1)
        z, y, x = np.moveaxis(np.where(inside[..., None], index, 0), -1, 0)
        return np.where(inside, self.labels[z, y, x], 0)

    def _along(self, level: str, origins: np.ndarray, directions: np.ndarray, reach: float) -> np.ndarray:
        steps = np.arange(0, reach + STEP, STEP)
        points = origins[:, None] + steps[None, :, None] * directions[:, None]
        return self.label(points) == LEVEL_BY_NAME[level].label

    def exits(self, level: str, origins: np.ndarray, directions: np.ndarray, reach: float) -> np.ndarray:
        """See `Surface`."""
        origins, directions = np.broadcast_arrays(np.atleast_2d(origins), directions)
        found = crossings(self._along(level, origins, directions, reach), leaving=True)
        at = self._without_leak(origins, directions, found * STEP - STEP / 2)
        edge = at + self._edge(origins + at[:, None] * directions, directions)
        return np.where(found > 0, edge, np.nan)

    def entries(self, level: str, origins: np.ndarray, directions: np.ndarray, reach: float) -> np.ndarray:
        """See `Surface`."""
        origins, directions = np.broadcast_arrays(np.atleast_2d(origins), directions)
        found = crossings(self._along(level, origins, directions, reach), leaving=False)
        at = found * STEP - STEP / 2
        edge = at - self._edge(origins + at[:, None] * directions, -directions)
        return np.where(found > 0, edge, np.nan)

    def gaps(
        self, levels: tuple[str, str], origins: np.ndarray, directions: np.ndarray, reach: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Surface`. Masks of neighbours may touch: the gap is the valley of the HU between two cortices."""
        origins, directions = np.broadcast_arrays(np.atleast_2d(origins), directions)
        steps = np.arange(0, reach + 3.0, PROFILE[1] - PROFILE[0])
        points = origins[:, None] + steps[None, :, None] * directions[:, None]
        hu, label = self.hu(points), self.label(points)
        first, second = (label == LEVEL_BY_NAME[level].label for level in levels)
        rows, place = np.arange(len(hu)), np.arange(len(steps))
        meet = np.argmax(second, axis=1)
        before = first & (place < meet[:, None])
        out = len(steps) - 1 - np.argmax(before[:, ::-1], axis=1)
        near = int(CORTEX[1] / (steps[1] - steps[0])) + 2
        deep = int(-CORTEX[0] / (steps[1] - steps[0]))

        def within(low: np.ndarray, high: np.ndarray, values: np.ndarray, fill: float) -> np.ndarray:
            return np.where((place >= low[:, None]) & (place <= high[:, None]), values, fill)

        valley = np.argmin(within(out - near, meet + near, hu, np.inf), axis=1)
        left = np.argmax(within(out - deep, valley, hu, -np.inf), axis=1)
        right = np.argmax(within(valley, meet + deep, hu, -np.inf), axis=1)
        low = hu[rows, valley]
        ends = []
        share_of_edge = self._share(directions)
        for peak, way in ((left, -1), (right, 1)):
            high = hu[rows, peak]
            soft = np.minimum(low, SOFT)
            half = np.maximum(soft + share_of_edge * (high - soft), low + 0.2 * (high - low))
            between = within(valley, peak, hu, np.nan) if way > 0 else within(peak, valley, hu, np.nan)
            bone = np.where(np.isfinite(between), between > half[:, None], False)
            k = np.argmax(bone, axis=1) if way > 0 else len(steps) - 1 - np.argmax(bone[:, ::-1], axis=1)
            other = np.clip(k - way, 0, len(steps) - 1)
            with np.errstate(invalid="ignore", divide="ignore"):
                share = (hu[rows, k] - half) / (hu[rows, k] - hu[rows, other])
            edge = steps[k] + (steps[other] - steps[k]) * np.clip(share, 0, 1)
            clear = bone.any(axis=1) & (high - low >= LEAST_CONTRAST)
            ends.append(np.where(clear, edge, np.nan))
        known = second.any(axis=1) & before.any(axis=1) & np.isfinite(ends[0] + ends[1])
        return np.where(known, ends[0], np.nan), np.where(known, ends[1], np.nan)

    def _without_leak(self, origins: np.ndarray, directions: np.ndarray, at: np.ndarray) -> np.ndarray:
        """mm [n] at which rays leave the bone, where the mask goes on beyond it; else where they leave the mask."""
        step = PROFILE[1] - PROFILE[0]
        back = np.arange(-LEAK, CORTEX[1] + step, step)
        places = at[:, None] + back
        hu = self.hu(origins[:, None] + places[..., None] * directions[:, None])
        hu = np.where((places >= 0) & np.isfinite(hu), hu, NO_DATA)
        top = hu.max(axis=1, keepdims=True)
        cortex = hu >= SOFT + CORTEX_SHARE * (top - SOFT)
        last = len(back) - 1 - np.argmax(cortex[:, ::-1], axis=1)
        # No cortex lies between: another would rise from what is before it.
        beyond = np.arange(len(back)) > last[:, None]
        valley = np.minimum.accumulate(np.where(beyond, hu, np.inf), axis=1)
        rises = np.where(beyond, hu - valley, 0).max(axis=1)
        contrast = top[:, 0] - SOFT
        leaks = (contrast >= LEAST_CONTRAST) & (back[last] <= -LEAST_LEAK) & (rises < RISE * contrast)
        return np.where(leaks, at + back[last] + step, at)

    def _edge(self, points: np.ndarray, outward: np.ndarray) -> np.ndarray:
        """mm [n] from the mask's edge outwards to where HU fall below the cortex' edge (see `edge_share`)."""
        profile = self.hu(points[:, None] + PROFILE[None, :, None] * outward[:, None])
        rows, place = np.arange(len(profile)), np.arange(len(PROFILE))
        cortex = (CORTEX[0] <= PROFILE) & (CORTEX[1] >= PROFILE)
        top = np.argmax(np.where(cortex & np.isfinite(profile), profile, -np.inf), axis=1)
        beyond = np.where((place > top[:, None]) & np.isfinite(profile), profile, np.inf)
        low, high = beyond.min(axis=1), profile[rows, top]
        with np.errstate(invalid="ignore", divide="ignore"):
            half = low + self._share(outward) * (high - low)
            below = beyond < half[:, None]
            after = np.argmax(below, axis=1)
            before = profile[rows, after - 1]
            share = np.clip((before - half) / (before - profile[rows, after]), 0, 1)
            found = below.any(axis=1) & (high - low >= LEAST_CONTRAST)
            edge = PROFILE[after - 1] + share * (PROFILE[1] - PROFILE[0])
        edge = np.where(found & np.isfinite(edge) & (after > 0), np.clip(edge, -LARGEST_SHIFT, LARGEST_SHIFT), 0.0)
        # A scan that ends at the border can't tell where the bone would have ended.
        seen = (np.nan_to_num(profile[:, PROFILE <= 1.0], nan=NO_DATA) > NO_DATA).all(axis=1)
        return np.where(seen, edge, np.nan)

    def other_bone(self, points: np.ndarray) -> np.ndarray:
        """See `Surface`; by brightness alone, so it is true of the skull whether that was segmented or not."""
        with np.errstate(invalid="ignore"):
            bright = self.hu(points) > SKULL_FROM
        # The rim of a vertebra that its mask does not reach is none of the skull.
        near = [self.label(points + shift) > 0 for shift in RIM]
        return bright & ~np.any(near, axis=0)
