"""One member that looks at a vertebra as a reader does: axial, sagittal and coronal views side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from .vertebra_sequence import CompactResNet, HeatPyramid, look

PLANES = ("axial", "sagittal", "coronal")


class ThreePlanes(nn.Module):
    """Fracture logits of a vertebra from views in three planes, with heat maps that say where.

    Input: axial [batch, views, in_channels, y, x], and upright [batch, 2 * views, in_channels, z, y or x]: the sagittal
    views, then the coronal ones (so that both have one size). Channels: bone window, soft-tissue window, mask.
    Output: a dictionary of float32 tensors: "logit" [batch], of the vertebra; "view_logits" [batch, 3 * views], axial
    ones first; "heat" and "upright_heat" [batch, views, ...], logits of "fractured here" at half the resolution.

    One encoder sees all views; an embedding tells it of which plane each is. Attention pools them; beside it the
    vertebra's logit takes the strongest view and the strongest heat as they are, because the pooled path alone
    learns slowly from few vertebrae.

    views: how many of each plane it is trained with; it takes other numbers too.
    widths, blocks: see `CompactResNet`.
    """

    def __init__(
        self,
        in_channels: int = 3,
        views: int = 8,
        hidden: int = 96,
        widths: Sequence[int] = (16, 32, 64, 128),
        blocks: Sequence[int] = (1, 1, 2, 1),
        heat_channels: int = 32,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.views = views
        self.encoder = CompactResNet(in_channels, widths, blocks)
        coarse = self.encoder.n_features[-1]
        self.heat = HeatPyramid(self.encoder.n_features, heat_channels)
        self.view = nn.Linear(coarse + heat_channels + 1, hidden)
        self.plane = nn.Embedding(len(PLANES), hidden)
        self.dropout = nn.Dropout(dropout)
        self.attention = nn.Sequential(nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.view_head = nn.Linear(hidden, 1)
        self.vertebra_head = nn.Linear(hidden, 1)
        self.shortcut = nn.Linear(2, 1)
        with torch.no_grad():
            self.shortcut.weight.fill_(0.5)
            self.shortcut.bias.zero_()

    def forward(self, axial: torch.Tensor, upright: torch.Tensor) -> dict[str, torch.Tensor]:
        looks = [look(self.encoder, self.heat, views) for views in (axial, upright)]
        features, hottest = (torch.cat([seen[n] for seen in looks], dim=1) for n in (0, 1))
        heat, upright_heat = (seen[2] for seen in looks)
        views = axial.shape[1]
        plane = torch.arange(len(PLANES), device=axial.device).repeat_interleave(views)
        # Small and sensitive to rounding: what pools the views stays in float32 under autocast.
        with torch.autocast(axial.device.type, enabled=False):
            states = self.dropout(functional.relu(self.view(features) + self.plane(plane)))
            weights = self.attention(states).softmax(dim=1)
            view_logits = self.view_head(states)[..., 0]
            strongest = torch.stack([view_logits.amax(dim=1), hottest.amax(dim=1)], dim=1)
            logit = self.vertebra_head((weights * states).sum(dim=1)) + self.shortcut(strongest)
        return {"logit": logit[:, 0], "view_logits": view_logits, "heat": heat, "upright_heat": upright_heat}
