"""The skull, the mandible and the hyoid, roughly: what a neck CT shows of them.

Their frame: origin at basion (front edge of the foramen magnum), axes along LPS, mm of the mean adult
(cranium 178 long, 144 wide, 134 from basion to bregma; Howells 1973), times the person's scale.
"""

from __future__ import annotations

import numpy as np
from neckfrac.anatomy import OTHER_BONE, SKULL

from ..neck import Bone
from ..shapes import (
    Shape,
    box,
    curve,
    ellipsoid,
    half_space,
    placed,
    rod,
    smooth_maximum,
    smooth_minimum,
    sweep,
    turned,
)
from .layout import CONDYLE_RADII, CONDYLE_YAW, Layout
from .sculpture import Sculpture

# The upper and the lower row of teeth, from the last molar to the middle: x, y.
DENTAL_ARCH = ((27.5, -46.0), (27.0, -55.0), (25.0, -64.0), (21.0, -73.5), (15.0, -81.0), (8.5, -86.5), (3.2, -89.0))
UPPER_TEETH, LOWER_TEETH = -23.5, -35.0


def brain_cavity() -> Shape:
    """The inside of the cranium, in the skull's frame (its left and right half alike)."""
    whole = ellipsoid((0, -5, 68), (66, 84, 61))
    # The floor: above the clivus behind, above the orbits' roofs in front.
    clivus, roofs = half_space((0, -20, 38), (0, -33, -20)), half_space((0, -60, 40), (0, -0.15, -1))
    parts = (
        (ellipsoid((0, 37, 23), (50, 39, 27)), 20.0),
        (ellipsoid((36, -26, 30), (25, 27, 19)), 10.0),
        (ellipsoid((-36, -26, 30), (25, 27, 19)), 10.0),
    )

    def distance(points: np.ndarray) -> np.ndarray:
        floor = smooth_minimum(clivus.distance(points), roofs.distance(points), 8.0)
        value = smooth_maximum(whole.distance(points), floor, 8.0)
        for part, blend in parts:
            value = smooth_minimum(value, part.distance(points), blend)
        return value

    return Shape(distance, np.array([-70.0, -92, -10]), np.array([70.0, 82, 131]))


def air_spaces() -> dict[str, Shape]:
    """Sinuses and the nose of the left side, in the skull's frame."""
    return {
        "maxillary sinus": ellipsoid((27, -62, 4), (12, 15, 15)),
        "sphenoid sinus": ellipsoid((7, -29, 25), (7.5, 10, 8)),
        "frontal sinus": ellipsoid((9, -86, 42), (8, 3, 7)),
        "ethmoid cells": ellipsoid((9, -62, 26), (5, 17, 9)),
        "nose": box((6.5, -68, 4), (6, 27, 17), 4.0),
    }


def mastoid_cells() -> list[Shape]:
    """Air cells of the left mastoid, in the skull's frame."""
    places = np.array([(55, 10, 4), (57, 16, -1), (53, 17, 6), (56, 8, -6), (58, 20, 9), (52, 9, 11), (55, 13, -11)])
    return [ellipsoid(place, (3.2, 3.6, 3.4)) for place in places]


