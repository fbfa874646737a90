"""Measurements as CSV, and as text for dictation."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from ..findings import Findings
from ..measurement import NO_DIAGNOSIS, UNITS, Measurement, shown

HEADER = (
    "name", "levels", "value", "unit", "lower_95", "upper_95", "normal_lower", "normal_upper", "normal_source",
    "flag", "edited", "note", "points_lps_mm", "review_completed",
)  # fmt: skip
# What a report says of one level in a row, and what it says of two neighbours.
OF_LEVEL = (
    "anterior-height", "middle-height", "posterior-height", "height-ratio", "height-loss", "body-depth",
    "canal-diameter", "canal-body-ratio", "prevertebral",
)  # fmt: skip
BETWEEN = ("listhesis", "disc-height", "segmental-angle", "interspinous")


def by_deviation(measurements: Iterable[Measurement]) -> list[Measurement]:
    """The farthest outside its normal range first; those without a range last, in their order in the neck."""
    return sorted(measurements, key=lambda one: -one.deviation)


def write_measurements(findings: Findings, path: Path) -> None:
    """A row a measurement; each two points in a row are a line, x y z in mm, LPS.

    review_completed: of the whole result, as in findings.csv.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows([*_row(one), findings.review_completed] for one in findings.measurements)


def _row(one: Measurement) -> list[str]:
    normal = one.normal
    ends = ["", "", ""] if normal is None else [_number(normal.lower), _number(normal.upper), normal.source]
    points = "; ".join(" ".join(f"{value:.2f}" for value in point) for point in one.points)
    figures = [f"{value:.3f}" for value in (one.value, one.lower, one.upper)]
    unit = "" if one.unit == "1" else one.unit
    edited = "yes" if one.edited else "no"
    return [
        one.name,
        "-".join(one.levels),
        figures[0],
        unit,
        *figures[1:],
        *ends,
        one.flag or "",
        edited,
        one.note,
        points,
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def as_text(findings: Findings) -> str:
    """The measurements as lines that can be pasted into a report: what is not normal first; "" when there are none."""
    if not findings.measurements:
        return ""
    lines = [f"{one.flag}{_edited(one)}." for one in findings.flagged]
    if lines:
        lines += [NO_DIAGNOSIS, ""]
    if findings.naming.sentence():
        lines = [findings.naming.sentence(), *lines]
    lines += [_sentence(one) for one in findings.measurements]
    return "\n".join(lines) + "\n"


def _sentence(one: Measurement) -> str:
    normal = "" if one.normal is None else f"; normal {one.normal.in_words(one.unit)}"
    # Units stand once: after the upper end.
    ends = one.uncertainty_in_words()
    note = f" {one.note}" if one.note else ""
    return f"{one.where} {one.quantity.title}: {one.in_words()} ({ends}{normal}){_edited(one)}.{note}"


def _edited(one: Measurement) -> str:
    return ", changed by the reader" if one.edited else ""


def table_of(findings: Findings, names: tuple[str, ...]) -> list[tuple[str, list[Measurement | None]]]:
    """Rows of some quantities: (where, the measurement of each name or None), from above."""
    rows: dict[str, dict[str, Measurement]] = {}
    for one in findings.measurements:
        if one.name in names:
            rows.setdefault("–".join(one.levels), {})[one.name] = one
    return [(where, [found.get(name) for name in names]) for where, found in rows.items()]


def heading(name: str) -> str:
    """A short heading of a column of `table_of`, with its unit."""
    from ..quantities import QUANTITIES

    quantity = QUANTITIES[name]
    short = {
        "anterior-height": "Ant.", "middle-height": "Mid.", "posterior-height": "Post.", "height-ratio": "A/P",
        "height-loss": "Loss", "body-depth": "Depth", "canal-diameter": "Canal", "canal-body-ratio": "Canal/body",
        "prevertebral": "Prevert.", "disc-height": "Disc", "segmental-angle": "Angle", "interspinous": "Interspin.",
    }.get(name, quantity.title)  # fmt: skip
    return f"{short} {UNITS[quantity.unit]}".strip()


def cell(one: Measurement | None) -> str:
    """A measurement's figure without its unit; "!" after what is flagged, "*" after what a reader changed."""
    if one is None:
        return ""
    marks = ("!" if one.flag else "") + ("*" if one.edited else "")
    return shown(one.value, one.unit, bare=True) + marks
