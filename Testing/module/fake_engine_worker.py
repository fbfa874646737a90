"""The real worker with a fake engine: calls a fracture of C4 where the voxels are brightest.

The study's source (the volume node's or the file's name) says how: "slow" takes ten seconds, "deaf" does not listen
to cancelling either, "memory" and "internal" fail, "uncertain" does not know the levels' names.
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from neckfrac.anatomy import LEVEL_NAMES, SKULL, T1
from neckfrac.findings import Analysis, Box, Findings, Naming, VertebraFinding
from neckfrac.worker import main


class FakeEngine:
    """Stands in for the networks."""

    def analyze(self, study, *, operating_point, anchors, progress):
        kind = Path(study.identity.source).name.split(".")[0]
        with progress.stage("Locating the spine", until=1.0):
            progress.step(0.3)
            if kind == "deaf":
                time.sleep(10)
            for _ in range(1000 if kind == "slow" else 1):
                time.sleep(0.01)
                progress.step(0.3)
            if kind == "memory":
                raise MemoryError("no room")
            if kind == "internal":
                raise ValueError("no luck")
        labels = np.zeros(study.volume.shape, np.uint8)
        labels[study.volume.voxels > 500] = 4
        center = study.volume.to_points(np.argwhere(labels == 4).mean(axis=0))
        box = Box(tuple(center - 5), tuple(center + 5))
        levels = [VertebraFinding(name, "not seen") for name in LEVEL_NAMES]
        levels[2] = VertebraFinding("C3", "negative", 0.1, {}, 0.5, None, None, tuple(center + [0, 0, 20]), 1.0)
        levels[3] = VertebraFinding("C4", "positive", 0.9, {}, 0.5, "high", box, tuple(center), 1.0)
        naming = Naming(False, "C3–C4", ("C4–C5",), 0.6, "Neither C1 nor C2 is in view.")
        findings = Findings(study.identity, tuple(levels), "positive", 0.9, {}, 0.5, operating_point)
        if kind == "uncertain":
            findings = replace(findings, naming=naming, warnings=(naming.sentence(), "Another warning."))
        counted_from = np.zeros_like(labels)
        counted_from[2:6, 15:25, 20:30], counted_from[24:28, 15:25, 20:30] = T1, SKULL
        return Analysis(study.volume, labels, labels * 20, findings, counted_from if anchors else None)


if __name__ == "__main__":
    main(engine_factory=lambda **options: FakeEngine())
