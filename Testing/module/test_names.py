"""Every name of Qt, CTK and MRML that the module uses is one that Slicer 5.12 has, by tables made of the sources."""

import ast
from xml.etree import ElementTree

import pytest
from slicer_double import names  # noqa: E402
from slicer_double.panel import MODULE  # noqa: E402

FORMS = sorted((MODULE / "Resources" / "UI").glob("*.ui"))
CODE = sorted((MODULE / "NeckFracLib").glob("*.py"))
PLAIN_NAMESPACES = {"Qt"}  # qt.Qt has no class; its values are those of Qt's own documentation


def widgets():
    """The class of each widget by its name, of all forms; layouts and spacers are no children that code asks for."""
    return {one.get("name"): one.get("class") for path in FORMS for one in ElementTree.parse(path).iter("widget")}


# What these names stand for wherever the module's code uses them.
CALLED = {"painter": "QPainter", "table": "QTableWidget", "label": "QLabel", "bar": "QProgressBar", "font": "QFont",
          "item": "QTableWidgetItem", "pixmap": "QPixmap", "shortcut": "QShortcut"}  # fmt: skip
LOOKED_FOR = {"devicePixelRatioF"}  # with hasattr: PythonQt has it of some widgets only


def test_what_is_asked_of_painters_tables_items_and_the_like_exists_in_slicer():
    asked = {name: 0 for name in CALLED}
    for path in CODE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if "import qt" not in path.read_text(encoding="utf-8") and path.stem not in ("results_table", "review_section"):
            continue  # there, an "item" is one of the subject hierarchy
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in CALLED:
                if node.value.id == "bar" and path.stem == "results_chart":
                    continue  # there, it is a Bar of the chart
                asked[node.value.id] += 1
                kind = CALLED[node.value.id]
                known = names.attributes(kind) | LOOKED_FOR
                assert node.attr in known, f"{path.name}:{node.lineno}: {node.value.id}.{node.attr}"
    assert all(asked.values()), asked


def of_ui(node):
    """The widget's name when the expression is `ui.<name>` or `<anything>.ui.<name>`, else None."""
    if not isinstance(node, ast.Attribute):
        return None
    owner = node.value
    called = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
    return node.attr if called == "ui" else None


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_the_forms_name_classes_and_properties_that_slicer_has(path):
    for widget in ElementTree.parse(path).iter("widget"):
        known = names.known(widget.get("class"))["properties"]
        for part in widget.findall("property"):
            if part.get("stdset") != "0":  # a dynamic one
                assert part.get("name") in known, f"{widget.get('name')}: {part.get('name')}"


def test_no_two_widgets_share_a_name_and_each_that_the_code_asks_for_is_there():
    found = [one.get("name") for path in FORMS for one in ElementTree.parse(path).iter("widget")]
    assert len(found) == len(set(found))
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert of_ui(node) is None or of_ui(node) in found, f"{path.name}:{node.lineno}: {of_ui(node)}"


def test_what_is_asked_of_the_forms_widgets_exists_in_slicer():
    kinds, asked = widgets(), 0
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = of_ui(node.value) if isinstance(node, ast.Attribute) else None
            if name is not None:
                asked += 1
                assert node.attr in names.attributes(kinds[name]), f"{path.name}:{node.lineno}: {name}.{node.attr}"
    assert asked > 100


def test_signals_are_connected_by_signatures_that_slicer_has():
    kinds, connected = widgets(), 0
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") != "connect":
                continue
            name = of_ui(node.func.value)
            if name is not None:
                connected += 1
                assert node.args[0].value in names.signals(kinds[name]), f"{path.name}:{node.lineno}"
    assert connected > 30


def test_what_is_taken_from_the_module_qt_exists_there():
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute)):
                continue
            owner = node.value
            if isinstance(owner.value, ast.Name) and owner.value.id == "qt" and owner.attr not in PLAIN_NAMESPACES:
                known = names.attributes(owner.attr) | {"__init__"}
                assert node.attr in known, f"{path.name}:{node.lineno}: qt.{owner.attr}.{node.attr}"


def test_what_is_set_like_an_attribute_of_a_widget_is_a_property_of_it():
    """In PythonQt nothing else can be set on an object."""
    kinds, found = widgets(), 0
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            targets = node.targets if isinstance(node, ast.Assign) else []
            for target in targets:
                name = of_ui(target.value) if isinstance(target, ast.Attribute) else None
                if name is not None:
                    found += 1
                    assert target.attr in names.known(kinds[name])["properties"], f"{path.name}:{node.lineno}"
    assert found > 3
