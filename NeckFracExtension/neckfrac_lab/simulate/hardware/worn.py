"""What lies on a patient's skin or around it: electrodes, cables, staples, jewellery, cloth, arms, a halo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from neckfrac.anatomy import OTHER_BONE

from ..neck import Neck
from ..noise import SmoothNoise
from ..pose import Pose
from ..render import find_teeth
from .parts import Layer, Rod, Scene, Tube, fill, fill_round, square_distance
from .passages import find_passages


@dataclass(frozen=True, eq=False)
class SkinPath:
    """A wire on the skin, or a disc where the path is one point.

    path: points (x, 0, z) mm at rest as seen from the front. front: on the front of the body, else on its
    back, which begins at `middle` (y, mm at rest). lift: mm between the skin and the wire's axis.
    flat: None for a wire; else the thickness (mm) of a disc or band of half width `radius`.
    """

    path: np.ndarray
    radius: float
    middle: float
    front: bool = True
    lift: float = 0.0
    flat: float | None = None

    def add(self, scene: Scene, total: torch.Tensor) -> None:
        """Raise `total` [z, y, x] to this share of every voxel."""
        thick = self.radius if self.flat is None else self.flat / 2
        away = (scene.body - self.lift).abs()
        ahead = scene.rest[1] < self.middle if self.front else scene.rest[1] > self.middle
        where = ((away < thick + scene.voxel) & ahead).flatten().nonzero()[:, 0]
        points = scene.rest.view(3, -1)[:, where].clone()
        points[1] = 0.0
        path = self.path if len(self.path) > 1 else np.repeat(self.path, 2, 0)
        square, away = square_distance(points, path), away.reshape(-1)[where]
        if self.flat is None:
            share = fill_round((square + away**2).sqrt(), self.radius, scene.voxel)
        else:
            wide = max(self.flat / 2, scene.voxel / 2)
            distance = torch.maximum(square.sqrt() - self.radius, away - wide)
            share = fill(distance, scene.voxel) * (self.flat / 2 / wide)
        flat = total.view(-1)
        flat[where] = flat[where].maximum(share)


@dataclass(frozen=True)
class Loop:
    """A chain around the neck: where a tilted plane cuts the skin. height: mm at rest at y = `middle`."""

    height: float
    slope: float
    middle: float
    radius: float

    def add(self, scene: Scene, total: torch.Tensor) -> None:
        """Raise `total` [z, y, x] to this share of every voxel."""
        away = scene.body - self.radius
        where = (away.abs() < self.radius + scene.voxel).flatten().nonzero()[:, 0]
        _, y, z = scene.rest.view(3, -1)[:, where]
        off = (z - self.height - self.slope * (y - self.middle)) / float(np.hypot(1, self.slope))
        share = fill_round((off**2 + away.reshape(-1)[where] ** 2).sqrt(), self.radius, scene.voxel)
        flat = total.view(-1)
        flat[where] = flat[where].maximum(share)


@dataclass(frozen=True, eq=False)
class Cloth:
    """A sheet around the body: folds at `lift` (mm) from the skin, more or less by a field.

    below, behind: only below a height and behind a plane (mm in the world), where given.
    """

    lift: float
    thickness: float
    folds: SmoothNoise
    below: float | None = None
    behind: float | None = None

    def add(self, scene: Scene, total: torch.Tensor) -> None:
        """Raise `total` [z, y, x] to this share of every voxel."""
        z, y, _ = scene.planes
        here = torch.ones(total.shape[0], total.shape[1], 1, dtype=torch.bool, device=total.device)
        if self.below is not None:
            here = here & (z < self.below)[:, None, None]
        if self.behind is not None:
            here = here & (y > self.behind)[:, None]
        lift = self.lift * (1 + 0.6 * self.folds.on_lattice(*scene.planes)[0].clamp(-1.5, 1.5))
        share = fill((scene.body - lift).abs() - self.thickness / 2, scene.voxel) * here
        torch.maximum(total, share, out=total)


def _back(neck: Neck) -> float:
    """y (mm at rest) of the plane that parts a body's front from its back."""
    return float(np.mean([frame.center[1] for frame in neck.frames.values()]))


