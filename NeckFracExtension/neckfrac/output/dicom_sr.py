"""Findings as a DICOM Structured Report: TID 1500 Measurement Report in a Comprehensive 3D SR (PS3.3 A.35.13)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import DISCLAIMER, __version__
from ..anatomy import LEVEL_BY_NAME
from ..findings import NEGATIVE, POSITIVE, REJECTED, Box, Findings, VertebraFinding
from ..measurement import NO_DIAGNOSIS
from . import dicom_codes as codes
from .dicom_measurements import measurement_groups
from .dicom_source import SourceSeries, need_highdicom, read_source
from .dicom_writing import new_object, new_uid, write_whole

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SERIES_NUMBER = 7002  # far from a scanner's own
CALLS = {POSITIVE: codes.POSITIVE_CALL, NEGATIVE: codes.NEGATIVE_CALL}
# Corners of a box's six faces, each closed and turning outwards; a corner is (x, y, z), 0 the lower, 1 the upper.
FACES = (
    ((0, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 0)),
    ((0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)),
    ((0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)),
    ((0, 1, 0), (0, 1, 1), (1, 1, 1), (1, 1, 0)),
    ((0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0)),
    ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1)),
)


def write_report(path: Path, files: Sequence[str | Path] | SourceSeries, findings: Findings) -> None:
    """Write what `findings` say as a Structured Report; whole or not at all. It is never marked as verified.

    files: of the CT series, in any order. What a reader said of a level (`findings.reviews`) stands beside the call of
    the networks, which stays: a level that was rejected is no fracture any more, one that was added is.
    Raises InputError for a series that is no DICOM or lacks what a result needs, without highdicom, and when it
    can't be written.
    """
    need_highdicom()
    source = read_source(files, findings.study)
    write_whole(path, source, lambda: report(source, findings))


def report(source: SourceSeries, findings: Findings) -> Dataset:
    """The Structured Report as a dataset; see `write_report`.

    TID 1500 with the procedure of CID 100 and the observer of TID 1004; the patient and each level is a measurement
    group: TID 1411 for a finding with a box, TID 1501 for all else. Measurements have
    groups of their own. The disclaimer, what the names depend on and the warnings are comments among the report's
    qualitative evaluations.
    """
    sr = need_highdicom().sr
    groups = [_patient(source, findings), *(_level(source, findings, level) for level in findings.levels)]
    groups += measurement_groups(source, findings)
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=new_uid("device", __version__),
        name="NeckFrac",
        manufacturer_name="NeckFrac",
        model_name=f"NeckFrac {__version__}",
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_device_context=sr.ObserverContext(codes.DEVICE.code(), device)
        ),
        procedure_reported=codes.CT.code(),
        imaging_measurements=groups,
    )
    content[0].ContentSequence.append(_comments(findings))
    return sr.Comprehensive3DSR(
        evidence=source.headers,
        content=content,
        is_complete=True,
        is_final=False,
        is_verified=False,
        coding_schemes=[codes.own_scheme()],
        **new_object("NeckFrac: suspected fractures", SERIES_NUMBER),
    )


def comments(findings: Findings) -> list[str]:
    """What a reader must know before the report is used, most important first."""
    trained = list(dict.fromkeys(model.trained_on for model in findings.models if model.trained_on))
    said = [
        f"{DISCLAIMER} Networks trained on: {'; '.join(trained) or 'not known'}.",
        findings.naming.sentence(),
        findings.note_on_call(),
        *map(str, findings.further_warnings),
        findings.review_state_in_words(),
        *(f"Reader on {review.level}: {review.note}" for review in findings.reviews if review.note),
        findings.prevalence_in_words(),
        *(f"{one.flag}." for one in findings.flagged),
        NO_DIAGNOSIS if findings.flagged else "",
        "The degree of suspicion ranks how far the odds lie above the threshold; it does not grade instability.",
    ]
    return [sentence for sentence in said if sentence]


def _comments(findings: Findings) -> Any:
    import highdicom

    contains = highdicom.sr.RelationshipTypeValues.CONTAINS
    name = codes.QUALITATIVE_EVALUATIONS.code()
    container = highdicom.sr.ContainerContentItem(name=name, relationship_type=contains)
    container.ContentSequence = highdicom.sr.ContentSequence(
        [
            highdicom.sr.TextContentItem(name=codes.COMMENT.code(), value=sentence, relationship_type=contains)
            for sentence in comments(findings)
        ]
    )
    return container


def _patient(source: SourceSeries, findings: Findings) -> Any:
    """The whole cervical spine's probability and call: TID 1501."""
    from highdicom import sr

    networks = [f"{model.step}: {model.name} {model.version}, SHA-256 {model.sha256}" for model in findings.models]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(source, "Cervical spine"),
        algorithm_id=_algorithm(findings, findings.patient_threshold, networks),
        finding_sites=[sr.FindingSite(codes.CERVICAL_SPINE.code())],
        measurements=_probability(findings.patient_probability),
        qualitative_evaluations=[_call(findings.patient_status)],
    )


