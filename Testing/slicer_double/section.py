"""One section of the panel by itself: its real .ui and logic with the worker of the fake engine, on a real scene."""

import importlib
import time

import numpy as np

from . import panel, qt_stand_in
from .scene_manners import keep_hierarchy
from .worker import WORKER


class World:
    """A scene and the stand-ins for a running Slicer; a context manager."""

    def __init__(self, monkeypatch, folder):
        from neckfrac.output.scene_file import HeadlessScene

        monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
        monkeypatch.setenv("NECKFRAC_USER_MODELS", str(folder / "user models"))
        self.headless = HeadlessScene(folder / "scene")
        self.scene, self.temporary = self.headless.scene, folder / "temporary"
        self._leave_hierarchy = keep_hierarchy(self.scene)
        self.temporary.mkdir()
        self.application = panel.install_panel(monkeypatch, self.scene, self.temporary)
        self.sections = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for section in self.sections:
            section.section.cleanup()
            section.logic.close()
        self._leave_hierarchy()
        self.headless.close()

    def add_ct(self, name="ct"):
        from neckfrac.output.scene import _add_volume

        voxels = np.full((30, 40, 50), -1000, np.int16)
        voxels[12:18, 15:25, 20:30] = 900
        return _add_volume(self.scene, voxels, np.diag([1.0, 1.0, 2.0, 1.0]), name)

    def wait_until(self, condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            self.application.processEvents()
            time.sleep(0.005)


class Section:
    """The class `name` of `NeckFracLib.<module>` on its own .ui; section: the object, node: the parameter node."""

    def __init__(self, world, module, name):
        import slicer

        self.world = world
        kind = getattr(importlib.import_module(f"NeckFracLib.{module}"), name)
        self.widget = slicer.util.loadUI(str(panel.MODULE / "Resources" / kind.UI))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.logic = importlib.import_module("NeckFracLib.logic").NeckFracLogic(workerCommand=WORKER)
        self.node = self.logic.getParameterNode()
        self.section = kind(self.ui, self.logic)
        self.section.setParameterNode(self.node)
        self.section.update()
        world.sections.append(self)

    def wait(self, seconds=60):
        """Until the running job has ended."""
        self.world.wait_until(lambda: not self.logic.isRunning, seconds)

    def record(self, label):
        """A function that gives all texts that the label has shown since."""
        shown, before = [], label.setText
        label.setText = lambda text: (shown.append(text), before(text))
        return lambda: shown

    def picture(self, path, width=440, height=520):
        """Write what the section looks like as a PNG."""
        self.widget.resize(width, height)
        self.widget.show()
        qt_stand_in.application().processEvents()
        assert self.widget.grab().save(str(path))
