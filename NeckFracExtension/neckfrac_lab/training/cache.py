"""Simulated samples kept on disk, so that each is simulated once and used by every epoch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Sample = dict[str, np.ndarray]


@dataclass(frozen=True)
class Split:
    """Which people are held out from a training to measure it: those of one fold (counted from 0) of so many."""

    fold: int
    folds: int

    def holds_out(self, sample: Path) -> bool:
        return person(sample) % self.folds == self.fold


TENTH = Split(9, 10)  # what is held out where no folds are asked for


def person(sample: Path) -> int:
    """Whose sample it is. Two seeds may be one person, once broken and once whole; levels of a patient are millions
    apart (`rsna_cache`)."""
    return int(sample.stem) % 1_000_000 // 2


class SampleCache:
    """A folder of samples, one uncompressed ``<seed>.npz`` each; what is there already is kept.

    make(seed) simulates one sample: a dict of arrays. Several processes may fill the same folder when
    each has its own seeds.
    """

    def __init__(self, folder: Path, make: Callable[[int], Sample] | None = None) -> None:
        self.folder, self._make = Path(folder), make
        self.folder.mkdir(parents=True, exist_ok=True)

    def fill(self, seeds: range, *, deadline: float | None = None) -> Iterator[int]:
        """Simulate the seeds that are missing, until `deadline` (time.monotonic()); yields each seed that is there."""
        for seed in seeds:
            path = self.folder / f"{seed:08d}.npz"
            if not path.exists():
                if deadline is not None and time.monotonic() > deadline:
                    return
                temporary = path.with_suffix(f".{os.getpid()}.tmp")
                with temporary.open("wb") as file:
                    np.savez(file, **self._make(seed))
                temporary.replace(path)
            yield seed

    def paths(self, *, held_out: bool | None = None, split: Split = TENTH) -> list[Path]:
        """The samples that are there, in seed order; held_out picks those of the people that are, or all others."""
        paths = sorted(self.folder.glob("[0-9]*.npz"))
        if held_out is None:
            return paths
        return [path for path in paths if split.holds_out(path) == held_out]

    @staticmethod
    def load(path: Path) -> Sample:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
