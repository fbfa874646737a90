"""Where each vertebra of the trunk stands, T9 to L5 and the sacrum, and how large it is.

Sources (mm, means of adults, rounded):
- Panjabi et al., "Human lumbar vertebrae", Spine 1992;17:299-306, and "Thoracic human vertebrae", Spine
  1991;16:888-901: width and depth of the end plates, height of the bodies, canal, pedicles, transverse tips.
- Zindrick et al., Spine 1987;12:160-166: pedicles widen from about 8 at L1 and L2 to 18 at L5.
- Van Schaik et al., Spine 1985;10:59-63, and Panjabi et al., Spine 1993;18:1298-1310: lumbar facets stand almost
  sagittally at L1 and turn towards the frontal plane down to the sacrum; those of the thorax stand frontally.
- Jackson and McManus, Spine 1994;19:1611-1618: some 60 degrees of lordosis from L1 to the sacrum when standing; a
  little less is assumed of a patient who lies on the back.
Assumed, without a source: heights of the discs, lengths and drops of the spinous processes, the joints' places.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from ..built_in.layout import Landmarks, Place, Plane, landmarks
from ..built_in.morphometry import Person, VertebraSize
from ..neck import TRUNK_CHAIN
from ..shapes import turned

# As in `morphometry.SIZES`; here pillar is half the distance between the joints below (T9 to T11: the pillar's
# axis), and facet the slope to the horizontal of T9 to T11, the angle to the sagittal plane of the joint below else.
SIZES: dict[str, VertebraSize] = {
    "T9": VertebraSize(30.5, 33.0, 29.3, 31.0, 19.8, 5.0, 18.2, 15.9, 14.5, 60.0, 32.0, 30.0, 74.0),
    "T10": VertebraSize(31.9, 35.4, 30.5, 31.6, 20.8, 5.5, 18.2, 15.5, 14.5, 58.0, 30.0, 25.0, 76.0),
    "T11": VertebraSize(34.9, 39.1, 31.9, 31.8, 22.0, 6.0, 19.4, 16.1, 14.5, 52.0, 27.0, 18.0, 78.0),
    "T12": VertebraSize(39.0, 42.1, 32.8, 33.4, 23.5, 7.0, 22.2, 18.1, 12.8, 47.0, 27.0, 11.0, 24.0),
    "L1": VertebraSize(41.2, 43.3, 34.1, 35.3, 25.0, 8.0, 23.7, 19.0, 13.6, 71.2, 30.0, 8.0, 26.0),
    "L2": VertebraSize(42.6, 45.5, 34.6, 34.9, 25.6, 9.5, 23.8, 18.2, 14.6, 76.1, 31.0, 8.0, 30.0),
    "L3": VertebraSize(44.1, 48.0, 35.2, 34.8, 26.0, 10.5, 24.3, 17.5, 16.4, 85.7, 31.0, 8.0, 36.0),
    "L4": VertebraSize(46.6, 49.5, 35.5, 33.9, 26.0, 11.5, 25.4, 18.6, 18.8, 79.4, 29.0, 8.0, 44.0),
    "L5": VertebraSize(47.3, 49.4, 34.7, 33.2, 25.4, 10.5, 27.1, 19.7, 22.0, 92.5, 23.0, 9.0, 50.0),
    "sacrum": VertebraSize(50.0, 34.0, 33.5, 26.0, 28.0, 1.0, 30.0, 18.0, 22.0, 100.0, 16.0, 12.0, 50.0),
}
# Width and height of a pedicle.
PEDICLES = {"T12": (8.0, 16.0), "L1": (8.6, 15.9), "L2": (8.5, 15.0), "L3": (10.2, 14.6), "L4": (13.2, 15.2),
            "L5": (17.0, 17.0)}  # fmt: skip
TILTS = {"T9": -3.0, "T10": -6.0, "T11": -9.0, "T12": -11.0, "L1": -10.0, "L2": -6.0, "L3": 0.0, "L4": 9.0,
         "L5": 21.0, "sacrum": 38.0}  # fmt: skip
FRONTAL = ("T9", "T10", "T11")


@dataclass(frozen=True)
class TrunkLayout:
    """All places by name, joints (LPS mm, keyed by the upper link), and whose they are; L3's body is the origin."""

    places: dict[str, Place]
    joints: dict[str, tuple[float, float, float]]
    person: Person

    def at(self, level: str, x: float, y: float, z: float) -> np.ndarray:
        """LPS mm of a point `x, y, z` mm (of a person of mean size) beside a level's body, along LPS."""
        return self.places[level].center + np.array([x, y, z]) * self.person.scale


