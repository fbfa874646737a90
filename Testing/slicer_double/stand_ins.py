"""Stand-ins for what slicer-core from PyPI lacks of a running Slicer; everything of MRML is the real thing.

`install(scene, folder)` puts them into the real `slicer` module: the application object, translation, the
scripted module's base classes and the parameter node's decorator. They do nothing of their own, so they prove
our logic, not PythonQt, not Slicer's widgets and not the real parameter node.
"""

import sys
import types
import unittest
from pathlib import Path


class StandInApplication:
    """For `slicer.app`: only what the logic asks of it."""

    def __init__(self, folder: Path) -> None:
        self.temporaryPath, self.slicerHome = str(folder), ""

    def processEvents(self) -> None:
        pass


class StandInLogicBase:
    """For `ScriptedLoadableModuleLogic`."""

    def __init__(self, parent=None) -> None:
        pass


class StandInTestBase(unittest.TestCase):
    """For `ScriptedLoadableModuleTest`."""

    def delayDisplay(self, message: str) -> None:
        print(message)


def _load_volume(path: str):
    """For `slicer.util.loadVolume`, which needs the application: our own reader and scene writer."""
    import slicer
    from neckfrac.intake.study import read_study
    from neckfrac.output import scene

    volume = read_study(path).volume
    return scene._add_volume(slicer.mrmlScene, volume.voxels, volume.affine, Path(path).stem)


def install(scene, folder: Path) -> None:
    """Make the module's files importable and give them `scene` and `folder` as Slicer would."""
    import slicer

    slicer.mrmlScene, slicer.app = scene, StandInApplication(folder)
    translation = types.ModuleType("slicer.i18n")
    translation.tr = lambda text: text
    translation.translate = lambda context, text: text
    scripted = types.ModuleType("slicer.ScriptedLoadableModule")
    for name, base in (("Logic", StandInLogicBase), ("Widget", StandInLogicBase), ("", StandInLogicBase)):
        setattr(scripted, f"ScriptedLoadableModule{name}", base)
    scripted.ScriptedLoadableModuleTest = StandInTestBase
    wrapper = types.ModuleType("slicer.parameterNodeWrapper")
    wrapper.parameterNodeWrapper, wrapper.WithinRange = lambda cls: cls, lambda minimum, maximum: None
    for module in (translation, scripted, wrapper):
        sys.modules[module.__name__] = module
    slicer.util.loadVolume = _load_volume
