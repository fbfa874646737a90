"""The report: one HTML file that needs nothing beside it."""

from __future__ import annotations

from html import escape

import numpy as np

from .. import DISCLAIMER, __version__
from ..findings import NOT_SEEN, POSITIVE, Analysis, Findings, VertebraFinding
from ..formatting import as_figure, on_scale, suspicion_in_words
from .boxes import SEVERITY_COLORS
from .images import data_url
from .planes import Plane, gray, overlay
from .report_measurements import measurements_section
from .report_style import STYLE
from .scene import HEAT_SHOWN_FROM

VIEW_HALF, VIEW_PIXEL = (40.0, 40.0), 0.2  # mm


def report(analysis: Analysis, picture: np.ndarray) -> str:
    """HTML with table, overview picture and three views of each finding. picture: `pictures.panels`, RGB."""
    findings = analysis.findings
    body = [
        _header(findings),
        _uncertain_names(findings),
        _verdict(findings),
        f'<img class="overview" alt="Overview of the cervical spine" src="{data_url(picture)}">',
        f'<p class="small">{_caption(findings)}</p>',
        _warnings(findings),
        _table(findings),
        *_views(analysis),
        measurements_section(analysis),
        _making(findings),
    ]
    title = escape(f"NeckFrac: {findings.study.series_description or findings.study.source or 'study'}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _header(findings: Findings) -> str:
    study = findings.study
    date = study.study_date
    if len(date) == 8 and date.isdigit():
        date = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    facts = {
        "Patient": study.patient_name.replace("^", " ").strip(),
        "Patient ID": study.patient_id,
        "Study": study.study_description,
        "Series": study.series_description or study.source,
        "Date": date,
    }
    items = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items() if v)
    if study.series_uid:
        # The end tells series apart; the whole is in findings.json.
        short = study.series_uid if len(study.series_uid) <= 20 else "…" + study.series_uid[-18:]
        uid = f'<dd title="{escape(study.series_uid)}"><code>{escape(short)}</code></dd>'
        items += f"<div><dt>Series UID</dt>{uid}</div>"
    return (
        f'<header><div class="title"><h1>Cervical spine CT</h1><p class="research">{escape(DISCLAIMER)}</p></div>'
        f"<dl>{items}</dl></header>"
    )


def _uncertain_names(findings: Findings) -> str:
    """The banner above everything that is said of a level, when the levels' names are uncertain."""
    naming = findings.naming
    if not naming.readings:
        return ""
    said = [naming.reason, "All names shift together: count the levels before you rely on one."]
    if naming.probability is not None:
        said.insert(1, f"Probability of these names, by looks learned from simulation: {naming.probability:.0%}.")
    return (
        f'<section class="uncertain" role="alert"><h2>Uncertain level names: {escape(naming.readings)}</h2>'
        f"<p>{escape(' '.join(filter(None, said)))}</p></section>"
    )


def _verdict(findings: Findings) -> str:
    point = f"{escape(findings.operating_point)} operating point"
    if findings.patient_status == NOT_SEEN:
        said = "<div><h2>No cervical spine found</h2><p>No level is seen, so nothing is said of any.</p></div>"
        return f'<section class="verdict none">{said}</section>'
    if findings.positive:
        names = findings.levels_in_words(findings.positive)
        line, kind = f"Suspected fracture: {names}", "found"
    elif findings.patient_status == POSITIVE:
        line, kind = "Suspected fracture, no level stands out", "found"
    else:
        line, kind = "No level above its threshold", "clear"
    unseen = [level.level for level in findings.levels if level.status == NOT_SEEN]
    judged = [level for level in findings.levels if level.probability is not None]
    highest = max(judged, key=lambda level: level.probability)
    said = [f"Patient threshold {as_figure(findings.patient_threshold)}, {point}."]
    said.append(f"Highest level: {findings.naming.either(highest.level)}, {as_figure(highest.probability)}.")
    if unseen:
        said.append(f"Not seen: {', '.join(unseen)}.")
    said += [f"<b>{escape(note)}</b>"] if (note := findings.note_on_call()) else []
    return (
        f'<section class="verdict {kind}"><div><h2>{line}</h2><p>{" ".join(said)}</p></div>'
        f'<p class="figure"><b>{as_figure(findings.patient_probability)}</b>patient probability</p></section>'
    )


