"""What a training says of itself: curves for TensorBoard, where that is installed, and a line at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from neckfrac.progress import Progress


class Log(Protocol):
    """Takes the figures of a step by name."""

    def __call__(self, step: int, figures: dict[str, float]) -> None: ...


@contextmanager
def curves(folder: Path, step: int, *, asked: bool, progress: Progress, first: bool = True) -> Iterator[Log]:
    """A log that writes event files into `folder`, to be read with ``tensorboard --logdir``, from `step` on.

    What an interrupted training wrote beyond `step` is hidden. Without the package `tensorboard` nothing is written;
    asked: then this is said. first: of several processes one writes. Nothing leaves the machine.
    """
    if not first:
        yield _silent
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        if asked:
            text = "No curves are written: tensorboard is not installed (pip install 'neckfrac[train]')."
            progress.warn("curves-not-written", text)
        yield _silent
        return
    writer = SummaryWriter(str(folder), purge_step=step + 1)

    def log(step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    try:
        yield log
    finally:
        writer.close()


def _silent(step: int, figures: dict[str, float]) -> None:
    """Where there is nothing to write with."""


def in_a_line(name: str, about: dict[str, Any]) -> str:
    """How far a training is: its step, its losses and which weights are kept."""
    told = [f"{name}: step {about['step']} of {about['schedule']['steps']}"]
    if about["history"]:
        told.append(f"loss {about['history'][-1]['loss']:.3f}")
    measured = [entry["validation"] for entry in about["history"] if "validation" in entry]
    if measured:
        told.append(f"held out {measured[-1]:.3f}")
    if about.get("best"):
        told.append(f"kept: step {about['best']['step']} with {about['best']['validation']:.3f}")
    return ", ".join(told)
