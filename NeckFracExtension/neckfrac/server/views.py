"""Rows of the table as the models that clients get."""

from __future__ import annotations

import base64
from typing import Any

from sqlalchemy import select

from .. import DISCLAIMER
from ..findings import POSITIVE, Findings
from ..formatting import as_figure
from .database import deliveries
from .models import Prediction, StudyView
from .service import Service


def study_view(service: Service, row: dict[str, Any], *, whole: bool = True) -> StudyView:
    """whole: with files, other heat maps and delivery; lists go without."""
    said = row["summary"] or {}
    explanations = service.table.explanations(row["id"]) if whole else []
    return StudyView(
        **{key: row[key] for key in _SAME},
        place=service.table.place(row),
        uploaded_files=row["files"],
        uploaded_bytes=row["bytes"],
        status=said.get("status", ""),
        level=said.get("level", ""),
        level_probability=said.get("level_probability"),
        patient_id=said.get("patient_id", ""),
        patient_name=said.get("patient_name", ""),
        study_date=said.get("study_date", ""),
        files=service.results.names(row) if whole else [],
        explanations=[
            {
                **{key: one[key] for key in ("id", "state", "stage", "fraction", "error")},
                "explain": one["options"].get("explain", "heat"),
                "place": service.table.place(one),
            }
            for one in explanations
        ],
        delivery=_delivery(service, row["id"]) if whole else None,
    )


_SAME = (
    "id", "state", "created", "started", "finished", "stage", "fraction", "attempt", "options", "revision",
    "probability", "error",
)  # fmt: skip


def _delivery(service: Service, identifier: str) -> dict[str, Any] | None:
    with service.engine.connect() as connection:
        row = connection.execute(select(deliveries).where(deliveries.c.job == identifier)).mappings().first()
    if row is None:
        return None
    waits = row["state"] == "waiting"
    return {
        **{key: row[key] for key in ("state", "tries", "error", "delivered")},
        "next_try": row["next_try"] if waits else None,
    }


def prediction(service: Service, row: dict[str, Any]) -> Prediction:
    """Probability, picture and explanation of a study that is done."""
    findings = service.results.findings(row)
    picture = (service.results.folder(row) / "overview.png").read_bytes()
    base = f"/api/studies/{row['id']}"
    return Prediction(
        id=row["id"],
        status=findings.patient_status,
        probability=findings.patient_probability,
        operating_point=findings.operating_point,
        picture="data:image/png;base64," + base64.b64encode(picture).decode(),
        explanation=in_words(findings),
        levels=[
            {
                "level": level.level,
                "status": level.status,
                "probability": level.probability,
                "suspicion": level.severity,
                "box": None if level.box is None else {"lower": level.box.lower, "upper": level.box.upper},
            }
            for level in findings.levels
        ],
        disclaimer=DISCLAIMER,
        links={
            "study": base,
            "findings": f"{base}/findings",
            **{name: f"{base}/files/{name}" for name in service.results.names(row)},
        },
    )


def in_words(findings: Findings) -> str:
    """What speaks for the call, in a few sentences."""
    said = []
    for level in findings.levels:
        if level.status == POSITIVE:
            name = findings.naming.either(level.level)
            said.append(f"{name}: fracture suspected ({as_figure(level.probability)}, suspicion {level.severity}).")
    if not said:
        said.append("No level is called at this operating point.")
    heat = findings.explanation.in_words() or "the networks' own heat maps"
    return " ".join([*said, f"The heat map shows {heat}.", findings.prevalence_in_words()]).strip()
