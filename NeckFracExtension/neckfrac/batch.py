"""Many studies, one after the other with the same warm networks: a result folder each, and a worklist of all."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from . import __version__
from .errors import Cancelled, InputError, NeckFracError, first_line
from .formatting import as_text
from .intake.many import FoundStudy
from .marks import is_result
from .options import AnalysisOptions
from .output.folder import write_result
from .output.worklist import Worklist, WorklistRow
from .progress import Progress
from .workspace import Workspace, claim, unwritable

if TYPE_CHECKING:
    from .findings import Analysis

log = logging.getLogger("neckfrac")

LONGEST_NAME = 60  # of a result folder
BATCH = "neckfrac-batch"  # what a folder of results is claimed by; nothing gets this name


class Analyzer(Protocol):
    """What a batch needs of `pipeline.analyze.Engine`."""

    def analyze(self, study: Any, options: AnalysisOptions, *, progress: Progress) -> Analysis: ...


def made_with(options: AnalysisOptions) -> str:
    """SHA-256 of all that a result depends on besides its study: weights, ensemble, options, NeckFrac's version.

    Reads the bundles' metadata only. Raises InputError for a damaged bundle.
    """
    from .bundles.library import ensemble_file, installed, model_folders

    folders = model_folders(options.models_dir)
    models = {b.name: b.settings["weights_sha256"] for b in installed(folders) if b.name not in options.leave_out}
    ensemble = ensemble_file(folders)
    told = {
        "models": models,
        "ensemble": hashlib.sha256(ensemble.read_bytes()).hexdigest() if ensemble.exists() else "",
        "options": options.result_depends_on(),
        "version": __version__,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def analyze_batch(
    studies: Sequence[FoundStudy],
    results: Path,
    load_engine: Callable[[AnalysisOptions], Analyzer],
    options: AnalysisOptions = AnalysisOptions(),  # noqa: B008 - frozen
    *,
    identity: str | None = None,
    again: bool = False,
    progress: Progress | None = None,
    on_row: Callable[[WorklistRow], None] | None = None,
) -> Worklist:
    """Analyse each study into a folder of its own below `results` and keep the worklist there up to date.

    load_engine: called when the first study needs it. identity: what results depend on besides their studies;
    default: `made_with(options)`. on_row: told each new row. A study that has a whole result, from the same files and
    of the same identity, is passed over unless `again`. A study
    without a result, whatever the reason, becomes a row with the error, and is tried again by the next run. Raises
    Cancelled: what was finished stays, and the worklist tells it; InputError when another batch is writing there, or
    when at the end the worklist can't be written.
    """
    progress, results = progress or Progress(), Path(results).absolute()
    identity = made_with(options) if identity is None else identity
    with claimed_results(results) as workspace:
        worklist = Worklist.read(results)
        worklist.write(workspace.new)
        engine: Analyzer | None = None
        loaded = loading = False

        def put(row: WorklistRow) -> None:
            worklist.put(row)
            try:
                worklist.write(workspace.new)
            except InputError as error:  # a table that is open elsewhere may be locked: the next row tries again
                log.warning("The worklist could not be written (%s).", type(error.__cause__).__name__)

        for number, study in enumerate(studies):
            share = number / len(studies), (number + 1) / len(studies)
            own = progress.apart(f"{number + 1} of {len(studies)}", *share)
            own.step(0.0)
            row = WorklistRow(study.name, study.source, "", made_with=identity)
            began = time.perf_counter()
            try:
                earlier = worklist.of(study.source)
                row = replace(row, input=study.fingerprint(), result=_folder_name(study, worklist, earlier))
                if earlier and not again and worklist.has_result(earlier) and _same(row, earlier):
                    with own.stage("Done before", until=1.0):
                        continue
                if earlier is None:  # so that the next run knows whose result a killed one has left
                    put(replace(row, error="Not finished: the batch ended before."))
                if engine is None:
                    with own.stage("Loading the networks", until=0.04):
                        loading = not loaded
                        engine, loaded, loading = load_engine(options), True, False
                analysis = _analysis(study, engine, options, own)
                place = {"overwrite": earlier is not None, "inputs": {path.parent for path in study.files}}
                write_result(analysis, results / row.result, progress=own, **place)
                row = row.with_findings(analysis.findings, time.perf_counter() - began)
            except Cancelled:
                raise
            except Exception as error:  # one study's fault is not the others'
                if loading:
                    raise  # networks that can't be loaded are no study's fault
                # Neither the path nor the message is logged: they may hold a patient's name.
                log.warning("Study %d of %d has no result (%s).", number + 1, len(studies), type(error).__name__)
                row = _failed(row, error)
                if not isinstance(error, NeckFracError):
                    engine = None  # what failed unexpectedly, for lack of memory perhaps, is loaded anew
            put(row)
            if on_row:
                on_row(row)
        worklist.write(workspace.new)
    return worklist


@contextmanager
def claimed_results(results: Path) -> Iterator[Workspace]:
    """A folder of results, for one batch at a time. Raises InputError when another is at work there, or it is locked.

    What a batch that was killed left there is put right and removed.
    """
    if os.path.lexists(results) and not results.is_dir():
        raise InputError("The output is a file, not a folder.", where=results, advice="Choose another --output.")
    try:
        workspace = claim(results / BATCH)
    except OSError as error:
        raise unwritable(results, "result", error) from error
    try:
        yield workspace
    finally:
        workspace.close()


def _analysis(study: FoundStudy, engine: Analyzer, options: AnalysisOptions, progress: Progress) -> Analysis:
    from .intake.study import read_study

    with progress.stage("Reading the study", until=0.1):
        loaded = read_study(study.files[0] if len(study.files) == 1 else study.files, progress=progress)
    return engine.analyze(loaded, options, progress=progress.share(0.1, 0.7))


def _same(row: WorklistRow, earlier: WorklistRow) -> bool:
    return (row.input, row.made_with) == (earlier.input, earlier.made_with)


def _failed(row: WorklistRow, error: Exception) -> WorklistRow:
    """The row of a study without a result; of what to do only the first line, a list of series is too long for it."""
    if isinstance(error, InputError):
        place = f" ({error.where})" if error.where else ""
        reason = f"{error.what}{place} {(error.advice.splitlines() or [''])[0]}".strip()
    else:
        reason = f"Unexpected {type(error).__name__}: {first_line(error)}"
    return replace(row, error=as_text(" ".join(reason.split())))


def _folder_name(study: FoundStudy, worklist: Worklist, earlier: WorklistRow | None) -> str:
    """The name of the study's result folder: the earlier one, else one that nothing else in `results` has.

    A folder that is no result is never replaced.
    """
    folder = worklist.folder_of(earlier) if earlier else None
    if folder is not None and (not os.path.lexists(folder) or is_result(folder)):
        return earlier.result
    plain = re.sub(r"[^\w.-]+", "_", study.title).strip("._")[:LONGEST_NAME] or "study"
    taken = {row.result.casefold() for row in worklist.rows}
    name, number = plain, 2
    while name.casefold() in taken or os.path.lexists(worklist.folder / name):
        name, number = f"{plain}-{number}", number + 1
    return name
