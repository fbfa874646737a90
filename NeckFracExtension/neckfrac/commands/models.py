"""`neckfrac models`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Models

app = typer.Typer(help="The trained networks on disk.", no_args_is_help=True)


@app.command("list")
def models_list(models: Models = None) -> None:
    """What is installed: name, version, step, weight in the ensemble, checksum, licence, training data."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ..bundles.library import model_folders, survey

    table = Table("Name", "Version", "Step", "Weight", "SHA-256", "Licence", "Trained on")
    console, entries = Console(), survey(models)
    for entry in entries:
        weight = "" if entry.weight is None else f"{entry.weight:.2g}"
        told = (entry.name, entry.version, entry.step, weight, entry.sha256[:12], entry.license, entry.trained_on)
        table.add_row(*map(escape, told), style="dim" if entry.error else None)
    console.print(table)
    for entry in entries:
        if entry.error:
            console.print(f"[yellow]Not used:[/] {escape(entry.name)}: {escape(entry.error)}", highlight=False)
    for folder in model_folders(models):
        state = "" if folder.is_dir() else " (not there yet)"
        console.print(f"{escape(str(folder))}{state}", style="dim", highlight=False, soft_wrap=True)


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
