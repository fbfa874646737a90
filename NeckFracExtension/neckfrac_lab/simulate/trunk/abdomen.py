"""The trunk's soft tissue and skin, roughly: muscles around the lumbar spine, organs as blobs, gut with air."""

from __future__ import annotations

import numpy as np

from ..built_in.soft_tissue import fill_between_muscles, mirror, paint
from ..neck import FIRST_MUSCLE, TISSUES, TRUNK_CHAIN
from ..shapes import Shape, curve, ellipsoid, placed, smooth_minimum, sweep, turned
from ..voxelise import Grid
from .layout import TrunkLayout, trunk_landmarks
from .pelvis import rib_path

SPACING = 3.0
_VALUE = {name: value for value, name in enumerate(TISSUES)}
FLAT, SIDE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


def trunk_grid(layout: TrunkLayout) -> Grid:
    """The grid of labelmap and skin: from above T9 to the upper thighs, symmetric about x = 0."""
    lower, upper = layout.at("sacrum", -212, -215, -190), layout.at("T9", 212, 0, 70)
    lower[0], upper[0], upper[1] = -225.0, 225.0, 165.0
    return Grid.around(np.minimum(lower, [0, -240, 0]), upper, SPACING)


def build_trunk_body(layout: TrunkLayout, grid: Grid) -> np.ndarray:
    """Distance to the skin in mm, float16 [z, y, x], negative inside; a person's lean sets the girth."""
    s, fat = layout.person.scale, layout.person.lean
    wide, front, back = 142 + 40 * fat, 92 + 50 * fat, 86 + 24 * fat
    rows = []
    for level, height, share, depth in (("T9", 80, 0.98, 1.0), ("T10", 0, 1.0, 1.0), ("L2", 0, 0.93, 0.94),
                                        ("L4", 0, 0.97, 0.94), ("sacrum", -40, 1.12, 0.98),
                                        ("sacrum", -120, 1.15, 0.9), ("sacrum", -220, 1.05, 0.8)):  # fmt: skip
        # The belly is as deep before the spine as given; the back follows the spine's own curve.
        middle = layout.at(level, 0, (back - front) / 2 - 12, height)
        middle[1] = 0.5 * middle[1] + 0.5 * ((back - front) / 2 - 12) * s
        rows.append((0, *middle[1:], wide * share * s, (front + back) / 2 * depth * s))
    parts = [(sweep(curve(rows, 14), across=FLAT), 0.0)]
    for number in (0, 1):
        seat = layout.at("sacrum", 62 * (1 - 2 * number), 42, -95)
        parts.append((ellipsoid(seat, np.array([72 + 12 * fat, 66 + 18 * fat, 90]) * s), 40.0))
    z, y, x = grid.axes()
    points = np.stack(np.broadcast_arrays(x, y, z), axis=-1).reshape(-1, 3).astype(np.float32)
    value = np.full(len(points), np.float32(400.0))
    for shape, blend in parts:
        value = smooth_minimum(value, shape.distance(points), blend)
    # The furrow along the spine.
    furrow = np.interp(points[:, 2], *_furrow(layout, 10 + 18 * fat))
    value = np.maximum(value, 0.6 * (points[:, 1] - furrow - 0.25 * np.abs(points[:, 0])))
    return np.clip(value, -300, 300).astype(np.float16).reshape(grid.shape)


def _furrow(layout: TrunkLayout, skin: float) -> tuple[list[float], list[float]]:
    """Heights, rising, and how far back (y) the skin lies in the midline there."""
    heights, backs = [], []
    for name in TRUNK_CHAIN[::-1]:
        place = layout.places[name]
        tip = place.world(trunk_landmarks(name, place.size, place.scale).spinous_tip)
        heights.append(float(tip[2]))
        backs.append(float(tip[1]) + skin)
    return heights, backs


