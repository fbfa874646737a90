"""Model II: a residual network for each slice of a vertebra, a recurrent network along them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import Convolution
from monai.networks.nets.resnet import ResNetBlock, ResNetFeatures
from torch import nn
from torch.nn import functional

GROUP_NORM = ("group", {"num_groups": 8})


class VertebraSequence(nn.Module):
    """Fracture logits of a vertebra from its slices, with a heat map that says where.

    Input: [batch, slices, in_channels, y, x]: for each slice of the vertebra's crop, the slice with one
    neighbour on each side (windowed, 0 to 1) and the vertebra's mask. Any number of slices; y and x from 32.
    Output: a dictionary of float32 tensors: "logit" [batch], of the vertebra; "slice_logits" [batch, slices];
    "heat" [batch, slices, ceil(y / 8), ceil(x / 8)], logits of "fractured here".

    encoder: "compact" or a full-size MONAI ResNet ("resnet18", "resnet50").
    widths, blocks: of the compact encoder's stages at 1/2, 1/4, 1/8 and 1/16 of the resolution. It is built with
    group norm, because the slices of a batch come from few vertebrae and are alike; MONAI's ResNet can't be told
    so (its blocks always get batch norm), its blocks can.
    slices: how many it is trained with; it takes other numbers too.
    hidden: of each direction of the two-layer recurrent network (full size: 256).
    """

    def __init__(
        self,
        encoder: str = "compact",
        in_channels: int = 4,
        slices: int = 24,
        hidden: int = 64,
        widths: Sequence[int] = (24, 48, 96, 160),
        blocks: Sequence[int] = (1, 1, 2, 1),
        heat_channels: int = 32,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.slices = slices
        compact = encoder == "compact"
        self.encoder = CompactResNet(in_channels, widths, blocks) if compact else FullResNet(encoder, in_channels)
        fine, coarse = self.encoder.n_features
        self.spatial_dropout = nn.Dropout1d(dropout)
        self.recurrent = nn.GRU(coarse + heat_channels + 1, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.attention = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.vertebra_head = nn.Linear(2 * hidden, 1)
        self.slice_head = nn.Linear(2 * hidden, 1)
        self.heat_fine = nn.Conv2d(fine, heat_channels, 1)
        self.heat_coarse = nn.Conv2d(coarse, heat_channels, 1)
        self.heat_head = nn.Conv2d(heat_channels, 1, 1)

    def forward(self, slices: torch.Tensor) -> dict[str, torch.Tensor]:
        batch, n_slices = slices.shape[:2]
        fine, coarse = self.encoder(slices.flatten(0, 1))
        fused = self.heat_fine(fine) + functional.interpolate(self.heat_coarse(coarse), fine.shape[2:], mode="nearest")
        fused = functional.relu(fused)
        heat = self.heat_head(fused)
        # A mean over the slice drowns a hairline; the strongest answer anywhere does not.
        pooled = [coarse.mean(dim=(2, 3)), fused.amax(dim=(2, 3)), heat.amax(dim=(2, 3))]
        features = torch.cat([part.float() for part in pooled], dim=1).unflatten(0, (batch, n_slices))
        features = self.spatial_dropout(features.transpose(1, 2)).transpose(1, 2)
        # Small and sensitive to rounding: the recurrent part stays in float32 under autocast.
        with torch.autocast(slices.device.type, enabled=False):
            states, _ = self.recurrent(features)
            weights = self.attention(states).softmax(dim=1)
            logit = self.vertebra_head((weights * states).sum(dim=1))[:, 0]
            slice_logits = self.slice_head(states)[..., 0]
        return {
            "logit": logit,
            "slice_logits": slice_logits,
            "heat": heat[:, 0].float().unflatten(0, (batch, n_slices)),
        }


class CompactResNet(nn.Module):
    """Images [n, in_channels, y, x] to feature maps at 1/8 and 1/16 of the resolution."""

    def __init__(self, in_channels: int, widths: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        self.stem = Convolution(
            2, in_channels, widths[0], strides=2, kernel_size=5, bias=False,
            adn_ordering="NA", norm=GROUP_NORM, act=("relu", {"inplace": True}),
        )  # fmt: skip
        self.stages = nn.ModuleList()
        previous = widths[0]
        for number, (width, n_blocks) in enumerate(zip(widths, blocks, strict=True)):
            stage = [_block(previous, width, stride=1 if number == 0 else 2)]
            stage += [_block(width, width) for _ in range(n_blocks - 1)]
            self.stages.append(nn.Sequential(*stage))
            previous = width
        self.n_features = (widths[-2], widths[-1])

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.stem(images)
        for stage in self.stages:
            finer, features = features, stage(features)
        return finer, features


class FullResNet(nn.Module):
    """A full-size MONAI ResNet: images [n, in_channels, y, x] to feature maps at 1/8 and 1/16 of the resolution.

    Strides as published end at 1/32; the last stage keeps the one before's resolution, so that heat stays fine.
    """

    def __init__(self, name: str, in_channels: int) -> None:
        super().__init__()
        self.network = ResNetFeatures(name, pretrained=False, spatial_dims=2, in_channels=in_channels)
        for module in self.network.layer4.modules():
            if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
                module.stride = (1, 1)
        expansion = self.network.layer2[0].expansion
        self.n_features = (128 * expansion, 512 * expansion)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.network(images)
        return maps[-3], maps[-1]


def _block(in_channels: int, channels: int, stride: int = 1) -> ResNetBlock:
    shortcut = None
    if stride != 1 or in_channels != channels:
        shortcut = Convolution(
            2, in_channels, channels, strides=stride, kernel_size=1, bias=False,
            adn_ordering="N", norm=GROUP_NORM,
        )  # fmt: skip
    return ResNetBlock(in_channels, channels, spatial_dims=2, stride=stride, downsample=shortcut, norm=GROUP_NORM)
