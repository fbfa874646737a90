"""The worker behind a launcher, as Slicer starts it: whatever ends it, no process and no file is left."""

import importlib
import logging
import sys
import time

import numpy as np
import pytest

slicer = pytest.importorskip("slicer")

from neckfrac.output.scene import _add_volume  # noqa: E402
from neckfrac.output.scene_file import HeadlessScene  # noqa: E402
from slicer_double.launcher import LAUNCHER  # noqa: E402
from slicer_double.scene_manners import keep_hierarchy  # noqa: E402
from slicer_double.stand_ins import install  # noqa: E402
from slicer_double.worker import WORKER, there  # noqa: E402


class World:
    """A scene with a CT and the module's logic on it."""

    def __init__(self, folder):
        self.headless = HeadlessScene(folder / "scene")
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.leave_hierarchy = keep_hierarchy(self.headless.scene)
        install(self.headless.scene, self.temporary)
        for name in [name for name in sys.modules if name.startswith("NeckFracLib")]:
            del sys.modules[name]
        self.runner = importlib.import_module("NeckFracLib.job_runner")
        self.logic = importlib.import_module("NeckFracLib.logic").NeckFracLogic(workerCommand=WORKER)
        voxels = np.full((30, 40, 50), -1000, np.int16)
        voxels[12:18, 15:25, 20:30] = 900
        self.volume = _add_volume(self.headless.scene, voxels, np.diag([1.0, 1.0, 2.0, 1.0]), "ct")

    def begin(self, kind):
        """A run on a CT of that kind, its worker ready; `fractions` holds how far it is."""
        self.volume.SetName(kind)
        self.fractions = []
        run = self.logic.begin(self.volume, onProgress=lambda stage, fraction: self.fractions.append(fraction))
        self.until(lambda: self.logic.workerPid)
        return run

    def until(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            self.logic.jobs.poll(0.02)


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.logic.close()
    world.leave_hierarchy()
    world.headless.close()


def test_a_worker_that_does_not_listen_is_gone_when_its_run_ends_not_only_its_launcher(world):
    run = world.begin("deaf")
    world.until(lambda: max(world.fractions, default=0) > 0)
    pid = world.logic.workerPid
    world.logic.cancel()
    world.until(lambda: run.finished)
    assert run.error.kind == "cancelled" and not there(pid)
    assert list(world.temporary.iterdir()) == []


def test_a_worker_that_is_stopped_before_it_is_ready_leaves_no_process(world, tmp_path):
    client = importlib.import_module("NeckFracLib.worker_client")
    mark = tmp_path / "pid"
    slow = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    worker = client.WorkerClient([*LAUNCHER, sys.executable, "-S", "-c", slow])
    worker.start()
    end = time.monotonic() + 20
    while not (mark.exists() and mark.read_text()):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert worker.isRunning and worker.pid is None
    assert worker.stop(0.1)
    end = time.monotonic() + 5  # its parent has ended too: the system takes it away when it comes to it
    while there(int(mark.read_text())) and time.monotonic() < end:
        time.sleep(0.01)
    assert not there(int(mark.read_text()))


@pytest.mark.parametrize(("kind", "told", "words"), [("killed", "memory", "memory"), ("broken", "stopped", "status 1")])
def test_a_launchers_status_1_means_lack_of_memory_unless_python_says_why(world, caplog, kind, told, words):
    with caplog.at_level(logging.ERROR):
        run = world.begin(kind)
        world.until(lambda: run.finished)
    assert run.error.kind == told and words in str(run.error)
    assert ("no luck" in caplog.text) == (kind == "broken")
    assert world.logic.workerPid is None


def test_an_error_of_an_earlier_job_is_not_taken_for_the_reason_of_a_later_crash(world):
    run = world.begin("internal")
    world.until(lambda: run.finished)
    assert run.error.kind == "internal"
    run = world.begin("killed")
    world.until(lambda: run.finished)
    assert run.error.kind == "memory"


def test_files_that_can_not_be_removed_at_once_are_removed_later_and_that_is_told(world, monkeypatch):
    told, locked = [], [True]
    remove = world.runner.shutil.rmtree
    monkeypatch.setattr(world.runner, "SECONDS_TO_REMOVE", 0.2)
    monkeypatch.setattr(world.runner.shutil, "rmtree", lambda path, **how: None if locked[0] else remove(path, **how))
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, **_: told.append(text))
    run = world.begin("ct")
    world.until(lambda: run.finished)
    assert run.error is None and run.folder in told[0] and "delete" in told[0]
    locked[0] = False
    world.logic.close()
    assert list(world.temporary.iterdir()) == []


def test_a_file_that_is_in_use_for_a_moment_is_removed_without_a_word(world, monkeypatch):
    told, tries = [], []
    remove = world.runner.shutil.rmtree
    monkeypatch.setattr(
        world.runner.shutil, "rmtree", lambda path, **how: remove(path, **how) if len(tries) > 2 else tries.append(path)
    )
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, **_: told.append(text))
    run = world.begin("ct")
    world.until(lambda: run.finished)
    assert told == [] and len(tries) == 3 and list(world.temporary.iterdir()) == []


def test_an_idle_worker_ends_by_itself_and_the_next_run_starts_another(world):
    run = world.begin("ct")
    world.until(lambda: run.finished)
    pid = world.logic.workerPid
    world.logic.jobs.setIdleMinutes(0.2 / 60)
    world.until(lambda: not world.logic.jobs.hasWorker)
    assert not there(pid)
    world.logic.jobs.setIdleMinutes(15)
    run = world.begin("ct")
    world.until(lambda: run.finished)
    assert run.error is None and world.logic.workerPid not in (None, pid)


def test_a_request_that_meets_a_worker_that_just_ends_is_sent_to_the_next_one(world):
    run = world.begin("ct")
    world.until(lambda: run.finished)
    pid = world.logic.workerPid
    world.logic.jobs._client.send({"command": "exit"})  # it is still there, and reads nothing any more
    assert world.logic.jobs.hasWorker
    run = world.begin("ct")
    world.until(lambda: run.finished)
    assert run.error is None and world.logic.workerPid not in (None, pid)
