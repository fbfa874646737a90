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
from .loop import Trainer, averaged
from .rsna_cache import RSNA_CACHE
from .sagittal import sagittal_sample
from .samples import CALIBRATION, Necks, calibration_sample, locate_sample, slab_sample, vertebra_sample
from .sources import add_source, in_metadata, read_sources
from .tasks import TASKS

CACHES = {
    "locate": locate_sample,
    "slabs": slab_sample,
    "vertebrae": vertebra_sample,
    "calibration": calibration_sample,
    "sagittal": sagittal_sample,
}
# How many samples `train_spine` simulates of each kind.
SPINE_SAMPLES = {"locate": 3200, "slabs": 1000}
# Samples made of other data, which a training reads beside the simulated ones of a kind when they are there.
BESIDE = {"vertebrae": RSNA_CACHE}


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
    """Simulate the samples of a kind of CACHES that are missing; how many are there then."""
    deadline = None if time_budget is None else time.monotonic() + time_budget
    progress = progress or Progress()
    make = CACHES[kind]
    folder = runs / "cache" / kind
    if all((folder / f"{seed:08d}.npz").exists() for seed in seeds):
        return len(seeds)  # necks take a while to build
    first = seeds.start + (CALIBRATION if kind == "calibration" else 0)
    necks = Necks(anatomy=anatomy, built_in=built_in, seed=first)
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


def caches(kind: str, runs: Path) -> list[SampleCache]:
    """The caches of a kind that hold samples to train on: the simulated ones, then those of other data."""
    folders = [runs / "cache" / one for one in (kind, BESIDE.get(kind)) if one]
    found = [SampleCache(folder) for folder in folders if folder.is_dir()]
    return [cache for cache in found if cache.paths(held_out=False)]


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
    read = caches(task.cache, runs)
    if not read:
        raise InputError(
            f"There are no samples for {name}.",
            where=runs / "cache" / task.cache,
            advice=f"Make them first: neckfrac train cache-{task.cache}",
        )
    # What was ever trained on stays told, even when its cache is deleted.
    for cache in read:
        add_source(runs / f"{name}.sources.json", *read_sources(cache.folder / "about.json"))
    paths = [path for cache in read for path in cache.paths(held_out=False)]
    generator = np.random.default_rng([3, trainer.step])
    if trainer.step == 0 and task.begins_as:
        begin_as(trainer, *task.begins_as, runs)
    lessons = [(task.batches, task.loss, trainer.schedule.steps)]
    if task.first:
        lessons.insert(0, (task.first.batches, task.first.loss, round(task.first.share * trainer.schedule.steps)))
    deadline = None if time_budget is None else time.monotonic() + time_budget
    for batches, loss, until in lessons:
        if trainer.step < until:
            left = None if deadline is None else deadline - time.monotonic()
            source, options = batches(paths, generator), {"until": until, "reduced": task.reduced}
            if not trainer.fit(source, loss, time_budget=left, progress=progress, **options):
                return False
    return True


def begin_as(trainer: Trainer, other: str, part: str, runs: Path) -> None:
    """Give a fresh network the averaged weights of another task's, those of its `part` that have the same shape.

    Raises InputError when the other has not been trained.
    """
    path = runs / f"{other}.safetensors"
    if not path.exists():
        raise InputError(
            f"It begins with the {part.strip('.')} of {other}, which has not been trained.", where=path,
            advice=f"Run first: neckfrac train {other}",
        )
    own = trainer.network.state_dict()
    trained = {name: value for name, value in averaged(path).items() if name.startswith(part)}
    same = {name: value for name, value in trained.items() if name in own and own[name].shape == value.shape}
    trainer.network.load_state_dict({**own, **same})
    trainer.averaged |= {name: value.clone() for name, value in same.items()}


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
    # Checkpoints of before sources were kept learned from the simulated cache alone.
    sources = read_sources(runs / f"{name}.sources.json") or read_sources(runs / "cache" / task.cache / "about.json")
    said, trained_on = in_metadata(sources)
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
            **said,
            "eval_metrics": measured or {},
            "neckfrac": {
                "trained_on": trained_on,
                "steps": trainer.step,
                "samples": sum(len(cache.paths(held_out=False)) for cache in caches(task.cache, runs)),
                "last_loss": trainer.history[-1]["loss"] if trainer.history else None,
            },
        },
    )
    return models / task.bundle
