"""The dense fracture detector: a 3D U-Net that says of every voxel whether a fracture passes there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks.dynunet_block import UnetResBlock
from torch import nn

STRIDE = (1, 2, 2)  # fine voxels (z, y, x) that one answer covers


class DenseUNet(nn.Module):
    """Fracture logits of every 1 x 2 x 2 fine voxels, without a mask.

    Input: [batch, in_channels, z, y, x], see `pipeline.dense.features`; z a multiple of 2**(stages - 1), y and x of
    2**stages. Output: logits float32 [batch, z, y / 2, x / 2].

    The voxels of 1.0 x 0.6 x 0.6 mm are folded into channels at once (space to depth), so that all convolutions run on
    about 1.1 mm. Batch norm, because its answer does not depend on the size of what is shown.

    channels: of each stage, each half as fine as the one before. blocks: residual blocks of each stage.
    """

    def __init__(
        self, in_channels: int = 3, channels: Sequence[int] = (24, 48, 96, 128), blocks: Sequence[int] = (1, 1, 2, 1)
    ) -> None:
        super().__init__()
        folded = in_channels * STRIDE[1] * STRIDE[2]
        self.stem = nn.Conv3d(folded, channels[0], 3, padding=1)
        self.encoder, self.down, self.up, self.decoder = (nn.ModuleList() for _ in range(4))
        for stage, (width, count) in enumerate(zip(channels, blocks, strict=True)):
            self.encoder.append(nn.Sequential(*(_block(width, width) for _ in range(count))))
            if stage + 1 < len(channels):
                self.down.append(nn.Conv3d(width, channels[stage + 1], 2, stride=2))
                self.up.append(nn.ConvTranspose3d(channels[stage + 1], width, 2, stride=2))
                self.decoder.append(nn.Sequential(nn.Conv3d(2 * width, width, 1), _block(width, width)))
        self.head = nn.Conv3d(channels[0], 1, 1)
        nn.init.constant_(self.head.bias, -4.0)  # fractures are rare: the first steps need not learn that
        self.to(memory_format=torch.channels_last_3d)  # several times faster on a CPU

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        state, skips = self.stem(fold(image)), []
        for stage, blocks in enumerate(self.encoder):
            state = blocks(state)
            if stage < len(self.down):
                skips.append(state)
                state = self.down[stage](state)
        for stage in reversed(range(len(self.up))):
            state = self.decoder[stage](torch.cat([skips[stage], self.up[stage](state)], dim=1))
        return self.head(state)[:, 0].float()


def fold(image: torch.Tensor) -> torch.Tensor:
    """[b, c, z, y, x] to [b, 4 c, z, y / 2, x / 2]: each 2 x 2 voxels of a slice side by side as channels."""
    batch, channels, z, y, x = image.shape
    parts = image.view(batch, channels, z, y // 2, 2, x // 2, 2).permute(0, 1, 4, 6, 2, 3, 5)
    folded = parts.reshape(batch, 4 * channels, z, y // 2, x // 2)
    return folded.contiguous(memory_format=torch.channels_last_3d)


def _block(in_channels: int, out_channels: int) -> nn.Module:
    return UnetResBlock(3, in_channels, out_channels, kernel_size=3, stride=1, norm_name="batch")
