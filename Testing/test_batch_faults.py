"""What one study does ends no batch: it is a row with the reason, and the next one goes on."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from batch_case import FakeEngine, run, write_volume
from neckfrac.batch import analyze_batch
from neckfrac.errors import InputError
from neckfrac.intake.many import find_studies
from neckfrac.output.worklist import CSV, JSON, Worklist


def row_of(worklist, name):
    return next(row for row in worklist.rows if row.study == name)


@pytest.fixture
def three(tmp_path):
    for name in "abc":
        write_volume(tmp_path / "in" / f"{name}.nrrd", 0.2)
    return tmp_path / "in"


FAULTS = [
    ValueError("all the input array dimensions must match"),
    OSError(28, "No space left on device"),
    MemoryError(),
    RecursionError("too deep"),
    InputError("This can't be written."),
    UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"),
]


PLACES = ["pictures.panels", "scene_file.write_scene", "tables.write_json", "report.report", "tables.write_csv"]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("fault", "place"), list(zip(FAULTS, [*PLACES, PLACES[0]], strict=True)))
def test_a_study_whose_result_can_not_be_written_is_a_row_and_the_next_goes_on(
    three, tmp_path, monkeypatch, fault, place
):
    import importlib

    module = importlib.import_module(f"neckfrac.output.{place.split('.')[0]}")
    works, name = getattr(module, place.split(".")[1]), place.split(".")[1]
    writings = []

    def fail(*arguments, **options):
        writings.append(arguments)
        if len(writings) == 2:
            raise fault
        return works(*arguments, **options)

    with monkeypatch.context() as changed:
        changed.setattr(module, name, fail)
        worklist, _ = run(three, tmp_path / "out")
    assert [bool(row_of(worklist, f"{name}.nrrd").error) for name in "abc"] == [False, True, False]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {JSON, CSV, "a", "c"}
    worklist, engine = run(three, tmp_path / "out")
    assert len(engine.seen) == 1 and not any(row.error for row in worklist.rows)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("place", ["FoundStudy.fingerprint", "_folder_name", "_same"])
def test_a_fault_before_the_analysis_is_a_row_too_also_when_the_batch_goes_on(three, tmp_path, monkeypatch, place):
    run(three, tmp_path / "out")
    write_volume(three / "c.nrrd", 0.9)
    calls = []

    def fail(*_):
        calls.append(1)
        raise RuntimeError("no luck")

    with monkeypatch.context() as changed:
        changed.setattr(f"neckfrac.batch.{place}", fail)
        worklist, engine = run(three, tmp_path / "out")
    assert len(calls) == 3 and [row.error for row in worklist.rows] == ["Unexpected RuntimeError: no luck"] * 3
    worklist, _ = run(three, tmp_path / "out")
    assert not any(row.error for row in worklist.rows)


@pytest.mark.usefixtures("undrawn")
def test_networks_that_can_not_be_loaded_end_the_batch_at_once_but_not_once_they_were(three, tmp_path):
    def load(options):
        raise InputError("There is no network.")

    with pytest.raises(InputError, match="no network"):
        analyze_batch(find_studies(three), tmp_path / "out", load, identity="")
    engines = []

    def load_once(options):
        engines.append(1)
        if len(engines) == 2:
            raise MemoryError
        return FakeEngine()

    write_volume(three / "a.nrrd", -0.2)
    worklist = analyze_batch(find_studies(three), tmp_path / "out", load_once, identity="")
    assert [bool(row_of(worklist, f"{name}.nrrd").error) for name in "abc"] == [True, True, False]


@pytest.mark.usefixtures("undrawn")
def test_a_worklist_that_is_locked_for_a_while_loses_no_row(three, tmp_path, monkeypatch):
    import neckfrac.output.worklist as worklists

    replace, tries = os.replace, []

    def locked(source, target):
        tries.append(target)
        if 3 <= len(tries) <= 8:
            raise PermissionError(13, "The file is open in another program")
        replace(source, target)

    monkeypatch.setattr(worklists.os, "replace", locked)
    run(three, tmp_path / "out")
    assert len(Worklist.read(tmp_path / "out").rows) == 3


@pytest.mark.usefixtures("undrawn")
def test_a_name_that_is_no_text_ends_no_batch(tmp_path):
    try:
        os.mkdir(os.fsencode(tmp_path / "in") + b"\xff")
    except OSError:
        pytest.skip("this file system has no such names")
    folder = Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"\xff"))
    os.rename(write_volume(tmp_path / "a.nrrd", 0.2), folder / os.fsdecode(b"pat\xff.nrrd"))
    os.rename(write_volume(tmp_path / "b.nrrd", 0.2), folder / "b.nrrd")
    for _ in range(2):  # ITK would end the process
        worklist, engine = run(folder, tmp_path / "out")
        assert not engine.seen and all("no text" in row.error for row in worklist.rows)
    assert len(list(csv.DictReader((tmp_path / "out" / CSV).open(encoding="utf-8")))) == 2


@pytest.mark.usefixtures("undrawn")
def test_what_a_batch_wrote_and_could_not_tell_any_more_is_written_anew_in_its_place(three, tmp_path):
    """A batch that is killed between a result and its row."""
    run(three, tmp_path / "out")
    content = json.loads((tmp_path / "out" / JSON).read_text())
    for row in content["rows"]:
        row.update(error="Not finished: the batch ended before.", probability=None)
    (tmp_path / "out" / JSON).write_text(json.dumps(content))
    run(three, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {JSON, CSV, "a", "b", "c"}


@pytest.mark.usefixtures("undrawn")
def test_the_worklist_says_why_a_patient_below_the_threshold_is_positive(tmp_path):
    write_volume(tmp_path / "in" / "a.nrrd", 0.75)
    worklist, _ = run(tmp_path / "in", tmp_path / "out")
    (row,) = worklist.rows
    assert row.status == "positive" and row.probability == 0.4
    assert row.note.startswith("The patient is called positive because C4 is")
    assert next(csv.DictReader((tmp_path / "out" / CSV).open(encoding="utf-8")))["note"] == row.note
