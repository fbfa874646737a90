"""Saliency: which voxels moved a network's answer, by MONAI's Grad-CAM and SmoothGrad.

Grad-CAM: Selvaraju et al. 2017, arXiv:1610.02391. SmoothGrad: Smilkov et al. 2017, arXiv:1706.03825. Both tell what
a network looked at, right or wrong; `neckfrac evaluate explanations` measures how often that is the fracture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from ..options import GRAD_CAM
from ..progress import Progress

COARSEST = 8  # Grad-CAM looks at maps of 1 / COARSEST of the slices' resolution or finer: at most 5 mm a cell
SAMPLES = 10  # noisy copies of a vertebra that SmoothGrad averages over
SPREAD = 0.05  # standard deviation of their noise as a share of the slices' range: about 90 HU of 1800
BLUR = 1.0  # voxels in plane, of SmoothGrad's grain

Answer = Callable[[nn.Module, torch.Tensor], torch.Tensor]


class Score(nn.Module):
    """A member's one answer to a stack of slices, as MONAI asks for it: [1, S, channels, y, x] to a logit [1, 1].

    The network is a copy: same weights in the same memory, but no gradient, hook or flag of the copy reaches it.
    """

    def __init__(self, network: nn.Module, answer: Answer) -> None:
        super().__init__()
        self.network, self.answer = weight_sharing_copy(network), answer

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.answer(self.network, images).float().reshape(1, 1)


def weight_sharing_copy(network: nn.Module) -> nn.Module:
    """A copy of the modules, in evaluation mode, over the very same weights; its parameters ask for no gradients."""
    shared = {id(part): nn.Parameter(part.detach(), requires_grad=False) for part in network.parameters()}
    shared |= {id(part): part.detach() for part in network.buffers()}
    copy = deepcopy(network, shared).eval()
    for module in copy.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # a map that is written over after the hook saw it has no gradient
    return copy


class Watched(nn.Module):
    """An encoder that a network uses for several inputs: only the pass that gradients flow through is looked at."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.watched, self._other = encoder, [weight_sharing_copy(encoder)]  # in a list, it is no part of this module

    def forward(self, images: torch.Tensor) -> object:
        return self.watched(images) if images.requires_grad else self._other[0](images)


def saliency(
    score: Score, images: torch.Tensor, method: str, *, progress: Progress | None = None, seed: int = 0
) -> np.ndarray:
    """What speaks for the score: float32 [S, h, w], at least 0, on any scale; for Grad-CAM coarser than the slices.

    images: float32 [1, S, channels, y, x], the slices of one vertebra.
    """
    progress = progress or Progress()
    progress.step(0.0)
    with _gradients(images.device, seed):
        images = images.detach().clone().requires_grad_()
        heat = grad_cam(score, images) if method == GRAD_CAM else smooth_grad(score, images, progress)
    progress.step(1.0)
    return heat


def grad_cam(score: Score, images: torch.Tensor) -> np.ndarray:
    """The maps of one layer, weighed slice by slice by how the score rises with each: [S, h, w]."""
    from monai.visualize import GradCAM

    cam = GradCAM(score, target_layers=layer_to_look_at(score, images))
    return cam.compute_map(images, class_idx=0)[:, 0].detach().float().cpu().numpy()


def smooth_grad(score: Score, images: torch.Tensor, progress: Progress) -> np.ndarray:
    """How strongly the score depends on each voxel, over noisy copies: [S, y, x], root mean square of the channels."""
    from monai.visualize import SmoothGrad

    def steps(count: int) -> Iterator[int]:
        for n in range(count):
            progress.step(n / count)
            yield n

    smooth = SmoothGrad(score, stdev_spread=SPREAD, n_samples=SAMPLES, verbose=False)
    smooth.range = steps
    heat = smooth(images.detach(), index=0, retain_graph=False)[0].square().mean(dim=1).sqrt()
    return ndimage.gaussian_filter(heat.float().cpu().numpy(), (0, BLUR, BLUR))


def layer_to_look_at(score: Score, images: torch.Tensor) -> str:
    """The deepest layer of maps that all of the answer passes through, no coarser than 1 / COARSEST.

    A layer that a shortcut leads round would tell a part of the story. When there is no such layer it is the deepest
    that is not too coarse. Only the encoder is looked at where the network has one. images must require gradients.
    Raises RuntimeError for a network without maps.
    """
    start = "network.encoder" if hasattr(score.network, "encoder") else "network"
    root, finest = score.get_submodule(start), images.shape[-1] // COARSEST
    seen: dict[str, list] = {}

    def note(name: str) -> Callable:
        return lambda module, _, output: seen.setdefault(name, []).append(output)

    with _hooks({module: note(name) for name, module in root.named_modules() if name}):
        score(images)
    maps = {name for name, calls in seen.items() if isinstance(calls[0], torch.Tensor) and calls[0].ndim == 4}
    blocks = [f"{name}." for name in maps if not isinstance(root.get_submodule(name), nn.Sequential)]
    found = []
    for name, calls in seen.items():  # in the order in which they were done
        if name in maps and len(calls) == 1 and not name.startswith(tuple(blocks)):
            channels, *sides = calls[0].shape[1:]
            if channels > 1 and min(sides) >= max(finest, 2):
                found.append(name)
    if not found:
        raise RuntimeError("The network has no layer of maps that Grad-CAM could look at.")
    whole = (name for name in reversed(found) if _decides_alone(score, root.get_submodule(name), images))
    return f"{start}.{next(whole, found[-1])}"


def _decides_alone(score: Score, layer: nn.Module, images: torch.Tensor) -> bool:
    """Whether the answer hangs on the images through this layer only."""
    with _hooks({layer: lambda module, _, output: output.detach()}):
        return not score(images).requires_grad


@contextmanager
def _hooks(hooks: dict[nn.Module, Callable]) -> Iterator[None]:
    handles = [module.register_forward_hook(hook) for module, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _gradients(device: torch.device, seed: int) -> Iterator[None]:
    """Gradients wherever this is called from, seeded noise, and a GRU that gives gradients in evaluation mode.

    cuDNN's recurrent networks give none then.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        with torch.backends.cudnn.flags(enabled=False), torch.autocast(device.type, enabled=False):
            yield
