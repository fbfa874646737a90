"""Batches made in other processes while the network learns: a GPU learns faster than one process cuts vertebrae."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from .batches import Batch

MOST = 12  # processes: more of them wait for the disk
AHEAD = 2  # batches that each process has ready


def loaders_for(device: torch.device, size: int = 1) -> int:
    """How many processes should make batches: all cores but one for a GPU, one beside a CPU that learns itself.

    size: how many trainings share the machine (see `Ranks`).
    """
    cores = os.cpu_count() or 1
    if device.type == "cpu":
        return int(cores > 1 and size == 1)
    return max(1, min(cores // size - 1, MOST))


def loaded(
    batches: Callable[[list[Path], np.random.Generator], Iterator[Batch]],
    paths: list[Path],
    seed: list[int],
    *,
    loaders: int,
) -> Iterator[Batch]:
    """What `batches(paths, generator)` yields without end, made by `loaders` processes; 0: by this one, when asked.

    seed: of the generators; each process has its own, so that no two make the same batches.
    """
    if not loaders:
        return batches(paths, np.random.default_rng(seed))
    stream = _Stream(batches, paths, seed)
    return iter(DataLoader(stream, batch_size=None, num_workers=loaders, prefetch_factor=AHEAD))


@dataclass
class _Stream(IterableDataset):
    batches: Callable[[list[Path], np.random.Generator], Iterator[Batch]]
    paths: list[Path]
    seed: list[int]

    def __iter__(self) -> Iterator[Batch]:
        return self.batches(self.paths, np.random.default_rng([*self.seed, get_worker_info().id]))
