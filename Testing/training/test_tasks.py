import numpy as np
import pytest
import torch
from neckfrac.anatomy import N_CLASSES, THORACIC
from neckfrac_lab.training.batches import between_voxels, grained, turned
from neckfrac_lab.training.locating import NO_DATA, cut_end, offset_targets
from neckfrac_lab.training.overlap import dice_and_cross_entropy
from neckfrac_lab.training.patches import patch_batches
from neckfrac_lab.training.segmenting import imitate_prior, segment_batches
from neckfrac_lab.training.slices import slice_batches
from neckfrac_lab.training.tasks import TASKS
from neckfrac_lab.training.vertebrae import imitate_mask, is_fractured, vertebra_batches, vertebra_loss
from training_case import saved_twins


def slab():
    labels = np.zeros((56, 192, 192), np.uint8)
    labels[5:20, 70:110, 70:120] = 3
    labels[24:40, 70:110, 70:120] = 4
    labels[44:56, 70:110, 70:120] = 5
    fracture = np.zeros_like(labels)
    fracture[30:33, 80:90, 90:100] = 4
    hu = np.where(labels > 0, 500, 40).astype(np.int16)
    return {"hu": hu, "labels": labels, "fracture": fracture}


def vertebra(broken=True):
    """A sample of one vertebra, C4, as the cache holds it."""
    sample = {name: part[8:, 20:156, 27:163] for name, part in slab().items()}
    return {**sample, "level": np.int64(4), "fracture": sample["fracture"] * broken}


@pytest.fixture
def paths(tmp_path):
    """Slabs of several vertebrae."""
    np.savez(tmp_path / "00000000.npz", **slab())
    return [tmp_path / "00000000.npz"]


@pytest.fixture
def vertebrae(tmp_path):
    """A whole vertebra and a broken one."""
    return saved_twins(tmp_path, vertebra)


def test_a_class_that_the_batch_lacks_does_not_pull_on_the_network():
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[:, 2:5, 2:5] = 1
    logits = torch.zeros(1, 4, 8, 8, requires_grad=True)
    dice_and_cross_entropy(logits, labels).backward()
    absent, present = logits.grad[:, 2:].abs().max(), logits.grad[:, 1].abs().max()
    # What is left is the cross-entropy's share and the softmax's coupling, not a Dice term of its own.
    assert absent < present
    gradient = logits.grad.sum(dim=(0, 2, 3))
    assert gradient[1] < 0 and gradient[0] > gradient[1]


def test_a_perfect_answer_loses_next_to_nothing_and_a_wrong_one_much():
    labels = torch.randint(0, 4, (2, 9, 9))
    right = torch.nn.functional.one_hot(labels, 4).movedim(-1, 1) * 40.0
    assert dice_and_cross_entropy(right, labels) < 0.01
    assert dice_and_cross_entropy(right.roll(1, dims=1), labels) > 5


@pytest.mark.parametrize("seed", range(4))
def test_an_imitated_prior_knows_the_level_but_not_its_thin_parts(seed):
    labels = slab()["labels"]
    prior = imitate_prior(labels, np.random.default_rng(seed)).astype(np.float32)
    assert prior.shape == (N_CLASSES, 28, 64, 64)
    assert np.allclose(prior.sum(axis=0), 1, atol=0.01)
    said, true = prior.argmax(axis=0), labels[::2, ::3, ::3]
    assert 0.3 < (said[true == 4] == 4).mean() < 1
    assert (true[said == 4] == 4).mean() > 0.7


def test_an_imitated_mask_is_near_the_vertebra_and_now_and_then_as_far_off_as_segmented_ones_are():
    z, y, x = np.indices((48, 90, 90))
    body = ((y - 45) / 22) ** 2 + ((x - 45) / 26) ** 2 < 1
    canal = ((y - 50) / 9) ** 2 + ((x - 45) / 11) ** 2 < 1
    mask = body & ~canal & (abs(z - 24) < 10)
    dice, sizes = [], []
    for seed in range(40):
        other = imitate_mask(mask, np.random.default_rng(seed))
        assert other.dtype == bool and np.array_equal(other, imitate_mask(mask, np.random.default_rng(seed)))
        dice.append(2 * (mask & other).sum() / (mask.sum() + other.sum()))
        sizes.append(other.sum() / mask.sum())
    assert np.median(dice) > 0.9 and min(dice) > 0.7 and 0.15 < np.mean(np.array(dice) < 0.93) < 0.6
    assert 1.02 < np.median(sizes) < 1.15, "rather too large than too small"
    assert not imitate_mask(mask & False, np.random.default_rng(0)).any()


