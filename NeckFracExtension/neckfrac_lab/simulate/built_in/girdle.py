"""Ribs, sternum, clavicles, scapulae and humeral heads: the lower frame of a neck CT.

The left side is sculpted and mirrored, so both are exact mirror images.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from neckfrac.anatomy import OTHER_BONE

from ..neck import Bone
from ..shapes import Shape, box, ellipsoid, placed, sweep, turned
from .layout import Layout, Place, landmarks
from .sculpture import Sculpture

ORDINALS = ("first", "second", "third", "fourth")


def mirrored(bone: Bone, name: str) -> Bone:
    """The other side's bone."""
    end = bone.origin[0] + bone.spacing * (bone.distance.shape[2] - 1)
    return replace(
        bone, name=name, distance=np.ascontiguousarray(bone.distance[:, :, ::-1]), origin=(-end, *bone.origin[1:])
    )


def manubrium_top(layout: Layout) -> np.ndarray:
    """The jugular notch, LPS mm: in front of T2 and T3, some 55 mm before the spine."""
    place = layout.places["T2"]
    return place.center + np.array([0.0, -66.0, -14.0]) * layout.person.scale


def rib_path(layout: Layout, number: int) -> np.ndarray:
    """The left rib from its head to where its cartilage begins: rows x, y, z (LPS mm), half height, half thickness."""
    place: Place = layout.places[f"T{number + 1}"]
    s, top = layout.person.scale, manubrium_top(layout)
    marks = landmarks(place.name, place.size, place.scale)
    tip = np.array(marks.transverse_tip)
    head = (place.size.upper_width / 2 + 1.5, place.size.wall - 3.5, place.size.height / 2 - 3)
    near = [place.world(p) for p in (head, tip * (0.8, 0.9, 1) + (0, -9.5, 1.0), tip + np.array([8.0, -5.0, -1.0]) * s)]
    wide, middle = ((60, 20, -14), (64, -12, -30)), (48, -44, -44)
    if number:
        wide, middle = ((78 + 5 * number, 22, -18), (90 + 7 * number, -18, -46)), (72 + 6 * number, -56, -68)
    far = [place.center + np.array(p, float) * s for p in (*wide, middle)]
    end = top + np.array([30.0 + 2 * number, 1.0 - 4 * number, -10.0 - 24 * number]) * s
    thick = [(4, 3.4), (4, 3), (5, 3.4), (5, 3.2), (5.5, 3), (6, 3), (6, 3.2)]
    if number == 0:
        # The first rib lies flat: broad from inside to outside.
        thick = [(3.4, 3.4), (3, 3.4), (3.2, 5), (3.0, 6.5), (3.0, 7.5), (3.2, 7.5), (3.6, 7)]
    return np.concatenate([np.array([*near, *far, end]), np.array(thick) * s], axis=1)


def _lone(
    name: str, shapes: list[tuple[Shape, float]], segment: str, spacing: float, carved: tuple[Shape, ...] = ()
) -> Bone:
    lower = np.min([shape.lower for shape, _ in shapes], axis=0)
    upper = np.max([shape.upper for shape, _ in shapes], axis=0)
    sculpture = Sculpture(lower, upper, turn=np.eye(3), center=np.zeros(3), spacing=spacing, fold=False)
    for shape, blend in shapes:
        sculpture.join(shape, blend)
    for shape in carved:
        sculpture.carve(shape)
    return sculpture.bone(name, OTHER_BONE, segment)


def build_girdle(layout: Layout) -> dict[str, Bone]:
    """Three pairs of ribs, the manubrium, clavicles, scapulae and humeral heads, by name."""
    s, top = layout.person.scale, manubrium_top(layout)
    shift = top - np.array([0.0, -40.0, -100.0])

    def at(*rows: tuple[float, ...]) -> list[tuple[float, ...]]:
        """Rows (x, y, z, half sizes) given for a notch at (0, -40, -100)."""
        return [
            (*(np.array([0, -40, -100]) + (np.array(r[:3]) - (0, -40, -100)) * s + shift), *(np.array(r[3:]) * s))
            for r in rows
        ]

    bones: dict[str, Bone] = {}
    left: list[Bone] = []
    for number in range(3):
        path = rib_path(layout, number)
        across = (0, -0.45, 1) if number == 0 else (0, -0.2, 1)
        left.append(
            _lone(f"left {ORDINALS[number]} rib", [(sweep(path, across=across, count=22), 0)], f"T{number + 1}", 1.5)
        )
    clavicle = sweep(
        at(
            (13, -42, -97, 9, 8),
            (24, -45, -95, 7, 6.5),
            (55, -50, -90, 5.5, 5.5),
            (90, -40, -84, 5.5, 5.5),
            (125, -18, -80, 5.5, 6.5),
            (150, -2, -80, 5, 9),
        ),
        across=(0, 0, 1),
        count=20,
    )
    left.append(_lone("left clavicle", [(clavicle, 0)], "T1", 2.0))
    blade_turn = turned(yaw=-30, pitch=12)
    middle = at((118, 72, -138))[0]
    blade = placed(ellipsoid((0, 0, 0), np.array([50, 4.5, 62]) * s), blade_turn, middle)
    scapula = [
        (blade, 0.0),
        (
            sweep(
                at((82, 88, -112, 8, 3), (120, 72, -92, 13, 3.4), (148, 48, -78, 8, 5), (165, 18, -76, 5, 11)), count=10
            ),
            4.0,
        ),
        (sweep(at((118, 68, -116, 16, 5), (138, 40, -110, 14, 8), (148, 26, -104, 18, 9)), across=(0, 0, 1)), 4.0),
        (sweep(at((140, 30, -92, 6, 6), (132, 8, -82, 6, 5), (138, -8, -88, 5, 5)), count=8), 3.0),
    ]
    left.append(_lone("left scapula", scapula, "T1", 2.0))
    head, shaft = at((174, 20, -105, 23, 23))[0], at((184, 20, -112, 18, 18), (186, 18, -190, 12, 12))
    left.append(
        _lone(
            "left humerus",
            [(ellipsoid(head[:3], np.array([23, 23, 23]) * s), 0), (sweep(shaft, across=(1, 0, 0)), 6)],
            "T1",
            2.0,
        )
    )
    for bone in left:
        other = bone.name.replace("left", "right")
        bones[bone.name], bones[other] = bone, mirrored(bone, other)
    notch = at((0, -40, -92))[0]
    plate = box(at((0, -45, -124))[0], np.array([27, 6.5, 25]) * s, 4.0, turned(pitch=-22))
    corpus = box(at((0, -58, -172))[0], np.array([17, 5.5, 30]) * s, 4.0, turned(pitch=-14))
    sculpture = Sculpture(
        np.minimum(plate.lower, corpus.lower),
        np.maximum(plate.upper, corpus.upper),
        turn=np.eye(3),
        center=np.zeros(3),
        spacing=2.0,
    )
    sculpture.join(plate, 0)
    sculpture.join(corpus, 1)
    sculpture.carve(ellipsoid(notch, np.array([13, 14, 10]) * s), 3)
    bones["sternum"] = sculpture.bone("sternum", OTHER_BONE, "T3")
    return bones
