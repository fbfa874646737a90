"""The report's section of measurements: what is not normal, tables, and pictures of every line."""

from __future__ import annotations

from html import escape

import numpy as np

from ..findings import Analysis, Findings
from ..measurement import NO_DIAGNOSIS, Measurement
from .images import data_url
from .measurements import BETWEEN, OF_LEVEL, by_deviation, cell, heading, table_of
from .planes import Plane, gray

PIXEL, MARGIN = 0.25, 12.0  # mm
# What is drawn in which picture; what follows from other lines (ratios, losses, differences) is not drawn twice.
SAGITTAL = (
    "anterior-height", "middle-height", "posterior-height", "body-depth", "canal-diameter", "listhesis", "disc-height",
    "segmental-angle", "interspinous", "atlanto-dental", "basion-dens", "basion-axial", "prevertebral",
    "lordosis-tangents",
)  # fmt: skip
CORONAL = ("lateral-atlanto-dental-left", "lateral-atlanto-dental-right", "atlas-overhang")
COLORS = {"height": "#f0e442", "canal": "#56b4e9", "angle": "#009e73", "other": "#e69f00", "flag": "#ff5a1f"}


def measurements_section(analysis: Analysis) -> str:
    """HTML; "" when nothing was measured."""
    findings = analysis.findings
    if not findings.measurements:
        return ""
    shown = {*OF_LEVEL, *BETWEEN}
    others = [one for one in findings.measurements if one.name not in shown]
    return (
        '<section id="measurements" class="finding"><h2>Measurements</h2>'
        f"{_flags(findings)}"
        f'<div class="views">{_picture(analysis, "sagittal", SAGITTAL)}{_picture(analysis, "coronal", CORONAL)}</div>'
        f"{_others(others)}{_table(findings, OF_LEVEL)}{_table(findings, BETWEEN)}"
        f'<p class="small">95 % uncertainty, sources of the normal ranges and points: measurements.csv. Heights are '
        "taken an eighth of the body's depth inside its walls; forward listhesis and lordosis are positive. "
        f"! not normal, * changed by the reader. {escape(NO_DIAGNOSIS)}</p></section>"
    )


def _flags(findings: Findings) -> str:
    if not findings.flagged:
        return "<p>Nothing that was measured lies outside its normal range.</p>"
    items = "".join(f"<li>{escape(one.flag or '')}<small> {_source(one)}</small></li>" for one in findings.flagged)
    return f"<ul>{items}</ul>"


def _source(one: Measurement) -> str:
    return escape(f"{one.uncertainty_in_words()}; {one.normal.source}" if one.normal else "")


def _table(findings: Findings, names: tuple[str, ...]) -> str:
    rows = table_of(findings, names)
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in ("Level", *map(heading, names)))
    body = "".join(
        f"<tr><td>{escape(where)}</td>" + "".join(f"<td{_alarm(one)}>{escape(cell(one))}</td>" for one in row) + "</tr>"
        for where, row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _alarm(one: Measurement | None) -> str:
    return ' style="color:var(--alarm);font-weight:650"' if one is not None and one.flag else ""


def _others(measurements: list[Measurement]) -> str:
    rows = "".join(
        f"<tr><td{_alarm(one)}>{escape(one.quantity.title)}</td><td{_alarm(one)}>{escape(one.in_words())}</td>"
        f"<td>{escape(one.uncertainty_in_words())}</td>"
        f"<td>{escape(one.normal.in_words(one.unit)) if one.normal else ''}</td></tr>"
        for one in by_deviation(measurements)
    )
    heads = "".join(f'<th scope="col">{text}</th>' for text in ("", "Value", "95 %", "Normal"))
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def _picture(analysis: Analysis, name: str, quantities: tuple[str, ...]) -> str:
    """A plane through the lines, bent to follow their midline, and the lines as vectors over it."""
    measured = [one for one in analysis.findings.measurements if one.name in quantities]
    if not measured:
        return ""
    plane = plane_of(measured, name)
    height, width = plane.shape
    drawn = "".join(_lines(plane, one) for one in sorted(measured, key=lambda one: one.flag is not None))
    top, bottom, left, right = plane.letters
    places = (
        (top, width / 2, 22),
        (bottom, width / 2, height - 8),
        (left, 14, height / 2),
        (right, width - 14, height / 2),
    )
    letters = "".join(f'<text x="{x:.0f}" y="{y:.0f}">{letter}</text>' for letter, x, y in places)
    return (
        f'<figure><div class="view"><img alt="Measurements, {name}" src="{data_url(gray(plane, analysis))}">'
        f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{drawn}{letters}</svg></div>'
        f"<figcaption>{name}, along the lines</figcaption></figure>"
    )


def plane_of(measured: list[Measurement], name: str) -> Plane:
    """The plane through all points: sagittal ones follow the midline from slice to slice, coronal ones the depth."""
    points = np.array([point for one in measured for point in one.points])
    lower, upper = points.min(axis=0), points.max(axis=0)
    center, half = (lower + upper) / 2, (upper - lower) / 2 + MARGIN
    across, through = (1, 0) if name == "sagittal" else (0, 1)
    plane = Plane(name, center, (float(half[2]), float(half[across])), PIXEL)
    heights = center[2] - plane.offsets(0)  # rows run down
    order = np.argsort(points[:, 2])
    # A running mean over the points' heights; lines lie close to it, or on it.
    weights = np.exp(-(((heights[:, None] - points[None, order, 2]) / 5.0) ** 2)) + 1e-9
    bend = weights @ points[order, through] / weights.sum(axis=1) - center[through]
    return Plane(name, center, plane.half, PIXEL, bend)


def _lines(plane: Plane, one: Measurement) -> str:
    name = one.name
    kind = "height" if "height" in name else "canal" if name in ("canal-diameter", "body-depth") else "other"
    kind = "flag" if one.flag else "angle" if one.unit == "deg" else kind
    ends = (np.array(one.points) - plane.center) @ plane.directions[:2].T / plane.pixel + np.array(plane.shape) // 2
    style = f"stroke:{COLORS[kind]};stroke-width:{2 if one.flag else 1.2}"
    paths = "".join(
        f'<path d="M{c0:.1f} {r0:.1f}L{c1:.1f} {r1:.1f}" style="{style}"/>'
        for (r0, c0), (r1, c1) in ends.reshape(-1, 2, 2)
    )
    title = escape(f"{one.where} {one.quantity.title}: {one.in_words()}")
    label = ""
    if one.flag:
        row, column = ends.mean(axis=0)
        label = f'<text class="scale" x="{column:.0f}" y="{row - 6:.0f}">{escape(one.in_words())}</text>'
    return f'<g class="drawn"><title>{title}</title>{paths}{label}</g>'
