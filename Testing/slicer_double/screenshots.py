"""Draws the README's pictures: ``python -m slicer_double.screenshots FOLDER`` with Testing, NeckFracExtension and
scripted_modules/NeckFrac on the path.

The embedded sample, the real networks in the real worker, the real scene and .ui files. The slices and the 3D view are
Slicer's own slice logics and displayable managers. Qt's widgets are PySide6's and stand-ins for CTK's and MRML's, which
draw titles and the chosen nodes: in Slicer they look a little different, and the picture says so.
"""

import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from .whole_panel import Panel

WIDTH, HEIGHT = 400, 1040  # of the panel: as narrow as it must do; it gets as high as its content
SMALL = 240  # pixels of the three views in the right column; the axial one is as high as these
SAID = "Drawn with stand-ins for Slicer's own widgets"


def draw(folder: Path, operating_point: str = "sensitive") -> list[Path]:
    """panel.png and slices.png in `folder`, after a run on the embedded sample."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    with ExitStack() as stack:
        monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
        temporary = stack.enter_context(tempfile.TemporaryDirectory())
        panel = stack.enter_context(Panel(monkeypatch, Path(temporary), asks=True))
        import slicer
        from NeckFracLib.logic import NeckFracLogic
        from NeckFracLib.sample_data import NODE_NAME, samplePath

        from . import views
        from .qt_stand_in import ctkCollapsibleButton
        from .stand_ins import _load_volume

        views.prepare(panel.headless)
        panel.widget.makeLogic = NeckFracLogic
        monkeypatch.setattr(slicer.util, "loadVolume", _load_volume, raising=False)
        volume = slicer.util.loadVolume(str(samplePath()))
        volume.SetName(NODE_NAME)
        volume.CreateDefaultDisplayNodes()
        # In Slicer the module Colors has made it.
        grey = panel.scene.AddNewNodeByClass("vtkMRMLColorTableNode", "Grey")
        grey.SetTypeToGrey()
        volume.GetScalarVolumeDisplayNode().SetAndObserveColorNodeID(grey.GetID())
        sizes = ((3 * SMALL, 3 * SMALL), (SMALL, SMALL), (SMALL, SMALL))
        application = panel.headless.application
        slices = [views.SliceView(application, *one) for one in zip(panel.add_slices(), sizes, strict=True)]
        body = views.ThreeDView(application, panel.scene, (SMALL, SMALL))
        monkeypatch.setattr(ctkCollapsibleButton, "_draws", True)  # closed parts show their titles only, as in Slicer
        panel.open()
        for part in panel.widget.parent.findChildren(ctkCollapsibleButton):
            part.collapsed = part.collapsed
        points = [point.value for point in type(panel.node.operatingPoint)]
        panel.ui.operatingPointComboBox.setCurrentIndex(points.index(operating_point))
        panel.run()
        for view, size in zip(slices, (120, 160, 160), strict=True):
            view.show(size)
        center = _center(panel)
        body.look(center, (-1, 0.8, 0.25), 400)
        axial, sagittal, coronal, surfaces = (view.picture() for view in (*slices, body))
        _save(np.hstack([axial, np.vstack([sagittal, coronal, surfaces])]), folder / "slices.png")
        panel.picture(folder / "panel.png", WIDTH, HEIGHT, caption=SAID)
        for view in (*slices, body):
            view.close()
    return [folder / "panel.png", folder / "slices.png"]


def _center(panel):
    """Where the slices stand (RAS, mm)."""
    axial, sagittal, coronal = (panel.scene.GetNthNodeByClass(n, "vtkMRMLSliceNode").GetSliceToRAS() for n in range(3))
    return sagittal.GetElement(0, 3), coronal.GetElement(1, 3), axial.GetElement(2, 3)


def _save(pixels, path):
    """Write uint8 [row, column, RGB] as a PNG."""
    from PySide6 import QtGui

    height, width, _ = pixels.shape
    image = QtGui.QImage(pixels.tobytes(), width, height, 3 * width, QtGui.QImage.Format.Format_RGB888)
    assert image.save(str(path), quality=0)  # the smallest


if __name__ == "__main__":
    print(*draw(Path(sys.argv[1])), sep="\n")