def draw_leads(neck: Neck, pose: Pose, g: np.random.Generator) -> tuple[list[Layer], list[dict]]:
    """Electrodes on the chest with their cables, and lines that cross the neck."""
    low = neck.frames["T1"].center[2] if "T1" in neck.frames else neck.frames["C7"].center[2] - 18
    middle, gel, snaps, cables = _back(neck), [], [], []
    for _ in range(int(g.integers(1, 5))):
        spot = np.array([[g.choice((-1, 1)) * g.uniform(25, 125), 0, low - g.uniform(-5, 75)]])
        gel.append(SkinPath(spot, g.uniform(9, 20), middle, lift=0.9, flat=g.uniform(0.8, 2.0)))
        snaps.append(SkinPath(spot, g.uniform(3.5, 6), middle, lift=3.0, flat=g.uniform(1.5, 4.0)))
        # From the snap across the shoulder or along the neck, as it fell.
        steps = np.cumsum(g.normal(0, 14, (9, 2)) + (np.sign(spot[0, 0]) * g.uniform(-3, 14), g.uniform(2, 20)), 0)
        path = np.concatenate([spot, spot + np.insert(steps, 1, 0.0, axis=1)])
        cables.append(SkinPath(path, g.uniform(0.8, 1.6), middle, lift=g.uniform(1.5, 9)))
    for _ in range(int(g.integers(0, 3))):
        # Infusion or oxygen line behind or beside the neck, on pillow or table.
        start = np.array([g.uniform(-70, 70), 0, low + g.uniform(-60, 40)])
        path = start + np.insert(np.cumsum(g.normal(0, 12, (10, 2)) + (0, g.uniform(4, 22)), 0), 1, 0.0, axis=1)
        cables.append(SkinPath(path, g.uniform(0.9, 2.5), middle, front=bool(g.random() < 0.4), lift=g.uniform(2, 20)))
    metal = g.uniform(2600, 8000) if g.random() < 0.6 else g.uniform(200, 1500)
    layers = [Layer(g.uniform(-100, 300), tuple(gel), spares_body=True),
              Layer(metal, tuple(snaps), spares_body=True)]
    for cable in cables:
        core = SkinPath(cable.path, 0.4, middle, cable.front, cable.lift)
        layers += [Layer(g.uniform(-100, 250), (cable,), spares_body=True),
                   Layer(g.uniform(2000, 9000), (core,), spares_body=True)]
    return layers, [{"kind": "leads", "electrodes": len(gel), "cables": len(cables)}]


def _necklace(neck: Neck, g: np.random.Generator) -> list[Layer]:
    name = "C7" if "C7" in neck.frames else list(neck.frames)[-1]
    center = neck.frames[name].center
    chain = Loop(center[2] + g.uniform(-8, 18), g.uniform(0.35, 0.9), center[1] + 40, g.uniform(0.5, 1.6))
    return [Layer(g.uniform(3000, 12000), (chain,), spares_body=True)]


def _earrings(neck: Neck, g: np.random.Generator) -> list[Layer]:
    if "skull" not in neck.joints:
        return []
    joint, parts = np.array(neck.joints["skull"]), []
    place = joint + (0, g.uniform(-18, -6), g.uniform(-12, 4))
    index = np.rint((place - neck.tissue_origin) / neck.tissue_spacing).astype(int)
    if not (0 <= index[2] < neck.body.shape[0] and 0 <= index[1] < neck.body.shape[1]):
        return []
    inside = (neck.body[index[2], index[1]] < 0).nonzero()[0]
    radius, wire = g.uniform(3, 14), g.uniform(0.5, 1.3)
    for side in (0, -1) if g.random() < 0.85 else (0,):
        if len(inside):
            x = neck.tissue_origin[0] + neck.tissue_spacing * inside[side] + (-2.5 if side == 0 else 2.5)
            turn = np.linspace(0, 2 * np.pi, 14)
            ring = np.stack([0 * turn, radius * np.sin(turn), radius * (np.cos(turn) - 1)], 1)
            parts.append(Tube(ring + (x, place[1], place[2]), wire))
    return [Layer(g.uniform(4000, 14000), tuple(parts))] if parts else []


