"""What fractures and their mimics are made of: rough surfaces, breaks, compression, blobs of bone.

Everything works on torch tensors [..., 3] of points in mm along a vertebra's own axes (left, posterior,
superior) about the centre of its body, on whatever device they lie. Signed distances are in mm and
negative inside. Nothing here is random: the shapes hold numbers that were drawn when they were built.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Vector = tuple[float, float, float]
# Roughness fades out this far from its surface (mm), so that only points near it cost anything.
ROUGH_REACH = 6.0
# A fracture's truth region reaches this far (mm) from its surface, or half its gap if that is more.
REGION_REACH = 1.5
# A depressed endplate is seen from its surface down to here (mm): the plate itself and the first impacted trabeculae.
SURFACE_DEPTH = 0.5
FAR = 50.0


@dataclass(frozen=True)
class Roughness:
    """Smooth noise in mm: a sum of sines at three wavelengths, each in its own direction."""

    waves: np.ndarray
    phases: np.ndarray
    amplitudes: np.ndarray

    @classmethod
    def draw(cls, generator: np.random.Generator, strength: float = 1.0) -> Roughness:
        """Noise of wavelengths about 15, 6 and 2.5 mm; `strength` 1 gives a standard deviation of about 0.7 mm."""
        waves, amplitudes = [], []
        for wavelength, amplitude, count in ((15.0, 0.40, 4), (6.0, 0.26, 5), (2.5, 0.10, 6)):
            directions = generator.normal(size=(count, 3))
            directions /= np.linalg.norm(directions, axis=1, keepdims=True)
            waves.append(directions * 2 * np.pi / (wavelength * generator.uniform(0.75, 1.3, (count, 1))))
            amplitudes.append(strength * amplitude * generator.uniform(0.6, 1.3, count))
        waves = np.concatenate(waves)
        return cls(waves, generator.uniform(0, 2 * np.pi, len(waves)), np.concatenate(amplitudes))

    def __call__(self, points):
        """Noise (mm) at points [..., 3]."""
        waves, phases, amplitudes = (points.new_tensor(part) for part in (self.waves, self.phases, self.amplitudes))
        return (points @ waves.T + phases).sin() @ amplitudes


@dataclass(frozen=True)
class Face:
    """A half-space whose border is a rough, slightly bowed sheet: signed distance, negative behind it.

    point: on the sheet; normal: unit vector that points out; bow: mm⁻¹, how the sheet curves away
    across `bow_axis` (a unit vector in the sheet).
    """

    point: Vector
    normal: Vector
    roughness: Roughness | None = None
    bow: float = 0.0
    bow_axis: Vector = (0.0, 0.0, 0.0)

    def __call__(self, points):
        offset = points - points.new_tensor(self.point)
        distance = offset @ points.new_tensor(self.normal)
        if self.bow:
            distance = distance + self.bow * (offset @ points.new_tensor(self.bow_axis)).clamp(-15, 15).square()
        if self.roughness is not None:
            near = distance.abs() < ROUGH_REACH
            fade = (1 - (distance[near] / ROUGH_REACH).square()).square()
            rough = distance.clone()
            rough[near] += fade * self.roughness(points[near])
            distance = rough
        return distance


@dataclass(frozen=True)
class Blob:
    """An ellipsoid, rough or smooth: bone that is added, a chip, a pit or a patch of sclerosis.

    axes: rows are the unit vectors of the radii.
    """

    center: Vector
    radii: Vector
    roughness: Roughness | None = None
    axes: tuple[Vector, ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

    def __call__(self, points):
        radii = points.new_tensor(self.radii)
        local = (points - points.new_tensor(self.center)) @ points.new_tensor(self.axes).T
        scaled = (local / radii).norm(dim=-1)
        # First-order distance of an ellipsoid, exact in sign: k0 (k0 - 1) / k1 (Quilez, "ellipsoids", 2008).
        distance = scaled * (scaled - 1) / (local / radii.square()).norm(dim=-1).clamp_min(1e-6)
        if self.roughness is not None:
            near = distance.abs() < 4
            rough = distance.clone()
            rough[near] += self.roughness(points[near])
            distance = rough
        return distance


@dataclass(frozen=True)
class Tube:
    """A capsule from `start` to `end` whose radius goes from `radii[0]` to `radii[1]`: a vascular channel."""

    start: Vector
    end: Vector
    radii: tuple[float, float]

    def __call__(self, points):
        start, along = points.new_tensor(self.start), points.new_tensor(np.subtract(self.end, self.start).tolist())
        offset = points - start
        share = ((offset @ along) / along.square().sum()).clamp(0, 1)
        radius = self.radii[0] + share * (self.radii[1] - self.radii[0])
        return (offset - share[..., None] * along).norm(dim=-1) - radius


def largest(shapes: tuple, points):
    """Intersection: the largest of the shapes' signed distances."""
    result = shapes[0](points)
    for shape in shapes[1:]:
        result = result.maximum(shape(points))
    return result


