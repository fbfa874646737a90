"""Records of single studies become figures: the ensemble, each member alone, baselines, strata, and what it took."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.comparison.intervals import mean, rate
from neckfrac.findings import Box
from neckfrac.pipeline.combine import OPERATING_POINTS, PATIENT, Ensemble

from .answers import Answer, Record, judged_levels, of_ensemble, of_member, pairs, patient_pairs
from .boxes import Marked, at_operating_point, froc, froc_intervals, judge
from .metrics import (
    best_constant,
    calls,
    competition_loss,
    drawn_by_patient,
    figures,
    lead,
    patient_draws,
    ranking,
    reliability,
    roc_curve,
)

COUNTED = (
    "A level counts when it is in view. One that the segmentation missed has no probability and counts as 0: a "
    "fracture there is a miss. Of a member alone, what it ranks is its own probability; its calls and calibration are "
    "those of the probability as the ensemble calibrates it, at the ensemble's thresholds. Sensitivity at a "
    "specificity is read off these very cases, which flatters small samples. Probabilities hold for the share of "
    "fractures that the ensemble was calibrated for; Brier, ECE, the reliability curve and the competition's loss are "
    "of probabilities whose logits were moved to the share among these cases, which the constant baselines know too."
)
ERRORS = 6  # of each kind that are shown
OF_FRACTURES = ("fracture kind", "severity", "visibility")  # strata that only fractured levels have


def summarise(
    records: list[Record], ensemble: Ensemble, *, members: Iterable[str] = (), seed: int = 0
) -> dict[str, Any]:
    """Everything about these records, ready for JSON. members: who is judged even where none was ever asked."""
    names = sorted({*members, *(name for record in records for name in record["members"])})
    answer = of_ensemble(records, ensemble)
    judged = [(r, level) for r in records for level in LEVEL_NAMES if r["truth"][level] is not None]
    unseen = [bool(r["truth"][level]) for r, level in judged if r["probabilities"][level] is None]
    return {
        "studies": len(records),
        "fractured studies": sum(r["patient truth"] is True for r in records),
        "studies that may or may not be fractured": sum(r["patient truth"] is None for r in records),
        "counted": COUNTED,
        "levels in view": len(judged),
        "levels missed": {"fractured": sum(unseen), "intact": len(unseen) - sum(unseen)},
        "thresholds": ensemble.thresholds,
        "ensemble": {
            **respondent(records, answer, ensemble, seed),
            "by level": {name: of_levels(records, answer, ensemble, seed, names=(name,)) for name in LEVEL_NAMES},
            "roc": {
                "levels": roc_curve(*pairs(records, answer.scores)),
                "patient": roc_curve(*patient_pairs(records, answer.patients)),
            },
            "reliability": reliability(*pairs(records, answer.here)),
            "boxes": of_boxes(records, ensemble, seed),
        },
        "members": {name: alone(records, of_member(records, name, ensemble), answer, ensemble, seed) for name in names},
        "strata": of_strata(records, answer, ensemble, seed),
        "spine": of_spine(records),
        "cost": of_cost(records),
        "errors": [
            {"kind": kind, "case": record["case"], "level": level, "probability": probability}
            for kind, record, level, probability in worst(records, ensemble.thresholds)
        ],
    }


# --- levels and patients ------------------------------------------------------------------------


def respondent(records: list[Record], answer: Answer, ensemble: Ensemble, seed: int) -> dict[str, Any]:
    """The figures of levels and patients, and the competition's loss."""
    return {
        "levels": of_levels(records, answer, ensemble, seed),
        "patient": of_patients(records, answer, ensemble, seed),
        "competition loss": of_loss(records, answer, seed),
    }


def alone(
    records: list[Record], answer: Answer, together: Answer, ensemble: Ensemble, seed: int
) -> dict[str, Any]:
    """A member's figures, with the ranking of each level, and by how much the ensemble (together) ranks better."""
    by_level, kept = {}, [n for n, r in enumerate(records) if r["patient truth"] is not None]
    (ours, truths), (theirs, _) = (pairs(records, one.scores) for one in (together, answer))
    (our_patients, broken), (their_patients, _) = (patient_pairs(records, one.patients) for one in (together, answer))
    groups = np.array([n for n, _ in judged_levels(records)], int)
    leads = {
        "levels": lead(ours, theirs, truths, groups, seed=seed),
        "patient": lead(our_patients, their_patients, broken, np.array(kept, int), seed=seed),
    }
    for name in LEVEL_NAMES:
        scores, truths = pairs(records, answer.scores, (name,))
        groups = np.array([n for n, _ in judged_levels(records, (name,))], int)
        by_level[name] = ranking(scores, truths, groups, patient_draws(groups, seed=seed))
    return {**respondent(records, answer, ensemble, seed), "by level": by_level, "lead of the ensemble": leads}


