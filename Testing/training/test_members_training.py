import numpy as np
import pytest
import torch
from neckfrac.bundles.bundle import build_network, load_bundle
from neckfrac.networks.three_planes import ThreePlanes
from neckfrac.training import train as training
from neckfrac.training.tasks import TASKS
from neckfrac.training.three_planes import plane_batches, plane_loss

pytestmark = pytest.mark.usefixtures("one_thread")


def vertebra(broken: bool) -> dict:
    """A sample of one vertebra, C4, as the cache holds it; a break is a dark gap through it."""
    labels = np.zeros((52, 136, 136), np.uint8)
    labels[10:40, 40:90, 40:100] = 4
    fracture = np.zeros_like(labels)
    if broken:
        fracture[20:32, 50:80, 64:74] = 4
    hu = np.where(fracture > 0, 0, np.where(labels > 0, 600, 40)).astype(np.int16)
    return {"hu": hu, "labels": labels, "fracture": fracture, "level": np.int64(4)}


@pytest.fixture
def vertebrae(tmp_path):
    """The runs folder of a whole vertebra and a broken one, and their paths."""
    folder = tmp_path / "cache" / "vertebrae"
    folder.mkdir(parents=True)
    found = [folder / f"{n:08d}.npz" for n in (2, 3)]
    for path, broken in zip(found, (False, True), strict=True):
        np.savez(path, **vertebra(broken))
    (folder / "about.json").write_text('{"anatomy": "built-in", "built_in_necks": 1}')
    return found


def test_plane_batches_pair_the_views_of_each_vertebra_with_its_own_truth(vertebrae):
    batch = next(plane_batches(vertebrae, np.random.default_rng(0), size=4))
    assert batch["axial"].shape == (4, 8, 3, 128, 128) and batch["upright"].shape == (4, 16, 3, 80, 128)
    assert batch["axial_heat"].shape == (4, 8, 128, 128) and batch["upright_heat"].shape == (4, 16, 80, 128)
    assert sorted(batch["target"].tolist()) == [0.0, 0.0, 1.0, 1.0]
    for heat in ("axial_heat", "upright_heat"):
        assert ((batch[heat].flatten(1).sum(dim=1) > 0) == batch["target"].bool()).all()


def test_the_truth_of_a_view_lies_where_its_picture_is_broken(vertebrae):
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


def test_three_planes_learn_to_tell_a_broken_vertebra_from_a_whole_one(vertebrae):
    torch.manual_seed(0)
    network = ThreePlanes(widths=(8, 8, 16, 16), hidden=16, heat_channels=8, dropout=0.0)
    batch = next(plane_batches(vertebrae, np.random.default_rng(0), size=2))
    batch = {name: part[..., ::2, ::2] if part.ndim > 1 else part for name, part in batch.items()}
    optimizer = torch.optim.AdamW(network.parameters(), 5e-3)
    losses = []
    for _ in range(25):
        loss = plane_loss(network, batch)
        optimizer.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
        optimizer.step()
        losses.append(float(loss.detach()))
    logits = network.eval()(batch["axial"], batch["upright"])["logit"]
    assert losses[-1] < 0.5 * losses[0]
    assert logits[batch["target"] == 1].min() > logits[batch["target"] == 0].max() + 1


def test_three_planes_train_resume_and_become_a_bundle_that_can_be_verified(vertebrae, monkeypatch):
    from dataclasses import replace
    from functools import partial

    runs = vertebrae[0].parents[2]
    task = TASKS["planes"]
    small = {**task.network, "widths": [8, 8, 8, 8], "hidden": 8, "heat_channels": 8}
    few = replace(task, network=small, batches=partial(plane_batches, size=2))
    monkeypatch.setitem(TASKS, "planes", few)
    assert training.train("planes", runs, steps=2)
    assert training.trainer_for("planes", runs, steps=3, device=torch.device("cpu")).step == 2
    bundle = load_bundle(training.export("planes", runs, runs / "models"))
    bundle.verify()
    assert bundle.step == "planes" and "simulated" in bundle.metadata["neckfrac"]["trained_on"]
    inputs = bundle.metadata["network_data_format"]["inputs"]
    assert set(inputs) == {"axial", "upright"} and inputs["upright"]["spatial_shape"][0] == 16


@pytest.mark.parametrize("name", ["planes"])
def test_a_task_of_a_member_says_all_that_its_step_is_asked_with(name):
    import inspect

    from neckfrac.pipeline.members import CLASSIFY

    task = TASKS[name]
    wanted = set(inspect.signature(CLASSIFY[task.step]).parameters)
    given = {key for key in task.preprocessing if not key.startswith(("hu_", "spacing"))}
    assert given | {"segmented", "network", "intensity", "device", "progress"} == wanted
    assert sum(parameter.numel() for parameter in build_network(task.network).parameters()) < 3e6
