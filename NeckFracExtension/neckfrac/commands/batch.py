"""`neckfrac batch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Device, Explain, Json, LeaveOut, Member, Models, OperatingPoint, Quiet, Threads

if TYPE_CHECKING:
    from ..output.worklist import Worklist


def batch(
    folder: Annotated[Path, typer.Argument(help="Folder of studies: DICOM folders, zips, NIfTI, NRRD or MHA files.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results; goes on from what is there.")],
    device: Device = "auto",
    models: Models = None,
    leave_out: LeaveOut = None,
    threads: Threads = None,
    operating_point: OperatingPoint = "balanced",
    anchors: Annotated[bool, typer.Option("--anchors", help="Segment T1 and the skull base as well.")] = False,
    explain: Explain = "heat",
    member: Member = None,
    again: Annotated[bool, typer.Option("--again", help="Analyse anew what has a result already.")] = False,
    quiet: Quiet = False,
    json_progress: Json = False,
) -> None:
    """Analyse every study of a folder; write a result folder each and a worklist, the likeliest fracture first.

    Exit code 1 when no study has a result.
    """
    from ..options import AnalysisOptions
    from ..terminal import shown_progress

    options = AnalysisOptions(
        operating_point, anchors, explain, member, device=device, models_dir=models, threads=threads,
        leave_out=tuple(leave_out or ()),
    )  # fmt: skip
    with shown_progress(quiet=quiet, as_json=json_progress) as progress:
        from ..batch import analyze_batch, claimed_results
        from ..intake.many import find_studies
        from ..warm_engine import load_engine

        with claimed_results(output):
            pass  # a place that can't be written is told before the search
        with progress.stage("Looking for studies", until=0.01):
            studies = find_studies(folder, progress)
        worklist = analyze_batch(studies, output, load_engine, options, again=again, progress=progress)
    if not quiet and not json_progress:
        show_worklist(worklist)
    if all(worklist.of(study.source).error for study in studies):
        raise typer.Exit(1)


def show_worklist(worklist: Worklist) -> None:
    """Print the rows, and how many have no result; nothing of the patients' names."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from .. import DISCLAIMER
    from ..findings import POSITIVE
    from ..formatting import as_figure
    from ..output.worklist import CSV

    console = Console()
    table = Table(title="Worklist, by probability of fracture")
    table.add_column("Study", overflow="fold")  # a name that is cut short may be another study's
    for heading in ("P", "Call", "Highest\nlevel", "P of\nlevel"):
        table.add_column(heading, no_wrap=True, justify="right" if heading.startswith("P") else "left")
    rows = worklist.rows
    for row in rows:
        style = "dim" if row.error else "bold red" if row.status == POSITIVE else None
        call = "no result" if row.error else row.status
        figures = as_figure(row.probability), call, row.level, as_figure(row.level_probability)
        table.add_row(escape(row.study), *figures, style=style)
    console.print(table)
    for row in rows:
        if row.note:
            console.print(f"[yellow]Note:[/] {escape(row.study)}: {escape(row.note)}", highlight=False)
    failed = [row for row in rows if row.error]
    for row in failed:
        console.print(f"[yellow]No result:[/] {escape(row.study)}: {escape(row.error)}", highlight=False)
    console.print(f"{len(rows) - len(failed)} of {len(rows)} studies have a result.")
    console.print(f"Worklist: {escape(str(worklist.folder / CSV))}", highlight=False, soft_wrap=True)
    console.print(DISCLAIMER, style="dim")
