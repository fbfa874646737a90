"""Metal and plastic that surgeons leave in the cervical spine: plates, screws, rods, cages, prostheses."""

from __future__ import annotations

import numpy as np
from neckfrac.anatomy import LEVEL_NAMES

from ..neck import DISTANCE_SCALE, Neck
from ..pose import Pose
from .parts import Block, Layer, Rod

# HU before the scanner's scale ends: titanium, steel or cobalt-chromium, tantalum markers.
TITANIUM, STEEL, TANTALUM = (4500.0, 8000.0), (9000.0, 16000.0), 12000.0
KINDS = {
    "anterior plate": 0.42, "cage": 0.12, "corpectomy": 0.08, "posterior rods": 0.22, "dens screw": 0.06,
    "occipital plate": 0.05, "disc prosthesis": 0.05,
}


class Site:
    """Places of one posed neck, in mm (LPS) by a vertebra's own axes (left, posterior, superior)."""

    def __init__(self, neck: Neck, pose: Pose) -> None:
        self.neck, self.pose = neck, pose
        self.levels = [name for name in (*LEVEL_NAMES, "T1", "T2") if name in neck.frames and name in pose.links]

    def at(self, level: str, local: tuple[float, float, float]) -> np.ndarray:
        """The place of a local point about the body's centre."""
        frame = self.neck.frames[level]
        return self.moved(level, np.array(frame.center) + np.array(local) @ np.array(frame.axes))

    def moved(self, level: str, rest: np.ndarray) -> np.ndarray:
        """The place of a point at rest that goes with a level."""
        link = self.pose.links[level]
        return link[:3, :3] @ np.asarray(rest, float) + link[:3, 3]

    def axes(self, level: str) -> np.ndarray:
        """Unit vectors left, posterior, superior, as rows."""
        rows = np.array(self.neck.frames[level].axes) @ self.pose.links[level][:3, :3].T
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def half(self, level: str) -> np.ndarray:
        """Half width, depth and height of the body, mm, as posed."""
        rows = np.array(self.neck.frames[level].axes) @ self.pose.links[level][:3, :3].T
        return np.array(self.neck.frames[level].half_size) * np.linalg.norm(rows, axis=1)

    def run(self, generator: np.random.Generator, low: int, high: int, first: str, last: str) -> list[str]:
        """Some neighbouring levels between two, or none when the neck has too few."""
        names = [name for name in self.levels if first <= name <= last]
        count = min(int(generator.integers(low, high + 1)), len(names))
        if count < low:
            return []
        start = int(generator.integers(len(names) - count + 1))
        return names[start : start + count]


