"""What goes wrong while the module works: in every case the scene stays as it was and the next run works."""

import importlib
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

slicer = pytest.importorskip("slicer")

from neckfrac.output.scene import _add_volume  # noqa: E402
from neckfrac.output.scene_file import HeadlessScene  # noqa: E402
from neckfrac.resources import resources_dir  # noqa: E402
from slicer_double.scene_manners import keep_hierarchy  # noqa: E402
from slicer_double.stand_ins import install  # noqa: E402
from slicer_double.worker import WORKER  # noqa: E402

POINTS = 20  # at which a run is interrupted


class World:
    """A scene with a CT, and the module's logic on it."""

    def __init__(self, folder, command=WORKER):
        self.headless = HeadlessScene(folder / "scene")
        self.scene, self.temporary = self.headless.scene, folder / "temporary"
        self.temporary.mkdir()
        self.leave_hierarchy = keep_hierarchy(self.scene)
        install(self.scene, self.temporary)
        for name in [name for name in sys.modules if name.startswith("NeckFracLib")]:
            del sys.modules[name]
        self.module = importlib.import_module("NeckFracLib.logic")
        self.logic = self.module.NeckFracLogic(workerCommand=command)
        voxels = np.full((30, 40, 50), -1000, np.int16)
        voxels[:, 5:35, 5:45] = 40
        voxels[12:18, 15:25, 20:30] = 900
        self.volume = _add_volume(self.scene, voxels, np.diag([1.0, 1.0, 2.0, 1.0]), "ct")

    def close(self):
        self.logic.close()
        self.leave_hierarchy()
        self.headless.close()

    def content(self):
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(self.scene)
        ids = {self.scene.GetNthNode(n).GetID() for n in range(self.scene.GetNumberOfNodes())}
        return ids, hierarchy.GetNumberOfItems(), sorted(path.name for path in self.temporary.iterdir())

    def failed(self, kind="ct"):
        """The error of a run on a CT of that kind; the scene must be as it was before, and no file be left."""
        self.volume.SetName(kind)
        before = self.content()
        with pytest.raises(self.module.JobError) as caught:
            self.logic.process(self.volume)
        assert self.content() == before
        return caught.value

    def works(self):
        self.volume.SetName("ct")
        return bool(self.logic.process(self.volume).rois) and self.content()[2] == []


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    # What any first node of a kind brings along once is no part of a result.
    assert world.works()
    yield world
    world.close()


@pytest.mark.parametrize("part", range(4))
def test_a_worker_that_is_killed_at_any_point_of_a_run_leaves_the_scene_and_the_next_run_works(world, part):
    for point in range(part, POINTS, 4):
        world.volume.SetName("steady")
        before, told = world.content()[:2], []
        run = world.logic.begin(world.volume, onProgress=lambda *step, told=told: told.append(step))
        # The first point is before any progress.
        while (len(told) < point or not world.logic.workerPid) and not run.finished:
            world.logic.jobs.poll(0.01)
        os.kill(world.logic.workerPid, signal.SIGKILL)
        while not run.finished:
            world.logic.jobs.poll(0.05)
        assert run.error.kind == "memory" and "memory" in str(run.error) and run.nodes is None
        assert world.content() == (*before, [])
    assert world.works()


@pytest.mark.parametrize(("kind", "told"), [("memory", "memory"), ("internal", "internal"), ("full", "input")])
def test_what_the_engine_can_not_do_is_told_by_its_kind(world, kind, told):
    error = world.failed(kind)
    assert error.kind == told
    if kind == "full":
        assert "can't be written" in str(error)
        world.logic.close()  # its process may write no large file any more
    assert world.works()


def test_a_full_disk_before_the_run_is_told_and_leaves_no_file(world, monkeypatch):
    def full(path, array, **_):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    before = world.content()
    monkeypatch.setattr(importlib.import_module("NeckFracLib.hand_over").np, "save", full)
    with pytest.raises(OSError, match="No space"):
        world.logic.process(world.volume)
    assert world.content() == before and not world.logic.isRunning
    monkeypatch.undo()
    assert world.works()


def test_two_runs_at_once_are_refused_and_the_first_goes_on(world):
    run = world.logic.begin(world.volume)
    with pytest.raises(RuntimeError, match="running already"):
        world.logic.begin(world.volume)
    world.logic.jobs.wait(run)
    assert run.error is None and run.nodes.rois


@pytest.mark.parametrize("which", ["volume", "segmentation"])
def test_a_node_that_is_deleted_while_it_is_analyzed_ends_the_run_with_a_word(world, which):
    segmentation = world.scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    run = world.logic.begin(world.volume, segmentationNode=segmentation if which == "segmentation" else None)
    world.scene.RemoveNode(world.volume if which == "volume" else segmentation)
    before = world.content()[0]
    while not run.finished:
        world.logic.jobs.poll(0.05)
    assert run.error.kind == "scene" and "removed" in str(run.error)
    assert world.content()[0] == before and world.content()[2] == []


def test_the_volumes_voxels_may_go_while_it_is_analyzed(world):
    run = world.logic.begin(world.volume)
    world.volume.SetAndObserveImageData(None)
    while not run.finished:
        world.logic.jobs.poll(0.05)
    assert run.error is None or run.error.kind == "scene"
    assert world.content()[2] == []


def test_a_network_that_was_changed_on_disk_is_named_and_nothing_is_analyzed(tmp_path, monkeypatch):
    resources = tmp_path / "resources"
    shutil.copytree(resources_dir() / "Models", resources / "Models")
    weights = resources / "Models" / "neckfrac-segment" / "models" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 255
    weights.write_bytes(bytes(content))
    monkeypatch.setenv("NECKFRAC_RESOURCES", str(resources))
    world = World(tmp_path, command=None)  # the real engine
    try:
        before = world.content()
        with pytest.raises(world.module.JobError) as caught:
            world.logic.process(world.volume, device="cpu")
        assert caught.value.kind == "input" and "neckfrac-segment" in str(caught.value)
        assert world.content() == before
    finally:
        world.close()


def test_no_process_is_left_when_the_logic_closes_in_the_middle_of_a_run(world):
    world.volume.SetName("slow")
    run = world.logic.begin(world.volume)
    while not world.logic.workerPid:
        world.logic.jobs.poll(0.05)
    pid = world.logic.workerPid
    world.logic.close()
    assert run.finished and world.content()[2] == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