def build_skull(layout: Layout, wobble=None) -> Bone:
    """The cranium with base, condyles, mastoids and the upper face."""
    s, turn = layout.person.scale, layout.places["C1"].turn
    sculpture = Sculpture(
        np.array([-77.0, -110, -31]) * s,
        np.array([77.0, 86, 139]) * s,
        turn=np.eye(3),
        center=layout.basion,
        spacing=1.5,
        wobble=lambda points: (wobble(points) if wobble else points) / s,
    )
    join, carve = sculpture.join, sculpture.carve
    cavity = brain_cavity()
    shell = 6.0

    def wall(points: np.ndarray) -> np.ndarray:
        inner = cavity.distance(points)
        return np.maximum(inner - shell, -inner)

    join(Shape(wall, cavity.lower - shell, cavity.upper + shell), 0)
    # The base: clivus, sphenoid, petrous pyramids, mastoids, the squama's crest.
    join(
        sweep([(0, 1.0, 3.0, 12.0, 4.0), (0, -11, 17, 12.0, 6.0), (0, -21, 32, 10.0, 8.0)], across=(1, 0, 0), cap=0.5),
        4,
    )
    join(box((0, -28, 24), (14, 14, 13), 4.0), 3)
    join(sweep([(58, 4, 12, 11, 11), (38, -6, 13, 10, 10), (17, -18, 17, 6, 6)], count=6), 4)
    join(ellipsoid((54, 12, 0), (10.5, 14, 19), turned(roll=12)), 4)
    join(sweep([(0, 72, 12, 5, 5), (30, 66, 14, 4, 4), (56, 36, 14, 4, 4)], count=8), 5)
    join(rod((45, -3, 6), (37, -14, -24), 2.4, 1.4), 2)
    # The upper face.
    join(box((18, -64, 6), (23, 23, 17), 7.0, turned(yaw=-12)), 3)
    join(
        sweep(
            [
                (*DENTAL_ARCH[0], -13, 7, 5),
                (*DENTAL_ARCH[2], -13, 7, 5),
                (*DENTAL_ARCH[4], -13, 7, 4.4),
                (0, -89, -13, 7, 4),
            ],
            count=10,
        ),
        3,
    )
    join(box((0, -64, -9.5), (22, 24, 2.6), 2.0), 2)
    join(sweep([(0, -88, 37, 6, 5), (26, -86, 40, 6, 5), (48, -69, 35, 6, 5)], count=7), 4)
    join(sweep([(50, -69, 35, 4, 4), (53, -70, 14, 5, 4), (46, -74, -2, 8, 4)], count=6), 3)
    join(sweep([(66, -14, 12, 5, 3), (68, -34, 11, 5, 2.6), (61, -58, 8, 5.5, 2.8), (50, -71, 4, 8, 4)], count=8), 3)
    join(sweep([(3, -90, 36, 4, 4), (2.5, -102, 12, 5, 2)], across=(1, 0, 0)), 3)
    join(sweep([(14, -37, 14, 8, 1.8), (15, -39, -14, 6, 1.8)], across=(0, 1, 0)), 2)
    carve(ellipsoid((31, -76, 21), (17.5, 25, 16.5), turned(yaw=-18)), 2)
    carve(ellipsoid((32, -98, 21), (19, 12, 17)), 3)
    for space in air_spaces().values():
        carve(space, 1.0)
    join(box((0, -54, 6), (0.8, 15, 15), 0.5), 0.5)
    join(ellipsoid((9.5, -64, -2), (3, 20, 3)), 0.5)
    for cell in mastoid_cells():
        carve(cell, 0.5)
    carve(rod((80, -5, 8), (44, -7, 11), 3.6), 1)
    # The condyles stand where C1's sockets are; everything else stays clear of the atlas.
    condyle = placed(
        ellipsoid((0, 0, 0), CONDYLE_RADII, turned(yaw=CONDYLE_YAW)), turn, (layout.condyle - layout.basion) / s
    )
    middle = (layout.condyle - layout.basion) / s
    join(condyle, 0)
    join(sweep([(*middle, 6.0, 9.0), (middle[0] + 2, middle[1] + 1, 9, 7.0, 10.0)], across=(1, 0, 0), cap=0.3), 3)
    carve(sweep([(0, 17.5, -14, 15.0, 17.5), (0, 17.5, 9, 15.5, 18)], across=(1, 0, 0), cap=0.4), 2)
    carve(rod((6, 2, 4.5), (26, -8, 5.5), 2.2), 0.8)
    for x, y in DENTAL_ARCH:
        join(ellipsoid((x, y, UPPER_TEETH + 2), (4.4 if y > -75 else 3.4, 4.4 if y > -75 else 3.2, 8.5)), 0.4)
    return sculpture.bone("skull", SKULL, "skull")


