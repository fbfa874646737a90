"""Pipes, devices, sockets and links among what is given: never opened blindly, followed where they lead somewhere."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk
from intake.made_dicom import head, write_series
from neckfrac.errors import InputError
from neckfrac.intake.many import find_studies
from neckfrac.intake.study import read_study

ENGINE = Path(__file__).parents[2] / "NeckFracExtension"
pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")


def a_socket(path, monkeypatch):
    monkeypatch.chdir(path.parent)  # the name of a socket may have about 100 letters
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path.name)


KINDS = {
    "pipe": (lambda path, _: os.mkfifo(path), "named pipe"),
    "socket": (a_socket, "socket"),
    "link to a device": (lambda path, _: path.symlink_to("/dev/zero"), "device"),
    "dangling link": (lambda path, _: path.symlink_to("nowhere"), "leads nowhere"),
    "circle": (lambda path, _: path.symlink_to(path.name), "circle"),
}
NAMES = ("IM0099", "IM0099.dcm", "ct.nii.gz", "ct.zip")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path, monkeypatch, kind, name):
    make, words = KINDS[kind]
    write_series(tmp_path / "study", head())
    make(tmp_path / "study" / name, monkeypatch)
    (tmp_path / "alone").mkdir()
    make(tmp_path / "alone" / name, monkeypatch)
    for source in (tmp_path / "study", tmp_path / "alone", tmp_path / "alone" / name):
        with pytest.raises(InputError, match=words) as error:
            read_study(source)
        assert error.value.where.endswith(name)


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_batch_what_is_no_file_belongs_to_the_study_that_it_lies_among_or_is_a_row_of_its_own(
    tmp_path, monkeypatch, kind
):
    write_series(tmp_path / "good", head())
    write_series(tmp_path / "bad", head())
    make, words = KINDS[kind]
    make(tmp_path / "bad" / "IM0099", monkeypatch)
    make(tmp_path / "patient7", monkeypatch)
    found = {study.name: study for study in find_studies(tmp_path)}
    assert set(found) == {"bad", "good", "patient7"}
    read_study(found["good"].files)
    for name in ("bad", "patient7"):
        files = found[name].files
        with pytest.raises(InputError, match=words):
            read_study(files if len(files) > 1 else files[0])


def test_the_command_answers_within_seconds(tmp_path):
    """In a process with a limit: what hangs here hangs for ever."""
    sitk.WriteImage(sitk.GetImageFromArray(head()), str(tmp_path / "ct.nii.gz"))
    os.mkfifo(tmp_path / "labels.nii.gz")
    pipe, volume = tmp_path / "labels.nii.gz", tmp_path / "ct.nii.gz"
    commands = [
        ["analyze", volume, "--labels", pipe, "-o", tmp_path / "out", "--quiet"],
        ["evaluate", "compare", pipe, volume, "--quiet"],
        ["evaluate", "compare", volume, pipe, "--quiet"],
        ["series", pipe],
        ["batch", pipe, "-o", tmp_path / "out", "--quiet"],
    ]
    code = (
        "import sys, json, io, contextlib\nfrom neckfrac.cli import main\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    told = io.StringIO()\n"
        "    try:\n        with contextlib.redirect_stderr(told):\n            main(arguments)\n"
        "    except SystemExit as end:\n        text = told.getvalue()\n"
        "        print(end.code, len(text.splitlines()), 'named pipe' in text)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps([[str(part) for part in command] for command in commands])],
        env=os.environ | {"PYTHONPATH": str(ENGINE)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["2 1 True"] * len(commands), done.stderr
    assert not (tmp_path / "out").exists()


def test_links_to_studies_are_followed_once_and_circles_end(tmp_path):
    write_series(tmp_path / "archive" / "one", head())
    place = tmp_path / "in"
    (place / "deep").mkdir(parents=True)
    (place / "one").symlink_to(tmp_path / "archive" / "one")
    (place / "again").symlink_to(tmp_path / "archive" / "one")
    (place / "deep" / "up").symlink_to(place)
    (place / "circle").symlink_to(place)
    assert read_study(place).volume.shape == read_study(tmp_path / "archive" / "one").volume.shape
    found = find_studies(place)
    assert [(study.name, len(study.files)) for study in found if study.files[0].is_file()] == [("again", 26)]
    write_series(place / "two", head(), PatientID="another")
    (place / "zwei").symlink_to(place / "two")
    assert [study.name for study in find_studies(place)] == ["again", "deep", "two"]


def test_a_link_to_a_link_and_linked_files_are_read(tmp_path):
    paths = write_series(tmp_path / "archive", head())
    (tmp_path / "files").mkdir()
    for path in paths:
        (tmp_path / "files" / path.name).symlink_to(path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "study").symlink_to(tmp_path / "link")
    (tmp_path / "link").symlink_to(tmp_path / "files")
    assert read_study(tmp_path / "in").volume.shape == (26, 16, 20)
    assert [study.name for study in find_studies(tmp_path / "in")] == ["study"]


def test_a_patients_folder_in_which_nothing_can_be_read_is_a_study_and_one_of_results_is_none(tmp_path):
    write_series(tmp_path / "good", head())
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut").mkdir()
    for number in range(3):
        (tmp_path / "cut" / f"IM{number}").write_bytes(b"")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "worklist.json").write_text("{}")
    (tmp_path / ".hidden").mkdir()
    found = {study.name: study for study in find_studies(tmp_path)}
    assert set(found) == {"cut", "empty", "good"}
    for name in ("cut", "empty"):
        with pytest.raises(InputError, match="Nothing here can be read as a CT"):
            read_study(found[name].files[0])


def test_a_name_that_is_no_text_is_read_and_told(tmp_path):
    folder = os.fsencode(tmp_path) + b"/pat\xff"
    try:
        os.mkdir(folder)
    except OSError:
        pytest.skip("this file system has no such names")
    write_series(Path(os.fsdecode(folder)), head())
    found = find_studies(tmp_path)
    assert found[0].name == "pat\\udcff"
    assert read_study(found[0].files).identity.source.encode("utf-8").endswith(b"pat\\udcff")
