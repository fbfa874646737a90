"""A small study with seven blobs for vertebrae, two of them suspected, on any grid."""

import json
from dataclasses import replace

import numpy as np
from neckfrac.anatomy import LEVELS, SKULL, T1
from neckfrac.findings import (
    NEGATIVE,
    NOT_SEEN,
    POSITIVE,
    Analysis,
    Box,
    Findings,
    ModelIdentity,
    Naming,
    StudyIdentity,
    VertebraFinding,
    severity,
)
from neckfrac.provenance import Provenance
from neckfrac.study_warning import StudyWarning
from neckfrac.volume import CTVolume

MODEL = ModelIdentity(
    "model-a", "1.0", "ab" * 32, "slices", "simulated CT only; no patient data", Provenance.SIMULATED
)
SPACING = np.array([2.0, 1.0, 1.5])
ORIGIN = np.array([-30.0, -40.0, 900.0])


def center_of(index):
    """Where the blob of the level with this index (0...6) lies, LPS mm."""
    return np.array([-30 + 30.0, -40 + 30.0 + 2 * index, 900 + 128.0 - 16 * index])


def make_analysis(axes=(0, 1, 2), flips=(), turn=0.0, empty=False):
    """The study stored with its axes permuted and flipped, and turned by `turn` degrees about z."""
    shape = (70, 72, 44)
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag(SPACING[::-1])
    affine[:3, 3] = ORIGIN
    volume = CTVolume(np.full(shape, -1000, np.int16), affine)
    points = volume.to_points(np.moveaxis(np.indices(shape), 0, -1))
    volume.voxels[np.hypot(points[..., 0], points[..., 1] + 5) < 28] = 40
    labels, heat = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for index, level in enumerate(LEVELS[:6]):  # C7 is not in view
        blob = np.linalg.norm((points - center_of(index)) / (1.2, 1, 0.8), axis=-1) < 8
        labels[blob] = level.label
        volume.voxels[blob] = 600
    heat[np.linalg.norm(points - center_of(1), axis=-1) < 4] = 90
    if empty:
        labels[:], heat[:] = 0, 0
    order = tuple(axes)
    strides = [affine[:3, 2 - axis] for axis in order]
    new = np.eye(4)
    new[:3, 3] = affine[:3, 3]
    for axis, column in enumerate(strides):
        if axis in flips:
            new[:3, 3] += column * (shape[order[axis]] - 1)
            column = -column
        new[:3, 2 - axis] = column
    voxels, labels, heat = (np.flip(a.transpose(order), flips) for a in (volume.voxels, labels, heat))
    volume = CTVolume(np.ascontiguousarray(voxels), new)
    probabilities = [0.08, 0.87, 0.11, 0.62, 0.05, 0.21]
    levels = []
    for index, (level, p) in enumerate(zip(LEVELS, probabilities, strict=False)):
        center = center_of(index)
        positive = p >= 0.5
        box = Box(tuple(center - (7, 5, 4)), tuple(center + (7, 5, 4))) if positive else None
        status = POSITIVE if positive else NEGATIVE
        members = {"model-a": p, "model-b": min(p + 0.05, 1.0)}
        levels.append(VertebraFinding(level.name, status, p, members, 0.5, severity(p, 0.5), box, tuple(center), 1.0))
    levels.append(VertebraFinding("C7", NOT_SEEN))
    if empty:
        levels = [VertebraFinding(level.name, NOT_SEEN) for level in LEVELS]
    findings = Findings(
        study=StudyIdentity("case", "DICOM", "ID-7", "<b>Doe</b>^Jane", "1.2.3", "1.2.3.4", "20260102", "Neck", "Bone"),
        levels=tuple(levels),
        patient_status=NOT_SEEN if empty else POSITIVE,
        patient_probability=None if empty else 0.91,
        patient_members={} if empty else {"levels": 0.93, "model-a": 0.8},
        patient_threshold=0.6,
        operating_point="balanced",
        models=(MODEL,),
        warnings=(StudyWarning("levels-not-seen", "Not seen, so nothing is said of: C7.", {"levels": ["C7"]}),),
        timings={"Locating the spine": 1.5},
        geometry={"shape": list(volume.shape)},
    )
    return Analysis(volume, np.ascontiguousarray(labels), np.ascontiguousarray(heat), findings)


def as_written_by_1(findings, schema="1.6"):
    """The findings as versions before 2.0 wrote them: what is typed now were sentences."""
    content = json.loads(json.dumps(findings.to_dict()))
    warnings = [warning["text"] for warning in content["warnings"]]
    for model in content["models"]:
        del model["provenance"]
    return content | {"schema": schema, "warnings": warnings, "explanation": findings.explanation.in_words()}


POINTS = {"sensitive": 0.1, "balanced": 0.5, "specific": 0.7}


def reviewable():
    """The study with a region for every level in view and three operating points: at 0.7 only C2 is called."""
    analysis = make_analysis()
    levels = []
    for level in analysis.findings.levels:
        center = None if level.center is None else np.array(level.center)
        region = level.box or (None if center is None else Box(tuple(center - 4), tuple(center + 4)))
        levels.append(replace(level, region=region))
    names = (*(level.name for level in LEVELS), "patient")
    thresholds = {point: dict.fromkeys(names, threshold) for point, threshold in POINTS.items()}
    return replace(analysis, findings=replace(analysis.findings, levels=tuple(levels), thresholds=thresholds))


# Where the blobs of the anchors lie: the skull base in front of C1, T1 below where C7 would lie.
ANCHOR_CENTERS = {SKULL: center_of(0) + (0, -16, 2), T1: center_of(6.5)}


def with_anchors(analysis):
    """The same study with a blob for the skull base and one for T1."""
    anchors = np.zeros_like(analysis.labels)
    points = analysis.volume.to_points(np.moveaxis(np.indices(anchors.shape), 0, -1))
    for value, center in ANCHOR_CENTERS.items():
        anchors[np.linalg.norm(points - center, axis=-1) < 5] = value
    return replace(analysis, anchors=anchors)


def with_naming(analysis, naming):
    """The same study, its levels named with this much certainty."""
    return replace(analysis, findings=replace(analysis.findings, naming=naming))


UNCERTAIN = Naming(False, "C1–C6", ("C2–C7",), 0.7, "Neither C1, C2 nor the first rib's vertebra is in view.")
