"""The result folder: whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..progress import Progress

if TYPE_CHECKING:
    from ..findings import Analysis
    from .dicom_source import SourceSeries

# Folders of this process that are not finished; a forced end removes them.
_UNFINISHED: set[Path] = set()


def check_result_folder(folder: Path, overwrite: bool = False) -> None:
    """Before the work: raises InputError when the result could not be written there, or would hide another."""
    folder = Path(folder).absolute()
    if folder.exists() and not folder.is_dir():
        raise InputError("The output is a file, not a folder.", where=folder, advice="Choose another --output.")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise InputError(
            "The output folder already holds something.", where=folder, advice="Choose another, or add --overwrite."
        )
    # Folders on the way to it are made with the result: one that is refused later leaves none.
    nearest = next(parent for parent in folder.parents if parent.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".neckfrac-", dir=nearest):
            pass
    except OSError as error:
        raise InputError(
            f"The output can't be written: {error.strerror}.",
            where=nearest,
            advice="Choose a folder that you may write to.",
        ) from error


def write_result(
    analysis: Analysis, folder: Path, *, progress: Progress | None = None, overwrite: bool = False,
    dicom: SourceSeries | None = None, scene: bool = True,
) -> None:  # fmt: skip
    """Scene, segmentation (anchors apart), report, tables and picture, into a temporary folder that is then renamed.

    scene: False leaves the scene and the segmentation's own file out, for those who have them in Slicer. dicom: the
    series that was analysed; with it, DICOM Segmentation and Structured Report are written as well, and boxes slice
    by slice.
    Raises InputError when it can't be written; then, and when cancelled, nothing is left and an old result stays.
    """
    from .images import write_png
    from .pictures import overview, panels
    from .report import report
    from .scene_file import write_scene
    from .tables import write_csv, write_json

    progress = progress or Progress()
    folder = Path(folder).absolute()
    check_result_folder(folder, overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    _UNFINISHED.add(unfinished)
    try:
        with progress.stage("Drawing the report", until=0.8):
            picture = panels(analysis)
            write_png(overview(analysis, picture), unfinished / "overview.png")
            progress.step(0.5)
        if scene:
            with progress.stage("Writing the scene", until=0.98):
                write_scene(analysis, unfinished / "scene.mrb", progress=progress)
        if dicom is not None:
            with progress.stage("Writing DICOM", until=0.99):
                _write_dicom(analysis, unfinished, dicom)
        # The tables and the report come last: they hold the timings of what came before.
        with progress.stage("Writing tables and report", until=1.0):
            write_json(analysis.findings, unfinished / "findings.json")
            write_csv(analysis.findings, unfinished / "findings.csv")
            (unfinished / "report.html").write_text(report(analysis, picture), encoding="utf-8")
        unfinished.chmod(0o755)
        _put_in_place(unfinished, folder)
    except OSError as error:
        raise InputError(
            f"The result can't be written: {error.strerror or error}.",
            where=folder,
            advice="Check the room on the disk.",
        ) from error
    except InputError as error:
        if error.where is None or not Path(error.where).is_relative_to(unfinished):
            raise
        # The unfinished folder is gone when this is read; what the user named is `folder`.
        raise InputError(error.what, where=folder, advice=error.advice) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        _UNFINISHED.discard(unfinished)


def _write_dicom(analysis: Analysis, folder: Path, series: SourceSeries) -> None:
    """segmentation.dcm (when a level is segmented), report.dcm and boxes.csv."""
    from ..pipeline.given import GIVEN
    from ..volume import CTVolume
    from .dicom_seg import write_segmentation
    from .dicom_sr import write_report
    from .rsna_boxes import write_boxes

    if analysis.labels.any():
        labels = CTVolume(analysis.labels, analysis.volume.affine)
        # Of outlines that were given nobody knows here whether a hand drew them.
        edited = GIVEN in analysis.findings.warnings
        write_segmentation(folder / "segmentation.dcm", series, labels, analysis.findings, edited=edited)
    write_report(folder / "report.dcm", series, analysis.findings)
    write_boxes(folder / "boxes.csv", series, analysis.findings)


def remove_unfinished() -> None:
    """Remove what a forced end would leave behind."""
    for folder in list(_UNFINISHED):
        shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(new: Path, folder: Path) -> None:
    """Rename `new` to `folder`; an old result is set aside first and comes back when that fails."""
    if not folder.exists():
        new.rename(folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent)) / "old"
    folder.rename(aside)
    try:
        new.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    finally:
        shutil.rmtree(aside.parent, ignore_errors=True)
