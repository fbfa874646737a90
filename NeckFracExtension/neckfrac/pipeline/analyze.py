"""The pipeline from a study to its Findings, top to bottom."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..findings import Analysis, Explanation, Naming
from ..options import AnalysisOptions
from ..progress import Progress
from ..study_warning import GIVEN
from .engine import Networks

if TYPE_CHECKING:
    from ..intake.study import Study


def analyze(
    study: Study,
    networks: Networks,
    options: AnalysisOptions | None = None,
    *,
    labels: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Findings, labels and heat map of one study, on the study's own grid.

    labels: levels that were segmented elsewhere or corrected by hand (1...7 are C1...C7, on the study's voxels); they
    are taken as they are, and neither locating nor segmenting is done. Raises InputError for a member that is unknown
    or can't be explained so, and for labels without a level; Cancelled when the progress says so.
    """
    from .assemble_findings import chain_warnings, conclude, level_probabilities
    from .coverage import levels_in_view
    from .explain import member_to_explain, redraw
    from .external_segmentation import given, levels_of
    from .grids import coarse
    from .localize import draw
    from .locate import locate
    from .measure import measure
    from .run_members import heaviest_first, run_members
    from .segment import anchors_onto_volume, onto_volume, segment

    options = options or AnalysisOptions()
    explained = member_to_explain(networks, options.explain, options.member)
    progress = progress or Progress()
    progress.keep(*study.warnings)
    # The results have the study's own axes; every step works on views of them along L, P, S.
    heat = np.zeros(study.volume.shape, np.uint8)
    volume, reorientation = study.volume.canonical()
    naming, shown = Naming(), None

    if labels is not None:
        with progress.stage("Taking the segmentation", until=0.3):
            labels, named = levels_of(labels, study.volume)
            segmented = given(volume, reorientation.apply(labels), window=networks.arguments("segment")["window"])
            shares, seen = levels_in_view(segmented)
            progress.keep(GIVEN, *named, *chain_warnings(seen, shares))
    else:
        labels = np.zeros(study.volume.shape, np.uint8)
        with progress.stage("Locating the spine", until=0.3):
            located = locate(*coarse(volume), progress=progress, **networks.arguments("locate"))
        if not located.found:
            progress.warn("spine-not-found", f"No cervical spine found. {located.reason}")
            return Analysis(study.volume, labels, heat, conclude(study, networks, options.operating_point, progress))

        with progress.stage("Segmenting the vertebrae", until=0.65):
            arguments = {**networks.arguments("segment"), "anchors": options.anchors}
            segmented = segment(volume, located, progress=progress, **arguments)
            onto_volume(segmented, volume, reorientation.apply(labels))
            if options.anchors:
                shown = np.zeros_like(labels)
                anchors_onto_volume(segmented, volume, reorientation.apply(shown))
            shares, seen = levels_in_view(segmented)
            naming = located.naming
            progress.keep(naming.warning(), *located.warnings, *chain_warnings(seen, shares))

    segmented = replace(segmented, gaps=study.gaps)
    with progress.stage("Measuring", until=0.66):
        measurements, remark = measure(segmented, volume)
        progress.keep(remark, networks.ensemble.caveat())
    with progress.stage("Looking for fractures", until=0.9):
        predictions = run_members(segmented, networks, progress)
        probabilities = level_probabilities(predictions, networks.ensemble, seen)

    with progress.stage("Drawing boxes", until=0.92 if explained else 1.0):
        regions = draw(segmented, heaviest_first(predictions, networks), volume, reorientation.apply(heat))
    explanation = Explanation()
    if explained:
        with progress.stage("Explaining", until=1.0):
            suspected = networks.ensemble.suspected(probabilities)
            into = reorientation.apply(heat)
            explanation = redraw(segmented, networks, explained, suspected, options.explain, volume, into, progress)

    findings = conclude(
        study,
        networks,
        options.operating_point,
        progress,
        centers=segmented.centers(seen),
        shares=shares,
        predictions=predictions,
        probabilities=probabilities,
        regions=regions,
        naming=naming,
        explanation=explanation,
        measurements=measurements,
    )
    return Analysis(study.volume, labels, heat, findings, shown)


class Engine(Networks):
    """The pipeline with its networks kept warm: what the command line and the worker hold on to."""

    def analyze(
        self,
        study: Study,
        options: AnalysisOptions | None = None,
        *,
        labels: np.ndarray | None = None,
        progress: Progress | None = None,
    ) -> Analysis:
        """See `analyze`; may be called again and again, and when memory runs out goes on with less (see `memory`)."""
        from .memory import as_memory_allows

        progress = progress or Progress()
        run = partial(analyze, study, self, options, labels=labels, progress=progress)
        return as_memory_allows(run, self, progress)
