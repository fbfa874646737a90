"""The module's logic on a real MRML scene; the worker's engine is a fake that is named so."""

import importlib
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

slicer = pytest.importorskip("slicer")

from neckfrac.output.scene import _add_volume  # noqa: E402
from neckfrac.output.scene_file import HeadlessScene  # noqa: E402
from slicer_double.stand_ins import install  # noqa: E402

FAKE = """
import time
import numpy as np
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.findings import Analysis, Box, Findings, VertebraFinding
from neckfrac.worker import main

class FakeEngine:
    "Stands in for the networks: calls a fracture of C4 where the voxels are brightest."
    def analyze(self, study, *, operating_point, progress):
        with progress.stage("Pretending", until=1.0):
            for n in range(1000 if "slow" in study.identity.source else 1):
                time.sleep(0.01)
                progress.step(n / 1000)
        labels = np.zeros(study.volume.shape, np.uint8)
        labels[study.volume.voxels > 500] = 4
        center = study.volume.to_points(np.argwhere(labels == 4).mean(axis=0))
        box = Box(tuple(center - 5), tuple(center + 5))
        levels = [VertebraFinding(name, "not seen") for name in LEVEL_NAMES]
        levels[3] = VertebraFinding("C4", "positive", 0.9, {}, 0.5, "high", box, tuple(center), 1.0)
        findings = Findings(study.identity, tuple(levels), "positive", 0.9, {}, 0.5, operating_point)
        return Analysis(study.volume, labels, labels * 20, findings)

main(engine_factory=lambda **options: FakeEngine())
"""


@pytest.fixture
def world(tmp_path):
    """A scene with a CT, the module's logic, and the folder that Slicer would call temporary."""
    headless = HeadlessScene(tmp_path / "scene")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    install(headless.scene, temporary)
    for name in [name for name in sys.modules if name.startswith("NeckFracLib")]:
        del sys.modules[name]
    logic = importlib.import_module("NeckFracLib.logic").NeckFracLogic(workerCommand=[sys.executable, "-c", FAKE])
    voxels = np.full((30, 40, 50), -1000, np.int16)
    voxels[:, 5:35, 5:45] = 40
    voxels[12:18, 15:25, 20:30] = 900
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[:3, 3] = (-20, -30, 100)
    yield headless.scene, _add_volume(headless.scene, voxels, affine, "ct"), logic, temporary
    logic.close()
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


def test_killing_the_worker_leaves_the_scene_as_it_was_and_the_next_run_works(world):
    scene, volume, logic, temporary = world
    volume.SetName("slow")
    before = count(scene)
    run = logic._begin(volume, "balanced", "auto", None, None)
    for _ in range(20):
        logic.poll(0.05)
    os.kill(logic.workerPid, signal.SIGKILL)
    while not run.finished:
        logic.poll(0.1)
    assert run.error is not None and run.nodes is None
    assert count(scene) == before and list(temporary.iterdir()) == []
    volume.SetName("ct")
    assert logic.process(volume).rois


def test_cancel_ends_within_a_second(world):
    scene, volume, logic, temporary = world
    volume.SetName("slow")
    before = count(scene)
    run = logic._begin(volume, "balanced", "auto", None, None)
    for _ in range(10):
        logic.poll(0.05)
    began = time.monotonic()
    logic.cancel()
    while not run.finished:
        logic.poll(0.05)
    assert time.monotonic() - began < 1
    assert run.error.kind == "cancelled"
    assert count(scene) == before and list(temporary.iterdir()) == []


def test_closing_the_scene_ends_the_run_and_leaves_no_process(world):
    scene, volume, logic, temporary = world
    volume.SetName("slow")
    run = logic._begin(volume, "balanced", "auto", None, None)
    pid = logic.workerPid
    scene.Clear(0)
    assert run.finished and list(temporary.iterdir()) == []
    logic.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_is_no_ct_volume_is_refused_with_the_reason(world):
    scene, volume, logic, _ = world
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    volume.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(ValueError, match="harden"):
        logic.process(volume)
    with pytest.raises(ValueError, match="Select"):
        logic.process(None)


def test_the_self_test_passes_with_the_trained_networks_on_the_sample(world):
    scene, _, logic, _ = world
    scene.Clear(0)
    root = Path(__file__).parents[2] / "Resources" / "Models"
    assert (root / "ensemble.json").exists()
    sys.modules.pop("NeckFracLib.self_test", None)
    test = importlib.import_module("NeckFracLib.self_test").NeckFracTest()
    test.runTest()
