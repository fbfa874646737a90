"""Figures of fracture detection: numbers in, numbers out; None where a figure is undefined, never NaN.

Scores are probabilities [n], truths are bool [n], groups [n] say which patient each belongs to. Intervals are 95 %
percentile intervals over patients drawn with replacement, because the levels of one patient are not independent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.comparison.intervals import rate

from ..metrics import at_threshold, auc

DRAWS = 1000  # of the bootstrap
PREVALENCE = 0.05  # of fractured levels or patients, for predictive values: a low one, as in screening after trauma
SPECIFICITIES = (0.90, 0.95)
ECE_BINS = 15
# Weights of the RSNA 2022 competition: of a level and of the patient, negative and positive.
LEVEL_WEIGHTS, PATIENT_WEIGHTS = (1.0, 2.0), (7.0, 14.0)
FEW = 5  # patients with a fractured and with an intact sample, below which a ranking has no interval
FLOOR = 1e-6  # a probability of 0 or 1 counts as this far from it in the competition's loss


# --- intervals ----------------------------------------------------------------------------------


def patient_draws(groups: np.ndarray, *, seed: int = 0, draws: int = DRAWS) -> np.ndarray:
    """How often each sample counts in each draw of patients with replacement: float32 [draws, n]."""
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    count = int(index.max()) + 1 if len(index) else 0
    if not count:
        return np.zeros((draws, 0), np.float32)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
    return drawn.astype(np.float32)[:, index]


def interval(values: np.ndarray) -> list[float] | None:
    """The middle 95 % of the draws in which a figure was defined; None when that is fewer than half of them."""
    defined = values[np.isfinite(values)]
    if 2 * len(defined) < len(values) or not len(defined):
        return None
    return [float(value) for value in np.quantile(defined, (0.025, 0.975))]


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b > 0)


def _told(value: float | None, drawn: np.ndarray) -> dict[str, Any]:
    value = None if value is None or not np.isfinite(value) else float(value)
    return {"value": value, "interval": None if value is None else interval(drawn)}


# --- ranking ------------------------------------------------------------------------------------


def called_from_the_top(scores: np.ndarray, truths: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Hits and false calls, both [draws, 1 + thresholds], when more and more is called; and the thresholds, falling.

    weights: [draws, n]. Equal scores are called together. The first column calls nothing.
    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] < ordered[:-1]]) if len(ordered) else np.zeros(0, int)
    columns = []
    for mask in (truths, ~truths):
        part = np.add.reduceat(weights[:, order] * mask[order], starts, axis=1) if len(starts) else weights[:, :0]
        columns.append(np.pad(np.cumsum(part, axis=1, dtype=np.float64), ((0, 0), (1, 0))))
    return (*columns, ordered[starts])


def weighted_auc(scores: np.ndarray, truths: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUC of each draw [draws]: the share of pairs of a fractured and an intact one that are in order.

    Sum over pairs of w_i w_j (1 if s_i > s_j, 1/2 if equal) / sum of w_i w_j: the trapezoids under the ROC curve
    (Mann and Whitney 1947); NaN where one class is missing.
    """
    hits, false, _ = called_from_the_top(scores, truths, weights)
    area = (np.diff(false) * (hits[:, 1:] + hits[:, :-1]) / 2).sum(axis=1)
    return _divide(area, hits[:, -1] * false[:, -1])


