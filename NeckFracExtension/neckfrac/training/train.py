"""Simulate, train, write the bundle: what `neckfrac train` runs."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError
from ..progress import Progress
from .cache import SampleCache
from .loop import Trainer
from .samples import Necks, locate_sample, slab_sample
from .tasks import TASKS

CACHES = {"locate": locate_sample, "slabs": slab_sample}
# How many samples `train_spine` simulates of each kind.
SPINE_SAMPLES = {"locate": 3200, "slabs": 1000}
TRAINED_ON = "simulated CT only; no patient data"
MESH_CREDIT = (
    "Anatomy in part from BodyParts3D, (c) The Database Center for Life Science, CC BY-SA 2.1 Japan; "
    "the meshes are not part of this project."
)


def fill_cache(
    kind: str,
    runs: Path,
    seeds: range,
    *,
    anatomy: Path | None = None,
    built_in: int = 6,
    time_budget: float | None = None,
    progress: Progress | None = None,
) -> int:
    """Simulate the samples of `kind` ("locate" or "slabs") that are missing; how many are there then."""
    deadline = None if time_budget is None else time.monotonic() + time_budget
    progress = progress or Progress()
    make = CACHES[kind]
    folder = runs / "cache" / kind
    if all((folder / f"{seed:08d}.npz").exists() for seed in seeds):
        return len(seeds)  # necks take a while to build
    necks = Necks(anatomy=anatomy, built_in=built_in, seed=seeds.start)
    cache = SampleCache(folder, partial(make, necks))
    # First, so that a cache whose filling was interrupted still says where it comes from.
    about = {"anatomy": "built-in" + (" and BodyParts3D meshes" if anatomy else ""), "built_in_necks": built_in}
    (cache.folder / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    done = 0
    for done, _ in enumerate(cache.fill(seeds, deadline=deadline), start=1):
        progress.step(done / len(seeds))
    return done


def trainer_for(name: str, runs: Path, *, steps: int | None = None, device: torch.device) -> Trainer:
    """The trainer of a task, resumed from its checkpoint in `runs` where there is one."""
    from dataclasses import replace

    from ..bundles.bundle import build_network

    if name not in TASKS:
        raise InputError(f"There is nothing to train called {name!r}.", advice=f"Choose {', '.join(TASKS)}.")
    task = TASKS[name]
    torch.manual_seed(0)
    schedule = replace(task.schedule, steps=steps) if steps else task.schedule
    return Trainer(build_network(task.network), schedule, runs / f"{name}.safetensors", device=device)


def train(
    name: str,
    runs: Path,
    *,
    steps: int | None = None,
    time_budget: float | None = None,
    device: torch.device = torch.device("cpu"),
    progress: Progress | None = None,
) -> bool:
    """Train a task on its cache for `time_budget` seconds or to its end; True when it is finished.

    Raises InputError when the cache is empty.
    """
    trainer = trainer_for(name, runs, steps=steps, device=device)
    task = TASKS[name]
    paths = SampleCache(runs / "cache" / task.cache).paths(held_out=False)
    if not paths:
        raise InputError(
            f"There are no simulated samples for {name}.",
            where=runs / "cache" / task.cache,
            advice=f"Simulate them first: neckfrac train cache {task.cache}",
        )
    generator = np.random.default_rng([3, trainer.step])
    batches = task.batches(paths, generator)
    return trainer.fit(batches, task.loss, time_budget=time_budget, progress=progress, reduced=task.reduced)


def train_spine(
    runs: Path,
    *,
    anatomy: Path | None = None,
    built_in: int = 6,
    time_budget: float | None = None,
    device: torch.device = torch.device("cpu"),
    progress: Progress | None = None,
) -> bool:
    """Both networks that find the vertebrae, from nothing: simulate, train, one after the other; True when finished.

    Goes on where it stopped when it is run again with the same `runs`.
    """
    progress = progress or Progress()
    deadline = None if time_budget is None else time.monotonic() + time_budget
    stages = [(f"cache-{kind}", kind) for kind in SPINE_SAMPLES] + [("locate", "locate"), ("segment", "segment")]
    for number, (stage, kind) in enumerate(stages):
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return False
        share = progress.part(number / len(stages), (number + 1) / len(stages))
        if stage.startswith("cache-"):
            wanted = range(SPINE_SAMPLES[kind])
            made = fill_cache(
                kind, runs, wanted, anatomy=anatomy, built_in=built_in, time_budget=left, progress=share
            )
            if made < len(wanted):
                return False
        elif not train(stage, runs, time_budget=left, device=device, progress=share):
            return False
    return True


def trained(runs: Path) -> list[str]:
    """The networks that have a checkpoint. Raises InputError when there is none."""
    names = [name for name in TASKS if (runs / f"{name}.safetensors").exists()]
    if not names:
        raise InputError("Nothing has been trained yet.", where=runs, advice="Run: neckfrac train spine")
    return names


def export(name: str, runs: Path, models: Path, *, measured: dict | None = None) -> Path:
    """Write the averaged weights of a task as a bundle in `models`; the bundle's folder."""
    from ..bundles.bundle import save_bundle

    task = TASKS[name]
    trainer = trainer_for(name, runs, device=torch.device("cpu"))
    if trainer.step == 0:
        raise InputError(f"{name} has not been trained yet.", where=runs, advice=f"Run: neckfrac train {name}")
    cache = SampleCache(runs / "cache" / task.cache)
    about = json.loads((cache.folder / "about.json").read_text(encoding="utf-8"))
    meshes = "meshes" in about["anatomy"]
    save_bundle(
        models / task.bundle,
        name=task.bundle,
        version="0.1.0",
        step=task.step,
        network=trainer.averaged_network(),
        network_config=task.network,
        preprocessing=task.preprocessing,
        metadata={
            "task": task.step,
            "description": task.description,
            "data_source": f"Simulated neck CT; {about['anatomy']} anatomy." + (f" {MESH_CREDIT}" if meshes else ""),
            "eval_metrics": measured or {},
            "neckfrac": {
                "trained_on": TRAINED_ON,
                "steps": trainer.step,
                "samples": len(cache.paths(held_out=False)),
                "last_loss": trainer.history[-1]["loss"] if trainer.history else None,
            },
        },
    )
    return models / task.bundle
