import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from neckfrac.bundles.bundle import load_bundle
from neckfrac.errors import InputError
from neckfrac.networks.dense_unet import DenseUNet
from neckfrac_lab.training import train as training
from neckfrac_lab.training.dense import (
    CROP,
    PLACES,
    SMALL_CROP,
    SMALL_PLACES,
    dense_batches,
    dense_loss,
    small_dense_batches,
)
from neckfrac_lab.training.export import export
from neckfrac_lab.training.tasks import TASKS
from tiny_networks import write_models

SHAPE = (40, 70, 70)


@pytest.fixture
def paths(tmp_path):
    """A person whose C3 is fractured in the first scan and whose C4 is in the second."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[22:38, 10:60, 10:60], labels[2:18, 10:60, 10:60] = 3, 4
    hu = np.stack([np.where(labels > 0, 600, 40)] * 2).astype(np.int16)
    truth = np.zeros((2, *SHAPE), np.uint8)
    truth[0, 30, 12:58, 12:58], truth[1, 10, 12:58, 12:58] = 3, 4
    hu[truth > 0] = 0
    fractured = np.zeros((2, 7), bool)
    fractured[0, 2] = fractured[1, 3] = True
    path = tmp_path / "00000001.npz"
    np.savez(path, hu=hu, truth=truth, labels=np.stack([labels] * 2), fractured=fractured)
    return [path]


@pytest.mark.parametrize(
    "make, places, crop", [(dense_batches, PLACES, CROP), (small_dense_batches, SMALL_PLACES, SMALL_CROP)]
)
def test_each_place_is_shown_fractured_and_intact_side_by_side(paths, make, places, crop):
    batch = next(make(paths, np.random.default_rng(0)))
    z, y, x = crop
    assert batch["image"].shape == (2 * places, 3, z, y, x) and batch["truth"].shape == (2 * places, z, y // 2, x // 2)
    first, second = batch["truth"][::2], batch["truth"][1::2]
    assert not ((first > 0) & (second > 0)).any(), "what is fractured in one scan is intact in the other"
    shown = ((first > 0) | (second > 0)).flatten(1).any(dim=1)
    assert shown.float().mean() > 0.5
    hats = batch["image"][:, 1]
    fractured = torch.nn.functional.max_pool3d(hats[:, None], (1, 2, 2))[:, 0][batch["truth"] > 0]
    assert fractured.median() > hats.median() + 0.2, "the gap is dark in bone just where the truth says so"


def test_where_a_fracture_lies_in_a_crop_tells_nothing(paths):
    source = dense_batches(paths, np.random.default_rng(0))
    heights = [float(t.nonzero()[:, 0].float().mean()) for _ in range(4) for t in next(source)["truth"] if t.any()]
    assert np.std(heights) > 2


def test_a_volume_smaller_than_a_crop_is_filled_up_with_air(tmp_path, paths):
    with np.load(paths[0]) as sample:
        small = {name: sample[name] for name in sample.files}
    for name in ("hu", "truth", "labels"):
        small[name] = small[name][:, 20:40]
    np.savez(tmp_path / "00000002.npz", **small)
    batch = next(dense_batches([tmp_path / "00000002.npz"], np.random.default_rng(0)))
    assert batch["image"].shape[2:] == CROP and batch["image"].isfinite().all()


def test_the_loss_is_least_for_the_truth_and_a_step_lowers_it(paths):
    batch = next(small_dense_batches(paths, np.random.default_rng(0)))
    right, unsure, wrong = (dense_loss(lambda _, s=s: (2 * batch["truth"] - 1) * s, batch) for s in (8, 0, -8))
    assert right < 0.3 < unsure < wrong
    torch.manual_seed(0)
    network = DenseUNet(channels=(8, 12, 16, 16))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = dense_loss(network, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_a_batch_without_any_fracture_has_a_finite_loss(paths):
    batch = next(small_dense_batches(paths, np.random.default_rng(0)))
    batch["truth"].zero_()
    assert torch.isfinite(dense_loss(lambda image: torch.zeros_like(batch["truth"]), batch))


@pytest.fixture
def small_task(monkeypatch):
    task = TASKS["dense"]
    few = replace(task, network={**task.network, "channels": [8, 8, 8, 8]}, batches=partial(dense_batches, size=1),
                  first=replace(task.first, batches=partial(dense_batches, size=1)))  # fmt: skip
    monkeypatch.setitem(TASKS, "dense", few)
    return few


def test_it_trains_resumes_becomes_a_bundle_and_another_training_begins_with_that(paths, tmp_path, small_task):
    runs, cpu = tmp_path, torch.device("cpu")
    cache = runs / "cache" / "dense"
    cache.mkdir(parents=True)
    paths[0].rename(cache / paths[0].name)
    assert training.train("dense", runs, steps=2, loaders=0)
    assert training.trainer_for("dense", runs, steps=3, device=cpu).step == 2
    bundle = load_bundle(export("dense", runs, runs / "models"))
    bundle.verify()
    assert bundle.step == "dense"
    other = runs / "other"
    shutil.copytree(runs / "cache", other / "cache")
    fresh = training.trainer_for("dense", other, steps=2, device=cpu)
    training.continue_from(fresh, bundle.folder, small_task)
    published = bundle.network().state_dict()
    assert all(torch.equal(value, published[name]) for name, value in fresh.network.state_dict().items())
    assert training.train("dense", other, steps=1, loaders=0, begin_with=bundle.folder)


def test_weights_of_another_network_are_no_beginning(tmp_path, small_task):
    models = write_models(tmp_path / "models")
    trainer = training.trainer_for("dense", tmp_path, steps=1, device=torch.device("cpu"))
    with pytest.raises(InputError, match="not 'dense'"):
        training.continue_from(trainer, models / "tiny-vertebrae", small_task)


def test_what_a_sample_holds(monkeypatch):
    """Each level fractured in one of the two scans of a person; the scans differ about the fractures alone."""
    from neckfrac_lab.training import dense_samples
    from neckfrac_lab.training.samples import Necks

    monkeypatch.setattr(dense_samples, "NECK_SHAPE", (70, 80, 62))
    monkeypatch.setattr(dense_samples, "FINE_SPACING", (2.0, 1.2, 1.2))
    sample = dense_samples.dense_sample(Necks(built_in=1), seed=4)
    assert sample["fractured"].sum(axis=0).tolist() == [1] * 7 and len(sample["kinds"]) == 7
    assert sample["hu"].shape == sample["truth"].shape == sample["labels"].shape and sample["hu"].dtype == np.int16
    for scan in (0, 1):
        shown = set(np.unique(sample["truth"][scan])) - {0}
        assert shown <= set(np.flatnonzero(sample["fractured"][scan]) + 1) and shown
    same = (sample["hu"][0] == sample["hu"][1]).mean()
    assert 0.5 < same < 1
