"""The report's section of measurements: what is not normal, tables, and pictures of every line."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..findings import Analysis
from ..measurement import Measurement
from .images import data_url
from .measurements import BETWEEN, OF_LEVEL, by_deviation, heading, table_of
from .planes import Plane, gray
from .report_view import Line, View, letters_of

PIXEL, MARGIN = 0.25, 12.0  # mm
# What is drawn in which picture; what follows from other lines (ratios, losses, differences) is not drawn twice.
SAGITTAL = (
    "anterior-height", "middle-height", "posterior-height", "body-depth", "canal-diameter", "listhesis", "disc-height",
    "segmental-angle", "interspinous", "atlanto-dental", "basion-dens", "basion-axial", "prevertebral",
    "lordosis-tangents",
)  # fmt: skip
CORONAL = ("lateral-atlanto-dental-left", "lateral-atlanto-dental-right", "atlas-overhang")
COLORS = {"height": "#f0e442", "canal": "#56b4e9", "angle": "#009e73", "other": "#e69f00", "flag": "#ff5a1f"}


def measured(analysis: Analysis) -> dict[str, Any] | None:
    """What the section is filled with: pictures, tables of levels and of neighbours, and all other measurements.

    None when nothing was measured.
    """
    findings = analysis.findings
    if not findings.measurements:
        return None
    in_tables = {*OF_LEVEL, *BETWEEN}
    tables = [(names, table_of(findings, names)) for names in (OF_LEVEL, BETWEEN)]
    pictures = (_picture(analysis, "sagittal", SAGITTAL), _picture(analysis, "coronal", CORONAL))
    return {
        "pictures": [view for view in pictures if view is not None],
        "others": by_deviation(one for one in findings.measurements if one.name not in in_tables),
        "tables": [{"heads": [heading(name) for name in names], "rows": rows} for names, rows in tables if rows],
    }


def _picture(analysis: Analysis, name: str, quantities: tuple[str, ...]) -> View | None:
    """A plane through the lines, bent to follow their midline, and the lines as vectors over it."""
    drawn = [one for one in analysis.findings.measurements if one.name in quantities]
    if not drawn:
        return None
    plane = plane_of(drawn, name)
    height, width = plane.shape
    lines = tuple(_line(plane, one) for one in sorted(drawn, key=lambda one: one.flag is not None))
    return View(
        name=f"Measurements, {name}", caption=f"{name}, along the lines", width=width, height=height,
        image=data_url(gray(plane, analysis)), letters=letters_of(plane, 8), lines=lines,
    )  # fmt: skip


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


def _line(plane: Plane, one: Measurement) -> Line:
    name = one.name
    kind = "height" if "height" in name else "canal" if name in ("canal-diameter", "body-depth") else "other"
    kind = "flag" if one.flag else "angle" if one.unit == "deg" else kind
    ends = (np.array(one.points) - plane.center) @ plane.directions[:2].T / plane.pixel + np.array(plane.shape) // 2
    row, column = ends.mean(axis=0)
    return Line(
        title=f"{one.where} {one.quantity.title}: {one.in_words()}",
        style=f"stroke:{COLORS[kind]};stroke-width:{2 if one.flag else 1.2}",
        paths=tuple(tuple(map(float, path)) for path in ends.reshape(-1, 4)),
        label=one.in_words() if one.flag else "",
        at=(float(row), float(column)),
    )
