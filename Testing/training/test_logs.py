"""Curves for TensorBoard where it is installed; without it a training says so only when it was asked."""

import sys

import pytest
from neckfrac.progress import Progress
from neckfrac_lab.training.logs import curves, in_a_line


def test_curves_go_on_at_the_step_where_the_training_was_resumed(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (the extra 'train')")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with curves(tmp_path, 0, asked=True, progress=Progress()) as log:
        for step in (50, 100, 150):
            log(step, {"loss": step / 100, "learning rate": 1e-3})
    # The checkpoint was of step 100: what came after it was lost and is drawn anew.
    with curves(tmp_path, 100, asked=True, progress=Progress()) as log:
        for step in (150, 200):
            log(step, {"loss": 7.0, "validation": 2.0})
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [
        (50, 0.5), (100, 1.0), (150, 7.0), (200, 7.0)]  # fmt: skip
    assert [event.step for event in events.Scalars("validation")] == [150, 200]


@pytest.mark.parametrize("asked", [False, True])
def test_without_tensorboard_nothing_is_written_and_only_who_asked_is_told(tmp_path, monkeypatch, asked):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    progress = Progress()
    with curves(tmp_path / "logs", 0, asked=asked, progress=progress) as log:
        log(1, {"loss": 1.0})
    assert not (tmp_path / "logs").exists()
    assert [("neckfrac[train]" in warning) for warning in map(str, progress.warnings)] == [True] * asked


def test_of_several_processes_only_the_first_writes(tmp_path):
    with curves(tmp_path / "logs", 0, asked=True, progress=Progress(), first=False) as log:
        log(1, {"loss": 1.0})
    assert not (tmp_path / "logs").exists()


def test_a_line_says_how_far_a_training_is_and_what_is_kept():
    history = [{"step": 500, "loss": 1.5, "validation": 1.25}, {"step": 550, "loss": 1.0}]
    about = {"step": 550, "schedule": {"steps": 900}, "history": history, "best": {"step": 500, "validation": 1.25}}
    line = in_a_line("model2", about)
    assert line == "model2: step 550 of 900, loss 1.000, held out 1.250, kept: step 500 with 1.250"
    old = {"step": 0, "schedule": {"steps": 900}, "history": []}
    assert in_a_line("model2", old) == "model2: step 0 of 900"
