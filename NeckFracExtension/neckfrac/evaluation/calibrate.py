"""The ensemble's weights, calibration and thresholds, from simulated people that trained nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..anatomy import LEVEL_NAMES, N_LEVELS
from ..pipeline.combine import (
    LEVELS_MEMBER,
    OPERATING_POINTS,
    PATIENT,
    PREVALENCE,
    Ensemble,
    Member,
    any_of,
    combine,
    level_prevalence,
    logit,
)
from ..progress import Progress
from .metrics import auc, choose, operating_curve, summary, threshold_for
from .samples import segmented_from

if TYPE_CHECKING:
    from ..pipeline.classify import Opinion
    from ..pipeline.engine import Networks

LEVELS_SHARE = 0.8  # of the patient's probability that comes from the levels; the rest is Model I's patient head
# What the balanced operating point is to have the most of, for patients.
BALANCED = {"youden": {}, "f1": {"beta": 1.0}, "f2": {"beta": 2.0}}
LEAST_AUC = 0.55  # under which a member, or a patient's head, is at chance and does not count
LEAST_ABOVE = 3  # whole vertebrae of a level above its threshold, from which it has a threshold of its own
WHOLE_NECK = ("sagittal",)  # steps that have no opinion on a single vertebra


@dataclass(frozen=True)
class Aims:
    """What is wanted for patients: the sensitive and the specific operating point reach these, the balanced one has
    the most of `balanced`, a key of BALANCED. prevalence: share of fractured patients."""

    sensitivity: float = 0.95
    specificity: float = 0.95
    balanced: str = "youden"
    prevalence: float = PREVALENCE

    def of(self, point: str) -> dict[str, float]:
        """The arguments of `metrics.choose` for an operating point."""
        if point == "balanced":
            wanted = BALANCED[self.balanced]
            return {**wanted, "prevalence": self.prevalence} if wanted else {}
        name = {"sensitive": "sensitivity", "specific": "specificity"}[point]
        return {name: getattr(self, name)}


@dataclass(frozen=True)
class Row:
    """One vertebra: each member's probability, the truth, and the person (rows of one are never parted)."""

    level: str
    members: dict[str, float]
    fractured: bool
    person: int
    patient: float | None = None  # of a member with a head for the whole patient


def opinions_on(sample: dict, networks: Networks, generator: np.random.Generator) -> dict[str, Opinion]:
    """Each member's opinions on a `vertebra_sample`, its vertebra's mask imitated as a network would draw it.

    Members that need a whole neck (WHOLE_NECK) have none.
    """
    from ..pipeline.members import CLASSIFY
    from ..training.vertebrae import imitate_mask

    segmented = segmented_from(sample, imitate_mask(sample["labels"] == sample["level"], generator))
    return {
        name: CLASSIFY[bundle.step](segmented, progress=Progress(), **networks.arguments(name))
        for name, bundle in networks.members.items()
        if bundle.step not in WHOLE_NECK
    }


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


def fit_ensemble(rows: list[Row], aims: Aims = Aims()) -> Ensemble:
    """Weights, calibration and thresholds from all rows; measured on each half of the people by a fit to the other.

    prevalence: of fractured patients, at which the probabilities are to hold.
    """
    halves = [[row for row in rows if row.person % 2 == half] for half in (0, 1)]
    measured = []
    for half in (0, 1):
        fitted = _fit(halves[1 - half], aims)
        measured += [_judged(row, fitted) for row in halves[half]]
    whole = _fit(rows, aims)
    return replace(whole, measured=_measured(measured, aims.prevalence))


def _fit(rows: list[Row], aims: Aims) -> Ensemble:
    prevalence = aims.prevalence
    at = level_prevalence(prevalence)
    calibrated = _calibrated(rows, at)
    telling = {name: m for name, m in calibrated.items() if m.weight} or calibrated
    members = {**calibrated, **weigh(telling, rows, at)}
    probabilities, truths = _probabilities(rows, members), _truths(rows)
    patient = {LEVELS_MEMBER: Member(LEVELS_SHARE)}
    head = [(row.patient, row.fractured) for row in rows if row.patient is not None]
    heads = list(map(np.array, zip(*head, strict=True)))
    if head and auc(*heads) >= LEAST_AUC:
        name = next(name for name in members if "one" in name)
        patient[name] = replace(platt(*heads, prevalence), weight=1 - LEVELS_SHARE)
    pseudo, pseudo_truths = _pseudo_patients(probabilities, truths)
    thresholds = {}
    for point in OPERATING_POINTS:
        thresholds[point] = level_thresholds(rows, probabilities, **aims.of(point))
        thresholds[point][PATIENT] = threshold_for(pseudo, pseudo_truths, **aims.of(point))
    return Ensemble(members, patient, thresholds, {}, prevalence)


def level_thresholds(rows: list[Row], probabilities: np.ndarray, **wanted: float) -> dict[str, float]:
    """Thresholds of the levels that reach what is wanted (see `metrics.choose`) for *patients*.

    A patient is called when any of seven levels is: at a level's specificity q intact patients are spared at q^7,
    and one with one fracture, found at sensitivity s, is called at 1 - (1 - s) q^6. A level that errs once in ten
    would call every second intact patient. All levels share a threshold; one with whole vertebrae enough to know that
    of the same specificity for itself (LEAST_ABOVE) has its own.
    """
    truths = _truths(rows)
    candidates, found, spared = operating_curve(probabilities, truths)
    called, left = 1 - (1 - found) * spared ** (N_LEVELS - 1), spared**N_LEVELS
    chosen = choose(called, left, **wanted)
    thresholds = dict.fromkeys(LEVEL_NAMES, float(candidates[chosen]))
    for level in LEVEL_NAMES:
        own = np.array([row.level == level for row in rows]) & ~truths
        if own.sum() * (1 - spared[chosen]) >= LEAST_ABOVE:
            thresholds[level] = float(np.clip(np.quantile(probabilities[own], spared[chosen]), 1e-6, 1 - 1e-6))
    return thresholds


