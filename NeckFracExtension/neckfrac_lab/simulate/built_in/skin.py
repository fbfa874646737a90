"""The body's surface around the parametric neck: head, face, neck, shoulders and chest as one distance to the skin."""

from __future__ import annotations

import numpy as np

from ..shapes import Shape, box, curve, ellipsoid, smooth_minimum, sweep, turned
from ..voxelise import Grid
from .girdle import manubrium_top
from .layout import VERTEBRAE, Layout, frame_of
from .skull import brain_cavity
from .soft_tissue import in_skull

SPACING = 2.0
# Scalp and skull between brain and skin.
SCALP = 13.0


def _surfaces(layout: Layout) -> list[tuple[Shape, float]]:
    """The left body's parts and over how many mm each blends into those before it, LPS mm."""
    person, s, base = layout.person, layout.person.scale, layout.basion
    top, level = manubrium_top(layout), {name: layout.places[name].center for name in VERTEBRAE}
    fat = (person.lean - 0.5) * 12.0
    cavity = in_skull(brain_cavity(), layout)

    def at(x: float, y: float, z: float, *sizes: float) -> tuple[float, ...]:
        """A place about the jugular notch, and half sizes."""
        return (*(top + np.array([x, y, z]) * s), *(size * s for size in sizes))

    neck = [
        (0, base[1] + 12 * s, base[2] - 10, 70 * s, 78 * s),
        (0, level["C3"][1] + 8 * s, level["C3"][2], 62 * s, 68 * s),
        (0, level["C6"][1] - 4 * s, level["C6"][2], 62 * s + fat, 66 * s + fat),
        (0, level["T1"][1] - 2 * s, level["T1"][2], 76 * s + fat, 72 * s + fat),
    ]
    collar = [at(0, 4, -6, 22, 18), at(60, -4, 8, 20, 18), at(130, 30, 22, 18, 18)]
    shoulder = [at(70, 78, 12, 38, 48), at(158, 62, -8, 38, 48)]
    arm = [at(190, 60, -15, 46, 46), at(200, 60, -160, 46, 46)]
    tips = [np.array(frame_of(layout.places[name], person).spinous_tip) for name in ("C6", "T1", "T3", "T5")]
    back = [(*(tip - [0, 8 * s, 0]), 60 * s, 24 * s + fat / 2) for tip in tips]
    chest, belly = top + np.array([0, 62, -70]) * s, top + np.array([0, 62, -190]) * s
    return [
        (Shape(lambda points: cavity.distance(points) - np.float32(SCALP * s), cavity.lower, cavity.upper), 0.0),
        (in_skull(ellipsoid((0, -50, -14), (75, 64, 68)), layout), 26.0),
        (in_skull(ellipsoid((0, -64, 34), (62, 44, 32)), layout), 14.0),
        (in_skull(ellipsoid((0, -80, -56), (38, 26, 26)), layout), 24.0),
        (in_skull(ellipsoid((0, -108, 6), (15, 14, 20)), layout), 10.0),
        (sweep(curve(neck, 8), across=(1, 0, 0)), 34.0),
        (box(chest, np.array([168 * s + fat, 98 * s + fat, 82 * s]), 70.0), 30.0),
        (sweep(collar, count=8), 24.0),
        (sweep(back, across=(1, 0, 0)), 20.0),
        (sweep(shoulder), 40.0),
        (sweep(arm, across=(1, 0, 0)), 30.0),
        (box(belly, np.array([175 * s, 108 * s + fat, 120 * s]), 60.0), 30.0),
        (in_skull(ellipsoid((80, 2, 12), (5, 15, 30), turned(yaw=25)), layout), 4.0),
    ]


def _doubled(coarse: np.ndarray, axis: int, count: int) -> np.ndarray:
    """`coarse` with the means between neighbours put in along an axis, cut to `count`."""
    fine = np.repeat(coarse, 2, axis=axis)
    one, two = (
        tuple(part if n == axis else slice(None) for n in range(3)) for part in (slice(1, -1, 2), slice(2, None, 2))
    )
    fine[one] = (fine[one] + fine[two]) / 2
    return np.take(fine, range(count), axis)


def build_body(layout: Layout, grid: Grid) -> np.ndarray:
    """Distance to the skin in mm, float16 [z, y, x], negative inside; worked out on every second voxel."""
    z, y, x = (
        axis[:: 2 if n == 0 else 1, :: 2 if n == 1 else 1, :: 2 if n == 2 else 1] for n, axis in enumerate(grid.axes())
    )
    points = np.stack(np.broadcast_arrays(np.abs(x), y, z), axis=-1).astype(np.float32)
    shape = points.shape[:3]
    points = points.reshape(-1, 3)
    value = np.full(len(points), np.float32(400.0))
    for part, blend in _surfaces(layout):
        value = smooth_minimum(value, part.distance(points), blend)
    distance = value.reshape(shape)
    for axis, count in enumerate(grid.shape):
        distance = _doubled(distance, axis, count)
    return np.clip(distance, -300, 300).astype(np.float16)


def tissue_grid(layout: Layout) -> Grid:
    """The grid of labelmap and skin: from below T5 to above the vertex, shoulders included, symmetric about x = 0."""
    s, low = layout.person.scale, layout.places["T5"].center[2]
    lower = np.array([-231.0, layout.basion[1] - 136 * s, low - 24 * s])
    upper = np.array([231.0, layout.places["T5"].center[1] + 92 * s, layout.basion[2] + 158 * s])
    return Grid.around(lower, upper, SPACING)
