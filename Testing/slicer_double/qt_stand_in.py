"""PySide6 in PythonQt's manners, and stand-ins for the widgets of CTK and MRML that NeckFrac.ui names.

In PythonQt a property is an attribute (`button.enabled = True`), setters stay, and `connect("clicked(bool)", f)`
takes the signal as text. Here each widget class gets that by a subclass. What ran with it has shown our logic and
our .ui, not PythonQt's or CTK's behaviour.
"""

import types
import weakref
from xml.etree import ElementTree

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from . import names

# These are virtual functions, too: an attribute of that name would hide the function from Qt.
VIRTUAL = {"sizeHint", "minimumSizeHint"}
VIRTUAL_OF = {"QProgressBar": {"text"}, "QTimer": {"singleShot"}}  # the latter a static function, too


GARBAGE = QtGui.QColor(255, 0, 255)  # what stands where a freed object was


class TemporaryPalette:
    """The copy of a palette that PythonQt gives for the property: what its color() gives points into it.

    Once the copy is dropped, the colors that it gave are memory of something else; here they turn magenta.
    """

    def __init__(self, palette):
        self._palette, self._given = palette, []
        weakref.finalize(self, TemporaryPalette._spoil, self._given)

    def color(self, *arguments):
        color = QtGui.QColor(self._palette.color(*arguments))
        self._given.append(color)
        return color

    @staticmethod
    def _spoil(given):
        for color in given:
            color.setRgba(GARBAGE.rgba())


class _Property:
    """A Qt property as PythonQt shows it: an attribute."""

    def __init__(self, name):
        self.name = name

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        value = instance.property(self.name)
        return TemporaryPalette(value) if self.name == "palette" else value

    def __set__(self, instance, value):
        if not instance.setProperty(self.name, value):
            raise TypeError(f"{self.name} does not take {value!r}")


class _PythonQtManners:
    name = _Property("objectName")

    def __init__(self, *arguments):
        super().__init__(*arguments)
        # On the instance: PySide6 answers for a class's `connect` itself.
        self.connect = self._connect_by_text

    def __setattr__(self, name, value):
        """PythonQt lets nothing be set on an object that is no property; tests may put theirs in a method's place."""
        if not name.startswith("_") and not hasattr(type(self), name):
            raise AttributeError(f"{type(self).__name__} has no {name}, and new attributes can't be made")
        super().__setattr__(name, value)

    def _connect_by_text(self, signal, callback):
        """Connect a signal that is given as text; its name and its arguments' types must be right."""
        meta = type(self).staticMetaObject  # that of an instance may be deleted while its methods are read
        methods = (meta.method(index) for index in range(meta.methodCount()))
        signals = {
            method.methodSignature().data().decode()
            for method in methods
            if method.methodType() == QtCore.QMetaMethod.MethodType.Signal
        }
        if signal not in signals:
            raise ValueError(f"{type(self).__name__} has no signal {signal}")
        getattr(self, signal.split("(")[0]).connect(callback)
        return True

    def className(self):
        return type(self).__name__


def strict(base):
    """A class that holds an object of `base`, and has of it what Slicer 5.12 has of it, by the tables of names.

    By composition: what replaces `__getattribute__` in a subclass of a C++ class crashes. For objects that are not
    handed to Qt.
    """

    class Strict:
        def __init__(self, *arguments):
            self._of_qt = base(*arguments)

        def __getattr__(self, name):
            if name not in names.attributes(base.__name__):
                raise AttributeError(f"{base.__name__} has no {name} in Slicer")
            return getattr(self._of_qt, name)

    Strict.__name__ = base.__name__
    return Strict


class _Refused:
    """A name of PySide6's that an object does not have in Slicer."""

    def __init__(self, owner, name):
        self._says = f"{owner} has no {name} in Slicer"

    def __get__(self, instance, owner=None):
        raise AttributeError(self._says)


def refusing(base):
    """A subclass of a class of `base` that has of it what Slicer 5.12 has of it, by the tables of names.

    For objects that are handed to Qt: values, items of tables, and the classes of dialogs. Virtual functions stay, for
    Qt looks for them on the subclass.
    """
    known = names.attributes(base.__name__)
    virtual = {"clone", "data", "setData", "read", "write", "metaObject", "devType", "paintEngine", "metric"}
    virtual |= {"initPainter", "redirected", "sharedPainter"}
    others = {name for name in dir(base) if not name.startswith("_") and name not in known | virtual}

    def set_attribute(self, name, value):
        raise AttributeError(f"{base.__name__} has no property {name} in Slicer, and new attributes can't be made")

    content = {name: _Refused(base.__name__, name) for name in others} | {"__setattr__": set_attribute}
    return type(base.__name__, (base,), content)


