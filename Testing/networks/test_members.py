"""The further members of the ensemble: shapes, what they attend to, and the size that fits a laptop."""

from __future__ import annotations

import pytest
import torch
from neckfrac.networks.three_planes import ThreePlanes
from neckfrac.training.tasks import TASKS
from torch.utils.flop_counter import FlopCounterMode

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def views(batch=2, count=3):
    return torch.randn(batch, count, 3, 64, 64), torch.randn(batch, 2 * count, 3, 48, 64)


def flops(network, *inputs) -> int:
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network.eval()(*inputs)
    return counter.get_total_flops()


def test_three_planes_say_whether_in_which_view_and_where():
    output = ThreePlanes().eval()(*views())
    assert {name: tuple(part.shape) for name, part in output.items()} == {
        "logit": (2,),
        "view_logits": (2, 9),
        "heat": (2, 3, 8, 8),
        "upright_heat": (2, 6, 6, 8),
    }
    assert all(part.dtype == torch.float32 for part in output.values())


def test_one_changed_view_of_any_plane_changes_the_vertebras_answer():
    network, (axial, upright) = ThreePlanes().eval(), views(1)
    with torch.inference_mode():
        before = network(axial, upright)
        for changed, view in ((axial, 1), (upright, 1), (upright, 4)):
            images = changed.clone()
            images[:, view] += 2.0
            after = network(images, upright) if changed is axial else network(axial, images)
            assert (after["logit"] - before["logit"]).abs() > 1e-4
            number = view if changed is axial else 3 + view
            change = (after["view_logits"] - before["view_logits"])[0].abs()
            assert change.argmax() == number and change.sum() == pytest.approx(float(change[number]), abs=1e-5)


def test_the_same_picture_means_another_thing_in_another_plane():
    network, image = ThreePlanes().eval(), torch.randn(1, 1, 3, 64, 64)
    with torch.inference_mode():
        said = network(image, image.expand(-1, 2, -1, -1, -1))["view_logits"][0]
    assert len(set(said.tolist())) == 3


def test_the_strongest_heat_reaches_the_vertebra_at_once():
    network, (axial, upright) = ThreePlanes().eval(), views(1)
    with torch.inference_mode():
        before = network(axial, upright)
        network.heat_head.bias += 3.0
        network.view.weight[:, -1] = 0.0  # not by way of the views' features
        after = network(axial, upright)
        network.heat_head.bias -= 3.0
        without = network(axial, upright)
    assert after["heat"].max() == pytest.approx(float(before["heat"].max()) + 3, abs=1e-4)
    assert float(after["logit"] - without["logit"]) == pytest.approx(1.5, abs=1e-3)


def test_three_planes_are_small_enough_to_embed_and_to_run_without_a_gpu():
    task = TASKS["planes"]
    from neckfrac.bundles.bundle import build_network

    network, settings = build_network(task.network), task.preprocessing
    count, size, rows = settings["views"], settings["size"], settings["rows"]
    images = torch.zeros(1, count, 3, size, size), torch.zeros(1, 2 * count, 3, rows, size)
    assert sum(parameter.numel() for parameter in network.parameters()) < 1e6
    assert flops(network, *images) < 6e9, "a vertebra"
