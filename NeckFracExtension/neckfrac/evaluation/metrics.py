"""Figures for a set of probabilities and truths, never without what doing nothing clever would score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TOLERANCES = (1.0, 2.0)  # mm, of the surface Dice


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


def dice(a: np.ndarray, b: np.ndarray) -> float | None:
    """Dice of two masks; None when both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else None


def level_figures(answer: np.ndarray, truth: np.ndarray, spacing: Sequence[float]) -> dict[str, float | None]:
    """Dice, surface Dice at TOLERANCES and 95 % Hausdorff distance (mm) of one level's masks [z, y, x].

    spacing: mm along z, y, x. truth must not be empty. When the answer is, the overlaps are 0 and the distance None.
    Surface Dice: Nikolov et al. 2021, doi:10.2196/26151; both as MONAI computes them, on the box of both masks.
    """
    import warnings

    import torch
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    names = [f"surface dice {tolerance:g} mm" for tolerance in TOLERANCES]
    if not answer.any():
        return {"dice": 0.0, **dict.fromkeys(names, 0.0), "hausdorff95 mm": None}
    box = _box(answer | truth)
    a, t = (torch.from_numpy(np.ascontiguousarray(np.pad(mask[box], 1)))[None, None] for mask in (answer, truth))
    options = {"include_background": True, "spacing": [float(value) for value in spacing]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # MONAI 1.5 warns of an argument that it sets itself
        surface = {
            name: float(compute_surface_dice(a, t, [tolerance], **options)[0, 0])
            for name, tolerance in zip(names, TOLERANCES, strict=True)
        }
        distance = float(compute_hausdorff_distance(a, t, percentile=95, **options)[0, 0])
    return {"dice": dice(answer[box], truth[box]), **surface, "hausdorff95 mm": distance}


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds a mask's voxels."""
    box = []
    for axis in range(mask.ndim):
        where = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(int(where[0]), int(where[-1]) + 1))
    return tuple(box)


def rate(right: int, count: int) -> dict[str, object]:
    """A share with its 95 % interval (Wilson); both None of nothing."""
    from scipy.stats import binomtest

    if not count:
        return {"right": 0, "count": 0, "rate": None, "interval": None}
    interval = binomtest(int(right), int(count)).proportion_ci(method="wilson")
    return {
        "right": int(right), "count": int(count), "rate": right / count,
        "interval": [float(interval.low), float(interval.high)],
    }  # fmt: skip


def mean(groups: Sequence[Sequence[float]], *, seed: int = 0, draws: int = 2000) -> dict[str, object]:
    """The mean of all values and its 95 % bootstrap interval, for values that come in groups: a study's levels.

    Whole groups are drawn, because the levels of one study are not independent of each other.
    """
    groups = [np.asarray(group, float) for group in groups if len(group)]
    if not groups:
        return {"count": 0, "mean": None, "interval": None}
    sums, counts = np.array([group.sum() for group in groups]), np.array([len(group) for group in groups])
    chosen = np.random.default_rng(seed).integers(len(groups), size=(draws, len(groups)))
    means = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    interval = [float(value) for value in np.quantile(means, (0.025, 0.975))]
    return {"count": int(counts.sum()), "mean": float(sums.sum() / counts.sum()), "interval": interval}
