"""Makes the tables of names beside it: what Slicer 5.12's Python finds on the classes of Qt, CTK and MRML widgets.

    python Testing/slicer_double/names/make.py PYTHONQT CTK SLICER

Each is a git repository: https://github.com/MeVisLab/pythonqt with the tag v4.1.0, https://github.com/commontk/CTK with
the commit CTK_COMMIT, and https://github.com/Slicer/Slicer with the branch 5.12. Only names are taken, no code:

- of Qt's classes, the slots and enum values that PythonQt's generated wrappers declare, and the properties, signals and
  slots that the class's meta-object tells, which PythonQt reads at run time (here, PySide6's);
- of QObject, what PythonQt's decorators add to it;
- of CTK's and MRML's, the properties, signals, public slots and invokable methods that the headers declare.

Qt's meta-objects are those of the installed PySide6, a Qt 6, where Slicer 5.12 has Qt 5.15 or 6.8: a name that is in
one of them alone can't be told apart here.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

PYTHONQT_TAG, CTK_COMMIT, SLICER_BRANCH = "v4.1.0", "5056664a20a3d0a393bb6d91f040525581e0dcdf", "5.12"
# By the file that they are written to.
QT_FILES = {
    "qt_widgets.json": [
        "QObject",
        "QTimer",
        "QGuiApplication",
        "QApplication",
        "QEvent",
        "QWidget",
        "QAbstractButton",
        "QPushButton",
        "QCheckBox",
        "QFrame",
        "QLabel",
        "QComboBox",
        "QLineEdit",
        "QAbstractSlider",
        "QSlider",
        "QAbstractSpinBox",
        "QSpinBox",
        "QProgressBar",
        "QShortcut",
    ],
    "qt_tables_and_dialogs.json": [
        "QAbstractScrollArea",
        "QAbstractItemView",
        "QTableView",
        "QTableWidget",
        "QTableWidgetItem",
        "QHeaderView",
        "QLayout",
        "QBoxLayout",
        "QVBoxLayout",
        "QFormLayout",
        "QGridLayout",
        "QDialog",
        "QFileDialog",
        "QMessageBox",
        "QDesktopServices",
        "QUrl",
    ],
    "qt_painting.json": ["QKeySequence", "QColor", "QBrush", "QFont", "QPalette", "QPixmap", "QPainter"],
}
QT = [name for names in QT_FILES.values() for name in names]
CTK = {
    "ctkCollapsibleButton": "Libs/Widgets/ctkCollapsibleButton.h",
    "ctkPathLineEdit": "Libs/Widgets/ctkPathLineEdit.h",
    "ctkDICOMBrowser": "Libs/DICOM/Widgets/ctkDICOMBrowser.h",
    "ctkDICOMTableManager": "Libs/DICOM/Widgets/ctkDICOMTableManager.h",
    "ctkDICOMVisualBrowserWidget": "Libs/DICOM/Widgets/ctkDICOMVisualBrowserWidget.h",
    "ctkDICOMPatientView": "Libs/DICOM/Widgets/ctkDICOMPatientView.h",
    "ctkDICOMDatabase": "Libs/DICOM/Core/ctkDICOMDatabase.h",
}
SLICER = {
    "qMRMLWidget": "Libs/MRML/Widgets/qMRMLWidget.h",
    "qMRMLNodeComboBox": "Libs/MRML/Widgets/qMRMLNodeComboBox.h",
    "qMRMLSortFilterProxyModel": "Libs/MRML/Widgets/qMRMLSortFilterProxyModel.h",
    "qMRMLLayoutManager": "Libs/MRML/Widgets/qMRMLLayoutManager.h",
    "qMRMLSliceWidget": "Libs/MRML/Widgets/qMRMLSliceWidget.h",
    "qMRMLSliceView": "Libs/MRML/Widgets/qMRMLSliceView.h",
    "qSlicerWidget": "Base/QTGUI/qSlicerWidget.h",
    "qSlicerAbstractModuleWidget": "Base/QTGUI/qSlicerAbstractModuleWidget.h",
}


def git(repository, *arguments):
    """What a git command says."""
    return subprocess.run(
        ["git", "-C", repository, *arguments], check=True, capture_output=True, encoding="utf-8", errors="replace"
    ).stdout


def of_wrappers(repository):
    """The names that PythonQt's wrappers of Qt 5.15 declare, by class: methods, and values of enums."""
    found = {}
    for path in git(repository, "ls-tree", "-r", "--name-only", PYTHONQT_TAG, "generated_cpp_515").split("\n"):
        if not path.endswith(".h") or not re.search(r"_(core|gui)", path):
            continue
        text = git(repository, "show", f"{PYTHONQT_TAG}:{path}")
        for name, body in re.findall(r"^class PythonQtWrapper_(\w+) : public QObject\n(.*?)^};", text, re.S | re.M):
            if name not in QT:
                continue
            methods = set()
            for method in re.findall(r"^\s*[\w:<>&*, ]*?\b(\w+)\(", body, re.M):
                # py_q_ stands before a virtual function of the class itself, which may be overridden.
                method = method.removeprefix(f"static_{name}_").removeprefix("py_q_")
                if not re.match(r"new_|delete_|py_|Q_|PythonQt", method):
                    methods.add(method)
            values = re.findall(r"\b(\w+) = \w+::\1\b", body)
            found[name] = {"methods": sorted(methods), "enums": sorted(set(values))}
    return found


