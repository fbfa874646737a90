"""Trainings are measured on people held out, keep the weights that measured best, and may end early."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from neckfrac.bundles.bundle import load_bundle
from neckfrac.errors import InputError
from neckfrac.progress import Progress
from neckfrac_lab.training import train as training
from neckfrac_lab.training.cache import TENTH, SampleCache, Split
from neckfrac_lab.training.checkpoint import learned, read_about
from neckfrac_lab.training.export import export, how_far, trained
from neckfrac_lab.training.loop import Schedule, Trainer
from neckfrac_lab.training.task import WeightInitialisation
from neckfrac_lab.training.tasks import TASKS
from neckfrac_lab.training.three_planes import plane_batches
from neckfrac_lab.training.validation import BATCHES, Validation
from safetensors.torch import load_file, save_file
from torch import nn
from training_case import vertebra

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
SCHEDULE = Schedule(steps=12, warm_up=2, average=0.5, measure_every=2)


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 1))


def batches(paths=(), generator=None):
    generator = generator or np.random.default_rng(0)
    while True:
        x = torch.from_numpy(generator.standard_normal((16, 6), dtype=np.float32))
        yield {"x": x, "y": x.sum(dim=1, keepdim=True)}


def loss(model, batch):
    return nn.functional.mse_loss(model(batch["x"]).float(), batch["y"])


def paths(*numbers):
    return [Path("cache") / f"{number:08d}.npz" for number in numbers]


class Rigged:
    """Measures the numbers it was given, one after the other, and keeps the weights it was shown."""

    def __init__(self, *values):
        self.values, self.seen = list(values), []

    def __call__(self, model, batch):
        self.seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return torch.tensor(self.values.pop(0))

    def on(self, *numbers, **options):
        return Validation(batches, self, paths(*numbers or (18,)), **options)


@pytest.fixture
def checkpoint(tmp_path):
    return tmp_path / "t.safetensors"


def test_a_measurement_repeats_itself_and_leaves_the_training_as_it_was():
    validation, trained_one = Validation(batches, loss, paths(*range(40))), network().train()
    other = {name: value + 1 for name, value in trained_one.state_dict().items()}
    before = {name: value.clone() for name, value in trained_one.state_dict().items()}
    first, again = (validation.measure(trained_one, before, CPU, Progress()) for _ in range(2))
    assert first == again, "the same batches, and no dropout"
    assert validation.measure(trained_one, other, CPU, Progress()) != first
    assert trained_one.training
    assert all(torch.equal(value, before[name]) for name, value in trained_one.state_dict().items())


@pytest.mark.parametrize(("samples", "expected"), [(3, 3), (400, BATCHES)])
def test_a_measurement_takes_no_more_batches_than_samples_and_never_many(samples, expected):
    rigged = Rigged(*[1.0] * 400)
    rigged.on(*range(samples)).measure(network(), network().state_dict(), CPU, Progress())
    assert len(rigged.seen) == expected


def test_the_weights_that_measured_best_are_kept_in_the_checkpoint_and_go_into_the_bundle(checkpoint):
    rigged = Rigged(3.0, 1.0, 2.0, 1.5, 4.0, 5.0)
    trainer = Trainer(network(), SCHEDULE, checkpoint)
    assert trainer.fit(batches(), loss, validation=rigged.on())
    assert [(told["step"], told["validation"]) for told in trainer.history] == [
        (2, 3.0), (4, 1.0), (6, 2.0), (8, 1.5), (10, 4.0), (12, 5.0)]  # fmt: skip
    resumed = Trainer(network(), SCHEDULE, checkpoint)
    assert resumed.best_at == {"step": 4, "validation": 1.0, "on": rigged.on().on}
    kept = resumed.averaged_network().state_dict()
    for name, value in rigged.seen[1].items():
        assert torch.equal(kept[name], value) and torch.equal(learned(checkpoint)[name], value)
        assert not torch.equal(resumed.averaged[name], value)


def test_a_training_without_patience_goes_on_and_one_with_it_ends_and_stays_ended(checkpoint):
    validation = Rigged(1.0, 2.0, 2.0, 2.0, 2.0, 2.0).on(patience=2)
    trainer = Trainer(network(), SCHEDULE, checkpoint)
    assert trainer.fit(batches(), loss, validation=validation) and trainer.step == 6
    again = Trainer(network(), SCHEDULE, checkpoint)
    assert again.fit(batches(), loss, validation=validation) and again.step == 6
    assert again.fit(batches(), loss, validation=replace(validation, patience=None)) and again.step == 12


def test_patience_begins_anew_with_the_last_lesson(checkpoint):
    validation = Rigged(1.0, 2.0, 2.0, 2.0, 2.0, 2.0).on(since=6)
    trainer = Trainer(network(), SCHEDULE, checkpoint)
    assert trainer.fit(batches(), loss, validation=validation, until=6)
    assert trainer.fit(batches(), loss, validation=replace(validation, patience=2)) and trainer.step == 10


def test_a_checkpoint_of_before_anything_was_measured_goes_on_and_is_measured(checkpoint):
    trainer = Trainer(network(), SCHEDULE, checkpoint)
    trainer.fit(batches(), loss, until=4)
    about = {key: value for key, value in read_about(checkpoint).items() if key in ("step", "history", "schedule")}

    save_file(load_file(checkpoint), checkpoint, {"training": json.dumps(about)})
    old = Trainer(network(), SCHEDULE, checkpoint)
    assert old.step == 4 and old.split == TENTH and not old.best
    last = old.averaged_network().state_dict()
    assert all(torch.equal(value, last[name]) for name, value in trainer.averaged.items())
    assert all(torch.equal(value, trainer.averaged[name]) for name, value in learned(checkpoint).items())
    assert old.fit(batches(), loss, validation=Rigged(1.0, 2.0, 3.0, 4.0).on())
    assert Trainer(network(), SCHEDULE, checkpoint).best_at["step"] == 6


def test_when_other_samples_are_held_out_the_best_weights_are_measured_on_them_first(checkpoint):
    trainer = Trainer(network(), SCHEDULE, checkpoint)
    trainer.fit(batches(), loss, validation=Rigged(1.0).on(18), until=2)
    # On the new samples the kept weights lose 9, and what comes next is better.
    rigged = Rigged(5.0, 5.0, 9.0, 9.0)
    trainer.fit(batches(), loss, validation=rigged.on(18, 19), until=4)
    assert trainer.best_at == {"step": 4, "validation": 5.0, "on": rigged.on(18, 19).on}


# --- who is held out ----------------------------------------------------------------------------


@pytest.mark.parametrize("folds", [2, 3, 5, 7])
def test_every_person_is_held_out_in_one_fold_with_twins_and_levels_together(folds, tmp_path):
    matched_pairs = range(60)
    patients = [level * 1_000_000 + 2 * number for level in range(1, 8) for number in range(30)]
    for number in (*matched_pairs, *patients):
        (tmp_path / f"{number:08d}.npz").touch()
    cache, held = SampleCache(tmp_path), []
    for fold in range(folds):
        parts = [cache.paths(held_out=out, split=Split(fold, folds)) for out in (True, False)]
        people = [{int(path.stem) % 1_000_000 // 2 for path in part} for part in parts]
        assert not people[0] & people[1] and len(parts[0]) + len(parts[1]) == 60 + 210
        held += parts[0]
    assert sorted(held) == cache.paths()


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Four people, whole and broken, to train a tiny network of three planes on; `seen` tells which it was shown."""
    folder = tmp_path / "cache" / "vertebrae"
    folder.mkdir(parents=True)
    (folder / "about.json").write_text('{"anatomy": "built-in", "built_in_necks": 1}')
    for seed in range(8):
        np.savez(folder / f"{seed:08d}.npz", **vertebra(broken=seed % 2 == 1))
    task = TASKS["planes"]
    small = {**task.network, "widths": [8, 8, 8, 8], "hidden": 8, "heat_channels": 8}
    few = replace(task, network=small, batches=partial(plane_batches, size=2), first=None, begins_as=None)
    monkeypatch.setitem(TASKS, "planes", few)
    return tmp_path


