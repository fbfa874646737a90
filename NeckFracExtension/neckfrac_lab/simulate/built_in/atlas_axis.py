"""C1, the ring, and C2 with its dens, sculpted from their measures."""

from __future__ import annotations

import numpy as np

from ..shapes import Shape, ellipsoid, half_space, meet, rod, sweep, turned
from .layout import CONDYLE_CENTER, CONDYLE_GAP, CONDYLE_RADII, CONDYLE_YAW, DENS_BACK, JOINT_GAP, Landmarks, Place
from .morphometry import Person, VertebraSize
from .sculpture import Sculpture
from .subaxial import canal, cut_to_joints, facet_pillar, vertebral_body

# Behind the anterior arch: how much room the joint with the dens takes (1 to 3 mm in adults).
DENS_GAP = 1.8


def sculpt_atlas(sculpture: Sculpture, place: Place, marks: Landmarks, person: Person) -> None:
    """C1 in its own frame, its origin between the lateral masses."""
    s, size = place.scale, place.size
    join, carve = sculpture.join, sculpture.carve
    front = -17.0 * s
    rear = size.upper_depth - 17.0 * s
    px = marks.pillar[0]
    # Lateral masses, nearer to each other in front.
    below = place.local(place.below)
    mass = ellipsoid_box((px + 0.3, -0.3, 0.5 * s), (8.4 * s, 10.2 * s, 10.2 * s), turned(yaw=CONDYLE_YAW))
    floor = half_space(below.point + below.normal * JOINT_GAP / 2, -below.normal)
    join(meet(mass, floor, blend=1.2), 0)
    # The anterior arch, tall and thin, with its tubercle.
    join(
        sweep(
            [
                (13.0 * s, -7.5 * s, 0.5, 5.0 * s, 3.2 * s),
                (7.0 * s, -12.2 * s, 1.2, 5.2 * s, 2.7 * s),
                (0, -13.8 * s, 1.5, 5.6 * s, 2.9 * s),
            ],
            count=7,
        ),
        2.0,
    )
    join(ellipsoid((0, front + 2.6 * s, 0.5), (4.2 * s, 2.8 * s, 4.6 * s)), 2.0)
    # The posterior arch; the vertebral artery's groove thins it just behind the lateral mass.
    arch_rear = rear - 3.4 * s
    join(
        sweep(
            [
                (19.0 * s, 7.0 * s, -0.5, 4.6 * s, 3.6 * s),
                (21.2 * s, 12.5 * s, -1.2, 2.6 * s, 3.0 * s),
                (17.6 * s, 20.0 * s, -1.2, 3.8 * s, 2.8 * s),
                (9.5 * s, arch_rear - 1.8 * s, -1.5, 4.4 * s, 2.9 * s),
                (0, arch_rear, -2.0, 4.6 * s, 2.9 * s),
            ],
            count=15,
        ),
        1.5,
    )
    join(ellipsoid((0, rear - 2.2 * s, -size.spinous_drop), (3.6 * s, 2.4 * s, 3.6 * s)), 2.0)
    # The transverse process: two roots around the foramen and a thick tip.
    tx, ty, tz = marks.transverse_tip
    hole_x = px + 11.8 * s
    join(
        sweep(
            [
                (px + 4, -3.0 * s, -1.0, 3.4 * s, 2.2 * s),
                (hole_x, -3.2 * s, -1.8, 2.4 * s, 1.7 * s),
                (tx - 1.5, 1.2 * s, tz, 3.0 * s, 2.4 * s),
            ],
            count=8,
        ),
        1.5,
    )
    join(
        sweep(
            [
                (px + 4, 7.0 * s, -1.5, 3.2 * s, 2.4 * s),
                (hole_x, 7.6 * s, -2.0, 2.6 * s, 1.9 * s),
                (tx - 1.5, 4.6 * s, tz, 3.0 * s, 2.4 * s),
            ],
            count=8,
        ),
        1.5,
    )
    join(ellipsoid((tx - 1.4 * s, ty, tz), (3.2 * s, 4.2 * s, 4.0 * s)), 1.5)
    # Sockets for the condyles, the canal and the room for the dens.
    radii = np.array(CONDYLE_RADII) * s + CONDYLE_GAP
    carve(ellipsoid(np.array(CONDYLE_CENTER) * s, radii, turned(yaw=CONDYLE_YAW)), 0.8)
    bore = (size.canal_width / 2 - 1.0 * s, (arch_rear - 2.9 * s - 2.0 * s) / 2)
    middle = (arch_rear - 2.9 * s + 2.0 * s) / 2
    carve(sweep([(0, middle, -30, *bore), (0, middle, 30, *bore)], across=(1, 0, 0)), 1.0)
    dens = (9.6 * s, 7.4 * s)
    carve(sweep([(0, -3.6 * s, -30, *dens), (0, -3.6 * s, 30, *dens)], across=(1, 0, 0)), 1.5)
    carve(
        sweep([(hole_x, 2.2 * s, -30, 3.2 * s, 3.5 * s), (hole_x, 2.2 * s, 30, 3.2 * s, 3.5 * s)], across=(1, 0, 0)),
        0.8,
    )


