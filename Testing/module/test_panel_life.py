"""From the panel's first moment to its last: what it starts, what it observes, and that all of it ends."""

import importlib

import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from slicer_double.observers import count_observers  # noqa: E402
from slicer_double.whole_panel import Panel  # noqa: E402


@pytest.fixture
def world(monkeypatch, tmp_path):
    with Panel(monkeypatch, tmp_path) as panel:
        yield panel


@pytest.fixture
def asking(monkeypatch, tmp_path):
    with Panel(monkeypatch, tmp_path, asks=True) as panel:
        yield panel


def counts(world):
    """The observers of the parameter node and of the scene."""
    return count_observers(world.node.parameterNode), count_observers(world.scene)


def test_entering_leaving_and_entering_again_adds_no_observer(world):
    world.add_ct()
    world.open()
    entered = counts(world)
    world.exit()
    left = counts(world)
    for _ in range(3):
        world.enter()
        assert counts(world) == entered
        world.exit()
        assert counts(world) == left
    assert left[0] == entered[0] - 1, "a panel that is not shown does not look at each change"


def test_the_widgets_cost_one_observer_and_are_let_go_although_slicer_5_10_keeps_it(world):
    world.add_ct()
    world.setup()
    node = world.widget.logic.getParameterNode().parameterNode
    before = count_observers(node)
    world.enter()
    assert count_observers(node) == before + 2, "the widgets' and the panel's own"
    world.widget.cleanup()
    assert count_observers(node) == before


def test_closing_scenes_adds_no_observer_and_the_panel_shows_the_defaults(world):
    kinds = importlib.import_module("NeckFracLib.parameter_node")
    world.add_ct()
    world.open()
    before = counts(world)
    for _ in range(3):
        world.node.operatingPoint = kinds.OperatingPoint.specific
        world.scene.Clear(0)
        assert counts(world) == before
        assert world.ui.operatingPointComboBox.currentIndex == 1 and world.ui.keepMinutesSpinBox.value == 15


def test_a_scene_that_is_closed_while_another_module_is_open_is_followed_from_the_next_visit_on(world):
    kinds = importlib.import_module("NeckFracLib.parameter_node")
    world.add_ct()
    world.open()
    before = counts(world)
    world.node.device = kinds.Device.cuda
    world.exit()
    world.scene.Clear(0)
    other = world.add_ct("other")
    world.enter()
    assert world.ui.inputSelector.currentNode() is other and world.ui.deviceComboBox.currentIndex == 0
    assert counts(world) == before


def test_a_panel_that_nobody_has_opened_starts_no_process_and_asks_nothing(asking):
    asking.add_ct()
    asking.setup()
    asking.application.processEvents()
    jobs = asking.widget.logic.jobs
    assert not jobs.hasWorker and jobs._questions == {}
    asking.enter()
    assert jobs.hasWorker and len(jobs._questions) == 1
    asking.exit()
    asking.enter()
    assert len(jobs._questions) == 1, "the device is asked once"
    asking.wait_until(lambda: asking.ui.deviceFoundLabel.text)


def test_a_worker_that_has_ended_for_being_idle_comes_back_when_the_module_is_opened(asking):
    asking.add_ct()
    asking.open()
    asking.wait_until(lambda: asking.ui.deviceFoundLabel.text)
    jobs = asking.widget.logic.jobs
    jobs.setIdleMinutes(0.2 / 60)
    asking.exit()
    asking.wait_until(lambda: not jobs.hasWorker)
    asking.node.keepMinutes = 20
    asking.enter()
    assert jobs.hasWorker and jobs._idleMinutes == 20
    asking.run()
    assert asking.texts(0)[0] == "C4"


def test_the_timer_is_made_once_and_rests_when_nothing_runs(world):
    world.add_ct()
    world.open()
    world.run()
    timer = world.widget.logic.jobs._timer
    assert timer is not None and not timer.active
    world.run()
    assert world.widget.logic.jobs._timer is timer and not timer.active


def test_the_charts_colors_are_the_palettes_not_those_of_freed_memory(world, monkeypatch):
    world.add_ct()
    world.open()
    chart, told = importlib.import_module("NeckFracLib.results_chart"), []
    paint = chart.paint
    monkeypatch.setattr(chart, "paint", lambda *how: told.append(how[3].name()) or paint(*how))
    world.run()
    assert told and "#ff00ff" not in told


def test_the_chart_follows_the_width_of_the_table(world):
    world.add_ct()
    world.open()
    world.run()
    parent = world.widget.parent
    parent.resize(460, 900)
    parent.show()
    world.application.processEvents()
    for width in (520, 430):
        parent.resize(width, 900)
        world.application.processEvents()
        assert world.ui.chartLabel.pixmap.width() == world.ui.resultsTable.width
