"""The whole panel of the module on a real scene: real .ui files, logic and worker process, with the fake engine."""

import importlib
from types import SimpleNamespace

import numpy as np
from PySide6 import QtCore, QtGui

from . import qt_stand_in
from .panel import MODULE
from .section import World
from .worker import WORKER


class Panel(World):
    """A scene with the panel on it. ui: the widgets of the frame and of all sections by name.

    asks: whether the panel asks its worker for a graphics card, for which that loads PyTorch: some seconds a test.
    """

    def __init__(self, monkeypatch, folder, asks=False):
        super().__init__(monkeypatch, folder)
        self.missing, self._asks = [], asks
        self._monkeypatch, self._parent = monkeypatch, qt_stand_in.qSlicerAbstractModuleWidget()
        self._parent.setLayout(qt_stand_in.QtWidgets.QVBoxLayout())
        self._make()

    def _make(self):
        module = importlib.import_module("NeckFracLib.widget")
        self._monkeypatch.setattr(module.install, "missingPackages", lambda: list(self.missing))
        self.widget = module.NeckFracWidget(self._parent)
        self.widget.makeLogic = lambda: module.NeckFracLogic(workerCommand=WORKER)
        if not self._asks:
            self.widget._askForDevice = lambda: None

    def __exit__(self, *_):
        self.widget.cleanup()
        super().__exit__()

    def open(self):
        """As Slicer does it when the user selects the module: first `setup`, then, apart from it, `enter`."""
        self.setup()
        self.enter()
        return self.widget

    def enter(self):
        self._parent.isEntered = True
        self.widget.enter()

    def exit(self):
        self._parent.isEntered = False
        self.widget.exit()

    def setup(self):
        self.widget.setup()
        self.ui = SimpleNamespace(**vars(self.widget.ui))
        for section in self.widget.sections:
            vars(self.ui).update(vars(section.ui))
        return self.widget

    def reload(self):
        """Press the developer's button Reload: the panel's next widget takes the place of this one, which is given."""
        import slicer

        before = self.widget
        # What the module manager and qSlicerScriptedLoadableModuleWidget do for slicer.util.reloadScriptedModule.
        self._parent.reload = lambda: (self._make(), self.setup())
        module = SimpleNamespace(path=str(MODULE / "NeckFrac.py"), widgetRepresentation=lambda: self._parent)
        modules = SimpleNamespace(neckfrac=module, NeckFracWidget=before)
        self._monkeypatch.setattr(slicer, "modules", modules, raising=False)
        before.onReload()
        return before

    @property
    def node(self):
        """The parameter node."""
        return self.widget.logic.getParameterNode()

    def add_ct(self, name="ct"):
        """A CT with a bright block; its middle is at (4.5, -10.5, 129) mm in LPS."""
        from neckfrac.output.scene import _add_volume

        voxels = np.full((30, 40, 50), -1000, np.int16)
        voxels[:, 5:35, 5:45] = 40
        voxels[12:18, 15:25, 20:30] = 900
        affine = np.diag([1.0, 1.0, 2.0, 1.0])
        affine[:3, 3] = (-20, -30, 100)
        return _add_volume(self.scene, voxels, affine, name)

    def add_slices(self):
        """Slice nodes as a running Slicer has them: axial, sagittal, coronal."""
        import slicer

        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene)
        nodes = [self.scene.AddNewNodeByClass("vtkMRMLSliceNode") for _ in range(3)]
        for node, orientation in zip(nodes, ("Axial", "Sagittal", "Coronal"), strict=True):
            node.SetOrientation(orientation)
        return nodes

    def run(self):
        self.ui.applyButton.click()
        self.wait_until(lambda: not self.widget.logic.isRunning)

    def row(self, level):
        """Which row of the results shows a level."""
        return next(n for n in range(self.ui.resultsTable.rowCount) if self.texts(n)[0].split()[0] == level)

    def texts(self, row):
        """The texts of a row of the results; a bar's is its format."""
        table = self.ui.resultsTable
        bars = [table.cellWidget(row, column) for column in range(table.columnCount)]
        return [bar.format if bar else table.item(row, n).text() for n, bar in enumerate(bars)]

    def boxes(self):
        """The levels that have a ROI in the scene."""
        count = self.scene.GetNumberOfNodesByClass("vtkMRMLMarkupsROINode")
        nodes = (self.scene.GetNthNodeByClass(n, "vtkMRMLMarkupsROINode") for n in range(count))
        return {node.GetAttribute("NeckFrac.Level") for node in nodes}

    def picture(self, path, width=460, height=1100, caption=""):
        """Write what the panel looks like as a PNG. caption: small text at its lower edge."""
        # As high as wrapped texts make it: Slicer's panel scrolls, and never squeezes.
        self.widget.parent.resize(width, max(height, self.widget.parent.layout().heightForWidth(width)))
        self.widget.parent.show()
        for _ in range(5):  # a table looks for its scroll bars, and the chart for the table's width, by timers
            self.application.processEvents()
        picture = self.widget.parent.grab()
        if caption:
            painter = QtGui.QPainter(picture)
            painter.setPen(QtGui.QColor("#606060"))
            space = picture.rect().adjusted(0, 0, 0, -6)
            painter.drawText(space, QtCore.Qt.AlignmentFlag.AlignHCenter | QtCore.Qt.AlignmentFlag.AlignBottom, caption)
            painter.end()
        assert picture.save(str(path))
