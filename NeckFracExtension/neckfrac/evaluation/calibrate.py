"""The ensemble's weights, calibration and thresholds, from held-out simulated slabs that trained nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..anatomy import LEVEL_NAMES, N_LEVELS
from ..pipeline.combine import OPERATING_POINTS, PATIENT, Ensemble, Member, any_of, combine, logit
from ..progress import Progress
from .metrics import summary, threshold_for

if TYPE_CHECKING:
    from ..pipeline.classify import Opinion

# Share of levels that are fractured among patients scanned for it: 1,444 of 7 x 2,019 levels of RSNA 2022.
PREVALENCE = 0.10
LEVELS_SHARE = 0.8  # of the patient's probability that comes from the levels; the rest is Model I's patient head


def opinions_on_slab(
    sample: dict, engine, generator: np.random.Generator
) -> tuple[dict[str, Opinion], dict[str, bool]]:
    """Each member's opinions on one simulated slab with imitated masks, and the truth of its whole levels."""
    from ..pipeline.classify import classify_slices, classify_vertebrae
    from ..pipeline.grids import FINE_SPACING, Lattice
    from ..pipeline.segment import Segmented
    from ..training.vertebrae import LEAST_TRUTH, imitate_mask, usable_levels

    usable = usable_levels(sample)
    labels = np.zeros_like(sample["labels"])
    for label in usable:
        labels[imitate_mask(sample["labels"] == label, generator)] = label
    shape = labels.shape
    lattice = Lattice(shape, FINE_SPACING, (0.0, 0.0, 0.0))
    segmented = Segmented(sample["hu"], labels, labels, labels, lattice, np.zeros((shape[0], 2), int), shape[1])
    opinions = {
        engine.bundles[step].name: classify(segmented, progress=Progress(), **engine.arguments(step))
        for step, classify in (("slices", classify_slices), ("vertebrae", classify_vertebrae))
    }
    truth = {LEVEL_NAMES[n - 1]: int((sample["fracture"] == n).sum()) >= LEAST_TRUTH for n in usable}
    return opinions, truth


