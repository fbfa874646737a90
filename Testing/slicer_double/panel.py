"""A running Slicer for a module's panel, as far as stand-ins go: the real scene, PySide6 offscreen.

Named stand-ins: the application, the module manager's part, Qt's PythonQt manners, CTK and MRML widgets, the
scripted module's base classes, the parameter node's wrapper, Sample Data.
"""

import sys
import types
from pathlib import Path

from . import parameter_node_stand_in, qt_stand_in
from .observers import counted_parameter_node

MODULE = Path(__file__).parents[2] / "scripted_modules" / "NeckFrac"


class StandInLayoutManager:
    """For qMRMLLayoutManager: slice views with the real displayable manager that changes window and level.

    One object stands for the slice widget and for its view, too: the names are few and differ.
    """

    def __init__(self):
        self._names = ("Red", "Yellow", "Green")
        self._managers = {}

    def sliceViewNames(self):
        return self._names

    def sliceWidget(self, name):
        return types.SimpleNamespace(sliceView=lambda: self._view(name))

    def _view(self, name):
        return types.SimpleNamespace(displayableManagerByClassName=lambda kind: self.manager(name, kind))

    def manager(self, name, kind="vtkMRMLScalarBarDisplayableManager"):
        import slicer

        assert name in self._names, name
        return self._managers.setdefault((name, kind), getattr(slicer, kind)())


class StandInPanelApplication:
    """For `slicer.app`. `startup` holds what waits for startupCompleted()."""

    applicationName = "Slicer"
    slicerHome = ""

    def __init__(self, folder):
        self.temporaryPath, self.startup = str(folder), []
        self.views = StandInLayoutManager()

    def layoutManager(self):
        return self.views

    def connect(self, signal, callback):
        assert signal == "startupCompleted()", signal
        self.startup.append(callback)

    def processEvents(self):
        qt_stand_in.application().processEvents()

    def testingEnabled(self):
        return True  # Slicer logs messages instead of showing them then

    def setOverrideCursor(self, cursor):
        qt_stand_in.application().setOverrideCursor(cursor)

    def restoreOverrideCursor(self):
        qt_stand_in.application().restoreOverrideCursor()


class StandInModule:
    """For `ScriptedLoadableModule`."""

    def __init__(self, parent):
        self.parent = parent


class StandInWidget:
    """For `ScriptedLoadableModuleWidget`."""

    def __init__(self, parent=None):
        super().__init__()
        self.parent, self.layout = parent, parent.layout()
        self.moduleName = type(self).__name__.removesuffix("Widget")

    def onReload(self):
        """As Slicer's, without its words on the console: slicer.util's function is the real one."""
        import slicer

        slicer.util.reloadScriptedModule(self.moduleName)

    def resourcePath(self, name):
        return str(MODULE / "Resources" / name)

    def setup(self):
        pass


class StandInLogic:
    """For `ScriptedLoadableModuleLogic`: one parameter node a scene, whose observers are counted."""

    parameterNodes: list = []

    def __init__(self, parent=None):
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self):
        import slicer

        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if not node:
            self.parameterNodes.append(counted_parameter_node()())  # kept, or it would be a plain one to Python
            node = self.parameterNodes[-1]
            node.SetSingletonTag(self.moduleName)
            node.SetAttribute("ModuleName", self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        return node


class StandInSampleData:
    """For `SampleData.SampleDataLogic`; `sources` holds what was registered."""

    sources: list = []

    @classmethod
    def registerCustomSampleDataCategory(cls, category, title):
        pass

    @classmethod
    def registerCustomSampleDataSource(
        cls, category, sampleName, thumbnailFileName, uris, fileNames, nodeNames, checksums
    ):
        source = {"name": sampleName, "uri": uris, "file": fileNames, "checksum": checksums}
        cls.sources.append(source)


def install_panel(monkeypatch, scene, folder):
    """Put the stand-ins in place until the test ends, and forget the module's files that were imported without."""
    import unittest

    import slicer

    qt_stand_in.application()
    application = StandInPanelApplication(folder)
    monkeypatch.setattr(slicer, "mrmlScene", scene, raising=False)
    monkeypatch.setattr(slicer, "app", application, raising=False)
    window = qt_stand_in.PLAIN["QWidget"]()
    monkeypatch.setattr(slicer.util, "mainWindow", lambda verbose=True: window)
    bases = {
        "ScriptedLoadableModule": StandInModule,
        "ScriptedLoadableModuleWidget": StandInWidget,
        "ScriptedLoadableModuleLogic": StandInLogic,
        "ScriptedLoadableModuleTest": unittest.TestCase,
    }
    modules = {
        "qt": qt_stand_in.qt_module(),
        "SampleData": _module("SampleData", SampleDataLogic=StandInSampleData),
        "slicer.i18n": _module("slicer.i18n", tr=lambda text: text, translate=lambda context, text: text),
        "slicer.ScriptedLoadableModule": _module("slicer.ScriptedLoadableModule", **bases),
        "slicer.parameterNodeWrapper": _module(
            "slicer.parameterNodeWrapper",
            parameterNodeWrapper=parameter_node_stand_in.parameterNodeWrapper,
            WithinRange=parameter_node_stand_in.WithinRange,
        ),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    for name in [name for name in sys.modules if name.split(".")[0] in ("NeckFrac", "NeckFracLib")]:
        monkeypatch.delitem(sys.modules, name)
    StandInSampleData.sources.clear()
    return application


def _module(name, **members):
    module = types.ModuleType(name)
    for key, value in members.items():
        setattr(module, key, value)
    return module