def of_levels(
    records: list[Record], answer: Answer, ensemble: Ensemble, seed: int, *, names: Iterable[str] = LEVEL_NAMES
) -> dict[str, Any]:
    """`figures` of the levels whose truth is known."""
    names = tuple(names)
    scores, truths = pairs(records, answer.scores, names)
    probabilities, _ = pairs(records, answer.probabilities, names)
    here, _ = pairs(records, answer.here, names)
    levels = np.array([level for _, level in judged_levels(records, names)], dtype=object)
    groups = np.array([n for n, _ in judged_levels(records, names)], int)
    called = {
        point: probabilities >= np.array([ensemble.thresholds[point][level] for level in levels], float)
        for point in OPERATING_POINTS
    }
    return figures(scores, here, truths, groups, called=called, seed=seed)


def of_patients(records: list[Record], answer: Answer, ensemble: Ensemble, seed: int) -> dict[str, Any]:
    """`figures` of the patients; one is called when a level or the patient's own probability reaches its threshold."""
    probabilities, truths = patient_pairs(records, answer.patients)
    here, _ = patient_pairs(records, answer.patients_here)
    kept = [n for n, r in enumerate(records) if r["patient truth"] is not None]
    called = {}
    for point, thresholds in ensemble.thresholds.items():
        by_level = [any(p >= thresholds[level] for level, p in answer.probabilities[n].items()) for n in kept]
        called[point] = (probabilities >= thresholds[PATIENT]) | np.array(by_level, bool)
    return figures(probabilities, here, truths, np.array(kept, int), called=called, seed=seed)


def of_loss(records: list[Record], answer: Answer, seed: int) -> dict[str, Any]:
    """The RSNA 2022 loss beside 0.5 throughout and the best constants on these very studies."""
    answers = zip(answer.here, answer.patients_here, strict=True)
    p = np.array([[*(levels[name] for name in LEVEL_NAMES), patient] for levels, patient in answers])
    t = np.array([[r["truth"][n] for n in LEVEL_NAMES] + [r["patient truth"]] for r in records], float)
    constant = np.broadcast_to(best_constant(t), t.shape)
    return {
        "value": competition_loss(p, t),
        "interval": drawn_by_patient(lambda chosen: competition_loss(p[chosen], t[chosen]), len(t), seed=seed),
        "0.5 throughout": competition_loss(np.full(t.shape, 0.5), t),
        "best constant": competition_loss(constant, t),
    }


# --- boxes --------------------------------------------------------------------------------------


def of_boxes(records: list[Record], ensemble: Ensemble, seed: int) -> dict[str, Any]:
    """FROC and operating points of the boxes, beside a box around every segmented vertebra; None without truth."""
    marked = [r for r in records if r["true boxes"] is not None]
    if not marked:
        return {"studies": 0}

    def judged(key: str, keep: Callable[[Marked], bool] = lambda box: True) -> list:
        read = [([b for b in map(_read, r[key]) if keep(b)], list(map(_read, r["true boxes"]))) for r in marked]
        return [(judge(answers, truths), len(truths)) for answers, truths in read]

    every, everywhere = judged("boxes"), judged("vertebrae")
    return {
        "studies": len(marked),
        "ensemble": {**froc(every), "intervals": froc_intervals(every, seed=seed)},
        "operating points": {
            point: at_operating_point(judged("boxes", lambda b, t=limits: b.probability >= t[b.level]))
            for point, limits in ensemble.thresholds.items()
        },
        "baselines": {
            "always positive: a box around every segmented vertebra": with_rates(everywhere),
            "constant majority: no box": with_rates([([], count) for _, count in every]),
        },
    }


def with_rates(studies: list) -> dict[str, Any]:
    """`at_operating_point`, and the sensitivity at the rates of the FROC."""
    return {**at_operating_point(studies), "at false positives": froc(studies)["sensitivity"] or {}}


