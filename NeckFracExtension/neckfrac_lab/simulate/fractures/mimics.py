"""What looks like a fracture and is none: vessels, old injuries, variants, degeneration. Their truth is empty.

Found in the literature on pitfalls of cervical CT: vascular channels and clefts have smooth, corticated
borders, run where they are known to run, and nothing is displaced. Sizes in mm.
"""

from __future__ import annotations

import numpy as np

from .shapes import Blob, Break, Face, FractureField, Roughness, Tube
from .site import LEFT, POSTERIOR, SUPERIOR, Site, unit, vector


def mimic(site: Site, kind: str, parameters: dict | None = None, **parts) -> FractureField:
    return FractureField(site.level, kind, parameters=parameters or {}, traumatic=False, **parts)


def vascular_channel(site: Site) -> FractureField:
    """The basivertebral vein: from the middle of the posterior wall forwards, forked like a Y."""
    height = site.between(-0.2, 0.25) * site.height
    hilum = np.array([site.between(-1, 1), site.depth + 1.5, height])
    fork = np.array([0.0, site.between(0.0, 0.35) * site.depth, height])
    radius = site.between(0.6, 1.3)
    pits = [Tube(vector(hilum), vector(fork), (1.4 * radius, radius))]
    for side in (1, -1):
        end = np.array([side * site.between(0.3, 0.7) * site.width, -site.between(0.3, 0.75) * site.depth, height])
        pits.append(Tube(vector(fork), vector(end + site.between(-2, 2) * SUPERIOR), (0.8 * radius, 0.35)))
    patches = tuple((pit, site.between(60, 180), 1.0) for pit in pits[:1])
    return mimic(site, "vascular-channel", {"radius": radius}, pits=tuple(pits), patches=patches)


def nutrient_canal(site: Site) -> FractureField:
    """One to three fine straight canals from the surface into the body or the root of the arch."""
    pits = []
    for _ in range(int(site.generator.integers(1, 4))):
        side, radius = site.side(), site.between(0.3, 0.6)
        if site.level == "C1" or site.chance(0.4):
            inner = site.lateral_mass(side)
            outer = inner + site.turned()[0] * np.array([11.0, 11.0, 6.0])
        else:
            outer = np.array([side * site.between(0.2, 0.9) * site.width, -site.depth - 2, site.between(-0.5, 0.5)
                              * site.height])
            inner = outer * 0.3 + site.between(-1, 1) * SUPERIOR
        pits.append(Tube(vector(outer), vector(inner), (radius, 0.6 * radius)))
    patches = tuple((pit, site.between(80, 250), 0.9) for pit in pits)
    return mimic(site, "nutrient-canal", {"canals": len(pits)}, pits=tuple(pits), patches=patches)


def osteophyte(site: Site) -> FractureField:
    """Spurs from the rims of the endplates, in front or beside; now and then one that stands nearly free."""
    added = []
    for _ in range(int(site.generator.integers(1, 4))):
        end = 1 if site.chance(0.4) else -1
        angle = np.radians(site.between(-75, 75))
        outward = np.array([np.sin(angle), -np.cos(angle), 0.0])
        rim = outward * np.array([site.width, site.depth, 0.0]) + end * 0.85 * site.height * SUPERIOR
        long = unit(outward + end * site.between(-0.1, 0.6) * SUPERIOR)
        beside = unit(np.cross(long, SUPERIOR))
        axes = tuple(vector(row) for row in (long, beside, np.cross(long, beside)))
        radii = (site.between(2.0, 4.5), site.between(2.0, 4.5), site.between(0.9, 1.8))
        added.append(Blob(vector(rim + site.between(-1.2, 0.4) * outward), radii, site.roughness(0.35), axes))
    return mimic(site, "osteophyte", {"spurs": len(added)}, added=tuple(added))


