"""The whole road over many studies whose fractures are known: a record a study, resumable, then one summary."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from neckfrac import DISCLAIMER, __version__
from neckfrac.anatomy import LEVELS
from neckfrac.comparison.scoring import score
from neckfrac.errors import InputError
from neckfrac.findings import Analysis, Box
from neckfrac.options import OPERATING_POINTS, AnalysisOptions
from neckfrac.progress import Progress

from .boxes import Marked
from .cases import folder_cases, simulated_cases
from .kinds import GRAFTED, KINDS, PATIENTS, SIMULATED
from .pictures import keep_worst
from .prefetch import read_ahead
from .summary import summarise

if TYPE_CHECKING:
    from neckfrac.pipeline.engine import Networks

    from .cases import Case, Known

RECORDS, RESULT, REPORT = "records.jsonl", "fractures.json", "fractures.html"


class Records:
    """The records of one evaluation, a JSON line each; the first line says what was evaluated.

    Raises InputError when the file is of another evaluation (other networks or cases), or no such file at all.
    A last line that was cut off while it was written is left out.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path, self.records = path, []
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(header) + "\n", encoding="utf-8")
            return
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        try:
            found, *self.records = map(json.loads, whole)
            differing = [name for name in header if found.get(name) != header[name]]
        except (ValueError, AttributeError) as error:
            raise InputError(
                "These are no records to go on from.", where=path, advice="Remove the file or choose another --out."
            ) from error
        if differing:
            raise InputError(
                f"The records here come from another evaluation ({', '.join(differing)} differ).",
                where=path,
                advice="Remove the folder or choose another --out.",
            )
        if len(whole) < len(lines):
            path.write_text("".join(whole), encoding="utf-8")

    def has(self, name: str) -> bool:
        """Whether this case is there already."""
        return any(record["case"] == name for record in self.records)

    def add(self, record: dict[str, Any]) -> None:
        """Keep one more record, on disk too."""
        self.records.append(record)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")


