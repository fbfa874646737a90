"""One training in several processes, as ``torchrun`` starts them: batches of their own, one mean gradient."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from neckfrac.errors import InputError
from torch import nn

# The others wait while the first one fills a cache or measures; when one dies, torchrun ends them all.
LONGEST_WAIT = timedelta(days=2)


@dataclass(frozen=True)
class Ranks:
    """This process among those of the training. The first (rank 0) saves, measures and logs."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def shared(self, network: nn.Module) -> nn.Module:
        """The network to call in training: the mean gradient of all processes reaches the weights of each."""
        if self.size == 1:
            return network
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(network, device_ids=[self.device] if self.device.type == "cuda" else None)

    def agree(self, answer: bool) -> bool:
        """The first one's answer, to all: clocks differ, and who stopped alone would leave the others waiting."""
        if self.size == 1:
            return answer
        told = torch.tensor(float(answer), device=self.device)
        torch.distributed.broadcast(told, src=0)
        return bool(told)


def processes() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that shows and says something."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def distributed(device: torch.device) -> Iterator[Ranks]:
    """This process among those that torchrun started, on a GPU each where `device` is one; alone without torchrun.

    Raises InputError when there are more processes than GPUs.
    """
    if processes() == 1:
        yield Ranks(device)
        return
    if device.type == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise InputError(
                f"There are only {torch.cuda.device_count()} GPUs.", advice="torchrun --nproc-per-node: one for each."
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    # Its functions keep the group of the moment they are imported in as a default argument, and DistributedDataParallel
    # imports them: the group's threads would outlive the training and now and then abort the process at its end.
    from torch.distributed.nn import functional  # noqa: F401

    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=LONGEST_WAIT)
    try:
        yield Ranks(device, torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()
