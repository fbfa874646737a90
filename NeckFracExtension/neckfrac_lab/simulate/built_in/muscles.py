"""The neck's muscles as swept ellipses between their bony ends (left side; the right is its mirror image)."""

from __future__ import annotations

import numpy as np

from ..shapes import Shape, sweep
from .girdle import manubrium_top
from .layout import Layout, landmarks

# In the labelmap the n-th muscle of the left side has FIRST_MUSCLE + 2 n, that of the right one more.
# Muscles fill the neck: fat between them is thinner than these tables' ellipses leave.
FULLNESS = 1.2
Row = tuple[float, float, float, float, float]


def muscles(layout: Layout) -> dict[str, Shape]:
    """Left muscles by name, LPS mm, in painting order (later ones win)."""
    s, base, top = layout.person.scale, layout.basion, manubrium_top(layout)

    def spine(level: str, x: float, y: float, z: float, a: float, b: float) -> Row:
        """Beside a vertebra, in its own axes about its centre."""
        place = layout.places[level]
        return (*place.world(np.array([x, y, z]) * s), a * s * FULLNESS, b * s * FULLNESS)

    def behind(level: str, x: float, y: float, a: float, b: float) -> Row:
        """Beside the spinous process, y mm behind its tip."""
        place = layout.places[level]
        tip = np.array(landmarks(level, place.size, place.scale).spinous_tip)
        return (*place.world(tip + np.array([x, y, 0]) * s), a * s * FULLNESS, b * s * FULLNESS)

    def head(x: float, y: float, z: float, a: float, b: float) -> Row:
        return (*(base + np.array([x, y, z]) * s), a * s * FULLNESS, b * s * FULLNESS)

    def chest(x: float, y: float, z: float, a: float, b: float) -> Row:
        """About the jugular notch."""
        return (*(top + np.array([x, y, z]) * s), a * s * FULLNESS, b * s * FULLNESS)

    flat, side = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    tables: dict[str, tuple[list[Row], tuple[float, float, float]]] = {
        "erector spinae": (
            [spine("C6", 20, 34, -6, 10, 7), spine("T2", 22, 36, -5, 16, 11), spine("T5", 24, 40, -20, 20, 16)],
            flat,
        ),
        "rhomboid": ([behind("C7", 5, 2, 14, 3), behind("T3", 22, 12, 18, 4), behind("T5", 50, 10, 18, 4)], flat),
        "trapezius": (
            [
                head(12, 82, 4, 10, 3),
                behind("C2", 16, 30, 14, 4),
                behind("C6", 30, 18, 22, 5),
                chest(95, 92, 34, 24, 8),
                chest(140, 62, 26, 16, 8),
            ],
            flat,
        ),
        "lower trapezius": (
            [behind("C6", 16, 14, 18, 4), behind("T2", 26, 16, 28, 5), behind("T5", 34, 14, 32, 6)],
            flat,
        ),
        "splenius": (
            [
                head(50, 36, -2, 13, 5),
                behind("C2", 34, 6, 14, 5),
                behind("C5", 22, 5, 14, 5),
                behind("T1", 9, 1, 8, 4),
                behind("T4", 6, 0, 4, 3),
            ],
            flat,
        ),
        "semispinalis capitis": (
            [
                head(14, 66, -8, 13, 6),
                behind("C2", 17, 11, 14, 8),
                behind("C4", 18, 8, 14, 8),
                behind("C7", 19, -10, 12, 8),
                spine("T3", 20, 30, 0, 8, 6),
            ],
            flat,
        ),
        "semispinalis cervicis": (
            [
                behind("C2", 9, -3, 6, 6),
                behind("C4", 11, -2, 8, 7),
                behind("C7", 11, -16, 8, 8),
                spine("T4", 12, 32, -8, 8, 6),
            ],
            flat,
        ),
        "multifidus": (
            [
                spine("C3", 13, 25, -4, 6, 5),
                spine("C5", 14, 26, -6, 7, 6),
                spine("C7", 14, 27, -8, 7, 6),
                spine("T4", 12, 28, -12, 6, 6),
            ],
            flat,
        ),
        "longissimus": (
            [
                head(53, 26, -10, 5, 5),
                spine("C2", 36, 22, 0, 6, 6),
                spine("C5", 31, 26, 0, 6, 7),
                spine("T2", 30, 32, 0, 8, 8),
            ],
            flat,
        ),
        "obliquus capitis": (
            [head(28, 44, -8, 7, 6), spine("C1", 32, 16, 0, 6, 6), spine("C2", 12, 36, 0, 6, 6)],
            flat,
        ),
        "rectus capitis posterior": (
            [head(12, 48, -8, 9, 6), spine("C1", 12, 33, 4, 7, 5), spine("C2", 6, 38, 2, 4, 4)],
            flat,
        ),
        "levator scapulae": (
            [
                spine("C1", 36, 8, -4, 4, 4),
                spine("C3", 38, 14, -4, 7, 8),
                spine("C6", 46, 30, -4, 8, 9),
                chest(82, 104, 24, 8, 7),
            ],
            flat,
        ),
        "scalenus medius": (
            [
                spine("C2", 29, 6, -8, 3, 3),
                spine("C4", 31, 8, -4, 6, 7),
                spine("C7", 42, 6, -6, 8, 9),
                spine("T1", 60, -4, -14, 7, 7),
            ],
            flat,
        ),
        "scalenus anterior": (
            [
                spine("C3", 25, -4, -6, 3, 3),
                spine("C5", 27, -7, -4, 6, 6),
                spine("C7", 36, -18, -6, 7, 7),
                spine("T1", 50, -30, -32, 6, 6),
            ],
            flat,
        ),
        "longus colli": (
            [
                spine("C1", 4, -16, -4, 4, 2.5),
                spine("C3", 8, -11, 0, 6, 3.5),
                spine("C6", 10, -12, 0, 7, 4),
                spine("T3", 7, -14, 0, 4, 3),
            ],
            flat,
        ),
        "longus capitis": (
            [
                head(8, -9, 2, 6, 4),
                spine("C1", 12, -18, 0, 7, 4.5),
                spine("C3", 16, -10, 0, 6, 4.5),
                spine("C6", 22, -7, 0, 3, 3),
            ],
            flat,
        ),
        "sternocleidomastoid": (
            [
                head(57, 14, -10, 12, 6),
                head(55, -6, -46, 17, 7),
                spine("C5", 46, -28, 0, 18, 8),
                chest(26, 2, 24, 14, 7),
                chest(14, -4, 4, 9, 5),
            ],
            side,
        ),
        "masseter": ([head(60, -44, 2, 13, 5), head(57, -34, -24, 16, 8), head(51, -28, -52, 12, 5)], side),
        "temporalis": ([head(66, -40, 58, 24, 4), head(64, -38, 30, 20, 8), head(50, -40, 2, 8, 5)], side),
        "medial pterygoid": ([head(18, -38, -2, 8, 5), head(32, -32, -24, 10, 6), head(41, -27, -48, 10, 4)], side),
        "lateral pterygoid": ([head(20, -40, 8, 7, 7), head(36, -28, 6, 8, 7), head(48, -17, 2, 4, 4)], side),
        "digastric": (
            [head(50, 12, -16, 4, 6), head(40, -20, -56, 4, 4), head(22, -52, -78, 4, 4), head(7, -86, -72, 5, 6)],
            flat,
        ),
        "mylohyoid": ([head(16, -80, -62, 9, 3), head(24, -56, -66, 14, 3), head(14, -44, -74, 8, 3)], flat),
        "strap muscles": (
            [
                spine("C4", 8, -43, -2, 8, 3),
                spine("C6", 13, -44, -4, 10, 3.5),
                chest(13, 4, 8, 11, 4),
                chest(12, 12, -20, 10, 4),
            ],
            flat,
        ),
        "supraspinatus": ([chest(88, 106, 2, 9, 9), chest(125, 82, 12, 11, 11), chest(165, 54, 14, 6, 8)], side),
        "infraspinatus": (
            [chest(85, 136, -46, 30, 8), chest(130, 112, -30, 30, 12), chest(172, 72, -16, 12, 8)],
            (0, 0, 1),
        ),
        "subscapularis": (
            [chest(95, 92, -46, 44, 9), chest(130, 70, -30, 34, 12), chest(160, 52, -14, 12, 7)],
            (0, 0, 1),
        ),
        "deltoid": ([chest(158, 22, 14, 14, 10), chest(196, 50, -8, 28, 10), chest(206, 58, -70, 34, 10)], side),
        "pectoralis": (
            [chest(30, -18, -42, 30, 8), chest(90, -20, -38, 34, 11), chest(160, 22, -40, 22, 10)],
            (0, 0, 1),
        ),
    }
    return {name: sweep(rows, across=across, count=14) for name, (rows, across) in tables.items()}
