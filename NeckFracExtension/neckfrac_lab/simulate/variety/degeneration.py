"""Necks that have worn: spurs, narrow discs, hard endplates, overgrown and stiff joints. Sizes in mm.

How often and how large is this project's own estimate of what CT of the elderly shows, not counts from a study.
"""

from __future__ import annotations

import numpy as np

from ..fractures.shapes import Blob, FractureField, Roughness
from ..fractures.site import vector
from ..shapes import ellipsoid, meet, outside, sweep
from .remodel import Disc, Remodelling, uneven

LOWER_DISCS = ("C3", "C4", "C5", "C6")
# How often the disc below each level is the worst: C5/C6 before C6/C7 before C4/C5.
WORN = {"C2": 0.04, "C3": 0.12, "C4": 0.22, "C5": 0.34, "C6": 0.24, "C7": 0.04}


def _direction(degrees: float) -> np.ndarray:
    """Outward at so many degrees from the front, to the left where positive."""
    return np.array([np.sin(np.radians(degrees)), -np.cos(np.radians(degrees)), 0.0])


def _spur(change: Remodelling, disc: Disc, end: int, degrees: float, length: float, wide: float) -> None:
    """A spur from the rim of one endplate: end +1 above the disc, -1 below it."""
    outward, up = _direction(degrees), np.array([0.0, 0.0, 1.0])
    # It leaves the rim outwards and leans over the disc.
    lean = change.between(-0.7, 0.15) * end
    long = outward + lean * up
    long = long / np.linalg.norm(long)
    beside = np.cross(up, outward)
    rows = np.array([long, beside, np.cross(long, beside)])
    rim = outward * np.array([disc.width, disc.depth, 0.0]) * 0.93
    rim = rim + end * (disc.height / 2 + change.between(0.6, 1.8)) * up
    shape = ellipsoid(rim + 0.2 * length * long, (length, wide, change.between(1.0, 1.8)), rows)
    level = disc.upper if end > 0 else disc.lower
    change.join(level, disc.placed(uneven(shape, change.generator, 0.25)), 0.8)


def osteophytes(change: Remodelling, discs: list[Disc], amount: float) -> None:
    """Spurs round the rims of some discs, in front, beside (uncovertebral) and behind (bars into the canal)."""
    for disc in discs:
        for end in (1, -1):
            for _ in range(int(change.generator.integers(1, 4))):
                _spur(change, disc, end, change.between(-85, 85), 1.5 + amount * change.between(0.6, 4.5),
                      change.between(2.0, 6.0))
            if change.chance(0.7 * amount):
                # A bar along the rear rim; the canal stays open.
                _spur(change, disc, end, 180 + change.between(-25, 25), 1.0 + amount * change.between(0.4, 2.2),
                      change.between(3.0, 6.5))
            for side in (1, -1):
                if change.chance(0.6 * amount):
                    _spur(change, disc, end, side * change.between(100, 140), 1.2 + amount * change.between(0.5, 2.4),
                          change.between(1.8, 3.2))
    change.note("osteophytes", discs=[disc.upper for disc in discs], amount=round(amount, 3))


def bridging_osteophyte(change: Remodelling, disc: Disc) -> None:
    """A claw or bridge from one body to the next, in front or beside: closed, or with a slit left."""
    outward = _direction(change.between(-70, 70))
    rim = outward * np.array([disc.width, disc.depth, 0.0])
    bulge, wide, thick = change.between(0.8, 3.5), change.between(2.5, 6.5), change.between(1.2, 2.4)
    reach = disc.height / 2 + change.between(1.5, 3.5)
    path = [
        (*(rim * 0.96 + share * np.array([0.0, 0.0, reach]) + outward * bulge * (1 - share**2)), thick, wide)
        for share in (-1.0, -0.5, 0.0, 0.5, 1.0)
    ]
    closed = change.chance(0.55)
    shape = uneven(sweep(path, across=outward, count=8), change.generator, 0.25)
    change.bridge(disc, shape, change.between(0.8, 2.0) if closed else -change.between(0.2, 0.6), 0.8)
    if closed:
        change.joint(disc.upper, freedom=change.between(0.0, 0.25))
    change.note("bridging osteophyte", disc=disc.upper, closed=closed)


def narrow_disc(change: Remodelling, disc: Disc, share: float) -> None:
    """A disc that has lost a share of its height; the upper vertebra sinks and slides back on its facets."""
    lost = share * disc.height
    change.joint(disc.upper, slide=(0.0, change.between(0.0, 0.45) * lost, -lost), freedom=1 - 0.6 * share)
    change.note("narrow disc", disc=disc.upper, lost_mm=round(lost, 2))


def hard_endplates(change: Remodelling, disc: Disc) -> None:
    """Sclerosis under the endplates of a disc, now and then with a Schmorl node."""
    for level, end, share in ((disc.upper, -1, 0.8), (disc.lower, 1, 0.8)):
        if not change.chance(share):
            continue
        width, depth, height = change.frame(level).half_size
        aside, behind = change.between(-0.3, 0.3) * width, change.between(-0.3, 0.3) * depth
        center = np.array([aside, behind, end * height])
        radii = (change.between(0.5, 1.0) * width, change.between(0.5, 1.0) * depth, change.between(0.8, 2.5))
        patches = [(Blob(vector(center), radii), change.between(150, 600), change.between(1.0, 3.0))]
        pits = []
        if change.chance(0.25):
            # The node breaks the plate within the hard zone.
            size = change.between(1.6, 3.2)
            where = center + (change.between(-3, 3), change.between(-2, 2), -end * 0.2)
            pits = [Blob(vector(where), (1.2 * size, 1.2 * size, size), Roughness.draw(change.generator, 0.2))]
            patches.append((pits[0], change.between(150, 400), change.between(0.8, 1.6)))
        change.mimics.append(
            FractureField(level, "hard-endplate", pits=tuple(pits), patches=tuple(patches), traumatic=False,
                          parameters={"node": bool(pits)})
        )
    change.note("hard endplates", disc=disc.upper)


