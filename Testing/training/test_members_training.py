import numpy as np
import pytest
import torch
from neckfrac.bundles.bundle import build_network, load_bundle
from neckfrac.errors import InputError
from neckfrac.networks.baselines import ConvNet
from neckfrac.networks.sagittal_nine import SagittalNine
from neckfrac.networks.three_planes import ThreePlanes
from neckfrac_lab.training import baselines
from neckfrac_lab.training import train as training
from neckfrac_lab.training.export import export
from neckfrac_lab.training.sagittal import sagittal_batches, sagittal_loss
from neckfrac_lab.training.tasks import TASKS
from neckfrac_lab.training.three_planes import plane_batches, plane_loss
from training_case import saved_twins

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def vertebrae(tmp_path):
    """The runs folder of a whole vertebra and a broken one, and their paths."""
    folder = tmp_path / "cache" / "vertebrae"
    folder.mkdir(parents=True)
    (folder / "about.json").write_text('{"anatomy": "built-in", "built_in_necks": 1}')
    return saved_twins(folder)


def test_plane_batches_pair_the_views_of_each_vertebra_with_its_own_truth(vertebrae):
    batch = next(plane_batches(vertebrae, np.random.default_rng(0), size=4))
    assert batch["axial"].shape == (4, 8, 3, 128, 128) and batch["upright"].shape == (4, 16, 3, 80, 128)
    assert batch["axial_heat"].shape == (4, 8, 128, 128) and batch["upright_heat"].shape == (4, 16, 80, 128)
    assert sorted(batch["target"].tolist()) == [0.0, 0.0, 1.0, 1.0]
    for heat in ("axial_heat", "upright_heat"):
        assert ((batch[heat].flatten(1).sum(dim=1) > 0) == batch["target"].bool()).all()


def test_the_truth_of_a_view_lies_where_its_picture_is_broken(vertebrae, monkeypatch):
    monkeypatch.setattr("neckfrac_lab.training.vertebrae.imitate_mask", lambda mask, generator: mask)
    batch = next(plane_batches(vertebrae[1:], np.random.default_rng(1), size=2))
    for images, heat in ((batch["axial"], batch["axial_heat"]), (batch["upright"], batch["upright_heat"])):
        inside = images[:, :, 2] > 0.9
        dark = inside & (images[:, :, 0] < -0.3)
        assert dark.any() and heat.any()
        overlap = 2 * (dark & (heat > 0)).sum() / (dark.sum() + (heat > 0).sum())
        assert overlap > 0.6


def test_of_a_fracture_whose_place_is_unknown_no_view_is_taught_anything(vertebrae):
    batch = next(plane_batches(vertebrae, np.random.default_rng(0), size=2))

    class Answer(torch.nn.Module):
        def __init__(self, value):
            super().__init__()
            self.value = value

        def forward(self, axial, upright):
            heats = torch.full((2, 8, 16, 16), self.value), torch.full((2, 16, 10, 16), self.value)
            said = torch.full((2, 24), self.value)
            return {"logit": torch.zeros(2), "view_logits": said, "heat": heats[0], "upright_heat": heats[1]}

    unknown = {**batch, "located": torch.zeros(2)}
    assert plane_loss(Answer(-3.0), unknown) == pytest.approx(plane_loss(Answer(3.0), unknown))
    assert plane_loss(Answer(-3.0), batch) < plane_loss(Answer(3.0), batch) - 1


def learn(network, loss_of, batch, steps):
    """The losses of so many steps on one batch; every parameter has a part in them."""
    optimizer = torch.optim.AdamW(network.parameters(), 5e-3)
    losses = []
    for _ in range(steps):
        loss = loss_of(network, batch)
        optimizer.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_three_planes_learn_to_tell_a_broken_vertebra_from_a_whole_one(vertebrae):
    torch.manual_seed(0)
    network = ThreePlanes(widths=(8, 8, 16, 16), hidden=16, heat_channels=8, dropout=0.0)
    batch = next(plane_batches(vertebrae, np.random.default_rng(0), size=2))
    batch = {name: part[..., ::2, ::2] if part.ndim > 1 else part for name, part in batch.items()}
    losses = learn(network, plane_loss, batch, steps=25)
    logits = network.eval()(batch["axial"], batch["upright"])["logit"]
    assert losses[-1] < 0.5 * losses[0]
    assert logits[batch["target"] == 1].min() > logits[batch["target"] == 0].max() + 1