def ossicle(site: Site) -> FractureField:
    """A part that never fused: the tip of dens, spinous or transverse process, a corner, the arch of C1.

    Its cleft is smooth, about even in width, and both sides have a cortex.
    """
    rough, gap, tilt = 0.15, site.between(0.9, 2.2), 6.0
    within: tuple[Face, ...] = ()
    if site.level == "C1":
        front = site.chance(0.25)
        place = "anterior arch" if front else "posterior arch"
        outward = -POSTERIOR if front else POSTERIOR
        face = site.face(site.canal + 14 * outward + site.between(-1, 1) * LEFT, LEFT, tilt, rough)
        within = (site.limit(site.canal + 3 * outward, -outward),)
    elif site.level == "C2":
        place = "os terminale"
        tip = site.dens_tip if site.dens_tip is not None else np.array([0.0, 0.0, site.height + 14.0])
        face = site.face(tip - site.between(3.0, 5.0) * unit(tip), -unit(tip), tilt, rough, bow=0.04)
    else:
        place = ("spinous", "transverse", "limbus")[int(site.generator.choice(3, p=(0.4, 0.25, 0.35)))]
        side = site.side()
        if place == "spinous":
            axis = unit(site.spinous_tip - site.arch)
            face = site.face(site.spinous_tip - site.between(3.5, 6.0) * axis, -axis, tilt, rough, bow=-0.02)
        elif place == "transverse":
            tip = site.transverse_tip(side)
            face = site.face(tip - side * site.between(3.0, 4.5) * LEFT, -side * LEFT, tilt, rough)
        else:
            corner = np.array([0.0, -site.depth, -site.height if site.chance(0.3) else site.height])
            normal = unit(np.array([0.0, 1.0, -np.sign(corner[2])]))
            face = site.face(corner + site.between(2.0, 3.2) * normal, normal, tilt, rough, bow=-0.02)
    item = Break((face,), gap, within=within, border=site.between(250, 600), border_depth=site.between(0.8, 1.4))
    return mimic(site, "ossicle", {"place": place, "gap": gap}, breaks=(item,))


def healed(site: Site) -> FractureField:
    """An old fracture: a step without a gap, bridged and sclerotic."""
    if site.level == "C1":
        angle, side = site.angle(site.lamina(1)), site.side()
        outward, tangent = site.radial(angle, side)
        place, pivot = "posterior arch", site.canal + 14 * outward
        other = site.radial(site.angle(site.lamina(-side)) + 15, -side)
        faces = (site.face(pivot, -tangent, 8, 0.5), site.face(site.canal + 14 * other[0], -other[1], 8, 0.5))
        direction = POSTERIOR
    elif site.level == "C2" and site.dens_tip is not None:
        place, axis = "dens", unit(site.dens_tip)
        pivot = site.dens_tip - 0.42 * (site.dens_tip[2] + site.height) * axis
        faces = (site.face(pivot, -axis, 8, 0.5), site.limit(pivot + 7 * POSTERIOR, POSTERIOR))
        direction = site.side() * POSTERIOR
    elif site.chance(0.5):
        place, axis = "spinous", unit(site.spinous_tip - site.arch)
        pivot = site.arch + site.between(0.4, 0.7) * (site.spinous_tip - site.arch)
        faces, direction = (site.face(pivot, -axis, 10, 0.5),), -SUPERIOR
    else:
        place = "body corner"
        pivot = np.array([0.0, -site.depth, -site.height])
        normal = unit(np.array([0.0, site.height, 0.7 * site.depth]))
        faces, direction = (site.face(pivot + 4 * normal, normal, 8, 0.5),), -POSTERIOR
    step = unit(direction) * site.between(0.8, 2.2)
    item = Break(faces, 0.3, shift=vector(step), pivot=vector(pivot), open=False, border=site.between(180, 450),
                 border_depth=site.between(1.2, 2.5))
    return mimic(site, "healed", {"place": place, "step": float(np.linalg.norm(step))}, breaks=(item,))


def schmorl_node(site: Site) -> FractureField:
    """A smooth pit of an endplate with a sclerotic rim."""
    end = 1 if site.chance(0.5) else -1
    radius = site.between(1.8, 3.6)
    center = np.array([site.between(-0.4, 0.4) * site.width, site.between(-0.3, 0.5) * site.depth, end * site.height])
    pit = Blob(vector(center), (1.2 * radius, 1.2 * radius, radius), Roughness.draw(site.generator, 0.2))
    patch = (pit, site.between(200, 500), site.between(0.8, 1.6))
    return mimic(site, "schmorl-node", {"radius": radius}, pits=(pit,), patches=(patch,))


def facet_sclerosis(site: Site) -> FractureField:
    """A worn facet joint: a dense, rough, overgrown pillar."""
    side = site.side()
    mass = site.lateral_mass(side)
    up = 1 if site.chance(0.5) else -1
    joint = mass + up * 5.0 * SUPERIOR - up * 2.0 * POSTERIOR
    patch = (Blob(vector(joint), (4.5, 4.5, 2.0)), site.between(200, 600), site.between(1.5, 3.0))
    spurs = tuple(
        Blob(vector(joint + site.between(2, 3.5) * np.array([side, 0.0, 0.0]) + site.between(-4, 4) * POSTERIOR),
             vector(site.generator.uniform(1.0, 2.4, 3)), site.roughness(0.4), site.turned())
        for _ in range(int(site.generator.integers(1, 4)))
    )
    return mimic(site, "facet-sclerosis", {"side": "left" if side > 0 else "right"}, added=spurs, patches=(patch,))
