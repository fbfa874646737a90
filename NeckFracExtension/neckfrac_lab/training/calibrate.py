"""What the ensemble is calibrated on: simulated studies of people that trained nothing, through the whole pipeline."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.errors import InputError
from neckfrac.pipeline.combine import LEVELS_MEMBER, OPERATING_POINTS, PATIENT, Ensemble
from neckfrac.progress import Progress

from neckfrac_lab.evaluation.fractures.evaluate import RECORDS, Records, ask, checksums
from neckfrac_lab.evaluation.fractures.prefetch import read_ahead

from .calibration import DEFAULT_TARGETS, OperatingPointTargets, StudyPredictions, fit_ensemble

if TYPE_CHECKING:
    from neckfrac.pipeline.engine import Networks

FOLDER = "calibration"  # of the runs
SEED = 90  # of the studies: another than evaluations start from, so that they share neither people nor scans
ADVICE = "Simulate them first: neckfrac train cache-calibration --samples 120"


def calibration_networks(models: Path, device: str = "auto", threads: int | None = None) -> Networks:
    """The networks of a models folder, which need not have been calibrated yet."""
    from neckfrac.pipeline.engine import ENSEMBLE_FILE, Networks

    if not (models / ENSEMBLE_FILE).exists():
        even = dict.fromkeys((*LEVEL_NAMES, PATIENT), 0.5)
        Ensemble({}, {}, dict.fromkeys(OPERATING_POINTS, even), {}).write(models / ENSEMBLE_FILE)
    return Networks(models, device, threads, ask_all=True)


def run_studies(
    networks: Networks, runs: Path, count: int, *, time_budget: float | None = None, readers: int = 0,
    progress: Progress | None = None, **simulated: Any,
) -> int:  # fmt: skip
    """Ask the members about `count` studies; how many are there then. Goes on from what is there.

    readers: see `read_ahead`. simulated: further arguments of `simulated_cases`.
    Raises InputError when what is there came from other networks.
    """
    from neckfrac_lab.evaluation.fractures.cases import simulated_cases

    deadline = None if time_budget is None else time.monotonic() + time_budget
    progress, records = progress or Progress(), records_in(networks, runs)
    left = [case for case in simulated_cases(count, seed=SEED, **simulated) if not records.has(case.name)]
    for n, (case, known) in enumerate(zip(left, read_ahead(left, readers), strict=True), count - len(left)):
        if deadline is not None and time.monotonic() > deadline:
            return n
        ask(case, known, networks, records, progress.part(n / count, (n + 1) / count))
    return count


def calibrate(
    networks: Networks, runs: Path,
    targets: OperatingPointTargets = DEFAULT_TARGETS,
    *,
    most: int | None = None,
) -> Ensemble:
    """The ensemble fitted to the studies of `runs` that are kept for it, or to the first `most` of them.

    Raises InputError when there are too few, or they were judged by other networks.
    """
    there = enumerate(islice(records_in(networks, runs).records, most))
    # A fracture that lies outside the scan, or is smaller than its voxels, is neither there nor not.
    told = [_told(n, one) for n, one in there if one["patient truth"] is not None]
    try:
        return fit_ensemble(told, targets)
    except ValueError as error:
        where = runs / FOLDER / RECORDS
        raise InputError(f"There are too few studies to calibrate on: {error}.", where=where, advice=ADVICE) from error


def records_in(networks: Networks, runs: Path) -> Records:
    """What these networks said so far of the studies to calibrate on; InputError when others did."""
    header = {"on": "simulated CT, to calibrate on", "seed": SEED, "bundles": checksums(networks)}
    return Records(runs / FOLDER / RECORDS, header)


def _told(number: int, one: dict[str, Any]) -> StudyPredictions:
    levels = {
        name: {member: said[name] for member, said in one["members"].items() if said.get(name) is not None}
        for name in LEVEL_NAMES
        if one["truth"][name] is not None
    }
    levels = {name: said for name, said in levels.items() if said}
    heads = {name: p for name, p in one["patient members"].items() if name != LEVELS_MEMBER}
    truths = {name: bool(one["truth"][name]) for name in levels}
    # Studies come in pairs of one person, see `simulated_cases`.
    return StudyPredictions(levels, truths, heads, one["patient truth"], number // 2)
