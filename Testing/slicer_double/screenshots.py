"""Draws the README's picture of the panel: ``python -m slicer_double.screenshots FOLDER`` with Testing and
scripted_modules/NeckFrac on the path.

The embedded sample, the real networks in the real worker, the real scene and .ui files. Qt's widgets are PySide6's and
stand-ins for CTK's and MRML's: in Slicer they look a little different, and collapsed sections are closed.
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

        from .stand_ins import _load_volume

        panel.widget.makeLogic = NeckFracLogic
        monkeypatch.setattr(slicer.util, "loadVolume", _load_volume, raising=False)
        volume = slicer.util.loadVolume(str(samplePath()))
        volume.SetName(NODE_NAME)
        panel.add_slices()
        panel.open()
        panel.run()
        panel.ui.resultsTable.setCurrentCell(0, 0)
        for name in ("inspect", "export", "batch", "models"):  # closed, as the panel opens in Slicer
            for part in (panel.widget.ui.sections.findChildren(type(panel.ui.resultsCollapsibleButton))):
                if part.objectName.startswith(name):
                    part.hide()
        panel.picture(folder / "panel.png", 460, 1040)
    return folder / "panel.png"


if __name__ == "__main__":
    print(draw(Path(sys.argv[1])))
