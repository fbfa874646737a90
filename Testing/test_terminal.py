"""Progress on the terminal, the table of findings, and Ctrl-C in real processes."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.errors import Cancelled
from neckfrac.study_warning import StudyWarning
from neckfrac.terminal import show_findings, shown_progress
from output_case import UNCERTAIN, make_analysis, with_naming

ENGINE = Path(__file__).parents[1] / "NeckFracExtension"
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to a single process")


def test_json_progress_is_one_object_a_line_and_fractions_never_fall(capsys):
    with shown_progress(as_json=True) as progress:
        with progress.stage("Reading", until=0.2):
            progress.step(0.9)
            progress.step(0.1)  # a step that counts anew
        part = progress.share(0.2, 0.7)
        with part.stage("Looking", until=1.0):
            part.part(0.0, 0.5).step(0.5)
            part.part(0.5, 1.0).step(0.0)
        with progress.stage("Writing", until=1.0):
            pass
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert captured.err == ""
    assert list(dict.fromkeys(line["stage"] for line in lines)) == ["Reading", "Looking", "Writing"]
    fractions = [line["fraction"] for line in lines]
    assert fractions == sorted(fractions) and fractions[0] == 0.0 and fractions[-1] == 1.0
    assert {0.18, 0.325, 0.45} <= set(fractions)


def test_quiet_progress_shows_nothing(capsys):
    with shown_progress(quiet=True) as progress, progress.stage("Reading", until=1.0):
        progress.step(0.5)
    assert capsys.readouterr() == ("", "")


def test_the_bar_leaves_streams_that_are_no_terminal_alone(capsys):
    with shown_progress() as progress, progress.stage("Reading", until=1.0):
        progress.step(0.5)
    assert capsys.readouterr() == ("", ""), "and a log file gets no bar"


def test_ctrl_c_is_what_it_was_before_once_the_job_is_over():
    before = signal.getsignal(signal.SIGINT)
    with shown_progress(quiet=True):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
    wakeup = signal.set_wakeup_fd(-1)
    assert wakeup == -1, "nothing else is left to listen"
    assert "interrupt" not in [thread.name for thread in threading.enumerate()]


def test_progress_can_be_shown_from_another_thread(capsys):
    """Signals belong to the main thread; elsewhere there is nothing to catch."""
    failures = []

    def work():
        try:
            with shown_progress(as_json=True) as progress, progress.stage("Reading", until=1.0):
                pass
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failures and capsys.readouterr().out


@POSIX
def test_one_ctrl_c_raises_cancelled_at_the_next_step():
    with pytest.raises(Cancelled), shown_progress(quiet=True) as progress, progress.stage("Reading", until=1.0):
        progress.step(0.1)
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100):
            time.sleep(0.005)
            progress.step(0.2)


SCRIPT = """
import hashlib, sys, time
from pathlib import Path
from neckfrac.errors import NeckFracError
from neckfrac.terminal import shown_progress

unfinished = Path(sys.argv[1]) / "unfinished"
unfinished.mkdir()
(unfinished / "part").write_text("half")

def clean_up():
    (unfinished / "part").unlink()
    unfinished.rmdir()

def steps(progress):
    for n in range(3000):
        time.sleep(0.01)
        progress.step(n / 3000)

def sleep(progress):
    for n in range(30):
        time.sleep(1)

def library(progress):
    # One call that does not come back to Python for half a minute or more.
    hashlib.pbkdf2_hmac("sha512", b"secret", b"salt", 200_000_000)

try:
    with shown_progress(as_json=True, clean_up=clean_up) as progress:
        try:
            with progress.stage("Working", until=1.0):
                globals()[sys.argv[2]](progress)
        finally:
            clean_up()
except NeckFracError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


