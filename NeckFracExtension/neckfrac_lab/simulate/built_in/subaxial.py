"""C3 to C7 and the upper thoracic vertebrae, sculpted from their measures."""

from __future__ import annotations

import numpy as np

from ..shapes import (
    FAR,
    Shape,
    ellipsoid,
    half_space,
    meet,
    rod,
    smooth_maximum,
    sweep,
)
from .layout import JOINT_GAP, Landmarks, Place
from .morphometry import VertebraSize
from .sculpture import Sculpture


def vertebral_body(size: VertebraSize, uncus: float, heart: float = 0.0, top: float = 1.0) -> Shape:
    """A vertebral body about its own middle.

    uncus: how high (mm) the lips at both sides of the upper end plate rise. heart: 0 to 1, how far the rear
    wall is hollowed by the canal. top: 0 removes the upper end plate (for C2).
    """
    height, waist = size.height, 0.07

    def distance(points: np.ndarray) -> np.ndarray:
        x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
        share = np.clip(z / height + 0.5, -0.1, 1.1)
        narrow = 1 - waist * (1 - (2 * share - 1) ** 2)
        # The lips flare outwards: below them the body is narrower than its upper end.
        flare = 0.82 if uncus > 2 else 0.95
        base = size.lower_width + 0.9  # the bevel below takes that much away
        width = base + (flare * size.upper_width - base) * np.clip(share, 0, 1)
        width = width + (1 - flare) * size.upper_width * np.clip((share - 0.62) / 0.45, 0, 1)
        half = narrow * width / 2
        deep = narrow * (size.lower_depth + (size.upper_depth - size.lower_depth) * share) / 2
        power = 2.7
        level = ((x / half) ** power + (np.abs(y) / deep) ** power) ** (1 / power)
        side = (level - 1) * np.minimum(half, deep)
        rear = y - deep * 0.96 + heart * 2.5 * np.clip(1 - (x / (0.6 * half)) ** 2, 0, 1)
        across, along = x / half, y / deep
        rim = np.clip((across - 0.6) / 0.4, 0, 1.2)
        upper = (
            height / 2 - 0.9 + 0.9 * along**2 * (along > 0) + uncus * rim**1.6 * np.clip(0.75 + 0.35 * along, 0.2, 1)
        )
        upper = upper - 1.4 * np.clip(-along - 0.35, 0, 1) ** 1.5 * (uncus > 1)
        lower = -height / 2 + 1.0 * (1 - along**2) + 0.45 * uncus * rim**1.5
        lower = lower - 1.3 * np.clip(-along - 0.5, 0, 1) * (uncus > 1)
        # Where the top steepens, height overstates distance.
        ceiling = (z - upper) * (0.9 if uncus > 1 else 1.0)
        value = smooth_maximum(smooth_maximum(side, rear, 2.0), lower - z, 1.2)
        return smooth_maximum(value, ceiling, 1.2) if top else value

    half = np.array([max(size.upper_width, size.lower_width), max(size.upper_depth, size.lower_depth), height]) / 2 + 1
    lower, upper = -half, half + np.array([0, 0, uncus])
    lower[2] -= 1.5
    return Shape(distance, lower, upper)


def canal(size: VertebraSize, round_canal: bool = False) -> Shape:
    """The vertebral canal's bore along z, unbounded: a rounded triangle, or round as in the thorax."""
    half, wall, depth = size.canal_width / 2, size.wall, size.canal_depth
    slope = np.array([depth * (0.75 if round_canal else 0.6), half - (3.0 if round_canal else 1.2)])
    slope = slope / np.linalg.norm(slope)
    corner = np.array([half, wall + depth * (0.45 if round_canal else 0.38)])

    def distance(points: np.ndarray) -> np.ndarray:
        x, y = np.abs(points[:, 0]), points[:, 1]
        lateral = x - half
        roof = (x - corner[0]) * slope[0] + (y - corner[1]) * slope[1]
        value = smooth_maximum(smooth_maximum(lateral, roof, 3.0), wall - y, 3.0)
        return smooth_maximum(value, y - wall - depth, 2.0)

    return Shape(distance, np.array([-half, wall, -FAR]), np.array([half, wall + depth, FAR]))


def facet_pillar(
    place: Place, marks: Landmarks, half_width: float, half_depth: float, reach: float, end: float | None = None
) -> Shape:
    """The left articular pillar: a column cut by the joints above and below.

    reach (at the lower end: `end`, when given) is how far in mm it goes on past a joint's middle.
    """
    above = place.local(place.above) if place.above else None
    below = place.local(place.below) if place.below else None
    top = (above.point if above else np.array(marks.pillar) + [0, 0, 7.0]) + [0, -0.5, reach]
    bottom = (below.point if below else np.array(marks.pillar) - [0, 0, 7.0]) + [
        0,
        0.5,
        -(reach if end is None else end),
    ]
    column = sweep(
        [
            (*bottom, half_width, half_depth),
            (*marks.pillar, half_width + 0.4, half_depth),
            (*top, half_width, half_depth),
        ],
        across=(1, 0, 0),
        cap=0.5,
    )
    cuts = []
    if above:
        cuts.append(half_space(above.point - above.normal * JOINT_GAP / 2, above.normal))
    if below:
        cuts.append(half_space(below.point + below.normal * JOINT_GAP / 2, -below.normal))
    return meet(column, *cuts, blend=1.8)


