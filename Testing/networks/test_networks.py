"""Every network: shapes, repeatable answers, gradients everywhere, and the size that fits the embedded bundles."""

from __future__ import annotations

import pytest
import torch
from neckfrac.anatomy import LEVEL_NAMES, N_CLASSES
from neckfrac.networks.locate_unet import LocateUNet
from neckfrac.networks.segment_unet import SegmentUNet
from neckfrac.networks.slice_classifier import ModelOne, SliceClassifier
from neckfrac.networks.vertebra_sequence import VertebraSequence

EMBEDDED_BYTES = 9_600_000
CASES = {
    "locate": (LocateUNet, (2, 1, 32, 32, 48)),
    "segment": (SegmentUNet, (2, 17, 48, 64)),
    "slices": (SliceClassifier, (3, 3, 64, 64)),
    "vertebrae": (VertebraSequence, (2, 6, 4, 48, 64)),
}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def tensors(output) -> list[torch.Tensor]:
    if isinstance(output, dict):
        return list(output.values())
    return list(output) if isinstance(output, list) else [output]


def n_parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", CASES)
def test_a_network_in_evaluation_answers_the_same_twice_and_in_float32(name):
    build, shape = CASES[name]
    network, images = build().eval(), torch.randn(shape)
    with torch.inference_mode():
        first, second = tensors(network(images)), tensors(network(images))
    assert all(part.dtype == torch.float32 and torch.isfinite(part).all() for part in first)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_a_loss_on_all_outputs_reaches_every_parameter(name):
    build, shape = CASES[name]
    network = build().train()
    sum((part**2).mean() for part in tensors(network(torch.randn(shape)))).backward()
    untouched = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert untouched == []


