"""Figures for a set of probabilities and truths, never without what doing nothing clever would score."""

from __future__ import annotations

import numpy as np


def auc(probabilities: np.ndarray, truths: np.ndarray) -> float | None:
    """Area under the ROC curve; None when only one class is there."""
    import torch
    from monai.metrics import compute_roc_auc

    truths = np.asarray(truths, dtype=bool)
    if truths.all() or not truths.any():
        return None
    return float(compute_roc_auc(torch.as_tensor(np.asarray(probabilities)), torch.as_tensor(truths.astype(int))))


def at_threshold(probabilities: np.ndarray, truths: np.ndarray, threshold: float) -> dict[str, float | None]:
    """Sensitivity, specificity, F1 and F2 of calling what reaches the threshold; None where undefined."""
    truths = np.asarray(truths, dtype=bool)
    called = np.asarray(probabilities) >= threshold
    hits, misses = int((called & truths).sum()), int((~called & truths).sum())
    false, right = int((called & ~truths).sum()), int((~called & ~truths).sum())

    def f_score(beta: float) -> float:
        weight = beta**2
        total = (1 + weight) * hits + weight * misses + false
        return (1 + weight) * hits / total if total else 0.0

    return {
        "sensitivity": hits / (hits + misses) if hits + misses else None,
        "specificity": right / (right + false) if right + false else None,
        "f1": f_score(1),
        "f2": f_score(2),
    }


def summary(probabilities: np.ndarray, truths: np.ndarray, threshold: float) -> dict[str, object]:
    """AUC and the figures at the threshold, beside the always-positive baseline."""
    return {
        "n": len(truths),
        "fractured": int(np.sum(truths)),
        "auc": auc(probabilities, truths),
        "threshold": threshold,
        **at_threshold(probabilities, truths, threshold),
        "always positive": at_threshold(np.ones(len(truths)), truths, 0.5),
    }


def threshold_for(probabilities: np.ndarray, truths: np.ndarray, *, sensitivity=None, specificity=None) -> float:
    """The threshold that reaches a sensitivity or a specificity; without either, the best of their sum (Youden)."""
    truths = np.asarray(truths, dtype=bool)
    values = np.unique(probabilities)
    # Half way between values, so that a threshold is not one case's own probability.
    candidates = np.concatenate([[values[0] / 2], (values[:-1] + values[1:]) / 2, [(1 + values[-1]) / 2]])
    reached = np.array([[(probabilities[truths] >= c).mean(), (probabilities[~truths] < c).mean()] for c in candidates])
    if sensitivity is not None:
        return float(candidates[np.flatnonzero(reached[:, 0] >= sensitivity)[-1]])
    if specificity is not None:
        return float(candidates[np.flatnonzero(reached[:, 1] >= specificity)[0]])
    return float(candidates[int(np.argmax(reached.sum(axis=1)))])


def dice(a: np.ndarray, b: np.ndarray) -> float | None:
    """Dice of two masks; None when both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else None
