"""Labels of built-in C1 to C7 on one grid: quick, for there is no soft tissue and no scan."""

from functools import cache

import numpy as np
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac_lab.simulate.built_in.layout import lay_out
from neckfrac_lab.simulate.built_in.morphometry import draw_person
from neckfrac_lab.simulate.built_in.parametric import build_vertebra
from neckfrac_lab.simulate.neck import DISTANCE_SCALE
from scipy import ndimage

SPACING = 1.5


@cache
def vertebrae(seed):
    """Labels uint8 [z, y, x] with 1 to 7 and the affine (LPS) of one person's vertebrae at rest."""
    layout = lay_out(draw_person(seed))
    bones = [build_vertebra(layout.places[name], layout.person) for name in LEVEL_NAMES]
    lower = np.min([bone.origin for bone in bones], axis=0)
    upper = np.max([np.add(b.origin, np.array(b.distance.shape[::-1]) * b.spacing) for b in bones], axis=0)
    shape = np.ceil((upper - lower) / SPACING).astype(int)[::-1]
    labels, nearest = np.zeros(shape, np.uint8), np.zeros(shape, np.float32)
    for label, bone in enumerate(bones, 1):
        start = (lower - np.array(bone.origin))[::-1] / bone.spacing
        distance = ndimage.affine_transform(
            bone.distance.astype(np.float32) / DISTANCE_SCALE, np.full(3, SPACING / bone.spacing), start,
            output_shape=tuple(shape), order=1, cval=8.0,
        )  # fmt: skip
        labels[distance < nearest] = label
        nearest = np.minimum(distance, nearest)
    labels.setflags(write=False)
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = lower
    return labels, affine


def center_of(labels, affine, label):
    """The centroid of a label, LPS mm."""
    where = np.argwhere(labels == label).mean(axis=0)[::-1]
    return affine[:3, :3] @ where + affine[:3, 3]


def turned(affine, degrees, axis=0):
    """The affine of the same grid turned about an axis of the patient (0 x, 1 y, 2 z) and moved."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    a, b = [other for other in range(3) if other != axis]
    turn = np.eye(4)
    turn[[a, a, b, b], [a, b, a, b]] = c, -s, s, c
    turn[:3, 3] = (30, -20, 100)
    return turn @ affine
