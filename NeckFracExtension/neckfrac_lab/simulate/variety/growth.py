"""Children's necks, and bone that is too thin or too dense."""

from __future__ import annotations

import numpy as np

from ..fractures.shapes import Blob, Break, Face, FractureField
from ..fractures.site import LEFT, POSTERIOR, SUPERIOR, unit, vector
from ..shapes import box, half_space, meet, outside
from .remodel import Remodelling

LOWER = ("C3", "C4", "C5", "C6", "C7")


def _growth_plate(point: np.ndarray, normal: np.ndarray, gap: float, reach: float, border: float) -> Break:
    """A smooth plate of cartilage within `reach` mm of a point, corticated on both sides."""
    return Break(
        (Face(vector(point), vector(unit(normal))),), gap, within=(Blob(vector(point), (reach,) * 3),),
        border=border, border_depth=0.9, traumatic=False,
    )


def child(change: Remodelling) -> None:
    """A child of about 1 to 10 years: small, soft-boned, with room between the bones and open growth plates.

    Which plates are open at what age: Lustrin et al., "Pediatric cervical spine: normal anatomy, variants, and
    trauma", RadioGraphics 2003;23:539-560 (arches close by 3, neurocentral plates by 3 to 6, the dens by 3 to
    6 years).
    """
    size = change.between(0.55, 0.82)
    # From about one year (0.55) to ten (0.82).
    years = 1 + 9 * (size - 0.55) / 0.27 + change.between(-0.5, 0.5)
    change.vary(
        body_scale=(size, size), body_anisotropy=0.04, head_scale=float(np.clip(1.26 - 0.02 * years, 1.05, 1.26)),
        disc_gap=(0.0, 1.4), surface_offset=(0.0, 0.7), cortical=(550.0, 1050.0), trabecular=(170.0, 420.0),
        cortex=(0.6, 1.1), lordosis=(-6.0, 5.0), girdle=15.0, fillings_chance=0.03, collar_chance=0.25,
        lean_chance=0.6, implant_chance=0.0,
    )
    # A large head sits on a small atlas without leaving it.
    change.joint("skull", slide=(0.0, 0.0, -change.between(0.5, 2.5)))
    border, gap = change.between(0, 250), change.between(1.1, 2.6)
    opened = {}

    def add(level: str, name: str, *plates: Break) -> None:
        opened.setdefault(level, []).append(name)
        fields.setdefault(level, []).extend(plates)

    fields: dict[str, list[Break]] = {}
    arch = years < 3.5 or change.chance(0.1)
    neurocentral = years < 4 or (years < 7 and change.chance(0.6))
    for level in ("C1", "C2", *LOWER):
        width, depth, height = change.frame(level).half_size
        spine = (change.landmark(level, "left_lamina") + change.landmark(level, "right_lamina")) / 2
        spine[0] = 0.0
        if arch and level != "C2":
            add(level, "arch", _growth_plate(spine + 3 * POSTERIOR, LEFT + 0.1 * SUPERIOR, gap, 11.0, border))
        if not neurocentral:
            continue
        plates = []
        for side in (1, -1):
            if level == "C1":
                # Between the front arch and the lateral masses.
                mass = change.landmark(level, "left_lateral_mass" if side > 0 else "right_lateral_mass")
                point, normal = mass * (0.55, 1, 1) - 8.5 * POSTERIOR, LEFT * side - 0.4 * POSTERIOR
            elif level == "C2":
                point, normal = np.array([side * 0.8 * width, 0.1 * depth, 0.0]), LEFT * side + 0.25 * SUPERIOR
            else:
                point = np.array([side * 0.72 * width, 0.55 * depth, 0.0])
                normal = LEFT * side + POSTERIOR * 0.9
            plates.append(_growth_plate(point, normal, gap, 8.5, border))
        add(level, "neurocentral", *plates)
    dens = change.frame("C2").dens_tip
    if dens is not None and (years < 6 or change.chance(0.35)):
        tip = change.landmark("C2", "dens_tip")
        base = tip - np.array([0.0, 0.0, change.between(15.0, 18.0)])
        add("C2", "dens", _growth_plate(base, SUPERIOR, gap * change.between(0.6, 1.2), 9.5, border))
        if years < 9 and change.chance(0.5):
            add("C2", "tip of the dens", _growth_plate(tip - 3.0 * SUPERIOR, SUPERIOR, 1.3, 6.0, border))
    for level, plates in fields.items():
        change.mimics.append(
            FractureField(level, "growth-plate", breaks=tuple(plates), traumatic=False,
                          parameters={"plates": ", ".join(opened[level])})
        )
    if years < 8:
        # Young bodies are wedges: the front corners are still cartilage.
        for level in LOWER:
            width, depth, height = change.frame(level).half_size
            lost = change.between(0.1, 0.35) * height
            slope = unit(SUPERIOR - POSTERIOR * lost / depth)
            kept = half_space((0.0, -0.2 * depth, height), slope)
            corner = box((0.0, -0.9 * depth, height), (width + 2, 0.7 * depth, 0.6 * height))
            change.carve(level, change.at(level, meet(corner, outside(kept))), 1.2)
    change.note("child", years=round(years, 1), growth_plates=opened)


def brittle(change: Remodelling) -> None:
    """Osteoporosis: a thin cortex around bone that is mostly fat."""
    change.vary(cortical=(500.0, 1000.0), trabecular=(-40.0, 80.0), cortex=(0.45, 0.95))
    change.note("osteoporosis")


def dense(change: Remodelling) -> None:
    """Bone as dense as in the young and strong, or in marrow disease."""
    change.vary(cortical=(1200.0, 1900.0), trabecular=(400.0, 800.0), cortex=(1.0, 2.0))
    change.note("dense bone")
