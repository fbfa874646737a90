"""Every name of Qt, CTK and MRML that the module uses is one that Slicer 5.12 has, by tables made of the sources."""

from functools import cache
from xml.etree import ElementTree

import pytest
from slicer_double import names
from slicer_double.names.check import Checker
from slicer_double.panel import MODULE

FORMS = sorted((MODULE / "Resources" / "UI").glob("*.ui"))


def widgets():
    """The class of each widget by its name, of all forms; layouts and spacers are no children that code asks for."""
    return {one.get("name"): one.get("class") for path in FORMS for one in ElementTree.parse(path).iter("widget")}


def sources():
    return {path.stem: path.read_text(encoding="utf-8") for path in (MODULE / "NeckFracLib").glob("*.py")}


@cache
def checked():
    checker = Checker(sources(), widgets())
    return checker, checker.check()


def test_the_modules_code_uses_no_name_that_slicer_does_not_have():
    checker, faults = checked()
    assert faults == []
    assert checker.asked > 300, "so many names of Qt, CTK and MRML widgets were looked up"


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_the_forms_name_classes_and_properties_that_slicer_has(path):
    for widget in ElementTree.parse(path).iter("widget"):
        known = names.known(widget.get("class"))["properties"]
        for part in widget.findall("property"):
            if part.get("stdset") != "0":  # a dynamic one
                assert part.get("name") in known, f"{widget.get('name')}: {part.get('name')}"


def test_no_two_widgets_share_a_name():
    found = [one.get("name") for path in FORMS for one in ElementTree.parse(path).iter("widget")]
    assert len(found) == len(set(found))


# Each names what Slicer does not have, as somebody could write it; the last part of the fault is expected.
WRONG = {
    "a widget that no form has": ("ui.applyButtom.click()", "no form has a widget applyButtom"),
    "a method of a widget": ("self.ui.applyButton.setTitle('')", "QPushButton has no setTitle"),
    "a method of CTK's": ("ui.exportPathLineEdit.setPath('')", "ctkPathLineEdit has no setPath"),
    "a method of MRML's": ("ui.inputSelector.setNode(None)", "qMRMLNodeComboBox has no setNode"),
    "a property that is called": ("ui.applyButton.text()", "text is a property, which is not called"),
    "what is set and is no property": ("ui.applyButton.title = ''", "QPushButton has no property title to set"),
    "a signal of another signature": (
        "ui.applyButton.connect('clicked(int)', print)",
        "QPushButton has no signal clicked(int)",
    ),
    "a local of a widget": ("button = ui.applyButton\n    button.setTitle('')", "QPushButton has no setTitle"),
    "one of two in a tuple": ("a, b = ui.applyButton, ui.statusLabel\n    b.click()", "QLabel has no click"),
    "a loop": ("for one in (ui.applyButton, ui.statusLabel):\n        one.click()", "QLabel has no click"),
    "a generator": ("any(one.click() for one in (ui.statusLabel,))", "QLabel has no click"),
    "a table's item": ("ui.resultsTable.item(0, 0).setTitle('')", "QTableWidgetItem has no setTitle"),
    "a new item": ("item = qt.QTableWidgetItem('')\n    item.setColor(1)", "QTableWidgetItem has no setColor"),
    "a header": ("ui.resultsTable.horizontalHeader().setSizes(1)", "QHeaderView has no setSizes"),
    "a cell's bar": ("ui.resultsTable.cellWidget(0, 0).setText('')", "QProgressBar has no setText"),
    "a painter": ("painter = qt.QPainter()\n    painter.drawCircle(1)", "QPainter has no drawCircle"),
    "a dialog": ("qt.QFileDialog.askForFile()", "QFileDialog has no askForFile"),
    "a message box": ("box = qt.QMessageBox()\n    box.setTitle('')", "QMessageBox has no setTitle"),
    "a property's value": ("ui.applyButton.palette.paint()", "QPalette has no paint"),
    "an enum": ("qt.QEvent.Resized", "QEvent has no Resized"),
    "an argument": ("helper(ui.statusLabel)", "QLabel has no click"),
    "what a function gives": ("giver(ui).click()", "QLabel has no click"),
    "an attribute": ("self._kept.setTitle('')", "QTimer has no setTitle"),
    "one of a list": ("for one in self._all:\n        one.setTitle('')", "QShortcut has no setTitle"),
    "of what nobody knows the class": ("whoever.setTextAlignment(1)", "is of a class that is not known"),
}
AROUND = """
import qt

def helper(widget):
    widget.click()

def giver(ui):
    return ui.statusLabel

class Own:
    def __init__(self, ui):
        self.ui, self._all = ui, []
        self._kept = qt.QTimer()
        self._all.append(qt.QShortcut(None))

    def method(self, ui, whoever):
        self._kept.setSingleShot(True)
{code}
"""