def _read(told: dict[str, Any]) -> Marked:
    return Marked(Box(tuple(told["lower"]), tuple(told["upper"])), told["level"], told["probability"])


# --- groups -------------------------------------------------------------------------------------


def of_strata(records: list[Record], answer: Answer, ensemble: Ensemble, seed: int) -> dict[str, Any]:
    """By group: AUC and, at the balanced point, sensitivity and specificity of its levels.

    What only fractures have is ranked against all intact levels, a look-alike against all fractured ones.
    """
    judged = judged_levels(records)
    scores, truths = pairs(records, answer.scores)
    probabilities, _ = pairs(records, answer.probabilities)
    numbers = np.array([n for n, _ in judged], int)
    limits = np.array([ensemble.thresholds["balanced"][level] for _, level in judged], float)
    groups: dict[str, dict[str, list[bool]]] = {}
    of_studies = [records[n]["strata"] for n, _ in judged]
    of_single_levels = [records[n]["level strata"].get(level, {}) for n, level in judged]
    for of_one in (of_studies, of_single_levels):
        for name in sorted({name for strata in of_one for name in strata}):
            for value in sorted({strata[name] for strata in of_one if name in strata}):
                groups.setdefault(name, {})[value] = [strata.get(name) == value for strata in of_one]
    result: dict[str, Any] = {}
    for name, values in groups.items():
        for value, inside in values.items():
            inside = np.array(inside)
            against = ~truths if name in OF_FRACTURES else truths if name == "look-alike" else False
            ranked = inside | against
            weights, own = (patient_draws(numbers[chosen], seed=seed) for chosen in (ranked, inside))
            called = calls(probabilities[inside] >= limits[inside], truths[inside], numbers[inside], own)
            result.setdefault(name, {})[value] = {
                "levels": int(inside.sum()),
                "fractured": int(truths[inside].sum()),
                "auc": ranking(scores[ranked], truths[ranked], numbers[ranked], weights)["auc"],
                "sensitivity": called["sensitivity"],
                "specificity": called["specificity"],
            }
    return result


# --- the rest -----------------------------------------------------------------------------------


def of_spine(records: list[Record]) -> dict[str, Any]:
    """How the levels were found and named, on which everything about fractures rests."""
    judged = [r["spine"] for r in records if r["spine"] is not None]

    def share(name: str, records: list[dict]) -> dict[str, Any]:
        return rate(sum(bool(r[name]) for r in records), len(records))

    return {
        "every level right": share("every level right", [r for r in judged if r["whole"]]),
        "certain and wrong": share("certain and wrong", judged),
        "names certain": share("names certain", records),
        "nothing found": share("nothing found", [{"nothing found": not r["found"]} for r in judged]),
    }


def of_cost(records: list[Record]) -> dict[str, Any]:
    """Seconds by stage, in all, and the peak memory; the study's simulation has no part in them."""
    stages = dict.fromkeys(stage for r in records for stage in r["stages"])
    peaks = [r["peak memory GiB"] for r in records if r["peak memory GiB"] is not None]
    return {
        "seconds": mean([[r["seconds"]] for r in records]),
        "stages": {stage: mean([[r["stages"][stage]] for r in records if stage in r["stages"]]) for stage in stages},
        "peak memory GiB": {"mean": float(np.mean(peaks)), "highest": float(max(peaks))} if peaks else None,
        "largest study": list(max((r["shape"] for r in records), key=np.prod)),
    }


def worst(records: list[Record], thresholds: dict[str, dict[str, float]]) -> list[tuple[str, Record, str, float]]:
    """The fractures that were missed with the lowest and the intact levels that were called with the highest
    probability at the balanced point, ERRORS of each: (kind, record, level, probability)."""
    found = []
    for n, level in judged_levels(records):
        record = records[n]
        p, truth = record["probabilities"][level] or 0.0, record["truth"][level]
        if (p >= thresholds["balanced"][level]) != truth:
            found.append(("missed" if truth else "false alarm", record, level, p))
    missed = sorted((e for e in found if e[0] == "missed"), key=lambda e: e[3])
    alarms = sorted((e for e in found if e[0] == "false alarm"), key=lambda e: -e[3])
    return missed[:ERRORS] + alarms[:ERRORS]
