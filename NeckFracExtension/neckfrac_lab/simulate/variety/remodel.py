"""Bones changed at rest: shapes joined to and carved from their distances, and bones that others lack."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ..fractures.shapes import FractureField
from ..neck import CHAIN, DISTANCE_SCALE, Bone, Neck, VertebraFrame
from ..pose import JointChange, Variation
from ..shapes import Shape, half_space, meet, placed, smooth_maximum, smooth_minimum
from ..voxelise import PADDING, Grid

# Distances are worked out this far (mm) around a shape: as far as rendering looks for a bone from its nodes.
REACH = 4.0
# Points at a time: they stay in cache, and products with 3x3 matrices are too small to be split among threads.
_CHUNK = 8192


@dataclass(frozen=True)
class Disc:
    """The room between two neighbours. center: LPS mm; axes: rows left, posterior, superior.

    width, depth: half sizes of the endplates; height: mm between them. bodies: half heights above and below.
    """

    upper: str
    lower: str
    center: np.ndarray
    axes: np.ndarray
    width: float
    depth: float
    height: float
    bodies: tuple[float, float]

    def placed(self, shape: Shape) -> Shape:
        """A shape given in the disc's own axes, in LPS mm."""
        return placed(shape, self.axes, self.center)


def unit(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, float)
    return values / np.linalg.norm(values)


def distances(shape: Shape, points: np.ndarray) -> np.ndarray:
    """A shape's distances at points [n, 3], a few thousand at a time."""
    if len(points) <= _CHUNK:
        return shape.distance(points)
    return np.concatenate([shape.distance(points[n : n + _CHUNK]) for n in range(0, len(points), _CHUNK)])


def uneven(shape: Shape, generator: np.random.Generator, amount: float, wavelength: float = 7.0) -> Shape:
    """The same shape with a surface that wanders by about `amount` mm (sd) on the scale of `wavelength`."""
    waves = generator.normal(size=(6, 3))
    lengths = wavelength * generator.uniform(0.5, 1.4, (6, 1))
    waves = (2 * np.pi * waves / np.linalg.norm(waves, axis=1, keepdims=True) / lengths).astype(np.float32)
    phases = generator.uniform(0, 2 * np.pi, 6).astype(np.float32)
    height = np.float32(amount * np.sqrt(2 / 6))

    def distance(points: np.ndarray) -> np.ndarray:
        return shape.distance(points) + height * np.sin(points @ waves.T + phases).sum(axis=1)

    return Shape(distance, shape.lower - 2 * amount, shape.upper + 2 * amount)


def on_grid(shape: Shape, spacing: float, name: str, label: int, segment: str, density: float = 1.0) -> Bone:
    """A bone of its own from a shape in LPS mm."""
    grid = Grid.around(np.asarray(shape.lower, float) - PADDING, np.asarray(shape.upper, float) + PADDING, spacing)
    z, y, x = grid.axes()
    points = np.stack(np.broadcast_arrays(x, y, z), axis=-1).reshape(-1, 3).astype(np.float32)
    steps = np.clip(np.rint(distances(shape, points) * DISTANCE_SCALE), -126, 126).astype(np.int8)
    return Bone(name, steps.reshape(grid.shape), grid.origin, grid.spacing, label, segment, density)