def test_targets_say_where_the_fracture_is_and_not_only_that_there_is_one(vertebrae):
    batch = next(slice_batches(vertebrae, np.random.default_rng(0)))
    assert batch["image"].shape == (16, 3, 128, 128) and batch["target"].shape == (16, 8)
    assert 0 < batch["target"][:, 4].sum() < 16  # C4 in some slices of the broken ones only
    assert batch["target"][:, [1, 2, 3, 5, 6, 7]].sum() == 0
    assert torch.equal(batch["target"][:, 0], batch["target"][:, 4])


def test_vertebra_batches_pair_each_crop_with_its_own_truth(vertebrae):
    batch = next(vertebra_batches(vertebrae, np.random.default_rng(0)))
    assert batch["image"].shape == (6, 16, 4, 128, 128)
    assert sorted(batch["target"].tolist()) == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    assert ((batch["heat"].flatten(1).sum(dim=1) > 0) == batch["target"].bool()).all()
    assert batch["located"].tolist() == [1.0] * 6


def test_a_fracture_whose_place_is_unknown_teaches_only_that_it_is_there(tmp_path):
    sample = {**vertebra(broken=False), "fractured": True, "located": False}
    assert is_fractured(sample) and not is_fractured(vertebra(broken=False))
    np.savez(tmp_path / "00000000.npz", **sample)
    batch = next(vertebra_batches([tmp_path / "00000000.npz"], np.random.default_rng(0)))
    assert batch["target"].tolist() == [1.0] * 6 and batch["located"].tolist() == [0.0] * 6

    class Answer(torch.nn.Module):
        def __init__(self, heat):
            super().__init__()
            self.heat = heat

        def forward(self, image):
            return {"logit": torch.zeros(6), "slice_logits": self.heat.mean(dim=(2, 3)), "heat": self.heat}

    one, other = (vertebra_loss(Answer(torch.full((6, 16, 8, 8), value)), batch) for value in (-3.0, 3.0))
    assert one == pytest.approx(other), "no answer to where is better than another"
    located = {**batch, "located": torch.ones(6)}
    one, other = (vertebra_loss(Answer(torch.full((6, 16, 8, 8), value)), located) for value in (-3.0, 3.0))
    assert one < other - 1


def test_twins_come_together_and_look_alike_but_for_the_fracture(vertebrae, tmp_path):
    for number in (4, 5):
        np.savez(tmp_path / f"{number:08d}.npz", **vertebra(number == 5))
    paths = [*vertebrae, tmp_path / "00000004.npz", tmp_path / "00000005.npz"]
    batch = next(vertebra_batches(paths, np.random.default_rng(0)))
    assert batch["target"].tolist() == [0.0, 1.0] * 3
    images = batch["image"]
    assert torch.equal(images[0], images[1]) and torch.equal(images[2], images[3])  # these differ in truth only
    assert not torch.equal(images[0], images[2])


@pytest.mark.parametrize("seed", range(6))
def test_grain_lies_in_bone_alone_and_shifts_no_mean(seed):
    hu = np.full((40, 60, 60), 40, np.float32)
    hu[:, 10:50, 10:50] = 400
    rough = grained(hu, np.random.default_rng(seed))
    assert rough is hu or np.array_equal(rough[:, :10], hu[:, :10])
    change = (rough - hu)[:, 10:50, 10:50]
    assert abs(change.mean()) < 30 and change.std() < 400
    assert (hu[:, 10:50, 10:50] == 400).all(), "the sample itself stays smooth"


@pytest.mark.parametrize("seed", range(6))
def test_between_the_voxels_a_line_is_fainter_and_stays_where_it_is(seed):
    hu = np.full((9, 9, 9), 400, np.float32)
    hu[:, 4] = 100
    moved = between_voxels(hu, np.random.default_rng(seed))
    assert 100 < moved[4, 4, 4] <= 250 and moved[4, :, 4].argmin() == 4
    assert moved.sum() == pytest.approx(hu.sum(), rel=1e-5) and hu[4, 4, 4] == 100
    assert np.array_equal(between_voxels(hu, np.random.default_rng(seed), axes=(0, 2)), hu), "along the line nothing"


def test_most_looks_have_grain_and_some_have_none():
    hu = np.full((12, 20, 20), 400, np.float32)
    spreads = [float(grained(hu, np.random.default_rng(seed)).std()) for seed in range(60)]
    assert 1 <= sum(spread == 0 for spread in spreads) < 20 and np.median(spreads) > 50


