"""`neckfrac evaluate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from neckfrac.commands.compare import compare
from neckfrac.commands.options import Anatomy, Device, Models, Quiet, Readers, Threads
from neckfrac.workspace import write_json_file

if TYPE_CHECKING:
    from neckfrac.pipeline.engine import Networks
    from neckfrac.progress import Progress

app = typer.Typer(help="Measure the networks; prints JSON.", no_args_is_help=True)


@contextmanager
def measuring(
    stage: str, models: Path | None, device: str, threads: int | None, quiet: bool
) -> Iterator[tuple[Networks, Progress]]:
    """The networks to be measured, and progress shown under the name of the stage."""
    from neckfrac.terminal import shown_progress

    with shown_progress(quiet=quiet) as progress, progress.stage(stage, 1.0):
        from neckfrac.pipeline.engine import Networks

        yield Networks(models, device, threads, ask_all=True), progress


@app.command("fractures")
def evaluate_fractures(
    data: Annotated[Path | None, typer.Argument(help="What neckfrac simulate wrote, or a folder of RSNA 2022.")] = None,
    studies: Annotated[int, typer.Option(help="How many studies are simulated when no folder is given.")] = 20,
    seed: Annotated[int, typer.Option(help="The same seed gives the same studies.")] = 0,
    anatomy: Anatomy = None,
    out: Annotated[Path, typer.Option(help="Folder for results; goes on from what is there.")] = Path("fractures"),
    record: Annotated[bool, typer.Option("--record", help="Write the figures into the bundles' model cards.")] = False,
    readers: Readers = None,
    device: Device = "auto",
    threads: Threads = None,
    models: Models = None,
    quiet: Quiet = False,
) -> None:
    """How well fractures are found, beside baselines: simulated studies or a folder; writes JSON and HTML."""
    from ..evaluation.fractures.card import record_fractures
    from ..evaluation.fractures.evaluate import REPORT, RESULT, evaluate_fractures, evaluate_simulated_fractures
    from ..evaluation.fractures.prefetch import readers_for

    with measuring("Evaluating", models, device, threads, quiet) as (networks, progress):
        options = {"readers": readers_for(networks.device) if readers is None else readers, "progress": progress}
        if data:
            result = evaluate_fractures(networks, data, out, **options)
        else:
            result = evaluate_simulated_fractures(networks, studies, out, seed=seed, anatomy=anatomy, **options)
    if record:
        record_fractures(networks, result)
    for name in (RESULT, REPORT):
        typer.echo(str(out / name))


@app.command("segment")
def evaluate_segment(
    studies: Annotated[int, typer.Option(help="How many simulated studies.")] = 20,
    seed: Annotated[int, typer.Option(help="The same seed gives the same studies.")] = 0,
    anatomy: Anatomy = None,
    study: Annotated[Path | None, typer.Option(help="A real CT instead of simulated ones.")] = None,
    reference: Annotated[Path | None, typer.Option(help="Its true labels, 1 to 7: NIfTI, NRRD.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for segment.json; default: none.")] = None,
    record: Annotated[bool, typer.Option("--record", help="Write the figures into the bundles' model cards.")] = False,
    device: Device = "auto",
    threads: Threads = None,
    models: Models = None,
    quiet: Quiet = False,
) -> None:
    """How well C1 to C7 are segmented and named: held-out simulated studies, or a CT with labels; prints JSON."""
    import json

    from neckfrac.errors import InputError

    from ..evaluation.segmentation import evaluate_labelled, evaluate_simulated

    if (study is None) != (reference is None):
        raise InputError("--study and --reference belong together.", advice="Give both, or neither.")
    with measuring("Evaluating", models, device, threads, quiet) as (networks, progress):
        if study and reference:
            result = evaluate_labelled(study, reference, networks, progress=progress)
        else:
            result = evaluate_simulated(studies, networks, seed=seed, anatomy=anatomy, progress=progress)
    told = json.dumps(result, indent=2)
    if out:
        write_json_file(out / "segment.json", result)
    if record:
        from neckfrac.bundles.bundle import record_measured
        from neckfrac.provenance import Provenance

        from ..evaluation.segmentation import in_words

        on = Provenance.UNKNOWN if study else Provenance.SIMULATED
        for bundle in (networks.bundles[step] for step in ("locate", "segment")):
            record_measured(bundle.folder, result["bundles"][bundle.name], in_words(result), on)
    typer.echo(told)


@app.command("measurements")
def evaluate_measurements(
    studies: Annotated[int, typer.Option(min=1, help="How many simulated people.")] = 6,
    seed: Annotated[int, typer.Option(help="The same seed gives the same people.")] = 0,
    anatomy: Anatomy = None,
    true_masks: Annotated[bool, typer.Option("--true-masks", help="Measure with the true masks.")] = False,
    slices: Annotated[list[float] | None, typer.Option(help="Slices in mm; may be repeated. Default: 1, 2, 3.")] = None,
    worn: Annotated[
        bool, typer.Option("--worn", help="Intact studies as those of `fractures`: worn, noisy, cut, with implants.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for results; goes on from what is there.")] = Path("measurements"),
    device: Device = "auto",
    threads: Threads = None,
    models: Models = None,
    quiet: Quiet = False,
) -> None:
    """How well necks are measured: bias and limits of agreement by slice thickness and pose; prints Markdown."""
    from neckfrac.errors import InputError

    from ..evaluation.measurements import SLICES, evaluate_measurements, evaluate_worn, in_words

    if worn and (true_masks or slices):
        raise InputError("--worn has the networks' masks and all kinds of slices.", advice="Leave the other away.")

    with measuring("Measuring", models, device, threads, quiet) as (networks, progress):
        options = {"seed": seed, "anatomy": anatomy, "progress": progress}
        if worn:
            result = evaluate_worn(studies, out, networks=networks, **options)
        else:
            masks = None if true_masks else networks
            result = evaluate_measurements(studies, out, networks=masks, slices=slices or SLICES, **options)
    typer.echo(in_words(result))


@app.command("robustness")
def evaluate_robustness(
    out: Annotated[Path, typer.Option(help="Folder for results and figure; goes on from what is there.")],
    subjects: Annotated[int, typer.Option(min=1, help="Simulated people a point of a curve.")] = 4,
    seed: Annotated[int, typer.Option(help="The same seed gives the same scans.")] = 0,
    condition: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")] = None,
    anatomy: Anatomy = None,
    study: Annotated[Path | None, typer.Option(help="A real CT to resample instead of simulated people.")] = None,
    landmarks: Annotated[Path | None, typer.Option(help="JSON with points in that CT's levels.")] = None,
    device: Device = "auto",
    threads: Threads = None,
    models: Models = None,
    quiet: Quiet = False,
) -> None:
    """Segmentation and names as the scan gets worse; draws robustness.svg from all results in the folder."""
    from ..evaluation.figure import draw_robustness
    from ..evaluation.robustness import sweep_real, sweep_simulated

    with measuring("Sweeping", models, device, threads, quiet) as (networks, progress):
        options = {"seed": seed, "chosen": condition or ()}
        if study:
            sweep_real(networks, out, study, landmarks=landmarks, progress=progress, **options)
        else:
            sweep_simulated(networks, out, subjects=subjects, anatomy=anatomy, progress=progress, **options)
    for path in draw_robustness(out):
        typer.echo(str(path))


@app.command("explanations")
def evaluate_explanations(
    samples: Annotated[int, typer.Option(min=1, help="How many simulated fractured vertebrae.")] = 40,
    seed: Annotated[int, typer.Option(help="The same seed gives the same vertebrae.")] = 0,
    anatomy: Anatomy = None,
    cache: Annotated[Path | None, typer.Option(help="Held-out samples of this folder instead of new ones.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for explanations.json; default: none.")] = None,
    device: Device = "auto",
    threads: Threads = None,
    models: Models = None,
    quiet: Quiet = False,
) -> None:
    """Whether heat maps, Grad-CAM and SmoothGrad show the fracture, on simulated vertebrae; prints JSON."""
    import json

    from ..evaluation.explanations import evaluate_explanations

    with measuring("Explaining", models, device, threads, quiet) as (networks, progress):
        result = evaluate_explanations(networks, samples, seed=seed, anatomy=anatomy, cache=cache, progress=progress)
    told = json.dumps(result, indent=2)
    if out:
        write_json_file(out / "explanations.json", result)
    typer.echo(told)


app.command("compare")(compare)
