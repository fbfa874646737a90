"""How well a neck is measured: simulated necks, whose true measurements follow from their posed surfaces."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from neckfrac.anatomy import N_LEVELS
from neckfrac.measurement import Measurement
from neckfrac.progress import Progress
from neckfrac.quantities import QUANTITIES
from neckfrac.volume import CTVolume

if TYPE_CHECKING:
    from neckfrac.pipeline.engine import Networks
    from neckfrac.pipeline.segment import Segmented

    from neckfrac_lab.simulate.neck import Neck
    from neckfrac_lab.simulate.study import SimulatedStudy

RESULT, CASES = "measurements.json", "cases.jsonl"
WORN_RESULT, WORN_CASES = "worn.json", "worn.jsonl"
WORN = "worn and scanned in any way"  # the condition of `evaluate_worn`
THINNEST, SLICES = 1.0, (1.0, 2.0, 3.0)  # mm
# Degrees of flexion, lateral bend and axial turn of the whole neck, one after the other from study to study.
TURNS = ((30.0, 0.0, 0.0), (0.0, 30.0, 0.0), (0.0, 0.0, 30.0), (-30.0, 0.0, 0.0), (0.0, -30.0, 0.0), (0.0, 0.0, -30.0))
POSES = ("upright", "turned")
# mm along [z, y, x]: from the skull's base to T1, wide enough for spinous processes.
EXTENT, PIXEL, OFFSET = (210.0, 138.0, 120.0), 0.6, (0.0, 16.0, 4.0)
INSIDE = 3.0  # mm from the scan's border within which a point is not counted as in view
FIRST_SEED, FIRST_NECK, PEOPLE = 9_000_000, 9_000_000, 6


@dataclass(frozen=True)
class Agreement:
    """How measured values agree with true ones (Bland and Altman). All but the counts in the quantity's unit.

    measured, failed: how many of those in view were given, and how many were not. bias: mean of measured - true.
    limits: 1.96 standard deviations about the bias, None of fewer than two. covered: share whose 95 % interval holds
    the truth. None when nothing was measured.
    """

    measured: int
    failed: int
    bias: float | None
    limits: float | None
    covered: float | None

    @classmethod
    def of(cls, rows: Iterable[dict[str, Any]]) -> Agreement:
        """rows: "true" and, where it was measured, "value", "lower", "upper"."""
        rows = list(rows)
        known = [row for row in rows if row.get("value") is not None]
        off = np.array([row["value"] - row["true"] for row in known])
        held = [row["lower"] <= row["true"] <= row["upper"] for row in known]
        spread = 1.96 * float(off.std(ddof=1)) if len(off) > 1 else None
        bias, covered = (float(np.mean(part)) if len(known) else None for part in (off, held))
        return cls(len(known), len(rows) - len(known), bias, spread, covered)


def evaluate_measurements(
    studies: int, out: Path, *, seed: int = 0, networks: Networks | None = None, anatomy: Path | None = None,
    slices: Iterable[float] = SLICES, progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Agreement of each quantity by slice thickness and pose; goes on from what is in `out`.

    networks: None measures with the true masks, else with those that the networks segment. Every person is scanned in
    all thicknesses (whole multiples of 1 mm) and both poses. Writes `RESULT` and a line a scan to `CASES`. Raises
    InputError when `anatomy` is no folder of meshes.
    """
    from neckfrac_lab.simulate.command import neck_of

    progress, out = progress or Progress(), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    kept = out / CASES
    done = _read(kept)
    masks = "networks" if networks else "true"
    have = {(case["study"], case["pose"], case["slice"]) for case in done if case["masks"] == masks}
    necks: dict[int, Neck] = {}
    for n in range(studies):
        wanted = {(n, pose, mm) for pose in POSES for mm in slices} - have
        if wanted:
            number = 0 if anatomy else n % PEOPLE
            necks = {number: necks.get(number) or neck_of(anatomy, FIRST_NECK + 1000 * seed + number)}
            for case in _scans(necks[number], n, seed, wanted, networks):
                _keep({**case, "masks": masks}, done, kept)
        progress.step((n + 1) / studies)
    cases = [case for case in done if case["masks"] == masks and case["study"] < studies]
    result = {"masks": masks, "studies": studies, "seed": seed, "agreement": table(cases)}
    (out / RESULT).write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def evaluate_worn(
    studies: int, out: Path, *, networks: Networks, seed: int = 0, anatomy: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Agreement, and how many are flagged wrongly, of intact studies as `evaluate fractures` draws them.

    Worn, noisy, cut, with implants and look-alikes, in any pose, with the networks' masks. Goes on from what is in
    `out`; writes `WORN_RESULT` and a line a study to `WORN_CASES`. Raises InputError when `anatomy` is no folder of
    meshes.
    """
    from neckfrac_lab.simulate.command import neck_of

    from .fractures.cases import FIRST_NECK as OTHERS
    from .fractures.cases import STUDY_SHAPE, STUDY_SPACING, simulated_study

    progress, out = progress or Progress(), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    kept = out / WORN_CASES
    done = _read(kept)
    for n in range(len(done), studies):
        neck = neck_of(anatomy, OTHERS + 1000 * seed + (0 if anatomy else n % PEOPLE))
        study = simulated_study(2 * n + 1, seed, neck, STUDY_SHAPE, STUDY_SPACING)
        _keep({"study": n, **_judged(study, networks)}, done, kept)
        progress.step((n + 1) / studies)
    cases = done[:studies]
    by_name = {name: [row for case in cases for row in case["rows"] if row["name"] == name] for name in QUANTITIES}
    result = {
        "studies": len(cases),
        "seed": seed,
        "with a wrong flag": sum(bool(case["wrong flags"]) for case in cases),
        "wrong flags": [flag for case in cases for flag in case["wrong flags"]],
        "right flags": sum(len(case["right flags"]) for case in cases),
        "agreement": {WORN: {name: vars(Agreement.of(rows)) for name, rows in by_name.items() if rows}},
    }
    (out / WORN_RESULT).write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def _read(kept: Path) -> list[dict[str, Any]]:
    """The cases of an earlier run, one a line."""
    return [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()] if kept.exists() else []


def _keep(case: dict[str, Any], done: list[dict[str, Any]], kept: Path) -> None:
    """Add a case to those that are done, in memory and in the file."""
    done.append(case)
    with kept.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(case) + "\n")


def _judged(study: SimulatedStudy, networks: Networks) -> dict[str, Any]:
    """rows: see `compare`. A flag is right when the true value lies outside the normal range, too."""
    from neckfrac_lab.simulate.landmarks import true_measurements

    truth = true_measurements(study.posed)[1]
    measured = measured_in(study.volume, study.labels, networks)
    true = {one.key: one for one in truth}
    flags: dict[bool, list[str]] = {True: [], False: []}
    for one in measured:
        if one.flag:
            own = true.get(one.key)
            right = own is not None and own.normal is not None and bool(own.deviation > 0)
            flags[right].append(f"{one.key}: {one.in_words()}, in truth {own.in_words() if own else 'not known'}")
    return {
        "rows": compare(truth, measured, study.volume), "right flags": flags[True], "wrong flags": flags[False],
    }  # fmt: skip


def table(cases: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Agreement by condition ("1 mm, upright") and quantity."""
    result = {}
    for pose in POSES:
        for mm in sorted({case["slice"] for case in cases}):
            rows = [row for case in cases if (case["pose"], case["slice"]) == (pose, mm) for row in case["rows"]]
            by_name = {name: [row for row in rows if row["name"] == name] for name in QUANTITIES}
            result[f"{mm:g} mm, {pose}"] = {name: vars(Agreement.of(own)) for name, own in by_name.items() if own}
    return result


def _scans(
    neck: Neck, n: int, seed: int, wanted: set[tuple[int, str, float]], networks: Networks | None
) -> Iterator[dict[str, Any]]:
    """One person in the wanted poses and slice thicknesses."""
    from neckfrac_lab.simulate.landmarks import true_measurements

    for pose in POSES:
        thicknesses = sorted(mm for _, own, mm in wanted if own == pose)
        if not thicknesses:
            continue
        study = simulated(neck, n, seed, pose)
        truth = true_measurements(study.posed)[1]
        for mm in thicknesses:
            volume, labels = thicker(study, round(mm / THINNEST))
            rows = compare(truth, measured_in(volume, labels, networks), volume)
            yield {"study": n, "pose": pose, "slice": mm, "rows": rows}


def simulated(neck: Neck, n: int, seed: int, pose: str) -> SimulatedStudy:
    """An intact adult in a good scanner, in the thinnest slices."""
    from neckfrac_lab.simulate.scanner import Scanner
    from neckfrac_lab.simulate.study import Grid, Variation, simulate_study

    none = (0.0, 0.0, 0.0)
    turn = TURNS[n % len(TURNS)] if pose == "turned" else none
    variation = replace(Variation(), turn=turn, implant_chance=0.0, tube_chance=0.0)
    spacing = (THINNEST, PIXEL, PIXEL)
    shape = tuple(round(length / step) for length, step in zip(EXTENT, spacing, strict=True))
    scanner = Scanner(slice_thickness=THINNEST, blur=0.4, noise=15.0)
    own = FIRST_SEED + 100_000 * seed + n
    return simulate_study(
        neck, seed=own, grid=Grid(shape, spacing, ("C4", OFFSET)), variation=variation, scanner=scanner
    )


def thicker(study: SimulatedStudy, times: int) -> tuple[CTVolume, np.ndarray]:
    """Thick slices as scanners make them of thin ones, by their mean; with the true labels in their middles."""
    from neckfrac.pipeline.grids import shrink

    volume = shrink(study.volume, (times, 1, 1))
    labels = np.where(study.labels <= N_LEVELS, study.labels, 0).astype(np.uint8)
    return volume, labels[(times - 1) // 2 :: times][: volume.shape[0]]


def measured_in(volume: CTVolume, labels: np.ndarray, networks: Networks | None) -> tuple[Measurement, ...]:
    """What is measured of a scan, with its true masks or with the networks'."""
    from neckfrac.pipeline.external_segmentation import given
    from neckfrac.pipeline.measure import measure

    segmented = given(volume, labels, window=96) if networks is None else _segmented(volume, networks)
    return () if segmented is None else measure(segmented, volume)[0]


def _segmented(volume: CTVolume, networks: Networks) -> Segmented | None:
    from neckfrac.pipeline.grids import coarse
    from neckfrac.pipeline.locate import locate
    from neckfrac.pipeline.segment import segment

    located = locate(*coarse(volume), progress=Progress(), **networks.arguments("locate"))
    if not located.found:
        return None
    return segment(volume, located, progress=Progress(), **networks.arguments("segment"))


def compare(truth: Iterable[Measurement], measured: Iterable[Measurement], volume: CTVolume) -> list[dict[str, Any]]:
    """A row for each true measurement whose points are in view, or that was measured."""
    found = {(one.name, one.levels): one for one in measured}
    rows = []
    for one in truth:
        index = volume.to_indices(np.array(one.points))
        margin = INSIDE / volume.spacing
        inside = ((index >= margin) & (index <= np.array(volume.shape) - 1 - margin)).all()
        got = found.get((one.name, one.levels))
        if not inside and got is None:
            continue
        row = {"name": one.name, "levels": list(one.levels), "true": one.value}
        if got is not None:
            row |= {"value": got.value, "lower": got.lower, "upper": got.upper, "flag": got.flag}
        rows.append(row)
    return rows


def in_words(result: dict[str, Any]) -> str:
    """The agreement as tables in Markdown, one a condition."""
    parts = []
    for condition, rows in result["agreement"].items():
        head = "| | n | not given | bias | 95 % limits | interval holds |\n|---|---|---|---|---|---|"
        parts.append(f"\n### {condition}\n\n{head}")
        for name, row in rows.items():
            quantity = QUANTITIES[name]
            digits = 2 if quantity.unit in ("mm", "1") else 1
            styles = {"bias": f"+.{digits}f", "limits": f".{digits}f", "covered": ".0%"}
            figures = ["–" if row[part] is None else format(row[part], style) for part, style in styles.items()]
            figures[1] = figures[1] if row["limits"] is None else f"±{figures[1]}"
            unit = {"deg": "°", "1": "ratio"}.get(quantity.unit, quantity.unit)
            cells = [f"{quantity.title} ({unit})", str(row["measured"]), str(row["failed"]), *figures]
            parts.append(f"| {' | '.join(cells)} |")
    if "with a wrong flag" in result:
        parts.append(f"\n{result['with a wrong flag']} of {result['studies']} intact studies have a wrong flag:\n")
        parts += [f"- {flag}" for flag in result["wrong flags"]]
        parts.append(f"\nFlags of what lies outside the normal range in truth, too: {result['right flags']}.")
    return "\n".join(parts)
