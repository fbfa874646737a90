"""Simulated training samples: coarse necks to locate in, fine slabs to segment and to find fractures in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from neckfrac.anatomy import LEVEL_NAMES, T1, THORACIC
from neckfrac.pipeline.grids import COARSE_SPACING, FINE_SPACING

from neckfrac_lab.simulate.neck import CHAIN, Neck
from neckfrac_lab.simulate.study import Scanner, SimulatedStudy, Variation

from .cache import Sample

if TYPE_CHECKING:
    from neckfrac_lab.simulate.variety.draw import Variety

LOCATE_PATCH = (88, 64, 64)  # [z, y, x] voxels of 2 mm
SLAB_SHAPE = (56, 192, 192)  # [z, y, x] voxels of 1 x 0.6 x 0.6 mm: two or three vertebrae
VERTEBRA_SHAPE = (52, 136, 136)  # [z, y, x] voxels of 1 x 0.6 x 0.6 mm: one vertebra and what touches it
# Shares of the coarse samples that hold no neck, and that are short slabs of one.
NO_NECK, SHORT = 0.12, 0.25
TRUNKS = 3  # how many other bodies stand for all that is no neck
# Steep tilts and turns are met more often in training than in a scanner, so that the rare patient is known too.
POSES = {"extreme_chance": 0.2, "extreme_rotation": (45.0, 40.0, 45.0)}


class Necks:
    """The people that samples are simulated from: built-in ones, and mesh anatomies where a folder is given.

    Half of the samples come from the meshes when there are any.
    """

    def __init__(self, *, anatomy: Path | None = None, built_in: int = 6, seed: int = 0) -> None:
        from neckfrac_lab.simulate.built_in.parametric import build_neck

        self.built_in = [build_neck(1000 * seed + n) for n in range(built_in)]
        self.seed, self.meshes, self.trunks = seed, [], []
        if anatomy is not None:
            from neckfrac_lab.simulate.meshes.mesh_neck import load_mesh_neck

            self.meshes = [load_mesh_neck(anatomy)]

    def pick(self, generator: np.random.Generator) -> Neck:
        """A neck at random."""
        mesh = self.meshes and (not self.built_in or generator.random() < 0.5)
        chosen = self.meshes if mesh else self.built_in
        return chosen[generator.integers(len(chosen))]

    def draw_variety(self, generator: np.random.Generator, variation: Variation) -> Variety:
        """A neck at random, by chance worn, fused, young, brittle or otherwise unlike the textbook."""
        from neckfrac_lab.simulate.variety.draw import draw_variety

        return draw_variety(self.pick(generator), generator, variation)

    def draw_no_neck(
        self, seed: int, shape: tuple[int, int, int], spacing: tuple[float, float, float]
    ) -> SimulatedStudy:
        """A scan without a cervical spine: another part of the body, or no body at all."""
        from neckfrac_lab.simulate.other_anatomy import build_trunk, draw_no_neck

        if not self.trunks:
            self.trunks = [build_trunk(1000 * self.seed + n) for n in range(TRUNKS)]
        return draw_no_neck([*self.built_in, *self.meshes], self.trunks, seed, shape, spacing)


def locate_sample(necks: Necks, seed: int) -> Sample:
    """A coarse neck, or a part of one, or none.

    hu int16 and labels uint8 (classes of `anatomy`), [z, y, x] of LOCATE_PATCH at 2 mm; centers float32
    [vertebrae, 4]: class, then z, y, x in voxels (also outside the patch) of each vertebra's body.
    """
    from neckfrac_lab.simulate.fractures.fracture import random_fracture
    from neckfrac_lab.simulate.study import Grid, simulate_study

    generator = np.random.default_rng([1, seed])
    if generator.random() < NO_NECK:
        study = necks.draw_no_neck(seed, LOCATE_PATCH, (COARSE_SPACING,) * 3)
        return {"hu": study.volume.voxels, "labels": study.labels, "centers": np.zeros((0, 4), np.float32)}
    variety = necks.draw_variety(generator, replace(Variation(), **POSES))
    # Anywhere from above C1 to T3, so that every field of view is met; some hold no neck at all.
    level = generator.choice(["skull", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2", "T3"])
    offset = generator.normal(0, 1, 3) * (14, 14, 14)
    fractures = []
    if generator.random() < 0.15:
        broken = str(generator.choice(LEVEL_NAMES))
        fractures = [random_fracture(broken, variety.neck.frames[broken], seed=seed)]
    grid = Grid(LOCATE_PATCH, (COARSE_SPACING,) * 3, (str(level), tuple(map(float, offset))))
    scanner = Scanner.random(generator)
    if generator.random() < SHORT:
        scanner = shortened(scanner, generator)
    study = simulate_study(
        variety.neck, seed=seed, grid=grid, fractures=fractures, mimics=variety.mimics, variation=variety.variation,
        scanner=scanner,
    )  # fmt: skip
    return {"hu": study.volume.voxels, "labels": study.labels, "centers": centers_of(study)}


def shortened(scanner: Scanner, generator: np.random.Generator) -> Scanner:
    """A scan of which only a slab of 36 to 110 mm somewhere about the patch's middle has data."""
    length = LOCATE_PATCH[0] * COARSE_SPACING
    height = generator.uniform(36, 110)
    below = np.clip((length - height) / 2 + generator.normal(0, 20), 2, length - height - 2)
    return replace(scanner, cut_below=float(below / length), cut_above=float(1 - (below + height) / length))


