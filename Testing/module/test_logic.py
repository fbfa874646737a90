"""The module's logic on a real MRML scene; the worker's engine is a fake that is named so."""

import importlib
import os
import signal
import sys
import time
import unittest
from pathlib import Path

import numpy as np
import pytest

slicer = pytest.importorskip("slicer")

from neckfrac.output.scene import _add_volume  # noqa: E402
from neckfrac.output.scene_file import HeadlessScene  # noqa: E402
from slicer_double.scene_manners import keep_hierarchy  # noqa: E402
from slicer_double.stand_ins import install  # noqa: E402
from slicer_double.worker import WORKER  # noqa: E402


@pytest.fixture
def world(tmp_path):
    """A scene with a CT, the module's logic, and the folder that Slicer would call temporary."""
    headless = HeadlessScene(tmp_path / "scene")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    leave_hierarchy = keep_hierarchy(headless.scene)
    install(headless.scene, temporary)
    for name in [name for name in sys.modules if name.startswith("NeckFracLib")]:
        del sys.modules[name]
    logic = importlib.import_module("NeckFracLib.logic").NeckFracLogic(workerCommand=WORKER)
    voxels = np.full((30, 40, 50), -1000, np.int16)
    voxels[:, 5:35, 5:45] = 40
    voxels[12:18, 15:25, 20:30] = 900
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[:3, 3] = (-20, -30, 100)
    yield headless.scene, _add_volume(headless.scene, voxels, affine, "ct"), logic, temporary
    logic.close()
    leave_hierarchy()
    headless.close()


def count(scene):
    return scene.GetNumberOfNodes()


def test_apply_fills_the_scene_and_leaves_no_file(world):
    scene, volume, logic, temporary = world
    nodes = logic.process(volume)
    assert nodes.volume is volume
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsROINode") == 1
    # The bright block's middle, LPS (4.5, -10.5, 129), with x and y turned for RAS.
    assert np.allclose(nodes.rois["C4"].GetCenter(), (-4.5, 10.5, 129), atol=0.01)
    assert nodes.segmentation.GetSegmentation().GetNthSegment(0).GetName() == "C4"
    assert list(temporary.iterdir()) == []


def test_t1_and_the_skull_base_come_along_hidden_and_are_shown_on_request(world):
    scene, volume, logic, _ = world
    nodes = logic.process(volume)
    segmentation, display = nodes.segmentation.GetSegmentation(), nodes.segmentation.GetDisplayNode()
    ids = {segmentation.GetNthSegment(n).GetName(): segmentation.GetNthSegmentID(n) for n in range(3)}
    assert list(ids) == ["C4", "T1", "Skull base"]
    anchors = importlib.import_module("NeckFracLib.anchors")
    for shown in (False, True, False):
        anchors.showAnchors(shown)
        assert [bool(display.GetSegmentVisibility(ids[name])) for name in ids] == [True, shown, shown]


def test_killing_the_worker_leaves_the_scene_as_it_was_and_the_next_run_works(world):
    scene, volume, logic, temporary = world
    volume.SetName("slow")
    before = count(scene)
    run = logic.begin(volume)
    while logic.workerPid is None:
        logic.jobs.poll(0.05)
    os.kill(logic.workerPid, signal.SIGKILL)
    while not run.finished:
        logic.jobs.poll(0.1)
    assert run.error is not None and run.nodes is None
    assert count(scene) == before and list(temporary.iterdir()) == []
    volume.SetName("ct")
    assert logic.process(volume).rois


def test_cancel_ends_within_a_second(world):
    scene, volume, logic, temporary = world
    volume.SetName("slow")
    before = count(scene)
    run = logic.begin(volume)
    for _ in range(10):
        logic.jobs.poll(0.05)
    began = time.monotonic()
    logic.cancel()
    while not run.finished:
        logic.jobs.poll(0.05)
    assert time.monotonic() - began < 1
    assert run.error.kind == "cancelled"
    assert count(scene) == before and list(temporary.iterdir()) == []


def test_closing_the_scene_ends_the_run_and_leaves_no_process(world):
    scene, volume, logic, temporary = world
    volume.SetName("slow")
    run = logic.begin(volume)
    while not logic.workerPid:
        logic.jobs.poll(0.05)
    pid = logic.workerPid
    scene.Clear(0)
    assert run.finished and list(temporary.iterdir()) == []
    logic.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_is_no_ct_volume_is_refused_with_the_reason(world):
    scene, volume, logic, _ = world
    transform = scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    volume.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(ValueError, match="Straighten"):
        logic.process(volume)
    with pytest.raises(ValueError, match="Select"):
        logic.process(None)


@pytest.mark.parametrize("views", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_self_test_passes_with_the_trained_networks_on_the_sample_and_not_for_lack_of_views(world, views):
    scene, _, logic, _ = world
    scene.Clear(0)
    if views:
        node = slicer.vtkMRMLSliceNode()
        node.SetSingletonTag("Red")  # as in Slicer: it outlives the scene's closing, with which the self-test begins
        scene.AddNode(node)
    root = Path(__file__).parents[2] / "Resources" / "Models"
    assert (root / "ensemble.json").exists()
    sys.modules.pop("NeckFracLib.self_test", None)
    test = importlib.import_module("NeckFracLib.self_test").NeckFracTest()
    if views:
        try:
            test.runTest()
        except unittest.SkipTest as skipped:  # pytest would take it for a skipped test of its own
            pytest.fail(str(skipped))
    else:
        with pytest.raises(unittest.SkipTest, match="slices go to a finding was not checked"):
            test.runTest()
