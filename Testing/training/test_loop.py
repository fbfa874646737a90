import itertools

import numpy as np
import pytest
import torch
from neckfrac.errors import InputError
from neckfrac_lab.training.cache import SampleCache
from neckfrac_lab.training.loop import Schedule, Trainer
from torch import nn

SCHEDULE = Schedule(steps=12, warm_up=2, average=0.5)


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))


def batches(start=0):
    for step in range(start, 1000):
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(16, 6, generator=generator)
        yield {"x": x, "y": x.sum(dim=1, keepdim=True)}


def loss(model, batch):
    return nn.functional.mse_loss(model(batch["x"]).float(), batch["y"])


def test_training_that_is_resumed_ends_where_training_in_one_go_ends(tmp_path):
    whole = Trainer(network(), SCHEDULE, tmp_path / "whole.safetensors")
    assert whole.fit(batches(), loss)
    part = Trainer(network(), SCHEDULE, tmp_path / "part.safetensors")

    def five():
        yield from (batch for batch, _ in zip(batches(), range(5), strict=False))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        part.fit(five(), loss, every=5)
    resumed = Trainer(network(), SCHEDULE, tmp_path / "part.safetensors")
    assert resumed.step == 5
    assert resumed.fit(batches(5), loss)
    for name, value in whole.averaged.items():
        torch.testing.assert_close(resumed.averaged[name], value)


def test_the_averaged_weights_are_not_the_last_ones(tmp_path):
    trainer = Trainer(network(), SCHEDULE, tmp_path / "t.safetensors")
    trainer.fit(batches(), loss)
    last = trainer.network.state_dict()["0.weight"].clone()
    assert not torch.equal(trainer.averaged_network().state_dict()["0.weight"], last)


def test_a_lesson_s_average_is_of_what_it_taught_and_not_of_the_lesson_before(tmp_path):
    def toward(goal):
        return lambda model, batch: (next(model.parameters()) - goal).square().sum()

    trainer = Trainer(network(), Schedule(steps=4000, learning_rate=0.1, warm_up=1), tmp_path / "x.safetensors")
    again = itertools.cycle(batches())
    trainer.fit(again, toward(-5.0), until=2000)
    trainer.fit(again, toward(5.0), since=2000, until=2200)
    name = next(iter(trainer.averaged))
    behind = (trainer.network.state_dict()[name] - trainer.averaged[name]).abs().max()
    assert behind < 3.0, "with the first phase's 2000 steps in it, it would lag behind by most of the way"


def test_a_time_budget_of_nothing_trains_nothing_and_says_it_is_not_finished(tmp_path):
    trainer = Trainer(network(), SCHEDULE, tmp_path / "t.safetensors")
    assert not trainer.fit(batches(), loss, time_budget=-1)
    assert trainer.step == 0


def test_the_checkpoint_of_another_network_is_refused(tmp_path):
    Trainer(network(), SCHEDULE, tmp_path / "t.safetensors").fit(batches(), loss)
    with pytest.raises(InputError, match="does not fit"):
        Trainer(nn.Linear(3, 1), SCHEDULE, tmp_path / "t.safetensors")


def test_a_cache_makes_each_sample_once_and_keeps_held_out_ones_apart(tmp_path):
    made = []

    def make(seed):
        made.append(seed)
        return {"hu": np.full((2, 3, 4), seed, np.int16)}

    cache = SampleCache(tmp_path, make)
    assert list(cache.fill(range(20))) == list(range(20))
    assert list(cache.fill(range(20))) == list(range(20))
    assert made == list(range(20))
    assert [path.stem for path in cache.paths(held_out=True)] == ["00000018", "00000019"]
    assert len(cache.paths(held_out=False)) == 18
    assert (SampleCache.load(cache.paths()[7])["hu"] == 7).all()


def test_a_lesson_ends_at_its_step_and_the_rest_goes_on_from_there(tmp_path):
    trainer = Trainer(network(), SCHEDULE, tmp_path / "t.safetensors")
    until = SCHEDULE.steps // 2
    assert trainer.fit(batches(), loss, until=until) and trainer.step == until
    assert trainer.fit(batches(), loss) and trainer.step == SCHEDULE.steps
