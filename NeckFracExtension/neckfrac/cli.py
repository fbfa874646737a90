"""The command `neckfrac`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from . import DISCLAIMER, __version__

app = typer.Typer(
    help=f"Finds cervical spine fractures on CT. {DISCLAIMER}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="The trained networks on disk.", no_args_is_help=True)
app.add_typer(models_app, name="models")
evaluate_app = typer.Typer(help="Measure the networks; prints JSON.", no_args_is_help=True)
app.add_typer(evaluate_app, name="evaluate")

Models = Annotated[Path | None, typer.Option("--models", help="Folder of bundles; default: those of the project.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all cores.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show nothing but errors.")]
Json = Annotated[bool, typer.Option("--json-progress", help="Progress as JSON lines on standard output.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing result once the new one is whole.")]
TRAINABLE = (
    "spine: simulate, locate and segment in one go. Or step by step: cache-locate, cache-slabs; locate, segment, "
    "model1, model2, planes, sagittal (of cache-sagittal); baselines (for comparison alone). Then export (what was "
    "trained, as bundles); ensemble."
)
Anatomy = Annotated[Path | None, typer.Option(help="Folder of meshes (BodyParts3D layout); default: built in.")]


@app.command()
def analyze(
    study: Annotated[list[str], typer.Argument(help="DICOM folder, files or zip; NIfTI, NRRD or MHA.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the result; must not hold anything yet.")],
    device: Device = "auto",
    models: Models = None,
    series: Annotated[str | None, typer.Option(help="Series UID or number, where there are several.")] = None,
    threads: Threads = None,
    operating_point: Annotated[str, typer.Option(help="sensitive, balanced or specific.")] = "balanced",
    anchors: Annotated[bool, typer.Option("--anchors", help="Segment T1 and the skull base as well.")] = False,
    explain: Annotated[str, typer.Option(help="What draws the heat: heat, grad-cam or smooth-grad.")] = "heat",
    member: Annotated[str | None, typer.Option(help="Whose heat; default: the network that weighs most.")] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_progress: Json = False,
) -> None:
    """Segment C1 to C7, look for fractures, write a Slicer scene, a report and tables."""
    from .output.folder import check_result_folder, remove_unfinished, write_result
    from .terminal import show_findings, shown_progress

    check_result_folder(output, overwrite)
    with shown_progress(quiet=quiet, as_json=json_progress, clean_up=remove_unfinished) as progress:
        from .intake.study import read_study
        from .pipeline.analyze import Engine

        with progress.stage("Reading the study", until=0.08):
            source = study[0] if len(study) == 1 else study
            loaded = read_study(source, series=series, progress=progress)
        with progress.stage("Loading the networks", until=0.12):
            engine = Engine(models, device, threads)
        options = {"operating_point": operating_point, "anchors": anchors, "explain": explain, "member": member}
        analysis = engine.analyze(loaded, **options, progress=progress.share(0.12, 0.7))
        write_result(analysis, output, progress=progress, overwrite=overwrite)
    if not quiet and not json_progress:
        show_findings(analysis.findings, folder=output)


@app.command()
def series(study: Annotated[list[str], typer.Argument(help="DICOM folder, files or zip.")]) -> None:
    """List the series of a study, and which of them can be analysed."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from .intake.study import list_series

    table = Table("Number", "Description", "Modality", "Slices", "Spacing z, y, x (mm)", "Kernel", "Usable")
    for item in list_series(study[0] if len(study) == 1 else study):
        spacing = ", ".join(f"{value:.2f}" for value in item.spacing)
        number = "-" if item.number is None else str(item.number)
        usable = "yes" if item.usable else item.why_not
        row = (number, item.description, item.modality, str(item.slices), spacing, item.kernel, usable)
        table.add_row(*map(escape, row))
    Console().print(table)


