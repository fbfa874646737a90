"""Simulated training samples: coarse necks to locate in, fine slabs to segment and to find fractures in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..anatomy import LEVEL_NAMES, N_LEVELS
from ..pipeline.grids import COARSE_SPACING, FINE_SPACING
from .cache import Sample

LOCATE_PATCH = (88, 64, 64)  # [z, y, x] voxels of 2 mm
SLAB_SHAPE = (56, 192, 192)  # [z, y, x] voxels of 1 x 0.6 x 0.6 mm: two or three vertebrae


class Necks:
    """The people that samples are simulated from: built-in ones, and mesh anatomies where a folder is given.

    Half of the samples come from the meshes when there are any.
    """

    def __init__(self, *, anatomy: Path | None = None, built_in: int = 6, seed: int = 0) -> None:
        from ..simulate.parametric import build_neck

        self.built_in = [build_neck(1000 * seed + n) for n in range(built_in)]
        self.meshes = []
        if anatomy is not None:
            from ..simulate.meshes import load_mesh_neck

            self.meshes = [load_mesh_neck(anatomy)]

    def pick(self, generator: np.random.Generator):
        """A neck at random."""
        mesh = self.meshes and (not self.built_in or generator.random() < 0.5)
        return generator.choice(np.array(self.meshes if mesh else self.built_in, dtype=object))


def locate_sample(necks: Necks, seed: int) -> Sample:
    """hu int16 and labels uint8 (classes of `anatomy`), [z, y, x] of LOCATE_PATCH at 2 mm."""
    from ..simulate.fracture import random_fracture
    from ..simulate.study import Grid, simulate_study

    generator = np.random.default_rng([1, seed])
    neck = necks.pick(generator)
    # Anywhere from above C1 to T3, so that every field of view is met; some hold no neck at all.
    level = generator.choice(["skull", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2", "T3"])
    offset = generator.normal(0, 1, 3) * (14, 14, 14)
    fractures = []
    if generator.random() < 0.15:
        broken = str(generator.choice(LEVEL_NAMES))
        fractures = [random_fracture(broken, neck.frames[broken], seed=seed)]
    grid = Grid(LOCATE_PATCH, (COARSE_SPACING,) * 3, (str(level), tuple(map(float, offset))))
    study = simulate_study(neck, seed=seed, grid=grid, fractures=fractures)
    return {"hu": study.volume.voxels, "labels": study.labels}


def slab_sample(necks: Necks, seed: int, *, fractured: float = 0.65, mimicked: float = 0.5) -> Sample:
    """hu int16, labels uint8 (0, C1...C7, 8 for other bone) and fracture uint8 (level label), of SLAB_SHAPE.

    fractured, mimicked: the chances that a slab holds a fracture, and that it holds a harmless look-alike.
    """
    from ..simulate.fracture import random_fracture, random_mimic
    from ..simulate.study import Grid, simulate_study

    generator = np.random.default_rng([2, seed])
    neck = necks.pick(generator)
    level = str(generator.choice(LEVEL_NAMES))
    near = LEVEL_NAMES[max(LEVEL_NAMES.index(level) - 1, 0) : LEVEL_NAMES.index(level) + 2]
    fractures, mimics = [], []
    if generator.random() < fractured:
        broken = {level} | ({str(generator.choice(near))} if generator.random() < 0.3 else set())
        fractures = [random_fracture(name, neck.frames[name], seed=seed) for name in sorted(broken)]
    if generator.random() < mimicked:
        name = str(generator.choice(near))
        mimics = [random_mimic(name, neck.frames[name], seed=seed)]
    offset = generator.normal(0, 1, 3) * (3, 4, 6) + (0, 12, 0)  # the arch lies behind the body's centre
    grid = Grid(SLAB_SHAPE, FINE_SPACING, (level, tuple(map(float, offset))))
    study = simulate_study(neck, seed=seed, grid=grid, fractures=fractures, mimics=mimics)
    labels = np.minimum(study.labels, N_LEVELS + 1).astype(np.uint8)
    return {"hu": study.volume.voxels, "labels": labels, "fracture": study.fracture}
