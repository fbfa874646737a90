"""What real bone shows that is no fracture and that a detector takes for one: lines, cysts and dense plates.

Kept apart from `MIMICS`, whose draws belong to seeds that are in use. Sizes in mm, amounts in HU. Their truth is empty.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..neck import VertebraFrame
from .mimics import mimic
from .shapes import Blob, FractureField
from .site import LEFT, POSTERIOR, SUPERIOR, Site, unit, vector


def subdental_synchondrosis(site: Site) -> FractureField:
    """The remnant of the growth plate between dens and body of the axis: a lucent or dense line inside the bone.

    It ends before the cortex, runs level and lies below the base of the dens, where most adults show something of it.
    """
    tip = site.dens_tip if site.dens_tip is not None else np.array([0.0, 0.0, site.height + 14.0])
    axis = unit(tip)
    # Between 0.42 (base of the dens) and 0.55 of the axis' height below the tip.
    center = tip - site.between(0.42, 0.56) * (tip[2] + site.height) * axis + site.between(-1.0, 1.0) * POSTERIOR
    tilted = unit(axis + 0.12 * site.generator.normal(size=3))
    beside = unit(np.cross(tilted, POSTERIOR))
    axes = tuple(vector(row) for row in (beside, np.cross(tilted, beside), tilted))
    wide, deep, thin = site.between(2.5, 5.5), site.between(2.0, 4.5), site.between(0.25, 0.8)
    disc = Blob(vector(center), (wide, deep, thin), site.roughness(0.15), axes)
    lucent = site.chance(0.55)
    patches = [(disc, site.between(150, 500) * (-1 if lucent else 1), site.between(0.4, 0.8))]
    if lucent and site.chance(0.6):  # with dense borders
        rims = [Blob(vector(center + side * 1.3 * tilted), (wide, deep, 0.4), None, axes) for side in (1, -1)]
        patches += [(rim, site.between(60, 300), 0.7) for rim in rims]
    pits = (Blob(vector(center), (0.7 * wide, 0.7 * deep, 0.7 * thin), site.roughness(0.1), axes),)
    return mimic(site, "subdental-synchondrosis", pits=pits if lucent and site.chance(0.4) else (),
                 patches=tuple(patches))  # fmt: skip


def atlantodental_arthrosis(site: Site) -> FractureField:
    """A worn joint of dens and atlas: spurs, dense bone, small cysts in the front of the dens."""
    if site.level == "C2":
        tip = site.dens_tip if site.dens_tip is not None else np.array([0.0, 0.0, site.height + 14.0])
        joint = tip - site.between(3.0, 8.0) * unit(tip) - 4.0 * POSTERIOR
        spur_at = tip + site.between(-1.0, 1.0) * SUPERIOR - site.between(0.0, 4.0) * POSTERIOR
    else:
        joint = np.array([0.0, site.spinous_tip[1] - 2 * site.depth + 4.0, 0.0])
        spur_at = joint + site.between(3.0, 6.0) * SUPERIOR
    patches = ((Blob(vector(joint), (4.5, 1.5, 4.5)), site.between(150, 500), site.between(1.0, 2.0)),)
    spurs = tuple(
        Blob(vector(spur_at + site.generator.normal(size=3) * 1.2), vector(site.generator.uniform(0.8, 2.0, 3)),
             site.roughness(0.3), site.turned())
        for _ in range(int(site.generator.integers(1, 3)))
    )
    cysts = _cysts(site, joint + 2.0 * POSTERIOR, 2.0) if site.chance(0.5) else ()
    return mimic(site, "atlantodental-arthrosis", pits=cysts, added=spurs, patches=patches)


def endplate_sclerosis(site: Site) -> FractureField:
    """Dense bone under a worn endplate, now and then with small cysts."""
    end = 1 if site.chance(0.5) else -1
    center = np.array([site.between(-0.3, 0.3) * site.width, site.between(-0.5, 0.4) * site.depth, end * site.height])
    disc = Blob(vector(center), (site.between(0.4, 0.9) * site.width, site.between(0.4, 0.9) * site.depth, 1.0))
    pits = _cysts(site, center - 2.5 * end * SUPERIOR, 3.0) if site.chance(0.4) else ()
    patch = (disc, site.between(120, 420), site.between(0.8, 2.5))
    return mimic(site, "endplate-sclerosis", pits=pits, patches=(patch,))


def bone_islands(site: Site) -> FractureField:
    """Uneven cancellous bone: blotches that are denser or emptier than what lies about them."""
    patches = []
    for _ in range(int(site.generator.integers(2, 8))):
        side = site.side()
        where = np.array([site.between(-0.8, 0.8) * site.width, site.between(-0.8, 0.8) * site.depth,
                          site.between(-0.8, 0.8) * site.height]) if site.chance(0.6) else site.lateral_mass(side)
        radii = vector(site.generator.uniform(0.6, 3.0, 3))
        amount = site.between(80, 450) if site.chance(0.45) else -site.between(60, 220)
        patches.append((Blob(vector(where + site.generator.normal(size=3)), radii, None, site.turned()), amount,
                        site.between(0.4, 1.2)))
    return mimic(site, "bone-islands", patches=tuple(patches))


def corticated_foramen(site: Site) -> FractureField:
    """A smooth round hole with a dense wall, through the root of an arch or the back of a lateral mass."""
    side = site.side()
    middle = site.lateral_mass(side) + np.array([side * site.between(-1, 5), site.between(-2, 7), site.between(-3, 3)])
    axis = unit(side * LEFT + site.between(-1, 1) * POSTERIOR + site.between(-0.5, 0.5) * SUPERIOR)
    beside = unit(np.cross(axis, SUPERIOR + 0.01))
    axes = tuple(vector(row) for row in (axis, beside, np.cross(axis, beside)))
    radius = site.between(0.5, 1.3)
    pit = Blob(vector(middle), (site.between(3, 7), radius, radius), None, axes)
    return mimic(site, "corticated-foramen", pits=(pit,), patches=((pit, site.between(150, 400), 0.8),))


def _cysts(site: Site, about: np.ndarray, spread: float) -> tuple[Blob, ...]:
    return tuple(
        Blob(vector(about + site.generator.normal(size=3) * spread * np.array([1.0, 0.6, 0.4])),
             vector(site.generator.uniform(0.6, 1.6, 3)), site.roughness(0.15))
        for _ in range(int(site.generator.integers(1, 4)))
    )  # fmt: skip


# What builds each, and at which levels it is met, with how often beside the others.
BONE_VARIANTS: dict[str, tuple[Callable[[Site], FractureField], dict[str, float]]] = {
    "subdental-synchondrosis": (subdental_synchondrosis, {"C2": 3.0}),
    "atlantodental-arthrosis": (atlantodental_arthrosis, {"C1": 1.5, "C2": 1.0}),
    "endplate-sclerosis": (endplate_sclerosis, dict.fromkeys(("C2", "C3", "C4", "C5", "C6", "C7"), 1.0)),
    "bone-islands": (bone_islands, dict.fromkeys(("C1", "C2", "C3", "C4", "C5", "C6", "C7"), 1.0)),
    "corticated-foramen": (corticated_foramen, dict.fromkeys(("C1", "C2", "C3", "C4", "C5", "C6", "C7"), 0.6)),
}


def random_bone_variant(level: str, frame: VertebraFrame, *, seed: int) -> FractureField:
    """A variant whose kind is drawn as often as it is listed for `level`; the same arguments give the same."""
    possible = {name: shares[level] for name, (_, shares) in BONE_VARIANTS.items() if level in shares}
    shares = np.array(list(possible.values()))
    kind = str(np.random.default_rng([seed & 0xFFFFFFFF, 2]).choice(list(possible), p=shares / shares.sum()))
    return BONE_VARIANTS[kind][0](Site(level, kind, frame, seed))