@POSIX
@pytest.mark.parametrize(
    ("work", "name"),
    [("steps", "SIGINT"), ("sleep", "SIGINT"), ("library", "SIGINT"), ("library", "SIGTERM"), ("steps", "SIGHUP")],
)
def test_a_signal_to_stop_ends_the_process_within_a_second_and_leaves_nothing(tmp_path, work, name):
    environment = os.environ | {"PYTHONPATH": str(ENGINE)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path), work], env=environment, **pipes)
    try:
        assert json.loads(process.stdout.readline())["stage"] == "Working"
        assert (tmp_path / "unfinished" / "part").exists()
        time.sleep(0.2)  # well within the step
        began = time.monotonic()
        process.send_signal(getattr(signal, name))
        assert process.wait(timeout=20) == 130
        # 0.7 s of patience, and room for a busy machine.
        assert time.monotonic() - began < 2.0
        assert process.stderr.read() == "Cancelled.\n"
        assert list(tmp_path.iterdir()) == []
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def wide(monkeypatch):
    """A terminal wide enough for the whole table."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")


def rows(text):
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]


def test_the_table_says_what_is_seen_what_is_called_and_what_is_true(wide, capsys):
    findings = make_analysis().findings
    truth = {level.level: level.level in ("C2", "C7") for level in findings.levels}
    show_findings(findings, truth=truth, folder=Path("out"))
    text = capsys.readouterr().out
    table = {row[0]: row for row in rows(text)}
    assert table["C1"][1:3] == ["0.08", "negative"] and table["C1"][-1] == "intact"
    assert table["C2"][1:5] == ["0.87", "positive", "medium", "100%"] and table["C2"][-1] == "fractured"
    assert table["C7"][1:4] == ["", "not seen", ""] and table["C7"][-1] == "fractured"
    assert table["Patient"][1:3] == ["0.91", "positive"] and table["Patient"][-1] == "fractured"
    assert table["C2"][6] == "0.87", "the member's own probability"
    assert "Truth" in text and "simulated" in text and "Result: out" in text
    assert "Not seen, so nothing is said of: C7." in text and "called positive because" not in text
    assert "Research use only" in text and "trained on simulated CT only" in text


def test_a_patient_called_because_of_a_level_is_explained_below_the_table(wide, capsys):
    findings = replace(make_analysis().findings, patient_probability=0.41)
    show_findings(findings)
    assert " ".join(capsys.readouterr().out.split()).count(findings.note_on_call()) == 1 and findings.note_on_call()


def test_without_a_truth_there_is_no_column_for_it(wide, capsys):
    show_findings(make_analysis().findings)
    assert "Truth" not in capsys.readouterr().out


def test_a_study_without_a_neck_has_no_level_that_is_negative(wide, capsys):
    show_findings(make_analysis(empty=True).findings)
    text = capsys.readouterr().out
    table = {row[0]: row for row in rows(text)}
    assert [table[f"C{n}"][2] for n in range(1, 8)] == ["not seen"] * 7
    assert table["Patient"][2] == "not seen" and "negative" not in text


def test_uncertain_names_are_told_before_the_table_and_in_it_and_only_once(wide, capsys):
    findings = with_naming(make_analysis(), UNCERTAIN).findings
    show_findings(replace(findings, warnings=(UNCERTAIN.warning(),)))
    text = capsys.readouterr().out
    assert text.index("uncertain: C1–C6 or C2–C7.") < text.index("Probability of fracture")
    assert text.count("uncertain") == 1
    assert [row[0] for row in rows(text)][:3] == ["C1 or C2", "C2 or C3", "C3 or C4"]


def test_square_brackets_in_a_warning_or_a_path_are_shown_as_they_stand(wide, capsys):
    chosen = StudyWarning("series-chosen", "Series 3: Neck [bone] [/b60] was read.")
    findings = replace(make_analysis().findings, warnings=(chosen,))
    show_findings(findings, folder=Path("cases[/2]"))
    text = capsys.readouterr().out
    assert "Neck [bone] [/b60] was read." in text and "cases[/2]" in text


def test_output_that_is_no_terminal_holds_no_control_codes(capsys):
    show_findings(make_analysis().findings)
    assert "\x1b" not in capsys.readouterr().out


def test_findings_can_be_shown_where_the_encoding_is_not_unicode(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    show_findings(with_naming(make_analysis(), UNCERTAIN).findings, folder=Path("rés–ult"))
    stream.flush()
    assert b"C1-C6 or C2-C7" in stream.buffer.getvalue() and b"r?s-ult" in stream.buffer.getvalue()


@pytest.mark.parametrize("naming", [None, UNCERTAIN])
def test_in_a_narrow_terminal_what_each_network_says_goes_before_a_figure_is_cut_short(naming, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    analysis = make_analysis()
    findings = (with_naming(analysis, naming) if naming else analysis).findings
    levels = tuple(replace(level, probability=0.00312) if level.members else level for level in findings.levels)
    show_findings(replace(findings, levels=levels), truth=dict.fromkeys(LEVEL_NAMES, True))
    text = capsys.readouterr().out
    assert "model-a" not in text and "…" not in text
    assert [row[1] for row in rows(text)].count("0.0031") == sum(bool(level.members) for level in levels) > 3
    monkeypatch.setenv("COLUMNS", "160")
    show_findings(replace(findings, levels=levels), truth=dict.fromkeys(LEVEL_NAMES, True))
    assert "model-a" in capsys.readouterr().out
