"""What the worker can be asked to do: a request and what it works with, and files as the result."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from . import study_job
from .errors import InputError
from .findings import Analysis, StudyIdentity
from .options import AnalysisOptions
from .progress import Progress
from .workspace import whole_folder

if TYPE_CHECKING:
    import numpy as np

    from .intake.study import Study
    from .volume import CTVolume

LABELS, HEAT, ANCHORS, FINDINGS = "labels.npy", "heat.npy", "anchors.npy", "findings.json"
COMPARISON, SURFACES, DISAGREEMENT = "comparison.json", "surfaces.npz", "disagreement.npz"
Request = dict[str, Any]


class EngineLike(Protocol):
    """What the jobs need of `pipeline.analyze.Engine`. labels is given only when the request has them."""

    def analyze(self, study: Any, options: AnalysisOptions, *, progress: Progress) -> Analysis: ...


@dataclass(frozen=True)
class JobContext:
    """What a job works with. engine(options): the warm networks. tell(event): an event of the job's own.
    """

    progress: Progress
    engine: Callable[[AnalysisOptions], EngineLike]
    tell: Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Job:
    """run(request, context) does it and returns what the ``done`` event tells. needs: keys that a request must have."""

    run: Callable[[Request, JobContext], dict[str, Any] | None]
    needs: tuple[str, ...]


def analyze(request: Request, context: JobContext) -> dict[str, Any]:
    """Analyze one volume; ``result``, a folder that does not exist yet, appears whole or not at all.

    volume: an uncompressed .npy of HU, [z, y, x]. affine: 4x4, voxel (i, j, k) to mm in LPS. identity: fields of
    `StudyIdentity`. labels: an .npy of uint8 on the same grid with C1...C7 (see `anatomy`), to be used instead of
    segmenting. options: as `AnalysisOptions.from_dict` takes them. The folder holds
    labels.npy, heat.npy, findings.json, and anchors.npy when anchors were asked for and found.
    """
    result = Path(request["result"])
    options = AnalysisOptions.from_dict(request.get("options"))
    with _result_folder(result) as folder:
        study = read_study(request)
        given = {"labels": read_array(Path(request["labels"]))} if request.get("labels") else {}
        analysis = context.engine(options).analyze(study, options, **given, progress=context.progress)
        write_result(analysis, folder)
    return {"result": str(result)}


def batch(request: Request, context: JobContext) -> dict[str, Any]:
    """Analyze many studies into ``results``, a folder that keeps a worklist (see `neckfrac.batch`).

    studies: a folder, or a list of files. again: also what has a result already. scratch: a folder for what zips
    unpack to, which whoever asks removes; the process may be killed. options: as for analyze. Tells an event
    ``worklist`` each time it has changed; stages begin with the study's number, "2 of 9: Locating the spine".
    """
    from .batch import analyze_batch
    from .intake.many import find_studies

    options, before = AnalysisOptions.from_dict(request.get("options")), tempfile.tempdir
    try:
        tempfile.tempdir = request.get("scratch") or before
        with context.progress.stage("Looking for studies", until=0.01):
            studies = find_studies(request["studies"], context.progress)
        worklist = analyze_batch(
            studies,
            Path(request["results"]),
            context.engine,
            options,
            again=bool(request.get("again")),
            progress=context.progress,
            on_row=lambda row: context.tell({"event": "worklist"}),
        )
    finally:
        tempfile.tempdir = before
    failed = sum(bool(worklist.of(study.source).error) for study in studies)
    return {"results": str(worklist.folder), "studies": len(studies), "failed": failed}


def add_model(request: Request, context: JobContext) -> dict[str, Any]:
    """Add the bundle in ``file``, a zip or a folder, to the user's bundles. replace: also where one is there.

    Where one is there and replace was not asked for, the answer tells it as ``taken``, and nothing was added.
    """
    from .bundles.installing import Taken, add_bundle

    try:
        bundle = add_bundle(request["file"], replace=bool(request.get("replace")), progress=context.progress)
    except Taken as error:
        return {"taken": error.what}
    return {"name": bundle.name, "folder": str(bundle.folder)}


def export(request: Request, context: JobContext) -> dict[str, Any]:
    """Write report, tables and pictures of findings, reviewed or not, into ``folder``, whole or not at all.

    volume, affine: as for analyze. labels, heat: .npy of uint8 on the same grid. findings: as `Findings.to_dict`
    gives them. dicom: the files of the series that the volume was read from; with them DICOM Segmentation, Structured
    Report and boxes slice by slice.
    """
    from .findings import Findings
    from .output.folder import write_result as write_folder

    findings = Findings.from_dict(request["findings"])
    volume = read_volume(Path(request["volume"]), request["affine"])
    arrays = [read_array(Path(request[name])) for name in ("labels", "heat")]
    source, folder = None, Path(request["folder"])
    if request.get("dicom"):
        from .output.dicom_source import read_source

        with context.progress.stage("Reading the DICOM headers", until=0.2):
            source = read_source(request["dicom"], findings.study)
    write_folder(Analysis(volume, *arrays, findings), folder, scene=False, dicom=source, progress=context.progress)
    return {"folder": str(folder)}


def compare(request: Request, context: JobContext) -> dict[str, Any]:
    """Compare ``labels`` with ``reference`` (.npy of uint8 on one grid, 1 to 7 for C1 to C7; the latter may be absent).

    affine: 4x4, voxel (i, j, k) to mm in LPS. ``result``, a folder that does not exist yet, then holds
    comparison.json and, with a reference, surfaces.npz and disagreement.npz (parts, affine).
    """
    import numpy as np

    from .comparison.compare import compare_segmentations, disagreement, labelled_part
    from .comparison.surfaces import distance_surfaces, write_surfaces

    result, affine = Path(request["result"]), np.array(request["affine"], dtype=np.float64)
    labels = read_array(Path(request["labels"]))
    reference = read_array(Path(request["reference"])) if request.get("reference") else None
    if reference is not None:  # once for all three; what is cut already is cut at no cost
        labels, reference, affine = labelled_part(labels, reference, affine)
    with _result_folder(result) as folder:
        with context.progress.stage("Comparing", until=0.6):
            comparison = compare_segmentations(labels, reference, affine, context.progress)
        if reference is not None:
            with context.progress.stage("Measuring distances", until=1.0):
                surfaces = distance_surfaces(labels, reference, affine, context.progress)
            write_surfaces(surfaces, folder / SURFACES)
            np.savez(folder / DISAGREEMENT, **vars(disagreement(labels, reference, affine)))
        content = json.dumps(comparison.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)
        (folder / COMPARISON).write_text(content, encoding="utf-8")
    return {"result": str(result)}


def device(request: Request, context: JobContext) -> dict[str, Any]:
    """What the networks can run on: ``cpus``, how many threads, and ``gpus``, each with name, free and total bytes."""
    import torch

    gpus = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(index)
        gpus.append({"name": torch.cuda.get_device_name(index), "free": free, "total": total})
    return {"cpus": torch.get_num_threads(), "gpus": gpus}


JOBS: dict[str, Job] = {
    "analyze": Job(analyze, ("volume", "affine", "result")),
    "export": Job(export, ("volume", "affine", "labels", "heat", "findings", "folder")),
    "batch": Job(batch, ("studies", "results")),
    "add_model": Job(add_model, ("file",)),
    "device": Job(device, ()),
    "compare": Job(compare, ("labels", "affine", "result")),
    "study": Job(study_job.study, ("upload", "folder")),
    "warm": Job(study_job.warm, ()),
}


@contextmanager
def _result_folder(result: Path) -> Iterator[Path]:
    """A temporary folder that becomes `result`, whose parent must be there. Raises InputError."""
    if not result.parent.is_dir():
        raise InputError("The result can't be written: there is no such folder.", where=result.parent)
    with whole_folder(result) as folder:
        yield folder


def read_array(path: Path) -> np.ndarray:
    """An .npy file, memory-mapped, copied on write. Raises InputError."""
    import numpy as np

    try:
        return np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"The array can't be read: {error}.", where=path) from error


def read_volume(path: Path, affine: Any) -> CTVolume:
    """The CTVolume of an .npy file and an LPS affine. Raises InputError."""
    import numpy as np

    from .volume import CTVolume

    try:
        return CTVolume(read_array(path), np.array(affine, dtype=np.float64))
    except (ValueError, TypeError) as error:
        raise InputError(f"The volume can't be read: {error}.", where=path) from error


def read_study(request: Request) -> Study:
    """The `Study` that a request names by volume, affine and identity. Raises InputError."""
    from .intake.checks import check_volume
    from .intake.study import Study

    try:
        identity = StudyIdentity(**(request.get("identity") or {}))
    except TypeError as error:
        raise InputError(f"The study's identity is not understood: {error}.") from error
    volume = read_volume(Path(request["volume"]), request["affine"])
    return Study(volume, identity, tuple(check_volume(volume)))


def write_result(analysis: Analysis, folder: Path) -> None:
    """Write an `Analysis` into a folder that is there: arrays as .npy, findings as JSON."""
    import numpy as np

    arrays = {LABELS: analysis.labels, HEAT: analysis.heat, ANCHORS: analysis.anchors}
    for name, array in arrays.items():
        if array is not None:
            np.save(folder / name, np.ascontiguousarray(array), allow_pickle=False)
    content = json.dumps(analysis.findings.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)
    (folder / FINDINGS).write_text(content, encoding="utf-8")