def evaluate_simulated_fractures(
    networks: Networks, count: int, out: Path, *, seed: int = 0, anatomy: Path | None = None,
    readers: int = 0, progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The figures on `count` simulated studies that no training saw; see `simulated_cases` and `evaluate_cases`."""
    command = f"neckfrac evaluate fractures --studies {count} --seed {seed}" + (" --anatomy MESHES" if anatomy else "")
    source = {"seed": seed, "anatomy": "built-in necks" if anatomy is None else Path(anatomy).name}
    cases = list(simulated_cases(count, seed=seed, anatomy=anatomy))
    return evaluate_cases(networks, cases, out, source=source, command=command, readers=readers, progress=progress)


def evaluate_fractures(
    networks: Networks, folder: Path, out: Path, *, readers: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """The figures on the studies in a folder: what `neckfrac simulate` wrote, or the layout of RSNA 2022.

    See `folder_cases`, `rsna_cases` and `evaluate_cases`.
    """
    from .rsna import is_rsna, rsna_cases

    name, kind = Path(folder).resolve().name, SIMULATED
    if is_rsna(folder):
        from neckfrac_lab.training.rsna import RSNAData

        data = RSNAData(folder)
        kind = SIMULATED if data.simulated else PATIENTS
        cases = list(rsna_cases(data))
    else:
        cases = list(folder_cases(folder))
        if any(case.grafted for case in cases):
            kind = GRAFTED
    source, command = {"seed": None, "anatomy": name}, f"neckfrac evaluate fractures {name}"
    return evaluate_cases(
        networks, cases, out, source=source, command=command, kind=kind, readers=readers, progress=progress
    )


def evaluate_cases(
    networks: Networks, cases: Sequence[Case], out: Path, *, source: dict[str, Any], command: str,
    kind: str = SIMULATED, readers: int = 0, progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The figures of all cases, also written as JSON and HTML to `out`; cases with a record are not run again.

    kind: what the cases are, of KINDS. source: what else tells them from others (seed, anatomy). readers: see
    `read_ahead`; with some, the seconds that are told hold what they took from the networks. Raises InputError when
    `out` holds records of other networks or cases, or there is no case.
    """
    from .report import write_report

    progress = progress or Progress()
    bundles = checksums(networks)
    if not cases:
        raise InputError("There is no study to evaluate.", advice="Give a folder with studies, or --studies.")
    records = Records(out / RECORDS, {"on": KINDS[kind], **source, "bundles": bundles})
    left = [case for case in cases if not records.has(case.name)]
    progress.step(1 - len(left) / len(cases))
    for n, (case, known) in enumerate(zip(left, read_ahead(left, readers), strict=True), len(cases) - len(left)):
        analysis = ask(case, known, networks, records, progress.part(n / len(cases), (n + 1) / len(cases)))
        keep_worst(out, records.records, networks.ensemble.thresholds, case.name, known, analysis)
    names = {case.name for case in cases}
    chosen = [r for r in records.records if r["case"] in names]
    result = {
        "on": KINDS[kind],
        "kind": kind,
        "note": DISCLAIMER,
        "version": __version__,
        "command": command,
        **source,
        "bundles": bundles,
        **summarise(chosen, networks.ensemble, members=networks.members),
    }
    (out / RESULT).write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    write_report(result, out)
    return result


def checksums(networks: Networks) -> dict[str, str]:
    """SHA-256 of each bundle's weights by its name: records of other networks are not gone on from."""
    return {bundle.name: bundle.identity.sha256 for bundle in networks.bundles.values()}


def ask(case: Case, known: Known, networks: Networks, records: Records, progress: Progress) -> Analysis:
    """Run the pipeline on a case that was read and keep its record."""
    analysis, cost = run(known, networks, progress)
    records.add(record(case.name, known, analysis, cost))
    return analysis


def run(known: Known, networks: Networks, progress: Progress) -> tuple[Analysis, dict[str, Any]]:
    """The pipeline over one study; what it took: seconds by stage and in all, peak memory of the process (GiB)."""
    from neckfrac.pipeline.analyze import analyze

    reset_peak_memory()
    own = Progress(lambda _, done: progress.step(done))  # stages and warnings of its own: those of this study
    began = time.perf_counter()
    analysis = analyze(known.study, networks, AnalysisOptions(OPERATING_POINTS[0]), progress=own)
    cost = {"seconds": time.perf_counter() - began, "stages": dict(own.timings), "peak memory GiB": peak_memory()}
    return analysis, cost


def reset_peak_memory() -> None:
    """Start a new peak where the system can (Linux); elsewhere the peak is the process's, from its start."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> float | None:
    """GiB; None where the system does not tell."""
    with suppress(OSError, IndexError, ValueError):
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024**2
    try:
        import resource
    except ImportError:
        return None
    # Linux counts ru_maxrss in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**3 if sys.platform == "darwin" else 1024**2)


def record(name: str, known: Known, analysis: Analysis, cost: dict[str, Any]) -> dict[str, Any]:
    """All that the figures need of one study, JSON-ready: probabilities as they came, None where nothing was said."""
    findings = analysis.findings
    members = sorted({member for level in findings.levels for member in level.members})
    spine = None
    if known.labels is not None:
        certain = findings.naming.certain
        judged = score(
            analysis.labels, known.labels, known.study.volume.spacing, known.shares, certain=certain, surfaces=False
        )
        spine = judged.record()
    return {
        "case": name,
        "truth": known.levels,
        "patient truth": known.patient,
        "probabilities": {level.level: level.probability for level in findings.levels},
        "members": {m: {level.level: level.members.get(m) for level in findings.levels} for m in members},
        "patient probability": findings.patient_probability,
        "patient members": findings.patient_members,
        "boxes": [
            _told(Marked(level.region, level.level, level.probability))
            for level in findings.levels
            if level.region is not None and level.probability is not None
        ],
        "true boxes": None if known.boxes is None else [_told(marked) for marked in known.boxes],
        "vertebrae": [_told(marked) for marked in vertebra_boxes(analysis)],
        "names certain": findings.naming.certain,
        "spine": spine,
        "strata": known.strata,
        "level strata": known.level_strata,
        "shape": list(known.study.volume.shape),
        **cost,
    }


def vertebra_boxes(analysis: Analysis) -> list[Marked]:
    """The box (mm, LPS) around each segmented level: what calling all of them fractured would show."""
    from scipy import ndimage

    boxes = []
    for level, place in zip(LEVELS, ndimage.find_objects(analysis.labels, max_label=len(LEVELS)), strict=True):
        if place is None:
            continue
        edges = [(part.start - 0.5, part.stop - 0.5) for part in place]
        corners = np.stack(np.meshgrid(*edges, indexing="ij"), axis=-1).reshape(-1, 3)
        points = analysis.volume.to_points(corners)
        lower, upper = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        boxes.append(Marked(Box(tuple(lower), tuple(upper)), level.name))
    return boxes


def _told(marked: Marked) -> dict[str, Any]:
    return {
        "level": marked.level,
        "probability": marked.probability,
        "lower": [float(value) for value in marked.box.lower],
        "upper": [float(value) for value in marked.box.upper],
    }
