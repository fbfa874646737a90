"""The ensemble's weights, calibration and thresholds, from what its members said of studies with known fractures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.pipeline.combine import (
    LEVELS_MEMBER,
    OPERATING_POINTS,
    PATIENT,
    PREVALENCE,
    Context,
    Ensemble,
    Member,
    any_of,
    combine,
    combine_levels,
    level_prevalence,
    logit,
)

from neckfrac_lab.evaluation.metrics import at_threshold, auc, choose, summary

# What the balanced operating point is to have the most of, for patients.
BALANCED = {"youden": {}, "f1": {"beta": 1.0}, "f2": {"beta": 2.0}}
LEAST_AUC = 0.55  # under which a member, or a patient's head, is at chance and does not count
SHARES = (0.0, 0.25, 0.5, 0.75)  # of a study's median logit that may be taken from its levels
LEAST_GAIN = 0.002  # in AUC, for which a larger share is taken
EVEN = 0.5  # how far fitted weights are drawn towards even ones
LEAST_ABOVE = 3  # whole vertebrae of a level above its threshold, from which it has a threshold of its own


@dataclass(frozen=True)
class OperatingPointTargets:
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
class StudyPredictions:
    """What the members said of one study whose fractures are known.

    levels: each member's probability of the levels that were seen. truths: whether those are fractured. heads: of
    members that speak of the whole patient. person: studies of one are never parted.
    """

    levels: dict[str, dict[str, float]]
    truths: dict[str, bool]
    heads: dict[str, float]
    fractured: bool
    person: int


Rows = Sequence[tuple[dict[str, float], bool]]  # each member's probability of one level or patient, and the truth


DEFAULT_TARGETS = OperatingPointTargets()


def fit_ensemble(studies: Sequence[StudyPredictions], targets: OperatingPointTargets = DEFAULT_TARGETS) -> Ensemble:
    """Weights, calibration and thresholds from all studies; measured on each half of the people by a fit to the other.

    Probabilities hold where a share of `targets.prevalence` of the patients is fractured. Raises ValueError when a half
    lacks fractured or intact patients or levels.
    """
    halves = [[study for study in studies if study.person % 2 == half] for half in (0, 1)]
    for half in halves:
        levels = {truth for study in half for truth in study.truths.values()}
        if len(levels) < 2 or len({study.fractured for study in half if study.levels}) < 2:
            raise ValueError("both halves of the people need fractured and intact patients in whom levels were found")
    judged = [(fit(halves[1 - half], targets), halves[half]) for half in (0, 1)]
    return replace(fit(studies, targets), measured=_measured(judged, targets.prevalence))


def fit(studies: Sequence[StudyPredictions], targets: OperatingPointTargets) -> Ensemble:
    """Weights, calibration and thresholds, not measured."""
    levels = members_from(_level_rows(studies), level_prevalence(targets.prevalence))
    context = fit_context(studies, levels)
    seen = [study for study in studies if study.levels]
    heads = [(_heads(study, levels, context), study.fractured) for study in seen]
    patient = members_from(heads, targets.prevalence)
    unset = dict.fromkeys(OPERATING_POINTS, dict.fromkeys((*LEVEL_NAMES, PATIENT), 0.5))
    ensemble = Ensemble(levels, patient, unset, {}, targets.prevalence, context)
    grid, broken, patients = _answers(studies, ensemble)
    fractured = np.array([study.fractured for study in studies])
    return replace(ensemble, thresholds=choose_thresholds(grid, broken, patients, fractured, targets))


def fit_context(studies: Sequence[StudyPredictions], members: dict[str, Member]) -> Context:
    """The share of SHARES that ranks levels best; `usual` keeps the mean logit of the levels as it is.

    A larger share must bring LEAST_GAIN.
    """
    told = [combine_levels(study.levels, members) for study in studies]
    logits = [{name: logit(p) for name, p in of_one.items()} for of_one in told]
    medians = [float(np.median(list(of_one.values()))) for of_one in logits if of_one]
    usual = float(np.mean(medians)) if medians else 0.0
    best, best_auc = Context(0.0, usual), None
    for share in SHARES:
        context = Context(share, usual)
        rows = [
            (value, study.truths[name])
            for study, of_one in zip(studies, logits, strict=True)
            for name, value in context(of_one).items()
        ]
        value = auc(*map(np.array, zip(*rows, strict=True))) if rows else None
        if value is not None and (best_auc is None or value > best_auc + LEAST_GAIN):
            best, best_auc = context, value
    return best


def platt(probabilities: Iterable[float], truths: Iterable[bool], prevalence: float) -> Member:
    """Slope and offset of the logits by logistic regression (Platt 1999), moved to another prevalence."""
    import torch

    x = torch.tensor([logit(p) for p in probabilities], dtype=torch.float64)
    y = torch.tensor([float(truth) for truth in truths], dtype=torch.float64)
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
    return Member(1.0, max(slope, 0.0), offset + logit(prevalence) - logit(float(y.mean())))


def members_from(rows: Rows, prevalence: float) -> dict[str, Member]:
    """Each member calibrated by itself, and weighed; 0 for one that tells too little to count (LEAST_AUC).

    When none tells anything, all count as if they did.
    """
    members = {}
    for name in sorted({name for told, _ in rows for name in told}):
        own = [(told[name], truth) for told, truth in rows if name in told]
        values, truths = (np.array(column) for column in zip(*own, strict=True))
        tells = (auc(values, truths) or 0.0) >= LEAST_AUC
        members[name] = replace(platt(values, truths, prevalence), weight=float(tells))
    telling = {name: member for name, member in members.items() if member.weight} or members
    return {**members, **rescaled(weigh(telling, rows, prevalence), rows, prevalence)}


def rescaled(members: dict[str, Member], rows: Rows, prevalence: float) -> dict[str, Member]:
    """Members whose weighted mean is calibrated: drawn towards even weights it is less sure than it may be."""
    combined = [(combine(told, members), truth) for told, truth in rows]
    probabilities, truths = zip(*((p, truth) for p, truth in combined if p is not None), strict=True)
    whole = platt(probabilities, truths, prevalence)
    return {
        name: replace(member, slope=whole.slope * member.slope, offset=whole.slope * member.offset + whole.offset)
        for name, member in members.items()
    }


def weigh(members: dict[str, Member], rows: Rows, prevalence: float) -> dict[str, Member]:
    """The weights (sum 1) with the least cross-entropy at the prevalence that the members are calibrated to, drawn
    towards even ones by EVEN.

    Common to all levels: a level alone has too few fractures to tell its members apart. On other anatomy than they were
    fitted on even weights ranked better than fitted ones, which trust one member alone.
    """
    import torch

    if len(members) < 2:
        return {name: replace(member, weight=1.0) for name, member in members.items()}
    names = list(members)
    logits = [
        [m.slope * logit(told[name]) + m.offset if name in told else 0.0 for name, m in members.items()]
        for told, _ in rows
    ]
    has = torch.tensor([[float(name in told) for name in names] for told, _ in rows], dtype=torch.float64)
    some = has.any(dim=1)
    x, has = torch.tensor(logits, dtype=torch.float64)[some], has[some]
    y = torch.tensor([float(truth) for _, truth in rows], dtype=torch.float64)[some]
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
    weights = [(1 - EVEN) * weight + EVEN / len(names) for weight in free.detach().softmax(0).tolist()]
    return {name: replace(members[name], weight=weight) for name, weight in zip(names, weights, strict=True)}


def choose_thresholds(
    levels: np.ndarray, broken: np.ndarray, patients: np.ndarray, fractured: np.ndarray, targets: OperatingPointTargets
) -> dict[str, dict[str, float]]:
    """Thresholds by operating point, and there by level and for the patient, that reach what is wanted for *patients*.

    levels: probabilities [studies, 7], NaN where there is none; broken: the truth there. patients, fractured:
    [studies]. A patient is called when a level is, or by the patient's own probability: a level that errs once in ten
    calls every second intact patient. All levels are given one specificity, each by its own whole vertebrae where those
    suffice (LEAST_ABOVE), and the patient that which the levels together have; of all such sets each operating point
    takes the one whose calls are as wanted.
    """
    whole = np.where(broken, np.nan, levels)
    own = [np.sort(column[~np.isnan(column)]) for column in whole.T]
    pooled, intact = np.sort(np.concatenate(own)), np.sort(patients[~fractured])
    sets = []
    for above in np.linspace(1, 0, len(pooled) + 1):
        limits = np.array([_above(v if len(v) * above >= LEAST_ABOVE else pooled, above) for v in own])
        by_level = (levels >= limits).any(axis=1)  # NaN is never above
        limit = _above(intact, float(by_level[~fractured].mean()))
        called = by_level | (patients >= limit)
        sets.append((*limits, limit, called[fractured].mean(), 1 - called[~fractured].mean()))
    table = np.array(sets)
    wanted = {point: choose(table[:, -2], table[:, -1], **targets.of(point)) for point in OPERATING_POINTS}
    # The balanced point of good networks may be more specific, or more sensitive, than was asked of the others.
    wanted["sensitive"] = min(wanted["sensitive"], wanted["balanced"])
    wanted["specific"] = max(wanted["specific"], wanted["balanced"])
    names = (*LEVEL_NAMES, PATIENT)
    return {point: dict(zip(names, map(float, table[row, :-2]), strict=True)) for point, row in wanted.items()}


def _above(values: np.ndarray, share: float) -> float:
    """The threshold that this share of the sorted values reaches: half way between two, so that it is nobody's own."""
    ends = np.concatenate([[0.0], values, [1.0]])
    index = len(values) - round(share * len(values))
    return float(np.clip((ends[index] + ends[index + 1]) / 2, 1e-6, 1 - 1e-6))


