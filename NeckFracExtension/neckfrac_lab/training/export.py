"""What was trained, as bundles: `neckfrac train export`."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import torch
from neckfrac.errors import InputError

from .checkpoint import read_about
from .logs import in_a_line
from .sources import in_metadata, read_sources
from .tasks import TASKS
from .train import caches, task_of, trainer_for


def how_far(label: str, runs: Path) -> str:
    """A line about a training: its step, its losses, which weights are kept."""
    return in_a_line(label, read_about(runs / f"{label}.safetensors"))


def trained(runs: Path) -> list[str]:
    """The networks, and folds of networks, that have learned something. Raises InputError when none has."""
    found = [(name, path) for name in TASKS for path in sorted(runs.glob(f"{name}*.safetensors"))]
    labels = [
        path.stem
        for name, path in found
        if re.fullmatch(rf"{name}(-fold\d+)?", path.stem) and read_about(path)["step"]
    ]
    if not labels:
        raise InputError("Nothing has been trained yet.", where=runs, advice="Run: neckfrac train spine")
    return labels


def export(label: str, runs: Path, models: Path, *, measured: dict | None = None) -> Path:
    """Write the averaged weights of a task, or of its fold, as a bundle in `models`: those that measured best.

    The bundle's folder; that of a fold ends in its name.
    """
    from neckfrac.bundles.bundle import save_bundle

    task = task_of(label)
    bundle = task.bundle + label.removeprefix(task.name)
    trainer = trainer_for(label, runs, device=torch.device("cpu"))
    if trainer.step == 0:
        raise InputError(f"{label} has not been trained yet.", where=runs, advice=f"Run: neckfrac train {task.name}")
    # Checkpoints of before sources were kept learned from the simulated cache alone.
    sources = read_sources(runs / f"{label}.sources.json") or read_sources(runs / "cache" / task.cache / "about.json")
    said, origin = in_metadata(sources)
    read = caches(task.cache, runs, trainer.split)
    save_bundle(
        models / bundle,
        name=bundle,
        version="0.1.0",
        step=task.step,
        network=trainer.averaged_network(),
        network_config=task.network,
        preprocessing=task.preprocessing,
        metadata={
            "task": task.step,
            "description": task.description,
            **said,
            "eval_metrics": measured or {},
            "neckfrac": {
                **origin,
                "steps": trainer.best_at.get("step", trainer.step),
                "samples": sum(len(cache.paths(held_out=False, split=trainer.split)) for cache in read),
                "last_loss": trainer.history[-1]["loss"] if trainer.history else None,
                "held_out": {**asdict(trainer.split), "loss": trainer.best_at.get("validation")},
            },
        },
    )
    return models / bundle
