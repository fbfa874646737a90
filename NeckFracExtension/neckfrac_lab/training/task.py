"""What has to be known to train a network: its batches, loss, schedule, samples and bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .batches import Batch
from .cache import Sample
from .loop import Schedule


@dataclass(frozen=True)
class TrainingPhase:
    """What a network learns first, for a share of its schedule's steps. then: what is done to it before it goes on."""

    share: float
    batches: Callable[[list[Path], np.random.Generator], Iterator[Batch]]
    loss: Callable[[nn.Module, Batch], torch.Tensor]
    then: Callable[[nn.Module], None] | None = None


@dataclass(frozen=True)
class WeightInitialisation:
    """What a network starts with: the parts of another task's network whose names begin so, where they fit.

    channels: for each input channel of this network, the other's channels whose weights add up to its own; without
    them a first layer that takes other channels starts from nothing.
    """

    task: str
    parts: tuple[str, ...]
    channels: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Task:
    """All that is needed to train one network and to write its bundle.

    network: bundle config with its ``_target_``. batches(paths, generator) yields without end.
    """

    name: str
    step: str
    bundle: str
    cache: str  # the kind of its samples
    sample: Callable[..., Sample]  # (necks, seed): makes one
    network: dict[str, Any]
    preprocessing: dict[str, Any]
    schedule: Schedule
    batches: Callable[[list[Path], np.random.Generator], Iterator[Batch]]
    loss: Callable[[nn.Module, Batch], torch.Tensor]
    description: str
    first: TrainingPhase | None = None
    begins_as: WeightInitialisation | None = None