def of_decorators(repository):
    """What PythonQt adds to every QObject."""
    text = git(repository, "show", f"{PYTHONQT_TAG}:src/PythonQtStdDecorators.h")
    return set(re.findall(r"\b(\w+)\(QObject\s*\*", text))


def of_meta_object(name):
    """Properties, signals and slots of one Qt class alone, and its base, as the installed PySide6 knows them."""
    from PySide6 import QtCore, QtGui, QtWidgets

    kind = next(getattr(module, name) for module in (QtWidgets, QtGui, QtCore) if hasattr(module, name))
    base = next((one.__name__ for one in kind.__mro__[1:] if one.__name__ in QT), None)
    if not hasattr(kind, "staticMetaObject"):
        return {"base": base}
    meta, known = kind.staticMetaObject, {"base": base, "properties": [], "signals": [], "methods": []}
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        known["properties"].append(meta.property(index).name())
    for index in range(meta.methodOffset(), meta.methodCount()):
        method = meta.method(index)
        if method.methodType() == QtCore.QMetaMethod.MethodType.Signal:
            known["signals"].append(method.methodSignature().data().decode())
        known["methods"].append(method.name().data().decode())
    return known


def of_header(text, name):
    """What a header declares of a class: base, properties, signals, public slots and invokable methods."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)
    match = re.search(rf"class\s+(?:\w+\s+)?{name}\s*:\s*public\s+(\w+)[^{{]*{{(.*?)\n}};", text, re.S)
    base, body = match.groups()
    base = re.search(r"typedef\s+(\w+)\s+Superclass", body).group(1) if base == "Superclass" else base
    properties = re.findall(r"Q_PROPERTY\(\s*[\w:<>]+\s*\*?\s+(\w+)", body)
    methods = set(re.findall(r"Q_INVOKABLE[^;{]*?\b(\w+)\(", body, re.S))
    signals, section = [], None
    access = r"(?:public|protected|private)(?: slots| Q_SLOTS)?|signals|Q_SIGNALS"
    for part in re.split(rf"^\s*({access})\s*:", body, flags=re.M):
        if re.fullmatch(access, part):
            section = part
        elif section in ("public slots", "public Q_SLOTS"):
            methods |= set(re.findall(r"\b(\w+)\([^;{]*\)", part))
        elif section in ("signals", "Q_SIGNALS"):
            signals += [signature(*one) for one in re.findall(r"void\s+(\w+)\(([^)]*)\)", part)]
    enums = re.findall(r"enum\s+\w*\s*{(.*?)}", body, re.S)
    values = [value for one in enums for value in re.findall(r"\b([A-Z]\w+)\b(?:\s*=[^,]*)?", one)]
    methods |= {one.split("(")[0] for one in signals}
    told = {"properties": properties, "signals": signals, "methods": methods, "enums": values}
    return {"base": base, **{key: sorted(set(value)) for key, value in told.items()}}


def signature(name, arguments):
    """A signal as `connect` takes it: types alone, without const and reference."""
    types = []
    for argument in filter(None, (one.strip() for one in arguments.split(","))):
        argument = re.sub(r"=.*", "", argument).strip()
        argument = re.sub(r"^const\s+|&", "", argument)
        types.append(re.sub(r"\s*(\*?)\s*\b\w+$", r"\1", argument) if re.search(r"[\s*]\w+$", argument) else argument)
    return f"{name}({','.join(one.replace(' ', '') for one in types)})"


def of_bases(table, name):
    """The methods of a class and of its bases, which need not be written again."""
    return set(table[name]["methods"]) | of_bases(table, table[name]["base"]) if name else set()


def main(pythonqt, ctk, slicer):
    wrappers = of_wrappers(pythonqt)
    qt = {}
    for name in QT:
        meta, wrapper = of_meta_object(name), wrappers.get(name, {})
        methods = {*meta.get("methods", ()), *wrapper.get("methods", ())}
        if name == "QObject":
            methods |= of_decorators(pythonqt)
        qt[name] = {
            "base": meta["base"],
            "properties": sorted(meta.get("properties", ())),
            "signals": sorted(meta.get("signals", ())),
            "methods": sorted(methods - of_bases(qt, meta["base"])),
            "enums": wrapper.get("enums", []),
        }
    headers = {name: of_header(git(ctk, "show", f"{CTK_COMMIT}:{path}"), name) for name, path in CTK.items()}
    headers |= {name: of_header(git(slicer, "show", f"{SLICER_BRANCH}:{path}"), name) for name, path in SLICER.items()}
    tables = {file: {name: qt[name] for name in names} for file, names in QT_FILES.items()}
    for file, table in (tables | {"ctk_and_mrml.json": headers}).items():
        lines = [f"{json.dumps(name)}: {json.dumps(content)}" for name, content in table.items()]
        Path(__file__).with_name(file).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
