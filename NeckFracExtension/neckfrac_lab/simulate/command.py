"""What `neckfrac simulate` does: one study with wanted fractures, in a folder."""

from __future__ import annotations

from dataclasses import asdict, replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from neckfrac.errors import InputError
from neckfrac.progress import Progress
from neckfrac.workspace import check_place

if TYPE_CHECKING:
    from .neck import Neck

LEAST_VOXELS = 10  # of a fracture within the scan; fewer is a fracture that nobody could see


def neck_of(anatomy: Path | None, seed: int | None) -> Neck:
    """The neck of a folder of meshes, or without one the built-in neck of a seed (None: the textbook's)."""
    if anatomy is not None:
        from .meshes.mesh_neck import load_mesh_neck

        return load_mesh_neck(anatomy)
    from .built_in.parametric import build_neck

    return build_neck(seed)


def simulate_to_folder(
    output: Path,
    *,
    seed: int,
    fractures: list[str],
    anatomy: Path | None = None,
    spacing: tuple[float, float, float] = (1.0, 0.6, 0.6),
    size: tuple[int, int, int] = (200, 256, 256),
    plain: bool = False,
    dicom: bool = False,
    progress: Progress | None = None,
) -> None:
    """Simulate a study about C4 and write ct.nrrd, labels.nrrd, fracture.nrrd, truth.json and perhaps dicom/.

    fractures: "LEVEL:KIND", also injuries of joints, ligaments and the tissue before the spine. anatomy: a folder of
    meshes, None for the built-in neck. plain: the textbook neck in a clean scanner. Raises InputError for an unknown
    fracture, one that lies outside the scan, or an output that can't be written; then nothing is left.
    """
    from .export import export_study
    from .fractures.fracture import make_fracture, parse_fracture
    from .injuries import injure, parse_injury
    from .pose import Variation
    from .scanner import Scanner
    from .study import Grid, simulate_study

    progress = progress or Progress()
    injuries = [injury for injury in map(parse_injury, fractures) if injury]
    wanted = [parse_fracture(text) for text in fractures if not parse_injury(text)]
    if min(size) < 2 or not all(0 < value < inf for value in spacing):
        raise InputError(
            "The size must be at least 2 voxels and the spacing positive along every axis.",
            where=f"size {size}, spacing {spacing}",
            advice="Change --size or --spacing.",
        )
    check_place(output)
    with progress.stage("Building the neck", until=0.4):
        neck = neck_of(anatomy, None if plain else seed)
    with progress.stage("Simulating the scan", until=0.9):
        fields = [make_fracture(level, kind, neck.frames[level], seed=seed) for level, kind in wanted]
        variation, drawn = Variation.plain() if plain else Variation(), []
        for level, kind in injuries:
            variation, injury = injure(neck, variation, level, kind, seed=seed)
            drawn.append(asdict(injury))
        study = simulate_study(
            neck,
            seed=seed,
            grid=Grid(size, spacing, ("C4", (0.0, 12.0, 0.0))),
            fractures=fields,
            variation=variation,
            scanner=Scanner.clean() if plain else Scanner.random(_generator(seed), cuts=False),
        )
        study = replace(study, truth=study.truth | {"injuries": drawn})
    from neckfrac.anatomy import LEVEL_BY_NAME

    for level, kind in wanted:
        if int((study.fracture == LEVEL_BY_NAME[level].label).sum()) < LEAST_VOXELS:
            raise InputError(
                f"The fracture {level}:{kind} does not lie within the scan.",
                advice="Make the scan larger (--size), or choose another level.",
            )
    with progress.stage("Writing", until=1.0):
        export_study(study, output, dicom=dicom)


def _generator(seed: int):
    import numpy as np

    return np.random.default_rng([11, seed])
