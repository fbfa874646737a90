"""`neckfrac data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from neckfrac.commands.options import Json, Quiet

app = typer.Typer(help="Sets of studies to learn from or to be measured on.", no_args_is_help=True)


@app.callback()
def data() -> None:
    """Sets of studies to learn from or to be measured on."""


@app.command("summary")
def data_summary(
    folder: Annotated[Path, typer.Argument(help="In the layout of RSNA 2022, or written by neckfrac simulate.")],
    out: Annotated[Path | None, typer.Option(help="Folder for data-summary.json and .png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON, no table.")] = False,
    quiet: Quiet = False,
    json_progress: Json = False,
) -> None:
    """Patients, fractures by level, boxes, slice distance, kernel and size, as a table and a picture."""
    import json

    from neckfrac.terminal import shown_progress
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ..evaluation.data_summary import summarise_data, write_summary

    with shown_progress(quiet=quiet or as_json, as_json=json_progress) as progress, progress.stage("Reading", 1.0):
        summary = summarise_data(folder, progress=progress)
    written = write_summary(summary, out) if out else ()
    told = summary.to_dict()
    if as_json:
        typer.echo(json.dumps(told, indent=1))
        return
    if quiet or json_progress:
        return
    console = Console()
    kind = "simulated studies" if summary.simulated else "studies"
    console.print(f"{told['studies']} {kind}, {told['fractured']} fractured; {told['with segmentation']} segmented; "
                  f"{told['boxes']} boxes in {told['with boxes']}", highlight=False)  # fmt: skip
    if summary.absent:
        console.print(f"{summary.absent} more are listed, but their images are not there.", style="yellow")
    table = Table("", "Group", "Studies", "Share", width=76)
    for title, counts in told["counts"].items():
        for number, (group, count) in enumerate(counts.items()):
            share = f"{count / max(told['studies'], 1):.1%}"
            table.add_row("" if number else escape(title), escape(group), str(count), share)
        table.add_section()
    console.print(table)
    for name, problem in list(told["unreadable"].items())[:10]:
        console.print(f"[yellow]Not readable:[/] {escape(name)}: {escape(problem)}", highlight=False)
    for path in written:
        console.print(escape(str(path)), highlight=False)