def test_three_planes_train_resume_and_become_a_bundle_that_can_be_verified(vertebrae, monkeypatch):
    from dataclasses import replace
    from functools import partial

    runs = vertebrae[0].parents[2]
    task = TASKS["planes"]
    small = {**task.network, "widths": [8, 8, 8, 8], "hidden": 8, "heat_channels": 8}
    few = replace(task, network=small, batches=partial(plane_batches, size=2), begins_as=None)
    monkeypatch.setitem(TASKS, "planes", few)
    assert training.train("planes", runs, steps=2)
    assert training.trainer_for("planes", runs, steps=3, device=torch.device("cpu")).step == 2
    bundle = load_bundle(export("planes", runs, runs / "models"))
    bundle.verify()
    assert bundle.step == "planes" and "simulated" in bundle.metadata["neckfrac"]["trained_on"]
    inputs = bundle.metadata["network_data_format"]["inputs"]
    assert set(inputs) == {"axial", "upright"} and inputs["upright"]["spatial_shape"][0] == 16


@pytest.mark.parametrize("name", ["planes", "sagittal"])
def test_a_task_of_a_member_says_all_that_its_step_is_asked_with(name):
    import inspect

    from neckfrac.members import member_module

    task = TASKS[name]
    wanted = set(inspect.signature(member_module(task.step).predict).parameters)
    given = {key for key in task.preprocessing if not key.startswith(("hu_", "spacing"))}
    assert given | {"segmented", "network", "intensity", "device", "progress"} == wanted
    assert sum(parameter.numel() for parameter in build_network(task.network).parameters()) < 3e6


def sagittal_study(broken: int | None) -> dict:
    """A sample of nine images, as the cache holds it: blocks C1...C7, one of them with a dark gap (0: C1)."""
    labels = np.zeros((9, 176, 128), np.uint8)
    for n in range(7):
        labels[1:8, 140 - 18 * n : 154 - 18 * n, 50:80] = n + 1
    fracture = np.zeros_like(labels)
    if broken is not None:
        fracture[2:7, 144 - 18 * broken : 149 - 18 * broken, 55:75] = broken + 1
    hu = np.where(fracture > 0, 0, np.where(labels > 0, 600, 40)).astype(np.int16)
    return {"hu": hu, "labels": labels, "fracture": fracture, "fractured": np.arange(7) == broken}