def test_pieces_with_and_without_a_break_come_from_the_same_places(vertebrae):
    batch = next(patch_batches(vertebrae, np.random.default_rng(0), size=2))
    assert batch["image"].shape == (12, 1, 4, 64, 64) and batch["heat"].shape == (12, 1, 64, 64)
    assert batch["target"][:6].sum() == 0 and batch["target"][6:].sum() >= 4, "the intact partner first"
    assert torch.equal(batch["image"][:6], batch["image"][6:])
    assert ((batch["heat"].sum(dim=(1, 2, 3)) >= 12) == batch["target"].bool()).all()


def test_pieces_of_a_vertebra_without_twin_or_break_lie_on_it(tmp_path):
    np.savez(tmp_path / "00000007.npz", **vertebra(broken=False))
    batch = next(patch_batches([tmp_path / "00000007.npz"], np.random.default_rng(0), size=2))
    assert batch["target"].sum() == 0 and (batch["image"][:, 0, 3].flatten(1).sum(dim=1) > 0).all()


def test_pieces_show_the_same_of_a_part_of_the_sample_as_of_all_of_it(monkeypatch):
    from neckfrac_lab.training import patches

    monkeypatch.setattr(patches, "augmented", lambda hu, generator: hu)
    monkeypatch.setattr(patches, "imitate_mask", lambda mask, generator: mask)
    sample, places = vertebra(), np.array([[20, 60, 64], [30, 70, 60]])
    sample["hu"] = np.random.default_rng(0).normal(300, 100, sample["hu"].shape).astype(np.float32)
    (part,), moved = patches._about([sample], places)
    assert part["hu"].size < sample["hu"].size / 3 and part["level"] == sample["level"]
    for one, other in zip(patches._pieces(sample, places, 5), patches._pieces(part, moved, 5), strict=True):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def test_vertebrae_whose_break_is_nowhere_known_give_no_pieces(tmp_path):
    np.savez(tmp_path / "00000008.npz", **vertebra(broken=False), fractured=True, located=False)
    np.savez(tmp_path / "00000010.npz", **vertebra())
    batch = next(patch_batches([tmp_path / f"{n:08d}.npz" for n in (8, 10)], np.random.default_rng(0), size=4))
    assert len(batch["image"]) == 6


@pytest.mark.parametrize("seed", range(3))
def test_turning_keeps_the_truth_on_its_place(seed):
    images, truth = torch.zeros(2, 3, 64, 64), torch.zeros(2, 64, 64)
    images[:, :, 20:34, 30:40], truth[:, 20:34, 30:40] = 1, 1
    turned_images, turned_truth = turned(images, truth, np.random.default_rng(seed), degrees=20)
    assert not torch.equal(turned_truth, truth)
    assert (turned_truth.bool() == (turned_images[:, 0] > 0.5)).all()


def test_segment_batches_have_the_channels_that_the_network_takes(paths):
    batch = next(segment_batches(paths, np.random.default_rng(0)))
    assert batch["image"].shape == (8, 5 + N_CLASSES, 192, 192) and batch["labels"].max() < N_CLASSES


@pytest.mark.parametrize("name", list(TASKS))
def test_every_task_builds_its_network(name):
    from neckfrac.bundles.bundle import build_network

    assert sum(p.numel() for p in build_network(TASKS[name].network).parameters()) > 1e5


@pytest.mark.parametrize("seed", range(12))
def test_a_cut_end_goes_through_a_vertebra_and_leaves_the_rest_as_it_was(seed):
    labels = np.zeros((88, 8, 8), np.uint8)
    for level in range(1, 8):
        labels[80 - 9 * level : 87 - 9 * level, 2:6, 2:6] = level
    hu = np.where(labels > 0, 500, 40).astype(np.float32)
    before = hu.copy(), labels.copy()
    cut, left = cut_end(hu, labels, np.random.default_rng(seed))
    assert (hu == before[0]).all() and (labels == before[1]).all(), "the sample itself stays whole"
    data = np.flatnonzero((cut != NO_DATA).any(axis=(1, 2)))
    assert 25 <= len(data) < 88 and data[-1] - data[0] + 1 == len(data) and (data[0] == 0 or data[-1] == 87)
    assert (cut[data] == hu[data]).all() and (left[data] == labels[data]).all()
    assert not np.delete(left, data, axis=0).any()
    end = data[0] if data[0] > 0 else data[-1]
    assert labels[end].any(), "through a vertebra, not between two"


def test_a_cut_end_leaves_a_scan_without_vertebrae_alone():
    hu, labels = np.full((88, 8, 8), 40, np.float32), np.zeros((88, 8, 8), np.uint8)
    cut, left = cut_end(hu, labels, np.random.default_rng(0))
    assert cut is hu and left is labels


