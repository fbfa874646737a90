"""A stand-in for `slicer.parameterNodeWrapper` on the real vtkMRMLScriptedModuleNode.

Knows what NeckFrac uses: text, bool, bounded int, Enum and node parameters, a check box for a bool, a slider for an
int within a range, a combo box for an Enum (emptied and filled with the Enum's labels, as Slicer does) and a node
selector for a node. Anything else is refused, as in Slicer.
"""

import enum
import typing

import vtk


class WithinRange:
    """For the annotation of that name."""

    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum


class _Parameter:
    def __init__(self, name, kind, default):
        self.name, self.default = name, default
        self.kind, *annotations = typing.get_args(kind) if typing.get_origin(kind) is typing.Annotated else (kind,)
        self.range = next((one for one in annotations if isinstance(one, WithinRange)), None)

    def __get__(self, wrapper, owner=None):
        if wrapper is None:
            return self
        node = wrapper.parameterNode
        if isinstance(self.kind, type) and issubclass(self.kind, vtk.vtkObject):
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if self.kind is bool:
            return text == "True"
        if self.kind is int:
            return int(text)
        return self.kind[text] if issubclass(self.kind, enum.Enum) else text

    def __set__(self, wrapper, value):
        node = wrapper.parameterNode
        if value is not None and not isinstance(value, self.kind):
            raise ValueError(f"{self.name} does not take {value!r}")
        if self.range and not self.range.minimum <= value <= self.range.maximum:
            raise ValueError(f"{self.name} is not within its range: {value}")
        if issubclass(self.kind, vtk.vtkObject):
            node.SetNodeReferenceID(self.name, value.GetID() if value else None)
        else:
            node.SetParameter(self.name, value.name if issubclass(self.kind, enum.Enum) else str(value))


def parameterNodeWrapper(kind):
    """Class decorator: the annotated members become parameters of the node that the constructor is given."""
    members = typing.get_type_hints(kind, include_extras=True)
    parameters = {name: _Parameter(name, member, getattr(kind, name, None)) for name, member in members.items()}
    return type(kind.__name__, (_Wrapper,), {"__doc__": kind.__doc__, "_parameters": parameters, **parameters})


class _Wrapper:
    def __init__(self, parameterNode):
        self.parameterNode = parameterNode
        self._connections, self._updating = {}, False
        for name, parameter in self._parameters.items():
            if parameter.default is not None and not parameterNode.GetParameter(name):
                setattr(self, name, parameter.default)

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        self.parameterNode.RemoveObserver(tag)

    def connectGui(self, gui):
        tied = {}
        for widget in vars(gui).values():
            name = widget.property("SlicerParameterName")
            if name:
                tied[name] = _connector(widget, self._parameters[name])
        disconnects = [
            connector.connect(lambda name=name, connector=connector: self._read(name, connector))
            for name, connector in tied.items()
        ]

        def show(caller=None, event=None):
            if self._updating:
                return
            self._updating = True
            for name, connector in tied.items():
                connector.write(getattr(self, name))
            self._updating = False

        show()
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, show)
        tag = len(self._connections)
        self._connections[tag] = (observer, disconnects)
        return tag

    def disconnectGui(self, tag):
        """As in Slicer 5.10: the observer of the parameter node stays, and the wrapper and the widgets with it."""
        if tag in self._connections:
            _observer, disconnects = self._connections.pop(tag)
            for disconnect in disconnects:
                disconnect()

    def _read(self, name, connector):
        if not self._updating:
            setattr(self, name, connector.read())


class _EnumComboBox:
    def __init__(self, widget, kind):
        self.widget, self.values = widget, list(kind)
        widget.clear()
        for value in self.values:
            widget.addItem(value.label())

    def connect(self, changed):
        def slot(index):
            changed()

        self.widget.currentIndexChanged.connect(slot)
        return lambda: self.widget.currentIndexChanged.disconnect(slot)

    def read(self):
        return self.values[self.widget.property("currentIndex")]

    def write(self, value):
        self.widget.setCurrentIndex(self.values.index(value))


class _NodeSelector:
    def __init__(self, widget, kind):
        self.widget = widget
        widget.setProperty("nodeTypes", [kind.__name__])

    def connect(self, changed):
        def slot(node):
            changed()

        self.widget.currentNodeChanged.connect(slot)
        return lambda: self.widget.currentNodeChanged.disconnect(slot)

    def read(self):
        return self.widget.currentNode()

    def write(self, node):
        self.widget.setCurrentNode(node)


class _CheckBox:
    def __init__(self, widget):
        self.widget = widget

    def connect(self, changed):
        def slot(checked):
            changed()

        self.widget.toggled.connect(slot)
        return lambda: self.widget.toggled.disconnect(slot)

    def read(self):
        return self.widget.isChecked()

    def write(self, value):
        self.widget.setChecked(value)


class _Slider:
    def __init__(self, widget, limits):
        self.widget = widget
        widget.setRange(limits.minimum, limits.maximum)

    def connect(self, changed):
        def slot(value):
            changed()

        self.widget.valueChanged.connect(slot)
        return lambda: self.widget.valueChanged.disconnect(slot)

    def read(self):
        return self.widget.property("value")

    def write(self, value):
        self.widget.setValue(value)


def _connector(widget, parameter):
    kind = parameter.kind
    if type(widget).__name__ in ("QSlider", "QSpinBox") and kind is int:
        return _Slider(widget, parameter.range)
    if type(widget).__name__ == "QCheckBox" and kind is bool:
        return _CheckBox(widget)
    if type(widget).__name__ == "QComboBox" and issubclass(kind, enum.Enum):
        return _EnumComboBox(widget, kind)
    if type(widget).__name__ == "qMRMLNodeComboBox" and issubclass(kind, vtk.vtkObject):
        return _NodeSelector(widget, kind)
    raise RuntimeError(f"no connector between {kind} and {type(widget).__name__}")
