"""The developer's button Reload: Slicer's own function, on the panel; what the module manager does is a stand-in."""

import importlib
import sys
import time

import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

import vtk  # noqa: E402
from slicer_double.whole_panel import Panel  # noqa: E402
from slicer_double.worker import there  # noqa: E402


def ours():
    return {name: module for name, module in sys.modules.items() if name.split(".")[0] == "neckfrac"}


@pytest.fixture
def own_engine():
    """The engine is imported anew, too; the other tests get theirs back."""
    before = ours()
    yield
    for name in ours():
        del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture
def world(monkeypatch, tmp_path, own_engine):
    with Panel(monkeypatch, tmp_path) as panel:
        yield panel


@pytest.fixture
def asking(monkeypatch, tmp_path, own_engine):
    with Panel(monkeypatch, tmp_path, asks=True) as panel:
        yield panel


def nothing_is_left_of(widget):
    """Neither timer nor observer; the panel's sections observe by themselves."""
    jobs = widget.logic.jobs
    observing = [widget, jobs, *(section for section in widget.sections if hasattr(section, "Observations"))]
    resting = jobs._timer is None or not jobs._timer.active
    return resting and len(observing) > 2 and all(one.Observations == [] for one in observing)


def test_while_idle_the_worker_goes_the_code_is_new_and_the_result_is_shown_again(world):
    world.add_ct()
    world.open()
    world.run()
    world.ui.resultsTable.setCurrentCell(0, 0)
    world.ui.editBoxesCheckBox.click()  # its section follows the boxes now
    pid, node = world.widget.logic.workerPid, world.node.parameterNode
    engine, rooms = sys.modules["neckfrac.findings"], sys.modules["NeckFracLib.view"]
    old = world.reload()
    assert not there(pid) and nothing_is_left_of(old) and list(world.temporary.iterdir()) == []
    assert world.widget is not old and world.node.parameterNode is node
    assert importlib.import_module("NeckFracLib.view") is not rooms
    assert world.texts(0)[:3] == ["C4", "90.0 %", "50.0 %"]
    assert importlib.import_module("neckfrac.findings") is not engine
    old.ui.statusLabel.setText("old")
    world.run()
    assert world.ui.statusLabel.text.startswith("Done in") and old.ui.statusLabel.text == "old"
    assert world.boxes() == {"C4"}


@pytest.mark.parametrize("kind", ["slow", "deaf"])
def test_during_a_run_it_ends_at_once_and_leaves_nothing(world, kind):
    ct = world.add_ct(kind)
    world.open()
    before = world.scene.GetNumberOfNodes()
    world.ui.applyButton.click()
    world.wait_until(lambda: world.ui.progressBar.value > 0)
    pid, began = world.widget.logic.workerPid, time.monotonic()
    old = world.reload()
    assert time.monotonic() - began < 4, "with the panel made anew"
    assert not there(pid) and nothing_is_left_of(old) and list(world.temporary.iterdir()) == []
    assert world.scene.GetNumberOfNodes() == before and not world.widget.logic.isRunning
    assert world.ui.applyButton.text == "Apply" and world.ui.progressBar.value == 0
    ct.SetName("ct")
    world.run()
    assert world.texts(0)[0] == "C4" and world.boxes() == {"C4"}


def test_while_the_worker_is_asked_for_a_graphics_card_nobody_waits_for_its_answer(asking):
    asking.open()
    asking.wait_until(lambda: asking.widget.logic.workerPid)
    pid = asking.widget.logic.workerPid
    old = asking.reload()
    assert not there(pid) and nothing_is_left_of(old) and old.logic.jobs._questions == {}
    asking.wait_until(lambda: asking.widget.logic.workerPid)
    assert asking.widget.logic.workerPid != pid, "the new panel asks its own"


def test_after_reload_and_cleanup_nobody_observes_the_parameter_node(world):
    world.add_ct()
    world.open()
    node = world.node.parameterNode
    assert node.HasObserver(vtk.vtkCommand.ModifiedEvent)
    world.reload()
    world.widget.cleanup()
    assert not node.HasObserver(vtk.vtkCommand.ModifiedEvent)


def test_a_batch_is_stopped_and_its_unfinished_study_is_removed(world, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    source = tmp_path / "in"
    source.mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(slicer.util.arrayFromVolume(world.add_ct())), str(source / "slow.nrrd"))
    world.open()
    world.ui.batchInputPathLineEdit.currentPath = str(source)
    world.ui.batchResultsPathLineEdit.currentPath = str(tmp_path / "out")
    world.ui.batchStartButton.click()
    world.wait_until(lambda: world.ui.batchProgressBar.value > 0)
    pid = world.widget.logic.workerPid
    old = world.reload()
    assert not there(pid) and nothing_is_left_of(old) and list(world.temporary.iterdir()) == []
    assert {path.suffix for path in (tmp_path / "out").iterdir()} <= {".csv", ".json"}
