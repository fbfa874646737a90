"""The result folder: whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ..marks import mark_result
from ..progress import Progress
from ..study_warning import SEGMENTATION_GIVEN
from ..workspace import Workspace, claimed, writing

if TYPE_CHECKING:
    from ..findings import Analysis
    from .dicom_source import SourceSeries


def write_result(
    analysis: Analysis, folder: Path, *, progress: Progress | None = None, overwrite: bool | None = None,
    inputs: Iterable[Path] = (), dicom: SourceSeries | None = None, scene: bool = True,
    workspace: Workspace | None = None,
) -> None:  # fmt: skip
    """Scene, segmentation (anchors apart), report, tables and picture, into a temporary folder that is then renamed.

    scene: False leaves the scene and the segmentation's own file out, for those who have them in Slicer. dicom: the
    series that was analysed; with it, DICOM Segmentation and Structured Report are written as well, and boxes slice
    by slice. overwrite, inputs: as for `workspace.check_place`. workspace: that of `folder`, for those who claimed it
    before the analysis.
    Raises InputError when it can't be written, or would replace what is no result; then, and when cancelled, nothing
    is left and an old result stays. What somebody added to an old result, or changed in it, is kept in the new one.
    """
    from .images import write_png
    from .measurements import write_measurements
    from .pictures import overview, panels
    from .report import report
    from .scene_file import write_scene
    from .tables import write_csv, write_json

    progress = progress or Progress()
    with (
        nullcontext(workspace) if workspace else claimed(folder, overwrite=overwrite, inputs=inputs) as claim,
        writing(claim, folder) as unfinished,
    ):
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
            write_measurements(analysis.findings, unfinished / "measurements.csv")
            (unfinished / "report.html").write_text(report(analysis, picture), encoding="utf-8")
            mark_result(unfinished)


def _write_dicom(analysis: Analysis, folder: Path, series: SourceSeries) -> None:
    """segmentation.dcm (when a level is segmented), report.dcm and boxes.csv."""
    from ..volume import CTVolume
    from .dicom_seg import write_segmentation
    from .dicom_sr import write_report
    from .rsna_boxes import write_boxes

    if analysis.labels.any():
        labels = CTVolume(analysis.labels, analysis.volume.affine)
        # Of outlines that were given nobody knows here whether a hand drew them.
        edited = any(warning.code == SEGMENTATION_GIVEN for warning in analysis.findings.warnings)
        write_segmentation(folder / "segmentation.dcm", series, labels, analysis.findings, edited=edited)
    write_report(folder / "report.dcm", series, analysis.findings)
    write_boxes(folder / "boxes.csv", series, analysis.findings)
