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
    from sklearn.metrics import fbeta_score, recall_score

    truths = np.asarray(truths, dtype=bool)
    called = np.asarray(probabilities) >= threshold

    def recall(of: bool) -> float | None:
        return float(recall_score(truths, called, pos_label=of)) if (truths == of).any() else None

    def f_score(beta: float) -> float:
        return float(fbeta_score(truths, called, beta=beta, zero_division=0.0)) if len(truths) else 0.0

    return {"sensitivity": recall(True), "specificity": recall(False), "f1": f_score(1), "f2": f_score(2)}


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


def choose(
    sensitivities: np.ndarray, specificities: np.ndarray, *, sensitivity: float | None = None,
    specificity: float | None = None, beta: float | None = None, prevalence: float = 0.5,
) -> int:  # fmt: skip
    """Which of rising thresholds reaches a sensitivity or a specificity, or has the best F of `beta` at a prevalence.

    Without any of these the best sum of both (Youden).
    """
    if sensitivity is not None:
        return int(np.flatnonzero(sensitivities >= sensitivity)[-1])
    if specificity is not None:
        return int(np.flatnonzero(specificities >= specificity)[0])
    if beta is not None:
        found, wrong = prevalence * sensitivities, (1 - prevalence) * (1 - specificities)
        missed = prevalence - found
        # F of beta (van Rijsbergen 1979) from shares of all cases instead of counts.
        return int(np.argmax((1 + beta**2) * found / ((1 + beta**2) * found + beta**2 * missed + wrong)))
    return int(np.argmax(sensitivities + specificities))
