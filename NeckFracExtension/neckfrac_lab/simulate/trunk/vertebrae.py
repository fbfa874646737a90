"""T12 to L5, sculpted from their measures."""

from __future__ import annotations

import numpy as np
from neckfrac.anatomy import THORACIC

from ..built_in.layout import JOINT_GAP, Landmarks, Place
from ..built_in.parametric import wobble_of
from ..built_in.sculpture import Sculpture
from ..built_in.subaxial import canal, inner_canal, sculpt_thoracic, vertebral_body
from ..neck import Bone
from ..shapes import Shape, ellipsoid, half_space, meet, sweep
from .layout import FRONTAL, PEDICLES, TrunkLayout, trunk_landmarks

# Thoracic vertebrae are small, lumbar ones large: what a coarse scan shows of either needs no finer grid (mm).
SPACING = {"T": 1.0, "L": 1.25}


def sculpt_lumbar(sculpture: Sculpture, place: Place, marks: Landmarks) -> None:
    """T12 to L5 in its own frame: tall pedicles and laminae, a broad flat spinous process, upright facets."""
    size, s, join = place.size, place.scale, sculpture.join
    wall, back = size.wall, size.wall + size.canal_depth
    wide, tall = (part * s for part in PEDICLES[place.name])
    px, pz = size.canal_width / 2 + wide / 2 - 0.3, size.height / 2 - tall / 2 - 0.5
    shoulder = (px + 0.5, wall + 8.0 * s, pz)
    join(sweep([(px, wall - 5, pz, tall / 2, wide / 2), (*shoulder, tall / 2, wide / 2)]), 0)
    # The isthmus between the upper and the lower joint, then the lamina behind the canal.
    low = (marks.lamina[0] + 3.0 * s, back - 0.5, -7.0 * s)
    join(sweep([(*shoulder, 7.0 * s, 4.5 * s), (*low, 7.5 * s, 4.0 * s)], across=(0, 0.3, -1)), 2)
    join(sweep([(*low, 8.5 * s, 3.4 * s), (0, back + 3.0, -7.5 * s, 9.0 * s, 3.2 * s)], across=(0, 0.35, -1)), 2)
    drop, tip = -size.spinous_drop, back + size.spinous_length
    spinous = [
        (0, back + 2.0, -6.5 * s, 8.5 * s, 3.4 * s),
        (0, (back + tip) / 2, (drop - 6.5 * s) / 2, 9.0 * s, 2.8 * s),
        (0, tip - 4.0, drop, 10.0 * s, 3.6 * s),
    ]
    join(sweep(spinous, count=7, cap=1.0), 2)
    if place.name == "T12":
        join(ellipsoid(marks.transverse_tip, (5 * s, 6 * s, 7 * s)), 4)
    else:
        ends = np.array(shoulder), np.array(marks.transverse_tip)
        half = (7.0, 6.0) if place.name == "L5" else (5.5, 4.0)
        rows = [(*(ends[0] + (1.0, 0, -1.0)), half[0] * s, half[1] * s)]
        rows += [(*((ends[0] + ends[1]) / 2 + (0, 1.0, -1.0)), 5.5 * s, 2.8 * s), (*ends[1], 4.5 * s, 2.4 * s)]
        join(sweep(rows, count=7), 3)
    _facets(sculpture, place, shoulder, low)
    sculpture.carve(canal(size), 1.2)
    join(vertebral_body(size, 0.0, heart=0.5), 1.0)
    sculpture.carve(inner_canal(size), 0.8)


def _facets(sculpture: Sculpture, place: Place, shoulder: tuple, low: tuple) -> None:
    """The upper and the lower articular process of the left side, each up to its joint's gap."""
    s = place.scale
    for plane, side in ((place.above, -1.0), (place.below, 1.0)):
        local = place.local(plane)
        normal = local.normal * side
        middle, along = local.point + normal * 4.6 * s, np.cross(local.normal, (0.0, 0.0, 1.0))
        start, reach = (shoulder, 7.0 * s) if side < 0 else (low, -9.0 * s)
        rows = [(*start, 6.5 * s, 5.0 * s), (*middle, 7.5 * s, 5.2 * s), (*(middle + (0, 0, reach)), 5.5 * s, 4.2 * s)]
        process = sweep(rows, across=along, cap=0.8)
        sculpture.join(meet(process, half_space(local.point + normal * JOINT_GAP / 2, -normal), blend=1.0), 2.0)
        # No bone of this vertebra on the other side of its joint.
        beyond = half_space(local.point + normal * JOINT_GAP / 2, normal)
        room = meet(ellipsoid(local.point - normal * 4.0 * s, np.array([10.0, 10.0, 13.0]) * s), beyond, blend=0)
        sculpture.carve(Shape(room.distance, room.lower, room.upper), 0.6)


def build_trunk_vertebrae(layout: TrunkLayout) -> dict[str, Bone]:
    """T9 to L5 by name, all of the class of thoracic vertebrae: below the neck no level is told from another."""
    bones = {}
    for name, place in layout.places.items():
        if name == "sacrum":
            continue
        size, marks = place.size, trunk_landmarks(name, place.size, place.scale)
        half, front = size.transverse / 2 + 3, max(size.upper_depth, size.lower_depth) / 2
        lower = np.array([-half, -front - 3, -max(size.height / 2 + 20, size.spinous_drop + 13)])
        upper = np.array([half, marks.spinous_tip[1] + 8, size.height / 2 + 18])
        sculpture = Sculpture(
            lower, upper, turn=place.turn, center=place.center, spacing=SPACING[name[0]],
            wobble=wobble_of(layout.person, name),
        )  # fmt: skip
        (sculpt_thoracic if name in FRONTAL else sculpt_lumbar)(sculpture, place, marks)
        bones[name] = sculpture.bone(name, THORACIC, name)
    return bones
