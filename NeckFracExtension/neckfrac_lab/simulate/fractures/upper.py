"""Fractures of the atlas (C1) and the axis (C2).

Patterns after Levine and Edwards (1985) for the hangman's fracture, Anderson and D'Alonzo (1974) for the dens,
Jefferson (1920) and Landells (1988) for the atlas. Sizes in mm.
"""

from __future__ import annotations

import numpy as np

from .shapes import Break, FractureField
from .site import LEFT, POSTERIOR, SUPERIOR, Site, unit, vector


def _front(site: Site) -> float:
    """Posterior coordinate of the atlas' anterior tubercle."""
    return site.spinous_tip[1] - 2 * site.depth


def _arch_angle(site: Site, left: float) -> float:
    """Degrees round the canal to a point of the anterior arch `left` mm off the midline."""
    return site.angle(np.array([left, _front(site) + 2.5, 0.0]))


def _ring_break(site: Site, angle: float, side: int, gap: float) -> Break:
    """A break without displacement across the ring at `angle`."""
    outward, tangent = site.radial(angle, side)
    start = site.canal + 4 * outward
    # Only this ray of the plane, not its continuation across the canal.
    return Break((site.face(start + 10 * outward, tangent, tilt=18),), gap, within=(site.limit(start, -outward),))


def _sector(site: Site, start: float, end: float, side: int) -> tuple:
    """Faces of the ring's sector between two angles on one side (less than 180 degrees)."""
    faces = []
    for angle, sign in ((start, -1), (end, 1)):
        outward, tangent = site.radial(angle, side)
        faces.append(site.face(site.canal + 14 * outward, sign * tangent, tilt=10))
    return tuple(faces)


def jefferson(site: Site) -> FractureField:
    """Burst of the atlas' ring: both lateral masses, or one, driven outwards."""
    both = site.chance(0.75)
    sides = (1, -1) if both else (site.side(),)
    breaks, angles = [], {}
    for side in sides:
        mass = site.angle(site.lateral_mass(side))
        start = _arch_angle(site, site.between(2.5, 7.0))
        lamina = site.angle(site.lamina(side))
        end = min(lamina + site.between(-22, 12), start + 165)
        end = max(end, mass + 28)
        angles["left" if side > 0 else "right"] = [round(start), round(end)]
        breaks.append(Break(
            _sector(site, start, end, side), site.gap(), shift=site.shift(side * LEFT, 3.5),
            rotation=site.rotation(SUPERIOR, 5), pivot=vector(site.lateral_mass(side)),
            chips=site.chips(site.lateral_mass(side) + np.array([0, 9.0, 0]), 2),
        ))
    return FractureField(site.level, "jefferson", tuple(breaks), parameters={"angles": angles})


def anterior_arch(site: Site) -> FractureField:
    """One break of the anterior arch, or two with the piece between pulled forwards."""
    if site.chance(0.6) or site.severity == 0:
        side, left = site.side(), site.between(1.0, 7.0)
        breaks = (_ring_break(site, _arch_angle(site, left), side, site.gap(1.4)),)
        return FractureField(site.level, "anterior-arch", breaks, parameters={"left": side * left})
    left, right = site.between(3.0, 7.5), site.between(3.0, 7.5)
    faces = []
    for side, off in ((1, left), (-1, right)):
        outward, tangent = site.radial(_arch_angle(site, off), side)
        faces.append(site.face(site.canal + 14 * outward, tangent, tilt=10))
    item = Break(tuple(faces), site.gap(), shift=site.shift(-POSTERIOR, 2.5), rotation=site.rotation(LEFT, 5),
                 pivot=(0.0, _front(site), 0.0))
    return FractureField(site.level, "anterior-arch", (item,), parameters={"left": left, "right": -right})


def posterior_arch(site: Site) -> FractureField:
    """Breaks where the posterior arch is thinnest, behind the lateral masses; usually on both sides."""
    angles = {}
    for side in (1, -1):
        lamina = site.angle(site.lamina(side))
        floor = max(site.angle(site.lateral_mass(side)) + 28, 96)
        angles[side] = max(lamina + site.between(-20, 15), floor)
    named = {"left" if side > 0 else "right": round(angle) for side, angle in angles.items()}
    if site.chance(0.35) or site.severity == 0:
        side = site.side()
        breaks = [_ring_break(site, angles[side], side, site.gap(1.2))]
        if site.chance(0.4):
            breaks.append(_ring_break(site, angles[-side], -side, site.gap(1.0)))
        return FractureField(site.level, "posterior-arch", tuple(breaks), parameters={"angles": named})
    faces = []
    for side, angle in angles.items():
        outward, tangent = site.radial(angle, side)
        faces.append(site.face(site.canal + 14 * outward, -tangent, tilt=8))
    item = Break(tuple(faces), site.gap(), shift=site.shift(POSTERIOR + 0.4 * SUPERIOR, 2.5),
                 rotation=site.rotation(LEFT, 6), pivot=vector(site.canal + 12 * POSTERIOR))
    return FractureField(site.level, "posterior-arch", (item,), parameters={"angles": named})


def lateral_mass(site: Site) -> FractureField:
    """An oblique split of one lateral mass of the atlas, its outer part moved out and down."""
    side = site.side()
    mass = site.lateral_mass(side)
    # From inside in front to outside behind, so that neither arch goes with the lateral piece.
    sheet = site.face(mass + side * site.between(-2.0, 2.0) * LEFT,
                      -side * LEFT + site.between(0.35, 0.8) * POSTERIOR, tilt=6, strength=1.3)
    item = Break((sheet,), site.gap(), shift=site.shift(side * LEFT - 0.3 * SUPERIOR, 2.5),
                 rotation=site.rotation(POSTERIOR, 5), pivot=vector(mass), chips=site.chips(mass, 2))
    return FractureField(site.level, "lateral-mass", (item,), parameters={"side": "left" if side > 0 else "right"})


