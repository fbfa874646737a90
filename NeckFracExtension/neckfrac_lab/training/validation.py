"""How well a network does on people held out from its training, measured on the same batches every time."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from neckfrac.progress import Progress
from torch import nn

from .batches import Batch
from .checkpoint import Weights

BATCHES = 8  # of a measurement, at most: 48 vertebrae take about 30 s on a slow core, as long as 100 steps


@dataclass(frozen=True)
class Validation:
    """What a training is measured on, and when it gives up.

    batches(paths, generator), loss: of the task's last phase. paths: held-out samples, at least one.
    patience: measurements without a better one after which the training ends; None: it does not.
    since: the step from which they count, that at which the last phase begins.
    """

    batches: Callable[[list[Path], np.random.Generator], Iterator[Batch]]
    loss: Callable[[nn.Module, Batch], torch.Tensor]
    paths: list[Path]
    patience: int | None = None
    since: int = 0

    @property
    def on(self) -> str:
        """The samples in a few letters: figures measured on others can't be compared."""
        names = "\n".join(f"{path.parent.name}/{path.name}" for path in self.paths)
        return f"{len(self.paths)} samples, {zlib.crc32(names.encode()):08x}"

    @torch.no_grad()
    def measure(
        self, network: nn.Module, weights: Weights, device: torch.device, progress: Progress, *, reduced: bool = True
    ) -> float:
        """The mean loss of a network with these weights; it keeps its own. The same seed draws the batches anew."""
        judged = copy.deepcopy(network).eval()
        judged.load_state_dict(weights)
        # No more batches than samples: those would be the same vertebrae over again.
        source, values = self.batches(self.paths, np.random.default_rng(9)), []
        for batch in islice(source, min(BATCHES, len(self.paths))):
            batch = {name: value.to(device) for name, value in batch.items()}
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=reduced):
                values.append(float(self.loss(judged, batch)))
            progress.step(0.0)  # lets the user cancel
        return float(np.mean(values))

    def is_over(self, history: list[dict[str, float]], best_step: int) -> bool:
        """Whether patience has run out: so many measurements since the best, or since the last phase began."""
        if self.patience is None:
            return False
        last_good = max(best_step, self.since)
        return sum("validation" in told and told["step"] > last_good for told in history) >= self.patience
