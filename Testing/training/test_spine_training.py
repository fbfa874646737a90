"""One command trains both networks of the spine: it stops at its time budget and goes on from there."""

import numpy as np
import pytest
from neckfrac.errors import InputError
from neckfrac_lab.training import train as training
from neckfrac_lab.training.export import trained
from neckfrac_lab.training.samples import LOCATE_PATCH, SLAB_SHAPE


@pytest.fixture
def small(monkeypatch):
    """Two samples of each kind made of nothing, and two steps of each network."""
    from dataclasses import replace

    def locate_sample(necks, seed):
        labels = np.zeros(LOCATE_PATCH, np.uint8)
        labels[30:40, 20:40, 20:40] = 1 + seed
        centers = np.array([[1 + seed, 35, 30, 30]], np.float32)
        return {"hu": np.where(labels > 0, 500, 40).astype(np.int16), "labels": labels, "centers": centers}

    def slab_sample(necks, seed):
        labels = np.zeros(SLAB_SHAPE, np.uint8)
        labels[10:40, 60:120, 60:120] = 3
        hu = np.where(labels > 0, 500, 40).astype(np.int16)
        return {"hu": hu, "labels": labels, "fracture": np.zeros_like(labels)}

    monkeypatch.setattr(training, "CACHES", {"locate": locate_sample, "slabs": slab_sample})
    monkeypatch.setattr(training, "SPINE_SAMPLES", {"locate": 2, "slabs": 2})
    monkeypatch.setattr(training, "Necks", lambda **_: None)
    for name in ("locate", "segment"):
        task = training.TASKS[name]
        monkeypatch.setitem(training.TASKS, name, replace(task, schedule=replace(task.schedule, steps=2)))


def test_one_command_simulates_and_trains_both_networks_and_says_when_it_is_done(small, tmp_path):
    assert not training.train_spine(tmp_path, built_in=0, time_budget=0.0)
    assert training.train_spine(tmp_path, built_in=0)
    assert trained(tmp_path) == ["locate", "segment"]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz")}
    assert len(before) == 4
    assert training.train_spine(tmp_path, built_in=0)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz")}


def test_nothing_trained_is_nothing_to_export(tmp_path):
    with pytest.raises(InputError, match="Nothing has been trained"):
        trained(tmp_path)
