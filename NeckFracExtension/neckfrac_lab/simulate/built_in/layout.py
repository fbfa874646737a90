"""Where each vertebra of the parametric neck stands, its landmarks, and the planes of its joints.

Everything is worked out here before a voxel is made: the bones are then carved to these planes, so frames
and joints are exact. A vertebra's own frame: origin in the middle of its body (C1: between its lateral
masses), x left, y posterior, z superior, mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..neck import CHAIN, VertebraFrame
from ..shapes import turned
from .morphometry import Person, VertebraSize

VERTEBRAE: tuple[str, ...] = CHAIN[1:]
# Width of a joint's gap between two facets; cartilage fills it.
JOINT_GAP = 1.6
CONDYLE_GAP = 1.6


@dataclass(frozen=True)
class Plane:
    """A plane in LPS mm, of the left side; the right is its mirror image. normal: unit, points up."""

    point: np.ndarray
    normal: np.ndarray


@dataclass(frozen=True)
class Place:
    """One vertebra's place and size. turn: rows are its axes left, posterior, superior in LPS."""

    name: str
    center: np.ndarray
    turn: np.ndarray
    size: VertebraSize
    scale: float
    above: Plane | None = None
    below: Plane | None = None

    def world(self, point: np.ndarray) -> np.ndarray:
        """A point [..., 3] in the vertebra's own frame, in LPS mm."""
        return np.asarray(point, float) @ self.turn + self.center

    def local(self, plane: Plane) -> Plane:
        """A plane in the vertebra's own frame."""
        return Plane((plane.point - self.center) @ self.turn.T, plane.normal @ self.turn.T)


@dataclass(frozen=True)
class Landmarks:
    """Left and middle landmarks of one vertebra in its own frame, mm."""

    canal: tuple[float, float, float]
    pillar: tuple[float, float, float]
    transverse_tip: tuple[float, float, float]
    lamina: tuple[float, float, float]
    spinous_tip: tuple[float, float, float]


@dataclass(frozen=True)
class Layout:
    """All places by name, joints (LPS mm, keyed by the upper link) and what only C1, C2 and the skull need.

    condyle: centre of the left occipital condyle, LPS mm; its axes are C1's turned by `CONDYLE_YAW`.
    basion: front edge of the foramen magnum in the midline, LPS mm.
    """

    places: dict[str, Place]
    joints: dict[str, tuple[float, float, float]]
    condyle: np.ndarray
    basion: np.ndarray
    person: Person


# The occipital condyle in C1's frame: centre, half sizes (mm) and how far its axis turns in at the front.
CONDYLE_CENTER, CONDYLE_RADII, CONDYLE_YAW = (16.8, -0.5, 14.0), (6.4, 11.5, 9.0), -24.0
# The dens in C2's frame.
DENS_BACK = -1.6


def dens_tip(person: Person) -> np.ndarray:
    """The tip of the dens in C2's frame."""
    return np.array([0.0, DENS_BACK + 0.8, person.sizes["C2"].height / 2 + person.dens_height])


def landmarks(name: str, size: VertebraSize, scale: float) -> Landmarks:
    """Where a vertebra's parts lie in its own frame, from its measures."""
    wall, drop = size.wall, size.spinous_drop
    if name == "C1":
        return Landmarks(
            canal=(0.0, 12.5 * scale, 0.0),
            pillar=(17.0 * scale, 0.0, 0.0),
            transverse_tip=(size.transverse / 2 - 1.5, 3.0 * scale, -2.5 * scale),
            lamina=(13.5 * scale, 24.0 * scale, -1.0 * scale),
            spinous_tip=(0.0, size.upper_depth - 17.0 * scale, -drop),
        )
    back = wall + size.canal_depth
    canal = (0.0, wall + size.canal_depth / 2, 0.0)
    tip = (0.0, back + size.spinous_length - 2.5, -drop)
    if name == "C2":
        return Landmarks(
            canal,
            (size.pillar, wall + 6.5 * scale, -7.5 * scale),
            (size.transverse / 2 - 1.0, 5.0 * scale, -8.5 * scale),
            ((size.pillar - 1) / 2, (wall + 9.0 * scale + back + 3.0) / 2, -5.5 * scale),
            tip,
        )
    if name.startswith("C"):
        seventh = name == "C7"
        return Landmarks(
            canal,
            (size.pillar, wall + 5.6 * scale, -1.5 * scale),
            (size.transverse / 2 - 1.0, (8.5 if seventh else 6.0) * scale, (-2.0 if seventh else -4.5) * scale),
            ((size.pillar - 2) / 2, (wall + 8.5 * scale + back + 2.2) / 2, -3.2 * scale),
            tip,
        )
    return Landmarks(
        canal,
        (size.pillar * 0.93, wall + 8.0 * scale, -0.5 * scale),
        (size.transverse / 2 - 3.0, wall + 17.0 * scale, 3.0 * scale),
        ((size.pillar - 3) / 2, (wall + 9.0 * scale + back + 2.6) / 2, -4.5 * scale),
        tip,
    )


