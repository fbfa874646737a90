"""How well C1 to C7 are segmented and named, on simulated studies held out from training or on a labelled one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from neckfrac import DISCLAIMER
from neckfrac.anatomy import LEVELS, T1
from neckfrac.comparison.scoring import score, span, summarise
from neckfrac.errors import InputError
from neckfrac.progress import Progress

if TYPE_CHECKING:
    from neckfrac.pipeline.engine import Networks
    from neckfrac.pipeline.locate import Located
    from neckfrac.volume import CTVolume

    from neckfrac_lab.simulate.study import SimulatedStudy
    from neckfrac_lab.training.samples import Necks

STUDY_SHAPE, STUDY_SPACING = (180, 224, 224), (1.0, 0.8, 0.8)
# Far from every seed of training: these of the studies, and those (times 1000) of the built-in necks.
FIRST_SEED, FIRST_NECKS = 5_000_000, 5_000
PEOPLE = 6  # built-in necks, each posed, scanned and worn in many ways
# mm from the first or last slice within which a level counts as cut: a tip that thin is not outlined to its end.
BORDER = 3.0


def segment_volume(volume: CTVolume, networks: Networks, progress: Progress) -> tuple[np.ndarray, Located]:
    """Labels (uint8 [z, y, x], on the volume's own voxels) and what was located; no fracture is looked for."""
    from neckfrac.pipeline.grids import coarse
    from neckfrac.pipeline.locate import locate
    from neckfrac.pipeline.segment import onto_volume, segment

    labels = np.zeros(volume.shape, np.uint8)
    canonical, reorientation = volume.canonical()
    located = locate(*coarse(canonical), progress=progress.part(0.0, 0.2), **networks.arguments("locate"))
    if located.found:
        segmented = segment(canonical, located, progress=progress.part(0.2, 1.0), **networks.arguments("segment"))
        onto_volume(segmented, canonical, reorientation.apply(labels))
    return labels, located


def shares_of_labels(labels: np.ndarray, volume: CTVolume) -> dict[str, float]:
    """1 for levels that lie inside the scan, 0.5 for those that come to its border or touch voxels without data.

    How much of a cut vertebra is missing can't be known from its labels.
    """
    from neckfrac.pipeline.coverage import NO_DATA
    from scipy import ndimage

    volume, reorientation = volume.canonical()
    labels, shares = reorientation.apply(labels), {}
    for level, box in zip(LEVELS, ndimage.find_objects(labels, max_label=len(LEVELS)), strict=True):
        if box is None:
            continue
        wide = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in box)
        mask = labels[wide] == level.label
        gaps = [min(part.start, n - part.stop) for part, n in zip(box, labels.shape, strict=True)]
        at_border = bool((np.array(gaps) * volume.spacing < (BORDER, 0.5, 0.5)).any())
        # Air may touch a vertebra (a gas bubble, the throat's): a cut touches it over an area.
        no_data = ndimage.binary_dilation(mask) & (volume.voxels[wide] <= NO_DATA)
        shares[level.name] = 0.5 if at_border or no_data.sum() > 20 else 1.0
    return shares


def held_out_study(seed: int, necks: Necks) -> SimulatedStudy:
    """A whole neck in any pose and scanner, by chance broken, worn or with hardware, as in training."""
    from neckfrac_lab.simulate.fractures.fracture import draw_fractured_levels, random_fracture
    from neckfrac_lab.simulate.study import Grid, Variation, simulate_study

    generator = np.random.default_rng([11, seed])
    variety = necks.draw_variety(generator, Variation())
    levels = draw_fractured_levels(generator) if generator.random() < 0.3 else []
    fractures = [random_fracture(level, variety.neck.frames[level], seed=seed) for level in levels]
    grid = Grid(STUDY_SHAPE, STUDY_SPACING, ("C4", (0.0, 12.0, 0.0)))
    return simulate_study(
        variety.neck, seed=seed, grid=grid, fractures=fractures, mimics=variety.mimics, variation=variety.variation
    )


def strata_of(study: SimulatedStudy) -> dict[str, str]:
    """Into which group a simulated study falls, by its truth."""
    scanner, tilt = study.truth["scanner"], max(map(abs, study.truth["pose"]["rotation_degrees"]))

    cut = [side for side in ("above", "below") if scanner[f"cut_{side}"]]
    return {
        "slice thickness": span(scanner["slice_thickness"], (1.5, 3.0), "mm"),
        "noise": span(scanner["noise"], (20.0, 40.0), "HU"),
        "tilt or turn": span(tilt, (15.0, 30.0), "degrees"),
        "field of view": f"cut from {' and '.join(cut)}" if cut else "whole",
        "fractures": "broken" if study.truth["fractures"] else "intact",
    }


