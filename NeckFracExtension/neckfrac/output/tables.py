"""Findings as JSON and CSV."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from ..findings import Findings, VertebraFinding


def json_text(content: Any, indent: int | None = None) -> str:
    """JSON that can be written as UTF-8 whatever it holds: names of files that are no text keep their bytes."""
    text = json.dumps(content, indent=indent, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(content, indent=indent)
    return text


def write_json(findings: Findings, path: Path) -> None:
    """All that is known, by `Findings.to_dict`."""
    path.write_text(json_text(findings.to_dict(), indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> Findings:
    """The Findings that `write_json` wrote."""
    return Findings.from_dict(json.loads(path.read_text(encoding="utf-8")))


def write_csv(findings: Findings, path: Path) -> None:
    """A row a level and one for the patient; box corners in mm, LPS; empty where nothing is known, or was rejected.

    note: a reader's; in the patient's row, what must be known of the call. review_completed: when a reader called the
    review of all levels complete, ISO 8601 in UTC; the same in each row, empty when none has.
    alternative_levels: what else the row's vertebra could be, likeliest first, "C4 C2". names_certain: yes or no,
    and names_probability: both of the chain of levels, so the same in each row.
    """
    naming = findings.naming
    members = sorted({name for level in findings.levels for name in level.members})
    corners = [f"box_{end}_{axis}_mm" for end in ("lower", "upper") for axis in "xyz"]
    header = ["level", "alternative_levels", "names_certain", "names_probability"]
    header += ["status", "probability", "threshold", "severity", "share_in_view", "review", "note", *corners, *members]
    header.append("review_completed")
    named = ["yes" if naming.certain else "no", _number(naming.probability)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for level in findings.levels:
            alternatives = " ".join(naming.alternatives_of(level.level))
            row = [level.level, alternatives, *named, *_row(findings, level, members)]
            writer.writerow([*row, findings.review_completed])
        values = [_number(findings.patient_members.get(name)) for name in members]
        patient = [_number(findings.patient_probability), _number(findings.patient_threshold)]
        said = [findings.patient_status, *patient, "", "", "", findings.note_on_call()]
        writer.writerow(["patient", "", *named, *said, *[""] * 6, *values, findings.review_completed])


def _row(findings: Findings, level: VertebraFinding, members: list[str]) -> list[str]:
    place, review = findings.boxes().get(level.level), findings.review_of(level.level)
    box = [""] * 6 if place is None else [f"{value:.1f}" for value in (*place.lower, *place.upper)]
    return [
        level.status,
        _number(level.probability),
        _number(level.threshold),
        level.severity or "",
        f"{level.share_in_view:.3f}",
        *(("", "") if review is None else (review.verdict, review.note)),
        *box,
        *(_number(level.members.get(name)) for name in members),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
