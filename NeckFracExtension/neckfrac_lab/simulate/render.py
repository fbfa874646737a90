"""Bones in place: posed signed distances, fractures carved into them, and who owns every voxel."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from neckfrac.anatomy import SKULL
from torch.nn import functional as F  # noqa: N812

from .neck import DISTANCE_SCALE, Bone, Neck
from .noise import smoothstep
from .pose import Pose, apply
from .tissue import AIR, Tissue, bone_hu, sample

# Distances beyond this (mm) are not kept in a Bone.
FAR = 126 / DISTANCE_SCALE
_GIRDLE = ("clavicle", "scapula", "humerus")
# A fracture's truth reaches this far (mm) around the bone as it was before it broke.
TRUTH_REACH = 1.0
# Gaps narrower than twice this (mm) still belong to their vertebra's label, as a reader would draw it.
CLOSED_GAP = 0.75
# A voxel is looked at when its nearest node (at most 3.5 mm away) is nearer than this (mm) to the bone.
_NEAR = 6.5


@dataclass(frozen=True, eq=False)
class Bones:
    """All bones on one lattice, [z, y, x].

    distance: mm to the nearest bone, negative inside. depth: mm below the surface before fractures.
    label: class of the nearest bone where it is one, else 0. owner: index of the nearest bone.
    fracture: level label of the truth. surface: whether a voxel lies in the thin band about what is broken.
    haematoma: 0...1. extra: HU to add to bone. cells: 0...1 air cells. tooth: 0...1.
    """

    distance: torch.Tensor
    depth: torch.Tensor
    label: torch.Tensor
    owner: torch.Tensor
    fracture: torch.Tensor
    surface: torch.Tensor
    haematoma: torch.Tensor
    extra: torch.Tensor
    cells: torch.Tensor
    tooth: torch.Tensor


@dataclass(frozen=True)
class Teeth:
    """Where teeth are at rest: the bite's height, how far back (y) and wide (half, mm) they go."""

    bite: float
    back: float
    half_width: float


_teeth_cache: weakref.WeakKeyDictionary[Neck, Teeth | None] = weakref.WeakKeyDictionary()


def inner_points(bone: Bone, step: int = 1) -> np.ndarray:
    """Rest points (x, y, z) mm [n, 3] of a bone's voxels inside it."""
    index = np.argwhere(bone.distance[::step, ::step, ::step] < 0)[:, ::-1] * step
    return index * bone.spacing + np.array(bone.origin)


def find_teeth(neck: Neck) -> Teeth | None:
    """Where the teeth of a neck's mandible stand: the top of its front two thirds. None without a mandible."""
    if neck not in _teeth_cache:
        bone = next((b for name, b in neck.bones.items() if "mandible" in name), None)
        points = np.zeros((0, 3)) if bone is None else inner_points(bone, 2)
        found = None
        if len(points):
            y, z = points[:, 1], points[:, 2]
            front = y < y.min() + 0.55 * np.ptp(y)
            chin = front & (y < y.min() + 0.2 * np.ptp(y))
            half_width = float(np.abs(points[front, 0]).max())
            found = Teeth(float(np.quantile(z[chin], 0.995)), float(y[front].max()), half_width)
        _teeth_cache[neck] = found
    return _teeth_cache[neck]


@dataclass(frozen=True, eq=False)
class Lattice:
    """Where to render: planes z, y, x (mm) of the voxels, and of nodes a few mm apart that span them.

    warp: displacement of the sampling position at the nodes, [3 (x, y, z), z, y, x] in mm.
    """

    planes: tuple[torch.Tensor, ...]
    nodes: tuple[torch.Tensor, ...]
    warp: torch.Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(plane) for plane in self.planes)

    def points(self) -> torch.Tensor:
        """Sampling positions of all voxels, [3 (x, y, z), voxels] in mm."""
        points = upsample(self.warp, self.shape)
        z, y, x = self.planes
        points[0] += x
        points[1] += y[:, None]
        points[2] += z[:, None, None]
        return points.view(3, -1)

    def nearest_node(self) -> list[torch.Tensor]:
        """By axis z, y, x: the index of each plane's nearest node."""
        result = []
        for plane, nodes in zip(self.planes, self.nodes, strict=True):
            step = (nodes[-1] - nodes[0]) / max(len(nodes) - 1, 1)
            place = torch.zeros_like(plane) if float(step) == 0 else (plane - nodes[0]) / step
            result.append(place.round().long().clamp(0, len(nodes) - 1))
        return result


