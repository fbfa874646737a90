"""Ligaments that have turned to chalk or bone: behind the bodies, around the dens, behind the spines."""

from __future__ import annotations

import numpy as np
from neckfrac.anatomy import BACKGROUND, OTHER_BONE

from ..meshes.landmarks import sample_distance
from ..shapes import Shape, ellipsoid, smooth_maximum, smooth_minimum, sweep
from .remodel import Remodelling, on_grid, uneven

# Chalk around the dens is finer than bone.
FINE, COARSE = 0.6, 0.75


def posterior_ligament(change: Remodelling) -> None:
    """Ossification of the posterior longitudinal ligament: continuous, in segments, or behind one disc.

    A bone of its own at each level (class OTHER_BONE), carried by that level; the canal keeps at least half
    of its depth.
    """
    form = change.pick(("continuous", "segmental", "mixed", "local"), (0.3, 0.35, 0.25, 0.1))
    levels = change.run(1, 2, "C3", "C6") if form == "local" else change.run(2, 5, "C2", "T1")
    thick, wide, aside = change.between(1.8, 6.0), change.between(3.0, 7.5), change.between(-2.5, 2.5)
    for level in levels:
        _, depth, height = change.frame(level).half_size
        room = 2 * (change.landmark(level, "canal")[1] - depth)
        half = min(thick * change.between(0.7, 1.3), 0.45 * room) / 2
        continuous = form == "continuous" or (form == "mixed" and change.chance(0.5))
        # Continuous plates reach across the discs and meet; the others end behind their body.
        tall = height + (3.5 if continuous else change.between(-1.5, 1.0))
        y = depth + half + change.between(-0.3, 0.9)
        path = [(aside, y, -tall, wide * 0.8, half * 0.7), (aside, y + 0.3, 0, wide, half),
                (aside, y, tall, wide * 0.85, half * 0.8)]
        shape = uneven(sweep(path, across=(1, 0, 0), count=6), change.generator, 0.3)
        density = change.between(0.75, 1.1)
        change.add(on_grid(change.at(level, shape), COARSE, f"ossified ligament {level}", OTHER_BONE, level, density))
    change.note("ossified posterior longitudinal ligament", form=form, levels=levels)


def nuchal_ligament(change: Remodelling) -> None:
    """One to three bony grains in the nuchal ligament behind the spinous processes (class OTHER_BONE)."""
    levels = change.run(1, 3, "C4", "C7")
    for level in levels:
        tip = change.landmark(level, "spinous_tip")
        center = tip + (change.between(-1.5, 1.5), change.between(5.0, 12.0), change.between(-4, 6))
        radii = (change.between(1.3, 3.0), change.between(1.5, 3.5), change.between(2.5, 9.0))
        shape = uneven(ellipsoid(center, radii), change.generator, 0.35)
        change.add(on_grid(change.at(level, shape), COARSE, f"nuchal grain {level}", OTHER_BONE, level))
    change.note("ossified nuchal ligament", levels=levels)


def crown(change: Remodelling) -> None:
    """Chalk in the ligaments around the dens: behind it (transverse), above it (apical), or all round.

    Carried by C2, HU 150 to 900, and labelled BACKGROUND: dense, and no part of any vertebra.
    """
    axis = change.frame("C2")
    if axis.dens_tip is None:
        return
    tip, bone = change.landmark("C2", "dens_tip"), change.bone("C2")
    rows, middle = np.array(axis.axes), np.array(axis.center)
    shares = {"transverse": 0.65, "apical": 0.55, "all round": 0.25}
    forms = [form for form, share in shares.items() if change.chance(share)] or ["apical"]
    g = change.generator
    waves = (g.normal(size=(8, 3)) * 2 * np.pi / g.uniform(3, 9, (8, 1)) / np.sqrt(3)).astype(np.float32)
    phases, patchy = g.uniform(0, 2 * np.pi, 8).astype(np.float32), change.between(-0.9, 0.5)
    # Distances (mm) from the dens at which the sheet lies: often it touches, so that no slit tells them apart.
    away, thick = change.between(0.3, 1.9), change.between(0.8, 2.0)
    low = tip[2] - change.between(6, 13)
    layers: list[Shape] = []
    if "transverse" in forms or "all round" in forms:
        around = 1.0 if "all round" in forms else 0.15

        def sheet(points: np.ndarray) -> np.ndarray:
            left, posterior, superior = points.T - tip[:, None].astype(np.float32)
            dens = sample_distance(bone, points @ rows + middle).astype(np.float32)
            hull = np.abs(dens - away) - thick
            radius = np.maximum(np.hypot(left, posterior), 1e-3)
            # Behind the dens unless it goes all round; not further aside than the atlas's lateral masses.
            back = (-posterior / radius - (0.9 if around == 1.0 else -around)) * radius
            hull = smooth_maximum(hull, back, 1.0)
            hull = smooth_maximum(hull, np.maximum(np.float32(low - tip[2]) - superior, superior - 2.5), 1.0)
            return smooth_maximum(hull, np.hypot(left, posterior) - np.float32(10.0), 1.0)

        bounds = np.array([[tip[0] - 11, tip[1] - 11, low - 1], [tip[0] + 11, tip[1] + 11, tip[2] + 4]])
        layers.append(Shape(sheet, *bounds))
    if "apical" in forms:
        rise, lean = change.between(2.0, 8.0), change.between(-3.0, 3.0)
        path = [(tip[0], tip[1] + 0.5, tip[2] + away - 0.6, change.between(1.2, 4.0), change.between(1.0, 2.6)),
                (tip[0] + lean, tip[1] + change.between(-3, 2), tip[2] + rise, change.between(0.8, 2.5), 1.0)]
        layers.append(sweep(path, across=(1, 0, 0)))

    def distance(points: np.ndarray) -> np.ndarray:
        value = layers[0].distance(points)
        for layer in layers[1:]:
            value = smooth_minimum(value, layer.distance(points), 0.8)
        # Chalk comes in clumps.
        clumps = np.sin(points @ waves.T + phases).sum(axis=1) / 2
        return value + np.float32(0.55) * (clumps + np.float32(patchy))

    shape = Shape(distance, np.min([la.lower for la in layers], axis=0), np.max([la.upper for la in layers], axis=0))
    chalk = change.at("C2", shape)
    density = change.between(0.3, 1.0)
    change.add(on_grid(chalk, FINE, "calcified ligament of the dens", BACKGROUND, "C2", density))
    change.note("calcified ligament of the dens", forms=forms, density=round(density, 3))
