"""Everything of the parametric neck that is not bone, as a labelmap."""

from __future__ import annotations

import numpy as np

from ..neck import FIRST_MUSCLE, TISSUES
from ..shapes import Shape, ellipsoid, placed, sweep, turned
from ..voxelise import Grid
from .girdle import manubrium_top, rib_path
from .layout import VERTEBRAE, Layout
from .muscles import muscles
from .skull import air_spaces, brain_cavity, hyoid_path, mastoid_cells

# Under the skin lies at least so much fat (mm).
FAT_LAYER = 6.0
_VALUE = {name: value for value, name in enumerate(TISSUES)}


def mirror(shape: Shape) -> Shape:
    """The right side's shape."""
    lower, upper = shape.lower.copy(), shape.upper.copy()
    lower[0], upper[0] = -shape.upper[0], -shape.lower[0]
    flip = np.array([-1, 1, 1], np.float32)
    return Shape(lambda points: shape.distance(points * flip), lower, upper)


def paint(tissue: np.ndarray, grid: Grid, shape: Shape, value: int) -> None:
    """Set the voxels of `tissue` [z, y, x] inside the shape (LPS mm) to `value`."""
    first = np.clip(np.floor(grid.index(shape.lower)).astype(int), 0, None)
    last = np.minimum(np.ceil(grid.index(shape.upper)).astype(int) + 1, grid.shape)
    if (last <= first).any():
        return
    window = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    z, y, x = (
        axis[tuple(w if n == m else slice(None) for m, w in enumerate(window))] for n, axis in enumerate(grid.axes())
    )
    points = np.stack(np.broadcast_arrays(x, y, z), axis=-1).reshape(-1, 3).astype(np.float32)
    tissue[window][(shape.distance(points) < 0).reshape(tuple(last - first))] = value


def in_skull(shape: Shape, layout: Layout) -> Shape:
    """A shape of the skull's frame in LPS mm."""
    s, base = layout.person.scale, layout.basion.astype(np.float32)
    lower, upper = shape.lower * s + base, shape.upper * s + base
    return Shape(lambda points: shape.distance((points - base) / np.float32(s)) * s, lower, upper)


def _front(layout: Layout, height: float) -> float:
    """How far forward (y) the spine's front lies at a height (z), LPS mm."""
    places = [layout.places[name] for name in VERTEBRAE]
    heights = [place.center[2] for place in places][::-1]
    fronts = [
        place.center[1] - (14.0 * place.scale if place.name == "C1" else place.size.wall + 0.5) for place in places
    ][::-1]
    return float(np.interp(height, heights, fronts))


def _airway(layout: Layout) -> list[Shape]:
    s, level = layout.person.scale, {name: layout.places[name].center[2] for name in VERTEBRAE}
    base = layout.basion

    def row(height: float, before: float, half_width: float, half_depth: float, aside: float = 0.0) -> tuple:
        return (aside, _front(layout, height) - (before + half_depth) * s, height, half_width * s, half_depth * s)

    pharynx = [
        (0, base[1] - 24 * s, base[2] + 2 * s, 13 * s, 8 * s),
        row(level["C1"] + 2, 4, 13, 6),
        row(level["C2"], 4.5, 12, 6.5),
        row(level["C3"] + 4, 4.5, 13, 6),
        row(level["C4"] + 4, 5, 12, 7),
    ]
    larynx = [
        row(level["C4"] + 2, 6, 10, 8),
        row(level["C4"] - 6, 9, 6, 9),
        row(level["C5"] - 2, 12, 3.2, 10),
        row(level["C6"] + 2, 12, 8, 9),
    ]
    trachea = [
        row(level["C6"] + 4, 12, 8, 8.5),
        row(level["C7"], 13, 8.5, 8.5),
        row(level["T2"], 14, 9, 8.5),
        row(level["T5"] - 20, 16, 9, 8.5),
    ]
    nose = [mirror(in_skull(shape, layout)) for shape in air_spaces().values()] + [
        in_skull(shape, layout) for shape in air_spaces().values()
    ]
    cells = [in_skull(shape, layout) for shape in mastoid_cells()]
    choana = in_skull(sweep([(7, -44, 2, 9, 6), (4, -30, 0, 11, 8)], across=(0, 0, 1)), layout)
    ear = in_skull(sweep([(86, -5, 8, 3.4, 3.4), (44, -7, 11, 3, 3)]), layout)
    paired = [*cells, choana, ear]
    tubes = [sweep(rows, across=(1, 0, 0), count=16) for rows in (pharynx, larynx, trachea)]
    # Side pockets of the lower pharynx (piriform recesses).
    pocket = [(11 * s, *row(level["C4"], 7, 4, 4)[1:]), (8 * s, *row(level["C5"] + 4, 6, 3, 4)[1:])]
    return [*tubes, *nose, *paired, *(mirror(shape) for shape in paired), sweep(pocket), mirror(sweep(pocket))]


