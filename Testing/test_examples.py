"""Every example runs as it stands: on tiny networks here, with the embedded ones where marked slow."""

from __future__ import annotations

import ast
import csv
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import neckfrac
import numpy as np
import pytest
import safetensors.torch
import SimpleITK as sitk
from intake.made_dicom import head, write_series
from neckfrac import api
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.demo import sample_paths
from neckfrac.findings import StudyIdentity
from neckfrac.intake.study import Study
from neckfrac.volume import CTVolume, to_image
from pipeline_phantom import phantom
from tiny_networks import write_models

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.py"))

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs an example as a script in this process, and gives what it printed; raises SystemExit where it does."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        monkeypatch.setattr(api, "_WARM", api.WarmEngine())
        capsys.readouterr()
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def write(path, volume):
    sitk.WriteImage(to_image(volume), str(path))
    return path


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_listed_and_explains_itself(run, name, capsys):
    assert f"({name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert f"python examples/{name}" in ast.get_docstring(ast.parse((EXAMPLES / name).read_text(encoding="utf-8")))
    with pytest.raises(SystemExit) as ended:
        run(name, "--help")
    assert ended.value.code == 0 and "usage:" in capsys.readouterr().out


def test_a_study_is_analysed_and_its_result_written(run, tmp_path, models, undrawn):
    write_series(tmp_path / "study", head())
    told = run("analyze_study.py", tmp_path / "study", tmp_path / "result", "--models", models, "--device", "cpu")
    assert all(f"{name}: not seen" in told for name in LEVEL_NAMES) and "not a medical device" in told
    assert "No cervical spine found" in told and "At the sensitive point: no level" in told
    assert (tmp_path / "result" / "findings.json").is_file()
    with pytest.raises(SystemExit, match="already holds something"):
        run("analyze_study.py", tmp_path / "study", tmp_path / "result", "--models", models, "--device", "cpu")


def test_a_folder_becomes_a_table_with_a_row_for_every_study(run, tmp_path, models):
    write_series(tmp_path / "studies" / "one", head(seed=1))
    write_series(tmp_path / "studies" / "two", head(seed=2), Modality="MR")
    table = tmp_path / "table.csv"
    told = run("batch_folder.py", tmp_path / "studies", table, "--models", models, "--device", "cpu")
    assert "2 of 2: two" in told
    with table.open(encoding="utf-8", newline="") as file:
        one, two = csv.DictReader(file)
    assert (one["study"], one["call"], one["C4"], one["error"]) == ("one", "not seen", "", "")
    assert (two["study"], two["call"]) == ("two", "") and "not a CT" in two["error"]
    before = table.read_bytes()
    with pytest.raises(SystemExit, match="exists"):
        run("batch_folder.py", tmp_path / "studies", table, "--models", models, "--device", "cpu")
    assert table.read_bytes() == before


def test_two_segmentations_are_compared_level_by_level(run, tmp_path):
    volume, labels = phantom()
    ours = labels.copy()
    ours[labels == 7] = 0
    ours[np.roll(labels, 1, axis=2) == 2] = 2
    paths = [write(tmp_path / f"{name}.nrrd", CTVolume(v, volume.affine)) for name, v in (("a", ours), ("b", labels))]
    told = run("compare_segmentations.py", *paths)
    assert "C1: Dice 1.000" in told and "C7: only in the reference" in told
    assert 0.5 < float(told.split("C2: Dice ")[1][:5]) < 1.0 and "Mean Dice" in told


def test_ones_own_weights_become_a_member_that_is_asked_about_a_study(run, tmp_path):
    models = write_models(tmp_path / "models")
    weights = tmp_path / "mine.safetensors"
    shutil.copyfile(models / "tiny-vertebrae" / "models" / "model.safetensors", weights)
    state = safetensors.torch.load_file(weights)
    safetensors.torch.save_file({key: value * 0.5 for key, value in state.items() if value.is_floating_point()}
                                | {key: value for key, value in state.items() if not value.is_floating_point()},
                                weights)  # fmt: skip
    options = ("mine", "--like", "tiny-vertebrae", "--bundle", tmp_path / "bundle", "--models", models)
    told = run("add_member.py", weights, *options)
    assert f"mine lies in {models / 'mine'}" in told
    with pytest.raises(SystemExit, match="something already"):
        run("add_member.py", weights, *options)
    volume, labels = phantom()
    analysis = neckfrac.analyze(Study(volume, StudyIdentity()), labels=labels, models_dir=models, device="cpu")
    level = analysis.findings.level("C4")
    assert 0 < level.members["mine"] < 1 and level.members["mine"] != level.members["tiny-vertebrae"]
    without = neckfrac.analyze(
        Study(volume, StudyIdentity()), labels=labels, models_dir=models, device="cpu", leave_out=["mine"]
    )
    assert without.findings.level("C4").probability == level.probability, "it moves nothing before it is fitted"


def slow_run(name, *arguments, **more):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "NeckFracExtension")} | more
    command = [sys.executable, EXAMPLES / name, *arguments]
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_embedded_networks_analyse_the_sample_in_the_example(tmp_path):
    told = slow_run("analyze_study.py", sample_paths()[0], tmp_path / "result")
    assert all(f"{name}: " in told and f"{name}: not seen" not in told for name in LEVEL_NAMES)
    assert (tmp_path / "result" / "scene.mrb").is_file()


@pytest.mark.slow
def test_the_embedded_networks_analyse_a_folder_in_the_example(tmp_path):
    (tmp_path / "studies").mkdir()
    shutil.copy(sample_paths()[0], tmp_path / "studies")
    slow_run("batch_folder.py", tmp_path / "studies", tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["error"] == "" and all(0 <= float(row[name]) <= 1 for name in LEVEL_NAMES)


@pytest.mark.slow
def test_a_copy_of_an_embedded_network_says_the_same_as_the_original_in_the_example(tmp_path):
    from neckfrac.resources import resources_dir

    weights = resources_dir() / "Models" / "neckfrac-model-two" / "models" / "model.safetensors"
    own = {"NECKFRAC_USER_MODELS": str(tmp_path / "own")}
    options = ("copy", "--like", "neckfrac-model-two", "--bundle", tmp_path / "bundle", "--study", sample_paths()[0])
    told = slow_run("add_member.py", weights, *options, **own)
    assert told.count("the new member says") == len(LEVEL_NAMES) and (tmp_path / "own" / "copy").is_dir()
