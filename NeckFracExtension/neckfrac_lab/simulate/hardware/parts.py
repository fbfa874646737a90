"""Simple solids that a scanner sees besides a body, and how they are painted into its HU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ..noise import SmoothNoise, smoothstep

Point = Sequence[float]
# Blocks of voxels (mm) of which it is asked first whether anything of a hose is near.
_BLOCK = 5.0


@dataclass(eq=False)
class Scene:
    """What is already there, on one lattice [z, y, x].

    planes: z, y, x (mm). voxel: mean spacing (mm). posed: sampling positions among the posed bones,
    rest: positions in the soft tissue at rest, both [3 (x, y, z), z, y, x] in mm. body: distance (mm) to
    the skin, negative inside. bone: distance (mm) to the nearest bone, negative inside.
    """

    hu: torch.Tensor
    label: torch.Tensor
    planes: tuple[torch.Tensor, ...]
    voxel: float
    posed: torch.Tensor
    rest: torch.Tensor
    body: torch.Tensor
    bone: torch.Tensor
    # How far (mm) elastic warps may move a sampling position; what is known of paths.
    reach: float = field(init=False)
    _known: dict = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        ends = [float((self.posed[2 - axis].movedim(axis, 0).flatten(1).amin(1) - plane).abs().max())
                for axis, plane in enumerate(self.planes)]
        others = [float((self.posed[2 - axis].movedim(axis, 0).flatten(1).amax(1) - plane).abs().max())
                  for axis, plane in enumerate(self.planes)]
        self.reach = max(*ends, *others)

    def box(self, low: np.ndarray, high: np.ndarray) -> tuple[slice, ...] | None:
        """The voxels between two corners (x, y, z) in mm, warps allowed for; None when there are none."""
        margin, parts = self.voxel + self.reach, []
        for plane, a, b in zip(self.planes, low[::-1], high[::-1], strict=True):
            step = float(plane[1] - plane[0])
            first = max(int(np.ceil((a - margin - float(plane[0])) / step)), 0)
            last = min(int(np.floor((b + margin - float(plane[0])) / step)) + 1, len(plane))
            if last <= first:
                return None
            parts.append(slice(first, last))
        return tuple(parts)

    def from_path(self, path: np.ndarray, margin: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Flat indices of voxels and their squared distance (mm^2) from a path through tissue at rest.

        All voxels within `margin` (mm) are among them. A wall and its lumen, on one path, ask only once.
        """
        kept = self._known.get(id(path))
        if kept is None or kept[0] < margin:
            where = self.near(path, margin)
            kept = margin, where, square_distance(self.rest.view(3, -1)[:, where], path)
            self._known = {id(path): kept}
        return kept[1], kept[2]

    def near(self, path: np.ndarray, margin: float) -> torch.Tensor:
        """Flat indices of the voxels that may lie within `margin` (mm) of a path [n, 3] through tissue at rest."""
        # Asked of the middle of blocks of a few voxels first: whole blocks are far away nearly everywhere.
        steps = [abs(float(plane[1] - plane[0])) for plane in self.planes]
        sizes = [max(int(round(_BLOCK / step)), 1) for step in steps]
        rest = self.rest
        for axis, size in enumerate(sizes):
            count = rest.shape[axis + 1]
            middle = (torch.arange(0, count, size, device=rest.device) + size // 2).clamp(max=count - 1)
            rest = rest.index_select(axis + 1, middle)
        # Tissue at rest may be a quarter larger or smaller than as it is posed.
        corner = 1.25 * float(np.linalg.norm([size * step / 2 for size, step in zip(sizes, steps, strict=True)]))
        close = square_distance(rest.reshape(3, -1), path) < (margin + corner) ** 2
        close = close.view(rest.shape[1:])
        for axis, size in enumerate(sizes):
            close = close.repeat_interleave(size, axis).narrow(axis, 0, self.rest.shape[axis + 1])
        return close.flatten().nonzero()[:, 0]


def square_distance(points: torch.Tensor, path: np.ndarray) -> torch.Tensor:
    """Squared distance (mm^2) [m] of points [3, m] to a path of straight pieces through [n, 3]."""
    square = torch.full(points.shape[1:], 1e9, device=points.device)
    for start, end in zip(path[:-1], path[1:], strict=True):
        along = np.asarray(end, float) - start
        away = [points[n] - float(start[n]) for n in range(3)]
        share = sum(away[n] * float(along[n]) for n in range(3)) / max(float(along @ along), 1e-6)
        share = share.clamp(0, 1)
        square = square.minimum(sum((away[n] - share * float(along[n])) ** 2 for n in range(3)))
    return square


def fill(distance: torch.Tensor, voxel: float) -> torch.Tensor:
    """Share of a voxel inside a surface at a signed distance (mm)."""
    return (0.5 - distance / voxel).clamp(0, 1)


def fill_round(distance: torch.Tensor, radius: float, voxel: float) -> torch.Tensor:
    """Share of a voxel inside a round rod at a distance (mm) from its axis.

    Rods thinner than a voxel are spread over it and dimmed so that their mass stays: the integral of
    `fill` across a rod is pi (radius^2 + voxel^2 / 12).
    """
    wide = max(radius, voxel / 2)
    return fill(distance - wide, voxel) * (radius**2 / (wide**2 + voxel**2 / 12))


@dataclass(frozen=True)
class Rod:
    """A round rod with round ends from start to end (mm, among the posed bones)."""

    start: Point
    end: Point
    radius: float

    def add(self, scene: Scene, total: torch.Tensor) -> None:
        """Raise `total` [z, y, x] to this solid's share of every voxel."""
        start, end = np.asarray(self.start, float), np.asarray(self.end, float)
        box = scene.box(np.minimum(start, end) - self.radius, np.maximum(start, end) + self.radius)
        if box is None:
            return
        points, along = scene.posed[(slice(None), *box)], end - start
        away = [points[n] - float(start[n]) for n in range(3)]
        share = sum(away[n] * float(along[n]) for n in range(3)) / max(float(along @ along), 1e-6)
        share = share.clamp(0, 1)
        square = sum((away[n] - share * float(along[n])) ** 2 for n in range(3))
        filled = fill_round(square.sqrt(), self.radius, scene.voxel)
        torch.maximum(total[box], filled, out=total[box])


@dataclass(frozen=True)
class Block:
    """A box (round False) or the ellipsoid in it; rows of `axes` are its directions, half its half sizes (mm)."""

    center: Point
    axes: np.ndarray
    half: Point
    round: bool = False

    def add(self, scene: Scene, total: torch.Tensor) -> None:
        """Raise `total` [z, y, x] to this solid's share of every voxel."""
        center, axes, half = np.asarray(self.center, float), np.asarray(self.axes, float), np.asarray(self.half, float)
        size = np.maximum(half, scene.voxel / 2)
        extent = np.abs(axes * size[:, None]).sum(0)
        box = scene.box(center - extent, center + extent)
        if box is None:
            return
        points = scene.posed[(slice(None), *box)]
        away = [points[n] - float(center[n]) for n in range(3)]
        local = [sum(away[n] * float(row[n]) for n in range(3)) for row in axes]
        if self.round:
            scaled = sum((part / float(s)) ** 2 for part, s in zip(local, size, strict=True)).sqrt()
            distance = (scaled - 1) * float(size.min())
        else:
            beyond = [part.abs() - float(s) for part, s in zip(local, size, strict=True)]
            distance = torch.maximum(torch.maximum(beyond[0], beyond[1]), beyond[2])
        filled = fill(distance, scene.voxel) * float(np.prod(half / size))
        torch.maximum(total[box], filled, out=total[box])


@dataclass(frozen=True)
class Tube:
    """A round hose through points [n, 3] (mm) of the soft tissue at rest."""

    path: np.ndarray
    radius: float

    def add(self, scene: Scene, total: torch.Tensor) -> None:
        """Raise `total` [z, y, x] to this solid's share of every voxel."""
        where, square = scene.from_path(self.path, self.radius + scene.voxel)
        if not len(where):
            return
        filled = fill_round(square.sqrt(), self.radius, scene.voxel)
        flat = total.view(-1)
        flat[where] = flat[where].maximum(filled)


@dataclass(frozen=True, eq=False)
class Pockets:
    """Gas that tracks along fascia: thin sheets within a ball of the soft tissue at rest.

    sheets: a field whose sign changes are the fascial planes. patches: where along them there is gas.
    """

    center: Point
    radius: float
    sheets: SmoothNoise
    patches: SmoothNoise
    thickness: float

    def add(self, scene: Scene, total: torch.Tensor) -> None:
        """Raise `total` [z, y, x] to this gas's share of every voxel."""
        away = sum((scene.rest[n] - float(self.center[n])) ** 2 for n in range(3)).sqrt()
        # Gas spreads in fat and between muscles; the skin stays.
        inside = (away < self.radius) & (scene.body < -4) & (scene.hu < 90)
        if not inside.any():
            return
        sheets, patches = (field.on_lattice(*scene.planes)[0] for field in (self.sheets, self.patches))
        slope = self.sheets.spacing / 1.6
        fatty = smoothstep((30 - scene.hu) / 60)
        thick = self.thickness * (patches + 1.1 * (1 - away / self.radius) - 0.5 + 0.6 * fatty).clamp(-1, 1.3)
        filled = fill(sheets.abs() * slope - thick, scene.voxel) * (thick > 0) * inside
        torch.maximum(total, filled, out=total)


@dataclass(frozen=True)
class Layer:
    """Solids of one material, painted together.

    spares_bone: only what is not bone takes it; spares_body: only the air around the body does. label:
    class of `neckfrac.anatomy` that voxels mostly of it get when they had none.
    """

    hu: float
    parts: tuple
    spares_bone: bool = False
    spares_body: bool = False
    label: int = 0

    def paint(self, scene: Scene) -> None:
        """Put the layer into `scene.hu`, each voxel by its share."""
        total = torch.zeros_like(scene.hu)
        for part in self.parts:
            part.add(scene, total)
        where = total.flatten().nonzero()[:, 0]
        if not len(where):
            return
        share, flat = total.view(-1)[where], scene.hu.view(-1)
        if self.spares_bone:
            share = share * (0.5 + scene.bone.reshape(-1)[where] / scene.voxel).clamp(0, 1)
        if self.spares_body:
            share = share * (0.5 + scene.body.reshape(-1)[where] / scene.voxel).clamp(0, 1)
        flat[where] = torch.lerp(flat[where], torch.full_like(share, self.hu), share)
        if self.label:
            labels, solid = scene.label.view(-1), where[share > 0.5]
            labels[solid] = torch.where(labels[solid] == 0, self.label, labels[solid]).to(labels.dtype)
