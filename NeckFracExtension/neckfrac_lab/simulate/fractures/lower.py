"""Fractures of C3 to C7: body, pedicle, facet, lamina, transverse and spinous process.

Patterns after Allen and Ferguson (1982) and the AO Spine subaxial classification (Vaccaro 2016). Sizes in mm.
"""

from __future__ import annotations

import numpy as np

from .shapes import Break, Compression, FractureField
from .site import LEFT, POSTERIOR, SUPERIOR, Site, unit, vector


def _named(side: int) -> str:
    return "left" if side > 0 else "right"


def _body_limits(site: Site) -> tuple:
    """The vertebral body, a little larger than itself."""
    return (
        site.limit((site.depth + 1.5) * POSTERIOR, POSTERIOR),
        site.limit((site.width + 1.5) * LEFT, LEFT),
        site.limit(-(site.width + 1.5) * LEFT, -LEFT),
    )


def _sagittal_split(site: Site) -> Break:
    """A vertical split of the body near its middle, which does not move."""
    sheet = site.face(site.between(-0.35, 0.35) * site.width * LEFT, LEFT, strength=1.2)
    return Break((sheet,), site.gap(1.0), within=_body_limits(site))


def _lamina_break(site: Site, side: int) -> Break:
    """Across one lamina, without displacement."""
    lamina = site.lamina(side)
    outward = unit((lamina - site.canal) * np.array([1.0, 1.0, 0.0]))
    tangent = np.array([-outward[1], outward[0], 0.0])
    sheet = site.face(lamina + site.between(-2.0, 2.0) * tangent, tangent, tilt=18)
    start = site.canal + 3 * outward
    return Break((sheet,), site.gap(1.4), within=(site.limit(start, -outward), site.ball(lamina, 13.0)))


def teardrop(site: Site) -> FractureField:
    """The antero-inferior corner, avulsed (extension) or sheared off with a split body (flexion)."""
    flexion = site.severity > 0.3 and site.chance(0.6)
    corner = np.array([0.0, -site.depth, -site.height])
    high, deep = site.between(0.9, 1.5) * site.height, site.between(0.5, 0.9) * site.depth
    # The sheet runs from the anterior wall, `high` above the corner, to the endplate, `deep` behind it.
    normal = np.array([0.0, high, deep])
    sheet = site.face(corner + high * SUPERIOR, normal, tilt=7, strength=0.8, bow=site.between(-0.01, 0.02))
    sides = tuple(site.face(sign * (site.width + 2) * LEFT, sign * LEFT, strength=0.5) for sign in (1, -1))
    breaks = [Break((sheet, *sides), site.gap(), shift=site.shift(-POSTERIOR - 0.4 * SUPERIOR, 3.5 if flexion else 2.0),
                    rotation=site.rotation(LEFT, 9), pivot=vector(corner), chips=site.chips(corner + 4 * POSTERIOR, 1))]
    if flexion:
        breaks.append(_sagittal_split(site))
        if site.chance(0.5):
            breaks.append(_lamina_break(site, site.side()))
    parameters = {"mechanism": "flexion" if flexion else "extension", "high": high, "deep": deep}
    return FractureField(site.level, "teardrop", tuple(breaks), parameters=parameters)


def _compress(site: Site, loss: float, back: float) -> Compression:
    half_size = (float(site.width), float(site.depth), float(site.height))
    return Compression(half_size, loss, back, 0.6 + 2.5 * loss, site.roughness(0.8), site.between(120, 320))


def compression(site: Site) -> FractureField:
    """A wedge: the upper endplate pressed in by 10 to 50 % of the height in front, its anterior cortex stepped."""
    loss = 0.10 + 0.40 * site.severity
    step = np.array([0.0, -site.depth, site.between(-0.3, 0.2) * site.height])
    sheet = site.face(step, SUPERIOR + site.between(-0.3, 0.3) * POSTERIOR, strength=1.2)
    limits = (site.limit(step + site.between(0.5, 1.1) * site.depth * POSTERIOR, POSTERIOR), *_body_limits(site)[1:])
    return FractureField(
        site.level, "compression", (Break((sheet,), 0.3 + 0.7 * loss, within=limits),),
        compression=_compress(site, loss, site.between(0.0, 0.25)), parameters={"height_loss": loss},
    )


def burst(site: Site) -> FractureField:
    """The body crushed and split, its upper posterior corner driven into the canal."""
    loss = 0.12 + 0.33 * site.severity
    corner = np.array([0.0, site.depth, site.height * (1 - 2 * loss)])
    inner = 0.62 * site.width
    faces = (
        site.face(corner - site.between(0.5, 0.8) * site.depth * POSTERIOR, -POSTERIOR),
        site.face(corner - site.between(0.8, 1.2) * site.height * SUPERIOR, -SUPERIOR + 0.4 * POSTERIOR),
        site.face(inner * LEFT, LEFT, strength=0.6),
        site.face(-inner * LEFT, -LEFT, strength=0.6),
        site.limit(corner + 4 * POSTERIOR, POSTERIOR),
    )
    retropulsion = 0.8 + 3.4 * site.severity
    piece = Break(faces, site.gap(1.2), shift=vector(retropulsion * POSTERIOR), pivot=vector(corner),
                  rotation=site.rotation(LEFT, 6), chips=site.chips(corner - 4 * POSTERIOR, 2))
    breaks = [piece, _sagittal_split(site)]
    across = site.face(site.between(-0.3, 0.3) * site.depth * POSTERIOR, POSTERIOR + 0.3 * LEFT, strength=1.3)
    breaks.append(Break((across,), site.gap(0.9), within=_body_limits(site)))
    if site.chance(0.5):
        breaks.append(_lamina_break(site, site.side()))
    return FractureField(
        site.level, "burst", tuple(breaks), compression=_compress(site, loss, site.between(0.5, 0.9)),
        parameters={"height_loss": loss, "retropulsion": retropulsion},
    )


