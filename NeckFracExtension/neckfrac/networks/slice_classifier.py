"""Model I: one EfficientNet a label, each asked of single axial slices."""

from __future__ import annotations

import torch
from monai.networks.nets import EfficientNet, EfficientNetBN
from torch import nn

# EfficientNet's seven stages (Tan and Le 2019, table 1) in MONAI's notation: repeats, kernel, stride,
# expansion, channels in and out, squeeze-excitation ratio. The compact form has fewer repeats and, because a fracture
# line is a voxel or two wide, two strides less: its maps end at 1/8, the published ones at 1/32.
STAGES = (
    "r1_k3_s11_e1_i32_o16_se0.25",
    "r2_k3_s22_e6_i16_o24_se0.25",
    "r2_k5_s11_e6_i24_o40_se0.25",
    "r3_k3_s22_e6_i40_o80_se0.25",
    "r3_k5_s11_e6_i80_o112_se0.25",
    "r4_k5_s11_e6_i112_o192_se0.25",
    "r1_k3_s11_e6_i192_o320_se0.25",
)
# The slices of a batch come from few vertebrae and are alike: batch norm's averages would not fit the next ones.
NORM = ("group", {"num_groups": 8})


class SliceClassifier(nn.Module):
    """The logit of one label (patient fractured, or one level fractured) from one axial slice.

    Input: [batch, in_channels, size, size], the windowed slice (0 to 1) with its neighbours or windows as channels.
    Output: logit [batch, 1], float32. `look` gives the map behind it, too.

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
                dropout_rate=dropout, image_size=size, drop_connect_rate=0.1, norm=NORM,
            )  # fmt: skip
        self.heat = nn.Conv2d(self.network._fc.in_features, 1, 1)
        self.hottest = nn.Parameter(torch.tensor(0.5))

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        return self.look(slices)[0]

    def look(self, slices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logit [batch, 1], and heat [batch, 1, h, w]: logits of "fractured here". A mean over the slice drowns a
        hairline, so that the hottest place goes straight to the answer."""
        network = self.network
        # What MONAI's forward does up to its pooling.
        features = network._swish(network._bn0(network._conv_stem(network._conv_stem_padding(slices))))
        features = network._conv_head(network._conv_head_padding(network._blocks(features)))
        features = network._swish(network._bn1(features))
        heat = self.heat(features).float()
        pooled = network._fc(network._dropout(network._avg_pooling(features).flatten(1))).float()
        return pooled + self.hottest * heat.amax(dim=(2, 3)), heat


class ModelOne(nn.Module):
    """Eight `SliceClassifier` side by side: the patient's label first, then C1...C7.

    Input: as `SliceClassifier`. Output: logits [batch, n_labels], float32. `classifiers[n]` may be trained alone.
    """

    def __init__(self, n_labels: int = 8, **classifier: object) -> None:
        super().__init__()
        self.classifiers = nn.ModuleList(SliceClassifier(**classifier) for _ in range(n_labels))

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        return torch.cat([classifier(slices) for classifier in self.classifiers], dim=1)
