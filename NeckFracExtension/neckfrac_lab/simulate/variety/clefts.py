"""Arches and a dens that never closed: gaps with smooth, rounded ends where no fracture is. Sizes in mm.

Kinds of posterior arch defect of the atlas: Currarino et al., AJNR 1994;15:249-254 (A midline cleft, B one
side, C both sides, D none but a tubercle, E none at all).
"""

from __future__ import annotations

import numpy as np

from ..shapes import Shape, box, ellipsoid, half_space, meet, outside
from .remodel import Remodelling, uneven


def _slit(
    change: Remodelling, center: np.ndarray, half: tuple[float, float, float], rows: np.ndarray | None = None
) -> Shape:
    """A gap whose walls wander a little."""
    return uneven(box(center, half, rounding=0.3, turn=rows), change.generator, 0.2, 8.0)


def _about(degrees: float, axis: int) -> np.ndarray:
    """Rows of axes turned by so many degrees about one of them."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_euler("xyz"[axis], degrees, degrees=True).as_matrix()


def atlas_arch(change: Remodelling) -> None:
    """A cleft in the atlas's posterior arch (most often in the midline), in the anterior one, or no posterior arch."""
    form = change.pick(
        ("midline", "one side", "both sides", "tubercle", "absent", "anterior", "both arches"),
        (0.50, 0.12, 0.08, 0.06, 0.06, 0.08, 0.10),
    )
    canal, tip = change.landmark("C1", "canal"), change.landmark("C1", "spinous_tip")
    lamina = change.landmark("C1", "left_lamina")
    gap = change.between(1.6, 7.0 if change.chance(0.3) else 3.5)

    def carve(center: np.ndarray, half: tuple[float, float, float], degrees: float = 0.0) -> None:
        change.carve("C1", change.at("C1", _slit(change, center, half, _about(degrees, 2))), 1.3)

    if form in ("midline", "both arches"):
        carve(np.array([change.between(-2, 2), tip[1] - 4, tip[2]]), (gap / 2, 9.0, 12.0), change.between(-25, 25))
    if form in ("anterior", "both arches"):
        front = np.array([change.between(-1.5, 1.5), canal[1] - 24, 0.0])
        carve(front, (change.between(0.8, 2.0), 8.0, 12.0), change.between(-20, 20))
    sides = (1, -1) if form == "both sides" else ((1 if change.chance(0.5) else -1),) if form == "one side" else ()
    for side in sides:
        # Across the lamina, square to the ring.
        place = np.array([side * lamina[0], lamina[1], lamina[2]])
        angle = np.degrees(np.arctan2(place[1] - canal[1], abs(place[0])))
        carve(place, (7.0, gap * change.between(0.5, 1.6), 12.0), side * angle)
    if form in ("tubercle", "absent"):
        start = canal[1] + change.between(-1.0, 5.0)
        room = box((0, start + 22, 0), (28, 22, 14), rounding=2.0)
        if form == "tubercle":
            kept = ellipsoid((0, tip[1] - 2.5, tip[2]), (change.between(3.5, 7.0), 5.0, 7.0))
            room = meet(room, outside(kept))
        change.carve("C1", change.at("C1", uneven(room, change.generator, 0.3)), 2.0)
    change.note("cleft atlas", form=form, gap_mm=round(gap, 2))


def spina_bifida(change: Remodelling) -> None:
    """An arch of C6, C7 or T1 that is open behind, its spinous process gone or in two."""
    levels = [name for name in ("C5", "C6", "C7", "T1") if name in change.neck.frames]
    level = change.pick(levels, [{"C5": 0.1, "C6": 0.3, "C7": 0.35, "T1": 0.25}[name] for name in levels])
    canal, tip = change.landmark(level, "canal"), change.landmark(level, "spinous_tip")
    depth, gap = change.frame(level).half_size[1], change.between(2.0, 8.0)
    aside, middle = change.between(-2.0, 2.0), (canal + tip) / 2
    # From within the canal, behind its middle, to beyond the tip; along the slope of the process.
    long = np.linalg.norm(tip - canal) / 2 + 5
    slope = np.degrees(np.arctan2(tip[2] - canal[2], tip[1] - canal[1]))
    rows = _about(-slope, 0) @ _about(change.between(-12, 12), 2)
    center = middle + (aside, 3.0 + 0.15 * depth, 0.0)
    change.carve(level, change.at(level, _slit(change, center, (gap / 2, long, 18.0), rows)), 1.3)
    gone = change.chance(0.6)
    if gone:
        reach = change.between(0.25, 0.6)
        stump = box(canal + (0, (tip - canal)[1] * reach + 30, -5), (12, 30, 28), rounding=1.0)
        change.carve(level, change.at(level, uneven(stump, change.generator, 0.3)), 1.5)
    change.note("spina bifida", level=level, gap_mm=round(gap, 2), spinous_process=not gone)


def os_odontoideum(change: Remodelling) -> None:
    """A dens of two parts: a round ossicle above a stump, with a wide smooth gap between them; both are C2."""
    if change.frame("C2").dens_tip is None:
        return
    tip = change.landmark("C2", "dens_tip")
    height, wide = change.between(7.5, 11.5), change.between(2.2, 6.0)
    center = tip - (0.0, 0.0, height + wide / 2)
    rows = _about(change.between(-14, 14), 0) @ _about(change.between(-8, 8), 1)
    # A lens that is thicker at its rim rounds the ends of both parts.
    gap = meet(box(center, (9.5, 9.0, wide / 2 + 1.8), rounding=0.5, turn=rows),
               outside(ellipsoid(center + (0, 0, height / 2 + wide / 2), (6.5, 7.0, height / 2 + 0.3))),
               outside(ellipsoid(center - (0, 0, wide / 2 + 5.0), (11.0, 9.0, 5.0))))
    change.carve("C2", change.at("C2", uneven(gap, change.generator, 0.2)), 1.2)
    # It goes with the atlas, which slides.
    change.joint("C1", slide=(0.0, change.between(-2.0, 2.5), 0.0))
    change.note("os odontoideum", gap_mm=round(wide, 2), ossicle_mm=round(height, 2))


def ossiculum(change: Remodelling) -> None:
    """The tip of the dens that stayed apart (persistent ossiculum terminale)."""
    if change.frame("C2").dens_tip is None:
        return
    tip, gap = change.landmark("C2", "dens_tip"), change.between(1.2, 2.4)
    height = change.between(2.5, 5.0)
    center = tip - (0.0, 0.0, height)
    # A V: the tip sits in a notch.
    cut = ellipsoid(center + (0, 0, 6.0 - gap / 2), (7.5, 7.5, 6.0 + gap / 2))
    inner = ellipsoid(center + (0, 0, 6.0 + gap / 2), (7.5, 7.5, 6.0))
    shell = meet(cut, outside(inner), half_space((0, 0, tip[2] + 0.5), (0, 0, 1)), blend=0.3)
    change.carve("C2", change.at("C2", uneven(shell, change.generator, 0.12)), 0.6)
    change.note("ossiculum terminale", gap_mm=round(gap, 2))
