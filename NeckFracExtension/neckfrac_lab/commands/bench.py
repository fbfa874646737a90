"""`neckfrac bench`."""

from __future__ import annotations

from neckfrac.commands.options import Threads


def bench(threads: Threads = 2, seed: int = 0) -> None:
    """Stage times and peak memory on a 512x512x300 study, and the ratio to a plain MONAI sliding window."""
    from ..evaluation.bench import run_bench

    run_bench(threads=threads, seed=seed)
