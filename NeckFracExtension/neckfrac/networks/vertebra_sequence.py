"""Model II: a residual network for each slice of a vertebra, a recurrent network along them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

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
    "heat" [batch, slices, h, w], logits of "fractured here" at the resolution of the encoder's finest features.

    encoder: "compact" or a full-size MONAI ResNet ("resnet18", "resnet50").
    widths, blocks: of the compact encoder's stages at 1/1, 1/2, 1/4 and 1/8 of the resolution: a hairline is a voxel
    wide, and an encoder that began with a stride learned more slowly. It is built with group norm, because the slices
    of a batch come from few vertebrae and are alike; MONAI's ResNet can't be told so (its blocks always get batch
    norm), its blocks can.
    slices: how many it is trained with; it takes other numbers too.
    hidden: of each direction of the two-layer recurrent network (full size: 256).
    """

    def __init__(
        self,
        encoder: str = "compact",
        in_channels: int = 4,
        slices: int = 24,
        hidden: int = 64,
        widths: Sequence[int] = (16, 32, 64, 128),
        blocks: Sequence[int] = (1, 1, 2, 1),
        heat_channels: int = 32,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.slices = slices
        compact = encoder == "compact"
        self.encoder = CompactResNet(in_channels, widths, blocks) if compact else FullResNet(encoder, in_channels)
        coarse = self.encoder.n_features[-1]
        self.spatial_dropout = nn.Dropout1d(dropout)
        self.recurrent = nn.GRU(coarse + heat_channels + 1, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.attention = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.vertebra_head = nn.Linear(2 * hidden + 2, 1)
        self.slice_head = nn.Linear(2 * hidden, 1)
        self.heat = HeatPyramid(self.encoder.n_features, heat_channels)

    def forward(self, slices: torch.Tensor) -> dict[str, torch.Tensor]:
        features, hottest, heat = look(self.encoder, self.heat, slices)
        features = self.spatial_dropout(features.transpose(1, 2)).transpose(1, 2)
        # Small and sensitive to rounding: the recurrent part stays in float32 under autocast.
        with torch.autocast(slices.device.type, enabled=False):
            states, _ = self.recurrent(features)
            weights = self.attention(states).softmax(dim=1)
            slice_logits = self.slice_head(states)[..., 0]
            # The strongest evidence of one slice and of one place go straight to the answer: from few vertebrae the
            # pooled states alone learn slowly.
            strongest = torch.stack([slice_logits.amax(dim=1), hottest.amax(dim=1)], dim=1)
            logit = self.vertebra_head(torch.cat([(weights * states).sum(dim=1), strongest], dim=1))[:, 0]
        return {"logit": logit, "slice_logits": slice_logits, "heat": heat}


def look(
    encoder: nn.Module, heat: nn.Module, images: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features [batch, n, channels], strongest heat [batch, n] and heat [batch, n, h, w] of each image, float32.

    images: [batch, n, channels, y, x]. heat: a `HeatPyramid`. A mean over the image drowns a hairline; the strongest
    answer anywhere does not.
    """
    shape = images.shape[:2]
    maps = encoder(images.flatten(0, 1))
    fused, where = heat(maps)
    hottest = where.amax(dim=(2, 3)).float()
    features = [maps[-1].mean(dim=(2, 3)).float(), fused.amax(dim=(2, 3)).float(), hottest]
    parts = (torch.cat(features, dim=1), hottest[:, 0], where[:, 0].float())
    return tuple(part.unflatten(0, shape) for part in parts)


class HeatPyramid(nn.Module):
    """Feature maps, finest first, to one map of features [n, channels, h, w] and logits [n, 1, h, w] of "here"."""

    def __init__(self, n_features: Sequence[int], channels: int) -> None:
        super().__init__()
        self.sides = nn.ModuleList(nn.Conv2d(n, channels, 1) for n in n_features)
        self.head = nn.Conv2d(channels, 1, 1)

    def forward(self, maps: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        fused = self.sides[-1](maps[-1])
        for side, features in zip(self.sides[-2::-1], maps[-2::-1], strict=True):
            fused = side(features) + functional.interpolate(fused, features.shape[2:], mode="nearest")
        fused = functional.relu(fused)
        return fused, self.head(fused)


class CompactResNet(nn.Module):
    """Images [n, in_channels, y, x] to the feature maps of the last three stages, each half as fine as the one before.

    The first stage has the images' own resolution divided by `stride`.
    """

    def __init__(self, in_channels: int, widths: Sequence[int], blocks: Sequence[int], stride: int = 1) -> None:
        super().__init__()
        self.stem = Convolution(
            2, in_channels, widths[0], strides=stride, kernel_size=3, bias=False,
            adn_ordering="NA", norm=GROUP_NORM, act=("relu", {"inplace": True}),
        )  # fmt: skip
        self.stages = nn.ModuleList()
        previous = widths[0]
        for number, (width, n_blocks) in enumerate(zip(widths, blocks, strict=True)):
            stage = [_block(previous, width, stride=1 if number == 0 else 2)]
            stage += [_block(width, width) for _ in range(n_blocks - 1)]
            self.stages.append(nn.Sequential(*stage))
            previous = width
        self.n_features = tuple(widths[-3:])

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        maps = [self.stem(images)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return tuple(maps[-3:])


class FullResNet(nn.Module):
    """A full-size MONAI ResNet: images [n, in_channels, y, x] to feature maps at 1/4, 1/8 and 1/16 of the resolution.

    Strides as published end at 1/32; the last stage keeps the one before's resolution, so that heat stays fine.
    """

    def __init__(self, name: str, in_channels: int) -> None:
        super().__init__()
        self.network = ResNetFeatures(name, pretrained=False, spatial_dims=2, in_channels=in_channels)
        for module in self.network.layer4.modules():
            if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
                module.stride = (1, 1)
        shortcut = self.network.layer4[0].downsample
        if isinstance(shortcut, partial):  # MONAI's shortcut without weights (ResNet-18 and 34)
            self.network.layer4[0].downsample = partial(shortcut.func, **{**shortcut.keywords, "stride": 1})
        expansion = self.network.layer2[0].expansion
        self.n_features = (64 * expansion, 128 * expansion, 512 * expansion)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        maps = self.network(images)
        return maps[-4], maps[-3], maps[-1]


def _block(in_channels: int, channels: int, stride: int = 1) -> ResNetBlock:
    shortcut = None
    if stride != 1 or in_channels != channels:
        shortcut = Convolution(
            2, in_channels, channels, strides=stride, kernel_size=1, bias=False,
            adn_ordering="N", norm=GROUP_NORM,
        )  # fmt: skip
    return ResNetBlock(in_channels, channels, spatial_dims=2, stride=stride, downsample=shortcut, norm=GROUP_NORM)