class Remodelling:
    """One neck, on the way to becoming another: bones, look-alikes and variation as changed so far.

    generator: everything is drawn from it. record: what was changed, JSON-ready.
    """

    def __init__(self, neck: Neck, generator: np.random.Generator, variation: Variation) -> None:
        self.neck, self.generator, self.variation = neck, generator, variation
        self.mimics: list[FractureField] = []
        self.record: list[dict] = []
        self._bones = dict(neck.bones)
        self._joints: dict[str, JointChange] = dict(variation.joints)

    # What is drawn

    def between(self, low: float, high: float) -> float:
        return float(self.generator.uniform(low, high))

    def chance(self, share: float) -> bool:
        return bool(self.generator.random() < share)

    def pick(self, names: Iterable[str], weights: Iterable[float] | None = None) -> str:
        names = list(names)
        shares = None if weights is None else np.array(list(weights), float) / np.sum(list(weights))
        return str(names[int(self.generator.choice(len(names), p=shares))])

    def run(self, low: int, high: int, first: str, last: str) -> list[str]:
        """Between `low` and `high` neighbouring levels from `first` to `last`, as many as the neck has."""
        names = [name for name in CHAIN[CHAIN.index(first) : CHAIN.index(last) + 1] if name in self.neck.frames]
        count = min(int(self.generator.integers(low, high + 1)), len(names))
        start = int(self.generator.integers(0, len(names) - count + 1))
        return names[start : start + count]

    def note(self, kind: str, **details: object) -> None:
        self.record.append({"kind": kind, **details})

    # Where things are

    def frame(self, level: str) -> VertebraFrame:
        return self.neck.frames[level]

    def landmark(self, level: str, name: str) -> np.ndarray:
        """A landmark in the level's own axes, mm."""
        frame = self.neck.frames[level]
        return np.asarray(frame.to_local(np.array(getattr(frame, name))), float)

    def at(self, level: str, shape: Shape) -> Shape:
        """A shape given in a vertebra's own axes, in LPS mm."""
        return placed(shape, np.array(self.frame(level).axes), np.array(self.frame(level).center))

    def disc(self, upper: str) -> Disc:
        """The disc below a level from C2 down."""
        lower = CHAIN[CHAIN.index(upper) + 1]
        above, below = self.frame(upper), self.frame(lower)
        rows = unit(np.array(above.axes[2]) + np.array(below.axes[2]))
        bottom = np.array(above.center) - above.half_size[2] * np.array(above.axes[2])
        top = np.array(below.center) + below.half_size[2] * np.array(below.axes[2])
        left = np.array(above.axes[0]) + np.array(below.axes[0])
        left = unit(left - (left @ rows) * rows)
        width, depth = ((above.half_size[n] + below.half_size[n]) / 2 for n in (0, 1))
        height = float(np.clip((bottom - top) @ rows, 2.0, 7.0))
        axes, bodies = np.array([left, np.cross(rows, left), rows]), (above.half_size[2], below.half_size[2])
        return Disc(upper, lower, (bottom + top) / 2, axes, width, depth, height, bodies)

    def discs(self, first: str = "C2", last: str = "C7") -> list[Disc]:
        names = [n for n in CHAIN[CHAIN.index(first) : CHAIN.index(last) + 1] if n in self.neck.frames]
        return [self.disc(n) for n in names if CHAIN[CHAIN.index(n) + 1] in self.neck.frames]

    def facet(self, disc: Disc, side: int) -> tuple[np.ndarray, np.ndarray]:
        """(middle, upward normal) in LPS mm of the facet joint beside a disc; side +1 left, -1 right."""
        word = "left_lateral_mass" if side > 0 else "right_lateral_mass"
        lower = np.array(getattr(self.frame(disc.lower), word))
        if disc.upper == "C2":
            # C2's own landmark is the mass that carries C1: take half the step to the next pillar below.
            step = lower - np.array(getattr(self.frame(CHAIN[CHAIN.index(disc.lower) + 1]), word))
        else:
            step = np.array(getattr(self.frame(disc.upper), word)) - lower
        return lower + step / 2, unit(disc.axes[2] + disc.axes[1])

    # What is changed

    def _window(self, name: str, shape: Shape, grow: bool) -> tuple[np.ndarray, tuple[slice, ...], np.ndarray] | None:
        """(the bone's distances, the window around a shape in them, its points [n, 3]); None beyond the bone."""
        bone = self._bones[name]
        origin, size = np.array(bone.origin), np.array(bone.distance.shape[::-1])
        if grow:
            before = np.ceil((origin - (shape.lower - PADDING)) / bone.spacing).clip(0).astype(int)
            after = np.ceil((shape.upper + PADDING - origin) / bone.spacing - (size - 1)).clip(0).astype(int)
            if before.any() or after.any():
                edges = list(zip(before[::-1], after[::-1], strict=True))
                grown = np.pad(bone.distance, edges, constant_values=126)
                origin = origin - before * bone.spacing
                bone = replace(bone, distance=grown, origin=tuple(float(v) for v in origin))
                self._bones[name], size = bone, np.array(grown.shape[::-1])
        if self._bones[name] is self.neck.bones.get(name):
            self._bones[name] = bone = replace(bone, distance=bone.distance.copy())
        first = np.clip(np.floor((shape.lower - REACH - origin) / bone.spacing), 0, size).astype(int)
        last = np.clip(np.ceil((shape.upper + REACH - origin) / bone.spacing) + 1, 0, size).astype(int)
        if (last <= first).any():
            return None
        x, y, z = (
            (np.arange(a, b) * bone.spacing + o).astype(np.float32)
            for a, b, o in zip(first, last, origin, strict=True)
        )
        points = np.empty((len(z), len(y), len(x), 3), np.float32)
        points[..., 0], points[..., 1], points[..., 2] = x, y[:, None], z[:, None, None]
        window = tuple(slice(a, b) for a, b in zip(first[::-1], last[::-1], strict=True))
        return bone.distance, window, points.reshape(-1, 3)

    def _change(self, name: str, shape: Shape, blend: float, join: bool) -> None:
        found = self._window(name, shape, join) if name in self._bones else None
        if found is None:
            return
        distance, window, points = found
        before = distance[window].astype(np.float32) / np.float32(DISTANCE_SCALE)
        other = distances(shape, points).reshape(before.shape)
        after = smooth_minimum(before, other, blend) if join else smooth_maximum(before, -other, blend)
        # Where the bone's own distance was clipped nothing is known but that it is far.
        distance[window] = np.clip(np.rint(after * DISTANCE_SCALE), -126, 126)

    def join(self, name: str, shape: Shape, blend: float = 1.0) -> None:
        """Bone added to a bone: a shape in LPS mm, its seam rounded over `blend` mm."""
        self._change(name, shape, blend, True)

    def carve(self, name: str, shape: Shape, blend: float = 0.8) -> None:
        """Bone taken away: a shape in LPS mm."""
        self._change(name, shape, blend, False)

    def share(
        self, upper: str, lower: str, shape: Shape, point: np.ndarray, normal: np.ndarray, overlap: float,
        blend: float = 1.0,
    ) -> None:
        """Bone between two neighbours, each of which takes its half beyond the plane and `overlap` mm more.

        Where both are bone the deeper one owns a voxel, so that the border stays in the plane. A negative
        overlap leaves a gap of twice its width.
        """
        normal = unit(normal)
        self.join(upper, meet(shape, half_space(point - overlap * normal, -normal), blend=0.5), blend)
        self.join(lower, meet(shape, half_space(point + overlap * normal, normal), blend=0.5), blend)

    def bridge(self, disc: Disc, shape: Shape, overlap: float, blend: float = 1.0) -> None:
        """Bone across a disc, given in the disc's own axes; see `share`."""
        self.share(disc.upper, disc.lower, disc.placed(shape), disc.center, disc.axes[2], overlap, blend)

    def add(self, bone: Bone) -> None:
        """A bone that others lack."""
        self._bones[bone.name] = bone

    def bone(self, name: str) -> Bone:
        return self._bones[name]

    def joint(self, upper: str, **changes: object) -> None:
        """Change how a joint stands: `turn` and `slide` are added to what it has, `freedom` multiplies."""
        if upper not in self.neck.joints:
            return
        old = self._joints.get(upper, JointChange())
        turn, slide = (
            tuple(float(v) for v in np.add(getattr(old, n), changes.get(n, (0.0, 0.0, 0.0)))) for n in ("turn", "slide")
        )
        self._joints[upper] = JointChange(turn, slide, old.freedom * float(changes.get("freedom", 1.0)))

    def vary(self, **changes: object) -> None:
        """Other values for the fields of the variation."""
        self.variation = replace(self.variation, **changes)

    def finish(self) -> tuple[Neck, Variation]:
        """The neck and the variation as they have become; the same neck when no bone was changed."""
        changed = any(self._bones[name] is not bone for name, bone in self.neck.bones.items())
        neck = self.neck
        if changed or len(self._bones) > len(neck.bones):
            neck = replace(neck, bones=dict(self._bones))
        return neck, replace(self.variation, joints=tuple(sorted(self._joints.items())))
