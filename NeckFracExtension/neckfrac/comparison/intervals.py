"""Shares and means with their 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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
