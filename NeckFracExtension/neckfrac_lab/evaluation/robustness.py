"""How segmentation and naming hold when the scan gets worse: one condition swept at a time, resumable."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from neckfrac.anatomy import LEVEL_BY_NAME
from neckfrac.comparison.intervals import mean, rate
from neckfrac.comparison.scoring import score
from neckfrac.errors import InputError
from neckfrac.progress import Progress

from neckfrac_lab.evaluation.perturbations import CUTS, KERNELS, Case, RealScan, Subject, hardware_chance

from .segmentation import about, segment_volume, shares_of_labels

if TYPE_CHECKING:
    from neckfrac.pipeline.engine import Networks

    from neckfrac_lab.simulate.neck import Neck

BASELINE = "as it is"
# What is swept: the values beside the baseline, the baseline's own value (None: it is none of them), the unit.
CONDITIONS: dict[str, tuple[tuple[float | str, ...], float | str | None, str]] = {
    "pitch": ((10, 20, 30, 40), 0, "degrees"),
    "roll": ((10, 20, 30, 40), 0, "degrees"),
    "yaw": ((10, 20, 30, 40), 0, "degrees"),
    "slice thickness": ((0.5, 2, 3, 5), 1, "mm"),
    "noise": ((0, 40, 60, 80), 20, "HU"),
    "kernel": (tuple(name for name in KERNELS if name != "standard"), "standard", ""),
    "metal": (("fillings", "strong streaks", "implants"), "none", ""),
    "shoulder streaks": ((30, 60, 90), 0, "HU"),
    "HU offset": ((-100, -50, 50, 100), 0, "HU"),
    "in-plane spacing": ((0.3, 0.5, 1.0, 1.2), 0.8, "mm"),
    **{where: ((7, 6, 5, 4, 3, 2), None, "whole levels") for where in CUTS},
}
# Metal and shoulders can't be added to a real scan by resampling it; its baseline is the scan as it came.
REAL_CONDITIONS: dict[str, tuple[tuple[float | str, ...], float | str | None, str]] = {
    **{name: ((-40, -20, 10, 20, 30, 40), 0, "degrees") for name in ("pitch", "roll", "yaw")},
    "slice thickness": ((2, 3, 5), 1, "mm"),
    "noise": ((20, 40, 60, 80), 0, "HU"),
    "kernel": CONDITIONS["kernel"],
    "HU offset": CONDITIONS["HU offset"],
    "in-plane spacing": ((0.5, 0.8, 1.0, 1.2), None, "mm"),
    **{where: CONDITIONS[where] for where in CUTS},
}
SIMULATED_FILE, REAL_FILE = "robustness-simulated.json", "robustness-real.json"
FIRST_SEED, FIRST_NECK = 6_000_000, 6_000_000  # far from every seed of training and of `segmentation`
LANDMARK_WITHIN = 2.0  # mm from a landmark to the nearest label


class Ledger:
    """The records of one sweep in a JSON file that is rewritten after each, so that a sweep can go on later.

    Raises InputError when the file is of another sweep (other networks, seed or scan), or no such file at all.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path, self.header, self.records = path, header, []
        if not path.exists():
            return
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found, self.records = content["sweep"], content["records"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                "These are no results to go on from.", where=path, advice="Remove the file or choose another --out."
            ) from error
        told = ("command", "note", "version")  # these may change without making another curve
        if differing := [name for name in header if name not in told and found.get(name) != header[name]]:
            raise InputError(
                f"The results here come from another sweep ({', '.join(differing)} differ).",
                where=path,
                advice="Remove the file or choose another --out.",
            )

    def has(self, subject: int, condition: str, value: float | str | None) -> bool:
        """Whether this point is there already."""
        key = (subject, condition, value)
        return any((r["subject"], r["condition"], r["value"]) == key for r in self.records)

    def add(self, record: dict[str, Any]) -> None:
        """Keep one more record, on disk too; the file is never half written."""
        self.records.append(record)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".part")
        content = {"sweep": self.header, "curves": curves(self.records), "records": self.records}
        fresh.write_text(json.dumps(content, indent=1), encoding="utf-8")
        os.replace(fresh, self.path)


