"""The results as a table in the panel: a row a level, the probability as a bar. Uses Qt."""

import html

import qt
from slicer.i18n import tr as _

from .probability_bar import barColor, markBar, showBar

LEVEL, PROBABILITY, THRESHOLD, SUSPICION, IN_VIEW, REVIEW = range(6)
GREY = "#808080"
FIGURES = (THRESHOLD, IN_VIEW)  # one below the other, to the right
COLUMNS = (LEVEL, PROBABILITY, THRESHOLD, SUSPICION, IN_VIEW, REVIEW)
SCALES = (1.0, 0.95, 0.9, 0.85, 0.8)  # of the text, from what it is elsewhere to what can still be read


def ordered(findings, byProbability):
    """The levels as rows: from C1 down, or the most probable first and those that were not seen last."""
    levels = list(findings.levels)
    if byProbability:
        levels.sort(key=lambda level: -1.0 if level.probability is None else level.probability, reverse=True)
    return levels


def fillTable(table, findings, levels):
    """Show these levels of the Findings in a QTableWidget.

    How much of a level is in view has a column only when the scan's edge cuts one.
    """
    from neckfrac.formatting import as_percent

    table.setRowCount(len(levels))
    for row, level in enumerate(levels):
        reason = reasonNotSeen(level)
        texts = {
            LEVEL: findings.naming.either(level.level),
            THRESHOLD: as_percent(level.threshold),
            SUSPICION: suspicion(level),
            IN_VIEW: _("{share} %").format(share=round(100 * level.share_in_view)) if _isCut(level) else "",
            REVIEW: _review(findings.review_of(level.level)),
            PROBABILITY: "",
        }
        tip = reason or _("Click to show this level in all slices.")
        if not reason and level.verdict == "cut":
            tip = _("The scan cuts this level: what is missing of it may be fractured.")
        for column, text in texts.items():
            item = qt.QTableWidgetItem(text)
            item.setToolTip(_tip(column, level, findings) or tip)
            if column in FIGURES:
                item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            if reason:
                item.setForeground(qt.QBrush(qt.QColor(GREY)))
            table.setItem(row, column, item)
        if level.probability is not None:
            showBar(table, row, PROBABILITY, level.probability, barColor(level.severity), _members(level))
        elif table.cellWidget(row, PROBABILITY) is not None:
            table.cellWidget(row, PROBABILITY).setVisible(False)  # Qt deletes it later, and draws it until then
            table.removeCellWidget(row, PROBABILITY)
    table.setColumnHidden(IN_VIEW, not any(map(_isCut, levels)))
    fitColumns(table)


def fitColumns(table):
    """Give each column the width that its content and its title need, and the last one what is left.

    A panel is narrow: where that is more than there is, the text gets smaller, so that nothing has to be scrolled.
    """
    header, room = table.horizontalHeader(), table.viewport().width
    for scale in SCALES:
        font = qt.QFont(table.parentWidget().font)
        if font.pointSizeF() > 0:
            font.setPointSizeF(scale * font.pointSizeF())
        else:  # a font may have been given in pixels
            font.setPixelSize(round(scale * font.pixelSize()))
        table.setFont(font)
        header.setFont(font)
        for bar in filter(None, (table.cellWidget(row, PROBABILITY) for row in range(table.rowCount))):
            bar.setFont(font)
        table.resizeColumnsToContents()
        # A bar wants to be wider than it must be.
        table.setColumnWidth(PROBABILITY, header.sectionSizeHint(PROBABILITY))
        spare = room - sum(table.columnWidth(column) for column in COLUMNS)
        if spare >= 0:
            break
    table.setColumnWidth(REVIEW, table.columnWidth(REVIEW) + max(spare, 0))


def markChosen(table):
    """Make the bar of the chosen row readable on its color, and those of the others on the table's."""
    for row in range(table.rowCount):
        bar = table.cellWidget(row, PROBABILITY)
        if bar is not None:
            markBar(bar, row == table.currentRow())


def suspicion(level):
    """How much a level is suspected to be fractured, in a word or two."""
    called = {"low": _("low"), "medium": _("moderate"), "high": _("high")}
    told = {"negative": _("none found"), "cut": _("cut off"), "not seen": _("not seen")}
    return called.get(level.severity) or told.get(level.verdict, "")


def _isCut(level):
    return 0 < round(100 * level.share_in_view) < 100


def reasonNotSeen(level):
    """Why nothing is said of a level; "" when something is."""
    if level.probability is not None:
        return ""
    if level.share_in_view > 0:
        return _("Too little of this level is in view: {share} %.").format(share=round(100 * level.share_in_view))
    return _("This level is not in the scan, or was not found in it.")


def summary(findings):
    """What came out, in a sentence; the highest level when nothing is called."""
    from neckfrac.formatting import as_percent

    if findings.patient_status == "not seen":
        return _("No cervical vertebra was recognized in this volume.")
    suspected = findings.levels_in_words(findings.positive)
    if suspected:
        told = _("Suspected fractures: <b>{levels}</b>.").format(levels=html.escape(suspected))
        return " ".join(filter(None, [told, html.escape(findings.note_on_call())]))
    seen = [level for level in findings.levels if level.probability is not None]
    highest = max(seen, key=lambda level: level.probability)
    return _(
        "Nothing found above the threshold in the levels that are in view. Highest: {level}, {probability} "
        "(threshold {threshold})."
    ).format(
        level=html.escape(findings.naming.either(highest.level)),
        probability=html.escape(as_percent(highest.probability)),
        threshold=html.escape(as_percent(highest.threshold)),
    )


def showNaming(label, naming):
    """Warn of uncertain names in a QLabel, the reason in its tooltip; hide it when they are certain."""
    label.setVisible(bool(naming and naming.readings))
    if not naming or not naming.readings:
        return
    readings = _(" or ").join([naming.given or _("no cervical level"), *naming.alternatives])
    message = _("<b>⚠ Uncertain level names: {readings}.</b> All shift together; count the levels yourself.")
    label.setText(message.format(readings=html.escape(readings)))
    label.setToolTip(naming.reason or _("What is in view fits more than one reading."))


def showWarnings(label, findings, moved=False):
    """Show what else a reader must know, such as how far the calls can be relied on; hide the label without any.

    moved: the volume lies elsewhere than when it was analyzed.
    """
    warnings = [str(warning) for warning in findings.further_warnings] if findings else []
    if moved:
        warnings.insert(0, _("The volume was moved since it was analyzed; its results were not. Press Apply again."))
    label.setVisible(bool(warnings))
    label.setText("<br>".join(html.escape(warning) for warning in warnings))


def _review(review):
    if review is None:
        return ""
    return {"confirmed": _("confirmed"), "rejected": _("rejected"), "added": _("added")}[review.verdict]


def _tip(column, level, findings):
    if column == REVIEW:
        review = findings.review_of(level.level)
        return review.note if review else ""
    if column == PROBABILITY and level.probability is not None:
        return _members(level)
    return ""


def _members(level):
    """What each network says of a level, a line each."""
    from neckfrac.formatting import as_percent

    lines = [f"{name}: {as_percent(value)}" for name, value in sorted(level.members.items())]
    return "\n".join([_("Threshold: {threshold}").format(threshold=as_percent(level.threshold)), *lines])