def in_pythonqt_manners(base):
    """A subclass of a PySide6 class that behaves as PythonQt's wrapper of it."""
    meta = base.staticMetaObject
    properties = {meta.property(index).name() for index in range(meta.propertyCount())}
    properties -= VIRTUAL | VIRTUAL_OF.get(base.__name__, set())
    return type(base.__name__, (_PythonQtManners, base), {name: _Property(name) for name in properties})


NAMES = [
    "QWidget", "QLabel", "QComboBox", "QPushButton", "QProgressBar", "QTableWidget", "QCheckBox", "QLineEdit",
    "QSlider", "QHeaderView", "QSpinBox", "QShortcut",
]  # fmt: skip
PLAIN = {name: in_pythonqt_manners(getattr(QtGui if name == "QShortcut" else QtWidgets, name)) for name in NAMES}


class QTableWidget(PLAIN["QTableWidget"]):
    """Qt's, its horizontal header and its viewport in PythonQt's manners, too."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.setViewport(PLAIN["QWidget"]())
        header = PLAIN["QHeaderView"](QtCore.Qt.Orientation.Horizontal, self)
        header.setSectionsClickable(True)
        self.setHorizontalHeader(header)


PLAIN["QTableWidget"] = QTableWidget


class ctkCollapsibleButton(PLAIN["QWidget"]):
    """Stands in for CTK's: a container with its title on top; closed, it shows nothing but the title."""

    HEADER = 22  # pixels

    def __init__(self, parent=None):
        super().__init__(parent)
        self._text, self._collapsed = "", False
        self._closed = []  # the children that closing has hidden
        self.setContentsMargins(0, self.HEADER, 0, 0)

    def _set_text(self, text):
        self._text = text
        self.update()

    def _set_collapsed(self, collapsed):
        self._collapsed = collapsed
        children = self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindChildOption.FindDirectChildrenOnly)
        if self._draws and collapsed:
            self._closed += [child for child in children if not child.isHidden()]
        elif self._draws:  # as in CTK: what was hidden by itself stays so
            self._closed = [child.setVisible(True) for child in self._closed][:0]
        if self._draws and collapsed:
            for child in self._closed:
                child.setVisible(False)
        self.setMaximumHeight(self.HEADER if collapsed and self._draws else 16777215)

    _draws = False  # whether closed parts are hidden: for pictures; tests look at widgets in closed parts, too

    text = QtCore.Property(str, lambda self: self._text, _set_text)
    collapsed = QtCore.Property(bool, lambda self: self._collapsed, _set_collapsed)

    def paintEvent(self, event):
        painter = QtGui.QPainter(self)
        painter.fillRect(0, 0, self.width, self.HEADER - 2, QtGui.QColor("#c8ccd0"))
        painter.setPen(QtGui.QColor("black"))
        mark = "▸ " if self._collapsed else "▾ "
        painter.drawText(6, 0, self.width, self.HEADER - 2, QtCore.Qt.AlignmentFlag.AlignVCenter, mark + self._text)
        painter.end()


class ctkPathLineEdit(PLAIN["QWidget"]):
    """Stands in for CTK's: a path as text. Its filters are checked when the .ui is read (see `_Loader`)."""

    currentPathChanged = QtCore.Signal(str)
    history: tuple | list = ()
    FILTERS = ("Dirs", "Files", "Drives", "NoDot", "NoDotDot", "NoSymLinks", "Readable", "Writable", "Executable")

    def __init__(self, parent=None):
        super().__init__(parent)
        self._path, self._key, self.history = "", "", []
        self._edit = QtWidgets.QLineEdit(self)
        QtWidgets.QHBoxLayout(self).addWidget(self._edit)
        self.layout().setContentsMargins(0, 0, 0, 0)

    def _set_path(self, path):
        if path != self._path:
            self._path = path
            self._edit.setText(path)
            self.currentPathChanged.emit(path)

    def _set_key(self, key):
        self._key = key

    currentPath = QtCore.Property(str, lambda self: self._path, _set_path)
    settingKey = QtCore.Property(str, lambda self: self._key, _set_key)

    def addCurrentPathToHistory(self):
        self.history.append(self._path)


class qMRMLSortFilterProxyModel:
    """Stands in for MRML's: which nodes a selector does not offer."""

    __slots__ = ("hiddenNodeIDs",)

    def __init__(self):
        self.hiddenNodeIDs = []


