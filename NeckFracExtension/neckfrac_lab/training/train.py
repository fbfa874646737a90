"""Simulate and train: what `neckfrac train` runs."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch
from neckfrac.errors import InputError
from neckfrac.pipeline.engine import SPINE
from neckfrac.progress import Progress

from .cache import TENTH, SampleCache, Split
from .checkpoint import learned, read_about
from .distributed import Ranks
from .loading import loaded, loaders_for
from .logs import curves
from .loop import Trainer
from .rsna_cache import RSNA_CACHE
from .samples import Necks
from .sources import add_source, read_sources
from .task import Task, WeightInitialisation
from .tasks import TASKS
from .validation import Validation

CACHES = {task.cache: task.sample for task in TASKS.values()}
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
    necks = Necks(anatomy=anatomy, built_in=built_in, seed=seeds.start)
    cache = SampleCache(folder, partial(make, necks))
    # First, so that a cache whose filling was interrupted still says where it comes from.
    about = {"anatomy": "built-in" + (" and BodyParts3D meshes" if anatomy else ""), "built_in_necks": built_in}
    (cache.folder / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    done = 0
    for done, _ in enumerate(cache.fill(seeds, deadline=deadline), start=1):
        progress.step(done / len(seeds))
    return done


def label_of(name: str, split: Split | None) -> str:
    """What a training's checkpoint is called: the task's name, and the fold's where there are folds."""
    return name if split is None else f"{name}-fold{split.fold}"


def task_of(label: str) -> Task:
    """The task of a `label_of`. Raises InputError when there is none."""
    name = re.sub(r"-fold\d+$", "", label)
    if name not in TASKS:
        raise InputError(f"There is nothing to train called {name!r}.", advice=f"Choose {', '.join(TASKS)}.")
    return TASKS[name]


def trainer_for(
    label: str,
    runs: Path,
    *,
    steps: int | None = None,
    device: torch.device,
    split: Split | None = None,
    ranks: Ranks | None = None,
) -> Trainer:
    """The trainer of a task or of its fold, resumed from its checkpoint in `runs` where there is one."""
    from neckfrac.bundles.bundle import build_network

    task = task_of(label)
    torch.manual_seed(0)
    schedule = replace(task.schedule, steps=steps) if steps else task.schedule
    network, checkpoint = build_network(task.network), runs / f"{label}.safetensors"
    return Trainer(network, schedule, checkpoint, device=device, split=split, ranks=ranks)


def caches(kind: str, runs: Path, split: Split = TENTH) -> list[SampleCache]:
    """The caches of a kind that hold samples to train on: the simulated ones, then those of other data."""
    folders = [runs / "cache" / one for one in (kind, BESIDE.get(kind)) if one]
    found = [SampleCache(folder) for folder in folders if folder.is_dir()]
    return [cache for cache in found if cache.paths(held_out=False, split=split)]


