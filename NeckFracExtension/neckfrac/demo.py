"""The demonstration: the embedded simulated sample through the whole pipeline, its truth beside the result."""

from __future__ import annotations

from pathlib import Path

from .output.folder import write_result
from .resources import resources_dir
from .terminal import show_findings, shown_progress
from .truth import read_truth
from .workspace import claimed

SAMPLE = "neckfrac-sample.nrrd"
TRUTH = "neckfrac-sample.truth.json"


def sample_paths() -> tuple[Path, Path]:
    """The embedded sample CT and its truth."""
    folder = resources_dir() / "SampleData"
    return folder / SAMPLE, folder / TRUTH


def run_demo(output: Path, *, overwrite: bool = False) -> None:
    """Analyse the sample, print the table beside the truth, leave a result folder."""
    from .intake.study import read_study
    from .pipeline.analyze import Engine

    sample, truth = sample_paths()
    with shown_progress() as progress, claimed(output, overwrite=overwrite, inputs=[sample]) as workspace:
        with progress.stage("Reading the sample", until=0.05):
            study = read_study(sample)
        with progress.stage("Loading the networks", until=0.15):
            engine = Engine()
        analysis = engine.analyze(study, progress=progress.share(0.15, 0.7))
        write_result(analysis, output, progress=progress, workspace=workspace)
    fractured = {name: bool(level["fracture"]) for name, level in read_truth(truth)["levels"].items()}
    show_findings(analysis.findings, truth=fractured, folder=output)
