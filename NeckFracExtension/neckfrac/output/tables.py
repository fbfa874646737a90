"""Findings as JSON and CSV."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from ..findings import Findings, VertebraFinding


def write_json(findings: Findings, path: Path) -> None:
    """All that is known, by `Findings.to_dict`."""
    path.write_text(json.dumps(findings.to_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Findings:
    """The Findings that `write_json` wrote."""
    return Findings.from_dict(json.loads(path.read_text(encoding="utf-8")))


def write_csv(findings: Findings, path: Path) -> None:
    """A row a level and one for the patient; box corners in mm, LPS; empty where nothing is known."""
    members = sorted({name for level in findings.levels for name in level.members})
    corners = [f"box_{end}_{axis}_mm" for end in ("lower", "upper") for axis in "xyz"]
    header = ["level", "status", "probability", "threshold", "severity", "share_in_view", *corners, *members]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for level in findings.levels:
            writer.writerow(_row(level, members))
        values = [_number(findings.patient_members.get(name)) for name in members]
        patient = [_number(findings.patient_probability), _number(findings.patient_threshold)]
        writer.writerow(["patient", findings.patient_status, *patient, "", "", *[""] * 6, *values])


def _row(level: VertebraFinding, members: list[str]) -> list[str]:
    box = [""] * 6 if level.box is None else [f"{value:.1f}" for value in (*level.box.lower, *level.box.upper)]
    return [
        level.level,
        level.status,
        _number(level.probability),
        _number(level.threshold),
        level.severity or "",
        f"{level.share_in_view:.3f}",
        *box,
        *(_number(level.members.get(name)) for name in members),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
