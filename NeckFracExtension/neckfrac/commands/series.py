"""`neckfrac series`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from .options import AsJson, print_json


def series(
    study: Annotated[list[str], typer.Argument(help="DICOM folder, files or zip.")], as_json: AsJson = False
) -> None:
    """List the series of a study, and which of them can be analysed."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ..intake.study import list_series

    found = list_series(study[0] if len(study) == 1 else study)
    if as_json:
        print_json({"series": [asdict(item) for item in found]})
        return
    table = Table()
    for heading in ("No.", "Description", "Modality", "Slices", "mm (z, y, x)", "Kernel", "Usable"):
        words = heading in ("Description", "Kernel")
        number = heading in ("No.", "Slices")
        table.add_column(heading, overflow="fold", no_wrap=not words, justify="right" if number else "left")
    numbers = ["-" if item.number is None else str(item.number) for item in found]
    for number, item in zip(numbers, found, strict=True):
        spacing = " ".join(f"{value:.2f}" for value in item.spacing)
        row = (number, item.description, item.modality, str(item.slices), spacing, item.kernel)
        table.add_row(*map(escape, row), "yes" if item.usable else "no")
    console = Console()
    console.print(table)
    for number, item in zip(numbers, found, strict=True):
        if not item.usable:  # a sentence in a column of its own would leave no room for the others
            console.print(f"[yellow]Series {number}:[/] {escape(item.why_not)}", highlight=False)