def facet(site: Site) -> FractureField:
    """An articular process broken off the pillar, or the pillar split."""
    side = site.side()
    mass = site.lateral_mass(side)
    which = ("superior", "inferior", "split")[int(site.generator.choice(3, p=(0.5, 0.3, 0.2)))]
    inner = site.face(mass - side * 7.0 * LEFT, -side * LEFT, strength=0.6)
    if which == "split":
        sheet = site.face(mass + site.between(-2, 2) * POSTERIOR, POSTERIOR + side * site.between(-1, 1) * LEFT)
        item = Break((sheet,), site.gap(1.2), within=(site.ball(mass, 10.0), inner))
    else:
        up = 1 if which == "superior" else -1
        # Facet joints slope down and back by about 45 degrees: the upper process points up and forward.
        normal = up * (-SUPERIOR + 0.35 * POSTERIOR)
        sheet = site.face(mass + up * site.between(0.5, 3.0) * SUPERIOR, normal, tilt=10)
        ahead = site.face(mass - 7.5 * POSTERIOR, -POSTERIOR, strength=0.6)
        item = Break((sheet, inner, ahead), site.gap(), shift=site.shift(up * SUPERIOR - up * 0.8 * POSTERIOR, 2.5),
                     rotation=site.rotation(LEFT, 8), pivot=vector(mass), chips=site.chips(mass, 1, 2.5))
    return FractureField(site.level, "facet", (item,), parameters={"side": _named(side), "process": which})


def lamina(site: Site) -> FractureField:
    """One lamina, or both with the arch behind them displaced."""
    if site.chance(0.7) or site.severity < 0.15:
        side = site.side()
        return FractureField(site.level, "lamina", (_lamina_break(site, side),), parameters={"side": _named(side)})
    faces = []
    for side in (1, -1):
        outward = unit((site.lamina(side) - site.canal) * np.array([1.0, 1.0, 0.0]))
        # Medial of the sheet on each side: the spinous process with what is left of the laminae.
        normal = unit(np.array([-outward[1], outward[0], 0.0]))
        normal = normal if normal @ (side * LEFT) > 0 else -normal
        faces.append(site.face(site.lamina(side), normal, tilt=8))
    behind = site.limit(site.canal + 2 * POSTERIOR, -POSTERIOR)
    item = Break((*faces, behind), site.gap(), shift=site.shift(POSTERIOR, 2.5), rotation=site.rotation(LEFT, 5),
                 pivot=vector(site.arch))
    return FractureField(site.level, "lamina", (item,), parameters={"side": "both"})


def pedicle(site: Site) -> FractureField:
    """Across one pedicle; half the time with the lamina of the same side (a floating lateral mass)."""
    side = site.side()
    root = np.array([side * 0.85 * site.width, 0.85 * site.depth, 0.2 * site.height])
    mass = site.lateral_mass(side)
    along = unit((mass - root) * np.array([1.0, 1.0, 0.3]))
    middle = root + site.between(0.2, 0.55) * (mass - root)
    breaks = [Break((site.face(middle, along, tilt=14),), site.gap(1.4), within=(site.ball(middle, 9.0),))]
    floating = site.chance(0.5)
    if floating:
        breaks.append(_lamina_break(site, side))
    parameters = {"side": _named(side), "floating": floating}
    return FractureField(site.level, "pedicle", tuple(breaks), parameters=parameters)


def spinous(site: Site) -> FractureField:
    """Off with the spinous process: at C6 and C7 the clay-shoveler's fracture, pulled down and back."""
    root = site.arch
    axis = unit(site.spinous_tip - root)
    share = site.between(0.3, 0.72)
    point = root + share * (site.spinous_tip - root)
    sheet = site.face(point, -axis + site.between(-0.5, 0.5) * SUPERIOR, tilt=10)
    largest = 5.0 if site.level in ("C6", "C7") else 3.0
    item = Break((sheet,), site.gap(2.0), shift=site.shift(0.6 * axis - SUPERIOR, largest),
                 rotation=site.rotation(LEFT, 9), pivot=vector(point), chips=site.chips(point, 1, 2.0))
    return FractureField(site.level, "spinous", (item,), parameters={"share": share})


def transverse(site: Site) -> FractureField:
    """Through a transverse process, commonly into its foramen."""
    side = site.side()
    tip, mass = site.transverse_tip(side), site.lateral_mass(side)
    share = site.between(0.3, 0.6)
    outer = site.width + share * (abs(tip[0]) - site.width)
    # The process leans back at C7 and forwards above: cut across the line from the body's side to its tip.
    along = unit((tip - side * site.width * LEFT) * np.array([1.0, 0.5, 0.3]))
    point = np.array([side * outer, share * tip[1], share * tip[2]])
    # The pillar behind the process stays: at C7 the process springs from beside it, above from before it.
    behind = tip[1] + 4.0 if tip[1] > mass[1] - 6.0 else min(tip[1] + 4.0, mass[1] - 5.0)
    faces = (site.face(point, -along, tilt=10, strength=0.8), site.face(behind * POSTERIOR, POSTERIOR, strength=0.4))
    item = Break(faces, site.gap(), shift=site.shift(side * LEFT - 0.7 * SUPERIOR, 3.0),
                 rotation=site.rotation(POSTERIOR, 7), pivot=vector(point))
    return FractureField(site.level, "transverse", (item,), parameters={"side": _named(side), "share": share})
