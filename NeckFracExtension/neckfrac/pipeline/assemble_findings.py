"""Conclude: probabilities, thresholds and what was in view become the study's Findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..anatomy import LEVEL_NAMES
from ..findings import NEGATIVE, NOT_SEEN, WHOLE, Box, Explanation, Findings, Naming, VertebraFinding, patient_status
from ..measurement import Measurement
from ..progress import Progress
from ..study_warning import StudyWarning
from .combine import LEVELS_MEMBER, PATIENT, Ensemble, any_of, combine, combine_levels

if TYPE_CHECKING:
    from ..intake.study import Study
    from ..members import MemberPrediction
    from .engine import Networks


def level_probabilities(
    predictions: dict[str, MemberPrediction], ensemble: Ensemble, seen: list[str]
) -> dict[str, float]:
    """The ensemble's probability of each level that is seen and that at least one member has a prediction of."""
    return combine_levels({name: members_of(predictions, name) for name in seen}, ensemble.levels, ensemble.context)


def members_of(predictions: dict[str, MemberPrediction], level: str) -> dict[str, float]:
    """Each member's probability of one level."""
    return {member: one.levels[level] for member, one in predictions.items() if level in one.levels}


def patient_members(predictions: dict[str, MemberPrediction], probabilities: dict[str, float]) -> dict[str, float]:
    """The patient's probability as each patient-level member sees it, and from the levels."""
    members = {member: one.patient for member, one in predictions.items() if one.patient is not None}
    return {**members, LEVELS_MEMBER: any_of(probabilities.values())}


def conclude(
    study: Study,
    networks: Networks,
    operating_point: str,
    progress: Progress,
    *,
    centers: dict[str, tuple[float, float, float]] | None = None,
    shares: dict[str, float] | None = None,
    predictions: dict[str, MemberPrediction] | None = None,
    probabilities: dict[str, float] | None = None,
    regions: dict[str, Box] | None = None,
    naming: Naming = Naming(),
    explanation: Explanation = Explanation(),
    measurements: tuple[Measurement, ...] = (),
) -> Findings:
    """The Findings; without probabilities every level is "not seen" and so is the patient's answer."""
    centers, shares, predictions = centers or {}, shares or {}, predictions or {}
    probabilities, regions = probabilities or {}, regions or {}
    thresholds = networks.ensemble.thresholds[operating_point]
    levels = []
    for name in LEVEL_NAMES:
        place = {"center": centers.get(name), "share_in_view": shares.get(name, 0.0)}
        if name not in probabilities:
            levels.append(VertebraFinding(name, NOT_SEEN, **place))
            continue
        members = members_of(predictions, name)
        uncalled = VertebraFinding(name, NEGATIVE, probabilities[name], members, region=regions.get(name), **place)
        levels.append(uncalled.at(uncalled.threshold_at(networks.ensemble.thresholds, operating_point)))
    members = patient_members(predictions, probabilities) if probabilities else {}
    patient = combine(members, networks.ensemble.patient) if probabilities else None
    return Findings(
        study=study.identity,
        levels=tuple(levels),
        patient_status=patient_status(tuple(levels), patient, thresholds[PATIENT]),
        patient_probability=patient,
        patient_members=members,
        patient_threshold=thresholds[PATIENT],
        operating_point=operating_point,
        models=tuple(bundle.identity for name, bundle in networks.bundles.items() if name not in networks.idle),
        warnings=tuple(progress.warnings),
        timings=progress.timings,  # the very dict: the stages that follow still add theirs
        geometry={
            "shape": list(study.volume.shape),
            "spacing": [float(value) for value in study.volume.spacing],
            "affine": study.volume.affine.tolist(),
        },
        naming=naming,
        explanation=explanation,
        prevalence=networks.ensemble.prevalence,
        thresholds=networks.ensemble.thresholds,
        measurements=measurements,
    )


def chain_warnings(seen: list[str], shares: dict[str, float]) -> list[StudyWarning]:
    """What a reader must know of the levels: gaps in the chain, levels that the scan's edge cuts, absent ones."""
    warnings = []
    if seen:
        first, last = LEVEL_NAMES.index(seen[0]), LEVEL_NAMES.index(seen[-1])
        missing = [name for name in LEVEL_NAMES[first : last + 1] if name not in seen]
        if missing:
            text = f"Not found between its neighbours: {', '.join(missing)}. Check the levels' names."
            warnings.append(StudyWarning("level-missing-between", text, {"levels": missing}))
    partly = {name: shares[name] for name in seen if shares[name] < WHOLE}
    if partly:
        listed = ", ".join(f"{name} ({share:.0%})" for name, share in partly.items())
        text = f"Only partly in view: {listed}."
        warnings.append(StudyWarning("levels-partly-in-view", text, {"share_in_view": partly}))
    absent = [name for name in LEVEL_NAMES if name not in seen]
    if absent:
        text = f"Not seen, so nothing is said of: {', '.join(absent)}."
        warnings.append(StudyWarning("levels-not-seen", text, {"levels": absent}))
    return warnings
