"""One vertebra lifted out of a CT: each voxel's share of it, what would lie there without it, the scan's noise.

Moving bone in a given CT means to move this layer over the ground beneath it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .frame_from_labels import signed_distance

# Two labels that meet may miss their bones' edges by this much (mm), and a label may leave out bone up to this far.
LABEL_ERROR, UNLABELLED = 1.6, 3.5
OWN, OTHER, GROUND = 1, 2, 3  # marks of the flood in `tell_apart`
# HU of what counts as soft tissue when the ground and the noise are measured: fat to muscle, no air, no contrast.
SOFT = (-160.0, 160.0)
# Scales (mm) on which soft tissue spreads into the place of bone: the finest that reaches a voxel fills it.
SPREAD = (1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True, eq=False)
class BoneLayer:
    """A vertebra and its surroundings on a crop [z, y, x], float32.

    hu: the CT. distance: mm to the bone as the CT shows it, negative inside. label_distance: mm to the label.
    share: 0...1, how far a voxel goes with the bone when it moves, its blurred edge included. other: mm to any
    other bone as the CT shows it. ground: HU with the bone taken away, noise included. noise: HU, as grainy as
    the scan's. sharpness: standard deviation (mm) of the scan's blur along z, y, x.
    """

    hu: np.ndarray
    distance: np.ndarray
    label_distance: np.ndarray
    share: np.ndarray
    other: np.ndarray
    ground: np.ndarray
    noise: np.ndarray
    sharpness: tuple[float, float, float]


def lift(
    hu: np.ndarray, labels: np.ndarray, label: int, spacing: np.ndarray, generator: np.random.Generator
) -> BoneLayer:
    """The layer of the bone with that label; hu, labels [z, y, x] in a crop some millimetres larger than the bone."""
    hu = hu.astype(np.float32)
    own, others = tell_apart(hu, labels, label, spacing)
    distance, other = signed_distance(own, spacing), _distance(others, spacing)
    sharpness = measure_sharpness(hu, distance, other, spacing)
    # Solid until the blurred edge has come down to soft tissue, then fading over a millimetre, and in a joint no
    # further than halfway to the other bone.
    reach = 0.4 + 1.2 * float(np.mean(sharpness))
    share = np.clip(reach + 1.0 - distance, 0, 1) * np.clip(0.5 + (other - distance) / 0.8, 0, 1)
    noise = make_noise(hu, (distance > 2) & (other > 2), spacing, generator)
    ground = fill(hu, distance < reach + 1.0, other < 1.0, spacing) + noise
    return BoneLayer(
        hu, distance, signed_distance(labels == label, spacing), share.astype(np.float32), other,
        ground.astype(np.float32), noise, sharpness,
    )  # fmt: skip


def tell_apart(
    hu: np.ndarray, labels: np.ndarray, label: int, spacing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which voxels [z, y, x] are the labelled bone as the CT shows it, and which are any other bone.

    A label's core is sure; where labels meet, and where bright voxels lie about a label, the CT decides: bone floods
    from the cores from bright to dark, so that two bones part in the dark cleft of their joint.
    """
    import SimpleITK as sitk
    from scipy import ndimage

    own, named = labels == label, (labels > 0) & (labels != label)
    smooth = ndimage.gaussian_filter(hu, np.minimum(0.4 / spacing, 0.8))
    # Halfway from soft tissue to this bone's own hard parts runs its edge.
    edge = float(np.clip((50.0 + np.quantile(hu[own], 0.85)) / 2, 120, 300))
    bright = smooth > edge
    to_own, to_named = (_far(mask, spacing) for mask in (own, named))
    markers = np.zeros(hu.shape, np.uint8)
    markers[own & (to_named > LABEL_ERROR)] = OWN
    markers[named & (to_own > LABEL_ERROR)] = OTHER
    markers[bright & ~own & ~named & (to_own > UNLABELLED)] = OTHER
    # The rim of a label that is drawn too wide is no bone, nor is what neither is bright nor labelled.
    rim = named & ~bright & (_far(~named, spacing) <= LABEL_ERROR)
    markers[(~bright & ~own & ~named) | rim] = GROUND
    dark = sitk.GetImageFromArray(-smooth)
    parts = sitk.MorphologicalWatershedFromMarkers(dark, sitk.GetImageFromArray(markers), False, False)
    parts = sitk.GetArrayFromImage(parts)
    return parts == OWN, parts == OTHER