@app.command()
def simulate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the simulated study.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same study.")] = 0,
    fracture: Annotated[
        list[str] | None, typer.Option(help="LEVEL:KIND, may be repeated: C2:odontoid-2, C7:spinous, ...")
    ] = None,
    anatomy: Anatomy = None,
    spacing: Annotated[tuple[float, float, float], typer.Option(help="mm along z, y, x.")] = (1.0, 0.6, 0.6),
    size: Annotated[tuple[int, int, int], typer.Option(help="Voxels along z, y, x.")] = (200, 256, 256),
    plain: Annotated[bool, typer.Option("--plain", help="A straight, textbook neck and a clean scanner.")] = False,
    dicom: Annotated[bool, typer.Option("--dicom", help="Write a DICOM series beside the NRRD files.")] = False,
    rsna_studies: Annotated[
        int | None, typer.Option(help="Instead of one study, so many in the layout of RSNA 2022.")
    ] = None,
    graft: Annotated[Path | None, typer.Option(help="Break vertebrae of this CT instead; needs --labels.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Its labels, 1 to 7: NIfTI, NRRD or MHA.")] = None,
) -> None:
    """Simulate a neck CT with known fractures: NRRD or DICOM, true labels, boxes and truth.json."""
    from .simulate.command import simulate_to_folder
    from .terminal import shown_progress

    if graft or labels:
        from .simulate.graft_command import check_options, graft_to_folder

        others = {"--anatomy": anatomy, "--plain": plain, "--dicom": dicom, "--rsna-studies": rsna_studies}
        check_options(graft, labels, others)
        with shown_progress() as progress:
            graft_to_folder(output, graft, labels, seed=seed, fractures=fracture or [], progress=progress)
        return
    if rsna_studies is not None:
        from .errors import InputError
        from .simulate.rsna_layout import write_rsna_layout

        if fracture:
            raise InputError("--fracture and --rsna-studies exclude each other.", advice="Fractures are drawn there.")
        with shown_progress() as progress:
            write_rsna_layout(
                output, rsna_studies, seed, anatomy=anatomy, spacing=spacing, size=size, plain=plain, progress=progress
            )
        return
    with shown_progress() as progress:
        simulate_to_folder(
            output,
            seed=seed,
            fractures=fracture or [],
            anatomy=anatomy,
            spacing=spacing,
            size=size,
            plain=plain,
            dicom=dicom,
            progress=progress,
        )


@app.command()
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
    device: Device = "auto",
    threads: Threads = None,
    models: Models = None,
    quiet: Quiet = False,
    json_progress: Json = False,
) -> None:
    """Simulate samples, train a network on them, or export what was trained as bundles."""
    import torch

    from .pipeline.device import choose_device
    from .resources import resources_dir
    from .terminal import shown_progress
    from .training import train as training

    if threads:
        torch.set_num_threads(threads)
    if rsna and what != "cache-vertebrae":
        from .errors import InputError

        raise InputError("--rsna makes samples of vertebrae.", advice="Run: neckfrac train cache-vertebrae --rsna DIR")
    with shown_progress(quiet=quiet, as_json=json_progress) as progress, progress.stage(f"Training: {what}", 1.0):
        if rsna:
            from .pipeline.engine import Networks
            from .training.rsna_cache import fill_rsna_cache

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
            from .training.baselines import as_tables, train_baselines

            told = train_baselines(
                runs, steps=steps, time_budget=time_budget, device=choose_device(device), progress=progress
            )
            typer.echo(as_tables(told))
        elif what == "ensemble":
            from .evaluation.calibrate import calibrate

            calibrate(runs, models or resources_dir() / "Models", progress=progress)
        else:
            training.train(
                what, runs, steps=steps, time_budget=time_budget, device=choose_device(device), progress=progress
            )


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o")] = Path("demo-result"), overwrite: Overwrite = False
) -> None:
    """Analyse the embedded sample: a simulated CT with known fractures, its truth beside the result."""
    from .demo import run_demo

    run_demo(output, overwrite=overwrite)


@evaluate_app.command("fractures")
def evaluate_fractures(
    data: Annotated[Path | None, typer.Argument(help="What neckfrac simulate wrote, or a folder of RSNA 2022.")] = None,
    studies: Annotated[int, typer.Option(help="How many studies are simulated when no folder is given.")] = 20,
    seed: Annotated[int, typer.Option(help="The same seed gives the same studies.")] = 0,
    anatomy: Anatomy = None,
    out: Annotated[Path, typer.Option(help="Folder for results; goes on from what is there.")] = Path("fractures"),
    record: Annotated[bool, typer.Option("--record", help="Write the figures into the bundles' model cards.")] = False,
    device: Device = "auto",
    threads: Threads = None,
    models: Models = None,
    quiet: Quiet = False,
) -> None:
    """How well fractures are found, beside baselines: simulated studies or a folder; writes JSON and HTML."""
    from .evaluation.fracture_card import record_fractures
    from .evaluation.fractures import REPORT, RESULT, evaluate_fractures, evaluate_simulated_fractures
    from .terminal import shown_progress

    with shown_progress(quiet=quiet) as progress, progress.stage("Evaluating", 1.0):
        from .pipeline.engine import Networks

        networks = Networks(models, device, threads)
        if data:
            result = evaluate_fractures(networks, data, out, progress=progress)
        else:
            result = evaluate_simulated_fractures(
                networks, studies, out, seed=seed, anatomy=anatomy, progress=progress
            )
    if record:
        record_fractures(networks, result)
    for name in (RESULT, REPORT):
        typer.echo(str(out / name))


