"""The real worker with a fake engine that knows the study of `output_case`; the brightest voxel says how it behaves.

Drawing report and scene takes longest: it is done once and kept in ``$FAKE_DRAWN``, a folder, for the studies that
follow. With ``--light SECONDS`` reading and writing are left out as well: a job sleeps and writes its findings.
"""

import json
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import neckfrac.jobs
import neckfrac.output.folder as folders
import numpy as np
from neckfrac.findings import Analysis, Explanation
from neckfrac.output.tables import write_json
from neckfrac.study_job import summary
from neckfrac.worker import main
from output_case import reviewable

SLOW, DIES, INTERNAL, MEMORY, DEAF = 601, 602, 603, 604, 605  # HU


class FakeEngine:
    """Stands in for the networks."""

    def analyze(self, study, options, *, progress):
        behaviour = int(study.volume.voxels.max())
        with progress.stage("Pretending", until=1.0):
            for step in range(1000 if behaviour == SLOW else 1):
                time.sleep(0.01)
                progress.step(step / 1000)
            if behaviour == DEAF:
                time.sleep(60)
            if behaviour == DIES:
                os._exit(3)
            if behaviour == INTERNAL:
                raise ValueError("Xylophon^Quendolin")
            if behaviour == MEMORY:
                raise MemoryError
        known = reviewable()
        same = study.volume.shape == known.volume.shape
        empty = np.zeros(study.volume.shape, np.uint8)
        labels, heat = (known.labels, known.heat) if same else (empty, empty.copy())
        geometry = {
            "shape": list(study.volume.shape),
            "spacing": [float(value) for value in study.volume.spacing],
            "affine": study.volume.affine.tolist(),
        }
        findings = replace(
            known.findings,
            study=study.identity,
            geometry=geometry,
            explanation=Explanation(options.explain, "" if options.explain == "heat" else "a fake"),
            warnings=tuple(progress.warnings),
        )
        return Analysis(study.volume, labels, heat, findings.at(options.operating_point))


really_write = folders.write_result


def write_once(analysis, folder, *, progress=None, overwrite=False, dicom=None):
    """As the real one; what was drawn of a study of the same shape before is copied."""
    drawn = Path(os.environ["FAKE_DRAWN"], f"drawn-{analysis.volume.shape[0]}")
    if not drawn.exists():
        really_write(analysis, folder, progress=progress)
        part = drawn.with_suffix(f".{os.getpid()}")
        shutil.copytree(folder, part)
        if not drawn.exists():
            part.rename(drawn)
    else:
        shutil.copytree(drawn, folder)
    write_json(analysis.findings, folder / "findings.json")
    if dicom is not None:
        folders._write_dicom(analysis, folder, dicom)


def light(seconds):
    """A job that takes some seconds and writes a result of one file."""

    def study(request, context):
        with context.progress.stage("Pretending", until=1.0):
            files = sorted(Path(request["upload"]).iterdir())
            Path(request["scratch"], "left-by-a-killed-job").write_bytes(b"CT")
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                time.sleep(0.01)
                context.progress.step(0.5)
        findings = reviewable().findings
        folder = Path(request["folder"])
        folder.mkdir()
        content = {**findings.to_dict(), "files": [path.read_bytes().hex()[:64] for path in files]}
        (folder / "findings.json").write_text(json.dumps(content), encoding="utf-8")
        return {"summary": summary(findings)}

    return study


if __name__ == "__main__":
    if sys.argv[1:2] == ["--light"]:
        neckfrac.jobs.JOBS["study"] = neckfrac.jobs.Job(light(float(sys.argv[2])), ("upload", "folder"))
    if "FAKE_DRAWN" in os.environ:
        folders.write_result = write_once
    main(engine_factory=lambda options: FakeEngine())
