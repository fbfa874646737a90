"""What all batches share: a sample seen by another scanner, samples in shuffled order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

Batch = dict[str, torch.Tensor]


def augment_hu(hu: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A stored sample seen by another scanner: gain, offset and a little noise. int16 HU to float32 HU."""
    hu = hu.astype(np.float32)
    if generator.random() < 0.5:
        # Now and then a scanner whose zero is far off: cone beams and old calibrations.
        offset = generator.uniform(-120, 120) if generator.random() < 0.15 else generator.normal(0, 20)
        hu = (hu + 1024) * np.float32(generator.uniform(0.9, 1.1)) - 1024 + np.float32(offset)
    if generator.random() < 0.3:
        hu = hu + generator.normal(0, generator.uniform(5, 30), hu.shape).astype(np.float32)
    return hu


def shuffled(paths: list[Path], generator: np.random.Generator) -> Iterator[Path]:
    """The paths without end, shuffled anew each time round."""
    while True:
        yield from (paths[n] for n in generator.permutation(len(paths)))