def draw_trunk_person(seed: int | None) -> Person:
    """The mean person (seed None), or one drawn around it; nothing strays beyond two deviations (spreads assumed)."""
    if seed is None:
        return Person(dict(SIZES), dict(TILTS), 0.0, 0.0, 0.0, 1.0, 0.5, None)
    generator = np.random.default_rng([6, seed])

    def spread(deviation: float) -> float:
        return float(np.clip(generator.normal(), -2, 2) * deviation)

    scale = 1 + spread(0.05)
    common = {field.name: 1 + spread(0.04) for field in fields(VertebraSize)}
    common |= {"spinous_length": 1 + spread(0.1), "disc": 1 + spread(0.15), "facet": 1 + spread(0.08)}
    sizes = {}
    for name, size in SIZES.items():
        changes = {}
        for field in fields(VertebraSize):
            factor = common[field.name] * (1 + spread(0.02)) * (1.0 if field.name == "facet" else scale)
            changes[field.name] = getattr(size, field.name) * factor
        sizes[name] = replace(size, **changes)
    bend = 1 + spread(0.2)
    tilts = {name: tilt * bend + spread(1.0) for name, tilt in TILTS.items()}
    return Person(sizes, tilts, 0.0, 0.0, 0.0, scale, float(generator.uniform()), seed)


def trunk_landmarks(name: str, size: VertebraSize, scale: float) -> Landmarks:
    """Where a vertebra's parts lie in its own frame."""
    if name in FRONTAL:
        return landmarks(name, size, scale)
    wall, back = size.wall, size.wall + size.canal_depth
    return Landmarks(
        canal=(0.0, wall + size.canal_depth / 2, 0.0),
        pillar=(size.pillar + 1.5 * scale, back - 3.0 * scale, -1.0 * scale),
        transverse_tip=(size.transverse / 2 - 2.0, wall + 10.0 * scale, 3.0 * scale),
        lamina=(size.pillar * 0.6, back + 1.5 * scale, -6.0 * scale),
        spinous_tip=(0.0, back + size.spinous_length - 2.5, -size.spinous_drop),
    )


def _stack(person: Person) -> dict[str, Place]:
    turns = {name: turned(pitch=person.tilts[name]) for name in TRUNK_CHAIN}
    centers = {TRUNK_CHAIN[0]: np.zeros(3)}

    def corner(name: str, end: int) -> np.ndarray:
        size = person.sizes[name]
        depth = size.upper_depth if end > 0 else size.lower_depth
        return np.array([0.0, depth / 2, end * size.height / 2]) @ turns[name]

    for upper, lower in zip(TRUNK_CHAIN[:-1], TRUNK_CHAIN[1:], strict=True):
        # The disc has its height in the middle; the rear corners joined here are nearer in lordosis.
        size, bend = person.sizes[upper], np.radians(person.tilts[lower] - person.tilts[upper])
        axis = turns[upper][2] + turns[lower][2]
        gap = (size.disc - np.tan(bend) * size.lower_depth / 2) * axis / np.linalg.norm(axis)
        centers[lower] = centers[upper] + corner(upper, -1) - gap - corner(lower, 1)
    origin = centers["L3"]
    return {n: Place(n, centers[n] - origin, turns[n], person.sizes[n], person.scale) for n in TRUNK_CHAIN}


def _joint_plane(upper: Place, lower: Place) -> Plane:
    """The left facet joint between two vertebrae; the upper one lies on its normal's side."""
    if upper.name in FRONTAL:
        ends = [p.world(trunk_landmarks(p.name, p.size, p.scale).pillar) for p in (upper, lower)]
        slope = np.radians(min(upper.size.facet, 84.0))
        back, up = (upper.turn[axis] + lower.turn[axis] for axis in (1, 2))
        normal, point = np.cos(slope) * up + np.sin(slope) * back, (ends[0] + ends[1]) / 2
        if lower.name not in FRONTAL:
            point = lower.world([upper.size.pillar * 0.93, lower.size.wall + 9.0 * lower.scale, lower.size.height / 2])
        return Plane(point, normal / np.linalg.norm(normal))
    angle, size = np.radians(upper.size.facet), lower.size
    normal = np.array([-np.cos(angle), np.sin(angle), 0.12])
    point = [upper.size.pillar, size.wall + 0.85 * size.canal_depth, size.height / 2 + 1.5 * lower.scale]
    return Plane(lower.world(point), normal / np.linalg.norm(normal) @ lower.turn)


def lay_out_trunk(person: Person) -> TrunkLayout:
    """Stack the vertebrae of a person from T9 down to the sacrum, L3's body at the origin, LPS mm."""
    places, joints = _stack(person), {}
    for upper, lower in zip(TRUNK_CHAIN[:-1], TRUNK_CHAIN[1:], strict=True):
        plane = _joint_plane(places[upper], places[lower])
        places[upper] = replace(places[upper], below=plane)
        places[lower] = replace(places[lower], above=plane)
        size = places[lower].size
        middle = places[lower].world([0.0, 0.12 * size.upper_depth, size.height / 2 + 0.3 * places[upper].size.disc])
        joints[upper] = tuple(float(value) for value in middle)
    return TrunkLayout(places, joints, person)