def trunk_muscles(layout: TrunkLayout) -> list[Shape]:
    """Left muscles in painting order (later ones win), LPS mm."""
    s = layout.person.scale

    def beside(level: str, x: float, y: float, z: float, a: float, b: float) -> tuple:
        """Beside a vertebra, in its own axes; y from the canal's rear wall."""
        place = layout.places[level]
        back = place.size.wall + place.size.canal_depth
        return (*place.world((x * s, back + y * s, z * s)), a * s, b * s)

    def path(*rows: tuple, across: tuple = FLAT) -> Shape:
        return sweep(rows, across=across, count=3 * len(rows))

    return [
        path(beside("T9", 40, 16, 30, 24, 15), beside("T12", 42, 18, 0, 27, 19), beside("L3", 43, 17, 0, 30, 21),
             beside("L5", 36, 20, 0, 25, 17), beside("sacrum", 24, 18, -30, 14, 10)),
        path(beside("T9", 13, 14, 30, 10, 12), beside("L1", 15, 16, 0, 12, 14), beside("L4", 18, 17, 0, 15, 16),
             beside("L5", 20, 18, 0, 17, 16), beside("sacrum", 16, 17, -20, 12, 8)),
        path(beside("T12", 46, -12, -6, 12, 6), beside("L2", 58, -11, 0, 18, 9), beside("L4", 66, -10, 0, 20, 9)),
        path(beside("T12", 28, -20, -10, 6, 6), beside("L2", 34, -24, 0, 13, 14), beside("L4", 44, -30, 0, 22, 21),
             beside("L5", 52, -36, 0, 23, 22), beside("sacrum", 72, -60, -40, 17, 18),
             beside("sacrum", 92, -50, -130, 14, 14)),
        path(beside("sacrum", 60, 26, 0, 34, 10), beside("sacrum", 84, 30, -40, 44, 20),
             beside("sacrum", 96, 40, -90, 44, 22)),
        path(beside("L5", 112, -36, 10, 10, 30), beside("sacrum", 122, -34, -20, 13, 34),
             beside("sacrum", 118, -20, -80, 12, 26), across=FLAT),
        path(beside("sacrum", 88, -60, 0, 12, 28), beside("sacrum", 84, -58, -30, 14, 24), across=FLAT),
        path(beside("sacrum", 70, 10, -110, 22, 30), beside("sacrum", 100, 10, -200, 50, 55)),
    ]  # fmt: skip


def _organs(layout: TrunkLayout) -> list[tuple[str, Shape]]:
    """Organs by tissue, later ones over earlier ones; left is +x."""
    at, s = layout.at, layout.person.scale

    def blob(tissue: str, level: str, place: tuple, radii: tuple) -> tuple[str, Shape]:
        return tissue, ellipsoid(at(level, *place), np.array(radii, float) * s)

    def tube(tissue: str, *rows: tuple) -> tuple[str, Shape]:
        return tissue, sweep([(*at(*row[:4]), row[4] * s, row[4] * s) for row in rows], across=SIDE, count=12)

    organs = [
        blob("lung", "T9", (82, -20, 20), (52, 90, 80)), blob("lung", "T9", (-82, -20, 20), (52, 90, 80)),
        blob("tongue", "T11", (-62, -50, 2), (70, 74, 66)), blob("tongue", "T11", (10, -86, 16), (70, 34, 36)),
        blob("brain", "T11", (94, 14, 0), (26, 40, 50)),
        blob("oesophagus", "T12", (56, -62, 6), (40, 38, 52)),
        blob("oral cavity air", "T12", (60, -82, 10), (28, 16, 34)),
        blob("gland", "L1", (14, -48, 0), (46, 14, 12)), blob("gland", "T12", (60, 0, 22), (14, 6, 12)),
    ]  # fmt: skip
    for side, level in ((1, "T12"), (-1, "L1")):
        organs += [blob("thyroid", level, (56 * side, 14, -24), (27, 25, 54)),
                   blob("none", level, (46 * side, 6, -24), (12, 11, 22))]  # fmt: skip
    organs += [
        tube(
            "vessel left", ("T9", 18, -30, 60, 12), ("T11", 12, -33, 0, 11), ("L2", 9, -33, 0, 10), ("L4", 3, -32, 0, 9)
        ),
        tube("vessel right", ("T10", -26, -40, 0, 12), ("L1", -22, -34, 0, 12), ("L5", -14, -30, 8, 12)),
    ]  # fmt: skip
    for side in (1, -1):
        iliac = (("L4", 2, -31, 0, 7), ("L5", 18 * side, -34, 0, 6.5), ("sacrum", 48 * side, -30, -6, 6),
                 ("sacrum", 80 * side, -62, -80, 5))  # fmt: skip
        organs.append(tube("vessel left" if side > 0 else "vessel right", *iliac))
    organs.append(blob("brain", "sacrum", (0, -70, -90), (38, 34, 32)))
    return organs