def test_voxels_of_a_vertebra_point_to_its_centre_and_far_thoracic_ones_do_not_count():
    labels = np.zeros((40, 20, 20), np.uint8)
    labels[28:34, 8:14, 8:14] = 4
    labels[4:24, 8:12, 8:12] = THORACIC
    centers = np.array([[4, 31, 10, 10], [THORACIC, 18, 10, 10], [THORACIC, -4, 10, 10]], np.float32)
    offsets, counts = offset_targets(labels, centers)
    z, y, x = np.nonzero(labels == 4)
    assert np.allclose(np.stack([z, y, x]) + offsets[:, z, y, x] * 10, np.array([[31], [10], [10]]))
    assert counts[labels == 4].all() and not counts[labels == 0].any()
    assert counts[18, 10, 10] and not counts[6, 10, 10]


def test_model_two_learns_from_pieces_first_and_then_from_whole_vertebrae(tmp_path, monkeypatch):
    from dataclasses import replace

    from neckfrac_lab.training import train as training

    cache, seen = tmp_path / "cache" / "vertebrae", []
    cache.mkdir(parents=True)
    (cache / "about.json").write_text('{"anatomy": "built-in"}')
    for n in (2, 3):
        np.savez(cache / f"{n:08d}.npz", **vertebra(n == 3))

    def told(name, batches):
        def told_batches(paths, generator):
            for batch in batches(paths, generator, 2):
                seen.append(name)
                yield batch

        return told_batches

    task = TASKS["model2"]
    first = replace(task.first, batches=told("pieces", task.first.batches))
    monkeypatch.setitem(TASKS, "model2", replace(task, batches=told("whole", task.batches), first=first))
    assert training.train("model2", tmp_path, steps=4, loaders=0)
    assert seen == ["pieces"] * 3 + ["whole"]
    assert training.train("model2", tmp_path, steps=4, loaders=0) and len(seen) == 4, "it is finished"


def test_the_eight_networks_of_model_one_begin_as_the_one_that_learned_from_pieces(tmp_path, monkeypatch):
    from dataclasses import replace

    from neckfrac_lab.training import train as training

    cache = tmp_path / "cache" / "vertebrae"
    cache.mkdir(parents=True)
    (cache / "about.json").write_text('{"anatomy": "built-in"}')
    for n in (2, 3):
        np.savez(cache / f"{n:08d}.npz", **vertebra(n == 3))
    task, told = TASKS["model1"], []

    def alike(network):
        first, *others = network.classifiers
        told.append([torch.equal(first.network._fc.weight, other.network._fc.weight) for other in others])

    def loss(network, batch):
        alike(network)
        return task.loss(network, batch)

    first = replace(task.first, share=0.5)
    monkeypatch.setitem(TASKS, "model1", replace(task, first=first, loss=loss, batches=lambda *a: task.batches(*a, 8)))
    untouched = training.trainer_for("model1", tmp_path / "none", device=torch.device("cpu")).network
    assert training.train("model1", tmp_path, steps=2, loaders=0)
    assert told == [[True] * 7], "all eight know what the first has learned of pieces"
    alike(training.trainer_for("model1", tmp_path, device=torch.device("cpu")).network)
    assert told[-1] == [False] * 7, "and each learns its own level from there"
    alike(untouched)
    assert told[-1] == [False] * 7


def test_three_planes_begin_with_what_model_two_has_learned(tmp_path):
    from neckfrac.errors import InputError
    from neckfrac_lab.training.train import begin_as, trainer_for

    cpu, beginning = torch.device("cpu"), TASKS["planes"].begins_as
    planes = trainer_for("planes", tmp_path, device=cpu)
    with pytest.raises(InputError, match="has not been trained"):
        begin_as(planes, beginning, tmp_path)
    other = trainer_for("model2", tmp_path, device=cpu)
    for value in other.averaged.values():
        value.normal_()
    other.save()
    before = {name: value.clone() for name, value in planes.network.state_dict().items()}
    begin_as(planes, beginning, tmp_path)
    for name, value in planes.network.state_dict().items():
        if name == "encoder.stem.conv.weight":
            # The slice and its neighbours show the same slice now; soft tissue is new; the mask stays the mask.
            learned = other.averaged[name]
            expected = torch.stack([learned[:, :3].sum(dim=1), torch.zeros_like(learned[:, 0]), learned[:, 3]], dim=1)
        else:
            expected = other.averaged[name] if name.startswith(("encoder.", "heat.")) else before[name]
        assert torch.allclose(value, expected), name
        assert torch.equal(planes.averaged[name], value)
