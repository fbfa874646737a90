"""The results in a narrow panel, with Qt's real table and header: nothing to scroll, and everything can be read."""

import importlib
from dataclasses import replace

import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from PySide6 import QtWidgets  # noqa: E402
from slicer_double.whole_panel import Panel  # noqa: E402

WIDTH = 400  # pixels of the module panel
LEVEL, PROBABILITY, THRESHOLD, SUSPICION, IN_VIEW, REVIEW = range(6)


@pytest.fixture
def world(monkeypatch, tmp_path):
    with Panel(monkeypatch, tmp_path) as panel:
        panel.ct = panel.add_ct("uncertain")  # "C3 or C4" is the widest name of a level
        panel.open()
        panel.run()
        show(panel, WIDTH)
        yield panel


def show(world, width):
    parent = world.widget.parent
    parent.resize(width, max(900, parent.layout().heightForWidth(width)))
    parent.show()
    settle(world)


def settle(world):
    """Let Qt lay everything out: a table looks for its scroll bars after its columns have changed, by a timer."""
    for _ in range(5):
        world.application.processEvents()


def fill(world, **levels):
    """Show the table with other values of some levels, and with a review of C3."""
    from neckfrac.findings import Review

    findings = world.widget.logic.results.of(world.ct)[1].reviewed("C3", Review("C3", "confirmed"))
    changed = [replace(level, **levels.get(level.level, {})) for level in findings.levels]
    importlib.import_module("NeckFracLib.results_table").fillTable(world.ui.resultsTable, findings, changed)
    settle(world)


def check_nothing_is_scrolled_or_cut(table):
    header = table.horizontalHeader()
    assert header.length() <= table.viewport().width, "a column lies outside"
    assert not table.horizontalScrollBar().isVisible() and not table.verticalScrollBar().isVisible()
    for column in range(table.columnCount):
        if not table.isColumnHidden(column):
            # Of a bar that is what Qt would like to have, not what its text needs, which is looked at below.
            needed = 0 if column == PROBABILITY else table.sizeHintForColumn(column)
            assert table.columnWidth(column) >= max(needed, header.sectionSizeHint(column)), column
    for row in range(table.rowCount):
        bar = table.cellWidget(row, PROBABILITY)
        if bar is not None:
            assert bar.fontMetrics().horizontalAdvance(bar.format) <= table.columnWidth(PROBABILITY)


def test_the_results_fit_a_panel_of_400_pixels(world):
    table = world.ui.resultsTable
    assert not table.isColumnHidden(LEVEL) and table.isColumnHidden(IN_VIEW)
    check_nothing_is_scrolled_or_cut(table)
    assert table.horizontalHeader().length() == table.viewport().width, "the columns are as wide as the table"
    assert table.font.pointSizeF() == world.ui.summaryLabel.font.pointSizeF()


def test_they_fit_with_uncertain_names_a_cut_level_and_reviews_too(world):
    fill(world, C3={"share_in_view": 0.78}, C4={"probability": 0.99996})
    table = world.ui.resultsTable
    assert not table.isColumnHidden(IN_VIEW)
    check_nothing_is_scrolled_or_cut(table)
    small = table.font.pointSizeF() / world.ui.summaryLabel.font.pointSizeF()
    assert 0.8 - 1e-6 <= small < 1
    show(world, 520)
    check_nothing_is_scrolled_or_cut(table)
    assert table.font.pointSizeF() == world.ui.summaryLabel.font.pointSizeF(), "with room it is as large as elsewhere"


def luminance(color):
    """Relative luminance of a QColor, by WCAG 2.2."""
    parts = [color.redF(), color.greenF(), color.blueF()]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(picture, left, top, width, height):
    """Of the brightest to the darkest pixel of a part of a picture."""
    seen = [luminance(picture.pixelColor(left + x, top + y)) for x in range(width) for y in range(height)]
    return (max(seen) + 0.05) / (min(seen) + 0.05)


def as_good_as_selected_text(table):
    """The contrast that Qt's style itself gives the text of selected rows."""
    palette = QtWidgets.QWidget.palette(table)
    roles = (palette.ColorRole.Highlight, palette.ColorRole.HighlightedText)
    dark, bright = sorted(luminance(palette.color(role)) for role in roles)
    return 0.95 * (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("severity", [None, "low", "medium", "high"])
@pytest.mark.parametrize("chosen", [True, False])
def test_a_probability_is_readable_on_every_color_and_on_the_selected_row(world, severity, chosen):
    fill(world, C4={"probability": 0.999, "severity": severity})
    table = world.ui.resultsTable
    table.setCurrentCell(3 if chosen else 0, 0)
    world.application.processEvents()
    bar, picture = table.cellWidget(3, PROBABILITY), table.grab().toImage()
    corner = bar.mapTo(table, bar.rect.topLeft())
    text_height = importlib.import_module("NeckFracLib.probability_bar").TEXT_HEIGHT
    least = as_good_as_selected_text(table) if chosen else 4.5  # WCAG's level AA
    assert contrast(picture, corner.x(), corner.y(), bar.width, text_height) >= least


def test_the_words_of_the_selected_row_are_readable_also_where_nothing_was_seen(world):
    table = world.ui.resultsTable
    fill(world)
    assert table.item(6, SUSPICION).text() == "not seen"
    table.setCurrentCell(6, 0)
    world.application.processEvents()
    cell = table.visualItemRect(table.item(6, SUSPICION))
    corner = table.viewport().mapTo(table, cell.topLeft())
    picture = table.grab().toImage()
    seen = contrast(picture, corner.x() + 2, corner.y() + 2, cell.width() - 4, cell.height() - 4)
    assert seen >= as_good_as_selected_text(table)