def _gut(layout: TrunkLayout, generator: np.random.Generator) -> list[tuple[str, Shape]]:
    """Loops of small and large gut, some with air, some with contrast medium."""
    s, parts = layout.person.scale, []
    loops = [
        (f"L{generator.integers(1, 6)}", generator.uniform(-85, 85), generator.uniform(-105, -52)) for _ in range(34)
    ]
    loops += [("sacrum", generator.uniform(-60, 60), generator.uniform(-100, -50)) for _ in range(8)]
    colon = [(level, 108 * side, -18) for level in ("L1", "L2", "L3", "L4") for side in (1, -1)]
    colon += [("L2", x, -98) for x in (-70, -30, 10, 50, 85)]
    for number, (level, x, y) in enumerate(loops + colon):
        large = number >= len(loops)
        place = layout.at(level, x, y, generator.uniform(-18, 18))
        radii = generator.uniform(14, 26, 3) if large else generator.uniform(9, 15, 3) * (1.4, 1, 1)
        wall = str(generator.choice(("oesophagus", "gland", "cartilage"), p=(0.7, 0.2, 0.1)))
        turn = turned(yaw=float(generator.uniform(-90, 90)), roll=float(generator.uniform(-50, 50)))
        parts.append((wall, placed(ellipsoid((0, 0, 0), radii * s), turn, place)))
        if generator.random() < (0.6 if large else 0.25):
            air = ellipsoid(place - [0, 0.25 * radii[1] * s, 0], radii * s * (0.62 if large else 0.45))
            parts.append(("airway", air))
    return parts


def _discs(layout: TrunkLayout) -> list[Shape]:
    shapes = []
    for upper, lower in zip(TRUNK_CHAIN[:-1], TRUNK_CHAIN[1:], strict=True):
        one, two = layout.places[upper], layout.places[lower]
        ends = one.world((0, 0, -one.size.height / 2)), two.world((0, 0, two.size.height / 2))
        half = (one.size.lower_width / 2 - 0.5, one.size.lower_depth / 2, one.size.disc / 2 + 2.5)
        turn = turned(pitch=(layout.person.tilts[upper] + layout.person.tilts[lower]) / 2)
        rows = [(0, 0, -half[2], half[0], half[1]), (0, 0, half[2], half[0], half[1])]
        shapes.append(placed(sweep(rows, across=FLAT, cap=0.01), turn, (ends[0] + ends[1]) / 2))
    return shapes


def _canal(layout: TrunkLayout) -> Shape:
    rows = []
    for name in TRUNK_CHAIN:
        place, size = layout.places[name], layout.places[name].size
        middle = place.world((0, size.wall + 0.5 * size.canal_depth, 0))
        rows.append((*middle, 0.44 * size.canal_width, 0.44 * size.canal_depth))
    return sweep(rows, across=FLAT, count=24)


def build_trunk_tissue(layout: TrunkLayout, grid: Grid, body: np.ndarray) -> np.ndarray:
    """The labelmap, uint8 [z, y, x]: `TISSUES`, and muscles from FIRST_MUSCLE up (left even, right odd).

    body: distance to the skin (mm) on the same grid. Where the gut lies is drawn from the person's seed.
    """
    tissue, s, fat = np.zeros(grid.shape, np.uint8), layout.person.scale, layout.person.lean
    generator = np.random.default_rng([7, layout.person.seed or 0])
    for name, shape in (*_gut(layout, generator), *_organs(layout)):
        paint(tissue, grid, shape, _VALUE[name])
    # The wall of the belly and the chest: a sheet of muscle under the fat, with ribs inside its upper part.
    layer = (4 + 22 * fat) * s
    z, y, x = grid.axes()
    wall = (body < -layer) & (body > -layer - 17 * s) & (y < 40 * s)
    tissue[wall] = 0
    tissue[wall & (body < -layer - 2)] = FIRST_MUSCLE + 40
    tissue[np.broadcast_to(x < 0, wall.shape) & (tissue == FIRST_MUSCLE + 40)] += 1
    tissue[(body >= -layer) | ((tissue >= FIRST_MUSCLE) & (np.abs(x) < 3 * s))] = 0
    for number, shape in enumerate(trunk_muscles(layout)):
        paint(tissue, grid, shape, FIRST_MUSCLE + 2 * number)
        paint(tissue, grid, mirror(shape), FIRST_MUSCLE + 2 * number + 1)
    tissue[(body > -3 * s) & (tissue >= FIRST_MUSCLE)] = 0
    fill_between_muscles(tissue, body < -layer, 1)
    for name in ("eighth", "ninth", "tenth"):
        tip = rib_path(layout, name)[-1]
        inward = layout.at("T11", 26, -118, 0)
        shape = sweep([tip, (*((tip[:3] + inward) / 2 - [0, 0, 8]), *tip[3:]), (*inward, *tip[3:])], count=8)
        for one in (shape, mirror(shape)):
            paint(tissue, grid, one, _VALUE["cartilage"])
    for shape in _discs(layout):
        paint(tissue, grid, shape, _VALUE["disc"])
    paint(tissue, grid, _canal(layout), _VALUE["spinal canal"])
    return tissue
