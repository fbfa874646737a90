"""The sacrum, the hip bones with the heads of the thighs, and the lower ribs: what frames a lumbar CT. By eye."""

from __future__ import annotations

import numpy as np
from neckfrac.anatomy import OTHER_BONE

from ..built_in.girdle import mirrored
from ..built_in.layout import JOINT_GAP
from ..built_in.parametric import wobble_of
from ..built_in.sculpture import Sculpture
from ..neck import Bone
from ..shapes import Shape, ellipsoid, half_space, meet, rod, sweep
from .layout import SIZES, TrunkLayout

SPACING = 2.0
# By rib: which vertebra carries it, how far round the chest it goes (degrees from the spinous process), half width
# of the cage there (mm). The seventh and the eighth come from above the trunk.
RIBS = {
    "seventh": ("T9", 48.0, 40, 150, 126), "eighth": ("T9", 24.0, 34, 145, 130), "ninth": ("T9", 0.0, 0, 135, 132),
    "tenth": ("T10", 0.0, 0, 122, 132), "eleventh": ("T11", 0.0, 0, 88, 126), "twelfth": ("T12", 0.0, 0, 58, 118),
}  # fmt: skip


def build_sacrum(layout: TrunkLayout) -> Bone:
    """Five fused vertebrae: wedge, wings, canal, foramina and the median crest."""
    place, s = layout.places["sacrum"], layout.person.scale
    sculpture = Sculpture(
        np.array([-60.0, -24, -112]) * s, np.array([60.0, 52, 32]) * s, turn=place.turn, center=place.center,
        spacing=1.5, wobble=wobble_of(layout.person, "sacrum"),
    )  # fmt: skip
    join, carve = sculpture.join, sculpture.carve

    def rows(*values: tuple[float, ...]) -> list[tuple[float, ...]]:
        return [tuple(float(v) * s for v in row) for row in values]

    top = SIZES["sacrum"].height / 2
    bodies = rows((0, 0, top - 7, 25, 16.5), (0, 4, -16, 19, 12), (0, 12, -38, 15, 9), (0, 15, -58, 13, 7),
                  (0, 11, -78, 11, 6), (0, 1, -98, 5, 4))  # fmt: skip
    join(sweep(bodies, across=(1, 0, 0), cap=0.35), 0)
    join(sweep(rows((18, 6, 2, 11, 11), (36, 11, -2, 14, 12), (46, 20, -14, 18, 9))), 4)
    join(sweep(rows((44, 20, -12, 12, 10), (36, 24, -38, 11, 8), (22, 20, -66, 9, 6)), across=(1, 0, 0)), 4)
    join(sweep(rows((14, 30, -4, 4, 14), (10, 37, -34, 4, 10), (6, 26, -66, 4, 8)), across=(0, 1, 0)), 4)
    join(sweep(rows((0, 38, -6, 7, 3), (0, 43, -28, 7, 3), (0, 34, -56, 5, 3)), across=(0, 1, 0)), 3)
    join(sweep(rows((24, 22, -2, 8, 6), (23, 24, 16, 7, 5)), across=(1, 0, 0)), 3)
    joint = place.local(place.above)
    beyond = half_space(joint.point - joint.normal * JOINT_GAP / 2, -joint.normal)
    room = ellipsoid(joint.point + joint.normal * 4 * s, np.array([11.0, 11, 13]) * s)
    cleared = meet(room, beyond, blend=0)
    carve(Shape(cleared.distance, cleared.lower, cleared.upper))
    carve(sweep(rows((0, 26, 26, 14, 8), (0, 27, -6, 12, 7), (0, 31, -32, 8, 5), (0, 24, -66, 5, 3)), across=(1, 0, 0)))
    for x, z, size in ((20, -17, 5.5), (18, -37, 4.8), (15, -55, 4.0), (13, -71, 3.2)):
        carve(rod(np.array((x, -12, z - 3)) * s, np.array((x + 4, 20, z)) * s, size * s))
        carve(rod(np.array((x + 2, 18, z)) * s, np.array((x, 52, z + 2)) * s, 0.6 * size * s))
    carve(half_space((0, 0, top + 0.3), (0, 0, -1)), 1.0)
    return sculpture.bone("sacrum", OTHER_BONE, "sacrum")


