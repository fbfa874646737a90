"""What members share that look at one level after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from ..pipeline.segment import Segmented
from ..progress import Progress

LEAST_VOXELS = 300  # of a level on the fine grid (about 0.1 ml): less is no picture of a vertebra
MASKS = 1  # the last channels of a vertebra's crop: no picture, so neither noise nor heat belongs on them


def present(
    segmented: Segmented, levels: Sequence[str], progress: Progress
) -> Iterator[tuple[str, np.ndarray, Progress]]:
    """Name, mask [z, y, x] and progress of each level that is large enough to be asked about."""
    for n, name in enumerate(levels):
        part = progress.part(n / len(levels), (n + 1) / len(levels))
        part.step(0.0)
        mask = segmented.of(name)
        if np.count_nonzero(mask) >= LEAST_VOXELS:
            yield name, mask, part


@torch.inference_mode()
def own_heatmap(network: nn.Module, *images: torch.Tensor) -> np.ndarray:
    """The heat map (0 to 1, [S, h, w]) that the network itself draws."""
    return network(*images)["heat"][0].float().sigmoid().cpu().numpy()


def scaled(heat: np.ndarray, mask: torch.Tensor) -> np.ndarray:
    """Heat [S, h, w] with the hottest place within the vertebra (mask [S, y, x]) as 1: these methods know no scale."""
    within = F.adaptive_max_pool2d(mask.float()[:, None], heat.shape[-2:])[:, 0].numpy() > 0
    top = float(heat[within].max(initial=0.0))
    return np.clip(heat / top, 0, 1).astype(np.float32) if top > 0 else np.zeros_like(heat, np.float32)
