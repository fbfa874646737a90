"""Whole simulated studies through the whole road: segmentation, levels and fractures against the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..anatomy import LEVELS
from ..findings import NOT_SEEN, StudyIdentity
from ..progress import Progress
from .metrics import dice, summary

STUDY_SHAPE, STUDY_SPACING = (180, 224, 224), (1.0, 0.8, 0.8)
FIRST_SEED = 900_000  # far from every training seed


def simulated_study(seed: int, necks):
    """A whole neck, fractured in about half of the studies, with a look-alike in half."""
    from ..simulate.fractures.fracture import draw_fractured_levels, random_fracture, random_mimic
    from ..simulate.study import Grid, simulate_study

    generator = np.random.default_rng([9, seed])
    neck = necks.pick(generator)
    levels = draw_fractured_levels(generator)
    fractures = [random_fracture(level, neck.frames[level], seed=seed) for level in levels]
    spare = [level.name for level in LEVELS if level.name not in levels]
    mimic = str(generator.choice(spare))
    mimics = [random_mimic(mimic, neck.frames[mimic], seed=seed)] if generator.random() < 0.5 else []
    grid = Grid(STUDY_SHAPE, STUDY_SPACING, ("C4", (0.0, 12.0, 0.0)))
    return simulate_study(neck, seed=seed, grid=grid, fractures=fractures, mimics=mimics)


def evaluate_studies(
    count: int, *, anatomy: Path | None = None, models: Path | None = None, progress: Progress | None = None
) -> dict:
    """Dice per level, share of studies with every level right, and fracture figures per level and patient.

    A level counts as fractured when its truth mask holds at least 0.015 ml. All of it is simulated.
    """
    from ..intake.study import Study
    from ..pipeline.analyze import Engine
    from ..training.samples import Necks

    progress = progress or Progress()
    engine = Engine(models)
    necks = Necks(anatomy=anatomy, built_in=4, seed=77)
    overlaps: dict[str, list[float]] = {level.name: [] for level in LEVELS}
    right, levels, patients = [], [], []
    for n in range(count):
        progress.step(n / count)
        study = simulated_study(FIRST_SEED + n, necks)
        analysis = engine.analyze(Study(study.volume, StudyIdentity(source="simulated"), ()))
        voxel_ml = float(np.prod(study.volume.spacing)) / 1000
        all_right, truths = True, []
        for level, finding in zip(LEVELS, analysis.findings.levels, strict=True):
            truth = study.labels == level.label
            fractured = float((study.fracture == level.label).sum()) * voxel_ml >= 0.015
            truths.append(fractured)
            if study.shares.get(level.name, 0.0) < 0.95:
                continue
            overlap = dice(analysis.labels == level.label, truth) or 0.0
            overlaps[level.name].append(overlap)
            all_right &= overlap > 0.5
            levels.append((finding.probability if finding.status != NOT_SEEN else 0.0, fractured))
        right.append(all_right)
        patients.append((analysis.findings.patient_probability or 0.0, any(truths)))
    thresholds = engine.ensemble.thresholds["balanced"]
    return {
        "simulated": True,
        "studies": count,
        "dice": {name: float(np.mean(values)) if values else None for name, values in overlaps.items()},
        "mean dice": float(np.mean([v for values in overlaps.values() for v in values])),
        "every level right": float(np.mean(right)),
        "levels": summary(*map(np.array, zip(*levels, strict=True)), thresholds["C1"]),
        "patients": summary(*map(np.array, zip(*patients, strict=True)), thresholds["patient"]),
    }
