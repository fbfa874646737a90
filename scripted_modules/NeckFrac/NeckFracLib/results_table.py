"""The results as rows, and a row's place in the slices."""

import json
import math

import qt
import slicer
from slicer.i18n import tr as _

from .hand_over import rasPoint

LEVEL, FINDING, PROBABILITY, SEVERITY = range(4)


def rowsOf(findings):
    """The Findings as JSON for the parameter node: a row a level, places in RAS, nothing of the patient's identity."""
    rows = []
    for level in findings.levels:
        point = level.box.center if level.box else level.center
        rows.append(
            {
                "level": level.level,
                "status": level.status,
                "probability": level.probability,
                "severity": level.severity,
                "point": None if point is None else rasPoint(point),
            }
        )
    return json.dumps(rows)


def readRows(text):
    """The rows that `rowsOf` wrote; none when a scene holds anything else."""
    try:
        rows = json.loads(text) if text else []
        return rows if all(isinstance(row, dict) and "level" in row for row in rows) else []
    except (ValueError, TypeError):
        return []


def fillTable(table, rows):
    """Show the rows in a QTableWidget with the columns level, finding, probability, severity."""
    statuses = {"positive": _("suspected fracture"), "negative": _("no fracture found"), "not seen": _("not seen")}
    severities = {"low": _("low"), "medium": _("medium"), "high": _("high")}
    table.setRowCount(len(rows))
    for index, row in enumerate(rows):
        probability = row.get("probability")
        texts = {
            LEVEL: row["level"],
            FINDING: statuses.get(row.get("status"), ""),
            PROBABILITY: "" if probability is None else f"{probability:.2f}",
            SEVERITY: severities.get(row.get("severity"), ""),
        }
        for column, text in texts.items():
            item = qt.QTableWidgetItem(text)
            item.setToolTip(
                _("Click to show this level in all slices.") if row.get("point") else _("This level is not in view.")
            )
            table.setItem(index, column, item)
    table.resizeColumnsToContents()


def jumpTo(row):
    """Center all slices on the row's finding or vertebra; whether there was a place to go to."""
    point = row.get("point")
    if not point or len(point) != 3 or not all(math.isfinite(value) for value in point):
        return False
    sliceNode = slicer.vtkMRMLSliceNode
    sliceNode.JumpAllSlices(slicer.mrmlScene, *point, sliceNode.CenteredJumpSlice)
    return True