def _clips(neck: Neck, g: np.random.Generator) -> list[Layer]:
    """Clips of a neck operation, near the vessels."""
    ways = find_passages(neck)
    way = ways.veins[str(g.choice(("left", "right")))]
    if not len(way):
        return []
    first = int(g.integers(len(way)))
    parts = []
    for _ in range(int(g.integers(2, 13))):
        spot = way[np.clip(first + int(g.normal(0, 5)), 0, len(way) - 1)] + g.normal(0, 6, 3)
        parts.append(Tube(np.stack([spot, spot + g.normal(0, 2.3, 3)]), g.uniform(0.4, 0.7)))
    return [Layer(g.uniform(5000, 9000), tuple(parts), spares_bone=True)]


def _staples(neck: Neck, g: np.random.Generator) -> list[Layer]:
    """A row of skin staples along a cut in the back of the neck or across its front."""
    names = [name for name in ("C2", "C3", "C4", "C5", "C6", "C7") if name in neck.frames]
    top, bottom = neck.frames[names[0]].center[2], neck.frames[names[-1]].center[2]
    front, parts, middle = bool(g.random() < 0.5), [], _back(neck)
    height, side = g.uniform(bottom, top), g.choice((-1, 1))
    for n in range(int(g.integers(6, 14))):
        if front:
            ends = [(side * (4 + 6.5 * n), 0, height + d) for d in (-3.0, 3.0)]
        else:
            ends = [(d, 0, top - 7.5 * n) for d in (-3.0, 3.0)]
        parts.append(SkinPath(np.array(ends), 0.35, middle, front, lift=0.4))
    return [Layer(g.uniform(8000, 14000), tuple(parts))]


def _dentures(neck: Neck, g: np.random.Generator) -> list[Layer]:
    """Crowns, bridges or a metal frame along a part of the arch of teeth."""
    teeth = find_teeth(neck)
    if teeth is None:
        return []
    width, depth = 0.8 * teeth.half_width, 40.0
    start = g.uniform(-1, 0.6)
    share = np.linspace(start, min(start + g.uniform(0.3, 1.6), 1), 12)
    path = np.stack([width * share, teeth.back - depth * (1 - share**2), teeth.bite + g.choice((-4, 4)) + 0 * share], 1)
    return [Layer(g.uniform(2800, 9000), (Tube(path, g.uniform(1.5, 3.5)),))]


def draw_jewellery(neck: Neck, pose: Pose, g: np.random.Generator) -> tuple[list[Layer], list[dict]]:
    """One or two of: a necklace, earrings, surgical clips, staples, dentures."""
    kinds = {"necklace": _necklace, "earrings": _earrings, "clips": _clips, "staples": _staples, "dentures": _dentures}
    layers, record = [], []
    for name in g.choice(list(kinds), size=1 if g.random() < 0.7 else 2, replace=False):
        found = kinds[str(name)](neck, g)
        if found:
            layers += found
            record.append({"kind": str(name)})
    return layers, record


def draw_wraps(neck: Neck, pose: Pose, g: np.random.Generator) -> tuple[list[Layer], list[dict]]:
    """Blanket, pillow, or both; seldom a halo."""
    layers, record = [], []
    head, chest = (pose.center(name) if name in pose.links else pose.center("C4") for name in ("skull", "T2"))
    blanket, pillow, halo = (bool(g.random() < chance) for chance in (0.6, 0.5, 0.12))
    if blanket or not (pillow or halo):
        folds = SmoothNoise.draw(g, float(g.uniform(25, 60)))
        sheet = Cloth(g.uniform(4, 22), g.uniform(2, 6), folds, below=float(chest[2]) + g.uniform(-10, 60))
        layers.append(Layer(g.uniform(-960, -800), (sheet,), spares_body=True))
        record.append({"kind": "blanket"})
    if pillow:
        folds = SmoothNoise.draw(g, 40.0)
        thick = g.uniform(15, 50)
        foam = Cloth(thick / 2 + 1, thick, folds, behind=float(head[1]) + g.uniform(0, 30))
        layers.append(Layer(g.uniform(-985, -900), (foam,), spares_body=True))
        record.append({"kind": "pillow"})
    if halo:
        layers += _halo(head, chest, g)
        record.append({"kind": "halo"})
    return layers, record


