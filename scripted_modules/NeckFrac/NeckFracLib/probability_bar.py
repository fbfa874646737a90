"""A probability as a bar in a table's cell. Uses Qt."""

import qt

# The text stands above the bar, not on it: no color of text is read on all colors that a bar may have.
HEIGHT, TEXT_HEIGHT = 24, 18  # pixels
STYLE = (
    "QProgressBar {{ border: none; background: transparent; text-align: right; color: palette({text}); }} "
    f"QProgressBar::chunk {{{{ background: {{color}}; margin-top: {TEXT_HEIGHT}px; }}}}"
)
COLOR = "NeckFrac.Color"  # dynamic property of a bar
UNCALLED = "#9aa5b1"


def barColor(severity):
    """The color of a probability's bar, "#rrggbb". severity: low, medium or high; None: not called."""
    from neckfrac.output.boxes import SEVERITY_COLORS

    return "#" + "".join(f"{round(255 * part):02x}" for part in SEVERITY_COLORS[severity]) if severity else UNCALLED


def showBar(table, row, column, probability, color, tip):
    """On a scale of odds: at a low prevalence most are small, and on an even scale none could be told from another."""
    from neckfrac.formatting import as_percent, on_scale

    bar = table.cellWidget(row, column)
    if bar is None:
        bar = qt.QProgressBar()
        bar.setRange(0, 1000)
        bar.setMaximumHeight(HEIGHT)
        table.setCellWidget(row, column, bar)
    bar.setValue(0 if probability is None else round(1000 * on_scale(probability)))
    bar.setFormat(as_percent(probability) or "–")
    bar.setProperty(COLOR, color)
    bar.setToolTip(tip)
    markBar(bar, row == table.currentRow())


def markBar(bar, chosen):
    """Give a bar's text the color that is read on its row's ground. chosen: whether the row is the chosen one."""
    text = "highlighted-text" if chosen else "text"
    bar.setStyleSheet(STYLE.format(text=text, color=bar.property(COLOR)))