def oriented(along: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Unit axes (left, across, along) as rows."""
    along = along / np.linalg.norm(along)
    left = left - along * (left @ along)
    left = left / np.linalg.norm(left)
    return np.stack([left, np.cross(along, left), along])


def _plate(site: Site, levels: list[str], hu: float, g: np.random.Generator) -> list[Layer]:
    """A plate before the bodies, two screws a level."""
    half_width, thick, fronts, parts = g.uniform(7, 9.5), g.uniform(0.9, 1.4), [], []
    length, radius = g.uniform(11, 16), g.uniform(1.7, 2.2)
    gap = thick + g.uniform(0.2, 1.5)
    for n, level in enumerate(levels):
        depth, height = site.half(level)[1:]
        # Outer screws sit towards the middle of the construct's ends, inner ones mid-body.
        rise = height * (-0.25 if n == 0 else 0.25 if n == len(levels) - 1 else 0.0)
        front = site.at(level, (0, 0, 0)) + site.axes(level).T @ np.array([0, -depth - gap, rise])
        fronts.append(front)
        tilt = g.uniform(0, 6) * (1 if n == 0 else -1 if n == len(levels) - 1 else 0)
        for side in (-1, 1):
            start = front + site.axes(level).T @ np.array([side * 0.62 * half_width, 0, 0])
            parts.append(Rod(start, start + site.axes(level).T @ np.array([-side * 1.8, length, tilt / 2]), radius))
    windows = g.random() < 0.6
    for n, (upper, lower) in enumerate(zip(fronts[:-1], fronts[1:], strict=True)):
        axes = oriented(upper - lower, site.axes(levels[n])[0])
        span = np.linalg.norm(upper - lower) / 2
        center = (upper + lower) / 2
        if windows:
            for side in (-1, 1):
                parts.append(Block(center + side * 0.7 * half_width * axes[0], axes, (0.3 * half_width, thick, span)))
        else:
            parts.append(Block(center, axes, (half_width, thick, span)))
    for level, front in zip(levels, fronts, strict=True):
        parts.append(Block(front, site.axes(level), (half_width, thick, 4.0)))
    return [Layer(hu, tuple(parts))]


def disc_place(site: Site, upper: str, lower: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Middle of a disc, its axes, and its half height (mm), as posed."""
    above = site.at(upper, (0, 0, 0)) - site.axes(upper)[2] * site.half(upper)[2]
    below = site.at(lower, (0, 0, 0)) + site.axes(lower)[2] * site.half(lower)[2]
    axes = oriented(site.at(upper, (0, 0, 0)) - site.at(lower, (0, 0, 0)), site.axes(lower)[0])
    return (above + below) / 2, axes, max(float((above - below) @ axes[2]) / 2, 1.2)


def _walls(center: np.ndarray, axes: np.ndarray, half: np.ndarray, wall: float) -> tuple[Block, ...]:
    """Four upright walls of a box."""
    found = []
    for axis in (0, 1):
        size = np.array(half, float)
        size[axis] = wall / 2
        for side in (-1, 1):
            found.append(Block(center + side * (half[axis] - wall / 2) * axes[axis], axes, tuple(size)))
    return tuple(found)


def _cage(site: Site, upper: str, lower: str, hu: float, g: np.random.Generator) -> list[Layer]:
    """A cage between two bodies: titanium walls, or PEEK with tantalum markers, filled with graft."""
    center, axes, gap = disc_place(site, upper, lower)
    half = np.array([g.uniform(6.5, 8.5), g.uniform(5.5, 7), gap + g.uniform(0.3, 1.2)])
    graft = Layer(g.uniform(80, 700), (Block(center, axes, half),))
    walls = _walls(center, axes, half, g.uniform(1.5, 3.0))
    if g.random() < 0.35:
        return [graft, Layer(hu, walls)]
    up = 0.8 * half[2] * axes[2]
    corners = [half[0] * 0.8 * side * axes[0] + half[1] * 0.8 * ahead * axes[1]
               for side, ahead in ((-1, -1), (1, -1), (0, 1))]
    markers = tuple(Rod(center + c - up, center + c + up, 0.4) for c in corners)
    return [graft, Layer(g.uniform(90, 300), walls), Layer(TANTALUM, markers)]


def _corpectomy(site: Site, levels: list[str], hu: float, g: np.random.Generator) -> list[Layer]:
    """A cylinder cage that stands in the place of one or two bodies."""
    top, _, _ = disc_place(site, levels[0], levels[1])
    bottom, _, _ = disc_place(site, levels[-2], levels[-1])
    axes = oriented(top - bottom, site.axes(levels[1])[0])
    span = float(np.linalg.norm(top - bottom)) / 2 + 1.5
    center, outer = (top + bottom) / 2, g.uniform(5.5, 7.0)
    trough = Block(center, axes, (outer + 1.5, outer + 3.0, span - 2))
    ring = [center + outer * (np.cos(a) * axes[0] + np.sin(a) * axes[1]) for a in np.linspace(0, 2 * np.pi, 15)[:-1]]
    bars = tuple(Rod(p - span * axes[2], p + span * axes[2], g.uniform(0.7, 0.9)) for p in ring)
    hoops = tuple(
        Rod(p + h * axes[2], q + h * axes[2], 0.8)
        for h in np.linspace(-span, span, max(int(span / 4), 2))
        for p, q in zip(ring, ring[1:] + ring[:1], strict=True)
    )
    graft = Rod(center - span * axes[2], center + span * axes[2], outer - 0.8)
    return [Layer(g.uniform(20, 120), (trough,)), Layer(g.uniform(150, 700), (graft,)), Layer(hu, bars + hoops)]


def _screw(site: Site, level: str, side: int, g: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Where a posterior screw goes in and where its tip is (mm), and its radius."""
    frame, axes = site.neck.frames[level], site.axes(level)
    mass = site.moved(level, frame.left_lateral_mass if side > 0 else frame.right_lateral_mass)
    jitter = g.normal(0, 0.7, 3)
    if level == "C1":
        start, tip = (0, 7.5, 0), (-side * 2, -9, 1.5)
    elif level in ("C2", "C7", "T1", "T2"):
        # Through the pedicle into the body.
        body = site.at(level, (0, 0, 0)) + axes.T @ np.array([side * 4.0, -2.0, 0.0])
        start = mass + axes.T @ (np.array([side * 1.0, 7.0, 1.0]) + jitter)
        return start, start + (body - start) * min(1.0, 28 / np.linalg.norm(body - start)), g.uniform(1.8, 2.3)
    else:
        # Magerl (1987): up along the facets and out, away from the vertebral artery.
        start, tip = (-side * 1.0, 6.0, -1.5), (side * 4.0, -3.0, 3.5)
    return mass + axes.T @ (np.array(start) + jitter), mass + axes.T @ (np.array(tip) + jitter), g.uniform(1.6, 2.0)


def _posterior(site: Site, levels: list[str], hu: float, g: np.random.Generator) -> list[Layer]:
    """Screws and a rod on both sides (seldom one)."""
    parts, sides = [], (-1, 1) if g.random() < 0.92 else (int(g.choice((-1, 1))),)
    rod, heads = g.uniform(1.6, 1.9), {}
    for side in sides:
        for level in levels:
            start, tip, radius = _screw(site, level, side, g)
            back = site.axes(level)[1]
            parts.append(Rod(start, tip, radius))
            parts.append(Rod(start + 1.5 * back, start + 8.5 * back, g.uniform(3.3, 4.2)))
            heads.setdefault(side, []).append(start + 5.5 * back)
        line = heads[side]
        if len(line) > 1:
            first, last = line[0] - line[1], line[-1] - line[-2]
            line = [line[0] + 5 * first / np.linalg.norm(first), *line, line[-1] + 5 * last / np.linalg.norm(last)]
        parts += [Rod(a, b, rod) for a, b in zip(line[:-1], line[1:], strict=True)]
        heads[side] = line
    if len(sides) == 2 and len(levels) > 2 and g.random() < 0.2:
        middle = len(heads[1]) // 2
        parts.append(Rod(heads[1][middle], heads[-1][middle], 1.5))
    return [Layer(hu, tuple(parts))]


def _dens_screw(site: Site, hu: float, g: np.random.Generator) -> list[Layer]:
    """One or two screws from the foot of C2 into the dens."""
    frame = site.neck.frames["C2"]
    tip, parts = site.moved("C2", frame.dens_tip), []
    _, depth, height = site.half("C2")
    for aside in ((0.0,) if g.random() < 0.6 else (-2.6, 2.6)):
        shift = site.axes("C2")[0] * aside
        start = site.at("C2", (0, 0, 0)) + site.axes("C2").T @ np.array([aside * 0.4, -depth - 0.5, -height - 0.5])
        parts.append(Rod(start, start + (tip + shift - start) * g.uniform(0.85, 0.98), g.uniform(1.7, 2.0)))
    return [Layer(hu, tuple(parts))]


def _occiput(neck: Neck) -> np.ndarray:
    """Rest points (x, y, z) mm on the back of the skull in the midline, from low to high; [n, 3]."""
    bone, joint = neck.bones["skull"], np.array(neck.joints["skull"])
    column = int(np.rint((joint[0] - bone.origin[0]) / bone.spacing))
    solid = bone.distance[:, :, np.clip(column, 0, bone.distance.shape[2] - 1)] < 0.5 * DISTANCE_SCALE
    found = []
    for row in range(solid.shape[0]):
        z = bone.origin[2] + row * bone.spacing
        if joint[2] + 6 < z < joint[2] + 40 and solid[row].any():
            found.append((joint[0], bone.origin[1] + solid[row].nonzero()[0].max() * bone.spacing, z))
    # The foramen magnum's front edge is not the back of the head.
    found = [p for p in found if p[1] > joint[1] + 25]
    return np.array(found).reshape(-1, 3)


def _occipital(site: Site, hu: float, g: np.random.Generator) -> list[Layer]:
    """A midline plate on the occiput with rods to screws in C1 or C2 and below."""
    rest = _occiput(site.neck)
    levels = [name for name in ("C1", "C2", "C3", "C4") if name in site.levels][: int(g.integers(2, 5))]
    if len(rest) < 4 or not levels:
        return []
    link = site.pose.links["skull"]
    keel = rest[np.linspace(0, len(rest) - 1, 4).astype(int)] @ link[:3, :3].T + link[:3, 3]
    back, left = link[:3, 1] / np.linalg.norm(link[:3, 1]), link[:3, 0] / np.linalg.norm(link[:3, 0])
    parts = []
    for low, high in zip(keel[:-1], keel[1:], strict=True):
        axes = oriented(high - low, left)
        out = axes[1] if axes[1] @ back > 0 else -axes[1]
        middle = (low + high) / 2 + 1.8 * out
        parts.append(Block(middle, axes, (5.0, 1.3, float(np.linalg.norm(high - low)) / 2 + 0.8)))
        parts.append(Rod(middle, middle - g.uniform(7, 10) * out, 2.2))
    posterior = _posterior(site, levels, hu, g)
    for side in (-1, 1):
        start, _, _ = _screw(site, levels[0], side, np.random.default_rng(0))
        head = start + 5.5 * site.axes(levels[0])[1]
        bend = keel[0] + side * 12 * left + 4 * back
        parts += [Rod(head, bend, 1.7), Rod(bend, keel[1] + side * 8 * left + 3.5 * back, 1.7)]
        parts.append(Rod(keel[1] + side * 9 * left + 3 * back, keel[1] + 3 * back, 2.5))
    return [*posterior, Layer(hu, tuple(parts))]


def _prosthesis(site: Site, upper: str, lower: str, g: np.random.Generator) -> list[Layer]:
    """Two endplates with keels and a plastic core."""
    center, axes, gap = disc_place(site, upper, lower)
    gap, parts = gap + 0.5, []
    for side in (-1, 1):
        plate = center + side * gap * axes[2]
        parts.append(Block(plate, axes, (g.uniform(7, 8.5), g.uniform(6, 7.5), 0.7)))
        parts.append(Block(plate + side * 1.8 * axes[2], axes, (0.8, 5.0, 1.8)))
    core = Layer(g.uniform(-60, 120), (Block(center, axes, (6.5, 6.0, gap)),))
    return [core, Layer(g.uniform(*STEEL), tuple(parts))]


def draw_implants(neck: Neck, pose: Pose, generator: np.random.Generator) -> tuple[list[Layer], list[dict]]:
    """Spinal implants of one operation (sometimes from the front and from the back), and what was drawn."""
    g, site, record = generator, Site(neck, pose), []
    kind = str(g.choice(list(KINDS), p=np.array(list(KINDS.values())) / sum(KINDS.values())))
    hu = g.uniform(*TITANIUM) if g.random() < 0.9 else g.uniform(*STEEL)
    layers: list[Layer] = []
    levels: list[str] = []
    if kind == "dens screw" and "C2" in site.levels and neck.frames["C2"].dens_tip is not None:
        layers, levels = _dens_screw(site, hu, g), ["C2"]
    elif kind == "occipital plate" and "skull" in pose.links and "skull" in neck.joints and "skull" in neck.bones:
        layers, levels = _occipital(site, hu, g), ["C1", "C2"]
    elif kind == "posterior rods":
        levels = site.run(g, 2, 5, "C1", "T1")
        layers = _posterior(site, levels, hu, g) if levels else []
    elif kind in ("cage", "disc prosthesis"):
        levels = site.run(g, 2, 3, "C3", "C7")
        for upper, lower in zip(levels[:-1], levels[1:], strict=True):
            layers += _cage(site, upper, lower, hu, g) if kind == "cage" else _prosthesis(site, upper, lower, g)
    else:
        levels = site.run(g, 3 if kind == "corpectomy" else 2, 4, "C3", "T1")
        if kind == "corpectomy" and levels:
            layers += _corpectomy(site, levels, hu, g)
        elif levels and g.random() < 0.8:
            for upper, lower in zip(levels[:-1], levels[1:], strict=True):
                layers += _cage(site, upper, lower, hu, g)
        layers += _plate(site, levels, hu, g) if levels else []
    if layers:
        record.append({"kind": kind, "levels": levels, "hu": float(hu)})
        if kind in ("anterior plate", "corpectomy") and g.random() < 0.2:
            layers += _posterior(site, levels, hu, g)
            record.append({"kind": "posterior rods", "levels": levels, "hu": float(hu)})
    return layers, record