def _halo(head: np.ndarray, chest: np.ndarray, g: np.random.Generator) -> list[Layer]:
    """A ring about the head with four pins, and posts down to a vest (mm in the world)."""
    ring_height, wide, deep = head[2] + g.uniform(45, 65), g.uniform(95, 110), g.uniform(112, 125)
    turn = np.linspace(0, 2 * np.pi, 25)
    ring = np.stack([head[0] + wide * np.sin(turn), head[1] - 15 + deep * np.cos(turn), np.full(25, ring_height)], 1)
    parts = [Rod(a, b, 4.0) for a, b in zip(ring[:-1], ring[1:], strict=True)]
    pins, posts = [], []
    for side in (-1, 1):
        for ahead in (-1, 1):
            out = np.array([head[0] + side * 0.75 * wide, head[1] - 15 + ahead * 0.68 * deep, ring_height])
            pins.append(Rod(out, out + ((head[0], head[1] - 15, ring_height) - out) * 0.3, 1.6))
            top = out + (side * 22, ahead * 5, -5)
            posts.append(Rod(top, (top[0] + side * 5, top[1], chest[2] - 60), g.uniform(4, 6.5)))
    post = g.uniform(-200, 500) if g.random() < 0.6 else g.uniform(3000, 6000)
    return [Layer(g.uniform(100, 3000), tuple(parts), spares_body=True), Layer(post, tuple(posts), spares_body=True),
            Layer(g.uniform(5000, 9000), tuple(pins))]


def draw_arms(neck: Neck, pose: Pose, g: np.random.Generator) -> tuple[list[Layer], list[dict]]:
    """One or both arms beside or above the head: flesh, cortex, marrow."""
    head = pose.center("skull") if "skull" in pose.links else pose.center("C1") + (0, 0, 40)
    layers: list[Layer] = []
    sides = (-1, 1) if g.random() < 0.7 else (int(g.choice((-1, 1))),)
    for side in sides:
        flesh = g.uniform(34, 46)
        elbow = head + (side * (g.uniform(98, 120) + 0.5 * flesh), g.uniform(-40, 50), g.uniform(20, 110))
        shoulder = head + (side * g.uniform(140, 165), g.uniform(-10, 30), -190.0)
        hand = head + (-side * g.uniform(-40, 60), g.uniform(-50, 20), g.uniform(120, 190))
        for start, end, thick, bones in ((shoulder, elbow, flesh, (0.0,)), (elbow, hand, 0.78 * flesh, (-9.0, 9.0))):
            radius = 10.5 if len(bones) == 1 else 6.5
            shafts = [(start + (0, aside, 0), end + (0, aside, 0)) for aside in bones]
            layers += [
                Layer(-100.0, (Rod(start, end, thick),), spares_body=True),
                Layer(g.uniform(35, 65), (Rod(start, end, thick - g.uniform(3, 10)),), spares_body=True),
                Layer(g.uniform(1000, 1500), tuple(Rod(a, b, radius) for a, b in shafts), spares_body=True,
                      label=OTHER_BONE),
                Layer(g.uniform(-50, 150), tuple(Rod(a, b, 0.6 * radius) for a, b in shafts), spares_body=True),
            ]
    return layers, [{"kind": "arms up", "sides": len(sides)}]


def draw_bolus(neck: Neck, pose: Pose, g: np.random.Generator) -> tuple[list[Layer], list[dict]]:
    """Undiluted contrast medium on its way from the arm to the heart through a subclavian vein."""
    last = next((name for name in ("T2", "T1", "C7") if name in neck.frames), None)
    side = float(g.choice((-1, 1)))
    center = np.array(neck.frames[last].center)
    way = np.array([(150, -8, -14), (112, -22, -6), (80, -38, -2), (50, -47, -6), (26, -50, -16), (12, -48, -32),
                    (8, -44, -60)]) * (side, 1, 1)
    return [Layer(g.uniform(1500, 4500), (Tube(center + way, g.uniform(4.5, 7.5)),), spares_bone=True)], [
        {"kind": "contrast in the subclavian vein", "side": "left" if side > 0 else "right"}]
