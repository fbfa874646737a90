"""Many studies at once: what is found in a folder, what a worklist tells, and that a run goes on where one ended.

The networks are tiny or, where a probability is needed, a fake engine that reads it from the voxels.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from batch_case import FakeEngine, run, write_volume
from intake.made_dicom import PATIENT_ID, PATIENT_NAME, head, write_series
from neckfrac.batch import analyze_batch
from neckfrac.cli import main
from neckfrac.errors import Cancelled, InputError
from neckfrac.intake.many import find_studies
from neckfrac.output.worklist import CSV, JSON, WHOLE, Worklist, WorklistRow
from neckfrac.progress import Progress

ENGINE = Path(__file__).parents[1] / "NeckFracExtension"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def folder(tmp_path):
    """Three studies that can be analysed, one that is no CT, one that is broken."""
    study = tmp_path / "studies"
    write_volume(study / "mild.nrrd", 0.2)
    write_volume(study / "deep" / "sure.mha", 0.9)
    write_series(study / "dicom", head())  # its bone of 1200 HU means 0.2
    write_series(study / "mr", head(), Modality="MR")
    (study / "broken.nrrd").write_bytes((study / "mild.nrrd").read_bytes()[:900])
    return study


# --- what is found ------------------------------------------------------------------------------


def test_each_volume_each_zip_and_each_dicom_folder_is_a_study(tmp_path):
    write_volume(tmp_path / "a.nii.gz", 0.1)
    write_volume(tmp_path / "more" / "b.nrrd", 0.1)
    write_series(tmp_path / "patient" / "one", head())
    write_series(tmp_path / "patient" / "two", head(), SeriesInstanceUID="1.2.3.4.2", SeriesNumber=2)
    # The same UIDs as above, as anonymous sets have them: another sub-folder is another study.
    write_series(tmp_path / "other", head())
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.write(tmp_path / "a.nii.gz", "a.nii.gz")
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "vertebrae.seg.nrrd").write_bytes(b"NRRD")
    (tmp_path / ".hidden").mkdir()
    write_volume(tmp_path / ".hidden" / "c.nrrd", 0.1)
    found = find_studies(tmp_path)
    assert [study.name for study in found] == ["a.nii.gz", "more/b.nrrd", "other", "packed.zip", "patient"]
    assert [len(study.files) for study in found] == [1, 1, 26, 1, 52]
    assert len({study.source for study in found}) == 5 and found[0].title == "a"


def test_two_patients_in_one_folder_are_two_studies_and_a_broken_slice_belongs_to_its_neighbours(tmp_path):
    write_series(tmp_path / "flat" / "x", head())
    write_series(tmp_path / "flat" / "y", head(), PatientID="another")
    broken = tmp_path / "flat" / "x" / "image999.dcm"
    broken.write_bytes(b"\0" * 128 + b"DICM" + b"nonsense")
    found = {study.name: study for study in find_studies(tmp_path)}
    assert set(found) == {"flat/x", "flat/y"}
    assert broken in found["flat/x"].files and len(found["flat/y"].files) == 26
    for path in (tmp_path / "flat" / "y").iterdir():
        shutil.move(path, tmp_path / "flat" / "x" / f"y{path.name}")
    mixed = find_studies(tmp_path)
    assert sorted(len(study.files) for study in mixed) == [1, 26, 26], "whose the broken slice is can't be told"
    assert len({study.source for study in mixed}) == 3


def test_chosen_files_are_grouped_by_patient_and_study_and_named_without_the_patient(tmp_path):
    paths = write_series(tmp_path / "one", head()) + write_series(tmp_path / "two", head(), PatientID="another")
    found = find_studies(paths)
    assert sorted(len(study.files) for study in found) == [26, 26]
    assert all(study.name.startswith("study ") and PATIENT_ID not in study.name for study in found)


def test_nothing_to_read_is_told(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match="Nothing here can be read as a CT"):
        find_studies(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        find_studies(tmp_path / "absent")


# --- what comes of it ---------------------------------------------------------------------------


def test_each_study_gets_a_whole_result_and_the_worklist_begins_with_the_likeliest_fracture(folder, tmp_path, caplog):
    results = tmp_path / "results"
    worklist, engine = run(folder, results)
    rows = worklist.rows
    assert [(row.study, row.status) for row in rows] == [
        ("deep/sure.mha", "positive"), ("dicom", "negative"), ("mild.nrrd", "negative"), ("broken.nrrd", ""), ("mr", "")
    ]  # fmt: skip
    assert rows[0].probability == pytest.approx(0.9) and rows[0].level == "C4" and not rows[0].uncertain_names
    assert rows[2].level == "C4 or C5" and rows[2].uncertain_names == "C3–C4 or C4–C5"
    assert rows[1].patient_id == PATIENT_ID and rows[1].patient_name == PATIENT_NAME
    assert "truncated" in rows[3].error and "not a CT (modality MR)" in rows[4].error
    for row in rows[:3]:
        assert {path.name for path in (results / row.result).iterdir()} >= {*WHOLE, "findings.csv", "overview.png"}
    assert {path.name for path in results.iterdir()} == {JSON, CSV, *(row.result for row in rows[:3])}
    assert len(engine.seen) == 3
    again = Worklist.read(results)
    assert again.rows == rows and all(again.has_result(row) for row in rows[:3])
    table = list(csv.DictReader((results / CSV).open(encoding="utf-8")))
    assert [line["study"] for line in table] == [row.study for row in rows]
    assert table[0]["probability"] == "0.9000" and table[3]["error"]
    assert PATIENT_ID not in caplog.text and PATIENT_NAME not in caplog.text
    for row in rows[:3]:  # warnings are each study's own
        findings = json.loads((results / row.result / "findings.json").read_text(encoding="utf-8"))
        assert sum("the brightest" in warning["text"] for warning in findings["warnings"]) == 1


def test_a_second_run_does_what_is_new_changed_or_failed_and_nothing_else(folder, tmp_path):
    results = tmp_path / "results"
    first, _ = run(folder, results)
    (folder / "broken.nrrd").unlink()
    _, engine = run(folder, results)
    assert engine.seen == []

    write_volume(folder / "mild.nrrd", 0.8)
    write_volume(folder / "new.nrrd", 0.1)
    write_volume(folder / "broken.nrrd", 0.3)
    second, engine = run(folder, results)
    assert sorted(path.rsplit("/")[-1] for path in engine.seen) == ["broken.nrrd", "mild.nrrd", "new.nrrd"]
    assert second.of(str(folder / "mild.nrrd")).probability == pytest.approx(0.8)
    assert second.of(str(folder / "mild.nrrd")).result == first.of(str(folder / "mild.nrrd")).result

    (results / second.of(str(folder / "new.nrrd")).result / "scene.mrb").unlink()
    _, engine = run(folder, results)
    assert [path.rsplit("/")[-1] for path in engine.seen] == ["new.nrrd"], "a result that is not whole is made anew"
    for name in ("dicom", "deep", "new.nrrd", "broken.nrrd"):
        shutil.move(folder / name, tmp_path)
    for options in ({"made_with": "other models"}, {"made_with": "other models", "again": True}):
        _, engine = run(folder / "mild.nrrd", results, **options)
        assert len(engine.seen) == 1


def test_an_unexpected_failure_is_one_studys_row_and_the_engine_is_loaded_anew(tmp_path):
    write_volume(tmp_path / "in" / "a.nrrd", -0.2)
    write_volume(tmp_path / "in" / "b.nrrd", 0.4)
    loaded = []
    studies = find_studies(tmp_path / "in")
    worklist = analyze_batch(
        studies, tmp_path / "out", lambda options: loaded.append(FakeEngine()) or loaded[-1], identity=""
    )  # fmt: skip
    assert [row.error for row in worklist.rows] == ["", "Unexpected ValueError: no luck"] and len(loaded) == 2


def test_cancelling_leaves_what_was_finished_and_a_consistent_worklist(folder, tmp_path):
    results, engine = tmp_path / "results", FakeEngine()
    cancelled = []
    progress = Progress(cancelled=lambda: bool(cancelled))
    with pytest.raises(Cancelled):
        run(folder, results, engine, progress=progress, on_row=lambda row: row.status and cancelled.append(row))
    worklist = Worklist.read(results)
    assert [row.study for row in worklist.rows if row.status] == ["deep/sure.mha"]
    assert {path.name for path in results.iterdir()} == {JSON, CSV, "deep_sure"}
    worklist, engine = run(folder, results)
    assert len(engine.seen) == 2 and sum(worklist.has_result(row) for row in worklist.rows) == 3


def test_what_a_killed_run_left_unfinished_is_removed_and_what_is_not_ours_stays(tmp_path):
    folder, results = write_volume(tmp_path / "mild.nrrd", 0.2), tmp_path / "results"
    others = [".vscode-insiders", ".venv-research", ".mild-ab12_x9z", ".neckfrac-cache", ".neckfrac-0123456789ab"]
    for name in others:
        (results / name).mkdir(parents=True)
        (results / name / "mine").write_text("mine")
    code = (
        "import os, sys, pathlib; from neckfrac.workspace import claim\n"
        "workspace = claim(pathlib.Path(sys.argv[1])); (workspace.new / 'ct.nrrd').write_text('the CT')\n"
        "print(workspace.folder, flush=True); os.kill(os.getpid(), 9)"
    )
    environment = os.environ | {"PYTHONPATH": str(ENGINE)}
    killed = subprocess.run([sys.executable, "-c", code, results / "killed"], env=environment, capture_output=True)
    left = Path(killed.stdout.decode().strip())
    assert left.parent == results and (left / "new" / "ct.nrrd").exists()
    run(folder, results)
    assert not left.exists() and all((results / name / "mine").read_text() == "mine" for name in others)


def test_a_folder_that_is_no_result_is_never_replaced(tmp_path):
    write_volume(tmp_path / "in" / "mild.nrrd", 0.2)
    write_volume(tmp_path / "in" / "mild.mha", 0.3)
    (tmp_path / "out" / "mild").mkdir(parents=True)
    (tmp_path / "out" / "mild" / "thesis.txt").write_text("mine")
    worklist, _ = run(tmp_path / "in", tmp_path / "out")
    assert sorted(row.result for row in worklist.rows) == ["mild-2", "mild-3"]
    assert (tmp_path / "out" / "mild" / "thesis.txt").read_text() == "mine"


def test_a_damaged_worklist_is_refused_and_kept(folder, tmp_path):
    (tmp_path / JSON).write_text('{"schema": "1.0", "rows": [{"study": 1}]}')
    with pytest.raises(InputError, match="worklist can't be read"):
        run(folder, tmp_path)
    assert "study" in (tmp_path / JSON).read_text()


def test_rows_are_sorted_by_probability_then_those_without_one_then_errors(tmp_path):
    rows = [
        WorklistRow("e", "e", "e", error="no CT"),
        WorklistRow("unseen", "u", "u", None, "not seen"),
        WorklistRow("low", "l", "l", 0.001, "negative"),
        WorklistRow("high", "h", "h", 0.7, "positive"),
    ]
    assert [row.study for row in Worklist(tmp_path, rows).rows] == ["high", "low", "unseen", "e"]


def test_a_text_that_a_spreadsheet_would_run_is_told_as_text(tmp_path):
    write_series(tmp_path / "in" / "x", head(), PatientName='=HYPERLINK("http://evil")')
    run(tmp_path / "in", tmp_path / "out")
    table = list(csv.DictReader((tmp_path / "out" / CSV).open(encoding="utf-8")))
    assert table[0]["patient_name"].startswith("'=HYPERLINK")


def test_progress_tells_which_study_and_never_falls(tmp_path):
    for name, probability in (("a", 0.2), ("b", 0.4)):
        write_volume(tmp_path / "in" / f"{name}.nrrd", probability)
    told = []
    run(tmp_path / "in", tmp_path / "out", progress=Progress(lambda stage, done: told.append((stage, done))))
    fractions = [done for _, done in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert fractions[[stage for stage, _ in told].index("2 of 2: Reading the study")] == 0.5


# --- the command --------------------------------------------------------------------------------


def command(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code or 0


def test_the_command_writes_the_worklist_shows_it_and_goes_on(tmp_path, models, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    write_series(tmp_path / "in" / "dicom", head())
    write_series(tmp_path / "in" / "mr", head(), Modality="MR")
    options = ("--models", models, "--device", "cpu", "--threads", 1)
    assert command("batch", tmp_path / "in", "-o", tmp_path / "out", *options) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "1 of 2 studies have a result." in told and "modality MR" in told and "not a medical device" in told
    assert PATIENT_NAME not in told
    made = (tmp_path / "out" / "dicom" / "findings.json").stat().st_mtime_ns
    assert command("batch", tmp_path / "in", "-o", tmp_path / "out", *options, "--json-progress") == 0
    stages = [json.loads(line)["stage"] for line in capsys.readouterr().out.splitlines()]
    assert "1 of 2: Done before" in stages
    assert (tmp_path / "out" / "dicom" / "findings.json").stat().st_mtime_ns == made
    options += ("--quiet", "--leave-out", "tiny-slices")
    assert command("batch", tmp_path / "in", "-o", tmp_path / "out", *options) == 0
    findings = json.loads((tmp_path / "out" / "dicom" / "findings.json").read_text(encoding="utf-8"))
    assert "tiny-slices" not in {model["name"] for model in findings["models"]}, "other models: made anew"


def test_a_batch_in_which_no_study_has_a_result_exits_with_1(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("neckfrac.pipeline.analyze.Engine", lambda **_: FakeEngine())
    write_series(tmp_path / "in" / "mr", head(), Modality="MR")
    (tmp_path / "in" / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "in" / "empty").mkdir()
    assert command("batch", tmp_path / "in", "-o", tmp_path / "out", "--quiet") == 1
    reasons = {row.study: row.error for row in Worklist.read(tmp_path / "out").rows}
    assert set(reasons) == {"mr", "gone", "empty"} and "nowhere" in reasons["gone"]
    write_volume(tmp_path / "in" / "good.nrrd", 0.75)
    for _ in range(2):
        assert command("batch", tmp_path / "in", "-o", tmp_path / "out") == 0
        assert "called positive because C4 is" in " ".join(capsys.readouterr().out.split())


def test_the_command_refuses_a_folder_without_studies(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    assert command("batch", tmp_path / "in", "-o", tmp_path / "out", "--quiet") == 2
    assert "Nothing here can be read as a CT" in capsys.readouterr().err and not (tmp_path / "out").exists()
