"""What `neckfrac simulate --graft` does: wanted fractures in a given CT, in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from neckfrac.anatomy import LEVEL_BY_NAME, LEVELS
from neckfrac.errors import InputError
from neckfrac.progress import Progress
from neckfrac.volume import CTVolume
from neckfrac.workspace import check_place

WHOLE = 0.9  # share of a vertebra that must lie within the scan for it to be broken
# Share of the volume that a level's neighbours, or else an adult's, let expect, below which a label is a scrap.
LEAST_OF_NECK, LEAST_OF_ADULT = 0.6, 0.35


def check_options(study: Path | None, labels: Path | None, others: dict[str, object]) -> None:
    """Raises InputError when study and labels are not both given, or with options (by name) that make no sense here."""
    if study is None or labels is None:
        raise InputError("--graft and --labels belong together.", advice="Give both, or neither.")
    for name, value in others.items():
        if value:
            # A DICOM series of the simulator says that there is no patient; of a given CT that may be untrue.
            raise InputError(f"{name} can't be used with --graft.", advice="Leave it out: the given CT stays NRRD.")


def graft_to_folder(
    output: Path,
    study: Path,
    labels: Path,
    *,
    seed: int,
    fractures: list[str],
    severity: float | None = None,
    progress: Progress | None = None,
) -> None:
    """Break labelled vertebrae of a CT and write ct.nrrd, labels.nrrd, fracture.nrrd and truth.json.

    study: anything the intake reads. labels: NIfTI, NRRD or MetaImage on any grid, 1...7 for C1...C7; other values
    are left out. fractures: "LEVEL:KIND". Raises InputError for an unknown fracture, a level that is not whole in the
    labels or in the scan, labels that lie elsewhere, or an output that can't be written; then nothing is left.
    """
    from neckfrac.intake.labels import read_labels
    from neckfrac.intake.study import read_study

    from .command import LEAST_VOXELS
    from .export import export_study
    from .fractures.fracture import parse_fracture
    from .graft import graft

    progress = progress or Progress()
    wanted = [parse_fracture(text) for text in fractures]
    if not wanted:
        raise InputError("No fracture is wanted.", advice="Give --fracture LEVEL:KIND, for instance C4:burst.")
    check_place(output, inputs=[study, labels])
    with progress.stage("Reading the study", until=0.3):
        given = read_study(study, progress=progress.part(0.0, 0.8))
        progress.keep(*given.warnings)
        names, warnings = read_labels(labels, given.volume)
        progress.keep(*warnings)
    shares = levels_within(names, given.volume)
    for level in dict(wanted):
        check_level(level, names, given.volume, shares)
    with progress.stage("Breaking", until=0.9):
        broken = graft(
            given.volume, names, wanted, seed=seed, severity=severity, shares=shares, progress=progress
        )  # fmt: skip
    for level, kind in wanted:
        if int((broken.fracture == LEVEL_BY_NAME[level].label).sum()) < LEAST_VOXELS:
            raise InputError(
                f"The fracture {level}:{kind} does not meet the labelled bone.",
                where=labels,
                advice="Check the labels of that level, or choose another seed or kind.",
            )
    with progress.stage("Writing", until=1.0):
        export_study(broken, output)


def _volumes(labels: np.ndarray, volume: CTVolume) -> dict[str, float]:
    """Volume of each labelled level as a share of an adult's."""
    from neckfrac.pipeline.locate import EXPECTED_ML

    counts = np.bincount(labels.ravel(), minlength=len(LEVELS) + 1)
    voxel = abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000
    return {
        level.name: float(counts[level.label]) * voxel / EXPECTED_ML[level.name]
        for level in LEVELS if counts[level.label]
    }  # fmt: skip


def levels_within(labels: np.ndarray, volume: CTVolume) -> dict[str, float]:
    """Share (0 to 1) of every level within the scan: of a cut one by its volume beside that of whole ones."""
    from neckfrac_lab.evaluation.segmentation import shares_of_labels

    volumes, found = _volumes(labels, volume), shares_of_labels(labels, volume)
    whole = [volumes[name] for name, share in found.items() if share == 1.0]
    usual = float(np.median(whole)) if whole else 1.0
    shares = {name: 1.0 if share == 1.0 else min(1.0, volumes[name] / usual) for name, share in found.items()}
    return {level.name: shares.get(level.name, 0.0) for level in LEVELS}


def check_level(level: str, labels: np.ndarray, volume: CTVolume, shares: dict[str, float]) -> None:
    """Raises InputError when a level is not in the labels, is cut by the scan's edge, or is a scrap of a vertebra."""
    from .frame_from_labels import level_box

    level_box(labels, level)
    if shares[level] < WHOLE:
        raise InputError(
            f"{level} is cut by the scan's edge: about {shares[level]:.0%} of it is there.",
            advice=f"Choose another level; whole in view are {_named(shares)}.",
        )
    volumes = _volumes(labels, volume)
    others = [value for name, value in volumes.items() if name != level and shares[name] == 1.0]
    usual, least = (float(np.median(others)), LEAST_OF_NECK) if others else (1.0, LEAST_OF_ADULT)
    if volumes[level] < least * usual:
        raise InputError(
            f"The label of {level} holds only about {volumes[level] / usual:.0%} of a vertebra.",
            advice="It must hold the whole vertebra, arch included.",
        )


def _named(shares: dict[str, float]) -> str:
    return ", ".join(name for name, share in shares.items() if share >= WHOLE) or "none"
