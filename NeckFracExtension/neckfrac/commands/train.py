"""`neckfrac train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..pipeline.combine import PREVALENCE
from .options import Anatomy, Device, Json, Models, Quiet, Threads

TRAINABLE = (
    "spine: simulate, locate and segment in one go. Or step by step: cache-locate, cache-slabs; locate, segment, "
    "cache-vertebrae; model1, model2, planes; cache-sagittal; sagittal, baselines (for comparison alone). Then export "
    "(what was trained, as bundles); cache-calibration; ensemble."
)


def train(
    what: Annotated[str, typer.Argument(help=TRAINABLE)],
    runs: Annotated[Path, typer.Option(help="Folder for samples and checkpoints.")] = Path("training-runs"),
    anatomy: Anatomy = None,
    built_in: Annotated[int, typer.Option(help="How many built-in necks a cache draws from.")] = 6,
    samples: Annotated[int, typer.Option(help="How many samples a cache is to hold.")] = 1000,
    first: Annotated[int, typer.Option(help="First seed of the cache.")] = 0,
    steps: Annotated[int | None, typer.Option(help="Steps of the whole training; default: the preset's.")] = None,
    time_budget: Annotated[float | None, typer.Option(help="Seconds; goes on from there when run again.")] = None,
    rsna: Annotated[Path | None, typer.Option(help="cache-vertebrae: from this folder of RSNA 2022.")] = None,
    most_gb: Annotated[float, typer.Option(help="With --rsna: how large its cache may grow.")] = 20.0,
    prevalence: Annotated[
        float, typer.Option(min=0.001, max=0.9, help="ensemble: share of fractured patients to calibrate for.")
    ] = PREVALENCE,
    device: Device = "auto",
    threads: Threads = None,
    models: Models = None,
    quiet: Quiet = False,
    json_progress: Json = False,
) -> None:
    """Simulate samples, train a network on them, or export what was trained as bundles."""
    import torch

    from ..pipeline.device import choose_device
    from ..resources import resources_dir
    from ..terminal import shown_progress
    from ..training import train as training

    if threads:
        torch.set_num_threads(threads)
    if rsna and what != "cache-vertebrae":
        from ..errors import InputError

        raise InputError("--rsna makes samples of vertebrae.", advice="Run: neckfrac train cache-vertebrae --rsna DIR")
    with shown_progress(quiet=quiet, as_json=json_progress) as progress, progress.stage(f"Training: {what}", 1.0):
        if rsna:
            from ..pipeline.engine import Networks
            from ..training.rsna_cache import fill_rsna_cache

            networks = Networks(models, device, threads)
            held = fill_rsna_cache(
                rsna, runs, networks, most_gb=most_gb, time_budget=time_budget, progress=progress
            )
            for line in (f"{held} vertebrae of {rsna} are in {runs / 'cache'}.", *progress.warnings):
                typer.echo(line, err=True)
        elif what.startswith("cache-"):
            kind = what.removeprefix("cache-")
            seeds = range(first, first + samples)
            training.fill_cache(
                kind, runs, seeds, anatomy=anatomy, built_in=built_in, time_budget=time_budget, progress=progress
            )
        elif what == "spine":
            training.train_spine(
                runs,
                anatomy=anatomy,
                built_in=built_in,
                time_budget=time_budget,
                device=choose_device(device),
                progress=progress,
            )
        elif what == "export":
            for name in training.trained(runs):
                training.export(name, runs, models or resources_dir() / "Models")
        elif what == "baselines":
            from ..training.baselines import as_tables, train_baselines

            told = train_baselines(
                runs, steps=steps, time_budget=time_budget, device=choose_device(device), progress=progress
            )
            typer.echo(as_tables(told))
        elif what == "ensemble":
            from ..evaluation.calibrate import calibrate

            calibrate(runs, models or resources_dir() / "Models", prevalence=prevalence, progress=progress)
        else:
            training.train(
                what, runs, steps=steps, time_budget=time_budget, device=choose_device(device), progress=progress
            )