def _dens(site: Site) -> tuple[np.ndarray, np.ndarray, float]:
    """(tip, unit axis from the body through the tip, mm from the tip to the base of the dens).

    The dens measures about 0.42 of the axis' height from lower endplate to tip (15 of 36 mm in adults).
    """
    tip = site.dens_tip if site.dens_tip is not None else np.array([0.0, 0.0, site.height + 14.0])
    return tip, unit(tip), 0.42 * (tip[2] + site.height)


def _odontoid(site: Site, kind: str, below_tip: float, tilt: float, normal: np.ndarray, bow: float, largest: float):
    tip, axis, _ = _dens(site)
    point = tip - below_tip * axis
    sheet = site.face(point, -normal, tilt=tilt, strength=0.8, bow=bow, bow_axis=LEFT)
    posterior = site.chance(0.5)
    pivot = point + (1 if posterior else -1) * 5 * POSTERIOR
    # Behind the dens the upper facets and the arch must stay with the body.
    reach, wide = (8.0, 8.0) if kind != "odontoid-3" else (max(site.depth, 6.0) + 3.0, 13.0)
    limits = [site.face(point + reach * POSTERIOR, POSTERIOR, tilt=4, strength=0.6)]
    limits += [site.face(sign * wide * LEFT, sign * LEFT, tilt=4, strength=0.6) for sign in (1, -1)]
    direction = (1 if posterior else -1) * POSTERIOR + 0.1 * SUPERIOR
    item = Break((sheet, *limits), site.gap(1.4), shift=site.shift(direction, largest),
                 rotation=vector(np.array(site.rotation(LEFT, 9)) * (-1 if posterior else 1)),
                 pivot=vector(pivot), chips=site.chips(point, 2, 3.0))
    parameters = {"below_tip": below_tip, "towards": "posterior" if posterior else "anterior"}
    return FractureField(site.level, kind, (item,), parameters=parameters)


def odontoid_1(site: Site) -> FractureField:
    """An oblique avulsion of the tip of the dens."""
    normal = SUPERIOR + site.side() * site.between(0.4, 0.9) * LEFT
    return _odontoid(site, "odontoid-1", site.between(3.5, 5.5), 8, normal, 0.0, 2.0)


def odontoid_2(site: Site) -> FractureField:
    """Across the base of the dens."""
    base = _dens(site)[2]
    slope = site.between(-0.45, 0.45)
    return _odontoid(site, "odontoid-2", base - site.between(0.0, 2.5), 6, SUPERIOR + slope * POSTERIOR, 0.0, 4.5)


def odontoid_3(site: Site) -> FractureField:
    """Through the cancellous body under the dens, rising to the upper facets."""
    base = _dens(site)[2]
    slope = site.between(-0.25, 0.35)
    return _odontoid(site, "odontoid-3", base + site.between(3.5, 6.0), 5, SUPERIOR + slope * POSTERIOR,
                     site.between(0.035, 0.065), 3.5)


def hangman(site: Site) -> FractureField:
    """Both pars interarticulares of the axis, the arch left behind; may run into the body's posterior wall."""
    yaw = site.between(-0.35, 0.35)
    point = site.canal + site.between(-3.5, 1.0) * POSTERIOR
    sheet = site.face(point, -POSTERIOR + yaw * LEFT + site.between(-0.1, 0.35) * SUPERIOR, tilt=6, strength=1.3)
    item = Break((sheet,), site.gap(1.8), shift=site.shift(POSTERIOR - 0.2 * SUPERIOR, 3.5),
                 rotation=site.rotation(LEFT, 5), pivot=vector(point),
                 chips=site.chips(point + site.side() * 16 * LEFT, 2, 3.0))
    return FractureField(site.level, "hangman", (item,), parameters={"yaw": yaw})


def axis_body(site: Site) -> FractureField:
    """The body of C2: a coronal or sagittal split, or an avulsed antero-inferior corner."""
    which = ("corner", "coronal", "sagittal")[int(site.generator.choice(3, p=(0.5, 0.3, 0.2)))]
    if which == "corner":
        corner = np.array([0.0, -site.depth, -site.height])
        size = site.between(4.0, 7.0)
        normal = POSTERIOR + site.between(0.6, 1.2) * SUPERIOR
        sheet = site.face(corner + size * unit(normal) * 0.75, normal, strength=0.8)
        item = Break((sheet,), site.gap(), shift=site.shift(-POSTERIOR - 0.5 * SUPERIOR, 3.0),
                     rotation=site.rotation(LEFT, 8), pivot=vector(corner))
    elif which == "coronal":
        sheet = site.face(np.array([0.0, site.between(0.0, 0.6) * site.depth, 0.0]),
                          -POSTERIOR + site.between(-0.2, 0.3) * SUPERIOR, strength=1.2)
        item = Break((sheet,), site.gap(), within=(
            site.limit(np.array([0.0, 0.0, 0.75 * site.height]), SUPERIOR),
            site.limit((site.width + 3) * LEFT, LEFT), site.limit(-(site.width + 3) * LEFT, -LEFT)))
    else:
        side = site.side()
        sheet = site.face(side * site.between(2.0, 6.0) * LEFT, -side * LEFT + side * site.between(0.0, 0.5) * SUPERIOR)
        item = Break((sheet,), site.gap(), within=(
            site.limit((site.depth + 3) * POSTERIOR, POSTERIOR), site.limit(0.9 * site.height * SUPERIOR, SUPERIOR)))
    return FractureField(site.level, "body", (item,), parameters={"pattern": which})
