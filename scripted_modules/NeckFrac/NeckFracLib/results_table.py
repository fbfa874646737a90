"""The results as rows, and a row's place in the slices."""

import html
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
                "alternatives": list(findings.naming.alternatives_of(level.level)),
                "status": level.status,
                "probability": level.probability,
                "severity": level.severity,
                "point": None if point is None else rasPoint(point),
            }
        )
    return json.dumps(rows)


def namingOf(findings):
    """How sure the names are, as JSON for the parameter node; "" when they are certain."""
    naming = findings.naming
    if not naming.readings:
        return ""
    return json.dumps(
        {"given": naming.given, "alternatives": list(naming.alternatives), "reason": naming.reason}, ensure_ascii=False
    )


def showNaming(label, text):
    """Warn of uncertain names in a QLabel, the reason in its tooltip; hide it when they are certain."""
    try:
        naming = json.loads(text) if text else None
        readings = [naming["given"] or _("no cervical level"), *naming["alternatives"]] if naming else []
        reason = str(naming["reason"]) if naming else ""
    except (ValueError, TypeError, KeyError):
        readings, reason = [], ""
    label.setVisible(bool(readings))
    if not readings:
        return
    message = _("<b>⚠ Uncertain level names: {readings}.</b> All shift together; count the levels yourself.")
    label.setText(message.format(readings=html.escape(_(" or ").join(map(str, readings)))))
    label.setToolTip(reason or _("What is in view fits more than one reading."))


def readRows(text):
    """The rows that `rowsOf` wrote; none when a scene holds anything else."""
    try:
        rows = json.loads(text) if text else []
        return rows if all(isinstance(row, dict) and "level" in row for row in rows) else []
    except (ValueError, TypeError):
        return []


def fillTable(table, rows):
    """Show the rows in a QTableWidget with the columns level, finding, probability, severity."""
    from neckfrac.findings import as_figure

    statuses = {"positive": _("suspected fracture"), "negative": _("no fracture found"), "not seen": _("not seen")}
    severities = {"low": _("low"), "medium": _("medium"), "high": _("high")}
    table.setRowCount(len(rows))
    for index, row in enumerate(rows):
        probability = row.get("probability")
        texts = {
            LEVEL: _(" or ").join([row["level"], *row.get("alternatives", [])]),
            FINDING: statuses.get(row.get("status"), ""),
            PROBABILITY: as_figure(probability),
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
