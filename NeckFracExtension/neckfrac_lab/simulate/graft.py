"""Simulated fractures in a given CT: its own bone is broken and moved, by the same fields as the simulated neck's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from neckfrac.anatomy import LEVEL_BY_NAME
from neckfrac.progress import Progress
from neckfrac.volume import CTVolume

from .bone_layer import lift
from .frame_from_labels import around_labels, box_around, level_box, measure_frame
from .render import CLOSED_GAP, TRUTH_REACH

if TYPE_CHECKING:
    from .fractures.shapes import FractureField
    from .neck import VertebraFrame
    from .study import SimulatedStudy

SOURCE = "grafted into a real or given CT"
# mm around a level's label in which its fracture may change anything, and that a fragment with its blurred edge may
# reach: fragments move 5 mm at most, and turn by another 3.
ROOM, REACH = 13.0, 10.0
# HU of blood and marrow in a gap, as `render.blend_bones` has it.
BLOOD = 45.0
# Gaps are looked at on a lattice this fine (mm): a hairline of 0.3 mm takes its share of a voxel.
FINE = 0.4
# Points given to a fracture's field at once.
_AT_ONCE = 400_000


def graft(
    volume: CTVolume, labels: np.ndarray, wanted: Sequence[tuple[str, str]], *, seed: int,
    severity: float | None = None, shares: dict[str, float] | None = None, progress: Progress | None = None,
) -> SimulatedStudy:  # fmt: skip
    """A CT with simulated fractures of labelled levels, its labels after them, and their truth.

    volume: int16 HU on any axes. labels: [z, y, x] on its voxels, 1...7. wanted: (level, kind) each. severity:
    0 (hairline) to 1 for all of them; drawn when None. shares: of each level that lies within the scan. No voxel
    further than 13 mm from a broken level's label changes. The same arguments give the same voxels, on whatever
    axes the volume is stored. Raises InputError when a level is not in the labels or can't be measured there.
    """
    from .fractures.fracture import make_fracture
    from .study import SimulatedStudy

    canonical, reorientation = volume.canonical()
    voxels, names = (np.array(reorientation.apply(part), order="C") for part in (volume.voxels, labels))
    fracture = np.zeros(names.shape, np.uint8)
    # Views of what may change at all.
    near = around_labels(names, ROOM, canonical)
    spine = CTVolume(voxels, canonical.affine).crop([part.start for part in near], [part.stop for part in near])
    # All are measured before any is broken.
    frames = {level: measure_frame(level, names[near], spine) for level in dict(wanted)}
    fields = [make_fracture(level, kind, frames[level], seed=seed, severity=severity) for level, kind in wanted]
    progress = progress or Progress()
    for number, (level, frame) in enumerate(frames.items()):
        progress.step((number + 0.2) / len(frames))
        own = [field for field in fields if field.level == level]
        _break_level(spine, names[near], fracture[near], frame, own, np.random.default_rng([seed & 0xFFFFFFFF, 17]))
    voxels, names, fracture = (np.ascontiguousarray(reorientation.undo(p)) for p in (voxels, names, fracture))
    study = SimulatedStudy(
        CTVolume(voxels, volume.affine), names, fracture, shares or dict.fromkeys(LEVEL_BY_NAME, 0.0),
        {level: frame.center for level, frame in frames.items()}, {},
    )  # fmt: skip
    study.truth.update(_truth(study, fields, seed))
    return study


def _truth(study: SimulatedStudy, fields: list[FractureField], seed: int) -> dict[str, Any]:
    from .export import truth_of

    boxes = {level: record["box"] for level, record in truth_of(study)["levels"].items()}
    records = [
        {"level": field.level, "kind": field.kind, "parameters": dict(field.parameters), "box": boxes[field.level]}
        for field in fields
    ]
    return {"seed": int(seed), "source": SOURCE, "fractures": records, "mimics": [], "hardware": []}


def _break_level(
    volume: CTVolume, labels: np.ndarray, fracture: np.ndarray, frame: VertebraFrame, fields: list[FractureField],
    generator: np.random.Generator,
) -> None:  # fmt: skip
    """Break one level in place: voxels of the volume (canonical axes), labels and fracture [z, y, x]."""
    from scipy import ndimage

    label, spacing = LEVEL_BY_NAME[fields[0].level].label, volume.spacing
    lower, upper = box_around(level_box(labels, fields[0].level), ROOM, volume)
    here = tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))
    crop, names = volume.crop(lower, upper), labels[here]
    layer = lift(crop.voxels, names, label, spacing, generator)
    near = layer.distance < REACH
    index = np.argwhere(near)
    effect = _effects(fields, frame, crop.to_points(index))
    source = np.broadcast_to(0.0, (3, *near.shape)).astype(np.float32)
    source[:, near] = (crop.to_indices(effect["from"]) - index).T
    gap, region, harder = (np.full(near.shape, value, np.float32) for value in (50.0, 0.0, 0.0))
    gap[near], region[near], harder[near] = effect["gap"], effect["region"], effect["harder"]
    moved = np.linalg.norm(source * spacing[:, None, None, None], axis=0)
    places = np.indices(near.shape, np.float32) + source

    def there(values: np.ndarray, order: int = 1) -> np.ndarray:
        """Values at the places that the voxels come from."""
        return ndimage.map_coordinates(values, places, order=order, mode="nearest")

    share = there(layer.share) * np.clip(0.5 + layer.other / 0.8, 0, 1)
    ground = layer.hu + layer.share * (layer.ground - layer.hu)
    # A cubic spline: linear sampling would smooth the fragment's noise and texture away.
    new = ground + share * (there(layer.hu, 3) - ground)
    change = np.clip(moved / 0.3, 0, 1) * (new - layer.hu)
    change = _soften(change, source * spacing[:, None, None, None], layer.sharpness, spacing)
    opened = _opened(fields, frame, crop, gap, share, layer.sharpness)
    whole = there(layer.distance)
    change += harder * np.clip(0.5 - whole / float(np.mean(spacing)), 0, 1)
    blood = BLOOD + layer.noise
    change += opened * share * (blood - layer.hu - change)
    # Changes of less than half a HU are none.
    changed = np.abs(change) >= 0.5
    limits = np.iinfo(np.int16)
    crop.voxels[changed] = np.clip(np.rint(layer.hu + change)[changed], max(limits.min, -1024), limits.max)
    named, free = there(layer.label_distance), (names == 0) | (names == label)
    touched = ((moved > 0.05) | (gap < 0)) & free
    solid = (named < 0) & (gap > -CLOSED_GAP)
    names[touched] = np.where(solid, label, 0)[touched]
    truth = (region > 0.5) & (whole < TRUTH_REACH) & (whole <= layer.other) & free
    fracture[here][truth] = label


def _effects(fields: Sequence[FractureField], frame: VertebraFrame, points: np.ndarray) -> dict[str, np.ndarray]:
    """What fields do at LPS points [n, 3]: "from" [n, 3] (LPS, where bone comes from), "gap", "region", "harder"."""
    import torch

    axes, parts = np.array(frame.axes), []
    for first in range(0, len(points), _AT_ONCE):
        local = torch.from_numpy(frame.to_local(points[first : first + _AT_ONCE]).astype(np.float32))
        move, gap = torch.zeros_like(local), torch.full(local.shape[:1], 50.0)
        region, harder = torch.zeros_like(gap), torch.zeros_like(gap)
        for field in fields:
            effect = field(local)
            move += effect.displacement
            gap, region = gap.minimum(effect.gap), region.maximum(effect.region)
            if effect.sclerosis is not None:
                harder += effect.sclerosis
        parts.append([part.numpy() for part in (move, gap, region, harder)])
    move, gap, region, harder = (np.concatenate(part) for part in zip(*parts, strict=True))
    return {"from": points + move @ axes, "gap": gap, "region": region, "harder": harder}


def _opened(
    fields: Sequence[FractureField], frame: VertebraFrame, crop: CTVolume, gap: np.ndarray, share: np.ndarray,
    sharpness: tuple[float, float, float],
) -> np.ndarray:  # fmt: skip
    """Share (0...1) of each voxel that lies in a gap, blurred as the scan blurs."""
    from scipy import ndimage

    spacing = crop.spacing
    count = np.clip(np.ceil(spacing / FINE), 1, 8).astype(int)
    where = (gap < 0.6 * np.linalg.norm(spacing)) & (share > 0)
    index, total = np.argwhere(where), np.zeros(int(where.sum()), np.float32)
    parts = [(np.arange(n) + 0.5) / n - 0.5 for n in count]
    # Each part of a voxel is taken for a ball of the same volume.
    wide = float(np.prod(spacing / count)) ** (1 / 3)
    for offset in product(*parts):
        if len(index):
            at = crop.to_points(index + np.array(offset))
            total += np.clip(0.5 - _effects(fields, frame, at)["gap"] / wide, 0, 1)
    opened = np.zeros(gap.shape, np.float32)
    opened[where] = total / count.prod()
    # Averaging over a voxel has already blurred.
    left = np.sqrt(np.maximum(np.square(sharpness) - np.square(spacing) / 12, 0)) / spacing
    return ndimage.gaussian_filter(opened, left)


def _soften(change: np.ndarray, move: np.ndarray, sharpness: tuple[float, float, float], spacing: np.ndarray):
    """A change of HU blurred as the scan blurs where pieces that moved differently meet, and left elsewhere."""
    from scipy import ndimage

    sigmas = np.array(sharpness) / spacing
    torn = sum(np.square(part - ndimage.gaussian_filter(part, sigmas)) for part in move)
    weight = ndimage.gaussian_filter(np.clip(np.sqrt(torn) / 0.15, 0, 1).astype(np.float32), 0.7)
    return change + weight * (ndimage.gaussian_filter(change, sigmas) - change)