def ellipsoid_box(center: tuple, half: tuple, turn: np.ndarray) -> Shape:
    """Between a box and an ellipsoid: the fourth-power superellipsoid."""
    middle, radii, rows = (np.asarray(v, np.float32) for v in (center, half, turn))

    def distance(points: np.ndarray) -> np.ndarray:
        scaled = np.abs((points - middle) @ rows.T / radii)
        level = (scaled**3.2).sum(axis=1) ** (1 / 3.2)
        return (level - 1) * radii.min()

    extent = np.abs(rows * radii[:, None]).sum(axis=0)
    return Shape(distance, middle - extent, middle + extent)


def sculpt_axis(sculpture: Sculpture, place: Place, marks: Landmarks, person: Person) -> None:
    """C2 in its own frame."""
    s, size = place.scale, place.size
    join, carve = sculpture.join, sculpture.carve
    wall, back, high = size.wall, size.wall + size.canal_depth, size.height / 2
    px, py, pz = marks.pillar
    tx, ty, tz = marks.transverse_tip
    above = place.local(place.above)
    # Shoulders that carry C1, the pars behind them and the lower facets.
    shoulder = ellipsoid_box(
        (15.0 * s, 2.0 * s, high - 7.5 * s), (8.8 * s, 8.8 * s, 8.5 * s), turned(roll=-14, yaw=-14)
    )
    ceiling = half_space(above.point - above.normal * JOINT_GAP / 2, above.normal)
    join(facet_pillar(place, marks, 5.7 * s, 5.4 * s, 3.6 * s), 0)
    join(meet(shoulder, ceiling, blend=1.2), 1.5)
    join(
        sweep(
            [(14.5 * s, 5.0 * s, 0.5, 5.2 * s, 4.2 * s), (px - 0.8, py - 1.5, pz + 2.0, 5.0 * s, 4.2 * s)],
            across=(0, 0.5, 1),
        ),
        2.0,
    )
    # Laminae, the thickest of the neck, and the big forked spinous process.
    peak = (0.0, back + 3.0, -5.5 * s)
    root = (px - 2.0, wall + 9.5 * s, -6.0 * s)
    middle = tuple((a + b) / 2 + c for a, b, c in zip(root, peak, (1.0, 0.8, 0), strict=True))
    join(
        sweep(
            [(*root, 5.8 * s, 3.4 * s), (*middle, 6.4 * s, 3.0 * s), (*peak, 6.8 * s, 3.4 * s)],
            across=(0, 0.35, -1),
            count=7,
        ),
        1.5,
    )
    tip, drop = back + size.spinous_length, -size.spinous_drop
    fork = tip - 8.0 * s
    join(
        sweep(
            [
                (0, back + 2.0, -5.5 * s, 6.8 * s, 4.4 * s),
                (0, (back + fork) / 2 + 1, -6.5 * s, 6.2 * s, 3.6 * s),
                (0, fork, drop + 1.5, 5.0 * s, 4.2 * s),
            ],
            count=7,
        ),
        2.0,
    )
    join(rod((1.5, fork - 1, drop + 1.0), (5.4 * s, tip - 2.8, drop - 1.5), 3.6 * s, 2.9 * s), 2.0)
    # Transverse process: small, pointing down and out, around the foramen.
    hole = (17.4 * s, 2.6 * s)
    rim = hole[0] + 4.6 * s
    join(
        sweep(
            [
                (13.5 * s, -3.5 * s, -2.0, 3.6 * s, 2.4 * s),
                (hole[0], hole[1] - 5.0 * s, -4.5 * s, 3.0 * s, 1.9 * s),
                (rim, -0.5, -6.0 * s, 2.6 * s, 1.9 * s),
            ],
            count=7,
        ),
        1.5,
    )
    join(
        sweep(
            [
                (px - 1, py - 5.0, -3.5 * s, 3.6 * s, 2.4 * s),
                (hole[0] + 2, hole[1] + 5.4 * s, -5.5 * s, 3.0 * s, 2.0 * s),
                (tx - 1.5, ty, tz, 2.8 * s, 2.4 * s),
            ],
            count=7,
        ),
        1.5,
    )
    join(sweep([(rim, -1.0, -5.5 * s, 2.8 * s, 1.9 * s), (rim + 0.6, 6.5 * s, -6.5 * s, 2.8 * s, 2.0 * s)]), 1.5)
    cut_to_joints(sculpture, place, px - 6.6 * s)
    carve(canal(size), 1.2)
    # Body and dens, narrowed by the transverse ligament at its waist.
    join(_trunk(size, s), 2.0)
    half, deep, reach = person.dens_width / 2, person.dens_depth / 2, person.dens_height
    path = [
        (0, DENS_BACK - 0.6, high - 6.0 * s, half * 1.5, deep * 1.12),
        (0, DENS_BACK, high + 0.5, half * 0.98, deep * 0.98),
        (0, DENS_BACK, high + 0.25 * reach, half * 0.88, deep * 0.9),
        (0, DENS_BACK + 0.2, high + 0.55 * reach, half, deep),
        (0, DENS_BACK + 0.5, high + 0.8 * reach, half * 0.86, deep * 0.84),
        (0, DENS_BACK + 0.8, high + reach - 2.4, half * 0.56, deep * 0.56),
    ]
    join(sweep(path, across=(1, 0, 0), count=16), 2.5)
    carve(meet(canal(size), half_space((0, 0, high + 2.0), (0, 0, 1)), blend=0.5), 0.8)
    bore = 3.0 * s
    carve(
        sweep(
            [
                (hole[0], hole[1], -30, bore, bore),
                (hole[0], hole[1], -3.0 * s, bore, bore),
                (hole[0] + 4.0, hole[1], 1.5 * s, bore, bore),
                (hole[0] + 14.0, hole[1], 5.0 * s, bore, bore),
            ],
            across=(0, 1, 0),
        ),
        0.8,
    )


def _trunk(size: VertebraSize, s: float) -> Shape:
    """C2's body: like C3's below, running up into the shoulders and the dens."""
    body = vertebral_body(size, 0.0, top=0.0)
    roof = half_space((0, 0, size.height / 2 - 1.0 * s), (0, 0, 1))
    shape = meet(body, roof, blend=3.0)
    lip = ellipsoid((0, -size.wall + 2.0, -size.height / 2 + 1.0), (6.0 * s, 2.4 * s, 3.0 * s))

    def distance(points: np.ndarray) -> np.ndarray:
        return np.minimum(shape.distance(points), lip.distance(points))

    return Shape(distance, shape.lower - 2, shape.upper + 2)
