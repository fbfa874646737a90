"""The loss of the networks that name voxels."""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812

# Background counts for little in the cross-entropy: it is nine tenths of all voxels, and with even weights the
# networks forgot the levels that few samples hold.
BACKGROUND_WEIGHT = 0.15


def dice_and_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """MONAI's soft Dice over the classes that the batch holds, plus weighted cross-entropy. labels: class indices.

    A class that the batch lacks must not count: its Dice is lost whatever is answered, and its gradient, which
    grows as the answer nears zero, unlearns the class. A first training lost C1 and C3 to C6 that way.
    """
    from monai.losses import DiceLoss

    logits = logits.float()
    n = logits.shape[1]
    dice = DiceLoss(to_onehot_y=True, softmax=True, include_background=False, batch=True, reduction="none")
    per_class = dice(logits, labels[:, None]).flatten()
    present = torch.bincount(labels.flatten(), minlength=n)[1:] > 0
    weight = torch.ones(n, device=logits.device)
    weight[0] = BACKGROUND_WEIGHT
    overlap = per_class[present].mean() if bool(present.any()) else logits.sum() * 0
    return overlap + F.cross_entropy(logits, labels, weight=weight)
