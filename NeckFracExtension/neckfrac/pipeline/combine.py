"""Combine: the members' predictions become one probability a level and one for the patient."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ..anatomy import LEVEL_NAMES, N_LEVELS
from ..errors import InputError
from ..options import OPERATING_POINTS
from ..study_warning import StudyWarning

PATIENT = "patient"
LEVELS_MEMBER = "levels"  # stands for 1 - prod(1 - p) among the patient's members
PREVALENCE = 0.05  # of fractured patients among those scanned, for which probabilities hold unless told otherwise
# Fractured levels of a fractured patient among the 961 of the RSNA 2022 training set.
FRACTURED_LEVELS = 1444 / 961
# Of the ensemble on simulated vertebrae, below which every result carries a caveat: what detectors that were trained on
# patients reach on theirs lies above it.
LEAST_AUC = 0.9
LEAST_CONTEXT = 4  # levels of a study from which their median says something of the study


def logit(probability: float) -> float:
    probability = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(probability / (1 - probability))


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def level_prevalence(prevalence: float) -> float:
    """The share of fractured levels where so many patients are fractured."""
    return prevalence * FRACTURED_LEVELS / N_LEVELS


@dataclass(frozen=True)
class Member:
    """A member's weight and its calibration: logit' = slope * logit + offset (Platt scaling)."""

    weight: float = 1.0
    slope: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Context:
    """How far a level is judged against the other levels of its study, which share its scan and its wear.

    share: of the study's median logit, less `usual` (what it usually is), that is taken from each level's logit.
    """

    share: float = 0.0
    usual: float = 0.0

    def __call__(self, logits: dict[str, float]) -> dict[str, float]:
        """The levels' logits as they stand out of their study; fewer than LEAST_CONTEXT stay as they are."""
        if not self.share or len(logits) < LEAST_CONTEXT:
            return dict(logits)
        shift = self.share * (median(logits.values()) - self.usual)
        return {name: value - shift for name, value in logits.items()}


@dataclass(frozen=True)
class Ensemble:
    """How members are weighed and where the thresholds lie; fitted on simulated studies set aside for it.

    levels, patient: members by bundle name; "levels" among the patient's members stands for
    1 - prod(1 - p) over the levels. thresholds[operating point][level or "patient"].
    prevalence: share of fractured patients at which the probabilities hold. context: of a level.
    """

    levels: dict[str, Member]
    patient: dict[str, Member]
    thresholds: dict[str, dict[str, float]]
    measured: dict[str, Any]
    prevalence: float = PREVALENCE
    context: Context = Context()

    @classmethod
    def read(cls, path: Path) -> Ensemble:
        """Read ``ensemble.json``. Raises InputError when it is missing or does not hold what is needed."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            thresholds = {point: dict(content["thresholds"][point]) for point in OPERATING_POINTS}
            if any(set(values) != {*LEVEL_NAMES, PATIENT} for values in thresholds.values()):
                raise KeyError("a threshold for each level and the patient")
            members = [{name: Member(**m) for name, m in content[key].items()} for key in ("levels", PATIENT)]
            prevalence = float(content.get("prevalence", PREVALENCE))
            context = Context(**content.get("context", {}))
            return cls(*members, thresholds, content.get("measured", {}), prevalence, context)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"The ensemble's settings can't be read: {error}",
                where=path,
                advice="Restore the file from the release.",
            ) from error

    def weight(self, name: str) -> float:
        """How much a member counts; 0 for one that it was not fitted with."""
        return self.levels[name].weight if name in self.levels else 0.0

    def counts(self, name: str) -> bool:
        """Whether a member moves any probability; one that was not fitted here was added to be compared."""
        of_both = [members[name].weight for members in (self.levels, self.patient) if name in members]
        return any(of_both) or not of_both

    def suspected(self, probabilities: dict[str, float]) -> list[str]:
        """The levels that are called at one operating point at least."""
        least = {name: min(values[name] for values in self.thresholds.values()) for name in probabilities}
        return [name for name, probability in probabilities.items() if probability >= least[name]]

    def caveat(self) -> StudyWarning | None:
        """What a reader must know of how well fractures were told apart when it was measured; None when well."""
        whole = self.measured.get("ensemble", {})
        if whole.get("auc") is None or whole["auc"] >= LEAST_AUC:
            return None
        text = (
            f"Do not rely on the fracture calls: on {whole['n']} levels of held-out simulated studies these networks "
            f"reached an AUC of {whole['auc']:.2f} (chance is 0.50), sensitivity {whole['sensitivity']:.2f} at "
            f"specificity {whole['specificity']:.2f}; calling everything fractured reaches 1.00 at 0.00."
        )
        figures = {key: whole[key] for key in ("n", "auc", "sensitivity", "specificity")}
        return StudyWarning("calls-unreliable", text, figures)

    def write(self, path: Path) -> None:
        content = {
            "levels": {name: vars(member) for name, member in self.levels.items()},
            PATIENT: {name: vars(member) for name, member in self.patient.items()},
            "thresholds": self.thresholds,
            "prevalence": self.prevalence,
            "context": vars(self.context),
            "measured": self.measured,
        }
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def combine(predictions: dict[str, float], members: dict[str, Member]) -> float | None:
    """The weighted mean of the calibrated logits, as a probability; members without one are left out."""
    present = {name: members[name] for name in predictions if name in members and members[name].weight > 0}
    total = sum(member.weight for member in present.values())
    if not total:
        return None
    mean = sum(m.weight * (m.slope * logit(predictions[name]) + m.offset) for name, m in present.items()) / total
    return sigmoid(mean)


def combine_levels(
    told: dict[str, dict[str, float]], members: dict[str, Member], context: Context = Context()
) -> dict[str, float]:
    """The probability of each level that a member that counts has told of; told: by level, each member's own."""
    combined = {name: combine(of_level, members) for name, of_level in told.items()}
    logits = {name: logit(p) for name, p in combined.items() if p is not None}
    return {name: sigmoid(value) for name, value in context(logits).items()}


def any_of(probabilities: Iterable[float]) -> float:
    """1 - prod(1 - p): the patient's probability if the levels were independent."""
    none = 1.0
    for probability in probabilities:
        none *= 1 - probability
    return 1 - none
