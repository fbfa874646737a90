"""What each respondent says of every record: the ensemble, and each member as if it were alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.pipeline.combine import Ensemble, Member, any_of, level_prevalence, logit, sigmoid

Record = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Answer:
    """One respondent's probabilities of each record: as it ranks, and calibrated; the patient's.

    here: the calibrated ones, and patients_here the patient's, at the share of fractures among these records.
    """

    scores: list[dict[str, float]]
    probabilities: list[dict[str, float]]
    patients: list[float]
    here: list[dict[str, float]]
    patients_here: list[float]


def of_ensemble(records: list[Record], ensemble: Ensemble) -> Answer:
    """The ensemble's own answer; 0 where nothing was said."""
    levels = [{name: r["probabilities"][name] or 0.0 for name in LEVEL_NAMES} for r in records]
    patients = [r["patient probability"] or 0.0 for r in records]
    return Answer(levels, levels, patients, *_moved_here(records, levels, patients, ensemble))


def of_member(records: list[Record], name: str, ensemble: Ensemble) -> Answer:
    """One member as if it were alone; its patient is its own patient head, or 1 - prod(1 - p) over the levels."""
    scores = [{level: r["members"].get(name, {}).get(level) or 0.0 for level in LEVEL_NAMES} for r in records]
    member, head = ensemble.levels.get(name, Member()), ensemble.patient.get(name, Member())
    calibrated = [{k: _calibrated(p, member) if p else 0.0 for k, p in levels.items()} for levels in scores]
    patients = []
    for record, levels in zip(records, calibrated, strict=True):
        own = record["patient members"].get(name)
        patients.append(any_of(levels.values()) if own is None else _calibrated(own, head))
    return Answer(scores, calibrated, patients, *_moved_here(records, calibrated, patients, ensemble))


def _moved_here(records: list[Record], levels: list[dict[str, float]], patients: list[float], ensemble: Ensemble):
    """Probabilities of levels and patients as they hold for the share of fractures among these records."""
    truths = np.array([records[n]["truth"][name] for n, name in judged_levels(records)], float)
    level = _shift(level_prevalence(ensemble.prevalence), truths)
    known = np.array([r["patient truth"] for r in records if r["patient truth"] is not None], float)
    patient = _shift(ensemble.prevalence, known)
    moved = [{name: _moved(p, level) for name, p in of_one.items()} for of_one in levels]
    return moved, [_moved(p, patient) for p in patients]


def _shift(assumed: float, truths: np.ndarray) -> float:
    """What to add to a logit so that it holds for the share of these truths; 0 when there is one class only."""
    share = float(truths.mean()) if len(truths) else 0.0
    return logit(share) - logit(assumed) if 0 < share < 1 else 0.0


def _moved(probability: float, shift: float) -> float:
    """0, that nothing was said, stays 0."""
    return sigmoid(logit(probability) + shift) if probability else 0.0


def _calibrated(probability: float, member: Member) -> float:
    return sigmoid(member.slope * logit(probability) + member.offset)


def judged_levels(records: list[Record], names: Iterable[str] = LEVEL_NAMES) -> list[tuple[int, str]]:
    """(record's number, level) of the levels whose truth is known."""
    names = tuple(names)
    return [(n, name) for n, r in enumerate(records) for name in names if r["truth"][name] is not None]


def pairs(
    records: list[Record], values: list[dict[str, float]], names: Iterable[str] = LEVEL_NAMES
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and truths of the levels whose truth is known."""
    judged = judged_levels(records, names)
    probabilities = np.array([values[n][name] for n, name in judged], float)
    return probabilities, np.array([records[n]["truth"][name] for n, name in judged], bool)


def patient_pairs(records: list[Record], values: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and truths of the patients whose truth is known."""
    kept = [n for n, r in enumerate(records) if r["patient truth"] is not None]
    return np.array([values[n] for n in kept], float), np.array([records[n]["patient truth"] for n in kept], bool)