def _caption(findings: Findings) -> str:
    if findings.patient_status == NOT_SEEN:
        return "The middle of the scan: sagittal and coronal, bone window."
    return (
        "Sagittal and coronal planes that follow the vertebral bodies (curved; measure elsewhere), bone window; the "
        "segmented vertebrae from the left and the front. Boxes are projected: a box may lie before or behind a plane."
    )


def _warnings(findings: Findings) -> str:
    if not findings.further_warnings:
        return ""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in findings.further_warnings)
    return f'<section class="warnings"><h2>Please note</h2><ul>{items}</ul></section>'


def _table(findings: Findings) -> str:
    members = sorted({name for level in findings.levels for name in level.members})
    heads = ["Level", "Probability", "Call", "Suspicion", "In view", "Threshold", *members]
    if findings.reviews:
        heads.append("Review")
    rows = "".join(_row(level, members, findings) for level in findings.levels)
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in heads)
    return (
        f'<section><h2>Levels</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        f'<p class="small">{escape(findings.review_state_in_words())}</p></section>'
    )


def _row(level: VertebraFinding, members: list[str], findings: Findings) -> str:
    name = findings.naming.either(level.level)
    review = [escape(findings.review_in_words(level.level))] if findings.reviews else []
    if level.status == NOT_SEEN:
        said = "".join(f"<td>{cell}</td>" for cell in review)
        return f'<tr class="unseen"><td>{name}</td><td colspan="{5 + len(members)}">not seen</td>{said}</tr>'
    width, tick = (f"{100 * on_scale(value):.0f}%" for value in (level.probability, level.threshold))
    bar = (
        f'<span class="bar"><i style="width:{width};background:{_color(level.severity)}"></i>'
        f'<s style="left:{tick}"></s></span>{as_figure(level.probability)}'
    )
    chip = f'<span class="chip" style="background:{_color(level.severity)}"></span>' if level.severity else ""
    cells = [
        f'<span class="measure">{bar}</span>',
        level.verdict,
        chip + suspicion_in_words(level.severity),
        f"{level.share_in_view:.0%}",
        as_figure(level.threshold),
        *(as_figure(level.members.get(name)) for name in members),
        *review,
    ]
    link = f'<a href="#{level.level}">{name}</a>' if level.status == POSITIVE or any(review) else name
    kind = ' class="positive"' if level.status == POSITIVE else ""
    return f"<tr{kind}><td>{link}</td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _views(analysis: Analysis) -> list[str]:
    """The switch for what is drawn over the CT, and a section a finding; the switch must come before them."""
    shown = [_finding(analysis, level) for level in analysis.findings.shown()]
    if not shown:
        return []
    switch = (
        '<input type="checkbox" id="drawn" checked><label for="drawn">Show boxes, outlines and heat over the CT</label>'
    )
    return [switch, *shown]


def _finding(analysis: Analysis, level: VertebraFinding) -> str:
    """Axial, sagittal and coronal view through the box's centre, or the vertebra's where there is no box."""
    name = analysis.findings.naming.either(level.level)
    suspicion = f"{suspicion_in_words(level.severity)} suspicion" if level.severity else ""
    said = [suspicion, analysis.findings.review_in_words(level.level)]
    told = escape("; ".join(filter(None, said)))
    heading = f"<h2>{name} fracture {as_figure(level.probability)}<small>{told}</small></h2>"
    if level.box is not None:
        center = level.box.center
        size = " × ".join(f"{value:.0f}" for value in level.box.size)
        place = f"Suspected region {size} mm (left–right, front–back, up–down)"
    elif level.center is not None:
        center, place = np.array(level.center), "No region stands out; shown is the vertebra's centre"
    else:
        return f'<section id="{level.level}" class="finding">{heading}<p>No place is known.</p></section>'
    planes = [Plane(name, center, VIEW_HALF, VIEW_PIXEL) for name in ("axial", "sagittal", "coronal")]
    views = "".join(_view(analysis, level, plane) for plane in planes)
    sides = zip("RAI", "LPS", center, strict=True)
    where = ", ".join(f"{below if value < 0 else above} {abs(value):.0f}" for below, above, value in sides)
    return (
        f'<section id="{level.level}" class="finding">{heading}'
        f"<p>{place}, centre at {where} mm.</p>"
        f'<div class="views">{views}</div></section>'
    )


