"""`neckfrac compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..workspace import write_json_file
from .options import Quiet


def compare(
    labels: Annotated[Path, typer.Argument(help="A segmentation with labels 1 to 7: NIfTI, NRRD.", metavar="LABELS")],
    reference: Annotated[Path, typer.Argument(help="What it is compared with, on any grid.", metavar="REFERENCE")],
    out: Annotated[Path | None, typer.Option(help="File for all figures as JSON; default: none.")] = None,
    quiet: Quiet = False,
) -> None:
    """One segmentation of C1 to C7 against another: overlap and distances of each level, and what is odd in either."""
    from ..terminal import show_comparison, shown_progress

    with shown_progress(quiet=quiet) as progress, progress.stage("Comparing", 1.0):
        from ..comparison.compare import compare_files

        comparison = compare_files(labels, reference, progress)
    if out:
        write_json_file(out, comparison.to_dict())
    if not quiet:
        show_comparison(comparison)