def cut_to_joints(sculpture: Sculpture, place: Place, beside: float, reach: float = 9.5) -> None:
    """Clear the room of the neighbours' facets: what lies beyond a joint, lateral of `beside` mm from the middle.

    reach: how far (mm) the neighbour's process comes past the joint's middle, along the joint.
    """
    for plane, sign in ((place.above, 1.0), (place.below, -1.0)):
        if plane is None:
            continue
        local = place.local(plane)
        normal = sign * local.normal
        beyond = half_space(local.point - normal * JOINT_GAP / 2, -normal)
        along = np.array([0.0, -local.normal[2], local.normal[1]]) * -sign
        if along[2] * sign < 0:
            along = -along
        near = half_space(local.point - along * reach, -along)
        limits = (
            half_space((beside, 0, 0), (-1, 0, 0)),
            half_space((beside + 14.0 * place.scale, 0, 0), (1, 0, 0)),
            half_space((0, place.size.wall + 1.0, 0), (0, -1, 0)),
        )
        cleared = meet(beyond, near, *limits, blend=0)
        span = np.array([24.0, 24.0, 28.0]) * place.scale
        sculpture.carve(Shape(cleared.distance, local.point - span, local.point + span), 0.4)


def sculpt_cervical(sculpture: Sculpture, place: Place, marks: Landmarks) -> None:
    """C3 to C7 in its own frame."""
    size, s = place.size, place.scale
    wall, back = size.wall, size.wall + size.canal_depth
    seventh = place.name == "C7"
    uncus = 3.2 * s if seventh else 4.8 * s
    edge = size.upper_width / 2
    px, py, pz = marks.pillar
    hole = (edge + (2.4 if seventh else 3.0) * s, 1.6 * s)
    tx, ty, tz = marks.transverse_tip
    join, carve = sculpture.join, sculpture.carve

    join(facet_pillar(place, marks, 5.7 * s, 5.5 * s, 3.6 * s, 1.2 * s if seventh else None), 0)
    # Pedicle, from the upper half of the body backwards and outwards.
    join(sweep([(edge * 0.72, wall - 3.2, 1.4, 3.6 * s, 3.0 * s), (px - 1.5, py - 1.0, 0.6, 3.8 * s, 3.0 * s)]), 1.5)
    # Lamina: a plate that slopes back and down, joined to the pillar at its rear.
    lean = (0, 0.42, -1.0)
    root, peak = (px - 2.2, wall + 8.8 * s, pz), (0.0, back + 2.2, -5.2 * s)
    tall = (6.6 if seventh else 5.9) * s
    middle = tuple((a + b) / 2 + c for a, b, c in zip(root, peak, (0.9, 0.6, 0), strict=True))
    join(sweep([(*root, tall, 2.6 * s), (*middle, tall, 2.1 * s), (*peak, tall, 2.3 * s)], across=lean, count=7), 1.5)
    _spinous(sculpture, place, back, bifid=not seventh)
    # Transverse process: a front bar (the rib's remnant), a rear bar, and the gutter between their tubercles.
    front = (edge * 0.75, -1.0, -0.5), (hole[0], hole[1] - 4.6 * s, -1.5 * s)
    if seventh:
        join(
            sweep([(*front[0], 2.6, 1.5), (*front[1], 2.2, 1.3), (hole[0] + 4.6 * s, 1.0, -1.5, 2.2, 1.3)], count=6),
            1.5,
        )
        join(
            sweep(
                [(px - 2, py - 1.5, 0, 4.0, 3.4), (px + 5, ty + 1.0, -0.5, 3.6, 3.4), (tx - 1.5, ty, tz, 3.2, 3.6)],
                count=6,
            ),
            2,
        )
        join(sweep([(hole[0] + 4.8 * s, 0.2, -1.5, 2.2, 1.7), (hole[0] + 5.2 * s, 9, -1.0, 2.4, 1.8)]), 2)
    else:
        tubercle = (hole[0] + 6.0 * s, hole[1] - 4.8 * s, -2.2 * s)
        large = 1.35 if place.name == "C6" else 1.0  # the carotid tubercle
        join(sweep([(*front[0], 2.8, 1.7), (*front[1], 2.5, 1.5), (*tubercle, 2.8, 1.9)], count=6), 1.5)
        join(ellipsoid(tubercle, (2.2 * large, 2.2 * large, 3.2 * large)), 1.5)
        join(ellipsoid((tx - 1.6, ty + 0.2, tz), (2.9, 3.1, 3.4)), 1.5)
        join(
            sweep(
                [(px, py - 3.0, pz, 3.8, 2.6), (hole[0] + 5, ty + 0.8, tz + 1.5, 3.2, 2.2), (tx, ty, tz, 2.8, 2.3)],
                count=6,
            ),
            1.5,
        )
        join(
            sweep([(hole[0] + 4.8 * s, tubercle[1], -2.4 * s, 3.0, 1.7), (hole[0] + 5.2 * s, ty, -3.0 * s, 3.0, 1.8)]),
            1.5,
        )
    # The body last, so that its end plates stay as they are.
    cut_to_joints(sculpture, place, px - 6.6 * s)
    carve(canal(size), 1.2)
    join(vertebral_body(size, uncus), 1.0)
    carve(inner_canal(size), 0.8)
    bore = (2.2 if seventh else 2.9) * s
    carve(
        sweep(
            [(hole[0], hole[1], -25, bore, bore * 1.08), (hole[0], hole[1], 25, bore, bore * 1.08)], across=(1, 0, 0)
        ),
        0.8,
    )


