"""A simulated neck CT whose vertebrae and fractures are known voxel by voxel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from neckfrac.anatomy import LEVEL_BY_NAME, LEVEL_NAMES
from neckfrac.volume import CTVolume

from .hardware.draw import Hardware, draw_hardware
from .hardware.parts import Scene
from .neck import Neck
from .pose import Pose, Variation, draw_pose
from .posed_surface import PosedSurface
from .render import Bones, Lattice, blend_bones, find_teeth, inner_points, render_bones, upsample
from .scanner import Scanner, acquire
from .surroundings import add_surroundings
from .tissue import Tissue, draw_tissue, finish_soft_tissue, soft_tissue

__all__ = ["Grid", "Scanner", "SimulatedStudy", "Variation", "simulate_study"]

# Warps are smooth: they are worked out on nodes this far apart (mm) and interpolated.
_NODES = 4.0
# Voxels rendered at once; bigger grids are rendered in slabs to keep memory low.
_AT_ONCE = 6_000_000
# Grids lower than this (mm) are slabs around a level, whose field of view is left whole.
_SLAB_HEIGHT = 100.0


@dataclass(frozen=True)
class Grid:
    """The lattice on which a study is sampled, its axes along the scanner's LPS axes.

    shape: voxels [z, y, x]. spacing: mm (z, y, x). center: which point of the posed neck is in the
    grid's middle: (level, offset (x, y, z) in mm from that level's body), "skull" and thoracic levels
    included; None for the level means halfway between the first and the last cervical vertebra.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    center: tuple[str | None, tuple[float, float, float]] = (None, (0.0, 0.0, 0.0))

    def planes(self, middle: np.ndarray, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Coordinates (mm) of the lattice's planes along z, y and x around a middle (x, y, z)."""
        z, y, x = (
            torch.from_numpy(((np.arange(n) - (n - 1) / 2) * s + c).astype(np.float32)).to(device)
            for n, s, c in zip(self.shape, self.spacing, middle[::-1], strict=True)
        )
        return z, y, x


@dataclass(frozen=True, eq=False)
class SimulatedStudy:
    """A simulated study and its truth, all on one lattice [z, y, x].

    volume: int16 HU. labels: uint8 classes of `neckfrac.anatomy`. fracture: uint8, 0 or the label of
    the level that is broken there. surface: bool, its thin part about what is broken (of lost height the depressed
    endplate alone), where it is known. shares: of each vertebra C1...C7, the share (0...1) inside the field
    of view. centers: LPS mm of each vertebra's body (also outside the grid). truth: JSON-ready record
    of seed, fractures with their boxes, mimics, pose, tissue, scanner and hardware. posed: the posed bones
    themselves, which the true measurements are taken from.
    """

    volume: CTVolume
    labels: np.ndarray
    fracture: np.ndarray
    shares: dict[str, float]
    centers: dict[str, tuple[float, float, float]]
    truth: dict[str, Any]
    surface: np.ndarray | None = None
    posed: PosedSurface | None = None


def simulate_study(
    neck: Neck,
    *,
    seed: int,
    grid: Grid,
    fractures: Sequence[Any] = (),
    mimics: Sequence[Any] = (),
    variation: Variation = Variation(),
    scanner: Scanner | None = None,
    device: torch.device = torch.device("cpu"),
) -> SimulatedStudy:
    """Pose a neck, break it, and scan it.

    fractures, mimics: `FractureField`s, of which only the first count as truth. scanner: None draws one
    from the seed; grids lower than 100 mm then keep their whole field of view. The same arguments give
    the same voxels; the same seed on another grid shows the same person. When `variation.mirror` is
    True (or drawn so) left and right change places, in the voxels and in all of the truth; the fractures'
    own parameters stay as they were given and ``truth["mirrored"]`` says so.
    Raises ValueError when a fracture's level is not in the neck.
    """
    for field in (*fractures, *mimics):
        if field.level not in neck.frames or field.level not in neck.bones:
            raise ValueError(f"the neck has no vertebra {field.level!r} to break")
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(abs(int(seed))).spawn(6)]
    pose, tissue = draw_pose(neck, variation, streams[0]), draw_tissue(neck, variation, streams[1])
    if scanner is None:
        scanner = Scanner.random(streams[2], cuts=grid.shape[0] * grid.spacing[0] >= _SLAB_HEIGHT)
    mirrored = bool(streams[4].random() < 0.5) if variation.mirror is None else variation.mirror
    level, offset = grid.center
    offset = np.array(offset) * ((-1, 1, 1) if mirrored else (1, 1, 1))
    middle = offset + (pose.center(level) if level else pose.middle())
    planes = grid.planes(middle, device)
    fillings = _fillings(neck, pose, tissue, streams[1])
    # What is worn and implanted is made for necks.
    hardware = draw_hardware(neck, pose, tissue, variation, streams[5]) if "C2" in neck.frames else Hardware()
    hu, labels, fracture, surface = _render(neck, pose, tissue, planes, fractures, mimics, fillings, hardware)
    c7 = pose.center("C7")[2] if "C7" in pose.links else planes[0][0].item()
    metal = streams[5] if hardware.metal else None
    voxels = acquire(hu, scanner, grid.spacing, planes, float(c7), fillings, streams[3], metal).cpu().numpy()
    seen = scanner.seen(grid.shape, grid.spacing)
    labels, fracture = (np.where(seen, part.cpu().numpy(), 0).astype(np.uint8) for part in (labels, fracture))
    surface = surface.cpu().numpy() & seen
    shares = _shares(neck, pose, grid, middle, seen)
    centers = {name: pose.center(name) for name in pose.links if name != "skull"}
    affine = np.diag([*grid.spacing[::-1], 1.0])
    affine[:3, 3] = [float(plane[0]) for plane in planes[::-1]]
    if mirrored:
        voxels, labels, fracture, surface = (
            np.ascontiguousarray(part[..., ::-1]) for part in (voxels, labels, fracture, surface)
        )
        affine[0, 3] = -float(planes[2][-1])
        centers = {name: point * (-1, 1, 1) for name, point in centers.items()}
    volume = CTVolume(voxels, affine)
    truth = {
        "seed": int(seed), "source": neck.source, "mirrored": mirrored,
        "fractures": [_record(field, volume, fracture) for field in fractures],
        "mimics": [_record(field, volume, None) for field in mimics],
        "pose": pose.truth, "tissue": tissue.truth(), "scanner": scanner.truth(),
        "hardware": list(hardware.record),
    }
    centers = {name: tuple(float(v) for v in point) for name, point in centers.items()}
    posed = PosedSurface(neck, pose, tissue, fractures, mimics, mirrored) if "C2" in neck.frames else None
    return SimulatedStudy(volume, labels, fracture, shares, centers, truth, surface, posed)