def centers_of(study: SimulatedStudy) -> np.ndarray:
    """[vertebrae, 4] float32: class, then z, y, x in voxels of each vertebra's body, C1 first."""
    rows = []
    for name in CHAIN[1:]:
        if name in study.centers:
            label = LEVEL_NAMES.index(name) + 1 if name in LEVEL_NAMES else T1 if name == "T1" else THORACIC
            rows.append([label, *study.volume.to_indices(np.array(study.centers[name]))])
    return np.array(rows, np.float32).reshape(-1, 4)


def slab_sample(necks: Necks, seed: int, *, fractured: float = 0.4, mimicked: float = 0.4) -> Sample:
    """hu int16, labels uint8 (classes of `anatomy`) and fracture uint8 (level label), of SLAB_SHAPE.

    fractured, mimicked: the chances that a slab holds a fracture, and that it holds a harmless look-alike.
    """
    from neckfrac_lab.simulate.fractures.fracture import random_fracture, random_mimic
    from neckfrac_lab.simulate.study import Grid, simulate_study

    generator = np.random.default_rng([2, seed])
    variety = necks.draw_variety(generator, replace(Variation(), **POSES))
    neck = variety.neck
    level = str(generator.choice(["skull", *LEVEL_NAMES, "T1"], p=[0.06, *[0.124] * 7, 0.072]))
    near: tuple[str, ...] = ()
    if level in LEVEL_NAMES:
        near = LEVEL_NAMES[max(LEVEL_NAMES.index(level) - 1, 0) : LEVEL_NAMES.index(level) + 2]
    fractures, mimics = [], list(variety.mimics)
    if near and generator.random() < fractured:
        broken = {level} | ({str(generator.choice(near))} if generator.random() < 0.3 else set())
        fractures = [random_fracture(name, neck.frames[name], seed=seed) for name in sorted(broken)]
    if near and generator.random() < mimicked:
        name = str(generator.choice(near))
        mimics.append(random_mimic(name, neck.frames[name], seed=seed))
    offset = generator.normal(0, 1, 3) * (3, 4, 6) + (0, 12, 0)  # the arch lies behind the body's centre
    grid = Grid(SLAB_SHAPE, FINE_SPACING, (level, tuple(map(float, offset))))
    study = simulate_study(
        neck, seed=seed, grid=grid, fractures=fractures, mimics=mimics, variation=variety.variation
    )
    return {"hu": study.volume.voxels, "labels": study.labels, "fracture": study.fracture}


def vertebra_sample(necks: Necks, seed: int) -> Sample:
    """One vertebra, every level and kind of fracture equally often; odd seeds are broken, even ones whole.

    hu int16, labels uint8 (classes of `anatomy`) and fracture uint8 (level label), of VERTEBRA_SHAPE; level: its
    label; kind: of its fracture, or ""; severity: 0 (a hairline) to 1. Seeds 2n and 2n + 1 are the same person,
    pose and scan, so that nothing but the fracture tells the two apart; both have the same harmless look-alikes.
    """
    from neckfrac_lab.simulate.fractures.fracture import KINDS, make_fracture, random_fracture, random_mimic
    from neckfrac_lab.simulate.study import Grid, simulate_study

    person, broken = divmod(seed, 2)
    generator = np.random.default_rng([4, person])
    variety = necks.draw_variety(generator, replace(Variation(), **POSES))
    neck = variety.neck
    level = str(generator.choice(LEVEL_NAMES))
    kind = str(generator.choice([name for name, known in KINDS.items() if level in known.frequency]))
    own = make_fracture(level, kind, neck.frames[level], seed=person)
    # A neighbour's fracture is no fracture of this one.
    near = [name for name in neighbours(level) if generator.random() < 0.15]
    others = [random_fracture(name, neck.frames[name], seed=person) for name in near]
    mimics = list(variety.mimics)
    if generator.random() < 0.4:
        mimics.append(random_mimic(level, neck.frames[level], seed=person))
    grid = Grid(VERTEBRA_SHAPE, FINE_SPACING, (level, middle_of(neck, level)))
    study = simulate_study(
        neck, seed=person, grid=grid, fractures=[own, *others] if broken else others, mimics=mimics,
        variation=variety.variation,
    )  # fmt: skip
    return {
        "hu": study.volume.voxels,
        "labels": study.labels,
        "fracture": study.fracture,
        "level": np.int64(LEVEL_NAMES.index(level) + 1),
        "kind": np.array(kind if broken else ""),
        "severity": np.float32(own.parameters["severity"] if broken else 0.0),
    }


def neighbours(level: str) -> list[str]:
    """The levels above and below."""
    index = LEVEL_NAMES.index(level)
    return [LEVEL_NAMES[n] for n in (index - 1, index + 1) if 0 <= n < len(LEVEL_NAMES)]


def middle_of(neck: Neck, level: str) -> tuple[float, float, float]:
    """From a vertebra's body to the middle of its whole extent, x, y, z in mm at rest."""
    from neckfrac_lab.simulate.render import inner_points

    points = inner_points(neck.bones[level], 2)
    middle = (points.min(0) + points.max(0)) / 2 - np.asarray(neck.frames[level].center)
    return tuple(float(value) for value in middle)