def _vessels(layout: Layout) -> list[Shape]:
    """Carotid, jugular and vertebral artery of the left side."""
    s, top, base = layout.person.scale, manubrium_top(layout), layout.basion

    def beside(level: str, x: float, y: float, radius: float) -> tuple:
        place = layout.places[level].center
        return (x * s, place[1] + y * s, place[2], radius * s, radius * s)

    def end(point: np.ndarray, offset: tuple, radius: float) -> tuple:
        return (*(point + np.array(offset) * s), radius * s, radius * s)

    carotid = [
        end(base, (26, -12, 4), 2.4),
        beside("C1", 27, -14, 2.6),
        beside("C3", 27, -17, 3.4),
        beside("C4", 27, -20, 4.4),
        beside("C6", 23, -22, 3.6),
        beside("T1", 20, -26, 3.6),
        end(top, (17, 26, -14), 4.5),
        end(top, (10, 30, -60), 7),
    ]
    jugular = [
        end(base, (29, -6, 4), 4),
        beside("C1", 33, -8, 4.5),
        beside("C3", 35, -14, 5.2),
        beside("C5", 35, -20, 6),
        beside("C7", 33, -28, 6.5),
        end(top, (26, 14, 2), 7),
        end(top, (14, 12, -26), 8),
    ]
    subclavian = [
        end(top, (17, 26, -14), 5),
        beside("T1", 42, -22, 5),
        end(top, (70, 12, 2), 5),
        end(top, (110, 20, -6), 5),
    ]
    holes = {"C1": 28.6, "C2": 17.4}
    vertebral = []
    for name in ("C1", "C2", "C3", "C4", "C5", "C6"):
        place = layout.places[name]
        x = holes[name] * s if name in holes else place.size.upper_width / 2 + 3 * s
        vertebral.append((*place.world((x, 2.0 * s, -2.0)), 1.9 * s, 1.9 * s))
    return [sweep(rows, across=(0, 1, 0), count=20) for rows in (carotid, jugular, subclavian, vertebral)]


def _canal(layout: Layout) -> list[Shape]:
    """The dural sac's room from the foramen magnum down, a little narrower than the bone's bore."""
    base, s = layout.basion, layout.person.scale
    rows = [(0, base[1] + 17 * s, base[2] + 6, 13 * s, 14 * s)]
    for name in VERTEBRAE:
        place = layout.places[name]
        depth, width = place.size.canal_depth, place.size.canal_width
        y = 12.5 * s if name == "C1" else place.size.wall + depth * 0.5
        rows.append((*place.world((0, y, 0)), 0.45 * width, 9.5 * s if name == "C1" else 0.46 * depth))
    return [sweep(rows, across=(1, 0, 0), count=30)]


def _discs(layout: Layout) -> list[Shape]:
    shapes = []
    for upper, lower in zip(VERTEBRAE[1:-1], VERTEBRAE[2:], strict=True):
        one, two = layout.places[upper], layout.places[lower]
        ends = one.world((0, 0, -one.size.height / 2)), two.world((0, 0, two.size.height / 2))
        half = (one.size.lower_width / 2 - 0.3, one.size.lower_depth / 2, one.size.disc / 2 + 1.2)
        turn = turned(pitch=(layout.person.tilts[upper] + layout.person.tilts[lower]) / 2)
        column = sweep(
            [(0, 0, -half[2], half[0], half[1]), (0, 0, half[2], half[0], half[1])], across=(1, 0, 0), cap=0.01
        )
        shapes.append(placed(column, turn, (ends[0] + ends[1]) / 2))
    return shapes


def fill_between_muscles(tissue: np.ndarray, deep: np.ndarray, steps: int) -> None:
    """Let muscles grow by `steps` voxels into the fat between them, where `deep` (bool [z, y, x]) allows it."""
    for _ in range(steps):
        free = (tissue == 0) & deep
        for axis in range(3):
            for shift in (1, -1):
                ends = [slice(None, -1), slice(1, None)][::shift]
                here, there = (tuple(end if a == axis else slice(None) for a in range(3)) for end in ends)
                grown = free[here] & (tissue[there] >= FIRST_MUSCLE)
                tissue[here][grown] = tissue[there][grown]
                free[here] &= ~grown