def rotation_matrix(degrees: Vector) -> np.ndarray:
    """3x3 matrix of the rotation vector `degrees` (about left, posterior, superior)."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(np.radians(degrees)).as_matrix()


@dataclass(frozen=True)
class Break:
    """A fracture surface, and how far apart the two sides are.

    faces: the fragment is where all are negative; its border is the fracture surface. within: the
    fracture goes no further than where all are negative (an incomplete fracture; its fragment must not
    move). gap: mm between the sides before the fragment moves. shift (mm), rotation (degrees) about pivot: the
    fragment's rigid motion. open: whether the gap is carved (a healed fracture's is not). traumatic:
    whether it belongs to the truth region. chips: pieces of bone left in the gap. border: HU added along
    the surface (corticated or sclerotic), fading over border_depth mm.
    """

    faces: tuple
    gap: float
    within: tuple = ()
    shift: Vector = (0.0, 0.0, 0.0)
    rotation: Vector = (0.0, 0.0, 0.0)
    pivot: Vector = (0.0, 0.0, 0.0)
    open: bool = True
    traumatic: bool = True
    chips: tuple = ()
    border: float = 0.0
    border_depth: float = 1.0

    def __post_init__(self) -> None:
        if self.within and self.moves:
            raise ValueError("an incomplete break has no fragment that could move")

    @property
    def moves(self) -> bool:
        return any(self.shift) or any(self.rotation)

    def undo(self, points):
        """Where points that move with the fragment lay before it moved."""
        pivot = points.new_tensor(self.pivot)
        matrix = points.new_tensor(rotation_matrix(self.rotation))
        return (points - pivot - points.new_tensor(self.shift)) @ matrix + pivot

    def __call__(self, points):
        """(where the points come from [..., 3], signed distance of the gap, of the truth region)."""
        here = largest(self.faces, points)
        source, there = points, here
        if self.moves:
            source = self.undo(points)
            there = largest(self.faces, source)
            source = points.where((there >= 0)[..., None], source)
        half = self.gap / 2
        if self.within:
            end = largest(self.within, points)
            half = half * (-end / 3).clamp(0, 1)
        # Open between the main side (here > half) and the fragment (there < -half).
        gap = (here - half).maximum(-half - there)
        region = gap + half - max(self.gap / 2, REGION_REACH)
        if self.within:
            gap, region = gap.maximum(end), region.maximum(end)
        for chip in self.chips:
            gap = gap.maximum(-chip(points))
        return source, gap, region


@dataclass(frozen=True)
class Compression:
    """The upper endplate pressed down into the body.

    half_size: half width, depth, height of the body (mm). loss: share of the body's height lost in front
    (0 to 0.5). back: share of that loss which also reaches the posterior wall (0: a wedge, 1: crushed evenly).
    bulge: mm that the anterior wall gives way. sclerosis: HU of the impacted band under the endplate.
    """

    half_size: Vector
    loss: float
    back: float
    bulge: float
    roughness: Roughness
    sclerosis: float = 0.0

    def weight(self, points):
        """0..1 share of the anterior loss at each point, from left and posterior position only."""
        width, depth, _ = self.half_size
        left, posterior = points[..., 0], points[..., 1]
        front = ((depth - posterior) / (2 * depth)).clamp(0, 1)
        wedge = self.back + (1 - self.back) * front
        inside = ((depth + 3 - posterior) / 3).clamp(0, 1) * ((width + 6 - left.abs()) / 4).clamp(0, 1)
        flat = points * points.new_tensor((1.0, 1.0, 0.0))
        return (wedge * (1 + 0.3 * self.roughness(flat))).clamp(0, 1) * inside * inside * (3 - 2 * inside)

    def __call__(self, points):
        """(where the points come from, signed distances of the truth region and surface, sclerosis in HU)."""
        width, depth, height = self.half_size
        lost = 2 * height * self.loss * self.weight(points)
        superior, bottom = points[..., 2], -0.7 * height
        top = height - lost
        share = ((superior - bottom) / (top - bottom)).clamp(0, 1)
        share = share * share * (3 - 2 * share)
        middle = (1 - ((superior + 0.1 * height) / height).square()).clamp_min(0)
        forward = self.bulge * middle * (-points[..., 1] / depth).clamp(0, 1.2) * (lost > 0)
        moved = points.clone()
        moved[..., 2] += lost * share
        moved[..., 1] += forward
        below = top - superior
        sides = (points[..., 0].abs() - width - 1).maximum(points[..., 1].abs() - depth - 1.5)
        sides = sides.maximum((1.0 - lost) * 2)
        region = sides.maximum(-below - 1.5).maximum(below - 4.5)
        surface = sides.maximum((below - SURFACE_DEPTH).abs() - REGION_REACH)
        band = (-((below - 3.0) / 1.6).square()).exp() * (lost / 2).clamp(0, 1)
        return moved, region, surface, self.sclerosis * band


@dataclass(frozen=True, eq=False)
class FractureEffect:
    """What a field does to points [...]: see `FractureField`.

    displacement [..., 3]: mm to add to the sampling position. gap: signed distance (mm) of the region
    where bone is gone. added: of bone that is added, or None. region: 0..1, belongs to the truth where > 0.5.
    surface: likewise, but only a thin band about what is broken: of lost height the depressed endplate, not all
    that lies under it. sclerosis: HU to add to bone, or None.
    """

    displacement: Any
    gap: Any
    added: Any
    region: Any
    surface: Any
    sclerosis: Any


@dataclass(frozen=True, eq=False)
class FractureField:
    """One fracture, or something that only looks like one, of one vertebra.

    Call it with points [..., 3] at rest, mm along the vertebra's axes (left, posterior, superior) about
    `VertebraFrame.center`. Bone is then: d = bone(points + displacement); d = min(d, added);
    d = max(d, -gap). The displacement is a backward warp, rigid on each fragment and zero on the rest.
    """

    level: str
    kind: str
    breaks: tuple[Break, ...] = ()
    compression: Compression | None = None
    added: tuple = ()
    pits: tuple = ()
    patches: tuple[tuple[Any, float, float], ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    traumatic: bool = True

    def __call__(self, local) -> FractureEffect:
        source, gap = local, local.new_full(local.shape[:-1], FAR)
        region, sclerosis = gap.clone(), None

        def harden(amount):
            return amount if sclerosis is None else sclerosis + amount

        for item in self.breaks:
            came_from, item_gap, item_region = item(local)
            if item.moves:
                # Fragments don't overlap: the first that holds a point moves it.
                free = (source == local).all(-1, keepdim=True)
                source = came_from.where(free, source)
            if item.open:
                gap = gap.minimum(item_gap)
            if item.traumatic:
                region = region.minimum(item_region)
            if item.border:
                sclerosis = harden(item.border * (-(item_gap.clamp_min(0) / item.border_depth).square()).exp())
        surface = region
        if self.compression is not None:
            source, item_region, item_surface, hard = self.compression(source)
            region, surface = region.minimum(item_region), surface.minimum(item_surface)
            sclerosis = harden(hard)
        for pit in self.pits:
            gap = gap.minimum(pit(local))
        for shape, amount, depth in self.patches:
            sclerosis = harden(amount * (-(shape(local).clamp_min(0) / depth).square()).exp())
        added = None
        for shape in self.added:
            distance = shape(local)
            added = distance if added is None else added.minimum(distance)
        if added is not None and self.traumatic:
            region, surface = region.minimum(added - 0.7), surface.minimum(added - 0.7)
        weights = ((part / -0.25).sigmoid() if self.traumatic else part * 0 for part in (region, surface))
        return FractureEffect(source - local, gap, added, *weights, sclerosis)