def build_mandible(layout: Layout, wobble=None) -> Bone:
    """The lower jaw with its teeth."""
    s = layout.person.scale
    sculpture = Sculpture(
        np.array([-64.0, -100, -76]) * s,
        np.array([64.0, -6, 14]) * s,
        turn=np.eye(3),
        center=layout.basion,
        spacing=1.25,
        wobble=lambda points: (wobble(points) if wobble else points) / s,
    )
    join, carve = sculpture.join, sculpture.carve
    join(ellipsoid((51, -15, 3), (9, 4.5, 4.5), turned(yaw=15)), 0)
    join(sweep([(50, -16, 1, 5.5, 3.5), (50, -20, -10, 9, 3.6)], across=(0, 1, 0)), 3)
    join(
        sweep(
            [(50, -27, -14, 14, 3.4), (48, -29, -32, 15.5, 4.0), (45, -30, -48, 14, 4.6)],
            across=(0, 1, 0),
            count=5,
            cap=2.0,
        ),
        3,
    )
    join(sweep([(48, -41, -14, 5, 2.4), (47, -44, 1, 2, 1.8)], across=(0, 1, 0)), 3)
    body = [
        (44, -30, -50, 13.5, 5.2),
        (37, -50, -53, 13.5, 5.8),
        (28, -68, -55, 14, 5.8),
        (15, -83, -56.5, 14.5, 5.4),
        (0, -89, -57, 14.5, 5.6),
    ]
    join(sweep(body, count=16), 3)
    join(ellipsoid((0, -94, -65), (11, 4, 6)), 4)
    join(
        sweep(
            [
                (*DENTAL_ARCH[0], -44, 6, 4.6),
                (*DENTAL_ARCH[2], -44, 6, 4.6),
                (*DENTAL_ARCH[4], -44, 6, 4.2),
                (0, -88, -44, 6, 4),
            ],
            count=10,
        ),
        3,
    )
    carve(sweep([(48, -32, -26, 1.6, 1.6), (40, -45, -52, 1.8, 1.8), (27, -69, -58, 1.8, 1.8)], count=6), 0.6)
    for x, y in DENTAL_ARCH:
        join(
            ellipsoid((0.97 * x, y + 1.5, LOWER_TEETH - 2), (4.2 if y > -75 else 2.9, 4.4 if y > -75 else 3.0, 8.0)),
            0.4,
        )
    return sculpture.bone("mandible", OTHER_BONE, "skull")


def hyoid_path(layout: Layout) -> np.ndarray:
    """The left half of the hyoid from its middle backwards: rows x, y, z (LPS mm), half height, half thickness."""
    s, anchor = layout.person.scale, layout.places["C3"].center
    rows = np.array(
        [
            (0, -43, -14, 5.5, 2.6),
            (9, -41, -14, 5.2, 2.6),
            (16, -34, -12, 3.6, 2.2),
            (21, -22, -8, 2.8, 1.9),
            (22.5, -12, -4, 2.6, 2.2),
        ]
    )
    rows = rows * s
    rows[:, :3] += anchor
    return curve(rows, 10)


def build_hyoid(layout: Layout, wobble=None) -> Bone:
    """The hyoid: body and greater horns as one U."""
    path = hyoid_path(layout)
    sculpture = Sculpture(
        np.array([-path[:, 0].max() - 4, path[:, 1].min() - 4, path[:, 2].min() - 7]),
        np.array([path[:, 0].max() + 4, path[:, 1].max() + 4, path[:, 2].max() + 5]),
        turn=np.eye(3),
        center=np.zeros(3),
        spacing=1.0,
        wobble=wobble,
    )
    sculpture.join(sweep(path, across=(0, -0.3, 1)), 0)
    return sculpture.bone("hyoid", OTHER_BONE, "C3")