@evaluate_app.command("segment")
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

    from .errors import InputError
    from .evaluation.segmentation import evaluate_labelled, evaluate_simulated
    from .terminal import shown_progress

    if (study is None) != (reference is None):
        raise InputError("--study and --reference belong together.", advice="Give both, or neither.")
    with shown_progress(quiet=quiet) as progress, progress.stage("Evaluating", 1.0):
        from .pipeline.engine import Networks

        networks = Networks(models, device, threads)
        if study and reference:
            result = evaluate_labelled(study, reference, networks, progress=progress)
        else:
            result = evaluate_simulated(studies, networks, seed=seed, anatomy=anatomy, progress=progress)
    told = json.dumps(result, indent=2)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / "segment.json").write_text(told, encoding="utf-8")
    if record:
        from .bundles.bundle import record_measured
        from .evaluation.segmentation import in_words

        for bundle in (networks.bundles[step] for step in ("locate", "segment")):
            record_measured(bundle.folder, result["bundles"][bundle.name], in_words(result))
    typer.echo(told)


@evaluate_app.command("robustness")
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
    from .evaluation.figure import draw_robustness
    from .evaluation.robustness import sweep_real, sweep_simulated
    from .terminal import shown_progress

    with shown_progress(quiet=quiet) as progress, progress.stage("Sweeping", 1.0):
        from .pipeline.engine import Networks

        networks, options = Networks(models, device, threads), {"seed": seed, "chosen": condition or ()}
        if study:
            sweep_real(networks, out, study, landmarks=landmarks, progress=progress, **options)
        else:
            sweep_simulated(networks, out, subjects=subjects, anatomy=anatomy, progress=progress, **options)
    for path in draw_robustness(out):
        typer.echo(str(path))


@evaluate_app.command("explanations")
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

    from .evaluation.explanations import evaluate_explanations
    from .terminal import shown_progress

    with shown_progress(quiet=quiet) as progress, progress.stage("Explaining", 1.0):
        from .pipeline.engine import Networks

        networks = Networks(models, device, threads)
        result = evaluate_explanations(networks, samples, seed=seed, anatomy=anatomy, cache=cache, progress=progress)
    told = json.dumps(result, indent=2)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / "explanations.json").write_text(told + "\n", encoding="utf-8")
    typer.echo(told)


@app.command()
def bench(threads: Threads = 2, seed: int = 0) -> None:
    """Stage times and peak memory on a 512x512x300 study, and the ratio to a plain MONAI sliding window."""
    from .evaluation.bench import run_bench

    run_bench(threads=threads, seed=seed)


@models_app.command("list")
def models_list(models: Models = None) -> None:
    """What is installed: name, version, step, size, checksum, training data."""
    from rich.console import Console
    from rich.table import Table

    from .bundles.bundle import list_bundles
    from .resources import resources_dir

    table = Table("Name", "Version", "Step", "SHA-256", "Trained on")
    for bundle in list_bundles(models or resources_dir() / "Models"):
        identity = bundle.identity
        table.add_row(identity.name, identity.version, identity.step, identity.sha256[:12], identity.trained_on)
    Console().print(table)


@models_app.command("verify")
def models_verify(models: Models = None) -> None:
    """Check every bundle's weights against their SHA-256."""
    from .bundles.bundle import list_bundles
    from .errors import InputError
    from .resources import resources_dir

    folder = models or resources_dir() / "Models"
    bundles = list_bundles(folder)
    if not bundles:
        raise InputError("There is no bundle to verify.", where=folder, advice="Give the folder that holds them.")
    for bundle in bundles:
        bundle.verify()
        typer.echo(f"{bundle.name}: as published")


@app.callback(invoke_without_command=True)
def about(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"NeckFrac {__version__}")
        raise typer.Exit()


def main(arguments: list[str] | None = None) -> None:
    """Run the command; a known error is one line and an exit code, a traceback comes with --debug only."""
    from .errors import NeckFracError

    # Warnings are shown with the result; without a handler Python would print them into the bar as well.
    logging.getLogger("neckfrac").addHandler(logging.NullHandler())
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        app(arguments)
    except NeckFracError as error:
        if debug:
            raise
        typer.echo(f"neckfrac: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            raise
        told = f"neckfrac: unexpected {type(error).__name__}: {' '.join(str(error).split())}"
        typer.echo(f"{told.rstrip(': .')}. Add --debug to see where.", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
