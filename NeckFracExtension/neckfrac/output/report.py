"""The report: one HTML file that needs nothing beside it; what is said lies in templates, filled here."""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2
import numpy as np

from .. import DISCLAIMER, __version__
from ..findings import NOT_SEEN, POSITIVE, Analysis, Findings, VertebraFinding
from ..formatting import as_figure, on_scale, suspicion_in_words
from ..measurement import NO_DIAGNOSIS
from .boxes import SEVERITY_COLORS
from .images import data_url
from .measurements import cell
from .planes import Plane, gray, overlay
from .report_measurements import measured
from .report_view import View, letters_of
from .scene import HEAT_SHOWN_FROM

VIEW_HALF, VIEW_PIXEL = (40.0, 40.0), 0.2  # mm
SCALE = 20.0  # mm, drawn in each view
LONGEST_UID = 20  # characters; of a longer one the end is shown, which tells series apart


def report(analysis: Analysis, picture: np.ndarray) -> str:
    """HTML with table, overview picture and three views of each finding. picture: `pictures.panels`, RGB."""
    findings = analysis.findings
    uid = findings.study.series_uid
    judged = [level for level in findings.levels if level.probability is not None]
    return templates().get_template("report.html.j2").render(
        findings=findings, study=findings.study, naming=findings.naming, facts=_facts(findings),
        short_uid=uid if len(uid) <= LONGEST_UID else "…" + uid[2 - LONGEST_UID :],
        seen=findings.patient_status != NOT_SEEN, verdict=_verdict(findings),
        positive=bool(findings.positive) or findings.patient_status == POSITIVE,
        highest=max(judged, key=lambda level: level.probability, default=None),
        unseen=[level.level for level in findings.levels if level.status == NOT_SEEN],
        overview=data_url(picture), members=sorted({name for level in findings.levels for name in level.members}),
        shown=[_finding(analysis, level) for level in findings.shown()], measured=measured(analysis),
        heat_in_words=_heat_in_words(findings), no_diagnosis=NO_DIAGNOSIS, version=__version__, disclaimer=DISCLAIMER,
    )  # fmt: skip


@cache
def templates() -> jinja2.Environment:
    """The templates of this folder. All that is put into them is escaped; a name that is missing is an error."""
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("neckfrac.output"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    found.filters |= {
        "figure": as_figure,
        "scale": lambda probability: f"{100 * on_scale(probability):.0f}%",
        "suspicion": suspicion_in_words,
        "color": _color,
        "cell": cell,
    }
    return found


def _facts(findings: Findings) -> list[tuple[str, str]]:
    """What the head of the page says of the study, without what is not known."""
    study = findings.study
    date = study.study_date
    if len(date) == 8 and date.isdigit():
        date = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    facts = [
        ("Patient", study.patient_name.replace("^", " ").strip()),
        ("Patient ID", study.patient_id),
        ("Study", study.study_description),
        ("Series", study.series_description or study.source),
        ("Date", date),
    ]
    return [(name, value) for name, value in facts if value]


def _verdict(findings: Findings) -> str:
    if findings.positive:
        return f"Suspected fracture: {findings.levels_in_words(findings.positive)}"
    if findings.patient_status == POSITIVE:
        return "Suspected fracture, no level stands out"
    return "No level above its threshold"


def _finding(analysis: Analysis, level: VertebraFinding) -> dict[str, Any]:
    """Axial, sagittal and coronal view through the box's centre, or the vertebra's where there is no box.

    level; remark: suspicion and review; place: "" where none is known; views.
    """
    suspicion = f"{suspicion_in_words(level.severity)} suspicion" if level.severity else ""
    remark = "; ".join(filter(None, (suspicion, analysis.findings.review_in_words(level.level))))
    if level.box is not None:
        center = level.box.center
        size = " × ".join(f"{value:.0f}" for value in level.box.size)
        place = f"Suspected region {size} mm (left–right, front–back, up–down)"
    elif level.center is not None:
        center, place = np.array(level.center), "No region stands out; shown is the vertebra's centre"
    else:
        return {"level": level, "remark": remark, "place": "", "views": []}
    sides = zip("RAI", "LPS", center, strict=True)
    where = ", ".join(f"{below if value < 0 else above} {abs(value):.0f}" for below, above, value in sides)
    planes = [Plane(name, center, VIEW_HALF, VIEW_PIXEL) for name in ("axial", "sagittal", "coronal")]
    views = [_view(analysis, level, plane) for plane in planes]
    return {"level": level, "remark": remark, "place": f"{place}, centre at {where} mm.", "views": views}


def _view(analysis: Analysis, level: VertebraFinding, plane: Plane) -> View:
    """The CT, what is drawn over it, and as vectors the box, the patient's sides and a scale."""
    height, width = plane.shape
    return View(
        name=f"{level.level}, {plane.name}", caption=plane.name, width=width, height=height,
        image=data_url(gray(plane, analysis)), over=data_url(overlay(plane, analysis)),
        box=None if level.box is None else tuple(plane.rectangle(level.box)), color=_color(level.severity),
        letters=letters_of(plane, 10), scale=SCALE / plane.pixel,
    )  # fmt: skip


def _heat_in_words(findings: Findings) -> str:
    """What the heat stands for: gradients know no scale and tell what a network looked at, right or wrong."""
    drawn_by = findings.explanation.in_words()
    if findings.explanation.is_own:
        whose = f" ({drawn_by})" if drawn_by else ""
        return f"The heat map{whose} shows what speaks for a fracture, from {HEAT_SHOWN_FROM:.0f} % up."
    return (
        f"The heat is {drawn_by}: what moved this network's answer in each suspected level, from "
        f"{HEAT_SHOWN_FROM:.0f} % of the level's hottest place up. It is no probability, and boxes do not follow it."
    )


def _color(severity: str | None) -> str:
    if severity is None:
        return "#5b8094"
    return "#" + "".join(f"{round(255 * part):02x}" for part in SEVERITY_COLORS[severity])
