"""`neckfrac train`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from neckfrac.commands.options import Anatomy, Device, Json, Models, Quiet, Threads
from neckfrac.errors import InputError
from neckfrac.pipeline.combine import PREVALENCE

if TYPE_CHECKING:
    from neckfrac.progress import Progress

TRAINABLE = (
    "spine: simulate, locate and segment in one go. Or step by step: cache-locate, cache-slabs; locate, segment, "
    "cache-vertebrae; model1, model2, planes; cache-dense; dense; cache-sagittal; sagittal, baselines (for comparison "
    "alone). Then export (what was trained, as bundles); cache-calibration (whole studies, judged by them); ensemble."
)


def train(
    what: Annotated[str, typer.Argument(help=TRAINABLE)],
    runs: Annotated[Path, typer.Option(help="Folder for samples and checkpoints.")] = Path("training-runs"),
    anatomy: Anatomy = None,
    built_in: Annotated[int, typer.Option(help="How many built-in necks a cache draws from.")] = 6,
    samples: Annotated[int, typer.Option(help="How many samples a cache is to hold.")] = 1000,
    first: Annotated[int, typer.Option(help="First seed of the cache.")] = 0,
    steps: Annotated[int | None, typer.Option(help="Steps of the whole training; default: the preset's.")] = None,
    patience: Annotated[
        int | None, typer.Option(min=1, help="End after so many measurements on held-out people without a better one.")
    ] = None,
    folds: Annotated[int | None, typer.Option(min=2, help="With --fold: of how many folds; members only.")] = None,
    fold: Annotated[int | None, typer.Option(min=0, help="Hold out this fold (from 0) instead of every tenth.")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Say so when no curves can be written.")] = False,
    time_budget: Annotated[float | None, typer.Option(help="Seconds; goes on from there when run again.")] = None,
    loaders: Annotated[
        int | None, typer.Option(min=0, help="Processes that make batches or read ahead; default: as the device needs.")
    ] = None,
    begin_with: Annotated[
        Path | None, typer.Option(help="Bundle of this network: without a checkpoint it begins with its weights.")
    ] = None,
    rsna: Annotated[
        Path | None, typer.Option(help="cache-vertebrae, model1, model2, planes: from this folder of RSNA 2022 too.")
    ] = None,
    most_gb: Annotated[float, typer.Option(help="With --rsna: how large its cache may grow.")] = 20.0,
    balanced: Annotated[str, typer.Option(help="ensemble: what is best there: youden, f1 or f2.")] = "youden",
    sensitivity: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="ensemble: what the sensitive operating point reaches.")
    ] = 0.95,
    specificity: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="ensemble: what the specific operating point reaches.")
    ] = 0.95,
    prevalence: Annotated[
        float, typer.Option(min=0.001, max=0.9, help="ensemble: share of fractured patients to calibrate for.")
    ] = PREVALENCE,
    device: Device = "auto",
    threads: Threads = None,
    models: Models = None,
    quiet: Quiet = False,
    json_progress: Json = False,
) -> None:
    """Simulate samples, train a network on them, or export what was trained as bundles.

    On several GPUs: torchrun --nproc-per-node 4 -m neckfrac.cli train model2.
    """
    import torch
    from neckfrac.pipeline.device import choose_device
    from neckfrac.resources import resources_dir
    from neckfrac.terminal import shown_progress

    from neckfrac_lab.training import train as training
    from neckfrac_lab.training.distributed import distributed, is_first, processes
    from neckfrac_lab.training.tasks import TASKS

    if threads:
        torch.set_num_threads(threads)
    if rsna and what != "cache-vertebrae" and (what not in TASKS or TASKS[what].cache not in training.BESIDE):
        raise InputError(
            f"--rsna makes samples of single vertebrae; {what} learns from others.",
            advice="Run with it: neckfrac train cache-vertebrae, model1, model2 or planes.",
        )
    if (folds is None) != (fold is None) or (folds and fold >= folds):
        many = folds or 5
        raise InputError(
            "A fold is one of so many.", advice=f"Give both: --folds {many} --fold 0, up to --fold {many - 1}."
        )
    if what not in TASKS and (processes() > 1 or folds or patience):
        raise InputError(
            f"torchrun, --folds and --patience are for training a network, not for {what}.",
            advice=f"Those are {', '.join(TASKS)}.",
        )

    def fill_rsna(progress: Progress) -> list[str]:
        from neckfrac.pipeline.engine import Networks

        from neckfrac_lab.training.rsna_cache import fill_rsna_cache

        networks = Networks(models, device, threads)
        held = fill_rsna_cache(rsna, runs, networks, most_gb=most_gb, time_budget=time_budget, progress=progress)
        return [f"{held} vertebrae of {rsna} are in {runs / 'cache'}."]

    lines: list[str] = []
    shown = shown_progress(quiet=quiet or not is_first(), as_json=json_progress and is_first())
    with shown as progress, progress.stage(f"Training: {what}", 1.0):
        if rsna and what == "cache-vertebrae":
            lines += fill_rsna(progress)
        elif what == "cache-calibration":
            from neckfrac_lab.training.calibrate import calibration_networks, run_studies

            from ..evaluation.fractures.prefetch import readers_for

            networks = calibration_networks(models or resources_dir() / "Models", device, threads)
            readers = readers_for(networks.device) if loaders is None else loaders
            options = {"time_budget": time_budget, "readers": readers, "progress": progress}
            held = run_studies(networks, runs, samples, **options)
            lines.append(f"{held} of {samples} studies to calibrate on are there.")
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
            from neckfrac_lab.training.export import export, trained

            for label in trained(runs):
                export(label, runs, models or resources_dir() / "Models")
        elif what == "baselines":
            from neckfrac_lab.training.baselines import as_tables, train_baselines

            told = train_baselines(
                runs, steps=steps, time_budget=time_budget, device=choose_device(device), progress=progress
            )
            typer.echo(as_tables(told))
        elif what == "ensemble":
            from neckfrac.pipeline.engine import ENSEMBLE_FILE

            from neckfrac_lab.training.calibrate import calibrate, calibration_networks
            from neckfrac_lab.training.calibration import BALANCED, OperatingPointTargets

            if balanced not in BALANCED:
                raise InputError(f"There is no {balanced!r} to balance by.", advice=f"Choose {', '.join(BALANCED)}.")

            targets = OperatingPointTargets(sensitivity, specificity, balanced, prevalence)
            folder = models or resources_dir() / "Models"
            calibrate(calibration_networks(folder, device, threads), runs, targets).write(folder / ENSEMBLE_FILE)
        else:
            from neckfrac_lab.training.cache import Split
            from neckfrac_lab.training.export import how_far

            began, split = time.monotonic(), Split(fold, folds) if folds else None
            with distributed(choose_device(device)) as ranks:
                if rsna and ranks.first:
                    lines += fill_rsna(progress.part(0.0, 0.5))
                ranks.agree(True)  # the others wait for the samples
                left = None if time_budget is None else time_budget - (time.monotonic() - began)
                training.train(
                    what, runs, steps=steps, time_budget=left, patience=patience, split=split, ranks=ranks,
                    tensorboard=tensorboard, loaders=loaders, begin_with=begin_with,
                    progress=progress.part(0.5, 1.0) if rsna else progress,
                )  # fmt: skip
            lines.append(how_far(training.label_of(what, split), runs))
    for line in (*lines, *progress.warnings) if is_first() and not quiet else ():
        typer.echo(str(line), err=True)