def _level_rows(studies: Sequence[StudyPredictions]) -> Rows:
    return [(told, study.truths[name]) for study in studies for name, told in study.levels.items()]


def _heads(study: StudyPredictions, members: dict[str, Member], context: Context) -> dict[str, float]:
    """What is said of the patient, that of the levels among it."""
    return {**study.heads, LEVELS_MEMBER: any_of(combine_levels(study.levels, members, context).values())}


def _answers(studies: Sequence[StudyPredictions], ensemble: Ensemble) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of the levels [studies, 7] (NaN: none), whether they are broken, and of the patients [studies].

    The patient of whom no level was seen has 0: nobody is called for nothing.
    """
    levels = np.full((len(studies), len(LEVEL_NAMES)), np.nan)
    broken, patients = np.zeros(levels.shape, bool), np.zeros(len(studies))
    for row, study in enumerate(studies):
        for name, probability in combine_levels(study.levels, ensemble.levels, ensemble.context).items():
            levels[row, LEVEL_NAMES.index(name)] = probability
            broken[row, LEVEL_NAMES.index(name)] = study.truths[name]
        if study.levels:
            patients[row] = combine(_heads(study, ensemble.levels, ensemble.context), ensemble.patient)
    return levels, broken, patients


def _measured(judged: list[tuple[Ensemble, list[StudyPredictions]]], prevalence: float) -> dict[str, object]:
    """What each ensemble, and each of its members alone, reaches on studies of people that did not fit it.

    Probabilities are compared by how far their logits lie over the balanced thresholds, which differ between the two.
    """
    over: dict[str | None, list[tuple[float, bool]]] = {None: []}  # None: the ensemble
    patients, called = [], []
    for ensemble, studies in judged:
        limits = ensemble.thresholds["balanced"]
        levels, broken, of_patients = _answers(studies, ensemble)
        for row, study in enumerate(studies):
            for column, name in enumerate(LEVEL_NAMES):
                if np.isnan(levels[row, column]):
                    continue
                threshold, truth = logit(limits[name]), bool(broken[row, column])
                over[None].append((logit(levels[row, column]) - threshold, truth))
                for member, p in study.levels[name].items():
                    alone = combine({member: p}, {member: replace(ensemble.levels[member], weight=1.0)})
                    over.setdefault(member, []).append((logit(alone) - threshold, truth))
            patients.append((logit(of_patients[row]) - logit(limits[PATIENT]), study.fractured))
        by_level = (levels >= np.array([limits[name] for name in LEVEL_NAMES])).any(axis=1)
        called += (by_level | (of_patients >= limits[PATIENT])).tolist()
    whole = _figures(patients)
    return {
        "on": "simulated studies through the whole pipeline, every other one fractured, of people who trained nothing; "
        "same simulator; each half of the people judged by what was fitted to the other half",
        "simulated": True,
        "patients' prevalence": prevalence,
        "ensemble": _figures(over.pop(None)),
        "patients": {**whole, **at_threshold(np.array(called, float), np.array([t for _, t in patients]), 0.5)},
        "members": {name: _figures(values) for name, values in sorted(over.items())},
    }


def _figures(values: list[tuple[float, bool]]) -> dict[str, object]:
    told = summary(*map(np.array, zip(*values, strict=True)), 0.0)
    del told["threshold"]
    return told
