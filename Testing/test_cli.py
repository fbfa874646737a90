"""The command as a user types it: what it answers, what it refuses, and that a refusal leaves nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from intake.made_dicom import head, set_pixels, write_series
from neckfrac import DISCLAIMER, __version__
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.cli import main
from tiny_networks import write_models

ENGINE = Path(__file__).parents[1] / "NeckFracExtension"
LOCALIZER = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
TABLES = {"findings.json", "findings.csv", "measurements.csv"}
RESULT = {"scene.mrb", "vertebrae.seg.nrrd", "report.html", "overview.png"} | TABLES


pytestmark = pytest.mark.usefixtures("one_thread")


def run_process(*arguments, code=None):
    environment = os.environ | {"PYTHONPATH": str(ENGINE), "OMP_NUM_THREADS": "1"}
    command = ["-c", code] if code else ["-m", "neckfrac.cli"]
    return subprocess.run(
        [sys.executable, *command, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=60
    )


def files_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- what it answers ----------------------------------------------------------------------------


def test_help_names_the_commands_and_imports_nothing_heavy():
    heavy = ("torch", "monai", "vtk", "vtkmodules", "SimpleITK", "slicer", "mrml", "scipy", "pydicom", "numpy")
    code = (
        "import sys\nfrom neckfrac.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('HEAVY', [name for name in {heavy!r} if name in sys.modules])"
    )
    done = run_process(code=code)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines()[-1] == "HEAVY []"
    for word in ("analyze", "series", "simulate", "train", "demo", "models", "not a medical device"):
        assert word in done.stdout


@pytest.mark.parametrize("command", [["analyze"], ["simulate"], ["series"], ["models", "verify"]])
def test_every_command_explains_itself(run, command):
    code, out, _ = run(*command, "--help")
    assert code == 0 and "Usage" in out


def test_the_version_is_told(run):
    assert run("--version")[:2] == (0, f"NeckFrac {__version__}\n")


def test_a_study_without_a_neck_gives_a_whole_result_that_says_so(run, tmp_path, models):
    write_series(tmp_path / "study", head())
    out = tmp_path / "new" / "result"
    options = ("--device", "cpu", "--threads", 1, "--models", models)
    code, told, errors = run("analyze", tmp_path / "study", "-o", out, *options)
    assert (code, errors) == (0, "")
    assert {path.name for path in out.iterdir()} >= RESULT
    assert told.count("not seen") >= 8 and "negative" not in told and DISCLAIMER in " ".join(told.split())
    findings = json.loads((out / "findings.json").read_text(encoding="utf-8"))
    assert [level["level"] for level in findings["levels"]] == list(LEVEL_NAMES)
    assert {level["status"] for level in findings["levels"]} == {"not seen"}
    assert findings["patient_status"] == "not seen"
    assert "spine-not-found" in [warning["code"] for warning in findings["warnings"]]
    assert {model["name"] for model in findings["models"]} == {
        "tiny-locate", "tiny-segment", "tiny-slices", "tiny-vertebrae"}  # fmt: skip
    assert files_of(out.parent) == sorted([out.name, *(f"{out.name}/{name}" for name in files_of(out))])

    # A second run may not hide the first, and with --overwrite replaces it, but nothing that is not NeckFrac's.
    (out / "note.txt").write_text("mine")
    assert_refused(run("analyze", tmp_path / "study", "-o", out, *options), "already holds something")
    assert (out / "note.txt").exists()
    code, told, errors = run("analyze", tmp_path / "study", "-o", out, *options, "--overwrite", "--json-progress")
    assert (code, errors) == (0, "") and (out / "note.txt").read_text() == "mine"
    lines = [json.loads(line) for line in told.splitlines()]
    fractions = [line["fraction"] for line in lines]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert {"Reading the study", "Loading the networks", "Writing the scene"} <= {line["stage"] for line in lines}


def test_quiet_says_nothing(run, tmp_path, models):
    write_series(tmp_path / "study", head())
    out = tmp_path / "result"
    assert run("analyze", tmp_path / "study", "-o", out, "--quiet", "--device", "cpu", "--models", models) == (
        0, "", "")  # fmt: skip
    assert (out / "findings.json").exists()


def test_series_are_listed_with_what_can_be_read(run, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    two_series(tmp_path)
    write_series(tmp_path / "scout", head((3, 16, 20)), ImageType=LOCALIZER, SeriesInstanceUID="1.2.3.4.9",
                 SeriesNumber=9, SeriesDescription="Scout [/a]")  # fmt: skip
    code, out, errors = run("series", tmp_path)
    assert (code, errors) == (0, "")
    rows = {cells[0]: cells for cells in ([c.strip() for c in line.split("│")[1:-1]] for line in out.splitlines())
            if cells}  # fmt: skip
    assert rows["1"][1:4] == ["Neck", "CT", "26"] and rows["1"][-1] == rows["2"][-1] == "yes"
    assert rows["9"][1] == "Scout [/a]" and rows["9"][-1] == "no"
    (why,) = [line for line in out.splitlines() if line.startswith("Series 9: ")]
    assert "localizer" in why
    code, out, errors = run("series", tmp_path, "--json")
    assert (code, errors) == (0, "")
    listed = {one["number"]: one for one in json.loads(out)["series"]}
    assert listed[1]["usable"] and listed[1]["slices"] == 26 and len(listed[1]["spacing"]) == 3
    assert not listed[9]["usable"] and "localizer" in listed[9]["why_not"] and listed[9]["uid"] == "1.2.3.4.9"


# --- what it refuses ----------------------------------------------------------------------------


def assert_refused(answer, *words, lines=1):
    """Exit code 2, and on standard error one line (a list of series has more) that is no traceback."""
    code, out, errors = answer
    assert code == 2, errors
    assert out == "" and "Traceback" not in errors
    assert errors.startswith("neckfrac: ") and errors.endswith("\n")
    assert len(errors.splitlines()) == lines, errors
    for word in words:
        assert word in errors


def two_series(folder):
    """Two series between which nothing decides."""
    write_series(folder / "one", head(seed=1))
    write_series(folder / "two", head(seed=2), SeriesInstanceUID="1.2.3.4.2", SeriesNumber=2)


def truncated(folder):
    paths = write_series(folder, head((26, 64, 64)))
    paths[9].write_bytes(paths[9].read_bytes()[:4000])


def not_a_number(folder):
    voxels = head().astype(np.float32)
    voxels[3, 4, 5] = np.nan
    folder.mkdir(exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(voxels), str(folder / "nan.mha"))


def colour(folder):
    write_series(folder, head(), change=lambda data, _: set_pixels(data, np.zeros((16, 20, 3), np.uint8)))


def truncated_nifti(folder):
    folder.mkdir(exist_ok=True)
    path = folder / "ct.nii"
    sitk.WriteImage(sitk.GetImageFromArray(head()), str(path))
    path.write_bytes(path.read_bytes()[:5000])


# Each study with what is wrong, where, and what to do, as the line has to say it.
STUDIES = {
    "no CT": (lambda f: write_series(f, head(), Modality="MR"), "not a CT (modality MR)", "image", "Give"),
    "no spacing": (lambda f: write_series(f, head(), PixelSpacing=None), "no pixel spacing", "image", "xport"),
    "one slice": (lambda f: write_series(f, head()[:1]), "one slice only", "image001.dcm", "Give"),
    "localizer": (lambda f: write_series(f, head(), ImageType=LOCALIZER), "localizer", "image", "Give"),
    "truncated DICOM": (truncated, "truncated or corrupt", "image017.dcm", "again"),
    "truncated NIfTI": (truncated_nifti, "truncated", "ct.nii", "again"),
    "NaN": (not_a_number, "not a number", "nan.mha", "Replace"),
    "RGB": (colour, "colour", "image", "Give"),
    "nothing": (lambda f: f.mkdir(), "Nothing here can be read as a CT", "study", "Give"),
    "missing": (lambda f: None, "no such file or folder", "study", "Check the path"),
}


@pytest.mark.parametrize("case", STUDIES)
def test_a_study_that_is_no_neck_ct_is_refused_in_one_line_and_nothing_is_written(run, tmp_path, models, case):
    make, *words = STUDIES[case]
    make(tmp_path / "study")
    before = files_of(tmp_path)
    out = tmp_path / "deep" / "out"
    assert_refused(run("analyze", tmp_path / "study", "-o", out, "--models", models, "--quiet"), *words)
    assert files_of(tmp_path) == before


def test_several_series_are_listed_to_choose_from_and_one_that_is_chosen_is_read(run, tmp_path, models):
    two_series(tmp_path / "study")
    out = tmp_path / "out"
    options = ("-o", out, "--models", models, "--quiet", "--device", "cpu")
    answer = run("analyze", tmp_path / "study", *options)
    assert_refused(answer, "several CT series", "--series", "1: Neck, CT, 26 slices", "2: Neck, CT", "2.50", lines=3)
    answer = run("analyze", tmp_path / "study", *options, "--series", "7")
    assert_refused(answer, "There is no series 7", "1: Neck", "2: Neck", lines=3)
    assert files_of(tmp_path) == ["study", *(f"study/{name}" for name in files_of(tmp_path / "study"))]
    assert run("analyze", tmp_path / "study", *options, "--series", "2") == (0, "", "")
    findings = json.loads((out / "findings.json").read_text(encoding="utf-8"))
    assert findings["study"]["series_uid"] == "1.2.3.4.2"


@pytest.fixture
def study(tmp_path):
    write_series(tmp_path / "study", head())
    return tmp_path / "study"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--device", "abacus"], ["no device 'abacus'", "auto, cpu, cuda, mps"]),
        (["--operating-point", "lucky"], ["no operating point 'lucky'", "sensitive, balanced, specific"]),
    ],
)
def test_an_option_that_means_nothing_is_refused_with_those_that_do(run, tmp_path, study, models, options, words):
    before = files_of(tmp_path)
    answer = run("analyze", study, "-o", tmp_path / "out", "--models", models, "--quiet", *options)
    assert_refused(answer, *words)
    assert files_of(tmp_path) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_this_machine_lacks_is_refused(run, tmp_path, study, models):
    answer = run("analyze", study, "-o", tmp_path / "out", "--models", models, "--quiet", "--device", "cuda")
    assert_refused(answer, "no cuda device", "Choose auto or cpu")


def test_a_folder_without_networks_is_refused(run, tmp_path, study):
    for folder in (tmp_path / "nowhere", study):
        answer = run("analyze", study, "-o", tmp_path / "out", "--models", folder, "--quiet")
        assert_refused(answer, "no network for the step 'locate'", str(folder), "Restore")
        assert_refused(run("models", "verify", "--models", folder), "no bundle", str(folder), "Give")
    assert files_of(tmp_path) == ["study", *(f"study/{name}" for name in files_of(study))]


def test_an_output_that_can_not_be_written_is_refused_before_the_work(run, tmp_path, study, models):
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        answer = run("analyze", study, "-o", out, "--models", models, "--json-progress")
        assert_refused(answer, str(tmp_path / "file"), "Choose")
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_locked_output_folder_is_refused(run, tmp_path, study, models):
    (tmp_path / "locked").mkdir(mode=0o500)
    answer = run("analyze", study, "-o", tmp_path / "locked" / "deep" / "out", "--models", models, "--quiet")
    assert_refused(answer, "can't be written", "locked", "Choose")


def test_weights_that_were_changed_are_refused(run, tmp_path, study):
    folder = write_models(tmp_path / "models")
    weights = folder / "tiny-vertebrae" / "models" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert_refused(run("analyze", study, "-o", tmp_path / "out", "--models", folder, "--quiet"), "SHA-256", "vertebrae")
    code, out, errors = run("models", "verify", "--models", folder)
    assert code == 2 and "tiny-locate: as published" in out and "SHA-256" in errors
    assert not (tmp_path / "out").exists()


def test_the_networks_are_listed_and_verified(run, models, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    code, out, _ = run("models", "list", "--models", models)
    assert code == 0
    for step in ("locate", "segment", "slices", "vertebrae"):
        assert f"tiny-{step}" in out
    code, out, _ = run("models", "verify", "--models", models)
    assert code == 0 and out.count("as published") == 4


@pytest.mark.parametrize("arguments", [["analyze"], ["analyse", "x"], ["analyze", "x"], ["analyze", "x", "--what"]])
def test_a_command_that_is_not_understood_gives_exit_code_2(run, arguments):
    code, out, errors = run(*arguments)
    assert code == 2 and out == "" and "Usage" in errors and "Traceback" not in errors


def test_in_a_process_a_refusal_is_one_line_and_debug_shows_where(tmp_path):
    done = run_process("analyze", tmp_path / "nowhere", "-o", tmp_path / "out", "--quiet")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"neckfrac: There is no such file or folder. ({tmp_path / 'nowhere'}) Check the path.\n"
    debug = run_process("analyze", tmp_path / "nowhere", "-o", tmp_path / "out", "--quiet", "--debug")
    assert debug.returncode != 0 and "Traceback" in debug.stderr and "InputError" in debug.stderr
    assert list(tmp_path.iterdir()) == []


# --- what nobody expected -----------------------------------------------------------------------


@pytest.fixture
def broken(monkeypatch):
    """A fault in the engine that no check foresees."""

    def fail(*_, **__):
        raise ZeroDivisionError("no luck\nat all")

    monkeypatch.setattr("neckfrac.intake.study.read_study", fail)


def test_an_unexpected_error_is_one_line_with_exit_code_1(run, tmp_path, study, broken):
    code, out, errors = run("analyze", study, "-o", tmp_path / "out", "--quiet")
    assert (code, out) == (1, "")
    assert errors == "neckfrac: unexpected ZeroDivisionError: no luck at all. Add --debug to see where.\n"
    assert not (tmp_path / "out").exists()


def test_with_debug_an_unexpected_error_comes_with_its_traceback(tmp_path, study, broken):
    with pytest.raises(ZeroDivisionError, match="no luck"):
        main(["analyze", str(study), "-o", str(tmp_path / "out"), "--quiet", "--debug"])