def _truths(rows: list[Row]) -> np.ndarray:
    return np.array([row.fractured for row in rows])


def _probabilities(rows: list[Row], members: dict[str, Member]) -> np.ndarray:
    return np.array([combine(row.members, members) for row in rows])


def _calibrated(rows: list[Row], prevalence: float) -> dict[str, Member]:
    """Each member calibrated by itself; its weight is 0 when it tells too little to count (LEAST_AUC)."""
    members = {}
    for name in sorted({name for row in rows for name in row.members}):
        has = [row for row in rows if name in row.members]
        own, truths = np.array([row.members[name] for row in has]), _truths(has)
        members[name] = replace(platt(own, truths, prevalence), weight=float(auc(own, truths) >= LEAST_AUC))
    return members


def weigh(members: dict[str, Member], rows: list[Row], prevalence: float) -> dict[str, Member]:
    """The weights (sum 1) with the least cross-entropy at the prevalence that the members are calibrated to.

    Common to all levels: a level alone has too few fractures to tell its members apart.
    """
    import torch

    if len(members) < 2:
        return members
    names = list(members)
    logits = [
        [m.slope * logit(row.members[name]) + m.offset if name in row.members else 0.0 for name, m in members.items()]
        for row in rows
    ]
    has = torch.tensor([[float(name in row.members) for name in names] for row in rows], dtype=torch.float64)
    x, y = torch.tensor(logits, dtype=torch.float64), torch.as_tensor(_truths(rows).astype(float))
    share = float(y.mean())
    importance = torch.where(y > 0, prevalence / share, (1 - prevalence) / (1 - share))
    free = torch.zeros(len(names), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([free], max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        weight = free.softmax(0) * has
        mean = (weight * x).sum(1) / weight.sum(1)
        value = torch.nn.functional.binary_cross_entropy_with_logits(mean, y, importance)
        value = value + 1e-4 * (free**2).sum()
        value.backward()
        return value

    optimizer.step(loss)
    weights = free.detach().softmax(0).tolist()
    return {name: replace(members[name], weight=weight) for name, weight in zip(names, weights, strict=True)}


@dataclass(frozen=True)
class _Judged:
    """A row as an ensemble sees it that was fitted without its person: logits over the level's balanced threshold."""

    fractured: bool
    ensemble: float
    members: dict[str, float]


def _judged(row: Row, fitted: Ensemble) -> _Judged:
    threshold = logit(fitted.thresholds["balanced"][row.level])
    alone = {
        name: logit(combine({name: p}, {name: replace(fitted.levels[name], weight=1.0)})) - threshold
        for name, p in row.members.items()
    }
    return _Judged(row.fractured, logit(combine(row.members, fitted.levels)) - threshold, alone)


def _measured(judged: list[_Judged], prevalence: float) -> dict[str, object]:
    """What the ensemble and each member alone reach at the balanced thresholds."""

    def figures(values: list[tuple[float, bool]]) -> dict[str, object]:
        told = summary(*map(np.array, zip(*values, strict=True)), 0.0)
        del told["threshold"]
        return told

    names = sorted({name for item in judged for name in item.members})
    return {
        "on": "simulated vertebrae, half of them broken, of people who trained nothing; same simulator; each half of "
        "the people judged by what was fitted to the other half",
        "simulated": True,
        "patients' prevalence": prevalence,
        "ensemble": figures([(item.ensemble, item.fractured) for item in judged]),
        "members": {
            name: figures([(item.members[name], item.fractured) for item in judged if name in item.members])
            for name in names
        },
    }


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


def calibrate(
    runs: Path, models: Path, aims: Aims = Aims(), *, progress: Progress | None = None, most: int = 1000
) -> Ensemble:
    """Fit ``ensemble.json`` of a models folder on the simulated vertebrae of `runs` that are kept for it.

    Raises InputError when there are none.
    """
    from ..errors import InputError
    from ..pipeline.engine import ENSEMBLE_FILE, Networks
    from ..training.cache import SampleCache
    from ..training.vertebrae import is_fractured

    progress = progress or Progress()
    folder = runs / "cache" / "calibration"
    paths = SampleCache(folder).paths()[:most]
    if not paths:
        raise InputError(
            "There are no vertebrae to calibrate on.", where=folder,
            advice="Simulate them first: neckfrac train cache-calibration --samples 400",
        )
    if not (models / ENSEMBLE_FILE).exists():
        even = dict.fromkeys((*LEVEL_NAMES, PATIENT), 0.5)
        Ensemble({}, {}, dict.fromkeys(OPERATING_POINTS, even), {}).write(models / ENSEMBLE_FILE)
    networks, rows = Networks(models), []
    generator = np.random.default_rng(0)
    for done, path in enumerate(paths):
        progress.step(done / len(paths))
        sample = SampleCache.load(path)
        level = LEVEL_NAMES[int(sample["level"]) - 1]
        opinions = opinions_on(sample, networks, generator)
        members = {name: opinion.levels[level] for name, opinion in opinions.items() if level in opinion.levels}
        heads = [opinion.patient for opinion in opinions.values() if opinion.patient is not None]
        if members:
            patient = heads[0] if heads else None
            rows.append(Row(level, members, is_fractured(sample), int(path.stem) // 2, patient))
    ensemble = fit_ensemble(rows, aims)
    ensemble.write(models / ENSEMBLE_FILE)
    return ensemble