class qMRMLNodeComboBox(PLAIN["QWidget"]):
    """Stands in for MRML's: holds one node of the given classes, or none, and shows its name."""

    currentNodeChanged = QtCore.Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = self._node = None
        self._model = qMRMLSortFilterProxyModel()
        self.setMinimumHeight(24)

    def sortFilterProxyModel(self):
        return self._model

    def paintEvent(self, event):
        option = QtWidgets.QStyleOptionComboBox()
        option.initFrom(self)
        option.currentText = self._node.GetName() if self._node is not None else self.property("noneDisplay") or "None"
        painter = QtWidgets.QStylePainter(self)
        painter.drawComplexControl(QtWidgets.QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QtWidgets.QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()

    def setMRMLScene(self, scene):
        self._scene = scene

    def mrmlScene(self):
        return self._scene

    def nodes(self):
        """The nodes that it offers."""
        classes, children = self.property("nodeTypes") or [], self.property("showChildNodeTypes")
        nodes = [self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes())]
        fits = (lambda node, name: node.IsA(name)) if children else (lambda node, name: node.GetClassName() == name)
        hidden = set(self._model.hiddenNodeIDs)
        nodes = [node for node in nodes if node.GetID() not in hidden and not node.GetHideFromEditors()]
        return [node for node in nodes if any(fits(node, name) for name in classes)]

    def currentNode(self):
        return self._node

    def addNode(self):
        """What its entry *Create new …* does: an empty node, chosen."""
        assert self.property("addEnabled"), "this selector makes no nodes"
        self.setCurrentNode(self._scene.AddNewNodeByClass(self.property("nodeTypes")[0], self.property("baseName")))

    def setCurrentNode(self, node):
        if node is not None and node not in self.nodes():
            node = None
        if node is not self._node:
            self._node = node
            self.update()
            self.currentNodeChanged.emit(node)


class qMRMLWidget(PLAIN["QWidget"]):
    """Stands in for MRML's: passes its scene on to the widgets that the .ui connects to it, and no others."""

    receivers: tuple = ()

    def setMRMLScene(self, scene):
        for name in self.receivers:
            self.findChild(QtWidgets.QWidget, name).setMRMLScene(scene)


class qSlicerAbstractModuleWidget(qMRMLWidget):
    """Stands in for the widget that Slicer gives a module's panel as its parent."""

    isEntered = False  # until the module panel has called `enter`, which it does after `setup`
    reload = None  # what the module's reloading does to it


class _Loader(QtUiTools.QUiLoader):
    """Builds the classes of this file; a class that it does not know is an error, not a plain widget.

    The scene's connections are made here: PySide6 can't send a vtkMRMLScene*.
    """

    def load(self, file):
        content = bytes(file.readAll().data())
        tree = ElementTree.fromstring(content)
        receivers = []
        for connection in tree.findall("connections/connection"):
            ends = [connection.findtext(end) for end in ("sender", "signal", "receiver", "slot")]
            scene = "vtkMRMLScene*"
            if ends != [tree.findtext("class"), f"mrmlSceneChanged({scene})", ends[2], f"setMRMLScene({scene})"]:
                raise ValueError(f"a connection that the stand-in does not know: {ends}")
            receivers.append(ends[2])
        for connections in tree.findall("connections"):
            tree.remove(connections)
        self._check_filters(tree)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        widget = super().load(buffer)
        widget.receivers = tuple(receivers)
        return widget

    @staticmethod
    def _check_filters(tree):
        """PySide6 does not know the flags of a CTK class: check their names, and take them out."""
        for widget in tree.iter("widget"):
            for flags in [p for p in widget.findall("property") if p.get("name") == "filters"]:
                names = [name.split("::") for name in flags.findtext("set").split("|")]
                if widget.get("class") != "ctkPathLineEdit" or any(
                    kind != "ctkPathLineEdit" or name not in ctkPathLineEdit.FILTERS for kind, name in names
                ):
                    raise ValueError(f"{widget.get('class')} has no filters {names}")
                widget.remove(flags)

    def createWidget(self, class_name, parent=None, name=""):
        stand_ins = (ctkCollapsibleButton, ctkPathLineEdit, qMRMLNodeComboBox, qMRMLWidget)
        known = PLAIN | {kind.__name__: kind for kind in stand_ins}
        widget = known[class_name](parent)
        widget.setObjectName(name)
        return widget


def qt_module():
    """The module that `import qt` gives in Slicer, with the names that the module and slicer.util use."""
    module = types.ModuleType("qt")
    for name, kind in PLAIN.items():
        setattr(module, name, kind)
    module.QTimer = in_pythonqt_manners(QtCore.QTimer)
    for name in ("QBrush", "QFont", "QKeySequence", "QPixmap"):
        setattr(module, name, refusing(getattr(QtGui, name)))
    module.QColor = QtGui.QColor  # PySide6 copies no subclass of it; its names are checked in the sources
    module.QPainter = strict(QtGui.QPainter)
    module.QPalette = QtGui.QPalette
    module.QTableWidgetItem, module.QVBoxLayout = refusing(QtWidgets.QTableWidgetItem), QtWidgets.QVBoxLayout
    module.QFile, module.Qt, module.QUiLoader = QtCore.QFile, QtCore.Qt, _Loader
    module.QApplication = QtWidgets.QApplication  # for its clipboard
    module.QObject, module.QEvent = QtCore.QObject, QtCore.QEvent
    module.QMessageBox = refusing(QtWidgets.QMessageBox)  # for its constants; no box is opened
    return module


def application():
    """The one Qt application of this process."""
    return QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