@pytest.fixture
def necks(tmp_path):
    """The runs folder of 40 necks: every second one whole, broken at C2 or C5 in turn; the last two held out."""
    folder = tmp_path / "cache" / "sagittal"
    folder.mkdir(parents=True)
    for seed in range(40):
        np.savez(folder / f"{seed:08d}.npz", **sagittal_study(None if seed % 2 else (1, 4)[seed // 2 % 2]))
    return tmp_path


def paths_of(necks):
    return sorted((necks / "cache" / "sagittal").glob("*.npz"))


def test_sagittal_batches_say_of_patient_and_levels_what_the_study_says(necks):
    batch = next(sagittal_batches(paths_of(necks)[:2], np.random.default_rng(0), size=2))
    assert batch["image"].shape == batch["labels"].shape == batch["heat"].shape == (2, 9, 176, 128)
    expected = {(1.0, 0, 1, 0, 0, 0, 0, 0), (0.0,) * 8}
    assert {tuple(row) for row in batch["target"].tolist()} == expected
    assert batch["seen"].all() and set(batch["labels"].unique().tolist()) == set(range(8))
    assert ((batch["heat"].flatten(1).sum(dim=1) > 0) == batch["target"][:, 0].bool()).all()
    dark = (batch["labels"] > 0) & (batch["image"] < 0)
    both = dark & (batch["heat"] > 0)
    assert 2 * both.sum() / (dark.sum() + batch["heat"].sum()) > 0.5


def test_a_level_that_is_not_seen_teaches_nothing(necks):
    batch = next(sagittal_batches(paths_of(necks)[:2], np.random.default_rng(0), size=2))
    batch["labels"][batch["labels"] == 2] = 0
    network = SagittalNine(widths=(8, 8, 8, 8), heat_channels=8, hidden=8).eval()
    batch["seen"][:, 1] = 0
    loss = sagittal_loss(network, batch)
    batch["target"][:, 2] = 1 - batch["target"][:, 2]
    assert sagittal_loss(network, batch) == loss


def test_nine_sagittal_images_learn_which_level_is_broken(necks):
    torch.manual_seed(0)
    network = SagittalNine(widths=(8, 8, 16), blocks=(1, 1, 1), heat_channels=16, hidden=16, dropout=0.0, enlarged=1)
    batch = next(sagittal_batches(paths_of(necks)[:3], np.random.default_rng(0), size=3))
    batch = {name: part[..., ::2, ::2] if part.ndim > 2 else part for name, part in batch.items()}
    losses = learn(network, sagittal_loss, batch, steps=30)
    logits = network.eval()(batch["image"], batch["labels"])["logits"]
    assert losses[-1] < 0.5 * losses[0]
    for column in (0, 2):
        truth = batch["target"][:, column] == 1
        assert logits[truth, column].min() > logits[~truth, column].max()


def test_a_simulated_sagittal_sample_has_nine_images_and_its_broken_levels(monkeypatch):
    """With a simulator that draws empty boxes: what is asked of it, and what is kept of its answer."""
    from types import SimpleNamespace

    from neckfrac.volume import CTVolume
    from neckfrac_lab.simulate import study as simulator
    from neckfrac_lab.simulate.fractures import fracture
    from neckfrac_lab.training.sagittal import sagittal_sample

    asked = []

    def simulate_study(neck, *, grid, fractures, **_):
        asked.append((grid, fractures))
        voxels = np.broadcast_to(np.arange(grid.shape[2], dtype=np.int16), grid.shape)
        return SimpleNamespace(
            volume=CTVolume(voxels, np.eye(4)), labels=voxels.astype(np.uint8), fracture=voxels.astype(np.uint8)
        )

    class People:
        def draw_variety(self, generator, variation):
            frames = dict.fromkeys(("C1", "C2", "C3", "C4", "C5", "C6", "C7"))
            return SimpleNamespace(neck=SimpleNamespace(frames=frames), mimics=[], variation=variation)

    monkeypatch.setattr(simulator, "simulate_study", simulate_study)
    for draw in ("random_fracture", "random_mimic"):
        monkeypatch.setattr(fracture, draw, lambda name, frame, seed: SimpleNamespace(level=name, kind="facet"))
    samples = [sagittal_sample(People(), seed) for seed in range(30)]
    for sample, (grid, fractures) in zip(samples, asked, strict=True):
        assert sample["hu"].shape == sample["labels"].shape == sample["fracture"].shape == (9, 176, 128)
        assert sample["hu"][:, 0, 0].tolist() == list(range(0, 33, 4)), "every fourth plane of 1 mm"
        assert grid.spacing == (1.0, 1.0, 1.0) and int(sample["fractured"].sum()) == len(fractures)
    assert 8 <= sum(sample["fractured"].any() for sample in samples) <= 22, "about half of the necks"


def test_baselines_answer_both_questions_beside_the_majority_class_and_go_on_where_they_stopped(necks, monkeypatch):
    monkeypatch.setattr(baselines, "BASELINES", {"small": lambda classes: ConvNet(classes, (4, 8))})
    begun = baselines.train_baselines(necks, steps=6, time_budget=0.0)
    assert not begun["detection"]["results"]["small"]["finished"]
    result = baselines.train_baselines(necks, steps=6)
    assert {question: set(result[question]["results"]) for question in ("detection", "level")} == {
        "detection": {"majority class", "small"},
        "level": {"majority class", "small"},
    }
    small = result["detection"]["results"]["small"]
    assert small["finished"] and small["steps"] == 6 and all(0 <= small[key] <= 1 for key in ("accuracy", "auc"))
    assert result["detection"]["results"]["majority class"] == {
        "accuracy": 0.5, "auc": 0.5, "balanced accuracy": 0.5
    }  # fmt: skip
    assert result["detection"]["asked"] == 4 and result["level"]["asked"] == 2, "levels are asked of the broken alone"
    again = baselines.train_baselines(necks, steps=6)
    assert again == result, "nothing is left to train"
    said = baselines.as_tables(result)
    assert "majority class" in said and "simulated" in said and "unfinished" in baselines.as_tables(begun)


def test_figures_of_baselines_are_those_that_can_be_counted_by_hand():
    truths = np.array([0, 0, 0, 1])
    right = np.eye(2)[truths]
    assert baselines.figures(right, truths) == {"accuracy": 1.0, "auc": 1.0, "balanced accuracy": 1.0}
    always = np.eye(2)[[0, 0, 0, 0]]
    assert baselines.figures(always, truths) == {"accuracy": 0.75, "auc": 0.5, "balanced accuracy": 0.5}
    half = np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.3, 0.7]])
    assert baselines.figures(half, truths)["balanced accuracy"] == pytest.approx((2 / 3 + 1) / 2)


def test_without_sagittal_samples_the_baselines_say_how_to_make_them(tmp_path):
    with pytest.raises(InputError, match="too few sagittal samples") as caught:
        baselines.train_baselines(tmp_path)
    assert "cache-sagittal" in caught.value.advice
