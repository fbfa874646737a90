"""A probability as a bar in a table's cell. Uses Qt."""

import qt

STYLE = (
    "QProgressBar {{ border: none; background: transparent; text-align: right; }} "
    "QProgressBar::chunk {{ background: {}; }}"
)
UNCALLED = "#9aa5b1"


def barColor(severity):
    """The color of a probability's bar, "#rrggbb". severity: low, medium or high; None: not called."""
    from neckfrac.output.boxes import SEVERITY_COLORS

    return "#" + "".join(f"{round(255 * part):02x}" for part in SEVERITY_COLORS[severity]) if severity else UNCALLED


def showBar(table, row, column, probability, color, tip):
    """On a scale of odds: at a low prevalence most are small, and on an even scale none could be told from another."""
    from neckfrac.findings import as_figure, on_scale

    bar = table.cellWidget(row, column)
    if bar is None:
        bar = qt.QProgressBar()
        bar.setRange(0, 1000)
        bar.setMaximumHeight(22)
        table.setCellWidget(row, column, bar)
    bar.setValue(0 if probability is None else round(1000 * on_scale(probability)))
    bar.setFormat(as_figure(probability) or "–")
    bar.setStyleSheet(STYLE.format(color))
    bar.setToolTip(tip)
