"""What `import neckfrac` offers of its own: a study in, its findings out, with the networks kept between calls."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from .errors import InputError
from .findings import Analysis
from .intake.study import Source, Study, read_study
from .options import AnalysisOptions
from .warm_engine import WarmEngine

if TYPE_CHECKING:
    import numpy as np

    from .pipeline.analyze import Engine
    from .progress import Progress

__all__ = ["analyze", "write_result"]


class OptionValues(TypedDict, total=False):
    """The fields of `options.AnalysisOptions` as keywords; each has its default there."""

    operating_point: str
    anchors: bool
    explain: str
    member: str | None
    device: str
    models_dir: str | Path | None
    threads: int | None
    leave_out: Sequence[str]


def analyze(
    study: Source | Study,
    options: AnalysisOptions | None = None,
    *,
    series: str | None = None,
    labels: str | Path | np.ndarray | None = None,
    engine: Engine | None = None,
    progress: Progress | None = None,
    **values: Unpack[OptionValues],
) -> Analysis:
    """Segment C1 to C7 in a neck CT and look for fractures, level by level.

    The networks are loaded by the first call and kept for the next one with the same `models_dir`, `device`, `threads`
    and `leave_out`; calls of several threads wait for each other. Nothing is written: see `write_result`.

    Args:
        study: A DICOM folder, its files or a zip of them, a NIfTI, NRRD or MetaImage file; or what `read_study` gave.
        options: How it is to be analysed; or give its fields as keywords.
        series: UID or number of the DICOM series, where `study` holds several.
        labels: Levels to be used instead of segmenting: a file with labels 1 to 7 for C1 to C7 (or TotalSegmentator's
            50 to 44) on any grid, or an array [z, y, x] of 1 to 7 on the voxels of the study.
        engine: Networks that are loaded already; the options may then say nothing of device, models and threads.
        progress: Is told stages and fractions, and asked whether to go on.
        **values: Fields of `AnalysisOptions`: operating_point, anchors, explain, member, device, models_dir, threads,
            leave_out.

    Returns:
        The CT, `labels` and `heat` on its own grid [z, y, x], and the `findings`.

    Raises:
        InputError: What is given can't be used; the error says what, where, and what to do.
        Cancelled: `progress` said so.

    Example:
        >>> analysis = neckfrac.analyze("study/", operating_point="sensitive")
        >>> analysis.findings.level("C4").probability
        0.12
    """
    if options is not None and values:
        raise InputError("Options were given as an object and as keywords.", where=", ".join(values))
    options = options or AnalysisOptions.from_dict(values)
    if engine is not None and options.engine_arguments() != AnalysisOptions().engine_arguments():
        raise InputError(
            "An engine was given, and models_dir, device, threads or leave_out beside it.",
            advice="Give them to neckfrac.Engine, or leave the engine out.",
        )
    loaded, given = _study(study, series, progress), None
    if isinstance(labels, str | Path):
        from .intake.labels import read_labels

        given, warnings = read_labels(Path(labels), loaded.volume)
        loaded = loaded.with_warnings(warnings)
    elif labels is not None:
        given = labels
        if given.shape != loaded.volume.shape:
            raise InputError(
                "The labels do not lie on the study's voxels.", where=f"{given.shape}, {loaded.volume.shape}"
            )
    if engine is not None:
        return engine.analyze(loaded, options, labels=given, progress=progress)
    with _ONE_STUDY_AT_A_TIME:
        return _WARM(options).analyze(loaded, options, labels=given, progress=progress)


def write_result(
    analysis: Analysis,
    folder: str | Path,
    *,
    dicom_of: Source | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write the result folder that `neckfrac analyze` writes: Slicer scene, segmentation, report and tables.

    Args:
        analysis: What `analyze` gave.
        folder: Must not hold anything yet; it appears whole or not at all.
        dicom_of: The DICOM study that was analysed; with it a DICOM Segmentation and a Structured Report are written.
        overwrite: Replace an earlier result, and nothing else; what was added to it is kept in the new one.
        progress: Is told stages and fractions, and asked whether to go on.

    Raises:
        InputError: The folder holds something, or can't be written; then nothing is left behind.
    """
    from .output.dicom_source import source_of
    from .output.folder import write_result as write

    identity = analysis.findings.study
    inputs = [Path(identity.source)] if identity.source else []  # what was read is never replaced
    series = None
    if dicom_of is not None:
        inputs += [Path(path) for path in ([dicom_of] if isinstance(dicom_of, str | Path) else dicom_of)]
        series = source_of(dicom_of, identity)
    write(analysis, Path(folder), overwrite=overwrite, inputs=inputs, dicom=series, progress=progress)


def _study(study: Source | Study, series: str | None, progress: Progress | None) -> Study:
    if not isinstance(study, Study):
        return read_study(study, series=series, progress=progress)
    if series is not None:
        raise InputError(
            "A study that was read already has one series.", where=f"series {series}", advice="Give it to read_study."
        )
    return study


_WARM = WarmEngine()
_ONE_STUDY_AT_A_TIME = threading.Lock()  # as an engine works