def _level(source: SourceSeries, findings: Findings, level: VertebraFinding) -> Any:
    """One level: TID 1411 when it is called or a reader added it, and has a box; else TID 1501.

    Finding Site: CID 7603. Only a level that stands as a fracture, after a reader if there was one, has a Finding.
    """
    from highdicom import sr

    known, review = LEVEL_BY_NAME[level.level], findings.review_of(level.level)
    evaluations = [_call(level.status)]
    if level.severity is not None:
        degree = codes.DEGREES[level.severity]
        evaluations.append(sr.QualitativeEvaluation(codes.SUSPICION.code(), degree.code()))
    if review is not None:
        evaluations.append(sr.QualitativeEvaluation(codes.REVIEW.code(), codes.REVIEWS[review.verdict].code()))
    box = (review.box if review is not None else None) or level.box
    arguments: dict[str, Any] = {
        "tracking_identifier": _tracking(source, findings.naming.either(level.level), level.level),
        "algorithm_id": _algorithm(findings, level.threshold),
        "finding_sites": [sr.FindingSite(codes.Concept(known.snomed, "SCT", known.meaning).code())],
        "measurements": _probability(level.probability),
        "qualitative_evaluations": evaluations,
    }
    if level.status == POSITIVE if review is None else review.verdict != REJECTED:
        arguments["finding_type"] = codes.FRACTURE.code()
        arguments["finding_category"] = codes.ABNORMAL_STRUCTURE.code()
    if box is None:
        return sr.MeasurementsAndQualitativeEvaluations(**arguments)
    surface = sr.VolumeSurface(
        graphic_type=sr.GraphicTypeValues3D.POLYGON,
        graphic_data=faces(box),
        frame_of_reference_uid=source.frame_of_reference,
        source_series=sr.SourceSeriesForSegmentation(source.series_uid),
    )
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_volume_surface=surface, **arguments)


def faces(box: Box) -> list[np.ndarray]:
    """The box's six faces as closed polygons, float64 [5, (x, y, z)] LPS mm: the surface of its volume."""
    corners = np.array([box.lower, box.upper])
    return [np.array([[corners[end, axis] for axis, end in enumerate(c)] for c in (*f, f[0])]) for f in FACES]


def _call(status: str) -> Any:
    """Fracture: Positive, Negative (CID 250) or Not seen in the scan."""
    from highdicom import sr

    return sr.QualitativeEvaluation(codes.FRACTURE.code(), CALLS.get(status, codes.NOT_SEEN_CALL).code())


def _probability(probability: float | None) -> list[Any]:
    """TID 300, 0 to 1 without units; nothing when there is none."""
    from highdicom import sr

    if probability is None:
        return []
    # A decimal string holds 16 characters; no probability is known to more than these digits.
    return [sr.Measurement(name=codes.PROBABILITY.code(), value=round(probability, 6), unit=codes.NO_UNITS.code())]


def _tracking(source: SourceSeries, identifier: str, name: str = "") -> Any:
    """TID 4108; the same level of the same series has the same UID in every report."""
    from highdicom import sr

    return sr.TrackingIdentifier(
        uid=new_uid(source.series_uid, name or identifier, "fracture"), identifier=f"NeckFrac {identifier}"
    )


def _algorithm(findings: Findings, threshold: float | None, more: Sequence[str] = ()) -> Any:
    """TID 4019: NeckFrac, its version, and as parameters the operating point, the threshold and what else is given."""
    from highdicom import sr

    parameters = [f"operating point: {findings.operating_point}"]
    parameters += [f"threshold: {threshold:.6g}"] if threshold is not None else []
    return sr.AlgorithmIdentification("NeckFrac", __version__, parameters=[*parameters, *more])