def overgrown_facets(change: Remodelling, disc: Disc, side: int, fused: bool = False) -> None:
    """A facet joint with lumps of new bone round its rim; or one that has grown together."""
    point, normal = change.facet(disc, side)
    left = disc.axes[0] * side
    along = np.cross(normal, left)
    along = along * np.sign(along @ disc.axes[2])
    for _ in range(int(change.generator.integers(2, 5))):
        angle = np.radians(change.between(-100, 200))
        place = point + 5.2 * np.cos(angle) * left + 5.6 * np.sin(angle) * along
        radii = change.generator.uniform((1.4, 1.4, 1.4), (3.6, 3.2, 3.0))
        rows = np.array([np.cos(angle) * left + np.sin(angle) * along, np.cos(angle) * along - np.sin(angle) * left,
                         normal])
        shape = uneven(ellipsoid(place, radii, rows), change.generator, 0.3)
        change.share(disc.upper, disc.lower, shape, point, normal, 1.0 if fused else -change.between(0.2, 0.6), 0.8)
    if fused:
        pillar = ellipsoid(point, (change.between(4.0, 6.0), change.between(4.0, 6.0), change.between(3.0, 5.0)),
                           np.array([left, along, normal]))
        change.share(disc.upper, disc.lower, pillar, point, normal, change.between(1.0, 3.0))
        change.joint(disc.upper, freedom=0.0)
    elif change.chance(0.5):
        frame = change.frame(disc.lower)
        where = frame.to_local(point)
        patch = (Blob(vector(where), (4.5, 4.5, 2.2)), change.between(150, 500), change.between(1.5, 3.0))
        change.mimics.append(FractureField(disc.lower, "hard-facet", patches=(patch,), traumatic=False))
    change.note("fused facets" if fused else "overgrown facets", disc=disc.upper, side="left" if side > 0 else "right")


def flowing_ossification(change: Remodelling) -> None:
    """Diffuse idiopathic hyperostosis: bone that flows down the front of four or more bodies."""
    levels = change.run(4, 7, "C2", "T2")
    discs = [disc for disc in change.discs("C2", "T1") if disc.upper in levels and disc.lower in levels]
    aside, thick, wide = change.between(-4, 4), change.between(2.0, 6.5), change.between(5, 11)
    for disc in discs:
        here = thick * change.between(0.6, 1.3)
        x, y, tall = aside + change.between(-1.5, 1.5), -disc.depth, disc.height / 2 + disc.bodies[0] * 1.1
        # Thickest over the disc, thinner over the waist of the bodies, whose hollow it fills.
        path = []
        for share in (-1.0, -0.5, 0.0, 0.5, 1.0):
            front, rear = y - here * (1 - 0.45 * share**2), y + 0.8 + 2.0 * abs(share)
            path.append((x, (front + rear) / 2, share * tall, wide * (1 - 0.2 * abs(share)), (rear - front) / 2))
        shape = sweep(path, across=(1, 0, 0))
        # The disc itself is spared.
        spared = ellipsoid((0, 0.8, 0), (disc.width, disc.depth, disc.height / 2))
        shape = uneven(meet(shape, outside(spared), blend=0.5), change.generator, 0.3)
        closed = change.chance(0.7)
        change.bridge(disc, shape, change.between(0.8, 2.0) if closed else -change.between(0.2, 0.7))
        if closed:
            change.joint(disc.upper, freedom=change.between(0.0, 0.2))
    change.note("flowing ossification", levels=levels, thickness_mm=round(thick, 2))


def wear(change: Remodelling) -> None:
    """A neck that has worn as a whole: some discs badly, their neighbours less, joints beside them too."""
    amount = change.between(0.3, 1.1)
    discs = {disc.upper: disc for disc in change.discs("C2", "C7")}
    worst = change.pick(discs, [WORN[name] for name in discs])
    names = list(discs)
    hit = []
    for name, disc in discs.items():
        near = abs(names.index(name) - names.index(worst))
        if change.chance(max(0.1, 1 - 0.35 * near) * (0.4 + 0.6 * amount)) or name == worst:
            hit.append(disc)
    for disc in hit:
        own = amount * change.between(0.5, 1.0)
        osteophytes(change, [disc], own)
        if disc.upper in LOWER_DISCS and change.chance(0.25 + 0.7 * own):
            narrow_disc(change, disc, float(np.clip(own * change.between(0.5, 1.5), 0, 1)))
            if change.chance(0.2 + 0.6 * own):
                hard_endplates(change, disc)
        if change.chance(0.3 * own):
            bridging_osteophyte(change, disc)
        for side in (1, -1):
            if change.chance(0.35 * own):
                overgrown_facets(change, disc, side, fused=change.chance(0.15))
    # Worn discs are narrow already, and a worn neck is stiff and often straight.
    change.vary(disc_gap=(-1.2, 0.5))
    if change.chance(0.4):
        change.vary(lordosis=(-7.0, 2.0))