def _view(analysis: Analysis, level: VertebraFinding, plane: Plane) -> str:
    """The CT, what is drawn over it, and as vectors the box, the patient's sides and a scale."""
    height, width = plane.shape
    drawn = ""
    if level.box is not None:
        r0, c0, r1, c1 = plane.rectangle(level.box)
        place = f'x="{c0:.1f}" y="{r0:.1f}" width="{c1 - c0:.1f}" height="{r1 - r0:.1f}"'
        drawn = (
            f'<rect class="under drawn" {place}/><rect class="box drawn" stroke="{_color(level.severity)}" {place}/>'
        )
    top, bottom, left, right = plane.letters
    across, down = width / 2, height / 2
    places = ((top, across, 22), (bottom, across, height - 10), (left, 14, down), (right, width - 14, down))
    letters = "".join(f'<text x="{x:.0f}" y="{y:.0f}">{letter}</text>' for letter, x, y in places)
    end, length = width - 12, 20 / plane.pixel
    scale = (
        f'<path d="M{end - length:.0f} {height - 12}H{end}"/>'
        f'<text class="scale" x="{end - length / 2:.0f}" y="{height - 18}">2 cm</text>'
    )
    name = f"{level.level}, {plane.name}"
    return (
        f'<figure><div class="view"><img alt="{name}" src="{data_url(gray(plane, analysis))}">'
        f'<img class="drawn" alt="" src="{data_url(overlay(plane, analysis))}">'
        f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{drawn}{letters}{scale}</svg></div>'
        f"<figcaption>{plane.name}</figcaption></figure>"
    )


def _making(findings: Findings) -> str:
    models = "".join(
        f"<tr><td>{escape(m.name)}</td><td>{escape(m.version)}</td><td>{escape(m.step)}</td>"
        f"<td>{escape(m.trained_on)}</td><td><code>{escape(m.sha256)}</code></td></tr>"
        for m in findings.models
    )
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("Network", "Version", "Step", "Trained on", "SHA-256"))
    timings = "".join(f"<tr><td>{escape(k)}</td><td>{v:.1f} s</td></tr>" for k, v in findings.timings.items())
    return (
        '<section class="making"><h2>How this was made</h2>'
        f"<p>{escape(findings.training_in_words())} A level is called positive when its probability reaches its "
        "threshold. "
        f"{escape(findings.prevalence_in_words())} Suspicion (low, moderate, high) ranks how far above the threshold "
        "the odds lie; it does not grade instability. A level outside the scan is "
        f"<i>not seen</i>. {_heat_in_words(findings)}</p>"
        f'<div class="scroll"><table class="models"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{models}</tbody></table></div>"
        f'<table class="narrow"><tbody>{timings}</tbody></table>'
        f'<p class="small">NeckFrac {escape(__version__)}. {escape(DISCLAIMER)}</p></section>'
    )


def _heat_in_words(findings: Findings) -> str:
    """What the heat stands for: gradients know no scale and tell what a network looked at, right or wrong."""
    if findings.explanation.startswith("Heat map") or not findings.explanation:
        whose = f" ({escape(findings.explanation)})" if findings.explanation else ""
        return f"The heat map{whose} shows what speaks for a fracture, from {HEAT_SHOWN_FROM:.0f} % up."
    return (
        f"The heat is {escape(findings.explanation)}: what moved this network's answer in each suspected level, from "
        f"{HEAT_SHOWN_FROM:.0f} % of the level's hottest place up. It is no probability, and boxes do not follow it."
    )


def _color(severity: str | None) -> str:
    if severity is None:
        return "#5b8094"
    return "#" + "".join(f"{round(255 * part):02x}" for part in SEVERITY_COLORS[severity])
