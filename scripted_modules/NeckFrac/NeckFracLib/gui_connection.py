"""The tie between a parameter node and the panel's widgets. No Qt by itself."""

from types import SimpleNamespace


class GuiConnection:
    """Connects a wrapped parameter node with the widgets that name a parameter, until `disconnect`.

    wrapper: of the parameter node. uis: objects with widgets as attributes, as `slicer.util.childWidgetVariables`
    gives them; they are connected by one call, since each costs an observer. Slicer 5.10 never removes that observer,
    and with it keeps the wrapper and all widgets; so its tag is noted while the connection is made.
    """

    PROPERTY = "SlicerParameterName"

    def __init__(self, wrapper, *uis):
        widgets = (widget for ui in uis for widget in vars(ui).values())
        named = {widget.name: widget for widget in widgets if widget.property(self.PROPERTY)}
        self._wrapper, self._observers = wrapper, []
        add = wrapper.AddObserver

        def noting(*arguments):
            self._observers.append(add(*arguments))
            return self._observers[-1]

        wrapper.AddObserver = noting
        try:
            self._tag = wrapper.connectGui(SimpleNamespace(**named))
        finally:
            del wrapper.AddObserver

    def disconnect(self):
        """The widgets follow the parameter node no more, nor it the widgets."""
        self._wrapper.disconnectGui(self._tag)
        for observer in self._observers:
            self._wrapper.RemoveObserver(observer)
        self._observers = []
