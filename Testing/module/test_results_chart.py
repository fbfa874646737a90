"""The chart in the section Results: what is painted where, and what it follows; Qt offscreen, no PythonQt."""

import importlib

import pytest

pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.findings import Findings, Naming, StudyIdentity, VertebraFinding
from neckfrac.formatting import on_scale  # noqa: E402
from PySide6 import QtGui  # noqa: E402
from slicer_double.section import World  # noqa: E402
from slicer_double.whole_panel import Panel  # noqa: E402

WIDTH = 420
BLACK, WHITE = (QtGui.QColor(name) for name in ("black", "white"))


@pytest.fixture
def chart(monkeypatch, tmp_path):
    with World(monkeypatch, tmp_path):
        yield importlib.import_module("NeckFracLib.results_chart")


@pytest.fixture
def panel(monkeypatch, tmp_path):
    with Panel(monkeypatch, tmp_path) as panel:
        panel.ct = panel.add_ct()
        panel.open()
        yield panel


def findings(threshold=0.3, naming=Naming(), **probabilities):
    found = [(name, probabilities.get(name)) for name in LEVEL_NAMES]
    levels = tuple(VertebraFinding(name, "not seen" if p is None else "negative", p).at(threshold) for name, p in found)
    return Findings(StudyIdentity(), levels, "positive", 0.95, {}, threshold, "balanced", naming=naming)


def colors_in(image, column, columns=8):
    """What is painted in one of the chart's slots, from top to bottom: the color (with its opacity) of each row."""
    ratio = image.devicePixelRatio()
    slot = (image.width() / ratio - 26) / (columns + 0.3)
    x = round(ratio * (26 + slot * (column + 0.5 + (0.3 if column else 0))))
    return [image.pixelColor(x, y).name(QtGui.QColor.NameFormat.HexArgb) for y in range(image.height())]


def painted(chart, found, chosen=None, color=BLACK, width=WIDTH, ratio=1.0):
    return chart.paint(chart.barsOf(found, found.levels), chosen, width, color, ratio).toImage()


def test_bars_are_as_high_as_the_tables_and_have_their_colors(chart):
    image = painted(chart, findings(C1=0.01, C2=0.35, C3=0.8, C4=0.99))
    told = [(1, "#ff9aa5b1"), (2, "#fff0e342"), (3, "#ffe69e00"), (4, "#ffd63600")]  # grey; low, medium, high
    heights = [sum(pixel == color for pixel in colors_in(image, column)) for column, color in told]
    full = 124 - 24 - 11 - 2  # without figures above and names below
    line = 2  # the threshold lies over the bars that reach it
    places = [on_scale(probability) * full for probability in (0.01, 0.35, 0.8, 0.99)]
    assert heights == pytest.approx([places[0], *(place - line for place in places[1:])], abs=2)


def test_the_axis_says_what_it_is_and_in_which_unit(chart):
    class Written:
        """Stands in for the painter: keeps texts, and where they stand."""

        def __init__(self):
            self.texts = {}

        def drawText(self, x, y, width, height, flags, text):  # noqa: N802
            self.texts[text] = y

        def setPen(self, color):  # noqa: N802
            pass

        def drawLine(self, *place):  # noqa: N802
            pass

    written = Written()
    chart._paintScale(written, WIDTH, 100, BLACK, BLACK)
    assert list(written.texts)[-1] == "Probability of a fracture, %"
    ticks = [written.texts[text] for text in ("99", "90", "50", "10", "1")]
    assert ticks == sorted(ticks) and ticks[0] > written.texts["Probability of a fracture, %"]
    assert chart.inWords([]).startswith("Probability of a fracture; the short line is the threshold")


def test_a_line_marks_the_threshold_over_the_bar_or_above_it(chart):
    low, high = (painted(chart, findings(threshold, C1=0.5)) for threshold in (0.05, 0.9))
    columns = [colors_in(image, 1)[:108] for image in (low, high)]  # below the title, above the names
    lines = [[y for y, pixel in enumerate(column) if y > 11 and pixel == "#ff000000"] for column in columns]
    bar = [y for y, pixel in enumerate(colors_in(high, 1)) if pixel == "#ff9aa5b1"]
    assert bar[0] < max(y for y in lines[0]) < bar[-1], "the bar goes through its threshold"
    assert min(lines[1]) < bar[0], "and stays below it"


