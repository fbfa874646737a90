"""Model I: one EfficientNet a label, each asked of single axial slices."""

from __future__ import annotations

import torch
from monai.networks.nets import EfficientNet, EfficientNetBN
from torch import nn

# EfficientNet's seven stages (Tan and Le 2019, table 1) in MONAI's notation: repeats, kernel, stride,
# expansion, channels in and out, squeeze-excitation ratio. The compact form has fewer repeats.
STAGES = (
    "r1_k3_s11_e1_i32_o16_se0.25",
    "r2_k3_s22_e6_i16_o24_se0.25",
    "r2_k5_s22_e6_i24_o40_se0.25",
    "r3_k3_s22_e6_i40_o80_se0.25",
    "r3_k5_s11_e6_i80_o112_se0.25",
    "r4_k5_s22_e6_i112_o192_se0.25",
    "r1_k3_s11_e6_i192_o320_se0.25",
)


class SliceClassifier(nn.Module):
    """The logit of one label (patient fractured, or one level fractured) from one axial slice.

    Input: [batch, in_channels, size, size], the windowed slice (0 to 1) with its neighbours or windows as channels.
    Output: logit [batch, 1], float32.

    width, depth: EfficientNet's width and depth coefficients for the compact form.
    full: "" for the compact form or MONAI's name of a full size ("efficientnet-b0", "efficientnet-b5").
    """

    def __init__(
        self,
        width: float = 0.25,
        depth: float = 0.2,
        in_channels: int = 3,
        size: int = 128,
        dropout: float = 0.2,
        full: str = "",
    ) -> None:
        super().__init__()
        if full:
            self.network = EfficientNetBN(full, pretrained=False, in_channels=in_channels, num_classes=1)
        else:
            self.network = EfficientNet(
                list(STAGES), in_channels=in_channels, num_classes=1, width_coefficient=width, depth_coefficient=depth,
                dropout_rate=dropout, image_size=size, drop_connect_rate=0.1,
            )  # fmt: skip

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        return self.network(slices).float()


class ModelOne(nn.Module):
    """Eight `SliceClassifier` side by side: the patient's label first, then C1...C7.

    Input: as `SliceClassifier`. Output: logits [batch, n_labels], float32. `classifiers[n]` may be trained alone.
    """

    def __init__(self, n_labels: int = 8, **classifier: object) -> None:
        super().__init__()
        self.classifiers = nn.ModuleList(SliceClassifier(**classifier) for _ in range(n_labels))

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        return torch.cat([classifier(slices) for classifier in self.classifiers], dim=1)