def upsample(nodes: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Values at nodes [channels, z, y, x] linearly interpolated to `shape`, ends on ends."""
    return F.interpolate(nodes[None], size=shape, mode="trilinear", align_corners=True)[0]


def _candidates(
    bone: Bone, pose: Pose, lattice: Lattice, nearest: list[torch.Tensor], margin: float,
    near: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Flat indices of the voxels whose nearest node is near the bone; `near` tells distance (mm) at rest."""
    size = (np.array(bone.distance.shape[::-1]) - 1) * bone.spacing
    # Crops hold 8.5 mm around their bone, of which 6 are not needed.
    low, high = np.array(bone.origin) + 6.0, np.array(bone.origin) + size - 6.0
    if any(word in bone.name for word in _GIRDLE):
        low[2], high[2] = low[2] + min(*pose.girdle, 0), high[2] + max(*pose.girdle, 0)
    corners = np.array([[(low, high)[(n >> a) & 1][a] for a in range(3)] for n in range(8)])
    matrix = pose.link_of(bone)
    world = corners @ matrix[:3, :3].T + matrix[:3, 3]
    low, high = world.min(0) - margin, world.max(0) + margin
    box = [_range(nodes, low[2 - axis], high[2 - axis]) for axis, nodes in enumerate(lattice.nodes)]
    empty = torch.zeros(0, dtype=torch.long, device=lattice.warp.device)
    if any(part.stop <= part.start for part in box):
        return empty
    z, y, x = (nodes[part] for nodes, part in zip(lattice.nodes, box, strict=True))
    points = lattice.warp[(slice(None), *box)].clone()
    points[0] += x
    points[1] += y[:, None]
    points[2] += z[:, None, None]
    mask = near(points.view(3, -1)).view(points.shape[1:]) < _NEAR
    if not mask.any():
        return empty
    place, firsts = [], []
    for axis in range(3):
        inside = ((nearest[axis] >= box[axis].start) & (nearest[axis] < box[axis].stop)).nonzero()[:, 0]
        if not len(inside):
            return empty
        firsts.append(int(inside[0]))
        place.append(nearest[axis][inside] - box[axis].start)
    chosen = mask[place[0]][:, place[1]][:, :, place[2]].nonzero()
    _, height, width = lattice.shape
    return ((chosen[:, 0] + firsts[0]) * height + chosen[:, 1] + firsts[1]) * width + chosen[:, 2] + firsts[2]


def _range(plane: torch.Tensor, low: float, high: float) -> slice:
    inside = ((plane >= low) & (plane <= high)).nonzero()
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)


def _distance_at(bone: Bone, rest: torch.Tensor) -> torch.Tensor:
    """Signed distance (mm) of one bone at rest points [3, ...]; far outside its crop."""
    volume = 126.0 - torch.from_numpy(bone.distance).to(rest.device).float()
    index = torch.stack([(rest[n] - bone.origin[n]) / bone.spacing for n in range(3)])
    return FAR - sample(volume[None], index, "zeros")[0] / DISTANCE_SCALE