def _stack(person: Person) -> dict[str, Place]:
    turns = {name: turned(pitch=person.tilts[name]) for name in VERTEBRAE}
    centers: dict[str, np.ndarray] = {"C4": np.zeros(3)}

    def corner(name: str, end: int) -> np.ndarray:
        size = person.sizes[name]
        depth = size.upper_depth if end > 0 else size.lower_depth
        return np.array([0.0, depth / 2, end * size.height / 2]) @ turns[name]

    def gap(upper: str, lower: str) -> np.ndarray:
        # The disc has its height in the middle; lordosis makes it lower at the rear corners joined here.
        size = person.sizes[upper]
        wedge = np.tan(np.radians(person.tilts[lower] - person.tilts[upper])) * size.lower_depth / 2
        axis = turns[upper][2] + turns[lower][2]
        return (size.disc - wedge) * axis / np.linalg.norm(axis)

    for upper, lower in zip(VERTEBRAE[3:-1], VERTEBRAE[4:], strict=True):
        centers[lower] = centers[upper] + corner(upper, -1) - gap(upper, lower) - corner(lower, 1)
    for upper, lower in (("C3", "C4"), ("C2", "C3")):
        centers[upper] = centers[lower] + corner(lower, 1) + gap(upper, lower) - corner(upper, -1)
    raised = np.array([0.0, 3.2, 16.6]) * person.scale
    raised[2] += (person.sizes["C2"].height / 2 - 11.15) * 0.5
    centers["C1"] = centers["C2"] + raised @ turns["C2"]
    return {n: Place(n, centers[n], turns[n], person.sizes[n], person.scale) for n in VERTEBRAE}


def _facet_planes(places: dict[str, Place]) -> dict[str, Plane]:
    """The left facet joint under each vertebra, half way between two pillars."""
    planes = {}
    for upper, lower in zip(VERTEBRAE[1:-1], VERTEBRAE[2:], strict=True):
        ends = [places[n].world(landmarks(n, places[n].size, places[n].scale).pillar) for n in (upper, lower)]
        slope = np.radians(places[lower].size.facet)
        back, up = (places[upper].turn[axis] + places[lower].turn[axis] for axis in (1, 2))
        normal = np.cos(slope) * up + np.sin(slope) * back
        planes[upper] = Plane((ends[0] + ends[1]) / 2, normal / np.linalg.norm(normal))
    # C1 glides on C2's shoulders, which fall off sideways (about 25 degrees in the coronal plane).
    slope, scale = np.radians(places["C1"].size.facet), places["C1"].scale
    local = np.array([np.sin(slope), 0.0, np.cos(slope)])
    height = places["C2"].size.height / 2 - 2.6 * scale
    planes["C1"] = Plane(places["C2"].world([16.0 * scale, 1.5 * scale, height]), local @ places["C2"].turn)
    return planes


def lay_out(person: Person) -> Layout:
    """Stack the vertebrae of a person from C4 (at the origin) up and down, LPS mm."""
    places = _stack(person)
    planes = _facet_planes(places)
    for upper, lower in zip(VERTEBRAE[:-1], VERTEBRAE[1:], strict=True):
        above = planes.get(VERTEBRAE[VERTEBRAE.index(upper) - 1]) if upper != "C1" else None
        places[upper] = Place(**{**places[upper].__dict__, "above": above, "below": planes[upper]})
        places[lower] = Place(**{**places[lower].__dict__, "above": planes[upper]})
    scale = person.scale
    condyle = places["C1"].world(np.array(CONDYLE_CENTER) * scale)
    # Basion stands some 6 mm above the tip of the dens (Harris et al., AJR 1994: at most 12 mm).
    basion = places["C2"].world(dens_tip(person) + np.array([0.0, -2.5, 6.0]) * scale)
    joints: dict[str, tuple[float, float, float]] = {}
    # A condyle's lower face has a curvature radius of depth squared over height: the head nods about its centre.
    rise = (CONDYLE_RADII[1] ** 2 / CONDYLE_RADII[2] - CONDYLE_RADII[2]) * scale
    joints["skull"] = _point((0.0, *(condyle + rise * places["C1"].turn[2])[1:]))
    # The jaw turns between its own condyles.
    joints["mandible"] = _point(basion + np.array([0.0, -15.0, 3.0]) * scale)
    joints["C1"] = _point(places["C2"].world([0.0, DENS_BACK, places["C2"].size.height / 2 - 1.0]))
    for upper, lower in zip(VERTEBRAE[1:-1], VERTEBRAE[2:], strict=True):
        # Neighbours turn about a point at the top of the lower body, a little behind its middle (Amevo et al.,
        # Spine 1992); in the thorax that stays in the disc.
        size = places[lower].size
        joints[upper] = _point(places[lower].world([0.0, 0.15 * size.upper_depth, size.height / 2 - 1.0]))
    return Layout(places, joints, condyle, basion, person)


def _point(values: np.ndarray) -> tuple[float, float, float]:
    return tuple(float(value) for value in values)


def frame_of(place: Place, person: Person, marks: Landmarks | None = None) -> VertebraFrame:
    """The landmarks of one vertebra in LPS mm; marks: in its own frame, if they are not those of a neck."""
    marks = marks or landmarks(place.name, place.size, place.scale)
    size = place.size

    def both(local: tuple[float, float, float]) -> tuple:
        return _point(place.world(local)), _point(place.world((-local[0], *local[1:])))

    pillars, tips, laminae = both(marks.pillar), both(marks.transverse_tip), both(marks.lamina)
    return VertebraFrame(
        center=_point(place.center),
        canal=_point(place.world(marks.canal)),
        axes=tuple(_point(row) for row in place.turn),
        half_size=(
            (size.upper_width + size.lower_width) / 4,
            (size.upper_depth + size.lower_depth) / 4,
            size.height / 2,
        ),
        spinous_tip=_point(place.world(marks.spinous_tip)),
        left_lateral_mass=pillars[0],
        right_lateral_mass=pillars[1],
        left_transverse_tip=tips[0],
        right_transverse_tip=tips[1],
        left_lamina=laminae[0],
        right_lamina=laminae[1],
        dens_tip=_point(place.world(dens_tip(person) - np.array([0, 0, 1.0]))) if place.name == "C2" else None,
    )