def _node_planes(planes: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Planes about 4 mm apart that span the lattice from its first to its last plane."""
    result = []
    for plane in planes:
        first, last = float(plane[0]), float(plane[-1])
        count = min(len(plane), int(np.ceil((last - first) / _NODES)) + 1)
        result.append(torch.linspace(first, last, max(count, 2), device=plane.device))
    return tuple(result)


def _render(
    neck: Neck, pose: Pose, tissue: Tissue, planes: tuple[torch.Tensor, ...], fractures: Sequence[Any],
    mimics: Sequence[Any], fillings: list[tuple[float, float, float]], hardware: Hardware,
) -> tuple[torch.Tensor, ...]:
    """True HU (float32), labels, fracture (uint8) and its surface (bool) on the whole lattice, slab by slab."""
    rows = max(_AT_ONCE // (len(planes[1]) * len(planes[2])), 8)
    parts = []
    for first in range(0, len(planes[0]), rows):
        slab = (planes[0][first : first + rows], *planes[1:])
        parts.append(_render_slab(neck, pose, tissue, slab, planes, fractures, mimics, fillings, hardware))
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def _render_slab(
    neck: Neck, pose: Pose, tissue: Tissue, planes: tuple[torch.Tensor, ...], whole: tuple[torch.Tensor, ...],
    fractures: Sequence[Any], mimics: Sequence[Any], fillings: list[tuple[float, float, float]], hardware: Hardware,
) -> tuple[torch.Tensor, ...]:
    shape = tuple(len(plane) for plane in planes)
    # The mean of the three spacings: the width over which a surface of any direction fills a voxel.
    voxel = float(np.mean([abs(float(p[1] - p[0])) for p in whole]))
    nodes = _node_planes(planes)
    where = torch.stack(torch.meshgrid(*nodes, indexing="ij"))[[2, 1, 0]]
    warp = pose.displacement(*nodes)
    soft = where + pose.displacement(*nodes, soft=True)
    lattice = Lattice(planes, nodes, warp)
    bones = render_bones(neck, pose, tissue, lattice, fractures, mimics)
    rest = upsample(pose.tissue_at_rest(soft), shape)
    hu, body, muscle = soft_tissue(neck, tissue, rest, voxel)
    # Skin covers every bone, wherever jaw and shoulders have moved. Distances to bone end at 7.9 mm.
    body = torch.where(bones.distance < 6.0, body.minimum(bones.distance - 4.0), body)
    hu = finish_soft_tissue(hu, body, muscle, tissue, planes, voxel)
    hu = add_surroundings(hu, body, pose, tissue, planes)
    hu = blend_bones(hu, bones, neck, tissue, planes, voxel)
    hu = _fill_teeth(hu, bones, fillings, planes)
    if hardware.layers:
        posed = lattice.points().view(3, *shape)
        hardware.paint(Scene(hu, bones.label, planes, voxel, posed, rest, body, bones.distance))
    return hu, bones.label, bones.fracture, bones.surface


def _fillings(
    neck: Neck, pose: Pose, tissue: Tissue, generator: np.random.Generator
) -> list[tuple[float, float, float]]:
    """World points (mm) of metal fillings, in the upper edge of the mandible's side teeth."""
    teeth = find_teeth(neck)
    if teeth is None or not tissue.fillings:
        return []
    bone = next(b for name, b in neck.bones.items() if "mandible" in name)
    points = inner_points(bone, 2)
    points = points[(points[:, 2] > teeth.bite - 6) & (points[:, 1] < teeth.back)]
    points = points[points[:, 1] > teeth.back - 30] if (points[:, 1] > teeth.back - 30).any() else points
    if not len(points):
        return []
    chosen = points[generator.integers(len(points), size=tissue.fillings)]
    matrix = pose.link_of(bone)
    return [tuple(float(v) for v in p) for p in chosen @ matrix[:3, :3].T + matrix[:3, 3]]


def _fill_teeth(
    hu: torch.Tensor, bones: Bones, fillings: list[tuple[float, float, float]], planes: tuple[torch.Tensor, ...]
) -> torch.Tensor:
    z, y, x = planes
    for fx, fy, fz in fillings:
        square = ((z - fz) ** 2)[:, None, None] + ((y - fy) ** 2)[:, None] + ((x - fx) ** 2)
        hu = torch.where((square < 7.0) & (bones.distance < 1.5), 6000.0, hu)
    return hu


def _shares(neck: Neck, pose: Pose, grid: Grid, middle: np.ndarray, seen: np.ndarray) -> dict[str, float]:
    """Share of each vertebra's volume whose voxels have data; elastic warps (a few mm at most) aside."""
    seen = np.broadcast_to(seen, grid.shape)
    shares = {}
    for name in LEVEL_NAMES:
        if name not in neck.bones:
            shares[name] = 0.0
            continue
        matrix = pose.link_of(neck.bones[name])
        world = inner_points(neck.bones[name], 2) @ matrix[:3, :3].T + matrix[:3, 3]
        index = np.rint((world - middle)[:, ::-1] / grid.spacing + (np.array(grid.shape) - 1) / 2).astype(int)
        inside = ((index >= 0) & (index < grid.shape)).all(1)
        shares[name] = float(seen[tuple(index[inside].T)].sum() / max(len(index), 1))
    return shares


def _record(field: Any, volume: CTVolume, fracture: np.ndarray | None) -> dict[str, Any]:
    """A fracture's or mimic's line in the truth; its box (LPS mm, lower and upper corner) where it is seen."""
    record = {"level": field.level, "kind": field.kind, "parameters": dict(getattr(field, "parameters", {}))}
    if fracture is None:
        return record
    where = np.argwhere(fracture == LEVEL_BY_NAME[field.level].label)
    record["box"] = None
    if len(where):
        lower, upper = volume.to_points(where.min(0) - 0.5), volume.to_points(where.max(0) + 0.5)
        record["box"] = {"lower": [float(v) for v in lower], "upper": [float(v) for v in upper]}
    return record