def test_what_was_not_seen_is_hatched_and_has_neither_bar_nor_line(chart):
    image = painted(chart, findings(C1=0.5))
    unseen = colors_in(image, 6)[:102]
    assert "#ff000000" not in unseen and len(set(unseen)) > 1
    bars = chart.barsOf(findings(C1=0.5), findings(C1=0.5).levels)
    assert bars[0].name == "Patient" and bars[6].probability is None
    words = chart.inWords(bars)
    assert "C6: This level is not in the scan" in words and "C1: 50.0 %, threshold 30.0 %" in words


def test_text_and_lines_have_the_palettes_color_on_nothing(chart):
    dark = painted(chart, findings(C1=0.01), color=WHITE)
    pixels = {dark.pixelColor(x, y).name(QtGui.QColor.NameFormat.HexArgb) for x in range(WIDTH) for y in range(124)}
    assert "#ffffffff" in pixels and "#ff000000" not in pixels and dark.pixelColor(WIDTH - 1, 0).alpha() == 0


def test_a_screen_of_twice_the_pixels_gets_twice_the_pixels(chart):
    found = findings(C1=0.01, C4=0.99)
    once, twice = painted(chart, found), painted(chart, found, ratio=2.0)
    assert (twice.width(), twice.height()) == (2 * once.width(), 2 * once.height())
    bar = [sum(pixel == "#ffd63600" for pixel in colors_in(image, 4)) for image in (once, twice)]
    assert bar[1] == pytest.approx(2 * bar[0], abs=2)


def test_uncertain_names_are_shown_as_in_the_table_and_take_a_line_more(chart):
    naming = Naming(False, "C3–C4", ("C4–C5",), 0.6, "Neither C1 nor C2 is in view.")
    found = findings(naming=naming, C3=0.9, C4=0.5)
    assert [bar.name for bar in chart.barsOf(found, found.levels)][3:5] == ["C3 or C4", "C4 or C5"]
    images = [painted(chart, one) for one in (findings(C3=0.9, C4=0.5), found)]
    ends = [max(y for y, pixel in enumerate(colors_in(image, 3)) if pixel == "#ffd63600") for image in images]
    assert ends[0] == ends[1] + chart.LINE


def test_the_chosen_levels_name_stands_out(chart):
    found = findings(C1=0.01, C4=0.99)
    plain, chosen = painted(chart, found), painted(chart, found, "C4")
    assert colors_in(chosen, 4)[-1] == "#ff000000" != colors_in(plain, 4)[-1]
    assert colors_in(chosen, 3) == colors_in(plain, 3)


def names(panel):
    """The bars of the panel's chart by what its tooltip says."""
    return [line.split(":")[0] for line in panel.ui.chartLabel.toolTip.splitlines()[1:]]


def picture(panel):
    return panel.ui.chartLabel.pixmap.toImage()


def test_without_a_result_there_is_no_chart_and_another_volume_has_its_own(panel):
    assert panel.ui.chartLabel.isHidden()
    panel.run()
    assert not panel.ui.chartLabel.isHidden()
    assert "C4: 90.0 %, threshold 50.0 %" in panel.ui.chartLabel.toolTip
    panel.ui.inputSelector.setCurrentNode(panel.add_ct("calm"))
    assert panel.ui.chartLabel.isHidden()
    panel.run()
    assert "C4: 20.0 %" in panel.ui.chartLabel.toolTip
    panel.ui.inputSelector.setCurrentNode(panel.ct)
    assert "C4: 90.0 %" in panel.ui.chartLabel.toolTip
    panel.scene.Clear(0)
    assert panel.ui.chartLabel.isHidden()


def test_it_follows_the_operating_point_and_the_chosen_row_and_keeps_the_necks_order(panel):
    panel.run()
    assert panel.texts(0)[0] == "C4" and names(panel) == ["Patient", *(f"C{n}" for n in range(1, 8))]
    before = picture(panel)
    panel.ui.operatingPointComboBox.setCurrentIndex(0)
    assert "C4: 90.0 %, threshold 5.0 %" in panel.ui.chartLabel.toolTip and picture(panel) != before
    before = picture(panel)
    panel.ui.resultsTable.setCurrentCell(panel.row("C3"), 0)
    assert picture(panel) != before


def test_it_is_no_wider_than_the_table_and_needs_no_width_of_its_own(panel):
    panel.widget.parent.resize(500, 900)
    panel.widget.parent.show()
    panel.application.processEvents()
    panel.run()
    panel.widget.update()
    assert picture(panel).width() == panel.ui.resultsTable.width
    assert panel.ui.chartLabel.sizePolicy.horizontalPolicy().name == "Ignored"