@pytest.mark.parametrize("kind", WRONG)
def test_the_checker_finds_every_kind_of_wrong_name(kind):
    code, expected = WRONG[kind]
    code = "\n".join("    " + line for line in ("    " + code).split("\n"))
    faults = Checker({"wrong": AROUND.format(code=code)}, widgets()).check()
    if kind == "an argument":  # elsewhere the function that it is given to is not called
        assert faults == ["wrong:5: QLabel has no click"]
    else:
        assert faults and faults[0].endswith(expected), faults


def test_the_checker_has_nothing_against_names_that_are_right():
    right = "ui.applyButton.setText(''); ui.applyButton.enabled = True; ui.applyButton.connect('clicked(bool)', print)"
    assert Checker({"right": AROUND.format(code="        " + right)}, widgets()).check() == []


def test_a_name_that_is_changed_anywhere_in_the_modules_code_is_found():
    """Of each method that is called on a widget of the forms: with another letter it is a fault."""
    import re

    texts, tried = sources(), 0
    for module, text in texts.items():
        for match in list(re.finditer(r"\bui\.(\w+)\.(set\w+)\(", text))[:1]:
            wrong = text[: match.start(2)] + "x" + match.group(2) + text[match.end(2) :]
            faults = Checker(texts | {module: wrong}, widgets()).check()
            assert any(f"has no x{match.group(2)}" in fault for fault in faults), match.group()
            tried += 1
    assert tried > 7


@pytest.fixture
def qt(monkeypatch):
    """The double of Qt, with an application."""
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    module = pytest.importorskip("slicer_double.qt_stand_in", exc_type=ImportError)
    application = module.application()
    yield module
    assert application


def test_the_double_of_qt_lets_nothing_be_set_that_is_no_property(qt):
    button = qt.PLAIN["QPushButton"]()
    button.text = "Apply"
    assert button.text == "Apply"
    with pytest.raises(AttributeError, match="title"):
        button.title = "Apply"
    with pytest.raises(AttributeError, match="collapsd"):
        qt.ctkCollapsibleButton().collapsd = True


def test_the_double_of_a_painter_has_what_slicer_has_and_no_more(qt):
    pixmap, painter = qt.QtGui.QPixmap(9, 9), qt.qt_module().QPainter()
    assert painter.begin(pixmap)
    painter.fillRect(0, 0, 9, 9, qt.QtGui.QBrush(qt.QtGui.QColor("red")))
    with pytest.raises(AttributeError, match="in Slicer"):
        painter.drawCircle(1, 1, 1)
    with pytest.raises(AttributeError, match="in Slicer"):
        painter.pos()  # as if it were a mouse
    assert painter.end() and pixmap.toImage().pixelColor(4, 4).name() == "#ff0000"


@pytest.mark.parametrize(
    ("make", "known", "unknown"),
    [
        (lambda qt: qt.QTableWidgetItem("C2"), "setForeground", "ItemType"),
        (lambda qt: qt.QFont(), "setBold", "featureTags"),
        (lambda qt: qt.QPixmap(2, 2), "fill", "deviceIndependentSize"),
        (lambda qt: qt.QMessageBox, "Yes", "setOptions"),
    ],
)
def test_items_values_and_dialogs_refuse_at_run_time_what_slicer_does_not_have(qt, make, known, unknown):
    made = make(qt.qt_module())
    getattr(made, known)
    with pytest.raises(AttributeError, match="in Slicer"):
        getattr(made, unknown)


def test_nothing_new_is_set_on_an_item(qt):
    item = qt.qt_module().QTableWidgetItem("C2")
    item.setText("C3")
    with pytest.raises(AttributeError, match="no property level"):
        item.level = "C2"
