"""Plain image classifiers to compare the members with: each sees one sagittal image and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets import EfficientNetBN, resnet18
from torch import nn


def conv(in_channels: int, channels: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    padded = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(padded, nn.BatchNorm2d(channels), nn.ReLU())


def head(channels: int, classes: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class ConvNet(nn.Sequential):
    """Convolutions with pooling between: logits [batch, classes] of images [batch, 1, z, y]; after each width the
    resolution is halved."""

    def __init__(self, classes: int, widths: Sequence[int] = (16, 32, 64)) -> None:
        layers, previous = [], 1
        for width in widths:
            layers += [conv(previous, width), nn.MaxPool2d(2)]
            previous = width
        super().__init__(*layers, head(previous, classes))


class AlexNetLike(nn.Sequential):
    """AlexNet (Krizhevsky 2012) at a quarter of its width, with batch norm, and 3 x 2 cells before its dense layers."""

    def __init__(self, classes: int) -> None:
        super().__init__(
            conv(1, 16, 11, 2), nn.MaxPool2d(3, 2), conv(16, 48, 5), nn.MaxPool2d(3, 2), conv(48, 96), conv(96, 64),
            conv(64, 64), nn.AdaptiveMaxPool2d((3, 2)), nn.Flatten(), nn.Dropout(0.5), nn.Linear(384, 256), nn.ReLU(),
            nn.Dropout(0.5), nn.Linear(256, classes),
        )  # fmt: skip


class SeparableBlock(nn.Module):
    """Two depthwise separable convolutions and a pooling, beside a strided shortcut (Xception's entry flow)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        layers = []
        for inside in (in_channels, channels):
            depthwise = nn.Conv2d(inside, inside, 3, padding=1, groups=inside, bias=False)
            layers += [nn.ReLU(), depthwise, nn.Conv2d(inside, channels, 1, bias=False), nn.BatchNorm2d(channels)]
        self.body = nn.Sequential(*layers, nn.MaxPool2d(3, 2, 1))
        self.shortcut = nn.Conv2d(in_channels, channels, 1, 2, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.body(features) + self.shortcut(features)


class XceptionLike(nn.Sequential):
    """Xception (Chollet 2017) with narrow blocks and no middle flow."""

    def __init__(self, classes: int, widths: Sequence[int] = (32, 64, 128)) -> None:
        pairs = zip((24, *widths), widths, strict=False)
        blocks = [SeparableBlock(*pair) for pair in pairs]
        super().__init__(conv(1, 24, 3, 2), *blocks, nn.ReLU(), head(widths[-1], classes))


# Each builds a classifier of images [batch, 1, z, y] into a number of classes.
BASELINES = {
    "Xception-like": XceptionLike,
    "ResNet-18": lambda classes: resnet18(spatial_dims=2, n_input_channels=1, num_classes=classes, conv1_t_size=7),
    "EfficientNet-B0": lambda classes: EfficientNetBN(
        "efficientnet-b0", pretrained=False, spatial_dims=2, in_channels=1, num_classes=classes
    ),
    "ConvNet, 3 layers": ConvNet,
    "ConvNet, 5 layers": lambda classes: ConvNet(classes, (16, 32, 64, 96, 128)),
    "AlexNet-like": AlexNetLike,
}
