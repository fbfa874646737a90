"""Many studies, one after the other with the same warm networks: a result folder each, and a worklist of all."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from . import __version__
from .errors import Cancelled, InputError, NeckFracError, first_line
from .intake.many import FoundStudy
from .output.folder import check_result_folder, write_result
from .output.worklist import Worklist, WorklistRow
from .progress import Progress

if TYPE_CHECKING:
    from .findings import Analysis

log = logging.getLogger("neckfrac")

LONGEST_NAME = 60  # of a result folder
_UNFINISHED = re.compile(r"\..+-[a-z0-9_]{8}")  # as `output.folder` names them


class Analyzer(Protocol):
    """What a batch needs of `pipeline.analyze.Engine`."""

    def analyze(self, study: Any, *, progress: Progress, **options: Any) -> Analysis: ...


def made_with(models_dir: Path | None, leave_out: Sequence[str], options: dict[str, Any]) -> str:
    """SHA-256 of all that a result depends on besides its study: weights, ensemble, options, NeckFrac's version.

    Reads the bundles' metadata only. Raises InputError for a damaged bundle.
    """
    from .bundles.library import ensemble_file, installed, model_folders

    folders = model_folders(models_dir)
    models = {b.name: b.settings["weights_sha256"] for b in installed(folders) if b.name not in leave_out}
    ensemble = ensemble_file(folders)
    told = {
        "models": models,
        "ensemble": hashlib.sha256(ensemble.read_bytes()).hexdigest() if ensemble.exists() else "",
        "options": options,
        "version": __version__,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def analyze_batch(
    studies: Sequence[FoundStudy],
    results: Path,
    load_engine: Callable[[], Analyzer],
    *,
    made_with: str,
    options: dict[str, Any] | None = None,
    again: bool = False,
    progress: Progress | None = None,
    on_row: Callable[[WorklistRow], None] | None = None,
) -> Worklist:
    """Analyse each study into a folder of its own below `results` and keep the worklist there up to date.

    load_engine: called when the first study needs it. options: for `Engine.analyze`. on_row: told each new row. A
    study that has a whole result, from the same files and `made_with` the same, is passed over unless `again`. A study
    that can't be analysed becomes a row with the error, and is tried again by the next run. Raises Cancelled: what was
    finished stays, and the worklist tells it; InputError when results can't be written.
    """
    progress, results = progress or Progress(), Path(results).absolute()
    check_result_folder(results, overwrite=True)
    worklist = Worklist.read(results)
    worklist.write()
    remove_leftovers(results)
    engine: Analyzer | None = None

    def told(row: WorklistRow) -> None:
        worklist.put(row)
        if on_row:
            on_row(row)

    for number, study in enumerate(studies):
        share = number / len(studies), (number + 1) / len(studies)
        own = progress.apart(f"{number + 1} of {len(studies)}", *share)
        own.step(0.0)
        earlier = worklist.of(study.source)
        row = WorklistRow(
            study.name,
            study.source,
            _folder_name(study, worklist, earlier),
            input=study.fingerprint(),
            made_with=made_with,
        )
        if earlier and not again and worklist.has_result(earlier) and _same(row, earlier):
            with own.stage("Done before", until=1.0):
                continue
        if engine is None:
            with own.stage("Loading the networks", until=0.04):
                engine = load_engine()
        began = time.perf_counter()
        try:
            analysis = _analysis(study, engine, options or {}, own)
        except Cancelled:
            raise
        except Exception as error:  # one study's fault is not the others'
            # Neither the path nor the message is logged: they may hold a patient's name.
            log.warning("Study %d of %d has no result (%s).", number + 1, len(studies), type(error).__name__)
            told(_failed(row, error))
            if not isinstance(error, NeckFracError):
                engine = None  # what failed unexpectedly, for lack of memory perhaps, is loaded anew
            continue
        # An error here is no study's fault, but that of the disk, and ends the batch.
        write_result(analysis, results / row.result, progress=own, overwrite=earlier is not None)
        told(row.with_findings(analysis.findings, time.perf_counter() - began))
    return worklist


def remove_leftovers(results: Path) -> None:
    """Remove what a run that was killed left unfinished in a folder of results: it holds a patient's CT."""
    for folder in Path(results).glob(".*"):
        if folder.is_dir() and _UNFINISHED.fullmatch(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def _analysis(study: FoundStudy, engine: Analyzer, options: dict[str, Any], progress: Progress) -> Analysis:
    from .intake.study import read_study

    with progress.stage("Reading the study", until=0.1):
        loaded = read_study(study.files[0] if len(study.files) == 1 else study.files, progress=progress)
    return engine.analyze(loaded, **options, progress=progress.share(0.1, 0.7))


def _same(row: WorklistRow, earlier: WorklistRow) -> bool:
    return (row.input, row.made_with) == (earlier.input, earlier.made_with)


def _failed(row: WorklistRow, error: Exception) -> WorklistRow:
    """The row of a study without a result; of what to do only the first line, a list of series is too long for it."""
    if isinstance(error, InputError):
        place = f" ({error.where})" if error.where else ""
        reason = f"{error.what}{place} {(error.advice.splitlines() or [''])[0]}".strip()
    else:
        reason = f"Unexpected {type(error).__name__}: {first_line(error)}"
    return replace(row, error=" ".join(reason.split()))


def _folder_name(study: FoundStudy, worklist: Worklist, earlier: WorklistRow | None) -> str:
    """The name of the study's result folder: the earlier one, else one that nothing else in `results` has.

    A folder that is no result is never replaced.
    """
    if earlier:
        folder = worklist.folder / earlier.result
        if not folder.exists() or (folder / "findings.json").is_file():
            return earlier.result
    plain = re.sub(r"[^\w.-]+", "_", study.title).strip("._")[:LONGEST_NAME] or "study"
    taken = {row.result.casefold() for row in worklist.rows}
    name, number = plain, 2
    while name.casefold() in taken or (worklist.folder / name).exists():
        name, number = f"{plain}-{number}", number + 1
    return name
