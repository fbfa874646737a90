"""A 2.5D U-Net that outlines the vertebrae at full in-plane detail."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import Convolution
from monai.networks.nets import FlexibleUNet
from torch import nn
from torch.nn import functional

LEAKY_RELU = ("leakyrelu", {"negative_slope": 0.01, "inplace": True})


class SegmentUNet(nn.Module):
    """Logits of `n_classes` for every pixel of an axial slice, seen with its neighbours and the located levels.

    Input: [batch, 2 * neighbours + 1 + n_prior, y, x]. First the slices from below (inferior) to above with
    the one to segment in the middle, normalised as for `LocateUNet`; then `n_prior` channels with the
    located probabilities (0 to 1) at that slice, in the order of `neckfrac.anatomy.CLASS_NAMES`.
    Output: logits [batch, n_classes, y, x], float32, of the same classes.
    Any size from 32 pixels a side; the compact encoder pads odd sizes by one inside and crops again.

    encoder: "compact", or a MONAI `FlexibleUNet` backbone for the full size ("efficientnet-b0").
    channels: of the compact encoder, at 1/2, 1/4, 1/8 and 1/16 of the resolution. It folds each 2x2 block of
    pixels into channels first and unfolds them last, a quarter of the work at full resolution; a thin
    full-resolution residual that sees the middle slice again then draws the border.
    Group norm: slices of one volume are alike, so a batch is no sample of what a batch norm should average, and
    statistics of simulated slices need not hold for patients.
    """

    def __init__(
        self,
        neighbours: int = 2,
        n_prior: int = 12,
        channels: Sequence[int] = (32, 64, 96, 128),
        n_classes: int = 12,
        encoder: str = "compact",
        border_channels: int = 8,
    ) -> None:
        super().__init__()
        self.neighbours = neighbours
        in_channels = 2 * neighbours + 1 + n_prior
        self.backbone = None
        if encoder != "compact":
            self.backbone = FlexibleUNet(in_channels, n_classes, backbone=encoder, pretrained=False)
            return
        channels = tuple(channels)
        coarser_first = range(len(channels) - 2, -1, -1)
        self.encoder = nn.ModuleList()
        previous = in_channels * 4
        for stage, width in enumerate(channels):
            stride = 1 if stage == 0 else 2
            self.encoder.append(nn.Sequential(_convolution(previous, width, stride), _convolution(width, width)))
            previous = width
        self.rise = nn.ModuleList(nn.Conv2d(channels[n + 1], channels[n] // 2, 1) for n in coarser_first)
        self.decoder = nn.ModuleList(_convolution(channels[n] + channels[n] // 2, channels[n]) for n in coarser_first)
        self.refine = _convolution(channels[0], channels[0])
        self.head = nn.Conv2d(channels[0], n_classes * 4, 3, padding=1)
        self.border = nn.Sequential(
            nn.Conv2d(n_classes + 1, border_channels, 3, padding=1),
            nn.LeakyReLU(0.01, inplace=True),
            nn.Conv2d(border_channels, n_classes, 3, padding=1),
        )

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        if self.backbone is not None:
            return self.backbone(slices).float()
        height, width = slices.shape[2:]
        padded = functional.pad(slices, (0, width % 2, 0, height % 2), mode="replicate")
        features = functional.pixel_unshuffle(padded, 2)
        skips = []
        for stage in self.encoder:
            features = stage(features)
            skips.append(features)
        for rise, convolution, skip in zip(self.rise, self.decoder, skips[-2::-1], strict=True):
            below = functional.interpolate(rise(features), scale_factor=2.0, mode="nearest")
            features = convolution(torch.cat([skip, below[..., : skip.shape[2], : skip.shape[3]]], dim=1))
        logits = functional.pixel_shuffle(self.head(self.refine(features)), 2)
        middle = padded[:, self.neighbours : self.neighbours + 1]
        logits = logits + self.border(torch.cat([logits, middle.to(logits.dtype)], dim=1))
        return logits[..., :height, :width].float()


def _convolution(in_channels: int, out_channels: int, stride: int = 1) -> Convolution:
    return Convolution(
        2, in_channels, out_channels, strides=stride, bias=False,
        adn_ordering="NA", norm=("group", {"num_groups": 8}), act=LEAKY_RELU,
    )  # fmt: skip
