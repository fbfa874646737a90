"""When a graphics card's memory does not suffice: smaller batches first, then the CPU; the result is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import torch

from ..progress import Progress
from ..study_warning import StudyWarning

if TYPE_CHECKING:
    from .engine import Networks

T = TypeVar("T")
SMALL_BATCH = 2
SMALLER = StudyWarning(
    "memory-small-batches",
    "The graphics card's memory did not suffice for whole batches; smaller ones were used.",
    {"batch": SMALL_BATCH},
)
CPU = StudyWarning("memory-cpu", "The graphics card's memory did not suffice; the CPU was used instead.")


def as_memory_allows(run: Callable[[], T], networks: Networks, progress: Progress) -> T:
    """What `run` gives, asked again with less when it runs out of the device's memory.

    Raises torch.OutOfMemoryError when not even the CPU suffices.
    """
    try:
        return run()
    except torch.OutOfMemoryError as error:
        last = error.with_traceback(None)  # its frames hold the tensors that did not fit
    for retreat, warning in ((small_batches, SMALLER), (on_cpu, CPU)):
        free(networks.device)
        progress.keep(warning)  # before, so that the findings hold it
        try:
            with retreat(networks):
                return run()
        except torch.OutOfMemoryError as error:
            last = error.with_traceback(None)
            progress.warnings.remove(warning)
    raise last


def free(device: torch.device) -> None:
    """Give memory that PyTorch keeps for itself back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def small_batches(networks: Networks) -> Iterator[None]:
    networks.batch = SMALL_BATCH
    try:
        yield
    finally:
        networks.batch = None


@contextmanager
def on_cpu(networks: Networks) -> Iterator[None]:
    """The networks on the CPU for a while: the next study finds the device as it was, perhaps with more room."""
    device = networks.device
    networks.to(torch.device("cpu"))
    free(device)
    try:
        yield
    finally:
        networks.to(device)