def _lone(layout: TrunkLayout, name: str, shapes: list[tuple[Shape, float]], segment: str, carved=()) -> Bone:
    lower = np.min([shape.lower for shape, _ in shapes], axis=0)
    upper = np.max([shape.upper for shape, _ in shapes], axis=0)
    sculpture = Sculpture(lower, upper, turn=np.eye(3), center=np.zeros(3), spacing=SPACING, fold=False,
                          wobble=wobble_of(layout.person, name))  # fmt: skip
    for shape, blend in shapes:
        sculpture.join(shape, blend)
    for shape in carved:
        sculpture.carve(shape)
    return sculpture.bone(name, OTHER_BONE, segment)


def build_hips(layout: TrunkLayout) -> dict[str, Bone]:
    """Both hip bones and the upper thighs, in LPS about the sacrum's first body; the sides are mirror images."""
    s, place = layout.person.scale, layout.places["sacrum"]

    def at(*values: tuple[float, ...]) -> list[tuple[float, ...]]:
        return [(*(place.center + np.array(row[:3]) * s), *(np.array(row[3:]) * s)) for row in values]

    socket = at((90, -12, -88))[0]
    blade = at((50, 48, 4, 30, 6), (74, 26, 10, 40, 5), (100, -8, 6, 38, 4.5), (118, -40, -4, 26, 6))
    crest = at((52, 52, 26, 5, 5), (82, 26, 48, 5, 6), (112, -14, 38, 5, 6), (122, -48, 10, 6, 6))
    column = at((54, 42, -18, 20, 9), (70, 26, -46, 18, 11), (86, 2, -76, 20, 18))
    ischium = at((86, 10, -92, 16, 14), (68, 28, -124, 14, 10), (52, 16, -146, 14, 11), (34, -16, -142, 8, 6))
    pubis = at((78, -26, -88, 11, 9), (46, -48, -106, 8, 7), (10, -54, -118, 15, 8), (34, -18, -140, 8, 6))
    hip = [
        (sweep(blade, count=12), 0.0), (sweep(crest, count=12), 5.0), (sweep(column, across=(0, 1, 0.4)), 8.0),
        (ellipsoid(socket, np.array([28, 30, 30]) * s), 6.0), (sweep(ischium, across=(0, 1, 0), count=10), 6.0),
        (sweep(pubis, count=10), 5.0),
    ]  # fmt: skip
    cup = ellipsoid(at((96, -16, -94))[0], np.array([27, 27, 27]) * s)
    head = ellipsoid(at((95, -15, -93))[0], np.array([23.5, 23.5, 23.5]) * s)
    thigh = at((96, -15, -94, 15, 15), (126, -4, -118, 16, 15), (138, 2, -140, 20, 18), (132, -4, -230, 15, 15))
    left = [
        _lone(layout, "left hip bone", hip, "sacrum", (cup,)),
        _lone(layout, "left thigh bone", [(head, 0.0), (sweep(thigh, across=(1, 0, 0), count=10), 5.0)], "sacrum"),
    ]
    return {b.name: b for bone in left for b in (bone, mirrored(bone, bone.name.replace("left", "right")))}


def rib_path(layout: TrunkLayout, name: str) -> np.ndarray:
    """The left rib from its head, or from where it enters: rows x, y, z (LPS mm), half height, half thickness."""
    level, raised, first, last, width = RIBS[name]
    place, s = layout.places[level], layout.person.scale
    size, rows = place.size, []
    if not first:
        first, edge = 24, size.upper_width / 2 + 1.0
        below = 3 if level in ("T9", "T10") else 8
        rows.append((*place.world((edge, size.wall - 4.0, size.height / 2 - below)), 4, 4))
        rows.append((*place.world((edge + 14 * s, size.wall + 12.0 * s, 1.0)), 4, 3.4))
    for angle in np.radians(np.linspace(first, last, 10)):
        back = np.cos(angle)
        y = -32 + (88 if back > 0 else 96) * back
        z = raised - 10 - 62 * np.degrees(angle) / 90 + 14 * max(np.degrees(angle) - 100, 0) / 50
        rows.append((*layout.at(level, width * np.sin(angle), y, z), 6.2, 3.2))
    rows = np.array(rows, float)
    rows[:, 3:] *= s
    rows[-1, 3:] *= 0.7
    return rows


def build_ribs(layout: TrunkLayout) -> dict[str, Bone]:
    """Six pairs of ribs by name."""
    bones = {}
    for name, (level, *_) in RIBS.items():
        shape = sweep(rib_path(layout, name), across=(0, -0.1, 1), count=26)
        bone = _lone(layout, f"left {name} rib", [(shape, 0.0)], level)
        for one in (bone, mirrored(bone, f"right {name} rib")):
            bones[one.name] = one
    return bones
