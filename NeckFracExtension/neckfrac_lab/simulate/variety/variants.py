"""Necks that grew otherwise: vertebrae that never parted, ribs too many, arches that never closed. Sizes in mm."""

from __future__ import annotations

import numpy as np

from ..neck import CHAIN
from ..shapes import ellipsoid, sweep
from .remodel import Disc, Remodelling, uneven

# How often two neighbours are one (C2/C3 most, then C5/C6: Klippel-Feil and single block vertebrae).
BLOCKS = {"C2": 0.42, "C3": 0.10, "C4": 0.08, "C5": 0.22, "C6": 0.12, "C7": 0.06}


def _column(change: Remodelling, disc: Disc, form: str) -> None:
    """Bone where the disc was: over the whole plate, its front or its rear half, or only its rim."""
    reach, waist = disc.height / 2 + change.between(0.8, 3.0), change.between(0.74, 0.9)
    wide, deep = disc.width * 0.9, disc.depth * 0.93
    aside, behind, depth = 0.0, 0.0, deep
    if form in ("front", "rear"):
        depth = deep * 0.5
        behind = (deep - depth) * (1 if form == "rear" else -1)
    path = [(aside, behind, share * reach, wide * (1 if abs(share) > 0.5 else waist),
             depth * (1 if abs(share) > 0.5 else waist)) for share in (-1.0, -0.35, 0.35, 1.0)]
    shape = uneven(sweep(path, across=(1, 0, 0), count=8, cap=0.25), change.generator, 0.25)
    change.bridge(disc, shape, change.between(0.6, 4.0), 1.2)
    if form == "rim":
        # A lens of the disc is left inside.
        lens = ellipsoid((0, change.between(-1.5, 1.5), 0), (0.6 * wide, 0.6 * deep, change.between(0.7, 1.6)))
        for level in (disc.upper, disc.lower):
            change.carve(level, disc.placed(lens))


def block(change: Remodelling) -> None:
    """Two neighbours (now and then two pairs) grown into one; each voxel stays with its own level."""
    discs = {disc.upper: disc for disc in change.discs("C2", "C7")}
    pairs = {change.pick(discs, [BLOCKS[name] for name in discs])}
    if change.chance(0.2):
        pairs.add(change.pick(discs, [BLOCKS[name] for name in discs]))
    for name in sorted(pairs):
        disc, form = discs[name], change.pick(("whole", "rim", "front", "rear"), (0.55, 0.25, 0.1, 0.1))
        _column(change, disc, form)
        # What is one does not move, and the disc is lower than others.
        change.joint(name, freedom=0.0, slide=(0, 0, -change.between(0.0, 0.35) * disc.height),
                     turn=(change.between(-4, 6), change.between(-3, 3), 0.0))
        sides = []
        for side, word in ((1, "left"), (-1, "right")):
            if change.chance(0.65):
                sides.append(word)
                point, normal = change.facet(disc, side)
                rows = np.array([disc.axes[0] * side, np.cross(normal, disc.axes[0] * side), normal])
                radii = (change.between(4.5, 6.0), change.between(4.5, 6.5), change.between(3.5, 5.5))
                change.share(disc.upper, disc.lower, ellipsoid(point, radii, rows), point, normal,
                             change.between(0.8, 3.0))
        laminae = change.chance(0.35)
        if laminae:
            _join_laminae(change, disc)
        change.note("block vertebra", disc=name, form=form, facets=sides, laminae=laminae)


def _join_laminae(change: Remodelling, disc: Disc) -> None:
    for side in (1, -1):
        word = "left_lamina" if side > 0 else "right_lamina"
        ends = [np.array(getattr(change.frame(level), word)) for level in (disc.upper, disc.lower)]
        middle, along = (ends[0] + ends[1]) / 2, ends[0] - ends[1]
        path = [(*end, 5.5, 2.3) for end in ends]
        sheet = sweep(path, across=disc.axes[0])
        change.share(disc.upper, disc.lower, sheet, middle, along, change.between(0.6, 2.0))


def straight(change: Remodelling) -> None:
    """A neck without its lordosis, or bent forward: as a whole, or at one joint."""
    form = change.pick(("straight", "kyphosis", "local kyphosis", "strong lordosis"), (0.45, 0.25, 0.15, 0.15))
    if form == "straight":
        change.vary(lordosis=(-6.0, -2.0))
    elif form == "kyphosis":
        change.vary(lordosis=(-13.0, -6.0))
    elif form == "strong lordosis":
        change.vary(lordosis=(6.0, 12.0))
    else:
        joint = change.pick(("C3", "C4", "C5", "C6"))
        change.joint(joint, turn=(change.between(8, 18), 0.0, 0.0), slide=(0.0, change.between(-2.5, 0.5), 0.0))
    change.note(form)


def scoliosis(change: Remodelling) -> None:
    """A lateral curve, one arc or two, with the turn that goes with it."""
    peak = change.between(3.0, 7.5) * (1 if change.chance(0.5) else -1)
    arcs, start = 1 if change.chance(0.6) else 2, change.between(-0.2, 0.2)
    twist = peak * change.between(0.0, 0.8)
    names = [name for name in CHAIN[2:11] if name in change.neck.joints]
    for number, name in enumerate(names):
        share = np.sin(np.pi * (arcs * (number + 0.5) / len(names) + start))
        change.joint(name, turn=(0.0, peak * share, twist * share))
    change.vary(common_bend=2.5, common_twist=3.0)
    change.note("scoliosis", degrees_per_joint=round(abs(peak), 1), arcs=arcs)
