"""What the module does to a result in the real scene: operating points, reviews and taking them back."""

import importlib
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

slicer = pytest.importorskip("slicer")

from neckfrac.anatomy import LEVEL_NAMES  # noqa: E402
from neckfrac.findings import Box  # noqa: E402
from neckfrac.output.scene import populate_scene  # noqa: E402
from neckfrac.output.scene_file import HeadlessScene  # noqa: E402
from output_case import reviewable  # noqa: E402
from slicer_double.stand_ins import install  # noqa: E402

BOX = Box((0.0, 0.0, 900.0), (10.0, 10.0, 912.0))


@pytest.fixture
def world(tmp_path):
    headless = HeadlessScene(tmp_path / "scene")
    install(headless.scene, tmp_path)
    for name in [name for name in sys.modules if name.startswith("NeckFracLib")]:
        del sys.modules[name]
    results = importlib.import_module("NeckFracLib.results").Results()
    yield headless.scene, populate_scene(headless.scene, reviewable()).volume, results
    headless.close()


def boxes(results, volume):
    nodes, findings = results.of(volume)
    assert set(nodes.rois) == set(findings.boxes())
    return set(nodes.rois)


def test_a_volume_without_a_result_has_none_and_can_not_be_reviewed(world):
    scene, _, results = world
    other = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert results.of(None) is None and results.of(other) is None and results.showAt(other, "specific") is None
    with pytest.raises(ValueError, match="press Apply"):
        results.review(other, "C2", "confirmed")


def test_a_result_that_can_not_be_read_is_none_and_the_panel_goes_on(world):
    scene, volume, results = world
    scene.GetFirstNodeByClass("vtkMRMLTextNode").SetText('{"schema": "9.0"}')
    assert results.of(volume) is None
    scene.GetFirstNodeByClass("vtkMRMLTextNode").SetText("no JSON")
    assert results.of(volume) is None


def test_the_operating_point_is_shown_at_once_and_reviews_stay(world):
    _, volume, results = world
    results.review(volume, "C4", "confirmed")
    results.showAt(volume, "specific")
    assert boxes(results, volume) == {"C2", "C4"}, "C4 is below the threshold, but confirmed"
    results.showAt(volume, "sensitive")
    assert boxes(results, volume) == {"C2", "C3", "C4", "C6"}


def test_what_nobody_saw_can_not_be_confirmed_and_an_added_finding_needs_a_place(world):
    _, volume, results = world
    with pytest.raises(ValueError, match="C7"):
        results.review(volume, "C7", "confirmed")
    with pytest.raises(ValueError, match="needs a box"):
        results.review(volume, "C7", "added")
    assert not results.canUndo


def test_a_box_that_was_moved_is_kept_with_the_finding(world):
    _, volume, results = world
    nodes, _ = results.of(volume)
    results.editBoxes(volume, True)
    assert not nodes.rois["C2"].GetLocked()
    results.moveBox(volume, "C2")
    assert not results.canUndo, "it has not moved"
    center = np.array(nodes.rois["C2"].GetCenter())
    nodes.rois["C2"].SetCenter(*(center + (3, -2, 5)))
    nodes.rois["C2"].SetSize(20, 21, 22)
    findings = results.moveBox(volume, "C2")
    review = findings.review_of("C2")
    assert review.verdict == "confirmed" and np.allclose(review.box.size, (20, 21, 22))
    assert np.allclose(review.box.center * (-1, -1, 1), center + (3, -2, 5))
    results.undo()
    assert np.allclose(results.of(volume)[0].rois["C2"].GetCenter(), center)
    results.redo()
    assert np.allclose(results.of(volume)[0].rois["C2"].GetSize(), (20, 21, 22))


verdicts = st.tuples(st.sampled_from(LEVEL_NAMES[:6]), st.sampled_from(["confirmed", "rejected", "added", None]))


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(verdicts, min_size=1, max_size=6), st.integers(1, 6))
def test_undo_and_redo_go_back_and_forth_through_every_review(world, reviews, back):
    _, volume, results = world
    results.forget()
    states = [results.of(volume)[1].reviews]
    for level, verdict in reviews:
        findings = results.review(volume, level, verdict, box=BOX if verdict == "added" else None)
        if findings.reviews != states[-1]:
            states.append(findings.reviews)
    end = states[-1]
    for _ in range(min(back, len(states) - 1)):
        states.pop()
        assert results.undo().reviews == states[-1]
        assert results.of(volume)[1].reviews == states[-1]
    while results.canRedo:
        last = results.redo()
    assert results.of(volume)[1].reviews == end
    while results.canUndo:
        last = results.undo()
        assert last is not None
    assert results.undo() is None


def test_taking_back_after_the_volume_is_gone_does_nothing(world):
    scene, volume, results = world
    results.review(volume, "C2", "rejected")
    scene.RemoveNode(volume)
    assert results.undo() is None