def platt(probabilities: np.ndarray, truths: np.ndarray, prevalence: float) -> Member:
    """Slope and offset of the logits by logistic regression (Platt 1999), moved to another prevalence."""
    import torch

    x = torch.tensor([logit(p) for p in probabilities], dtype=torch.float64)
    y = torch.as_tensor(np.asarray(truths, dtype=float))
    coefficients = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([coefficients], max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(coefficients[0] * x + coefficients[1], y)
        value = value + 1e-3 * (coefficients[0] - 1) ** 2  # a perfect separation must not blow up the slope
        value.backward()
        return value

    optimizer.step(loss)
    slope, offset = (float(value) for value in coefficients.detach())
    # A member whose logits rise when there is no fracture must not be turned around on a small sample.
    return Member(1.0, max(slope, 0.0), offset + logit(prevalence) - logit(float(np.mean(y.numpy()))))


def fit_ensemble(rows: list[tuple[dict[str, float], bool]], patients: list[tuple[float, bool]]) -> Ensemble:
    """rows: members' probabilities and truth of single levels. patients: Model I's patient head and truth of slabs.

    Every second row fits weights, calibration and thresholds; the others measure. Thresholds are common to
    all levels: there are too few fractures of each for seven.
    """
    fit, measure = rows[0::2], rows[1::2]
    names = sorted({name for members, _ in rows for name in members})
    truths = np.array([truth for _, truth in fit])
    members = {}
    for name in names:
        has = [(m[name], t) for m, t in fit if name in m]
        members[name] = platt(np.array([p for p, _ in has]), np.array([t for _, t in has]), PREVALENCE)
    members = _weigh(members, fit)

    def ensemble_of(some) -> np.ndarray:
        return np.array([combine(m, members) for m, _ in some])

    fitted = ensemble_of(fit)
    wanted = {"sensitive": {"sensitivity": 0.95}, "balanced": {}, "specific": {"specificity": 0.95}}
    level_thresholds = {point: threshold_for(fitted, truths, **wanted[point]) for point in OPERATING_POINTS}
    seen, broken = (np.array(column) for column in zip(*patients, strict=True))
    head = platt(seen, broken, 1 - (1 - PREVALENCE) ** N_LEVELS)
    patient = {
        "levels": Member(LEVELS_SHARE),
        names_of_patient_head(names): Member(1 - LEVELS_SHARE, head.slope, head.offset),
    }
    pseudo, pseudo_truths = _pseudo_patients(fitted, truths)
    patient_thresholds = {point: threshold_for(pseudo, pseudo_truths, **wanted[point]) for point in OPERATING_POINTS}
    thresholds = {
        point: {**dict.fromkeys(LEVEL_NAMES, level_thresholds[point]), PATIENT: patient_thresholds[point]}
        for point in OPERATING_POINTS
    }
    held_truths = np.array([truth for _, truth in measure])
    measured = {
        "on": "simulated vertebrae of held-out slabs, half of them for fitting; same simulator as the training",
        "prevalence assumed": PREVALENCE,
        "ensemble": summary(ensemble_of(measure), held_truths, level_thresholds["balanced"]),
        "members": {
            name: summary(
                np.array([combine({name: m[name]}, members) or 0.0 for m, _ in measure if name in m]),
                np.array([t for m, t in measure if name in m]),
                level_thresholds["balanced"],
            )
            for name in names
        },
    }
    return Ensemble(members, patient, thresholds, measured)


def names_of_patient_head(names: list[str]) -> str:
    """The member with a patient-level head: Model I."""
    return next(name for name in names if "one" in name)


def _weigh(members: dict[str, Member], rows: list[tuple[dict[str, float], bool]]) -> dict[str, Member]:
    """The weights with the least cross-entropy, in steps of a twentieth, for two members."""
    from dataclasses import replace

    if len(members) != 2:
        return members
    first, second = members
    best = (np.inf, members)
    for weight in np.linspace(0.05, 0.95, 19):
        tried = {
            first: replace(members[first], weight=float(weight)),
            second: replace(members[second], weight=float(1 - weight)),
        }
        p = np.clip([combine(m, tried) for m, _ in rows], 1e-6, 1 - 1e-6)
        t = np.array([truth for _, truth in rows])
        # Fractures weighed down to the prevalence that the calibration was moved to.
        share = t.mean()
        weights = np.where(t, PREVALENCE / share, (1 - PREVALENCE) / (1 - share))
        loss = float((-weights * np.where(t, np.log(p), np.log(1 - p))).mean())
        best = min(best, (loss, tried), key=lambda item: item[0])
    return best[1]


def _pseudo_patients(probabilities: np.ndarray, truths: np.ndarray, n: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Seven levels drawn at random make a patient: none fractured in half of them, one in the others."""
    generator = np.random.default_rng(0)
    intact, broken = probabilities[~truths], probabilities[truths]
    scores, fractured = [], []
    for index in range(n):
        levels = generator.choice(intact, N_LEVELS)
        if index % 2:
            levels[0] = generator.choice(broken)
        scores.append(any_of(levels))
        fractured.append(bool(index % 2))
    return np.array(scores), np.array(fractured)


def calibrate(runs: Path, models: Path, *, progress: Progress | None = None, most: int = 400) -> Ensemble:
    """Fit ``ensemble.json`` of a models folder on the held-out slabs of `runs`."""
    from ..pipeline.analyze import Engine
    from ..pipeline.engine import ENSEMBLE_FILE
    from ..training.cache import SampleCache

    progress = progress or Progress()
    if not (models / ENSEMBLE_FILE).exists():
        even = dict.fromkeys((*LEVEL_NAMES, PATIENT), 0.5)
        Ensemble({}, {}, dict.fromkeys(OPERATING_POINTS, even), {}).write(models / ENSEMBLE_FILE)
    engine = Engine(models)
    rows, patients = [], []
    paths = SampleCache(runs / "cache" / "slabs").paths(held_out=True)[:most]
    generator = np.random.default_rng(0)
    for done, path in enumerate(paths):
        progress.step(done / len(paths))
        opinions, truth = opinions_on_slab(SampleCache.load(path), engine, generator)
        for level, fractured in truth.items():
            members = {name: o.levels[level] for name, o in opinions.items() if level in o.levels}
            if members:
                rows.append((members, fractured))
        for opinion in opinions.values():
            if opinion.patient is not None:
                patients.append((opinion.patient, any(truth.values())))
    ensemble = fit_ensemble(rows, patients)
    ensemble.write(models / ENSEMBLE_FILE)
    return ensemble