def points_of(
    conditions: dict[str, tuple[tuple[float | str, ...], float | str | None, str]], chosen: Iterable[str] = ()
) -> list[tuple[str, float | str | None]]:
    """The baseline and every condition's values. Raises InputError for a condition that is not swept."""
    chosen = list(chosen) or list(conditions)
    if unknown := [name for name in chosen if name not in conditions]:
        raise InputError(f"There is no condition {unknown[0]!r}.", advice=f"Choose {', '.join(conditions)}.")
    return [(BASELINE, None), *((name, value) for name in chosen for value in conditions[name][0])]


def sweep_simulated(
    networks: Networks, out: Path, *, subjects: int = 4, seed: int = 0, chosen: Iterable[str] = (),
    anatomy: Path | None = None, build: Callable[[int], Neck] | None = None, progress: Progress | None = None,
) -> Path:  # fmt: skip
    """Sweep simulated people, one after the other; returns the JSON file. Goes on where an earlier run stopped.

    build: the neck of a subject's number; None: built-in necks that no training saw, and where `anatomy` is given
    every other one from its meshes.
    """
    progress = progress or Progress()
    points = points_of(CONDITIONS, chosen)
    if ("metal", "implants") in points and hardware_chance() is None:
        points.remove(("metal", "implants"))
    command = f"neckfrac evaluate robustness --subjects {subjects} --seed {seed}"
    anatomy_name = None if anatomy is None else Path(anatomy).name
    header = {"on": "simulated CT", **about(networks, seed, command), "anatomy": anatomy_name}
    ledger = Ledger(out / SIMULATED_FILE, header)
    build = build or (lambda subject: _neck_of(subject, seed, anatomy))
    todo = {n: [point for point in points if not ledger.has(n, *point)] for n in range(subjects)}
    total, done = max(sum(map(len, todo.values())), 1), 0
    for n, missing in todo.items():
        subject = None
        for condition, value in missing:
            progress.step(done / total)
            if subject is None:  # a neck takes some 10 s to build
                subject = Subject(build(n), FIRST_SEED + 1000 * seed + n, 1 if n % 2 == 0 else -1)
            case = subject.case(condition, value)
            part = progress.part((done + 0.4) / total, (done + 1) / total)
            ledger.add(_record(n, condition, value, case, networks, part))
            done += 1
    progress.step(1.0)
    return ledger.path


def _neck_of(subject: int, seed: int, anatomy: Path | None) -> Neck:
    from neckfrac_lab.simulate.command import neck_of

    return neck_of(anatomy if subject % 2 else None, FIRST_NECK + 1000 * seed + subject)


def sweep_real(
    networks: Networks, out: Path, study: Path, *, landmarks: Path | None = None, chosen: Iterable[str] = (),
    seed: int = 0, progress: Progress | None = None,
) -> Path:  # fmt: skip
    """Sweep one real scan without labels by resampling it: each answer against that on the untouched scan.

    landmarks: JSON with "points": {"C2 dens": [x, y, z], ...}, LPS mm. Returns the JSON file; goes on as
    `sweep_simulated` does. Raises InputError when there are fewer than two whole vertebrae to follow.
    """
    from neckfrac.intake.study import read_study

    progress = progress or Progress()
    points = points_of(REAL_CONDITIONS, [name for name in chosen if name in REAL_CONDITIONS] if chosen else ())
    volume = read_study(study, progress=progress.part(0.0, 0.02)).volume
    marks = read_landmarks(landmarks) if landmarks else {}
    command = f"neckfrac evaluate robustness --study {Path(study).name} --seed {seed}"
    header = {"on": "a real CT, resampled", **about(networks, seed, command), "study": Path(study).name}
    ledger = Ledger(out / REAL_FILE, header)
    labels, _ = segment_volume(volume, networks, progress.part(0.02, 0.05))
    case = Case(volume, labels, shares_of_labels(labels, volume), marks)
    whole = sum(share >= 0.95 for share in case.shares.values())
    if whole < 2:
        raise InputError("Fewer than two whole vertebrae were found on the untouched scan.", where=study)
    # A cut that keeps all that is there is no cut where the scan ends there anyway.
    missing = [p for p in points if not ledger.has(0, *p) and not (p[0] in CUTS and float(p[1]) > whole)]
    scan = RealScan(case, seed)
    for done, (condition, value) in enumerate(missing):
        part = progress.part(0.05 + 0.95 * done / len(missing), 0.05 + 0.95 * (done + 1) / len(missing))
        ledger.add(_record(0, condition, value, scan.case(condition, value), networks, part))
    progress.step(1.0)
    return ledger.path


