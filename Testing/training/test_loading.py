from itertools import islice

import numpy as np
import pytest
import torch
from neckfrac_lab.training.loading import loaded, loaders_for


def drawn(paths, generator):
    """Batches without end: a path and a number of the generator's."""
    while True:
        yield {"path": torch.tensor(int(paths[generator.integers(len(paths))].stem)), "number": torch.tensor(
            generator.random())}  # fmt: skip


def failing(paths, generator):
    yield from islice(drawn(paths, generator), 1)
    raise ValueError("a damaged sample")


@pytest.fixture
def paths(tmp_path):
    return [tmp_path / f"{n}.npz" for n in range(5)]


def numbers(batches, count):
    return [float(batch["number"]) for batch in islice(batches, count)]


def test_without_loaders_batches_are_made_when_asked_and_the_seed_says_which(paths):
    expected = numbers(drawn(paths, np.random.default_rng([3, 1])), 4)
    assert numbers(loaded(drawn, paths, [3, 1], loaders=0), 4) == expected


def test_loaders_make_batches_of_their_own_and_the_same_ones_again_from_the_same_seed(paths):
    first = numbers(loaded(drawn, paths, [3, 1], loaders=2), 8)
    assert len(set(first)) == 8
    assert numbers(loaded(drawn, paths, [3, 1], loaders=2), 8) == first
    assert not set(numbers(loaded(drawn, paths, [3, 2], loaders=2), 8)) & set(first)


def test_what_fails_in_a_loader_fails_the_training(paths):
    batches = loaded(failing, paths, [3, 1], loaders=1)
    next(batches)
    with pytest.raises(ValueError, match="a damaged sample"):
        next(batches)


def test_a_gpu_gets_many_loaders_and_trainings_that_share_a_machine_share_its_cores(monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    assert loaders_for(gpu) == 12 and loaders_for(gpu, 4) == 3 and loaders_for(gpu, 16) == 1
    assert loaders_for(cpu) == 1 and loaders_for(cpu, 2) == 0
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert loaders_for(cpu) == 0 and loaders_for(gpu) == 1
