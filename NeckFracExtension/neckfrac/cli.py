"""The command `neckfrac`."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from . import DISCLAIMER, __version__
from .commands import batch, compare, models, series, serve, token
from .commands.options import Device, Explain, Json, LeaveOut, Member, Models, OperatingPoint, Overwrite, Quiet, Threads

LABORATORY = "neckfrac_lab"  # adds its commands where it is installed; nothing else of neckfrac knows of it

app = typer.Typer(
    help=f"Finds cervical spine fractures on CT. {DISCLAIMER}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def analyze(
    study: Annotated[list[str], typer.Argument(help="DICOM folder, files or zip; NIfTI, NRRD or MHA.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the result; must not hold anything yet.")],
    device: Device = "auto",
    models: Models = None,
    series: Annotated[str | None, typer.Option(help="Series UID or number, where there are several.")] = None,
    threads: Threads = None,
    operating_point: OperatingPoint = "balanced",
    anchors: Annotated[bool, typer.Option("--anchors", help="Segment T1 and the skull base as well.")] = False,
    labels: Annotated[Path | None, typer.Option(help="Take these levels, 1 to 7, instead of segmenting.")] = None,
    explain: Explain = "heat",
    member: Member = None,
    dicom: Annotated[bool, typer.Option("--dicom", help="DICOM Segmentation and report as well.")] = False,
    leave_out: LeaveOut = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_progress: Json = False,
) -> None:
    """Segment C1 to C7, look for fractures, write a Slicer scene, a report and tables."""
    from .options import AnalysisOptions
    from .output.folder import write_result
    from .terminal import show_findings, shown_progress
    from .workspace import claimed

    inputs = [*study, *([labels] if labels else [])]
    options = AnalysisOptions(
        operating_point, anchors, explain, member, device=device, models_dir=models, threads=threads,
        leave_out=tuple(leave_out or ()),
    )  # fmt: skip
    with (
        shown_progress(quiet=quiet, as_json=json_progress) as progress,
        claimed(output, overwrite=overwrite, inputs=inputs) as workspace,
    ):
        from .intake.labels import read_labels
        from .intake.study import read_study
        from .output.dicom_source import source_of
        from .warm_engine import load_engine

        with progress.stage("Reading the study", until=0.08):
            source = study[0] if len(study) == 1 else study
            loaded = read_study(source, series=series, progress=progress)
            dicom_source = source_of(source, loaded.identity) if dicom else None
        with progress.stage("Loading the networks", until=0.12):
            engine = load_engine(options)
        levels = None
        if labels:
            levels, warnings = read_labels(labels, loaded.volume)
            loaded = loaded.with_warnings(warnings)
        analysis = engine.analyze(loaded, options, labels=levels, progress=progress.share(0.12, 0.7))
        write_result(analysis, output, progress=progress, dicom=dicom_source, workspace=workspace)
    if not quiet and not json_progress:
        show_findings(analysis.findings, folder=output)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o")] = Path("demo-result"), overwrite: Overwrite = False
) -> None:
    """Analyse the embedded sample: a simulated CT with known fractures, its truth beside the result."""
    from .demo import run_demo

    run_demo(output, overwrite=overwrite)


app.command()(batch.batch)
app.command()(compare.compare)
app.command()(serve.serve)
app.command()(series.series)
app.add_typer(models.app, name="models")
app.add_typer(token.app, name="token")
if find_spec(LABORATORY):
    import_module(f"{LABORATORY}.commands").add_to(app)


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
