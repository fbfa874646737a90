"""A short run of the kills, and that its checks see what they are there for."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from neckfrac import workspace
from neckfrac.errors import InputError
from neckfrac.intake.study import read_study
from neckfrac.workspace import claim

ENGINE = Path(__file__).parents[1] / "NeckFracExtension"
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")


def in_a_process(*arguments, code=None):
    """In a process of its own: the stand-ins of the kills are no other test's."""
    command = ["-c", code] if code else ["-m", "neckfrac_lab.kills"]
    environment = os.environ | {"PYTHONPATH": str(ENGINE), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command, *map(str, arguments)], env=environment, capture_output=True, text=True
    )


def test_a_few_kills_and_full_disks_lose_nothing_and_leave_nothing(tmp_path):
    done = in_a_process("--moments", 8, "--seed", 7, "--folder", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[-1][0] == "all" and int(rows[-1][1]) >= 9 and rows[-1][2:] == ["0", "0", "0", "0"]
    assert list(tmp_path.iterdir()) == []


FULL_WITHIN = """
import pathlib, sys
from neckfrac_lab import kills, kills_worlds
kills_worlds.use_stand_ins()
world = pathlib.Path(sys.argv[1], "world")
kills_worlds.prepare_world("new", world, kills.run_command)
arguments = kills_worlds.WORLDS["new"].arguments(world)
for size in sys.argv[2:]:
    code, said, _ = kills.run_command(arguments, world, kills.Fault("full within a file", moment=int(size)))
    print(code, said, end="")
"""


def test_a_scene_for_which_there_is_no_room_is_told_in_one_line(tmp_path):
    """ITK inside VTK prints its own lines straight to standard error."""
    done = in_a_process(tmp_path, 200, 2000, 20000, code=FULL_WITHIN)  # bytes that a file may have
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stdout + done.stderr
    assert all(line.startswith("2 neckfrac: ") and "can't be written" in line for line in lines)


def test_only_what_itk_prints_of_an_error_is_kept_from_standard_error(capfd):
    from neckfrac.native_messages import without_itk_errors

    error = b'\nitk::ExceptionObject (0x5611)\nLocation: "unknown"\nDescription: ITK ERROR: no room\n[nrrd] x\n\n\n\n'
    with without_itk_errors():
        os.write(2, b"before\n" + error + error + b"between\n" + error)
    os.write(2, b"after\n")
    assert capfd.readouterr().err.split() == ["before", "between", "after"]
    with pytest.raises(KeyError), without_itk_errors():
        os.write(2, b"a warning\n")
        raise KeyError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "a warning\nafter\n"


KILLED_AT = """
import pathlib, sys
from neckfrac import marks, workspace
place, event, number = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
import os
work = workspace.claim(place)
(work.new / "new.txt").write_text("new")
marks.mark_result(work.new)
seen = []
def hook(name, arguments):
    if name == event:
        seen.append(name)
        if len(seen) == number:
            os.kill(os.getpid(), 9)
sys.addaudithook(hook)
work.put_in_place()
work.close()
"""


# The renames of a result that is replaced: the old one aside, the new one into its place, then what is the user's.
@pytest.mark.parametrize(("event", "number", "expected"), [
    ("os.rename", 1, "old"), ("os.rename", 2, "old"), ("os.rename", 3, "new"), ("os.rename", 4, "new"),
    ("os.rmdir", 1, "new"), ("os.remove", 1, "new"),
])  # fmt: skip
def test_a_result_that_was_being_replaced_when_the_process_was_killed_is_old_or_new_and_whole(
    tmp_path, event, number, expected
):
    from neckfrac.marks import mark_result
    from neckfrac.workspace import remove_leftovers

    result = tmp_path / "result"
    result.mkdir()
    (result / "old.txt").write_text("old")
    mark_result(result)
    (result / "mine.txt").write_text("mine")
    (result / "deep").mkdir()
    (result / "deep" / "mine.txt").write_text("mine, too")
    done = in_a_process(result, event, number, code=KILLED_AT)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".neckfrac-")]
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["result"]
    assert (result / f"{expected}.txt").read_text() == expected
    assert {path.name for path in result.iterdir()} == {".neckfrac.json", f"{expected}.txt", "mine.txt", "deep"}
    assert (result / "mine.txt").read_text() == "mine" and (result / "deep" / "mine.txt").read_text() == "mine, too"


def test_a_replaced_result_whose_place_was_taken_meanwhile_is_kept_beside_it(tmp_path):
    from neckfrac.marks import mark_result
    from neckfrac.workspace import remove_leftovers

    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "old.txt").write_text("old")
    mark_result(tmp_path / "result")
    in_a_process(tmp_path / "result", "os.rename", 2, code=KILLED_AT)
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "thesis.txt").write_text("mine")
    remove_leftovers(tmp_path)
    assert (tmp_path / "result earlier" / "old.txt").read_text() == "old"
    assert [path.name for path in (tmp_path / "result").iterdir()] == ["thesis.txt"]


def test_a_result_that_was_set_aside_is_not_replaced_by_a_run_that_was_not_asked_to(tmp_path):
    from neckfrac.errors import InputError
    from neckfrac.marks import mark_result
    from neckfrac.workspace import whole_folder

    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "old.txt").write_text("old")
    mark_result(tmp_path / "result")
    in_a_process(tmp_path / "result", "os.rename", 2, code=KILLED_AT)
    assert not (tmp_path / "result").exists()
    with pytest.raises(InputError, match="already holds something"), whole_folder(tmp_path / "result"):
        pytest.fail("it must be refused before the work")
    assert [path.name for path in tmp_path.iterdir()] == ["result"] and (tmp_path / "result" / "old.txt").exists()