def test_a_fold_never_sees_the_people_held_out_from_it_and_measures_on_them_alone(runs, monkeypatch):
    asked = []

    def told(paths, generator):
        asked.append({int(path.stem) for path in paths})
        return plane_batches(paths, generator, size=2)

    monkeypatch.setitem(TASKS, "planes", replace(TASKS["planes"], batches=told))
    assert training.train("planes", runs, steps=2, split=Split(1, 4), loaders=0)
    assert asked == [{0, 1, 4, 5, 6, 7}, {2, 3}]
    assert trained(runs) == ["planes-fold1"] and not (runs / "planes.safetensors").exists()
    assert "kept: step 2" in how_far("planes-fold1", runs)
    with pytest.raises(InputError, match="fold 1 of 4, not of 2"):
        training.train("planes", runs, steps=2, split=Split(1, 2))


def test_where_nobody_is_held_out_a_training_runs_unmeasured_but_none_with_patience(runs):
    assert training.train("planes", runs, steps=1)
    assert not any("validation" in told for told in read_about(runs / "planes.safetensors")["history"])
    with pytest.raises(InputError, match="nobody is held out"):
        training.train("planes", runs, steps=1, patience=3)


def test_folds_of_what_the_ensemble_does_not_vote_on_are_refused(runs):
    with pytest.raises(InputError, match="folds are for the members"):
        training.train("segment", runs, split=Split(0, 2))


def test_a_fold_begins_as_the_same_fold_of_the_other_network(runs, monkeypatch):
    start = WeightInitialisation("model2", ("encoder.",))
    monkeypatch.setitem(TASKS, "planes", replace(TASKS["planes"], begins_as=start))
    with pytest.raises(InputError, match="model2-fold1, which has not been trained") as caught:
        training.train("planes", runs, steps=1, split=Split(1, 4))
    assert "train model2 --folds K --fold 1" in caught.value.advice
    training.trainer_for("model2-fold1", runs, device=CPU, split=Split(1, 2)).save()
    with pytest.raises(InputError, match="seen people who are held out"):
        training.train("planes", runs, steps=1, split=Split(1, 4))


def test_folds_become_members_of_the_ensemble_each_with_a_weight(runs, tmp_path):
    from calibration_case import answer
    from neckfrac_lab.training.calibrate import calibrate, calibration_networks
    from tiny_networks import write_models

    models = write_models(tmp_path / "models")
    names = {f"neckfrac-three-planes-fold{fold}" for fold in (0, 1)}
    for fold in (0, 1):
        assert training.train("planes", runs, steps=1, split=Split(fold, 2))
    for label in trained(runs):
        bundle = load_bundle(export(label, runs, models))
        assert bundle.metadata["neckfrac"]["held_out"]["folds"] == 2
    networks = calibration_networks(models)
    answer(networks, runs)
    ensemble = calibrate(networks, runs)
    assert names | {"tiny-slices", "tiny-vertebrae"} == set(ensemble.levels)
    assert sum(member.weight for member in ensemble.levels.values()) == pytest.approx(1)
