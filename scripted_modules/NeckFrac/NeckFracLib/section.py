"""What the sections of the panel have in common. Uses no Qt by itself."""


class Section:
    """A part of the panel. ui: the widgets of its .ui file by name.

    onChanged(): it began or ended something, so that the rest of the panel looks again; it updates this, too.
    """

    UI = ""  # its file, below Resources
    COMMAND = None  # of the worker's job that it starts, if any

    def __init__(self, ui, logic, onChanged=None):
        self.ui, self.logic = ui, logic
        self._onChanged = onChanged or self.update
        self._parameterNode = None

    def setParameterNode(self, parameterNode):
        """The parameter node to follow; None while the scene is being closed."""
        self._parameterNode = parameterNode

    def cleanup(self):
        """The panel goes; jobs end with the logic."""
        self._parameterNode = None

    @property
    def isRunning(self):
        """Whether this section's job is the one that runs."""
        return self.COMMAND is not None and self.logic.jobs.command == self.COMMAND

    @property
    def _volume(self):
        return self._parameterNode.inputVolume if self._parameterNode else None

    def update(self):
        """The parameter node or the scene changed, or a run began or ended."""
        raise NotImplementedError
