"""Draws the README's picture of the panel: ``python -m slicer_double.screenshots FOLDER`` with Testing and
scripted_modules/NeckFrac on the path.

The embedded sample, the real networks in the real worker, the real scene and .ui files. Qt's widgets are PySide6's and
stand-ins for CTK's and MRML's, which draw titles and the chosen nodes: in Slicer they look a little different.
"""

import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from .whole_panel import Panel


def draw(folder: Path) -> Path:
    """panel.png in `folder`, after a run on the embedded sample."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    with ExitStack() as stack:
        monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
        temporary = stack.enter_context(tempfile.TemporaryDirectory())
        panel = stack.enter_context(Panel(monkeypatch, Path(temporary), asks=True))
        import slicer
        from NeckFracLib.logic import NeckFracLogic
        from NeckFracLib.sample_data import NODE_NAME, samplePath

        from .qt_stand_in import ctkCollapsibleButton
        from .stand_ins import _load_volume

        panel.widget.makeLogic = NeckFracLogic
        monkeypatch.setattr(slicer.util, "loadVolume", _load_volume, raising=False)
        volume = slicer.util.loadVolume(str(samplePath()))
        volume.SetName(NODE_NAME)
        panel.add_slices()
        monkeypatch.setattr(ctkCollapsibleButton, "_draws", True)  # closed parts show their titles only, as in Slicer
        panel.open()
        panel.run()
        for part in panel.widget.parent.findChildren(ctkCollapsibleButton):
            part.collapsed = part.collapsed
        panel.picture(folder / "panel.png", 460, 1040)
    return folder / "panel.png"


if __name__ == "__main__":
    print(draw(Path(sys.argv[1])))