def _break(
    bone: Bone, neck: Neck, rest: torch.Tensor, fields: Sequence[Any], mimics: Sequence[Any],
) -> tuple[torch.Tensor, ...]:
    """A broken bone: (distance, depth distance, truth region and surface 0/1, gap distance, HU to add)."""
    frame = neck.frames[fields[0].level if fields else mimics[0].level]
    rows = torch.tensor(frame.axes, dtype=torch.float32, device=rest.device)
    center = torch.tensor(frame.center, dtype=torch.float32, device=rest.device)
    local = (rest.movedim(0, -1) - center) @ rows.T
    move, gap = torch.zeros_like(local), torch.full_like(local[..., 0], FAR)
    region, surface, extra, added = torch.zeros_like(gap), torch.zeros_like(gap), torch.zeros_like(gap), None
    for number, field in enumerate((*fields, *mimics)):
        effect = field(local)
        move += effect.displacement
        gap = gap.minimum(effect.gap)
        if number < len(fields):
            region, surface = region.maximum(effect.region), surface.maximum(effect.surface)
        if effect.added is not None:
            added = effect.added if added is None else added.minimum(effect.added)
        if effect.sclerosis is not None:
            extra += effect.sclerosis
    whole = _distance_at(bone, ((local + move) @ rows + center).movedim(-1, 0))
    if added is not None:
        whole = whole.minimum(added)
    near = whole < TRUTH_REACH
    return whole.maximum(-gap), whole, (region > 0.5) & near, (surface > 0.5) & near, gap, extra