def _far(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """mm to the nearest voxel of a mask; 50 without any."""
    from scipy import ndimage

    return ndimage.distance_transform_edt(~mask, sampling=spacing) if mask.any() else np.full(mask.shape, 50.0)


def _distance(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    return signed_distance(mask, spacing) if mask.any() else np.full(mask.shape, 50.0, np.float32)


def measure_sharpness(
    hu: np.ndarray, distance: np.ndarray, other: np.ndarray, spacing: np.ndarray
) -> tuple[float, float, float]:
    """Standard deviation (mm) of the scan's blur along z, y, x, from how steeply bone's outside falls off.

    Between 75 and 25 % of the way from the cortex' peak to soft tissue a blurred edge takes 1.35 of it.
    """
    from scipy import ndimage

    slope = np.stack(np.gradient(distance, *spacing), -1)
    where = np.argwhere((np.abs(distance) < 0.4 * spacing.min()) & (other > 4))
    where = where[:: max(len(where) // 3000, 1)]
    limits = [(0.35 * step, 0.35 * step + 1.0) for step in spacing]
    if len(where) < 20:
        return tuple(float(np.mean(limit)) for limit in limits)
    normal = slope[tuple(where.T)]
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-6
    along = np.arange(-2.0, 3.01, 0.1)
    places = where[:, None] + along[:, None] * (normal / spacing)[:, None]
    lines = ndimage.map_coordinates(hu, np.moveaxis(places, -1, 0), order=1, mode="nearest")
    peak = lines[:, along <= 1.0].max(axis=1)
    foot = np.median(lines[:, along >= 2.0], axis=1)
    start = lines[:, along <= 1.0].argmax(axis=1)
    outside = np.arange(len(along)) >= start[:, None]
    level = (lines - foot[:, None]) / np.maximum(peak - foot, 1)[:, None]
    width = np.array([np.argmax(outside & (level < q), axis=1) for q in (0.75, 0.25)]) * 0.1
    width, good = width[1] - width[0], (peak - foot > 150) & (foot < 200)
    flat = np.abs(normal[:, 0])
    result = []
    for axis, chosen in ((0, flat > 0.85), (1, flat < 0.4), (2, flat < 0.4)):
        some = width[good & chosen]
        found = float(np.median(some)) / 1.35 if len(some) > 10 else 0.0
        result.append(float(np.clip(found, *limits[axis])))
    return tuple(result)


def make_noise(hu: np.ndarray, soft: np.ndarray, spacing: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Noise (HU) [z, y, x] with the standard deviation and the grain that the CT has in its soft tissue."""
    from scipy import ndimage

    low = ndimage.gaussian_filter(hu, np.minimum(1.6 / spacing, 2.5))
    rest = hu - low
    soft = soft & (low > SOFT[0]) & (low < SOFT[1])
    if soft.sum() < 200:
        return np.zeros(hu.shape, np.float32)
    deviation = 1.48 * float(np.median(np.abs(rest[soft])))
    # Borders of muscle and fat are no noise.
    quiet = soft & (np.abs(rest) < 3 * max(deviation, 1.0))
    sigmas = []
    for axis in range(3):
        count = hu.shape[axis] - 1
        a, b, quiet_a, quiet_b = (np.take(part, range(n, n + count), axis) for part in (rest, quiet) for n in (0, 1))
        both = quiet_a & quiet_b
        alike = float((a[both] * b[both]).mean() / max((a[both] ** 2).mean(), 1e-6)) if both.sum() > 100 else 0.0
        # White noise blurred by s voxels is alike by exp(-1 / 4 s²) from voxel to voxel.
        sigmas.append(0.5 / np.sqrt(-np.log(np.clip(alike, 0.02, 0.9))) if alike > 0.02 else 0.0)
    noise = ndimage.gaussian_filter(generator.standard_normal(hu.shape).astype(np.float32), sigmas)
    return (noise * deviation / max(float(noise.std()), 1e-6)).astype(np.float32)


def fill(hu: np.ndarray, gone: np.ndarray, bone: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """HU with soft tissue where `gone`: the mean of the soft voxels around, on the finest scale that has some.

    `bone` lends nothing, and neither do air and contrast medium.
    """
    from scipy import ndimage

    lends = ~gone & ~bone & (hu > SOFT[0]) & (hu < SOFT[1] + 100)
    filled, left = hu.copy(), gone.copy()
    base = float(np.median(hu[lends])) if lends.any() else 40.0
    filled[gone] = base
    for scale in SPREAD:
        weight = ndimage.gaussian_filter(lends.astype(np.float32), scale / spacing, truncate=2.5)
        total = ndimage.gaussian_filter(np.where(lends, hu, 0).astype(np.float32), scale / spacing, truncate=2.5)
        now = left & (weight > 0.02)
        filled[now] = total[now] / weight[now]
        left &= ~now
    # No steps between scales.
    soft = ndimage.gaussian_filter(np.where(lends | gone, filled, base), 1.0 / spacing)
    return np.where(gone, soft, hu)