@pytest.mark.parametrize("name", CASES)
def test_samples_of_a_batch_do_not_influence_each_other_in_evaluation(name):
    build, shape = CASES[name]
    network, images = build().eval(), torch.randn(shape)
    with torch.inference_mode():
        together, alone = tensors(network(images)), tensors(network(images[1:2]))
    for whole, single in zip(together, alone, strict=True):
        torch.testing.assert_close(whole[1:2], single, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_autocast_answers_nearly_as_float32_does(name):
    build, shape = CASES[name]
    network, images = build().eval(), torch.randn(shape)
    with torch.inference_mode():
        exact = tensors(network(images))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = tensors(network(images))
    for a, b in zip(exact, rounded, strict=True):
        assert b.dtype == torch.float32
        assert (a - b).abs().max() < 0.05 * max(float(a.abs().max()), 1.0)


@pytest.mark.parametrize("name", ["locate", "segment"])
def test_a_few_steps_on_one_batch_lower_the_loss(name):
    build, shape = CASES[name]
    coarse = torch.randn(*shape[:2], *(length // 8 for length in shape[2:]))
    network, images = build().train(), torch.nn.functional.interpolate(coarse, shape[2:], mode="nearest")
    labels = (images[:, 0] > 0).long() * 3
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(10):
        loss = torch.nn.functional.cross_entropy(tensors(network(images))[0], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("size", [(17, 2, 1), (32, 48, 16), (33, 17, 50)])
def test_locate_answers_at_the_resolution_of_any_input(size):
    logits = LocateUNet().eval()(torch.randn(1, 1, *size))
    assert logits.shape == (1, N_CLASSES + 3, *size), "three more: the way to the centre"


def test_locate_supervises_two_coarser_grids_in_training_only():
    network = LocateUNet(channels=(8, 8, 8, 8))
    volume = torch.randn(1, 1, 33, 32, 40)
    assert [tuple(logits.shape[2:]) for logits in network(volume)] == [(33, 32, 40), (9, 8, 10), (5, 4, 5)]
    assert isinstance(network.eval()(volume), torch.Tensor)
    assert isinstance(LocateUNet(channels=(8, 8, 8), deep_supervision=False)(volume), torch.Tensor)


@pytest.mark.parametrize("size", [(32, 32), (47, 50), (224, 224)])
def test_segment_answers_at_the_resolution_of_any_input(size):
    assert SegmentUNet().eval()(torch.randn(1, 17, *size)).shape == (1, N_CLASSES, *size)


def test_segment_sees_the_middle_slice_at_full_resolution():
    # One changed pixel of one slice must be able to change the logits there, not only its 2x2 block's.
    network, images = SegmentUNet().eval(), torch.zeros(1, 17, 32, 32)
    changed = images.clone()
    changed[0, 2, 16, 17] = 1.0
    with torch.inference_mode():
        change = (network(changed) - network(images)).abs().sum(1)[0]
    assert change[16, 17] > 0 and not torch.isclose(change[16, 17], change[16, 16])


def test_segment_takes_other_neighbours_and_priors():
    network = SegmentUNet(neighbours=1, n_prior=9, n_classes=4)
    assert network(torch.randn(2, 12, 32, 32)).shape == (2, 4, 32, 32)


def test_model_one_is_eight_independent_classifiers():
    network = ModelOne(size=64).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        logits = network(images)
        assert logits.shape == (2, 1 + len(LEVEL_NAMES))
        assert torch.equal(logits[:, 3:4], network.classifiers[3](images))


def test_vertebra_sequence_has_logit_slice_logits_and_heat():
    network = VertebraSequence(slices=5, in_channels=4).eval()
    output = network(torch.randn(2, 5, 4, 112, 100))
    assert {name: tuple(part.shape) for name, part in output.items()} == {
        "logit": (2,),
        "slice_logits": (2, 5),
        "heat": (2, 5, 56, 50),
    }


def test_the_strongest_heat_of_one_slice_reaches_the_vertebra_at_once():
    network, images = VertebraSequence(dropout=0.0).eval(), torch.randn(1, 6, 4, 48, 48)
    with torch.inference_mode():
        network.vertebra_head.weight.zero_()
        network.vertebra_head.weight[0, -1] = 1.0
        output = network(images)
    expected = output["heat"].amax() + network.vertebra_head.bias.detach()[0]
    assert output["logit"][0] == pytest.approx(float(expected), abs=1e-5)


def test_vertebra_sequence_looks_along_the_slices_both_ways():
    network, images = VertebraSequence(dropout=0.0).eval(), torch.randn(1, 6, 4, 48, 48)
    changed = images.clone()
    changed[0, 3] += 1.0
    with torch.inference_mode():
        change = (network(images)["slice_logits"] - network(changed)["slice_logits"]).abs()[0]
    assert (change > 1e-6).all()
    assert change[3] > change[0]


@pytest.mark.parametrize(
    ("build", "shape", "millions"),
    [
        (lambda: SegmentUNet(encoder="efficientnet-b0"), (1, 17, 64, 64), (5, 10)),
        (lambda: SliceClassifier(full="efficientnet-b5"), (1, 3, 64, 64), (25, 32)),
        (lambda: VertebraSequence(encoder="resnet50", hidden=256), (1, 2, 4, 64, 64), (23, 32)),
        (lambda: VertebraSequence(encoder="resnet18"), (1, 2, 4, 64, 64), (11, 12)),
    ],
    ids=["FlexibleUNet-B0", "EfficientNet-B5", "ResNet-50", "ResNet-18"],
)
def test_full_sizes_come_by_configuration(build, shape, millions):
    network = build().eval()
    assert millions[0] * 1e6 < n_parameters(network) < millions[1] * 1e6
    with torch.inference_mode():
        output = network(torch.randn(shape))
    if isinstance(output, dict):
        assert output["heat"].shape == (1, 2, 16, 16)
    else:
        assert output.shape[0] == 1 and torch.isfinite(output).all()


def test_all_compact_networks_fit_the_embedded_bundles():
    sizes = [n_parameters(build()) for build in (LocateUNet, SegmentUNet, ModelOne, VertebraSequence)]
    assert sizes[0] <= 1.9e6 and sizes[1] <= 0.8e6 and sizes[2] <= 8 * 150_000 and sizes[3] <= 0.95e6
    assert 2 * sum(sizes) <= EMBEDDED_BYTES
