"""The further members of the ensemble: shapes, what they attend to, and the size that fits a laptop."""

from __future__ import annotations

import pytest
import torch
from neckfrac.networks.baselines import BASELINES
from neckfrac.networks.sagittal_nine import SagittalNine
from neckfrac.networks.three_planes import ThreePlanes
from neckfrac_lab.training.tasks import TASKS
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
        "heat": (2, 3, 32, 32),
        "upright_heat": (2, 6, 24, 32),
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
        network.heat.head.bias += 3.0
        network.view.weight[:, -1] = 0.0  # not by way of the views' features
        after = network(axial, upright)
        network.heat.head.bias -= 3.0
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
    assert flops(network, *images) < 13e9, "a vertebra"


def images(batch=2):
    """Nine images with a square for each of C1...C6, one below the other; C7 is not there."""
    labels = torch.zeros(batch, 9, 112, 48, dtype=torch.long)
    for level in range(1, 7):
        labels[:, 2:7, 112 - 16 * level : 124 - 16 * level, 16:32] = level
    return torch.randn(labels.shape), labels


def test_nine_images_give_eight_logits_and_heat_at_half_of_the_other_members_resolution():
    output = SagittalNine().eval()(*images())
    assert output["logits"].shape == (2, 8) and output["heat"].shape == (2, 9, 93, 40)
    assert all(part.dtype == torch.float32 and torch.isfinite(part).all() for part in output.values())


def test_a_levels_logit_is_read_out_at_its_own_place():
    network, (hu, labels) = SagittalNine().eval(), images(1)
    exchanged = labels.clone()
    exchanged[labels == 2], exchanged[labels == 5] = 5, 2
    with torch.inference_mode():
        network.level.weight.zero_()
        before, after = network(hu, labels), network(hu, exchanged)
    assert torch.equal(before["heat"], after["heat"])
    said, said_then = before["logits"][0], after["logits"][0]
    assert said[2] != said[5] and torch.allclose(said[[5, 2]], said_then[[2, 5]], atol=1e-5)
    assert torch.allclose(said[[0, 1, 3, 4, 6, 7]], said_then[[0, 1, 3, 4, 6, 7]], atol=1e-5)


def test_a_level_without_a_voxel_does_not_speak_for_the_patient():
    network, (hu, labels) = SagittalNine().eval(), images(1)
    with torch.inference_mode():
        before = network(hu, labels)["logits"][0, 0]
        network.level.weight[6] += 100.0  # that of C7, which no image shows
        assert network(hu, labels)["logits"][0, 0] == before
        network.level.weight[5] += 100.0
        assert network(hu, labels)["logits"][0, 0] != before
        assert torch.isfinite(network(hu, torch.zeros_like(labels))["logits"]).all()


def test_nine_images_of_a_neck_take_as_long_as_two_vertebrae_in_three_planes():
    network = SagittalNine()
    assert sum(parameter.numel() for parameter in network.parameters()) < 1e6
    assert flops(network, torch.zeros(1, 9, 176, 128), torch.zeros(1, 9, 176, 128, dtype=torch.long)) < 26e9


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("classes", [2, 7])
def test_every_baseline_answers_of_single_images(name, classes):
    network = BASELINES[name](classes).eval()
    with torch.inference_mode():
        logits = network(torch.randn(2, 1, 88, 64))
    assert logits.shape == (2, classes) and torch.isfinite(logits).all()
    assert not torch.equal(logits[0], logits[1])
