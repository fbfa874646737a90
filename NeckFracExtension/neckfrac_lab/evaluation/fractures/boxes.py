"""Figures of the boxes that are drawn around suspected fractures: hits, false positives, and whose level they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from neckfrac.comparison.intervals import rate
from neckfrac.findings import Box

from .metrics import FEW, called_from_the_top, interval, patient_draws

HIT = 0.2  # intersection over union above which a box counts as a hit
FALSE_POSITIVES = (0.5, 1.0, 2.0, 4.0, 8.0)  # a study


@dataclass(frozen=True)
class Marked:
    """A box (mm, LPS), the level it is at ("" when unknown), and for an answer how probable it is."""

    box: Box
    level: str = ""
    probability: float = 1.0


@dataclass(frozen=True)
class Judged:
    """One answered box: whether it hit a true one, and whether it named that one's level (None: not known)."""

    probability: float
    hit: bool
    level_right: bool | None = None


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes in mm^3; 0 when both are empty."""
    lower, upper = np.maximum(a.lower, b.lower), np.minimum(a.upper, b.upper)
    shared = float(np.prod(np.maximum(upper - lower, 0)))
    total = float(np.prod(a.size) + np.prod(b.size)) - shared
    return shared / total if total > 0 else 0.0


def judge(answers: Sequence[Marked], truths: Sequence[Marked]) -> list[Judged]:
    """One study's boxes against the true ones, the most probable first; each takes the true box it overlaps most.

    A true box is hit once: a second box on it is a false positive.
    """
    left, judged = list(truths), []
    for answer in sorted(answers, key=lambda marked: -marked.probability):
        overlaps = [overlap(answer.box, truth.box) for truth in left]
        if not overlaps or max(overlaps) <= HIT:
            judged.append(Judged(answer.probability, False))
            continue
        truth = left.pop(int(np.argmax(overlaps)))
        named = answer.level == truth.level if answer.level and truth.level else None
        judged.append(Judged(answer.probability, True, named))
    return judged


def froc(studies: Sequence[tuple[Sequence[Judged], int]]) -> dict[str, Any]:
    """Sensitivity for boxes at FALSE_POSITIVES a study, and the curve; studies: (judged boxes, count of true ones).

    At a rate stands the largest sensitivity of a threshold with at most that many false positives: nothing is
    interpolated. The curve's points are MONAI's (`compute_froc_curve_data`). None without a true box.
    """
    from monai.metrics import compute_froc_curve_data

    targets = sum(count for _, count in studies)
    if not targets:
        return {"fractures": 0, "studies": len(studies), "curve": None, "sensitivity": None}
    judged = [box for boxes, _ in studies for box in boxes]
    # MONAI leaves out the lowest value, as that is the 0 of a missed target; so one 0 is always given.
    false = np.array([0.0, *(box.probability for box in judged if not box.hit)])
    hits = np.array([box.probability for box in judged if box.hit])
    rates, sensitivities = compute_froc_curve_data(false, hits, targets, len(studies))
    curve = sorted({(0.0, 0.0), *zip(rates.tolist(), sensitivities.tolist(), strict=True)})
    return {
        "fractures": targets,
        "studies": len(studies),
        "sensitivity": {
            f"{wanted:g}": max(sensitivity for found, sensitivity in curve if found <= wanted + 1e-9)
            for wanted in FALSE_POSITIVES
        },
        "curve": {"false positives a study": [x for x, _ in curve], "sensitivity": [y for _, y in curve]},
    }


def froc_intervals(studies: Sequence[tuple[Sequence[Judged], int]], *, seed: int = 0) -> dict[str, list[float] | None]:
    """95 % intervals of the sensitivities of `froc`, over studies drawn with replacement; None when there are FEW."""
    targets = np.array([count for _, count in studies])
    if np.count_nonzero(targets) < FEW:
        return {f"{wanted:g}": None for wanted in FALSE_POSITIVES}
    drawn = patient_draws(np.arange(len(studies)), seed=seed)
    index = np.repeat(np.arange(len(studies)), [len(boxes) for boxes, _ in studies])
    judged = [box for boxes, _ in studies for box in boxes]
    probabilities, hit = np.array([b.probability for b in judged], float), np.array([b.hit for b in judged], bool)
    hits, false, _ = called_from_the_top(probabilities, hit, drawn[:, index])
    total, result = drawn @ targets, {}
    for wanted in FALSE_POSITIVES:
        best = np.where(false <= wanted * len(studies) + 1e-9, hits, 0).max(axis=1)
        values = np.divide(best, total, out=np.full(len(best), np.nan), where=total > 0)
        result[f"{wanted:g}"] = interval(values)
    return result


def at_operating_point(studies: Sequence[tuple[Sequence[Judged], int]]) -> dict[str, Any]:
    """Of the boxes that are shown: the share that hit, the share of fractures hit, and of hits with the right level."""
    judged = [box for boxes, _ in studies for box in boxes]
    hits = [box for box in judged if box.hit]
    named = [box.level_right for box in hits if box.level_right is not None]
    return {
        "ppv": rate(len(hits), len(judged)),
        "sensitivity": rate(len(hits), sum(count for _, count in studies)),
        "false positives a study": (len(judged) - len(hits)) / len(studies) if studies else None,
        "level agreement": rate(sum(named), len(named)),
    }
