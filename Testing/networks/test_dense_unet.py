import pytest
import torch
from neckfrac.networks.dense_unet import DenseUNet, fold


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return DenseUNet(channels=(8, 12, 16, 16)).eval()


def test_folding_puts_the_four_voxels_of_a_square_side_by_side():
    image = torch.arange(2 * 3 * 4 * 6).float().view(1, 2, 3, 4, 6)
    folded = fold(image)
    assert folded.shape == (1, 8, 3, 2, 3)
    assert folded[0, :4, 1, 0, 1].tolist() == image[0, 0, 1, 0:2, 2:4].flatten().tolist()
    assert folded[0, 4:, 2, 1, 2].tolist() == image[0, 1, 2, 2:4, 4:6].flatten().tolist()


def test_every_two_by_two_voxels_of_a_slice_get_one_answer_in_float32(network):
    with torch.inference_mode():
        first, second = network(torch.ones(2, 3, 16, 32, 48)), network(torch.ones(2, 3, 16, 32, 48))
    assert first.shape == (2, 16, 16, 24) and first.dtype == torch.float32
    assert torch.equal(first, second)


def test_what_lies_far_away_does_not_change_an_answer(network):
    """So a scan may be shown in parts: batch norm knows nothing of the rest of the image."""
    torch.manual_seed(1)
    image = torch.randn(1, 3, 160, 16, 16)
    other = image.clone()
    other[:, :, :40] = 5.0
    with torch.inference_mode():
        a, b = network(image)[0], network(other)[0]
    assert torch.equal(a[120:], b[120:]) and not torch.equal(a[:40], b[:40])


def test_a_loss_reaches_every_parameter_but_biases_before_a_norm():
    network = DenseUNet(channels=(8, 12, 16, 16)).train()
    network(torch.randn(2, 3, 16, 32, 32)).square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_an_untrained_detector_sees_fractures_almost_nowhere(network):
    with torch.inference_mode():
        assert network(torch.randn(1, 3, 16, 32, 32)).sigmoid().mean() < 0.1
