"""From a study's files to its result folder: what the web service has the worker do."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .findings import Analysis
from .options import AnalysisOptions
from .progress import Progress

if TYPE_CHECKING:
    from .intake.study import Source
    from .jobs import JobContext, Request

log = logging.getLogger("neckfrac")

POSSIBLE = "when possible"


@dataclass(frozen=True)
class StudyOrder:
    """What is wanted of one study.

    source: as `intake.study.read_study` takes it. folder: of the result. options: also which networks. dicom: write
    DICOM Segmentation and Structured Report as well; "when possible" leaves them out of a study that is no DICOM or
    whose headers do not allow it. capture: the overview as a DICOM secondary capture, with the other DICOM results.
    name: what the result calls the study instead of its path.
    """

    source: Source
    folder: Path
    options: AnalysisOptions = AnalysisOptions()
    series: str | None = None
    dicom: bool | str = False
    capture: bool = False
    name: str | None = None


def analyze_files(order: StudyOrder, load_engine: Callable[[AnalysisOptions], Any], progress: Progress) -> Analysis:
    """Read the study, analyse it, write its result folder; the folder appears whole or not at all.

    Raises InputError for what can't be read, analysed or written; Cancelled when the progress says so.
    """
    from .intake.study import read_study
    from .output.dicom_capture import write_capture
    from .output.dicom_source import FROM_ARCHIVE
    from .output.folder import write_result

    with progress.stage("Reading the study", until=0.08):
        study = read_study(order.source, series=order.series, progress=progress)
        if order.name is not None:
            study = replace(study, identity=replace(study.identity, source=order.name))
        series = _dicom_source(order, study.identity, progress) if order.dicom else None
    with progress.stage("Loading the networks", until=0.12):
        engine = load_engine(order.options)
    analysis = engine.analyze(study, order.options, progress=progress.share(0.12, 0.7))
    try:
        write_result(analysis, order.folder, progress=progress, dicom=series)
    except InputError as error:
        if series is None or order.dicom != POSSIBLE or error.advice != FROM_ARCHIVE:
            raise
        # The headers are not good enough for DICOM results; the findings are not lost for that.
        log.warning("A study gets no DICOM results: its headers do not allow it.")
        write_result(analysis, order.folder, progress=progress)
        return analysis
    if series is not None and order.capture:
        write_capture(order.folder / "overview.dcm", series, order.folder / "overview.png")
    return analysis


def _dicom_source(order: StudyOrder, identity: Any, progress: Progress) -> Any:
    from .output.dicom_source import source_of

    if order.dicom != POSSIBLE:
        return source_of(order.source, identity)
    if identity.format != "DICOM":
        return None
    try:
        return source_of(order.source, identity)
    except InputError as error:
        progress.warn("dicom-results-absent", f"There are no DICOM results: {error.what}")
        return None


def study(request: Request, context: JobContext) -> dict[str, Any]:
    """Analyse one study from its files in ``upload``, a folder, into ``folder``, which does not exist yet.

    scratch: a folder for temporary files, which whoever asks removes; the process may be killed. name: what the
    result calls the study. series, capture: see `StudyOrder`. options: as for analyze. The ``done`` event
    holds what a worklist shows, as ``summary``.
    """
    options, before = AnalysisOptions.from_dict(request.get("options")), tempfile.tempdir
    files = sorted(path for path in Path(request["upload"]).iterdir() if not path.name.startswith("."))
    try:
        tempfile.tempdir = request.get("scratch") or before
        order = StudyOrder(
            files[0] if len(files) == 1 else files,
            Path(request["folder"]),
            options,
            request.get("series"),
            dicom=POSSIBLE,
            capture=bool(request.get("capture")),
            name=str(request.get("name") or ""),
        )
        findings = analyze_files(order, context.engine, context.progress).findings
    finally:
        tempfile.tempdir = before
    return {"summary": summary(findings)}


def summary(findings: Any) -> dict[str, Any]:
    """What a worklist shows of a study's findings."""
    known = [level for level in findings.levels if level.probability is not None]
    highest = max(known, key=lambda level: level.probability, default=None)
    return {
        "probability": findings.patient_probability,
        "status": findings.patient_status,
        "level": findings.naming.either(highest.level) if highest else "",
        "level_probability": highest.probability if highest else None,
        "operating_point": findings.operating_point,
        "patient_id": findings.study.patient_id,
        "patient_name": findings.study.patient_name,
        "study_date": findings.study.study_date,
        "study_uid": findings.study.study_uid,
    }


def warm(request: Request, context: JobContext) -> dict[str, Any]:
    """Load the networks, so that the first study need not wait for them. options: as for analyze."""
    context.engine(AnalysisOptions.from_dict(request.get("options")))
    return {}
