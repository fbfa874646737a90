"""Options that several commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

Models = Annotated[Path | None, typer.Option("--models", help="Folder of bundles; default: the project's and yours.")]
LeaveOut = Annotated[
    list[str] | None, typer.Option("--leave-out", help="A member not to ask, by its bundle's name; may be repeated.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all cores.")]
OperatingPoint = Annotated[str, typer.Option(help="sensitive, balanced or specific.")]
Explain = Annotated[str, typer.Option(help="What draws the heat: heat, grad-cam or smooth-grad.")]
Member = Annotated[str | None, typer.Option(help="Whose heat; default: the network that weighs most.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show nothing but errors.")]
Json = Annotated[bool, typer.Option("--json-progress", help="Progress as JSON lines on standard output.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing result once the new one is whole.")]
Readers = Annotated[
    int | None, typer.Option(min=0, help="Processes that simulate or read studies ahead; default: as the device needs.")
]
Anatomy = Annotated[Path | None, typer.Option(help="Folder of meshes (BodyParts3D layout); default: built in.")]


def print_json(content: Any) -> None:
    """What `--json` prints: ASCII, so that any terminal and any pipe can take it."""
    typer.echo(json.dumps(content, indent=2))