def inner_canal(size: VertebraSize) -> Shape:
    """The canal again, a little smaller: keeps rounded seams of the body out of it."""
    shape = canal(size)
    return Shape(lambda points: shape.distance(points) + 0.3, shape.lower, shape.upper)


def _spinous(sculpture: Sculpture, place: Place, back: float, bifid: bool) -> None:
    size, s = place.size, place.scale
    tip, drop = back + size.spinous_length, -size.spinous_drop
    start = (0.0, back + 1.5, -4.0 * s)
    if bifid:
        fork = tip - 5.5 * s
        middle = (start[1] + fork) / 2
        sculpture.join(
            sweep(
                [
                    (*start, 5.2 * s, 3.4 * s),
                    (0, middle, (start[2] + drop) / 2 - 0.4, 4.2 * s, 2.2 * s),
                    (0, fork, drop, 3.4 * s, 2.6 * s),
                ],
                count=7,
            ),
            2.0,
        )
        spread = {"C6": 2.6}.get(place.name, 4.0) * s
        sculpture.join(rod((0.8, fork - 0.5, drop), (spread, tip - 2.0, drop - 1.0), 2.5 * s, 2.2 * s), 1.5)
    else:
        sculpture.join(
            sweep(
                [
                    (*start, 6.2 * s, 3.8 * s),
                    (0, back + 0.45 * size.spinous_length, 0.55 * drop - 1.5, 5.0 * s, 2.6 * s),
                    (0, tip - 7, drop, 4.2 * s, 2.8 * s),
                    (0, tip - 3.5, drop, 4.0 * s, 3.4 * s),
                ],
                count=9,
            ),
            2.0,
        )


def sculpt_thoracic(sculpture: Sculpture, place: Place, marks: Landmarks) -> None:
    """T1 and below in its own frame."""
    size, s = place.size, place.scale
    wall, back = size.wall, size.wall + size.canal_depth
    px, py, pz = marks.pillar
    tx, ty, tz = marks.transverse_tip
    join = sculpture.join
    join(facet_pillar(place, marks, 5.0 * s, 4.8 * s, 2.5 * s), 0)
    high = size.height * 0.2
    join(
        sweep(
            [
                (size.canal_width / 2 + 2.6, wall - 4, high, 5.2 * s, 3.2 * s),
                (px - 0.5, py - 1, high * 0.6, 5.4 * s, 3.4 * s),
            ]
        ),
        2,
    )
    join(
        sweep(
            [
                (px, py + 1, 0.5, 5.0 * s, 4.0 * s),
                (px + 7 * s, (py + ty) / 2 + 2, 1.2, 4.6 * s, 3.8 * s),
                (tx - 1, ty, tz, 4.8 * s, 4.6 * s),
            ],
            count=7,
        ),
        2.5,
    )
    lean = (0, 0.35, -1.0)
    tall = 8.2 * s
    root, peak = (px - 2.5, wall + 9.5 * s, -3.0), (0.0, back + 2.4, -5.5 * s)
    join(sweep([(*root, tall, 2.8 * s), (*peak, tall, 2.6 * s)], across=lean), 1.5)
    tip, drop = back + size.spinous_length, -size.spinous_drop
    join(
        sweep(
            [
                (0, back + 1.5, -5.5 * s, 7.2 * s, 4.0 * s),
                (0, (back + tip) / 2, 0.5 * drop - 3.0, 5.4 * s, 2.8 * s),
                (0, tip - 3.0, drop, 3.6 * s, 3.0 * s),
            ],
            count=9,
        ),
        2.0,
    )
    cut_to_joints(sculpture, place, px - 6.0 * s, 5.5)
    sculpture.carve(canal(size, round_canal=True), 1.2)
    join(vertebral_body(size, 1.6 if place.name == "T1" else 0.0, heart=0.6), 1.0)
