"""The report: one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
from html import escape

import numpy as np

from .. import DISCLAIMER, __version__
from ..findings import NOT_SEEN, POSITIVE, Analysis, Findings, VertebraFinding
from .pictures import png, view
from .scene import SEVERITY_COLORS

VIEW_HALF, VIEW_PIXEL = (40.0, 40.0), 0.22  # mm


def report(analysis: Analysis, picture: np.ndarray) -> str:
    """HTML with table, overview picture and three views of each finding. picture: the overview, RGB."""
    findings = analysis.findings
    body = [
        _header(findings),
        _verdict(findings),
        f'<img class="overview" alt="Overview" src="{_data(picture)}">',
        _table(findings),
        *(_finding(analysis, level) for level in findings.positive),
        _notes(findings),
    ]
    title = escape(f"NeckFrac: {findings.study.series_description or findings.study.source or 'study'}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _header(findings: Findings) -> str:
    study = findings.study
    facts = {
        "Patient": study.patient_name.replace("^", " ").strip(),
        "Patient ID": study.patient_id,
        "Study": study.study_description,
        "Series": study.series_description or study.source,
        "Date": study.study_date,
        "Series UID": study.series_uid,
    }
    items = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items() if v)
    return f'<header><h1>Cervical spine CT</h1><p class="research">{escape(DISCLAIMER)}</p><dl>{items}</dl></header>'


def _verdict(findings: Findings) -> str:
    point = f"{findings.operating_point} operating point"
    if findings.patient_status == NOT_SEEN:
        said = "<h2>No cervical spine found</h2><p>Nothing is said of any level.</p>"
        return f'<section class="verdict none">{said}</section>'
    seen = [level for level in findings.levels if level.probability is not None]
    if findings.positive:
        names = ", ".join(level.level for level in findings.positive)
        line, kind = f"Suspected fracture: {names}", "found"
    elif findings.patient_status == POSITIVE:
        line, kind = "Suspected fracture, no level stands out", "found"
    else:
        line, kind = "No level above the threshold", "clear"
    highest = max(seen, key=lambda level: level.probability)
    return (
        f'<section class="verdict {kind}"><h2>{line}</h2><p>Patient probability '
        f"<b>{findings.patient_probability:.2f}</b> (threshold {findings.patient_threshold:.2f}, {point}). "
        f"Highest level: {highest.level}, {highest.probability:.2f}.</p></section>"
    )


def _table(findings: Findings) -> str:
    members = sorted({name for level in findings.levels for name in level.members})
    heads = ["Level", "Probability", "Call", "Severity", "In view", "Threshold", *members]
    rows = "".join(_row(level, members) for level in findings.levels)
    head = "".join(f"<th>{escape(h)}</th>" for h in heads)
    return f"<section><h2>Levels</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></section>"


def _row(level: VertebraFinding, members: list[str]) -> str:
    if level.status == NOT_SEEN:
        return f'<tr class="unseen"><td>{level.level}</td><td colspan="{5 + len(members)}">not seen</td></tr>'
    width, color = round(100 * level.probability), _color(level.severity)
    bar = f'<span class="bar"><i style="width:{width}%;background:{color}"></i></span> {level.probability:.2f}'
    cells = [
        bar,
        level.status,
        level.severity or "",
        f"{level.share_in_view:.0%}",
        f"{level.threshold:.2f}",
        *(f"{level.members[name]:.2f}" if name in level.members else "" for name in members),
    ]
    link = f'<a href="#{level.level}">{level.level}</a>' if level.status == POSITIVE else level.level
    kind = ' class="positive"' if level.status == POSITIVE else ""
    return f"<tr{kind}><td>{link}</td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _finding(analysis: Analysis, level: VertebraFinding) -> str:
    """Axial, sagittal and coronal view through the box's centre, or the vertebra's where there is no box."""
    center = level.box.center if level.box is not None else np.array(level.center)
    boxes = [(level.box, level.severity)] if level.box is not None else []
    views = ""
    for plane in ("axial", "sagittal", "coronal"):
        picture = view(analysis, center, plane, VIEW_HALF, VIEW_PIXEL, boxes=boxes)
        image = f'<img alt="{level.level} {plane}" src="{_data(picture)}">'
        views += f"<figure>{image}<figcaption>{plane}</figcaption></figure>"
    place = ", ".join(f"{value:.0f}" for value in center)
    size = "" if level.box is None else " Box " + " x ".join(f"{v:.0f}" for v in level.box.size) + " mm (x, y, z)."
    return (
        f'<section id="{level.level}" class="finding">'
        f"<h2>{level.level}: {level.probability:.2f}, {level.severity} severity</h2>"
        f"<p>Centre at ({place}) mm, LPS.{size} Heat map from Model II, shown above 25 %.</p>"
        f'<div class="views">{views}</div></section>'
    )


def _notes(findings: Findings) -> str:
    warnings = "".join(f"<li>{escape(warning)}</li>" for warning in findings.warnings)
    models = "".join(
        f"<tr><td>{escape(m.name)}</td><td>{escape(m.version)}</td><td>{escape(m.step)}</td>"
        f"<td><code>{escape(m.sha256[:16])}</code></td><td>{escape(m.trained_on)}</td></tr>"
        for m in findings.models
    )
    timings = "".join(f"<tr><td>{escape(k)}</td><td>{v:.1f} s</td></tr>" for k, v in findings.timings.items())
    return (
        (f'<section class="warnings"><h2>Notes</h2><ul>{warnings}</ul></section>' if warnings else "")
        + "<section><h2>How this was made</h2><p>The networks were trained on simulated CT only; no patient with a "
        "fracture was used to train or to measure them. Severity ranks how far the probability lies above the "
        "threshold; it does not grade the fracture.</p>"
        "<table><thead><tr><th>Model</th><th>Version</th><th>Step</th><th>SHA-256</th><th>Trained on</th></tr></thead>"
        f"<tbody>{models}</tbody></table><table class='narrow'><tbody>{timings}</tbody></table>"
        f"<p class='small'>NeckFrac {escape(__version__)}. {escape(DISCLAIMER)}</p></section>"
    )


def _color(severity: str | None) -> str:
    if severity is None:
        return "#5b8094"
    return "#" + "".join(f"{round(255 * part):02x}" for part in SEVERITY_COLORS[severity])


def _data(picture: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(png(picture)).decode("ascii")


STYLE = """
:root{color-scheme:light dark;--ink:#16202a;--soft:#5d6b78;--paper:#fff;--line:#dde3e8;--tint:#f3f6f8;--alarm:#c43d0e}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#9aa7b3;--paper:#12161a;--line:#2a323a;--tint:#1a2026;
--alarm:#ff8a5c}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI",
Roboto,"DejaVu Sans",sans-serif}main{max-width:1100px;margin:0 auto;padding:24px}
h1{font-size:24px;margin:0}h2{font-size:18px;margin:0 0 8px}section{margin:28px 0}
.research{display:inline-block;margin:6px 0 12px;padding:3px 10px;border:1px solid var(--alarm);border-radius:4px;
color:var(--alarm);font-weight:600}
dl{display:flex;flex-wrap:wrap;gap:6px 28px;margin:0}dt{color:var(--soft);font-size:12px}
dd{margin:0;overflow-wrap:anywhere}
.verdict{padding:14px 18px;border-radius:8px;background:var(--tint);border-left:6px solid #5b8094}
.verdict.found{border-color:#d65f00}.verdict p{margin:0}
.overview{width:100%;border-radius:8px;display:block}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}.narrow{width:auto;margin-top:12px}
th,td{text-align:left;padding:6px 10px;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600;font-size:13px}
tr.positive td{font-weight:600}tr.unseen td{color:var(--soft);font-style:italic}
.bar{display:inline-block;width:150px;height:10px;background:var(--line);border-radius:5px;overflow:hidden;
margin-right:6px}
.bar i{display:block;height:100%}.views{display:grid;grid-template-columns:repeat(3,1fr);gap:10px}figure{margin:0}
figure img{width:100%;display:block;border-radius:6px}figcaption{color:var(--soft);font-size:13px}
.warnings li{margin:2px 0}.small{color:var(--soft);font-size:13px}a{color:inherit}code{font-size:12px}
@media print{main{max-width:none;padding:0}.finding{break-inside:avoid}}
"""