def test_a_result_that_appears_while_another_is_made_is_not_replaced(tmp_path):
    from neckfrac.errors import InputError
    from neckfrac.marks import mark_result
    from neckfrac.workspace import whole_folder

    with pytest.raises(InputError, match="meanwhile"), whole_folder(tmp_path / "result", overwrite=False) as new:
        (new / "new.txt").write_text("new")
        (tmp_path / "result").mkdir()
        (tmp_path / "result" / "copied.txt").write_text("a copy of another result")
        mark_result(tmp_path / "result")
    assert (tmp_path / "result" / "copied.txt").exists() and [p.name for p in tmp_path.iterdir()] == ["result"]


def test_a_workspace_that_is_in_use_is_left_alone_and_one_that_only_looks_like_one_too(tmp_path):
    from neckfrac.workspace import claim, remove_leftovers

    work = claim(tmp_path / "out")
    (work.new / "half").write_text("half")
    other = tmp_path / ".neckfrac-0123456789ab"
    other.mkdir()
    (other / ".neckfrac.json").write_text('{"kind": "unfinished"}')
    (other / "mine").write_text("mine")
    remove_leftovers(tmp_path)
    assert (work.new / "half").exists() and (other / "mine").exists()
    work.close()
    assert [path.name for path in tmp_path.iterdir()] == [other.name]


def test_parents_that_a_killed_run_had_made_go_with_what_it_left(tmp_path):
    code = (
        "import os, sys, pathlib; from neckfrac.workspace import claim\n"
        "claim(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    from neckfrac.workspace import remove_leftovers

    in_a_process(tmp_path / "deep" / "er" / "out", code=code)
    assert (tmp_path / "deep" / "er").is_dir()
    remove_leftovers(tmp_path / "deep" / "er")
    assert list(tmp_path.iterdir()) == []


def test_a_forced_end_removes_what_is_unfinished(tmp_path):
    from neckfrac.errors import Cancelled
    from neckfrac.workspace import claim, remove_unfinished

    work = claim(tmp_path / "deep" / "out")
    (work.new / "half").write_text("half")
    remove_unfinished()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Cancelled):
        work.put_in_place()
    work.close()


def test_what_is_not_there_any_more_and_what_is_left_is_seen(tmp_path):
    """The checks themselves: a run that loses, leaves and says too much."""
    from neckfrac_lab.kills_check import Outcome, check_after_fault, check_next_run, contents_below
    from neckfrac_lab.kills_worlds import write_mine

    for name in ("in/ct", "out/mine", "out/other/mine"):
        write_mine(tmp_path / name)
    before = contents_below(tmp_path)
    (tmp_path / "out" / "mine").unlink()
    (tmp_path / "in" / "ct").write_text("changed")
    (tmp_path / "out" / ".neckfrac-0123456789ab").mkdir()
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "ct").write_text("")
    outcome = Outcome("new", "full", "")
    check_after_fault(outcome, tmp_path, before, 1, "Traceback\nOSError", cleared=True)
    assert len(outcome.lost) == 2 and len(outcome.left) >= 2 and outcome.said
    check_next_run(outcome, tmp_path, before, [tmp_path / "out" / "result"], 0, "")
    assert "FileNotFoundError" in " ".join(outcome.next)


def test_what_a_killed_run_had_set_aside_is_not_lost(tmp_path):
    """Killed between the two renames: the next run gives it back, and only then it must lie in its place."""
    from neckfrac_lab.kills_check import Outcome, check_after_fault
    from neckfrac_lab.kills_worlds import write_mine

    write_mine(tmp_path / "out" / "result" / "mine.txt")
    before = {"out/result/mine.txt": (tmp_path / "out" / "result" / "mine.txt").read_bytes()}
    (tmp_path / "out" / ".neckfrac-0123456789ab").mkdir()
    (tmp_path / "out" / "result").rename(tmp_path / "out" / ".neckfrac-0123456789ab" / "old")
    killed, ended = Outcome("overwrite", "kill", ""), Outcome("overwrite", "full", "")
    check_after_fault(killed, tmp_path, before, -9, "", cleared=False)
    check_after_fault(ended, tmp_path, before, 2, "", cleared=True)
    assert killed.faults == [] and ended.lost


@pytest.mark.parametrize("failing", ["open", "unlink", "rmdir"])
def test_a_disk_that_is_full_for_a_moment_leaves_no_workspace(tmp_path, monkeypatch, failing):
    """When its mark can't be made, or it can't be removed at once."""
    real, failed = getattr(os, failing), []

    def once(path, *arguments, **options):
        if ".neckfrac-" in str(path) and not failed:
            failed.append(path)
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real(path, *arguments, **options)

    work = None if failing == "open" else claim(tmp_path / "out")
    if work is not None:
        work.new.rmdir()
    monkeypatch.setattr(os, failing, once)
    if failing == "open":
        with pytest.raises(OSError):
            claim(tmp_path / "out")
    else:
        work.close()
    assert failed and list(tmp_path.iterdir()) == []


def test_a_full_disk_for_temporary_files_is_one_line_with_advice(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / ".neckfrac-0123456789ab"))

    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("a.dcm", b"")
    monkeypatch.setattr(workspace, "lock_folder", full)
    with pytest.raises(InputError, match="temporary files.*No space left") as caught:
        read_study(archive)
    assert str(tmp_path) in str(caught.value) and "TMPDIR" in str(caught.value)