def weighted_sensitivity_at(
    specificity: float, scores: np.ndarray, truths: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """The largest sensitivity of each draw [draws] among thresholds with at least this specificity."""
    hits, false, _ = called_from_the_top(scores, truths, weights)
    allowed = false <= (1 - specificity) * false[:, -1:] + 1e-9
    best = np.where(allowed, hits, 0).max(axis=1)
    return np.where(false[:, -1] > 0, _divide(best, hits[:, -1]), np.nan)


def roc_curve(scores: np.ndarray, truths: np.ndarray) -> dict[str, list[float]] | None:
    """1 - specificity and sensitivity as thresholds fall; None when only one class is there."""
    from sklearn.metrics import roc_curve as curve

    if truths.all() or not truths.any():
        return None
    false, hits, _ = curve(truths, scores, drop_intermediate=False)
    return {"false positive rate": false.tolist(), "sensitivity": hits.tolist()}


def ranking(scores: np.ndarray, truths: np.ndarray, groups: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """AUC (MONAI's) and the sensitivity at SPECIFICITIES, with intervals unless there are too FEW patients for them.

    The thresholds behind the latter are read off these very cases, so they flatter small samples.
    """
    weights = _unless_few(weights, truths, groups)
    once = np.ones((1, len(scores)), np.float32)
    found = {"auc": _told(auc(scores, truths), weighted_auc(scores, truths, weights))}
    for wanted in SPECIFICITIES:
        value = weighted_sensitivity_at(wanted, scores, truths, once)[0]
        drawn = weighted_sensitivity_at(wanted, scores, truths, weights)
        found[f"sensitivity at {wanted:.0%} specificity"] = _told(value, drawn)
    return found


def lead(ours: np.ndarray, theirs: np.ndarray, truths: np.ndarray, groups: np.ndarray, *, seed: int) -> dict[str, Any]:
    """By how much one ranking's AUC is above another's of the same cases, with the interval over the same draws."""
    weights = _unless_few(patient_draws(groups, seed=seed), truths, groups)
    drawn = weighted_auc(ours, truths, weights) - weighted_auc(theirs, truths, weights)
    found = [auc(scores, truths) for scores in (ours, theirs)]
    return _told(None if None in found else found[0] - found[1], drawn)


def _unless_few(weights: np.ndarray, truths: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The draws, or none of them when there are too FEW patients of either kind for an interval."""
    return weights[:0] if min(_patients(groups, truths), _patients(groups, ~truths)) < FEW else weights


def _patients(groups: np.ndarray, chosen: np.ndarray) -> int:
    return len(np.unique(groups[chosen]))


# --- calls --------------------------------------------------------------------------------------


def predictive_values(
    sensitivity: float | None, specificity: float | None, prevalence: float = PREVALENCE
) -> dict[str, float | None]:
    """PPV and NPV where a share `prevalence` is fractured, by Bayes; None where nothing would be called so."""
    if sensitivity is None or specificity is None:
        return {"ppv": None, "npv": None}
    hit, false = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    right, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return {
        "ppv": hit / (hit + false) if hit + false > 0 else None,
        "npv": right / (right + missed) if right + missed > 0 else None,
    }


def calls(called: np.ndarray, truths: np.ndarray, groups: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """Sensitivity, specificity, F1, F2, accuracy with intervals, and PPV and NPV at PREVALENCE.

    F_b = (1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP), at the share of fractures in these cases. All draws agree on
    what is 0 or 1; its interval is Wilson's, over patients.
    """
    point = at_threshold(called.astype(float), truths, 0.5)
    hits, misses, false, right = (
        weights @ mask.astype(np.float32)
        for mask in (called & truths, ~called & truths, called & ~truths, ~called & ~truths)
    )

    def f_score(beta: float) -> np.ndarray:
        weight = beta**2
        return _divide((1 + weight) * hits, (1 + weight) * hits + weight * misses + false)

    def share(name: str, drawn: np.ndarray, among: np.ndarray) -> dict[str, Any]:
        if point[name] not in (0, 1):
            return _told(point[name], drawn)
        count = _patients(groups, among)
        return {"value": float(point[name]), "interval": rate(int(point[name]) * count, count)["interval"]}

    accuracy = float((called == truths).mean()) if len(truths) else None
    return {
        "called": int(called.sum()),
        "sensitivity": share("sensitivity", _divide(hits, hits + misses), truths),
        "specificity": share("specificity", _divide(right, right + false), ~truths),
        "f1": _told(point["f1"], f_score(1)),
        "f2": _told(point["f2"], f_score(2)),
        "accuracy": _told(accuracy, _divide(hits + right, hits + misses + false + right)),
        f"at {PREVALENCE:.0%} prevalence": predictive_values(point["sensitivity"], point["specificity"]),
    }


def baselines(truths: np.ndarray) -> dict[str, dict[str, Any]]:
    """What needs no network, and so no interval: calling everything fractured, and always the commoner answer."""
    share = float(truths.mean()) if len(truths) else 0.0
    chance = 0.5 if 0 < share < 1 else None
    result = {}
    for name, answer in (("always positive", True), ("constant majority", share > 0.5)):
        constant = np.full(len(truths), answer)
        found = calls(constant, truths, np.zeros(len(truths)), np.zeros((0, len(truths)), np.float32))
        for figure in ("sensitivity", "specificity"):
            found[figure]["interval"] = None
        result[name] = {"auc": {"value": chance, "interval": None}, **found}
    # A constant probability is best when it is the share of fractures itself.
    result["constant majority"] |= {"probability": share, "brier": share * (1 - share), "ece": 0.0}
    return result


# --- calibration --------------------------------------------------------------------------------


def brier(probabilities: np.ndarray, truths: np.ndarray) -> float | None:
    """Mean of (p - y)^2 (Brier 1950); None of nothing."""
    from sklearn.metrics import brier_score_loss

    return float(brier_score_loss(truths, probabilities, pos_label=True)) if len(truths) else None


def reliability(probabilities: np.ndarray, truths: np.ndarray, bins: int = ECE_BINS) -> list[dict[str, Any]]:
    """Of each bin of equal width that holds any: count, mean probability, and the share that is fractured."""
    where = np.minimum((np.asarray(probabilities) * bins).astype(int), bins - 1)
    rows = []
    for number in np.unique(where):
        inside = where == number
        rows.append(
            {
                "from": number / bins,
                "to": (number + 1) / bins,
                "mean probability": float(probabilities[inside].mean()),
                "fractured": rate(int(truths[inside].sum()), int(inside.sum())),
            }
        )
    return rows


def ece(probabilities: np.ndarray, truths: np.ndarray, bins: int = ECE_BINS) -> float | None:
    """Expected calibration error: sum over bins of n_b / n |share_b - mean p_b| (Naeini et al. 2015)."""
    if not len(truths):
        return None
    rows = reliability(probabilities, truths, bins)
    gaps = (r["fractured"]["count"] * abs(r["fractured"]["rate"] - r["mean probability"]) for r in rows)
    return float(sum(gaps) / len(truths))


# --- the competition's loss ---------------------------------------------------------------------


def _weights_of(truths: np.ndarray) -> np.ndarray:
    """Weights [exams, 8] of C1...C7 and the patient, 0 where the truth (0, 1 or NaN) is not known."""
    negative = np.array([LEVEL_WEIGHTS[0]] * len(LEVEL_NAMES) + [PATIENT_WEIGHTS[0]])
    positive = np.array([LEVEL_WEIGHTS[1]] * len(LEVEL_NAMES) + [PATIENT_WEIGHTS[1]])
    return np.where(np.isnan(truths), 0.0, np.where(truths == 1, positive, negative))


def competition_loss(probabilities: np.ndarray, truths: np.ndarray) -> float | None:
    """RSNA 2022: the mean over exams of sum_j w_j BCE_j / sum_j w_j; both [exams, 8], C1...C7 and the patient.

    w is 1 or 2 for a negative or positive level, 7 or 14 for the patient. Unknown truths are NaN and have no part in
    it. Answering 0.5 throughout gives ln 2.
    """
    weights = _weights_of(truths)
    total = weights.sum(axis=1)
    if not (total > 0).any():
        return None
    p = np.clip(probabilities, FLOOR, 1 - FLOOR)
    entropy = np.where(truths == 1, -np.log(p), -np.log(1 - p))
    return float(((weights * entropy).sum(axis=1)[total > 0] / total[total > 0]).mean())


def best_constant(truths: np.ndarray) -> np.ndarray:
    """The eight constants [8] with the least `competition_loss` on these truths: what knowing no image can reach.

    The loss is a weighted mean of cross-entropies, so the best constant of a column is the weighted share of its
    positives, with weights w_ij / sum_j w_ij.
    """
    weights = _weights_of(truths)
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    columns = weights.sum(axis=0)
    return np.divide((weights * (truths == 1)).sum(axis=0), columns, out=np.full(8, 0.5), where=columns > 0)


# --- together -----------------------------------------------------------------------------------


def figures(
    scores: np.ndarray, probabilities: np.ndarray, truths: np.ndarray, groups: np.ndarray, *,
    called: dict[str, np.ndarray], seed: int = 0, draws: int = DRAWS,
) -> dict[str, Any]:  # fmt: skip
    """Everything about one set of answers, beside its baselines.

    scores: what is ranked. probabilities: the same, calibrated. called: by operating point, what is called.
    """
    truths = np.asarray(truths, bool)
    weights = patient_draws(groups, seed=seed, draws=draws)
    return {
        "n": len(truths),
        "fractured": int(truths.sum()),
        "patients": len(np.unique(groups)),
        **ranking(scores, truths, groups, weights),
        "brier": brier(probabilities, truths),
        "ece": ece(probabilities, truths),
        "operating points": {point: calls(chosen, truths, groups, weights) for point, chosen in called.items()},
        "baselines": baselines(truths),
    }


def drawn_by_patient(
    figure: Callable[[np.ndarray], float | None], patients: int, *, seed: int = 0, draws: int = 200
) -> list[float] | None:
    """The interval of any figure of patients' indices [n], for what can't be worked out for all draws at once."""
    if patients < 2:
        return None
    generator = np.random.default_rng(seed)
    values = [figure(generator.integers(patients, size=patients)) for _ in range(draws)]
    return interval(np.array([np.nan if value is None else value for value in values], float))
