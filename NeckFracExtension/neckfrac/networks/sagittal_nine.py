"""Nine sagittal images of a neck, and what they say of the patient and of every level."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from .vertebra_sequence import CompactResNet, HeatPyramid

ENLARGED = 5 / 3  # the images' 1 mm to the 0.6 mm of the other members' images


class SagittalNine(nn.Module):
    """Fracture logits of the patient and of C1...C7 from sagittal images and the levels' places in them.

    Input: images [batch, planes, z, y], windowed HU; labels, same shape, 0 or a level's label (1...7).
    Output: a dictionary of float32 tensors: "logits" [batch, 1 + levels], the patient's first; "heat"
    [batch, planes, h, w], logits of "fractured here" at half the resolution of the enlarged images.

    Every image is looked at by itself, enlarged, so that the encoder may begin with what another member learned of
    images of that scale. A level's logit is read out at the level's own place: means and maxima of the features and
    the hottest place, over all images, where its mask lies. The patient's is read out of the levels. What is said of
    a level without a voxel means nothing.

    enlarged: by how much. widths, blocks: see `CompactResNet`; its last three stages are used.
    """

    def __init__(
        self,
        levels: int = 7,
        widths: Sequence[int] = (16, 32, 64, 128),
        blocks: Sequence[int] = (1, 1, 2, 1),
        heat_channels: int = 32,
        hidden: int = 64,
        dropout: float = 0.2,
        enlarged: float = ENLARGED,
    ) -> None:
        super().__init__()
        self.levels, self.enlarged = levels, enlarged
        self.encoder = CompactResNet(2, widths, blocks)
        self.heat = HeatPyramid(self.encoder.n_features, heat_channels)
        self.state = nn.Linear(2 * heat_channels + 1, hidden)
        self.level = nn.Embedding(levels, hidden)
        self.dropout = nn.Dropout(dropout)
        self.level_head = nn.Linear(hidden, 1)
        self.patient_head = nn.Linear(hidden, 1)
        # The strongest heat and the strongest level as they are: the pooled path alone learns slowly.
        self.hottest, self.worst = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.tensor(0.5))

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        batch, planes = images.shape[:2]
        pictures = torch.stack([images, (labels > 0).to(images.dtype)], dim=2).flatten(0, 1)
        if self.enlarged != 1:
            pictures = functional.interpolate(pictures, scale_factor=self.enlarged, mode="bilinear")
        fused, heat = self.heat(self.encoder(pictures))
        heat = heat.float().unflatten(0, (batch, planes))  # [B, P, 1, h, w]
        with torch.autocast(images.device.type, enabled=False):
            places = self._places(labels, fused.shape[2:])  # [B, L, P * h * w]
            cells = fused.float().unflatten(0, (batch, planes)).transpose(1, 2).flatten(2)  # [B, C, P * h * w]
            mean = torch.einsum("bln,bcn->blc", places, cells) / places.sum(dim=2, keepdim=True).clamp_min(1)
            # Features are never negative, so that nothing outside the mask can be the maximum.
            strongest = torch.stack([(cells * place[:, None]).amax(dim=2) for place in places.unbind(1)], dim=1)
            warmth = heat.flatten(1)[:, None].masked_fill(places == 0, -20.0).amax(dim=2, keepdim=True)
            states = self.dropout(functional.relu(self.state(torch.cat([mean, strongest, warmth], dim=2))
                                                  + self.level.weight))  # fmt: skip
            levels = self.level_head(states)[..., 0] + self.hottest * warmth[..., 0]
            seen = places.any(dim=2)
            worst = levels.masked_fill(~seen, -20.0).amax(dim=1, keepdim=True)
            whole = (states * seen[..., None]).sum(dim=1) / seen.sum(dim=1, keepdim=True).clamp_min(1)
            patient = self.patient_head(whole) + self.worst * worst
        return {"logits": torch.cat([patient, levels], dim=1), "heat": heat[:, :, 0]}

    def _places(self, labels: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """Each level's mask at the features' resolution, 0 or 1: float32 [batch, levels, planes * h * w]."""
        numbers = torch.arange(1, self.levels + 1, device=labels.device)
        masks = (labels[:, None] == numbers[:, None, None, None]).float().flatten(0, 1)
        return functional.adaptive_max_pool2d(masks, size).unflatten(0, (len(labels), self.levels)).flatten(2)
