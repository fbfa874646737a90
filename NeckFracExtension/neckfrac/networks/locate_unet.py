"""A 3D U-Net that names the bones of the neck at low resolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import Convolution
from monai.networks.utils import pixelshuffle, pixelunshuffle
from torch import nn
from torch.nn import functional

LEAKY_RELU = ("leakyrelu", {"negative_slope": 0.01, "inplace": True})


class LocateUNet(nn.Module):
    """Names every voxel of a 2 mm volume and points to its vertebra; its convolutions run at 4 mm and coarser.

    The stem folds each 2x2x2 block of voxels into channels and the head unfolds them again, so that
    the finest grid costs next to nothing: a volume of the neck fits through in a few seconds on two
    CPU cores. Instance norm, because a training batch holds two volumes and because each scan then
    brings its own contrast with it.

    Input: [batch, 1, z, y, x], HU clipped to -300...1500, minus 200, divided by 500. Any size with a
    side longer than 16 voxels; odd sizes are padded by one inside (edge voxels repeated) and cropped again.
    Output: [batch, n_classes + n_offsets, z, y, x], float32: the classes' logits, then for every voxel of a
    vertebra the way (z, y, x; in units of ten voxels) to the centre of that vertebra's body, by which the voxels
    of one vertebra find each other whatever its name. While training with `deep_supervision`: a list,
    finest first, of these at the input's resolution, and of the logits alone at a quarter and an eighth of it
    (rounded up).

    channels: at 4, 8, 16, 32 mm when the input is at 2 mm.
    """

    def __init__(
        self,
        channels: Sequence[int] = (24, 48, 96, 128),
        n_classes: int = 12,
        n_offsets: int = 3,
        in_channels: int = 1,
        deep_supervision: bool = True,
    ) -> None:
        super().__init__()
        channels = tuple(channels)
        self.deep_supervision = deep_supervision
        coarser_first = range(len(channels) - 2, -1, -1)
        self.encoder = nn.ModuleList()
        previous = in_channels * 8
        for stage, width in enumerate(channels):
            stride = 1 if stage == 0 else 2
            self.encoder.append(nn.Sequential(_convolution(previous, width, stride), _convolution(width, width)))
            previous = width
        # Half the width comes up from below, the whole from the side: most of a decoder's parameters
        # would lie in the coarsest concatenation, where they help least.
        self.rise = nn.ModuleList(nn.Conv3d(channels[n + 1], channels[n] // 2, 1) for n in coarser_first)
        self.decoder = nn.ModuleList(_convolution(channels[n] + channels[n] // 2, channels[n]) for n in coarser_first)
        self.refine = _convolution(channels[0], channels[0])
        self.head = nn.Conv3d(channels[0], (n_classes + n_offsets) * 8, 1)
        # The coarser heads belong to training alone but stay in the weights: 2,000 parameters.
        self.coarse_heads = nn.ModuleList(
            nn.Conv3d(channels[n], n_classes, 1) for n in (1, 2) if deep_supervision and n < len(channels) - 1
        )

    def forward(self, volume: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        size = volume.shape[2:]
        padding = [part for length in reversed(size) for part in (0, length % 2)]
        features = pixelunshuffle(functional.pad(volume, padding, mode="replicate"), 3, 2)
        skips = []
        for stage in self.encoder:
            features = stage(features)
            skips.append(features)
        decoded = []
        for rise, convolution, skip in zip(self.rise, self.decoder, skips[-2::-1], strict=True):
            below = functional.interpolate(rise(features), scale_factor=2.0, mode="nearest")
            below = below[..., : skip.shape[2], : skip.shape[3], : skip.shape[4]]
            features = convolution(torch.cat([skip, below], dim=1))
            decoded.append(features)
        logits = pixelshuffle(self.head(self.refine(features)), 3, 2)
        logits = logits[..., : size[0], : size[1], : size[2]].float()
        if not (self.training and self.deep_supervision):
            return logits
        return [logits, *(head(map_).float() for head, map_ in zip(self.coarse_heads, decoded[-2::-1], strict=True))]


def _convolution(in_channels: int, out_channels: int, stride: int = 1) -> Convolution:
    return Convolution(
        3, in_channels, out_channels, strides=stride, bias=False,
        adn_ordering="NA", norm=("instance", {"affine": True}), act=LEAKY_RELU,
    )  # fmt: skip
