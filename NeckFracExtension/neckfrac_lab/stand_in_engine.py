"""An engine that stands in for the networks where only what is around them is tried: it knows nothing and is quick."""

from __future__ import annotations

from typing import Any

import numpy as np
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.findings import Analysis, Box, Findings, StudyIdentity, VertebraFinding, patient_status
from neckfrac.options import AnalysisOptions
from neckfrac.progress import Progress

BONE = 500  # HU


class StandInEngine:
    """Calls all that is bright C4, and fractured with a probability of 0.7; the arguments of `Engine` are ignored."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def analyze(
        self, study: Any, options: AnalysisOptions | None = None, *, progress: Progress, labels: Any = None
    ) -> Analysis:  # fmt: skip
        """As `neckfrac.pipeline.analyze.Engine.analyze` does."""
        with progress.stage("Locating the spine", until=1.0):
            labels = np.where(study.volume.voxels > BONE, 4, 0).astype(np.uint8)
            progress.step(0.5)
        identity = study.identity if isinstance(study.identity, StudyIdentity) else StudyIdentity()
        levels = [VertebraFinding(name, "not seen") for name in LEVEL_NAMES]
        if labels.any():
            center = study.volume.to_points(np.argwhere(labels).mean(axis=0))
            region = Box(tuple(center - 5), tuple(center + 5))
            seen = VertebraFinding("C4", "negative", 0.7, {"stand-in": 0.7}, center=tuple(center), share_in_view=1.0)
            levels[3] = VertebraFinding(**{**vars(seen), "region": region}).at(0.5)
        told = 0.7 if labels.any() else None
        findings = Findings(
            identity, tuple(levels), patient_status(tuple(levels), told, 0.5), told, {}, 0.5,
            (options or AnalysisOptions()).operating_point, warnings=tuple(progress.warnings),
        )  # fmt: skip
        return Analysis(study.volume, labels, labels * 20, findings)
