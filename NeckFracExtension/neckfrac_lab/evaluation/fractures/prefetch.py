"""Cases read or simulated in other processes while the networks look at the ones before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from neckfrac.errors import InputError
from torch.utils.data import DataLoader, Dataset

from neckfrac_lab.training.loading import loaders_for

if TYPE_CHECKING:
    from .cases import Case, Known

MOST = 8  # processes: each holds two studies, of up to 0.3 GB


def readers_for(device: torch.device) -> int:
    """How many processes should read, so that a GPU need not wait; one beside a CPU."""
    return min(loaders_for(device), MOST)


def read_ahead(cases: Sequence[Case], readers: int) -> Iterator[Known]:
    """What each case's `read` gives, in their order; 0 readers: by this process, each when it is asked for.

    Raises InputError as `read` does, when it is that case's turn.
    """
    if not readers:
        for case in cases:
            yield case.read()
        return
    if not cases:
        return
    options = {"num_workers": min(readers, len(cases)), "prefetch_factor": 1, "batch_size": None}
    for read in DataLoader(_Read(cases), collate_fn=_as_it_is, **options):
        if isinstance(read, InputError):
            raise read
        yield read


@dataclass(frozen=True)
class _Read(Dataset):
    cases: Sequence[Case]

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, number: int) -> Known | InputError:
        try:
            return self.cases[number].read()
        except InputError as error:  # the loader would wrap it in its own words
            return error


def _as_it_is(known: Known) -> Known:
    return known