def read_landmarks(path: Path) -> dict[str, tuple[float, float, float]]:
    """Points (x, y, z; mm, LPS) by name, which begins with the level's. Raises InputError."""
    try:
        points = json.loads(Path(path).read_text(encoding="utf-8"))["points"]
        found = {str(name): (float(x), float(y), float(z)) for name, (x, y, z) in points.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "The landmarks can't be read.", where=path, advice='Give JSON with "points": {"C2 dens": [x, y, z]}.'
        ) from error
    if unknown := [name for name in found if name.split()[0] not in LEVEL_BY_NAME]:
        raise InputError(f"The landmark {unknown[0]!r} names no level.", where=path, advice="Begin it with C1 to C7.")
    return found


def _record(
    subject: int, condition: str, value: float | str | None, case: Case, networks: Networks, progress: Progress
) -> dict[str, Any]:
    answer, located = segment_volume(case.volume, networks, progress)
    certain = located.naming.certain
    result = score(answer, case.labels, case.volume.spacing, case.shares, certain=certain, surfaces=False)
    record = {"subject": subject, "condition": condition, "value": value, **result.record()}
    if case.points:
        record["landmarks"] = landmarks_right(answer, case.volume, case.points)
    return record


def landmarks_right(answer: np.ndarray, volume, points: dict[str, tuple[float, float, float]]) -> dict[str, bool]:
    """Whether the label nearest to each landmark in view, within LANDMARK_WITHIN, is its level's."""
    result = {}
    reach = np.ceil((LANDMARK_WITHIN + 1) / volume.spacing).astype(int)
    for name, point in points.items():
        index = volume.to_indices(np.array(point))
        nearest = np.rint(index).astype(int)
        if (nearest < 0).any() or (nearest >= volume.shape).any():
            continue
        low = np.maximum(nearest - reach, 0)
        part = answer[tuple(slice(a, b + r + 1) for a, b, r in zip(low, nearest, reach, strict=True))]
        where = np.argwhere(part)
        distances = np.linalg.norm((where + low - index) * volume.spacing, axis=1)
        label = part[tuple(where[distances.argmin()])] if len(where) and distances.min() <= LANDMARK_WITHIN else 0
        result[name] = bool(label == LEVEL_BY_NAME[name.split()[0]].label)
    return result


def curves(records: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """By condition and value: mean Dice, studies with every level right, those certain though wrong, landmarks."""
    result: dict[str, list[dict[str, Any]]] = {}
    for condition, value in dict.fromkeys((r["condition"], r["value"]) for r in records):
        chosen = [r for r in records if (r["condition"], r["value"]) == (condition, value)]
        point = {
            "value": value,
            "studies": len(chosen),
            "dice": mean([[f["dice"] for f in r["whole"].values()] for r in chosen]),
            "every level right": _rate([r["every level right"] for r in chosen if r["whole"]]),
            "certain and wrong": _rate([r["certain and wrong"] for r in chosen]),
            "nothing found": _rate([not r["found"] for r in chosen]),
        }
        if marks := [right for r in chosen for right in r.get("landmarks", {}).values()]:
            point["landmarks right"] = _rate(marks)
        result.setdefault(condition, []).append(point)
    return result


def _rate(answers: list[bool]) -> dict[str, object]:
    return rate(sum(answers), len(answers))
