"""A neck at rest takes a pose: a chain of vertebrae that turn on their joints, jaw, shoulders, elastic warps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch

from .neck import CHAIN, TRUNK_CHAIN, Bone, Neck
from .noise import SmoothNoise, smoothstep

# The link that stays where it is while the chain bends away from it, up and down.
ROOT = "C4"
# How far (mm) above its joint the skull's reference point lies, and how the soft tissue's share in a
# link's movement falls off along the neck.
SKULL_ABOVE_JOINT, TISSUE_BLEND = 22.0, 14.0
# Where the centre of a level that a neck lacks is supposed below the next one, mm.
STEP_BELOW = 20.0


@dataclass(frozen=True)
class JointChange:
    """What sets one joint of a neck apart from the same joint of others.

    turn: degrees (flexion, lateral bend, axial turn) and slide: mm (left, posterior, superior) by which the
    upper vertebra stands otherwise. freedom: factor of all that is drawn for the joint; 0 is a fused one.
    """

    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    slide: tuple[float, float, float] = (0.0, 0.0, 0.0)
    freedom: float = 1.0


@dataclass(frozen=True)
class Variation:
    """How much necks differ. Angles in degrees as (flexion, lateral bend, axial turn), lengths in mm.

    Single numbers are standard deviations unless the name says otherwise; pairs are the ends of a
    uniform range. `mirror` None mirrors half of all studies left to right. `tissue` scales how much HU
    differ between people (0: textbook values); the chances are those of what not everybody has.
    cortical, trabecular (HU) and cortex (mm): ranges of a person's bone, None for those of all people.
    head_scale: of the head against the body. joints: changes by the joint's upper link. turn: of the whole neck in
    degrees, instead of what is drawn. swelling: (level, mm) by which the soft tissue before it stands farther forward.
    """

    cervical: tuple[float, float, float] = (3.0, 2.0, 2.0)
    atlas: tuple[float, float, float] = (4.0, 3.0, 9.0)
    skull: tuple[float, float, float] = (7.0, 3.0, 3.0)
    thoracic: tuple[float, float, float] = (2.0, 1.5, 1.5)
    lordosis: tuple[float, float] = (-5.0, 7.0)
    common_bend: float = 1.5
    common_twist: float = 2.0
    shift: float = 0.55
    disc_gap: tuple[float, float] = (-2.0, 0.8)
    level_scale: float = 0.05
    common_scale: float = 0.04
    body_scale: tuple[float, float] = (0.86, 1.30)
    body_anisotropy: float = 0.06
    rotation: tuple[float, float, float] = (12.0, 6.0, 8.0)
    rotation_range: float = 6.0
    extreme_chance: float = 0.08
    extreme_rotation: tuple[float, float, float] = (40.0, 25.0, 25.0)
    jaw_opening: tuple[float, float] = (-3.0, 14.0)
    girdle: float = 35.0
    hyoid: float = 5.0
    elastic: tuple[float, float] = (3.0, 0.8)
    roughness: tuple[float, float] = (0.6, 0.25)
    surface_offset: tuple[float, float] = (-0.8, 0.5)
    tissue: float = 1.0
    mirror: bool | None = None
    lean_chance: float = 0.35
    contrast_chance: float = 0.35
    fillings_chance: float = 0.35
    table_chance: float = 0.6
    collar_chance: float = 0.12
    implant_chance: float = 0.10
    tube_chance: float = 0.12
    free_air_chance: float = 0.05
    bolus_chance: float = 0.3
    jewellery_chance: float = 0.05
    lead_chance: float = 0.15
    arms_chance: float = 0.05
    wrap_chance: float = 0.12
    cortical: tuple[float, float] | None = None
    trabecular: tuple[float, float] | None = None
    cortex: tuple[float, float] | None = None
    head_scale: float = 1.0
    joints: tuple[tuple[str, JointChange], ...] = ()
    turn: tuple[float, float, float] | None = None
    swelling: tuple[tuple[str, float], ...] = ()

    @classmethod
    def plain(cls) -> Variation:
        """A textbook neck: rest pose and mean tissue, with only a little unevenness of the surfaces."""
        none = (0.0, 0.0, 0.0)
        return cls(
            cervical=none, atlas=none, skull=none, thoracic=none, lordosis=(0.0, 0.0), common_bend=0.0,
            common_twist=0.0, shift=0.0, disc_gap=(0.0, 0.0), level_scale=0.0, common_scale=0.0,
            body_scale=(1.0, 1.0), body_anisotropy=0.0, rotation=none, rotation_range=0.0, extreme_chance=0.0,
            jaw_opening=(0.0, 0.0), girdle=0.0, hyoid=0.0, elastic=(1.0, 0.4), roughness=(0.3, 0.15),
            surface_offset=(0.0, 0.0), tissue=0.0, mirror=False, lean_chance=0.0, contrast_chance=0.0,
            fillings_chance=0.0, table_chance=1.0, collar_chance=0.0, implant_chance=0.0, tube_chance=0.0,
            free_air_chance=0.0, bolus_chance=0.0, jewellery_chance=0.0, lead_chance=0.0, arms_chance=0.0,
            wrap_chance=0.0,
        )

    def still(self) -> Variation:
        """The same people without elastic warps, roughness and surface offset: bones are affine images."""
        return replace(self, elastic=(0.0, 0.0), roughness=(0.0, 0.0), surface_offset=(0.0, 0.0))


def rotation(degrees: np.ndarray) -> np.ndarray:
    """3x3 for (flexion, lateral bend, axial turn): about the axes left, posterior, superior, flexion last.

    Positive flexion lowers the face; axes are those of LPS (x left, y posterior, z superior).
    """
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def affine(matrix: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """4x4 from a 3x3 matrix and an offset."""
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = matrix, offset
    return result


def about(matrix: np.ndarray, point: np.ndarray) -> np.ndarray:
    """4x4 that applies a 3x3 matrix about a fixed point."""
    return affine(matrix, np.asarray(point) - matrix @ np.asarray(point))


@dataclass(frozen=True, eq=False)
class Pose:
    """Where everything of a neck is. World: LPS mm with the body of C4 at the origin.

    links: 4x4 rest to world by link. points: each link's reference point at rest (the body's centre).
    jaw: 4x4 that moves the mandible at rest; hyoid: mm at rest; girdle: mm that the right and the left
    shoulder rise. warps: elastic displacements of the sampling position, (field of 3 channels, mm);
    tissue_warp: another one for soft tissue alone. surface: mm by which every bone is thinner, and the
    roughness (mm) of its surface at scales of 5 and 2.5 mm. truth: what was drawn, for the record.
    swellings: (rest point of a body's front, mm by which the soft tissue before it stands farther forward).
    """

    links: dict[str, np.ndarray]
    points: dict[str, np.ndarray]
    jaw: np.ndarray
    jaw_joint: np.ndarray | None
    hyoid: np.ndarray
    girdle: tuple[float, float]
    girdle_height: float
    warps: tuple[tuple[SmoothNoise, float], ...]
    tissue_warp: tuple[SmoothNoise, float]
    surface: tuple[float, float, float]
    truth: dict
    swellings: tuple[tuple[np.ndarray, float], ...] = ()

    def link_of(self, bone: Bone) -> np.ndarray:
        """4x4 rest to world of a bone, elastic warps and the girdle's rise aside."""
        names = list(self.links)
        link = self.links.get(bone.segment, self.links[names[-1]])
        if "mandible" in bone.name:
            return link @ self.jaw
        if "hyoid" in bone.name:
            return link @ affine(np.eye(3), self.hyoid)
        return link

    def center(self, level: str) -> np.ndarray:
        """World position (LPS mm) of a link's reference point, elastic warps aside.

        Levels below the last link are supposed 20 mm apart in the direction of the last one.
        """
        if level in self.links:
            return self.links[level][:3, :3] @ self.points[level] + self.links[level][:3, 3]
        names = list(self.links)
        chain = _chain(names)
        last, before = self.center(names[-1]), self.center(names[-2])
        down = (last - before) / np.linalg.norm(last - before)
        return last + STEP_BELOW * (chain.index(level) - chain.index(names[-1])) * down

    def middle(self) -> np.ndarray:
        """World position (LPS mm) halfway between the first and the last cervical vertebra, or the trunk's links."""
        ends = ("C1", "C7") if "C1" in self.links else (next(iter(self.links)), list(self.links)[-1])
        return (self.center(ends[0]) + self.center(ends[1])) / 2

    def displacement(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor, soft: bool = False) -> torch.Tensor:
        """Displacement of the sampling position [3 (x, y, z), z, y, x] in mm at the planes z, y, x (mm)."""
        total = torch.zeros(3, len(z), len(y), len(x), device=z.device)
        for noise, amount in (*self.warps, *((self.tissue_warp,) if soft else ())):
            if amount:
                total += amount * noise.on_lattice(z, y, x)
        return total

    def lift_girdle(self, points: torch.Tensor) -> torch.Tensor:
        """Rest points [3, ...] of the shoulders (posed) to where they were at rest, in place."""
        if any(self.girdle):
            weight = smoothstep((points[0].abs() - 25) / 85) * smoothstep((self.girdle_height + 50 - points[2]) / 60)
            points[2] -= weight * torch.where(points[0] > 0, self.girdle[1], self.girdle[0])
        return points

    def tissue_at_rest(self, points: torch.Tensor) -> torch.Tensor:
        """World points [3, ...] (mm, already displaced) to rest points of the soft tissue [3, ...].

        A blend of the links' inverse transforms, Gaussian in the height above or below each link.
        """
        inverse = {name: np.linalg.inv(link) for name, link in self.links.items()}
        names, scores, rest = list(self.links), [], torch.zeros_like(points)
        for name in names:
            up = self.links[name][:3, 2] / np.linalg.norm(self.links[name][:3, 2])
            center = self.center(name)
            height = sum(float(up[n]) * (points[n] - float(center[n])) for n in range(3))
            if name == names[0]:
                height = height.clamp(max=0)
            if name == names[-1]:
                height = height.clamp(min=0)
            scores.append(-0.5 * (height / TISSUE_BLEND) ** 2)
        for name, weight in zip(names, torch.softmax(torch.stack(scores), 0), strict=True):
            rest += apply(inverse[name], points).mul_(weight)
        self._open_jaw(rest)
        for front, amount in self.swellings:
            x, y, z = (rest[n] - float(front[n]) for n in range(3))
            # From the body's front on; sideways and up and down it thins out, and farther ahead it is pressed flat.
            weight = smoothstep((1.0 - y) / 5.0) * smoothstep((40.0 + y) / 18.0)
            weight = weight * smoothstep((24.0 - x.abs()) / 12.0) * smoothstep((26.0 - z.abs()) / 14.0)
            rest[1] += amount * weight
        return self.lift_girdle(rest)

    def _open_jaw(self, rest: torch.Tensor) -> None:
        if self.jaw_joint is None or np.allclose(self.jaw, np.eye(4)):
            return
        _, y, z = (rest[n] - float(self.jaw_joint[n]) for n in range(3))
        # In front of the jaw's joint and below the upper teeth, but not down in the neck.
        weight = smoothstep((-y - 15) / 35) * smoothstep((-z - 30) / 25) * smoothstep((z + 130) / 30)
        rest += weight * (apply(np.linalg.inv(self.jaw), rest) - rest)


def apply(matrix: np.ndarray, points: torch.Tensor) -> torch.Tensor:
    """A 4x4 matrix on points [3, ...]."""
    result = torch.empty_like(points)
    for n, (x, y, z, offset) in enumerate(matrix[:3].tolist()):
        torch.mul(points[0], x, out=result[n]).add_(points[1], alpha=y).add_(points[2], alpha=z).add_(offset)
    return result


def _chain(names: Iterable[str]) -> tuple[str, ...]:
    """The links that there may be, from above, of a neck or of a trunk."""
    return TRUNK_CHAIN if TRUNK_CHAIN[-1] in names else CHAIN


def _reference_points(neck: Neck) -> dict[str, np.ndarray]:
    points = {}
    for name in _chain(neck.frames):
        if name == "skull" and "skull" in neck.joints:
            points[name] = np.array(neck.joints[name]) + (0, 0, SKULL_ABOVE_JOINT)
        elif name in neck.frames and (not points or list(points)[-1] in neck.joints):
            points[name] = np.array(neck.frames[name].center)
    return points


def _axes(neck: Neck, name: str) -> np.ndarray:
    return np.array(neck.frames[name].axes) if name in neck.frames else np.eye(3)


def draw_pose(neck: Neck, variation: Variation, generator: np.random.Generator) -> Pose:
    """A random pose of a neck; the same generator state gives the same pose."""
    v, points = variation, _reference_points(neck)
    names = list(points)
    scale = generator.uniform(*v.body_scale) * np.exp(generator.normal(0, v.body_anisotropy, 3) / 2)
    common = np.exp(generator.normal(0, v.common_scale, 3))
    lordosis = generator.uniform(*v.lordosis)
    bend, twist = generator.normal(0, v.common_bend), generator.normal(0, v.common_twist)
    worn = generator.uniform(0, 1)
    shapes, joints, changes = {}, {}, dict(v.joints)
    for name in names:
        own = np.exp(generator.normal(0, v.level_scale, 3))
        factors = own * v.head_scale if name == "skull" else own * common
        rows = _axes(neck, name)
        fixed = np.array(neck.joints["skull"]) if name == "skull" else points[name]
        shapes[name] = affine(np.diag(scale), np.zeros(3)) @ about(rows.T @ np.diag(factors) @ rows, fixed)
    for upper in names[:-1]:
        spread = v.skull if upper == "skull" else v.atlas if upper == "C1" else v.thoracic
        spread = v.cervical if upper.startswith("C") and upper != "C1" else spread
        angles = np.clip(generator.standard_normal(3), -2.3, 2.3) * spread
        if upper.startswith("C") and upper != "C1":
            angles += (-lordosis, bend, twist)
        slide = np.clip(generator.standard_normal(3), -2, 2) * (v.shift, v.shift, 0.3 * v.shift)
        if upper not in ("skull", "C1"):
            # Discs that are worn are worn together, each to its own degree.
            low, high = v.disc_gap
            slide[2] += high + (low - high) * worn * generator.uniform(0, 1)
        if upper in changes:
            change = changes[upper]
            angles, slide = change.freedom * angles + change.turn, change.freedom * slide + change.slide
        joints[upper] = (rotation(angles), slide)
    turn = generator.normal(0, 1, 3) * v.rotation + generator.uniform(-1, 1, 3) * v.rotation_range
    if generator.random() < v.extreme_chance:
        turn = generator.uniform(-1, 1, 3) * v.extreme_rotation
    turn = np.clip(turn, -45, 45) if v.turn is None else np.array(v.turn, float)

    def at(name: str, point: np.ndarray) -> np.ndarray:
        return shapes[name][:3, :3] @ point + shapes[name][:3, 3]

    root = ROOT if ROOT in names else names[len(names) // 2]
    start = rotation(turn)
    rigid = {root: affine(start, -start @ at(root, points[root]))}
    first = names.index(root)
    pairs = [(n, n + 1, n) for n in range(first - 1, -1, -1)]
    pairs += [(n, n - 1, n - 1) for n in range(first + 1, len(names))]
    for child, parent, joint in pairs:
        child, parent, upper = names[child], names[parent], names[joint]
        turn_joint, slide = joints[upper]
        lower = names[joint + 1]
        rows = _axes(neck, lower)
        turn_joint, slide = rows.T @ turn_joint @ rows, rows.T @ slide
        is_upper = child == upper
        matrix = rigid[parent][:3, :3] @ (turn_joint if is_upper else turn_joint.T)
        anchor = np.array(neck.joints[upper])
        moved = rigid[parent][:3, :3] @ (slide if is_upper else -slide)
        target = rigid[parent][:3, :3] @ at(parent, anchor) + rigid[parent][:3, 3] + moved
        rigid[child] = affine(matrix, target - matrix @ at(child, anchor))
    links = {name: rigid[name] @ shapes[name] for name in names}
    opening = generator.uniform(*v.jaw_opening)
    joint = np.array(neck.joints["mandible"]) if "mandible" in neck.joints else None
    jaw = np.eye(4) if joint is None else about(rotation(np.array([opening, 0, 0])), joint)
    rise = generator.uniform(-v.girdle, v.girdle)
    girdle = tuple(float(np.clip(rise + generator.normal(0, 0.15 * v.girdle), -v.girdle, v.girdle)) for _ in range(2))
    hyoid = np.clip(generator.standard_normal(3), -2, 2) * v.hyoid * (0.3, 0.7, 1.0)
    amounts = [generator.uniform(0.2, 1.0) * limit / 2 for limit in v.elastic]
    warps = tuple(
        (SmoothNoise.draw(generator, spacing, 3), float(amount))
        for spacing, amount in zip((28.0, 10.0), amounts, strict=True)
    )
    soft = (SmoothNoise.draw(generator, 30.0, 3), float(1.2 * v.elastic[0] / 3.0))
    surface = (generator.uniform(*v.surface_offset), *(generator.uniform(0.2, 1) * r / 2 for r in v.roughness))
    surface = tuple(float(s) for s in surface)
    # A trunk has no shoulders to rise: they are nowhere.
    height = float(points["C7"][2]) if "C7" in points else -1e6 if "L3" in points else float(points[names[-1]][2])
    truth = {
        "rotation_degrees": [float(a) for a in turn], "body_scale": [float(s) for s in scale],
        "lordosis_degrees_per_joint": float(lordosis), "jaw_opening_degrees": float(opening),
        "girdle_mm": list(girdle), "elastic_mm": [float(a) for a in amounts], "surface_mm": list(surface),
    }
    swellings = tuple(
        (points[name] - neck.frames[name].half_size[1] * _axes(neck, name)[1], float(mm))
        for name, mm in v.swelling
        if name in points
    )
    return Pose(links, points, jaw, joint, hyoid, girdle, height, warps, soft, surface, truth, swellings)
