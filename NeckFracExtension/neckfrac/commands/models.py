"""`neckfrac models`."""

from __future__ import annotations

import typer

from .options import Models

app = typer.Typer(help="The trained networks on disk.", no_args_is_help=True)


@app.command("list")
def models_list(models: Models = None) -> None:
    """What is installed: name, version, step, size, checksum, training data."""
    from rich.console import Console
    from rich.table import Table

    from ..bundles.bundle import list_bundles
    from ..resources import resources_dir

    table = Table("Name", "Version", "Step", "SHA-256", "Trained on")
    for bundle in list_bundles(models or resources_dir() / "Models"):
        identity = bundle.identity
        table.add_row(identity.name, identity.version, identity.step, identity.sha256[:12], identity.trained_on)
    Console().print(table)


@app.command("verify")
def models_verify(models: Models = None) -> None:
    """Check every bundle's weights against their SHA-256."""
    from ..bundles.bundle import list_bundles
    from ..errors import InputError
    from ..resources import resources_dir

    folder = models or resources_dir() / "Models"
    bundles = list_bundles(folder)
    if not bundles:
        raise InputError("There is no bundle to verify.", where=folder, advice="Give the folder that holds them.")
    for bundle in bundles:
        bundle.verify()
        typer.echo(f"{bundle.name}: as published")