def render_bones(
    neck: Neck, pose: Pose, tissue: Tissue, lattice: Lattice, fractures: Sequence[Any], mimics: Sequence[Any]
) -> Bones:
    """Every bone of the neck on a lattice. Where bones overlap, the one in which a voxel lies deepest owns it."""
    shape, device = lattice.shape, lattice.warp.device
    count = int(np.prod(shape))

    def full(value: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.full((count,), value, dtype=dtype, device=device)

    nearest, distance, owner = full(FAR), full(FAR), full(0, torch.int32)
    label, fracture, surface = full(0, torch.uint8), full(0, torch.uint8), full(False, torch.bool)
    haematoma, extra, cells, tooth = full(0), full(0), full(0), full(0)
    offset, rough, grain = pose.surface
    roughness = full(offset).view(shape)
    for amount, name in ((rough, "rough"), (grain, "grain")):
        if amount:
            roughness += amount * tissue.noises[name].on_lattice(*lattice.planes)[0]
    roughness, points, nodes = roughness.view(-1), lattice.points(), lattice.nearest_node()
    reach = 2.0 + 3.0 * sum(amount for _, amount in pose.warps) + abs(offset)
    for number, bone in enumerate(neck.bones.values()):
        own = [f for f in fractures if f.level == bone.name]
        look_alikes = [f for f in mimics if f.level == bone.name]
        inverse = np.linalg.inv(pose.link_of(bone))
        moves = any(word in bone.name for word in _GIRDLE)

        def at_rest(world: torch.Tensor, inverse=inverse, moves=moves) -> torch.Tensor:
            rest = apply(inverse, world)
            return pose.lift_girdle(rest) if moves else rest

        def near(world: torch.Tensor, bone=bone, own=own, look_alikes=look_alikes, at_rest=at_rest) -> torch.Tensor:
            whole = _distance_at(bone, at_rest(world))
            if own or look_alikes:
                # Fragments may have moved away from where the bone was: take both, with room to spare.
                whole = whole.minimum(_break(bone, neck, at_rest(world), own, look_alikes)[1]) - 1.2
            return whole

        where = _candidates(bone, pose, lattice, nodes, reach + (12.0 if own or look_alikes else 0.0), near)
        if not len(where):
            continue
        rest, uneven = at_rest(points[:, where]), roughness[where]
        if own or look_alikes:
            carved, whole, truth, thin, gap, hard = _break(bone, neck, rest, own, look_alikes)
            whole = whole + uneven
            carved = (carved + uneven).maximum(-gap)
        else:
            carved = whole = _distance_at(bone, rest) + uneven
            truth = thin = gap = hard = None
        before = nearest[where]
        distance[where] = distance[where].minimum(carved)
        wins = whole < before
        where, rest, carved, whole = where[wins], rest[:, wins], carved[wins], whole[wins]
        distance[where] = carved
        nearest[where], owner[where] = whole, number
        solid = carved < 0
        if gap is None:
            haematoma[where], extra[where], fracture[where], surface[where] = 0.0, 0.0, 0, False
        else:
            gap = gap[wins]
            solid |= (whole < 0) & (gap > -CLOSED_GAP)
            haematoma[where] = ((0.5 - gap) * (whole < 1.5)).clamp(0, 1)
            extra[where] = hard[wins]
            fracture[where] = truth[wins].to(torch.uint8) * bone.label
            surface[where] = thin[wins]
        label[where] = solid.to(torch.uint8) * bone.label
        cells[where], tooth[where] = 0.0, 0.0
        teeth = find_teeth(neck) if bone.label == SKULL or "mandible" in bone.name else None
        if teeth is not None:
            tooth[where] = _teeth(teeth, rest, bone.label == SKULL)
        if bone.label == SKULL and "skull" in neck.joints:
            cells[where] = _air_cells(neck.joints["skull"], rest, -whole)
    maps = (distance, -nearest, label, owner, fracture, surface, haematoma, extra, cells, tooth)
    return Bones(*(part.view(shape) for part in maps))


def _teeth(teeth: Teeth, rest: torch.Tensor, upper: bool) -> torch.Tensor:
    """Share of tooth (0...1) at rest points: a band above or below the bite, broken up between teeth."""
    height = (rest[2] - teeth.bite) if upper else (teeth.bite - rest[2])
    band = smoothstep((9 - height.abs()) / 4) * (rest[1] < teeth.back) * (rest[0].abs() < teeth.half_width)
    # Teeth are about 8 mm wide, side by side in front and one behind the other along the cheeks.
    along = torch.where(rest[0].abs() < 0.55 * teeth.half_width, rest[0], rest[1])
    return band * (0.4 + 0.6 * smoothstep((torch.sin(along * (2 * np.pi / 8.0)) + 0.9) / 0.7))


def _air_cells(joint: tuple[float, float, float], rest: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    """Share of air (0...1): mastoid cells behind and beside the joint of skull and atlas."""
    side, back, up = (rest[n] - joint[n] for n in range(3))
    place = smoothstep((side.abs() - 32) / 8) * smoothstep((12 - (back - 2).abs()) / 6)
    place *= smoothstep((18 - (up - 12).abs()) / 8)
    # Cells of about 4 mm between thin walls.
    bubbles = torch.sin(1.5 * rest[0]) + torch.sin(1.3 * rest[1] + rest[0]) + torch.sin(1.4 * rest[2] - rest[1])
    return place * smoothstep((bubbles + 0.7) / 0.8) * smoothstep((depth - 0.8) / 0.8)


def blend_bones(
    hu: torch.Tensor, bones: Bones, neck: Neck, tissue: Tissue, planes: tuple[torch.Tensor, ...], voxel: float,
) -> torch.Tensor:
    """HU [z, y, x] of soft tissue with the bones put in, each voxel by its share of bone."""
    share = (0.5 - bones.distance / voxel).clamp(0, 1)
    hu = torch.lerp(hu, torch.full_like(hu, 45.0), bones.haematoma)
    where = (share > 0).flatten().nonzero()[:, 0]
    if not len(where):
        return hu
    names = ("coarse", "middle", "fine", "cortex")
    noise = {name: tissue.noises[name].on_lattice(*planes)[0].flatten()[where] for name in names}
    factors = torch.tensor([tissue.bone_factors[name] for name in neck.bones], device=hu.device)
    owner, depth = bones.owner.flatten()[where].long(), bones.depth.flatten()[where]
    own = factors[owner, 0], factors[owner, 1]
    bone = bone_hu(depth, own, tissue, noise, voxel) + bones.extra.flatten()[where]
    tooth = bones.tooth.flatten()[where]
    bone = torch.lerp(bone, 1700 + 500 * noise["cortex"].clamp(-1, 1), 0.85 * tooth)
    bone = torch.lerp(bone, torch.full_like(bone, 0.8 * AIR), bones.cells.flatten()[where])
    flat = hu.flatten()
    flat[where] = torch.lerp(flat[where], bone, share.flatten()[where])
    return flat.view_as(hu)
