"""No command replaces or deletes what NeckFrac has not written: asked as a user would, with everything in the way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import SimpleITK as sitk
from intake.made_dicom import head, write_series
from neckfrac.findings import SCHEMA_VERSION
from neckfrac_lab.stand_in_engine import StandInEngine

ENGINE = Path(__file__).parents[1] / "NeckFracExtension"


@pytest.fixture
def options(monkeypatch, undrawn):
    """With an engine that stands in for the networks: what is in question here is where it is written."""
    monkeypatch.setattr("neckfrac.pipeline.analyze.Engine", StandInEngine)
    return ("--quiet",)


def content(folder):
    """All that lies below a folder: bytes by path, None for a folder."""
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in paths}


def assert_refused(answer, *words):
    code, out, errors = answer
    assert code == 2 and out == "" and len(errors.splitlines()) == 1, errors
    assert all(word in errors for word in words), errors


def a_volume(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(head()), str(path))
    return path


WAYS = {
    "itself": lambda study: study,
    "its parent": lambda study: study.parent,
    "what holds its parent": lambda study: study.parent.parent,
    "by way of ..": lambda study: study / ".." / study.name,
    "through a link": lambda study: study.parent / "link",
    "the folder of the link": lambda study: study.parent.parent / "links",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("marked", [False, True])
def test_a_folder_that_holds_the_study_is_never_replaced(run, tmp_path, options, way, marked):
    study = tmp_path / "all" / "patients" / "study"
    write_series(study, head())
    (study.parent / "link").symlink_to(study)
    (study.parent.parent / "links").mkdir()
    (study.parent.parent / "links" / "study").symlink_to(study)
    output = WAYS[way](study)
    if marked:  # as if it were a result of an earlier version
        said = {"schema": SCHEMA_VERSION, "software": "NeckFrac 0.1", "levels": []}
        (output / "findings.json").write_text(json.dumps(said))
    source = output / "study" if way == "the folder of the link" else study
    before = content(tmp_path)
    assert_refused(run("analyze", source, "-o", output, "--overwrite", *options), "output folder holds")
    assert content(tmp_path) == before


def test_the_folder_one_is_in_is_not_replaced(run, tmp_path, options, monkeypatch):
    write_series(tmp_path / "here" / "study", head())
    monkeypatch.chdir(tmp_path / "here")
    before = content(tmp_path)
    assert_refused(run("analyze", "study", "-o", ".", "--overwrite", *options), "output folder holds")
    monkeypatch.chdir(tmp_path / "here" / "study")
    assert_refused(run("analyze", ".", "-o", "../study", "--overwrite", *options), "output folder holds")
    assert content(tmp_path) == before


@pytest.mark.parametrize("command", ["analyze", "demo", "simulate", "graft"])
def test_a_folder_that_is_no_result_is_not_replaced_whatever_is_asked(run, tmp_path, options, command):
    volume = a_volume(tmp_path / "ct.nrrd")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    (tmp_path / "thesis" / "findings.json").write_text('{"schema": "1.0", "levels": []}')  # of another program
    before = content(tmp_path)
    commands = {
        "analyze": ("analyze", volume, "--overwrite", *options),
        "demo": ("demo", "--overwrite"),
        "simulate": ("simulate",),
        "graft": ("simulate", "--graft", volume, "--labels", volume, "--fracture", "C4:burst"),
    }
    assert_refused(run(*commands[command], "-o", tmp_path / "thesis"), "holds something")
    assert content(tmp_path) == before


def test_a_result_is_replaced_marked_or_of_an_earlier_version_and_what_others_put_there_is_kept(run, tmp_path, options):
    volume, result = a_volume(tmp_path / "ct.nrrd"), tmp_path / "result"
    assert run("analyze", volume, "-o", result, *options)[0] == 0
    (result / "notes").mkdir()
    (result / "notes" / "mine.txt").write_text("mine")
    (result / "link").symlink_to(tmp_path)
    (result / "scene.mrb").write_text("edited in Slicer")
    assert run("analyze", volume, "-o", result, "--overwrite", *options)[0] == 0
    assert (result / "notes" / "mine.txt").read_text() == "mine" and (result / "link").is_symlink()
    assert (result / "kept" / "scene.mrb").read_text() == "edited in Slicer"
    assert (result / "scene.mrb").stat().st_size > 1000

    (result / ".neckfrac.json").unlink()  # as earlier versions left it
    made = (result / "findings.json").stat().st_ino
    assert run("analyze", volume, "-o", result, "--overwrite", *options)[0] == 0
    assert (result / "findings.json").stat().st_ino != made
    assert (result / "notes" / "mine.txt").exists()
    assert (result / "kept" / "scene.mrb").read_text() == "edited in Slicer"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ct.nrrd", "result"]


def test_a_copy_of_a_result_is_one_and_a_study_that_holds_one_is_none(run, tmp_path, options):
    write_series(tmp_path / "study", head())
    assert run("analyze", tmp_path / "study", "-o", tmp_path / "study" / "result", *options)[0] == 0
    before = content(tmp_path / "study")
    assert_refused(run("analyze", tmp_path / "study", "-o", tmp_path / "study", "--overwrite", *options))
    assert content(tmp_path / "study") == before
    shutil.copytree(tmp_path / "study" / "result", tmp_path / "copy")
    assert run("analyze", tmp_path / "study", "-o", tmp_path / "copy", "--overwrite", *options)[0] == 0
    assert not (tmp_path / "copy" / "kept").exists()


def test_a_batch_deletes_nothing_of_others_in_the_folder_of_results(run, tmp_path, options):
    a_volume(tmp_path / "in" / "ct.nrrd")
    for name in (".vscode-insiders", ".venv-research", ".ct-abcdefgh", ".git"):
        (tmp_path / "out" / name).mkdir(parents=True)
        (tmp_path / "out" / name / "mine").write_text("mine")
    before = content(tmp_path / "out")
    assert run("batch", tmp_path / "in", "-o", tmp_path / "out", *options)[0] == 0
    assert before.items() <= content(tmp_path / "out").items()


def test_a_batch_does_not_replace_a_table_of_others(run, tmp_path, options):
    a_volume(tmp_path / "in" / "ct.nrrd")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "worklist.csv").write_text("monday,tuesday")
    assert_refused(run("batch", tmp_path / "in", "-o", tmp_path / "out", *options), "worklist")
    assert content(tmp_path / "out") == {"worklist.csv": b"monday,tuesday"}


def test_a_batch_follows_no_result_name_out_of_its_folder(run, tmp_path, options):
    a_volume(tmp_path / "in" / "ct.nrrd")
    out, result = tmp_path / "out", tmp_path / "elsewhere"
    assert run("batch", tmp_path / "in", "-o", out, *options)[0] == 0
    assert run("analyze", tmp_path / "in" / "ct.nrrd", "-o", result, *options)[0] == 0
    before = content(result)
    changed = (out / "worklist.json").read_text().replace('"result": "ct"', '"result": "../elsewhere"')
    (out / "worklist.json").write_text(changed)
    assert run("batch", tmp_path / "in", "-o", out, "--again", *options)[0] == 0
    assert content(result) == before


@pytest.mark.parametrize("command", ["analyze", "batch"])
def test_of_two_runs_into_one_output_one_is_refused_and_the_other_is_not_harmed(run, tmp_path, options, command):
    code = (
        "import sys, pathlib; from neckfrac.workspace import claim\n"
        "workspace = claim(pathlib.Path(sys.argv[1])); print('claimed', flush=True); sys.stdin.read()\n"
        "(workspace.new / 'a').write_text('a'); workspace.put_in_place(); workspace.close()"
    )
    a_volume(tmp_path / "in" / "ct.nrrd")
    out = tmp_path / "out"
    place = out if command == "analyze" else out / "neckfrac-batch"
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(place)],
        env=os.environ | {"PYTHONPATH": str(ENGINE)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert other.stdout.readline() == b"claimed\n"
    (tmp_path / "link").symlink_to(out)
    for name in (out, tmp_path / "in" / ".." / "out"):
        assert_refused(run(command, tmp_path / "in", "-o", name, *options), "Another run", "out")
    other.communicate()
    assert other.returncode == 0 and (place / "a").read_text() == "a"
    (tmp_path / "link").unlink()
    assert not [path for path in tmp_path.rglob(".neckfrac-*")]


def test_two_threads_do_not_write_one_output(tmp_path):
    from neckfrac.errors import InputError
    from neckfrac.workspace import whole_folder

    began, over, refused = threading.Event(), threading.Event(), []

    def write():
        with whole_folder(tmp_path / "deep" / "out") as folder:
            began.set()
            over.wait(10)
            (folder / "a").write_text("first")

    thread = threading.Thread(target=write)
    thread.start()
    began.wait(10)
    with pytest.raises(InputError, match="Another run"), whole_folder(tmp_path / "deep" / "out") as folder:
        refused.append(folder)
    over.set()
    thread.join()
    assert not refused and content(tmp_path) == {"deep": None, "deep/out": None, "deep/out/a": b"first"}


def test_a_comparison_does_not_replace_the_labels_that_it_compares(run, tmp_path):
    labels = tmp_path / "labels.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray((head() > 0).astype("uint8")), str(labels))
    (tmp_path / "notes.json").write_text('{"mine": 1}')
    before = content(tmp_path)
    for out in ("labels.nrrd", "notes.json"):
        assert_refused(run("evaluate", "compare", labels, labels, "--out", tmp_path / out, "--quiet"), out)
    assert content(tmp_path) == before
    for _ in range(2):  # its own are
        assert run("evaluate", "compare", labels, labels, "--out", tmp_path / "new.json", "--quiet")[0] == 0


def test_a_mount_point_as_output_is_refused_before_the_work(run, options, tmp_path, monkeypatch):
    """An empty disk's top folder can't be renamed, nor anything be renamed to it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == disk)
    code, _, errors = run("analyze", write_series(tmp_path / "in", head())[0].parent, "-o", disk, *options)
    assert code == 2 and "mount point" in errors and "folder in it" in errors and len(errors.splitlines()) == 1
    assert list(disk.iterdir()) == [] and {path.name for path in tmp_path.iterdir()} == {"in", "disk"}
