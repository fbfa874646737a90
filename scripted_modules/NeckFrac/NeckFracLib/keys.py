"""Keys for reading, in force only while the module is open. Uses Qt."""

import qt
import slicer
from slicer.i18n import tr as _


class ReadingKeys:
    """Shortcuts of the main window, told in the tooltips of the widgets that do the same.

    With Shift: the slice views have the plain letters for themselves. Without a main window there are none.

    actions: by key ("Shift+N"): a widget for whose tooltip it is, what it does in words, and a function.
    """

    def __init__(self, actions):
        self._shortcuts, window = [], slicer.util.mainWindow()
        told = {}
        for key, (widget, words, _function) in actions.items():
            told.setdefault(widget.name, (widget, []))[1].append(f"{key}: {words}")
        for widget, lines in told.values():
            widget.setToolTip("\n".join([widget.toolTip, _("Keys: {keys}").format(keys="; ".join(lines))]))
        if window is None:
            return
        for key, (_widget, _words, function) in actions.items():
            shortcut = qt.QShortcut(window)
            shortcut.setKey(qt.QKeySequence(key))
            shortcut.setEnabled(False)
            shortcut.connect("activated()", function)
            self._shortcuts.append(shortcut)

    def setEnabled(self, enabled):
        """Let the keys work, or not."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(enabled)

    def close(self):
        """Take the keys off the main window."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.setParent(None)
        self._shortcuts = []