def evaluate_simulated(
    count: int, networks: Networks, *, seed: int = 0, anatomy: Path | None = None, necks: Necks | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The figures on `count` simulated studies that no training saw; the same seed gives the same studies.

    anatomy: a folder of meshes from which half of the studies come; training may have seen these meshes.
    """
    from neckfrac_lab.training.samples import Necks

    progress = progress or Progress()
    if count < 1:
        raise InputError("There must be at least one study.", advice="Give --studies 1 or more.")
    necks = necks or Necks(anatomy=anatomy, built_in=min(count, PEOPLE), seed=FIRST_NECKS + seed)
    scores = []
    for n in range(count):
        part = progress.part(n / count, (n + 1) / count)
        study = held_out_study(FIRST_SEED + 10_000 * seed + n, necks)
        part.step(0.4)
        answer, located = segment_volume(study.volume, networks, part.part(0.4, 0.9))
        certain = located.naming.certain
        truth = np.where(study.labels <= T1, study.labels, 0)
        scores.append(
            score(answer, truth, study.volume.spacing, study.shares, certain=certain, strata=strata_of(study))
        )
    command = f"neckfrac evaluate segment --studies {count} --seed {seed}" + (" --anatomy MESHES" if anatomy else "")
    return {"on": "simulated CT", **about(networks, seed, command), "studies": count, **summarise(scores, seed=seed),
            "cases": [s.record() for s in scores]}  # fmt: skip


def evaluate_labelled(
    study: Path, reference: Path, networks: Networks, *, progress: Progress | None = None
) -> dict[str, Any]:
    """The figures on one CT with true labels 1 to 7 (NIfTI, NRRD, MetaImage) on any grid.

    Raises InputError when either can't be read or no label of a level lies in the scan.
    """
    from neckfrac.intake.labels import read_labels
    from neckfrac.intake.study import read_study

    progress = progress or Progress()
    volume = read_study(study, progress=progress.part(0.0, 0.1)).volume
    truth, warnings = read_labels(reference, volume)
    progress.keep(*warnings)
    answer, located = segment_volume(volume, networks, progress.part(0.1, 0.9))
    shares = shares_of_labels(truth, volume)
    result = score(answer, truth, volume.spacing, shares, certain=located.naming.certain)
    command = f"neckfrac evaluate segment --study {Path(study).name} --reference {Path(reference).name}"
    return {"on": "a labelled CT", **about(networks, None, command), "studies": 1, **summarise([result]),
            "cases": [result.record()]}  # fmt: skip


def in_words(result: dict[str, Any]) -> dict[str, str]:
    """The chief figures of an evaluation as a model card tells them, with 95 % intervals."""
    whole, place = result["whole levels"], result["on"]

    def told(figure: dict[str, Any], value: str = "mean", unit: str = "") -> str:
        if not figure["count"]:
            return "nothing to measure"
        low, high = figure["interval"]
        return f"{figure[value]:.2f}{unit} ({low:.2f} to {high:.2f}), n = {figure['count']}"

    return {
        "Measured with": f"`{result['command']}`, {place}",
        f"Dice of whole levels, {place}": told(whole["dice"]),
        f"Surface Dice at 1 mm, {place}": told(whole["surface dice 1 mm"]),
        f"Surface Dice at 2 mm, {place}": told(whole["surface dice 2 mm"]),
        f"95 % Hausdorff distance, {place}": told(whole["hausdorff95 mm"], unit=" mm"),
        f"Levels identified, {place}": told(whole["identified"], "rate"),
        f"Studies with every level right, {place}": told(result["every level right"], "rate"),
        f"Studies with certain and wrong names, {place}": told(result["certain and wrong"], "rate"),
    }


def about(networks: Networks, seed: int | None, command: str) -> dict[str, Any]:
    """What is needed to get the same figures again: version, command, seed, and the networks' checksums."""
    from neckfrac import __version__

    steps = ("locate", "segment")
    return {
        "note": DISCLAIMER,
        "version": __version__,
        "command": command,
        "seed": seed,
        "bundles": {networks.bundles[step].name: networks.bundles[step].identity.sha256 for step in steps},
    }