def train(
    name: str,
    runs: Path,
    *,
    steps: int | None = None,
    time_budget: float | None = None,
    device: torch.device = torch.device("cpu"),
    progress: Progress | None = None,
    patience: int | None = None,
    split: Split | None = None,
    tensorboard: bool = False,
    ranks: Ranks | None = None,
    loaders: int | None = None,
    begin_with: Path | None = None,
) -> bool:
    """Train a task on its cache for `time_budget` seconds or to its end; True when it is finished.

    patience: measurements on held-out samples without a better one, in the last phase, that end it early.
    split: a fold of the ensemble's members; None: every tenth person is held out. ranks: takes the place of `device`.
    loaders: processes that make batches; 0: this one, when it needs them; None: see `loaders_for`. begin_with: the
    folder of a bundle whose weights a training without a checkpoint begins with.
    Raises InputError when the cache is empty, or nobody is held out where that is needed.
    """
    progress, ranks, task = progress or Progress(), ranks or Ranks(device), task_of(name)
    if split and task.step in SPINE:
        raise InputError(f"There is one network to {task.step}: folds are for the members that look for fractures.")
    label, parted = label_of(name, split), split or TENTH
    read = caches(task.cache, runs, parted)
    if not read:
        raise InputError(
            f"There are no samples for {name}.",
            where=runs / "cache" / task.cache,
            advice=f"Make them first: neckfrac train cache-{task.cache}",
        )
    paths, held = (
        [path for cache in read for path in cache.paths(held_out=out, split=parted)] for out in (False, True)
    )
    if not held and (split or patience):
        raise InputError(f"Of so few samples for {name} nobody is held out.", advice="Make more, or use fewer folds.")
    trainer = trainer_for(label, runs, steps=steps, device=device, split=split, ranks=ranks)
    # What was ever trained on stays told, even when its cache is deleted.
    if ranks.first:
        for cache in read:
            add_source(runs / f"{label}.sources.json", *read_sources(cache.folder / "about.json"))
    if trainer.step == 0 and begin_with:
        continue_from(trainer, begin_with, task)
    elif trainer.step == 0 and task.begins_as:
        begin_as(trainer, task.begins_as, runs, split)
    steps = trainer.schedule.steps
    since = round(task.first.share * steps) if task.first else 0  # when the last phase begins
    phases = [(task.batches, task.loss, since, steps)]
    if task.first:
        phases.insert(0, (task.first.batches, task.first.loss, 0, since))
    loaders = loaders_for(ranks.device, ranks.size) if loaders is None else loaders
    deadline = None if time_budget is None else time.monotonic() + time_budget
    # Both phases are measured by what the last one teaches; only that one may end early.
    validation = Validation(task.batches, task.loss, held, since=since) if held else None
    with curves(runs / "logs" / label, trainer.step, asked=tensorboard, progress=progress, first=ranks.first) as log:
        for batches, loss, begins, until in phases:
            if trainer.step >= until:
                continue
            if validation and until == steps:
                validation = replace(validation, patience=patience)
            left = None if deadline is None else deadline - time.monotonic()
            options = {"since": begins, "until": until, "validation": validation, "log": log}
            made = loaded(batches, paths, [3, trainer.step, ranks.rank], loaders=loaders)
            if task.first and task.first.then and trainer.step == begins > 0:
                task.first.then(trainer.network)
            if not trainer.fit(made, loss, time_budget=left, progress=progress, **options):
                return False
    return True


def continue_from(trainer: Trainer, folder: Path, task: Task) -> None:
    """Give a fresh network the published weights of its own bundle. Raises InputError when they are another's."""
    from neckfrac.bundles.bundle import load_bundle

    bundle = load_bundle(folder)
    if bundle.step != task.step:
        raise InputError(
            f"{bundle.name} is for the step {bundle.step!r}, not {task.step!r}.", where=folder,
            advice=f"Give a bundle of {task.bundle}.",
        )
    weights = bundle.network(trainer.device).state_dict()
    trainer.network.load_state_dict(weights)
    trainer.averaged |= {name: value.clone() for name, value in weights.items()}


def begin_as(trainer: Trainer, beginning: WeightInitialisation, runs: Path, split: Split | None = None) -> None:
    """Give a fresh network what another training learned; see `WeightInitialisation`. split: the fold of both.

    Raises InputError when the other has not been trained, or with other people held out.
    """
    other = label_of(beginning.task, split)
    path = runs / f"{other}.safetensors"
    if not path.exists():
        raise InputError(
            f"It begins with what was learned by {other}, which has not been trained.", where=path,
            advice=f"Run first: neckfrac train {other.replace('-fold', ' --folds K --fold ')}",
        )
    if Split(**read_about(path).get("split", asdict(TENTH))) != trainer.split:
        raise InputError(f"{other} has seen people who are held out here.", where=path, advice="Use as many folds.")
    own, taken = trainer.network.state_dict(), {}
    for name, value in learned(path).items():
        if not name.startswith(beginning.parts) or name not in own:
            continue
        if value.shape != own[name].shape and beginning.channels and value.ndim == own[name].ndim > 1:
            value = torch.stack([value[:, list(channels)].sum(dim=1) for channels in beginning.channels], dim=1)
        if value.shape == own[name].shape:
            taken[name] = value
    trainer.network.load_state_dict({**own, **taken})
    trainer.averaged |= {name: value.clone().to(trainer.device) for name, value in taken.items()}


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
