"""`neckfrac models`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import AsJson, Models, print_json

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from ..bundles.library import Entry

app = typer.Typer(help="The trained networks on disk.", no_args_is_help=True)


@app.command("list")
def models_list(
    models: Models = None,
    long: Annotated[bool, typer.Option("--long", help="All that is known of each, under one another.")] = False,
    as_json: AsJson = False,
) -> None:
    """What is installed: name, version, step, weight in the ensemble, checksum; --long: licence, training data, folder.

    A network that can't be used is told with the reason.
    """
    from rich.console import Console
    from rich.markup import escape

    from ..bundles.library import model_folders, survey
    from ..formatting import as_text

    console, entries, folders = Console(), survey(models), model_folders(models)
    if as_json:
        places = [{"path": as_text(folder), "exists": folder.is_dir()} for folder in folders]
        print_json({"networks": [asdict(entry) for entry in entries], "folders": places})
        return
    console.print(_long(entries) if long else _table(entries))
    for entry in entries:
        if entry.error and not long:
            console.print(f"[yellow]Not used:[/] {escape(entry.name)}: {escape(entry.error)}", highlight=False)
    for folder in folders:
        state = "" if folder.is_dir() else " (not there yet)"
        console.print(f"{escape(str(folder))}{state}", style="dim", highlight=False, soft_wrap=True)


def _weight(entry: Entry) -> str:
    return "" if entry.weight is None else f"{entry.weight:.2g}"


def _table(entries: list[Entry]) -> Table:
    """A row a network; a name that is too long for the terminal goes on in the next line."""
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    table.add_column("Name", overflow="fold")
    for heading in ("Version", "Step", "Weight", "SHA-256"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "Weight" else "left")
    for entry in entries:
        cells = (entry.name, entry.version, entry.step, _weight(entry), entry.sha256[:12])
        table.add_row(*map(escape, cells), style="dim" if entry.error else None)
    return table


def _long(entries: list[Entry]) -> Group:
    """Of each network a line for whatever is known of it."""
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    parts: list[Table | str] = []
    for entry in entries:
        facts = {
            "Version": entry.version,
            "Step": f"{entry.step}, {entry.title}" if entry.title else entry.step,
            "Weight": _weight(entry),
            "SHA-256": entry.sha256,
            "Licence": entry.license,
            "Trained on": entry.trained_on,
            "Folder": entry.folder,
            "Not used": entry.error,
        }
        lines = Table.grid(padding=(0, 2))
        lines.add_column(style="dim", no_wrap=True)
        lines.add_column(overflow="fold")
        for name, told in facts.items():
            if told:
                lines.add_row(f"  {name}", escape(told))
        parts += [f"[bold]{escape(entry.name)}[/]", lines, ""]
    return Group(*parts)


@app.command("verify")
def models_verify(models: Models = None) -> None:
    """Check every bundle's weights against their SHA-256, and that they fit their network."""
    from ..bundles.bundle import list_bundles
    from ..bundles.library import model_folders
    from ..errors import InputError

    folders = model_folders(models)
    bundles = [bundle for folder in folders for bundle in list_bundles(folder)]
    if not bundles:
        raise InputError("There is no bundle to verify.", where=folders[0], advice="Give the folder that holds them.")
    for bundle in bundles:
        bundle.verify()
        typer.echo(f"{bundle.name}: as published")


@app.command("add")
def models_add(
    file: Annotated[Path, typer.Argument(help="A zip of a bundle, or its folder.")],
    models: Models = None,
    replace: Annotated[bool, typer.Option("--replace", help="Use it instead of one of that name or step.")] = False,
) -> None:
    """Check a bundle and add it to your own folder, or to --models; nothing of it is run before."""
    from ..bundles.installing import add_bundle

    bundle = add_bundle(file, models, replace=replace)
    typer.echo(f"{bundle.name} {bundle.identity.version}: added to {bundle.folder.parent}")


@app.command("remove")
def models_remove(
    name: Annotated[str, typer.Argument(help="The bundle's name, as models list tells it.")], models: Models = None
) -> None:
    """Delete a bundle from your own folder, or from --models; ensemble.json stays as it is."""
    from ..bundles.installing import remove_bundle

    typer.echo(f"{name}: removed from {remove_bundle(name, models).parent}")
