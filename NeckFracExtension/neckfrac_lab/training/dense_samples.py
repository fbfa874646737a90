"""What the dense detector learns from: whole necks in which every level is fractured, each in one of two scans.

A detector that judges every voxel needs no prevalence. Of each simulated person there are two volumes of the same pose,
scanner and noise: half of the levels are fractured in the first, the others in the second, so that each fractured level
has its intact counterpart at the same place (a matched pair), and each simulation teaches seven of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.pipeline.grids import FINE_SPACING

from neckfrac_lab.simulate.study import Grid, Scanner, Variation, simulate_study

from .cache import Sample

if TYPE_CHECKING:
    from neckfrac_lab.simulate.fractures.shapes import FractureField
    from neckfrac_lab.simulate.neck import Neck

    from .samples import Necks

NECK_SHAPE = (140, 160, 124)  # [z, y, x] fine voxels: 140 x 96 x 74 mm
BEHIND = (0.0, 12.0, 0.0)  # mm (x, y, z) from the bodies to the middle of the vertebrae with their arches
POSES = {"extreme_chance": 0.06, "extreme_rotation": (25.0, 20.0, 25.0)}
MARGIN = (6, 12, 12)  # fine voxels kept around the vertebrae
# How much more often than others the kinds are drawn that lie flat or lose height, which detectors miss most.
MORE_OFTEN = {"odontoid-2": 2.0, "odontoid-3": 1.5, "compression": 2.5, "body": 1.5, "transverse": 1.5, "spinous": 1.3}
SECOND_FRACTURE = 0.3  # share of the fractured levels that have two
MIMICS = 0.45  # chance of a look-alike, and again of one more, of a level
CUT = 0.2  # share of the scans that may be cut


def dense_sample(necks: Necks, seed: int) -> Sample:
    """Both volumes of one person, cropped about the vertebrae.

    hu int16 [2, z, y, x]; truth uint8 [2, z, y, x]: label of the level whose fracture surface lies there; labels uint8
    [2, z, y, x]: classes of `anatomy`; fractured bool [2, 7]: levels C1 to C7; kinds str [7]: of each level's
    fractures, joined by "+"; severity float32 [7]: of the first one, 0 (a hairline) to 1; thickness float32: mm.
    """
    from neckfrac_lab.simulate.fractures.bone_variants import random_bone_variant
    from neckfrac_lab.simulate.fractures.fracture import random_mimic

    generator = np.random.default_rng([7, seed])
    variety = necks.draw_variety(generator, replace(Variation(), **POSES))
    neck = variety.neck
    mimics = list(variety.mimics)
    fractures: dict[str, list[FractureField]] = {}
    for number, level in enumerate(LEVEL_NAMES):
        fractures[level] = _draw_fractures(neck, level, seed, generator)
        for draw in (random_mimic, random_bone_variant):
            if generator.random() < MIMICS:
                mimics.append(draw(level, neck.frames[level], seed=1000 * seed + number))
    first = generator.permutation(len(LEVEL_NAMES)) < len(LEVEL_NAMES) // 2
    if generator.random() < 0.5:
        first = ~first
    scanner = Scanner.random(generator, cuts=bool(generator.random() < CUT))
    scanner = replace(scanner, cut_above=min(scanner.cut_above, 0.3), cut_below=min(scanner.cut_below, 0.3))
    grid = Grid(NECK_SHAPE, FINE_SPACING, (None, BEHIND))
    studies = []
    for chosen in (first, ~first):
        fields = [field for level, here in zip(LEVEL_NAMES, chosen, strict=True) if here for field in fractures[level]]
        studies.append(
            simulate_study(
                neck, seed=seed, grid=grid, fractures=fields, mimics=mimics, variation=variety.variation,
                scanner=scanner,
            )  # fmt: skip
        )
    box = _around(np.logical_or(*((s.labels > 0) & (s.labels <= len(LEVEL_NAMES)) for s in studies)))
    kinds = ["+".join(field.kind for field in fractures[level]) for level in LEVEL_NAMES]
    return {
        "hu": np.stack([s.volume.voxels[box] for s in studies]),
        "truth": np.stack([np.where(s.surface, s.fracture, 0)[box] for s in studies]).astype(np.uint8),
        "labels": np.stack([s.labels[box] for s in studies]),
        "fractured": np.stack([first, ~first]),
        "kinds": np.array(kinds),
        "severity": np.array([fractures[n][0].parameters["severity"] for n in LEVEL_NAMES], np.float32),
        "thickness": np.float32(scanner.slice_thickness),
    }


def _draw_fractures(neck: Neck, level: str, seed: int, generator: np.random.Generator) -> list[FractureField]:
    """One or two fractures of a level, of different kinds."""
    from neckfrac_lab.simulate.fractures.fracture import KINDS, make_fracture

    possible = [name for name, kind in KINDS.items() if level in kind.frequency]
    shares = np.array([MORE_OFTEN.get(name, 1.0) for name in possible])
    count = 1 + int(generator.random() < SECOND_FRACTURE)
    # What crushes the body and a second break of the same body would lie on each other.
    kinds = generator.choice(possible, count, replace=False, p=shares / shares.sum())
    return [make_fracture(level, str(kind), neck.frames[level], seed=seed) for kind in kinds]


def _around(mask: np.ndarray) -> tuple[slice, ...]:
    from scipy import ndimage

    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return (slice(None),) * 3
    return tuple(
        slice(max(s.start - m, 0), min(s.stop + m, n)) for s, m, n in zip(found[0], MARGIN, mask.shape, strict=True)
    )