def _mouth(layout: Layout) -> list[tuple[str, Shape, bool]]:
    """Glands, tongue and the air above it: name, shape, whether the right side has one too."""
    rows = [
        ("gland", ellipsoid((54, -10, -24), (10, 15, 24)), True),
        ("gland", ellipsoid((30, -44, -64), (9, 14, 10)), True),
        ("tongue", ellipsoid((0, -56, -36), (21, 30, 20)), False),
        ("tongue", ellipsoid((0, -54, -56), (12, 24, 18)), False),
        ("oral cavity air", ellipsoid((0, -58, -14.5), (17, 24, 2.4)), False),
        # The soft palate.
        ("tongue", sweep([(0, -38, -12, 10, 3), (0, -31, -20, 8, 3.5)], across=(1, 0, 0)), False),
    ]
    return [(name, in_skull(shape, layout), both) for name, shape, both in rows]


def _throat(layout: Layout) -> list[tuple[str, Shape, bool]]:
    """Lungs, oesophagus, thyroid and the cartilages of larynx and ribs, as `_mouth` gives them."""
    s, top, level = layout.person.scale, manubrium_top(layout), {n: layout.places[n].center[2] for n in VERTEBRAE}
    sideways, trachea = (1, 0, 0), 13 * s
    gullet_heights = (level["C6"], level["C7"], level["T2"], level["T5"] - 20)
    gullet = [(2 * s, _front(layout, z) - 6 * s, z, 8 * s, 3.6 * s) for z in gullet_heights]
    lobe = (level["T1"] + level["C6"]) / 2
    lobe_y = _front(layout, lobe) - trachea - 8 * s
    plate_y = _front(layout, level["C5"]) - 12 * s
    plate = [
        (1.0, plate_y - 24 * s, level["C5"] + 1, 11 * s, 1.6 * s),
        (18 * s, plate_y + 2 * s, level["C5"] + 2, 13 * s, 1.6 * s),
    ]
    ring_y = _front(layout, level["C6"]) - trachea - 8.5 * s
    hyoid = hyoid_path(layout)[0]
    lid = [(0, hyoid[1] + 6, hyoid[2] - 6, 9 * s, 1.2), (0, hyoid[1] + 16, hyoid[2] + 12, 8 * s, 1.2)]
    shapes = [
        ("lung", ellipsoid(top + np.array([52, 42, -92]) * s, np.array([46, 68, 96]) * s), True),
        ("oesophagus", sweep(gullet, across=sideways, count=10), False),
        ("thyroid", ellipsoid((16 * s, lobe_y + 3, lobe), np.array([8, 9, 22]) * s, turned(roll=6)), True),
        ("thyroid", ellipsoid((0, lobe_y - 9 * s, lobe - 2), np.array([12, 3, 7]) * s), False),
        ("cartilage", sweep(plate), True),
        # The airway, painted later, makes a ring of this.
        ("cartilage", ellipsoid((0, ring_y, level["C6"] + 3), np.array([12.5, 12.5, 9]) * s), False),
        ("cartilage", sweep(lid, across=sideways), False),
    ]
    for number in range(2):
        tip = rib_path(layout, number)[-1]
        inward = top + np.array([22.0, -2.0 - 5 * number, -12.0 - 26 * number]) * s
        shapes.append(("cartilage", sweep([tip, (*inward, *tip[3:])]), True))
    return shapes


def build_tissue(layout: Layout, grid: Grid, body: np.ndarray) -> np.ndarray:
    """The labelmap, uint8 [z, y, x]: `TISSUES`, and muscles from FIRST_MUSCLE up (left even, right odd).

    body: distance to the skin (mm) on the same grid; muscles keep away from it.
    """
    tissue = np.zeros(grid.shape, np.uint8)
    for number, shape in enumerate(muscles(layout).values()):
        paint(tissue, grid, shape, FIRST_MUSCLE + 2 * number)
        paint(tissue, grid, mirror(shape), FIRST_MUSCLE + 2 * number + 1)
    fill_between_muscles(tissue, body < -FAT_LAYER * layout.person.scale, 1)
    for name, shape, both in (*_mouth(layout), *_throat(layout)):
        paint(tissue, grid, shape, _VALUE[name])
        if both:
            paint(tissue, grid, mirror(shape), _VALUE[name])
    for shape in _airway(layout):
        paint(tissue, grid, shape, _VALUE["airway"])
    for shape in _vessels(layout):
        paint(tissue, grid, shape, _VALUE["vessel left"])
        paint(tissue, grid, mirror(shape), _VALUE["vessel right"])
    for name, shapes in (("disc", _discs(layout)), ("spinal canal", _canal(layout))):
        for shape in shapes:
            paint(tissue, grid, shape, _VALUE[name])
    paint(tissue, grid, in_skull(brain_cavity(), layout), _VALUE["brain"])
    return tissue
