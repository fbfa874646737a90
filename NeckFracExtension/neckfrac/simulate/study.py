"""A simulated CT study: a neck takes a pose, tissues get their HU, a scanner looks at them; the truth is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from ..anatomy import LEVEL_NAMES, LEVELS
from ..volume import CTVolume
from .neck import DISTANCE_SCALE, Bone, Neck
from .noise import SmoothNoise
from .pose import ROOT, Pose, Variation, apply, draw_pose
from .scanner import Scanner, acquire
from .tissue import AIR, Tissue, bone_hu, draw_tissue, finish_soft_tissue, sample, soft_tissue

if TYPE_CHECKING:
    from .fracture_shapes import FractureField

FAR = 7.9  # mm: what a bone's grid says where the bone is far
GIRDLE = ("clavicle", "scapula", "humerus", "sternum")
# The tissue's rest positions are as smooth as the blend of links that makes them: every 3 mm is enough.
TISSUE_STEP = 3.0
METAL_HU, METAL_RADIUS = 3000.0, 2.2
TABLE_SHELL, TABLE_DEPTH = 2.0, 18.0  # mm


@dataclass(frozen=True)
class Grid:
    """The sampled lattice, axes along LPS. shape [z, y, x]; spacing mm (z, y, x).

    center: the level (or "skull") of the posed neck that lies at the grid's centre, and an offset (x, y, z) in mm
    from the middle of its body.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    center: tuple[str | None, tuple[float, float, float]] = (ROOT, (0.0, 0.0, 0.0))

    def planes(self, pose: Pose, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """World coordinates (mm) of the lattice's planes along z, y, x."""
        level, offset = self.center
        middle = (np.zeros(3) if level is None else pose.center(level)) + offset
        return tuple(
            torch.from_numpy((middle[2 - n] + (np.arange(count) - (count - 1) / 2) * step).astype(np.float32)).to(device)
            for n, (count, step) in enumerate(zip(self.shape, self.spacing, strict=True))
        )


@dataclass(frozen=True, eq=False)
class SimulatedStudy:
    """What the scanner saw, and what was there.

    volume: int16 HU. labels: uint8 [z, y, x], classes of `neckfrac.anatomy`. fracture: uint8 [z, y, x], 0 or the
    label of the level whose fracture lies there. shares: of each of C1...C7 within the scan. centers: LPS mm.
    truth: all that was drawn, JSON-ready.
    """

    volume: CTVolume
    labels: np.ndarray
    fracture: np.ndarray
    shares: dict[str, float]
    centers: dict[str, tuple[float, float, float]]
    truth: dict[str, Any]


@torch.inference_mode()
def simulate_study(
    neck: Neck,
    *,
    seed: int,
    grid: Grid,
    fractures: Sequence[FractureField] = (),
    mimics: Sequence[FractureField] = (),
    variation: Variation | None = None,
    scanner: Scanner | None = None,
    device: torch.device = torch.device("cpu"),
) -> SimulatedStudy:
    """One study. The same arguments give the same study; scanner None draws one."""
    variation = variation or Variation()
    generator = np.random.default_rng([7, seed])
    pose = draw_pose(neck, variation, generator)
    tissue = draw_tissue(neck, variation, generator)
    scanner = scanner or Scanner.random(generator)
    mirrored = bool(generator.random() < 0.5) if variation.mirror is None else variation.mirror
    planes = grid.planes(pose, device)
    voxel = float(np.prod(grid.spacing)) ** (1 / 3)

    hu, body = _soft(neck, pose, tissue, planes, voxel)
    bones = _Bones(neck, pose, planes, variation, generator)
    for bone in neck.bones.values():
        fields = [f for f in (*fractures, *mimics) if f.level == bone.name]
        bones.add(bone, fields, truth_of=[f for f in fractures if f.level == bone.name])
    hu = _with_surroundings(hu, body, tissue, planes)
    hu = bones.onto(hu, tissue, planes, voxel, generator)
    fillings = _fillings(neck, pose, tissue, generator)
    for x, y, z in fillings:
        near = ((planes[0] - z)[:, None, None] ** 2 + (planes[1] - y)[:, None] ** 2 + (planes[2] - x) ** 2).sqrt()
        hu = torch.lerp(hu, torch.tensor(METAL_HU), (0.5 + (METAL_RADIUS - near) / voxel).clamp(0, 1))

    shoulders = float(pose.center("C7")[2])
    voxels = acquire(hu, scanner, grid.spacing, planes, shoulders, fillings, generator).cpu().numpy()
    seen = np.broadcast_to(scanner.seen(grid.shape, grid.spacing), grid.shape)
    labels = np.where(seen, bones.labels().cpu().numpy(), 0).astype(np.uint8)
    fracture = np.where(seen, bones.fracture.cpu().numpy(), 0).astype(np.uint8)
    shares, centers = _in_view(neck, pose, planes, seen)

    origin = [float(plane[0]) for plane in planes[::-1]]
    if mirrored:
        voxels, labels, fracture = (np.ascontiguousarray(a[..., ::-1]) for a in (voxels, labels, fracture))
        origin[0] = -float(planes[2][-1])
        centers = {name: (-x, y, z) for name, (x, y, z) in centers.items()}
    affine = np.diag([*grid.spacing[::-1], 1.0])
    affine[:3, 3] = origin
    volume = CTVolume(voxels, affine)
    truth = {
        "seed": seed,
        "anatomy": neck.source,
        "mirrored": mirrored,
        "fractures": [_described(f, fracture, volume) for f in fractures],
        "mimics": [{"level": f.level, "kind": f.kind} for f in mimics],
        "scanner": scanner.truth(),
        "pose": pose.truth,
        "tissue": tissue.truth(),
    }
    return SimulatedStudy(volume, labels, fracture, shares, centers, truth)


class _Bones:
    """All bones on the lattice: the nearest bone, its signed distance, gaps, sclerosis and the fractures' truth."""

    def __init__(self, neck, pose, planes, variation: Variation, generator: np.random.Generator) -> None:
        self.pose, self.planes, self._frames = pose, planes, neck.frames
        shape, device = tuple(len(plane) for plane in planes), planes[0].device
        self.solid = torch.full(shape, FAR, device=device)  # before fractures carve it: what the label covers
        self.carved = torch.full(shape, FAR, device=device)
        self.owner = torch.zeros(shape, dtype=torch.uint8, device=device)
        self.gap = torch.zeros(shape, dtype=torch.bool, device=device)
        self.sclerosis: torch.Tensor | None = None
        self.fracture = torch.zeros(shape, dtype=torch.uint8, device=device)
        self.names: list[str] = [""]
        self.values: list[int] = [0]
        self.displacement = pose.displacement(*planes)
        self.reach = 1 + 2 * sum(variation.elastic)
        rough = zip((5.0, 2.5), variation.roughness, strict=True)
        fields = [(SmoothNoise.draw(generator, spacing), amount / 2) for spacing, amount in rough]
        self.surface = sum(amount * noise.on_lattice(*planes)[0] for noise, amount in fields)
        self.surface = self.surface - float(generator.uniform(*variation.surface_offset))

    def add(self, bone: Bone, fields: Sequence[FractureField], truth_of: Sequence[FractureField]) -> None:
        """One bone, with what its fractures and mimics do to it."""
        matrix = self.pose.link_of(bone)
        box = self._box(bone, matrix)
        if box is None:
            return
        planes = [plane[s] for plane, s in zip(self.planes, box, strict=True)]
        world = torch.stack(torch.meshgrid(*planes, indexing="ij")[::-1]) + self.displacement[(slice(None), *box)]
        rest = apply(np.linalg.inv(matrix), world)
        if any(name in bone.name for name in GIRDLE):
            rest = self.pose.lift_girdle(rest)
        effects = [(field, field(self._local(field, rest))) for field in fields]
        position = rest
        for field, effect in effects:
            position = position + self._turned(field, effect.displacement)
        scale = float(np.cbrt(abs(np.linalg.det(matrix[:3, :3]))))
        distance = _distance(bone, position) * scale + self.surface[box]
        carved = distance
        for _, effect in effects:
            if effect.added is not None:
                distance, carved = (torch.minimum(d, effect.added * scale) for d in (distance, carved))
            carved = torch.maximum(carved, -effect.gap * scale)

        number = len(self.names)
        self.names.append(bone.name)
        self.values.append(bone.label)
        nearer = distance < self.solid[box]
        self.solid[box] = torch.where(nearer, distance, self.solid[box])
        self.carved[box] = torch.where(nearer, carved, self.carved[box])
        self.owner[box] = torch.where(nearer, torch.tensor(number, dtype=torch.uint8), self.owner[box])
        for field, effect in effects:
            self.gap[box] |= nearer & (effect.gap < 0)
            if effect.sclerosis is not None:
                if self.sclerosis is None:
                    self.sclerosis = torch.zeros_like(self.solid)
                self.sclerosis[box] += torch.where(nearer, effect.sclerosis, torch.zeros(()))
            if any(field is broken for broken in truth_of):
                hit = nearer & (effect.region > 0.5) & (distance < 0.7)
                self.fracture[box] = torch.where(hit, torch.tensor(bone.label, dtype=torch.uint8), self.fracture[box])

    def labels(self) -> torch.Tensor:
        """Class values uint8 [z, y, x]."""
        values = torch.tensor(self.values, dtype=torch.uint8, device=self.owner.device)[self.owner.long()]
        return torch.where(self.solid < 0, values, torch.zeros((), dtype=torch.uint8))

    def onto(self, hu, tissue: Tissue, planes, voxel: float, generator: np.random.Generator) -> torch.Tensor:
        """Bone over soft tissue, mixed by how much of each voxel it fills."""
        near = self.solid < voxel
        rows = near.any(dim=2).any(dim=1).nonzero().flatten()
        if not len(rows):
            return hu
        part = slice(int(rows.min()), int(rows.max()) + 1)
        levels = (planes[0][part], planes[1], planes[2])
        noise = {name: tissue.noises[name].on_lattice(*levels)[0] for name in ("coarse", "middle", "fine", "cortex")}
        pairs = torch.tensor([(1.0, 1.0), *(tissue.bone_factors[name] for name in self.names[1:])], device=hu.device)
        factors = pairs[self.owner[part].long()]
        bone = bone_hu(-self.carved[part], (factors[..., 0], factors[..., 1]), tissue, noise, voxel)
        if self.sclerosis is not None:
            bone = bone + self.sclerosis[part]
        blood = float(generator.uniform(20, 70))
        soft = torch.where(self.gap[part] & (self.solid[part] < 0.5), torch.tensor(blood, device=hu.device), hu[part])
        # What the soft tissue's map calls air cannot fill a bone's border voxels.
        soft = torch.where((self.solid[part] < 0) & (soft < -200), torch.tensor(blood, device=hu.device), soft)
        hu = hu.clone()
        hu[part] = torch.lerp(soft, bone, (0.5 - self.carved[part] / voxel).clamp(0, 1))
        return hu

    def _box(self, bone: Bone, matrix: np.ndarray) -> tuple[slice, ...] | None:
        """Where the lattice can meet the bone, or None."""
        size = np.array(bone.distance.shape[::-1]) - 1
        ends = np.array(np.meshgrid(*[(0, n) for n in size], indexing="ij")).reshape(3, -1).T * bone.spacing
        corners = (ends + bone.origin) @ matrix[:3, :3].T + matrix[:3, 3]
        girdle = max(map(abs, self.pose.girdle)) if any(name in bone.name for name in GIRDLE) else 0.0
        # The grids are padded by 8 mm of nothing; 5 of them may go.
        reach = self.reach - 5.0 + np.array([0, 0, girdle])
        low, high = corners.min(axis=0) - reach, corners.max(axis=0) + reach
        box = []
        for plane, a, b in zip(self.planes, low[::-1], high[::-1], strict=True):
            inside = ((plane >= a) & (plane <= b)).nonzero().flatten()
            if not len(inside):
                return None
            box.append(slice(int(inside[0]), int(inside[-1]) + 1))
        return tuple(box)

    def _local(self, field: FractureField, rest: torch.Tensor) -> torch.Tensor:
        """Rest points [3, ...] in the axes of the vertebra [..., 3]."""
        frame = self._frames[field.level]
        center = torch.tensor(frame.center, dtype=torch.float32, device=rest.device)
        axes = torch.tensor(frame.axes, dtype=torch.float32, device=rest.device)
        return (rest.movedim(0, -1) - center) @ axes.T

    def _turned(self, field: FractureField, displacement: torch.Tensor) -> torch.Tensor:
        """A displacement [..., 3] in the vertebra's axes as one at rest [3, ...]."""
        axes = torch.tensor(self._frames[field.level].axes, dtype=torch.float32, device=displacement.device)
        return (displacement @ axes).movedim(-1, 0)


def _distance(bone: Bone, rest: torch.Tensor) -> torch.Tensor:
    """Signed distance (mm at rest) to a bone at rest points [3, ...]."""
    grid = torch.from_numpy(bone.distance).to(rest.device).float()[None] / DISTANCE_SCALE
    index = torch.stack([(rest[n] - bone.origin[n]) / bone.spacing for n in range(3)])
    return sample(grid, index)[0]


def _soft(neck: Neck, pose: Pose, tissue: Tissue, planes, voxel: float) -> tuple[torch.Tensor, torch.Tensor]:
    """HU of soft tissue and air, and the distance to the skin, on the lattice."""
    coarse = []
    for plane in planes:
        span = float(plane[-1] - plane[0])
        count = max(int(np.ceil(span / TISSUE_STEP)) + 1, 2)
        coarse.append(torch.linspace(float(plane[0]), float(plane[-1]) + (1e-3 if span == 0 else 0), count).to(plane))
    points = torch.stack(torch.meshgrid(*coarse, indexing="ij")[::-1]) + pose.displacement(*coarse, soft=True)
    rest = pose.tissue_at_rest(points)
    shape = tuple(len(plane) for plane in planes)
    rest = F.interpolate(rest[None], size=shape, mode="trilinear", align_corners=True)[0]
    hu, body = soft_tissue(neck, tissue, rest, voxel)
    return finish_soft_tissue(hu, body, tissue, planes, voxel), body


def _with_surroundings(hu: torch.Tensor, body: torch.Tensor, tissue: Tissue, planes) -> torch.Tensor:
    """A table or head rest behind the body and a collar around the neck, where this study has them."""
    outside = body > 1
    if tissue.collar is not None:
        thickness, value = tissue.collar
        height = ((planes[0] > -60) & (planes[0] < 45))[:, None, None]
        hu = torch.where((body > 2) & (body < 2 + thickness) & height, torch.tensor(value, device=hu.device), hu)
    if tissue.table_gap is not None:
        rows = (body < 0).any(dim=2).any(dim=0).nonzero().flatten()
        if len(rows) and int(rows.max()) < len(planes[1]) - 1:
            depth = planes[1] - (planes[1][int(rows.max())] + tissue.table_gap)
            from_middle = (depth - TABLE_DEPTH / 2).abs()
            inside, shell = from_middle <= TABLE_DEPTH / 2, from_middle > TABLE_DEPTH / 2 - TABLE_SHELL
            value = torch.where(shell, torch.tensor(tissue.table_hu[0]), torch.tensor(tissue.table_hu[1]))
            hu = torch.where(inside[:, None] & outside & (hu < AIR + 200), value.to(hu)[:, None], hu)
    return hu


def _fillings(neck: Neck, pose: Pose, tissue: Tissue, generator: np.random.Generator) -> list[tuple[float, ...]]:
    """World points (mm) of metal fillings along the row of teeth, 45 to 75 mm in front of the jaw's joint."""
    places = generator.uniform(-1, 1, (tissue.fillings, 3))
    if not tissue.fillings or "mandible" not in neck.joints or "skull" not in pose.links:
        return []
    joint, link = np.array(neck.joints["mandible"]), pose.links["skull"]
    sides = np.where(places[:, :1] > 0, 1, -1)
    rest = joint + np.concatenate([22 * sides, -60 + 12 * places[:, 1:2], -38 + 3 * places[:, 2:]], axis=1)
    return [tuple(float(v) for v in link[:3, :3] @ point + link[:3, 3]) for point in rest]


def _in_view(neck: Neck, pose: Pose, planes, seen: np.ndarray) -> tuple[dict, dict]:
    """The share of each of C1...C7 within the scan, and the centroids of those in view (elastic warps aside)."""
    first = np.array([float(plane[0]) for plane in planes])
    step = np.array([float(plane[1] - plane[0]) if len(plane) > 1 else 1.0 for plane in planes])
    shares, centers = {}, {}
    for name in LEVEL_NAMES:
        bone = neck.bones[name]
        where = np.argwhere(bone.distance[::2, ::2, ::2] < 0) * 2
        points = where[:, ::-1] * bone.spacing + bone.origin
        matrix = pose.link_of(bone)
        points = points @ matrix[:3, :3].T + matrix[:3, 3]
        index = np.rint((points[:, ::-1] - first) / step).astype(int)
        inside = ((index >= 0) & (index < seen.shape)).all(axis=1)
        index = np.clip(index, 0, np.array(seen.shape) - 1)
        shares[name] = float((inside & seen[tuple(index.T)]).mean())
        if shares[name] > 0:
            centers[name] = tuple(float(v) for v in points.mean(axis=0))
    return shares, centers


def _described(field: FractureField, fracture: np.ndarray, volume: CTVolume) -> dict[str, Any]:
    """A fracture for the record: level, kind, parameters, its box (mm, LPS) and its voxels in view."""
    label = next(level.label for level in LEVELS if level.name == field.level)
    where = np.argwhere(fracture == label)
    box = None
    if len(where):
        ends = volume.to_points(np.array([where.min(axis=0) - 0.5, where.max(axis=0) + 0.5]))
        box = {"lower": ends.min(axis=0).tolist(), "upper": ends.max(axis=0).tolist()}
    return {
        "level": field.level,
        "kind": field.kind,
        "parameters": dict(field.parameters),
        "box": box,
        "voxels": len(where),
    }


__all__ = ["Grid", "Scanner", "SimulatedStudy", "Variation", "simulate_study"]
