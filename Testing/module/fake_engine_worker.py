"""The real worker with a fake engine: calls a fracture of C4 where the voxels are brightest.

The study's source (the volume node's or the file's name) says how: "slow" takes ten seconds, "deaf" does not listen
to cancelling either, "steady" takes twenty steps of 20 ms, "memory", "internal" and "full" (no room on the disk)
fail, "killed" ends as the system ends a process for lack of memory, "broken" with a Python error, "uncertain" does
not know the levels' names, "calm" finds nothing. Levels that are given with the study are believed.
"""

import os
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np
from neckfrac.anatomy import LEVEL_NAMES, SKULL, T1
from neckfrac.findings import Analysis, Box, Findings, Naming, VertebraFinding
from neckfrac.study_warning import StudyWarning
from neckfrac.worker import main

POINTS = {"sensitive": 0.05, "balanced": 0.5, "specific": 0.95}


def seen(name, probability, center):
    """A level that one member was asked about, at the balanced operating point."""
    region = Box(tuple(center - 5), tuple(center + 5))
    place = {"center": tuple(center), "share_in_view": 1.0, "region": region}
    return VertebraFinding(name, "negative", probability, {"fake": probability}, **place).at(POINTS["balanced"])


class FakeEngine:
    """Stands in for the networks."""

    def analyze(self, study, options, *, progress, labels=None):
        kind = Path(study.identity.source).name.split(".")[0]
        with progress.stage("Locating the spine", until=1.0):
            progress.step(0.3)
            if kind == "deaf":
                time.sleep(10)
            for _ in range(1000 if kind == "slow" else 1):
                time.sleep(0.01)
                progress.step(0.3)
            for step in range(20 if kind == "steady" else 0):
                time.sleep(0.02)
                progress.step(0.3 + 0.7 * step / 20)
            if kind == "memory":
                raise MemoryError("no room")
            if kind == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if kind == "broken":
                try:
                    raise ValueError("no luck")
                except ValueError:
                    traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
            if kind == "internal":
                raise ValueError("no luck")
            if kind == "full":
                import resource

                resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # the next larger file can't be written
        if labels is None:
            labels = np.zeros(study.volume.shape, np.uint8)
            labels[study.volume.voxels > 500] = 4
        levels = [VertebraFinding(name, "not seen") for name in LEVEL_NAMES]
        for label in np.unique(labels[labels > 0]):
            center = study.volume.to_points(np.argwhere(labels == label).mean(axis=0))
            probability = 0.2 if kind == "calm" else 0.9
            levels[label - 1] = seen(LEVEL_NAMES[label - 1], probability, center)
            if label > 1 and not (labels == label - 1).any():
                levels[label - 2] = seen(LEVEL_NAMES[label - 2], 0.1, center + [0, 0, 20])
        thresholds = {point: dict.fromkeys((*LEVEL_NAMES, "patient"), t) for point, t in POINTS.items()}
        findings = Findings(
            study.identity, tuple(levels), "negative" if kind == "calm" else "positive", 0.9, {}, 0.5, "balanced",
            thresholds=thresholds,
        ).at(options.operating_point)  # fmt: skip
        if kind == "uncertain":
            naming = Naming(False, "C3–C4", ("C4–C5",), 0.6, "Neither C1 nor C2 is in view.")
            another = StudyWarning("scan-short", "Another warning.")
            findings = replace(findings, naming=naming, warnings=(naming.warning(), another))
        counted_from = np.zeros_like(labels)
        counted_from[2:6, 15:25, 20:30], counted_from[24:28, 15:25, 20:30] = T1, SKULL
        return Analysis(study.volume, labels, labels * 20, findings, counted_from if options.anchors else None)


if __name__ == "__main__":
    main(engine_factory=lambda options: FakeEngine())
