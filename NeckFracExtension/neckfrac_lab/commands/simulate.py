"""`neckfrac simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from neckfrac.commands.options import Anatomy


def simulate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the simulated study.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same study.")] = 0,
    fracture: Annotated[
        list[str] | None, typer.Option(help="LEVEL:KIND, may be repeated: C2:odontoid-2, C5:facet-dislocation, ...")
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
    from neckfrac.terminal import shown_progress

    from ..simulate.command import simulate_to_folder

    if graft or labels:
        from ..simulate.graft_command import check_options, graft_to_folder

        others = {"--anatomy": anatomy, "--plain": plain, "--dicom": dicom, "--rsna-studies": rsna_studies}
        check_options(graft, labels, others)
        with shown_progress() as progress:
            graft_to_folder(output, graft, labels, seed=seed, fractures=fracture or [], progress=progress)
        return
    if rsna_studies is not None:
        from neckfrac.errors import InputError

        from ..simulate.rsna_layout import write_rsna_layout

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
