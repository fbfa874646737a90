"""A small DICOM CT series with levels and findings on it, and what reads DICOM results without our code."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from intake.made_dicom import AXIAL, head, write_series
from neckfrac.anatomy import LEVELS
from neckfrac.findings import (
    NEGATIVE,
    NOT_SEEN,
    POSITIVE,
    Box,
    Findings,
    ModelIdentity,
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
SHAPE, SPACING, ORIGIN = (18, 20, 24), (2.5, 0.8, 0.6), (-5.0, -7.0, 30.0)
SERIES, FRAME = "1.2.3.4.1", "1.2.3.4.9"
NAME = "Müller^Jörg"


def write_case(folder, orientation=AXIAL, **changes):
    """The files of a series, numbered against their order; see `intake.made_dicom.write_series`. None: not said."""
    elements = {
        "FrameOfReferenceUID": FRAME, "SpecificCharacterSet": "ISO_IR 100", "PatientName": NAME, "PatientSex": "F",
        "PatientBirthDate": "19500102", "StudyTime": "1200", "StudyID": "17", "SliceThickness": "2.5",
    }  # fmt: skip
    options = {"spacing": SPACING, "origin": ORIGIN, "orientation": orientation} | elements | changes
    return write_series(folder, head(SHAPE), **{key: value for key, value in options.items() if value is not None})


def labels_of(affine, levels=(3, 4, 5), shape=SHAPE):
    """Levels as lopsided blocks, so that no flip and no turn leaves them as they are; slices 0 to 2 hold none."""
    voxels = np.zeros(shape, np.uint8)
    for number, label in enumerate(levels):
        voxels[3 + 4 * number : 6 + 4 * number, 2 + number : 9, 4 : 12 + number] = label
        voxels[4 + 4 * number, 12, 20] = label
    return CTVolume(voxels, affine)


def findings_of(status=POSITIVE):
    """C3 and C4 called with boxes, C5 not, the others not seen."""
    boxes = {"C3": Box((1.0, -2.0, 40.0), (6.5, 3.25, 47.5)), "C4": Box((0.0, 0.0, 50.0), (6.0, 6.0, 56.0))}
    probabilities = {"C3": 0.87, "C4": 0.62, "C5": 0.03} if status == POSITIVE else dict.fromkeys(("C3", "C5"), 0.03)
    levels = []
    for level in LEVELS:
        p = probabilities.get(level.name)
        if p is None:
            levels.append(VertebraFinding(level.name, NOT_SEEN))
            continue
        call, box = (POSITIVE, boxes[level.name]) if p >= 0.5 else (NEGATIVE, None)
        levels.append(VertebraFinding(level.name, call, p, {"a": p}, 0.5, severity(p, 0.5), box, (1.0, 2.0, 50.0), 1.0))
    return Findings(
        study=StudyIdentity("case", "DICOM", "ID", NAME, "1.2.3.4", SERIES),
        levels=tuple(levels),
        patient_status=status,
        patient_probability=0.91 if status == POSITIVE else 0.1,
        patient_members={},
        patient_threshold=0.6,
        operating_point="balanced",
        models=(MODEL,),
        warnings=(StudyWarning("calls-unreliable", "Do not rely on the fracture calls."),),
        prevalence=0.05,
    )


def without_a_neck():
    findings = findings_of()
    levels = tuple(VertebraFinding(level.name, NOT_SEEN) for level in LEVELS)
    return replace(findings, levels=levels, patient_status=NOT_SEEN, patient_probability=None)


def program(name, advice):
    """The path of an outside program, on PATH or from a wheel; the test is skipped where it is not installed."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{name} is not installed ({advice})")
    return found


def output_of(*command):
    """What a program says, both streams, after it ended well."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, errors="replace")
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def dciodvfy_errors(path):
    """The errors that dicom3tools' dciodvfy finds; warnings are about codes it does not know and DICOMDIR."""
    said = output_of(program("dciodvfy", "apt install dicom3tools"), "-new", path)
    return [line for line in said.splitlines() if line.startswith(("Error", "Abort"))]
