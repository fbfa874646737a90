"""The results as a picture: the patient and the levels as upright bars, each with its threshold. Uses Qt."""

from dataclasses import dataclass

import qt
from slicer.i18n import tr as _

from .probability_bar import barColor
from .results_table import reasonNotSeen

HEIGHT, NARROWEST, WIDEST = 124, 320, 560  # pixels
# Above the plot for its title and a figure, left of it for the scale, a line of small text.
TOP, SCALE, LINE = 24, 26, 11
TICKS = (0.01, 0.1, 0.5, 0.9, 0.99)
FAINT, FIGURE = 60, 9  # opacity (of 255) of lines that are no data; pixels of the small text


@dataclass(frozen=True)
class Bar:
    """One bar. level: None for the patient. probability, threshold: None when not seen, for the `reason`."""

    level: str | None
    name: str
    probability: float | None
    threshold: float | None
    severity: str | None
    reason: str = ""


def barsOf(findings, levels):
    """The patient's bar and one for each of these levels, in their order."""
    from neckfrac.findings import NOT_SEEN, severity

    seen = findings.patient_status != NOT_SEEN and findings.patient_probability is not None
    probability, threshold = (findings.patient_probability, findings.patient_threshold) if seen else (None, None)
    reason = "" if seen else _("No cervical vertebra was recognized in this volume.")
    called = severity(probability, threshold) if seen else None
    return [
        Bar(None, _("Patient"), probability, threshold, called, reason),
        *(
            Bar(
                level.level,
                findings.naming.either(level.level),
                level.probability,
                level.threshold,
                level.severity,
                reasonNotSeen(level),
            )
            for level in levels
        ),
    ]


def showChart(label, findings, levels, chosen, width):
    """Draw the chart of these levels into a QLabel, about so many pixels wide; hide it without findings.

    chosen: the level whose name stands out, or None.
    """
    label.setVisible(findings is not None)
    if findings is None:
        return
    bars = barsOf(findings, levels)
    palette = label.palette  # kept: what its color() gives points into it
    color = qt.QColor(palette.color(qt.QPalette.WindowText))
    ratio = label.devicePixelRatioF() if hasattr(label, "devicePixelRatioF") else 1.0  # not in every PythonQt
    label.setPixmap(paint(bars, chosen, min(max(width, NARROWEST), WIDEST), color, ratio))
    label.setToolTip(inWords(bars))


def inWords(bars):
    """What the chart shows, a line a bar."""
    from neckfrac.formatting import as_percent

    lines = [_("Probability of a fracture; the short line is the threshold, colored bars reach it.")]
    for bar in bars:
        told = bar.reason or _("{probability}, threshold {threshold}").format(
            probability=as_percent(bar.probability), threshold=as_percent(bar.threshold)
        )
        lines.append(_("{name}: {told}").format(name=bar.name, told=told))
    return "\n".join(lines)


def paint(bars, chosen, width, color, ratio=1.0):
    """The chart as a transparent QPixmap. color: of text and lines. ratio: device pixels to a pixel."""
    pixmap = qt.QPixmap(round(width * ratio), round(HEIGHT * ratio))
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(qt.QColor(0, 0, 0, 0))
    painter = qt.QPainter()
    painter.begin(pixmap)  # begin and end: an exception on the way would leave a painter on a pixmap that is gone
    try:
        _paintAll(painter, bars, chosen, width, color)
    finally:
        painter.end()
    return pixmap


def _paintAll(painter, bars, chosen, width, color):
    font = qt.QFont(painter.font())
    font.setPixelSize(FIGURE)
    painter.setFont(font)
    names = [bar.name.split(" or ") for bar in bars]  # "C3 or C4" needs two lines
    bottom = HEIGHT - LINE * max(map(len, names)) - 2
    faint = qt.QColor(color)
    faint.setAlpha(FAINT)
    _paintScale(painter, width, bottom, color, faint)
    slot = (width - SCALE) / (len(bars) + 0.3)  # a little room after the patient, who is no level
    for index, (bar, lines) in enumerate(zip(bars, names, strict=True)):
        left = round(SCALE + slot * (index + (0.3 if index else 0.0)))
        _paintBar(painter, bar, left, round(slot), bottom, color, faint)
        painter.setPen(color)
        font.setBold(bar.level is not None and bar.level == chosen)
        painter.setFont(font)
        for row, line in enumerate(lines):
            text = line if row == 0 else _("or {level}").format(level=line)
            painter.drawText(left, bottom + 2 + LINE * row, round(slot), LINE, qt.Qt.AlignCenter, text)
        if font.bold():
            painter.fillRect(left + 4, HEIGHT - 2, round(slot) - 8, 2, qt.QBrush(color))
        font.setBold(False)
        painter.setFont(font)


def _height(probability, bottom):
    """The y of a probability on the scale of odds."""
    from neckfrac.formatting import on_scale

    return round(bottom - on_scale(probability) * (bottom - TOP))


def _paintScale(painter, width, bottom, color, faint):
    for probability in TICKS:
        y = _height(probability, bottom)
        painter.setPen(faint)
        painter.drawLine(SCALE, y, width, y)
        painter.setPen(color)
        painter.drawText(0, y - LINE // 2, SCALE - 4, LINE, qt.Qt.AlignRight, f"{100 * probability:g}")
    painter.setPen(color)
    painter.drawText(0, 0, width, LINE, qt.Qt.AlignLeft, _("Probability of a fracture, %"))
    painter.drawLine(SCALE, bottom, width, bottom)


def _paintBar(painter, bar, left, slot, bottom, color, faint):
    """The bar, its figure and its threshold; an empty, hatched slot for what was not seen."""
    from neckfrac.formatting import as_percent

    thickness = min(slot - 10, 26)
    x = left + (slot - thickness) // 2
    if bar.probability is None:
        painter.fillRect(x, TOP, thickness, bottom - TOP, qt.QBrush(faint, qt.Qt.BDiagPattern))
        return
    top = _height(bar.probability, bottom)
    painter.fillRect(x, top, thickness, bottom - top, qt.QBrush(qt.QColor(barColor(bar.severity))))
    line = _height(bar.threshold, bottom)
    painter.fillRect(x - 4, line - 1, thickness + 8, 2, qt.QBrush(color))
    painter.setPen(color)
    over = min(top, line - 1) if abs(top - line) < LINE + 1 else top  # the figure stays clear of the threshold
    painter.drawText(left, over - LINE, slot, LINE, qt.Qt.AlignCenter, as_percent(bar.probability))
