"""Every table that the command prints can be read on a terminal of 80 columns: nothing is cut, nothing runs over."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from intake.made_dicom import head, write_series
from measurement_case import measured_analysis
from neckfrac.cli import main
from neckfrac.commands.batch import show_worklist
from neckfrac.comparison.compare import BOTH, NEITHER, ONLY_OURS, ONLY_REFERENCE, Comparison, LevelComparison
from neckfrac.findings import POSITIVE, Naming
from neckfrac.output.worklist import Worklist, WorklistRow
from neckfrac.terminal import show_comparison, show_findings

MODELS = Path(__file__).parents[1] / "Resources" / "Models"
WIDTH = 80


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def printed(capsys):
    """What was printed, having been looked at: no line is too long, and no word is cut."""

    def printed():
        text = capsys.readouterr().out
        assert "…" not in text and "..." not in text, text
        assert [line for line in text.splitlines() if "│" in line and len(line) > WIDTH] == []
        return text

    return printed


def cells(text):
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert not ended.value.code


def test_the_embedded_networks_are_listed_a_line_each(printed):
    run("models", "list", "--models", MODELS)
    rows = {row[0]: row for row in cells(printed())}
    assert set(rows) == {path.name for path in MODELS.glob("neckfrac-*")}
    assert rows["neckfrac-locate"][1:3] == ["0.1.0", "locate"] and rows["neckfrac-locate"][3] == ""
    assert all(re.fullmatch("[0-9a-f]{12}", row[4]) for row in rows.values())


def test_a_network_with_a_long_name_goes_on_in_the_next_line(printed, models, tmp_path):
    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    name = "a-network-of-our-own-with-a-name-that-no-column-of-any-terminal-can-hold-in-one-line"
    (folder / "tiny-slices").rename(folder / name)
    file = folder / name / "configs" / "metadata.json"
    file.write_text(file.read_text(encoding="utf-8").replace("tiny-slices", name), encoding="utf-8")
    run("models", "list", "--models", folder)
    text = printed()
    assert name in "".join(row[0] for row in cells(text)) and "tiny-vertebrae" in text


def test_the_long_list_and_json_tell_all_that_is_known_of_each_network(printed, models):
    run("models", "list", "--models", models, "--json")
    listed = json.loads(printed())
    assert listed["folders"] == [{"path": str(models), "exists": True}]
    assert [one["name"] for one in listed["networks"]] == [
        "tiny-locate", "tiny-segment", "tiny-slices", "tiny-vertebrae"]  # fmt: skip
    run("models", "list", "--models", models, "--long")
    text = "".join(printed().split())
    for one in listed["networks"]:
        assert one["checked"] and one["sha256"] in text and one["trained_on"] == "nothing"
        assert "".join(one["folder"].split()) in text and one["license"] in text


def test_a_network_that_can_not_be_used_is_told_with_the_reason(printed, models, tmp_path):
    shutil.copytree(models, tmp_path / "models")
    (tmp_path / "models" / "tiny-slices" / "models" / "model.safetensors").write_bytes(b"other")
    for more, title in (((), "Not used: tiny-slices:"), (("--long",), "Not used")):
        run("models", "list", "--models", tmp_path / "models", *more)
        text = printed()
        assert title in text and "SHA-256" in text.split(title, 1)[1]


def test_series_with_long_descriptions_are_listed_whole(printed, tmp_path):
    long = "Cervical spine helical 0.625 mm bone algorithm sagittal reformat"
    write_series(tmp_path / "one", head(), SeriesDescription=long, ConvolutionKernel="BONEPLUS")
    run("series", tmp_path)
    rows = cells(printed())
    assert " ".join(row[1] for row in rows if row[1]).split() == long.split()
    assert rows[0][0] == "1" and rows[0][-1] == "yes"


@pytest.mark.parametrize("certain", [True, False])
def test_findings_beside_their_truth_fit(printed, certain):
    findings = measured_analysis().findings
    if not certain:
        naming = Naming(False, "C1–C6", ("C2–C7",), 0.6, "C1, C2 and T1 are not in view.")
        findings = replace(findings, naming=naming)
    show_findings(findings, truth={level.level: level.level == "C2" for level in findings.levels})
    rows = cells(printed())
    (row,) = [row for row in rows if row[0].startswith("C2") and row[-1] == "fractured"]
    assert row[:3] == ["C2" if certain else "C2 or C3", "0.87", POSITIVE]


def test_a_comparison_fits_and_says_where_each_level_was_found(printed):
    found = (BOTH, ONLY_OURS, ONLY_REFERENCE, NEITHER, BOTH, BOTH, BOTH)
    levels = [
        LevelComparison(f"C{n}", where, 0.912, 0.934, 0.956, 12.3, 23.4, 123.4, None, "C7" if n == 6 else None)
        for n, where in enumerate(found, 1)
    ]
    show_comparison(Comparison(tuple(levels)))
    rows, words, level = cells(printed()), {}, ""
    for row in rows:
        level = row[0] or level
        words.setdefault(level, []).append(row[-1])
    told = {level: " ".join(parts) for level, parts in words.items()}
    assert told["C1"] == BOTH and told["C2"] == ONLY_OURS and told["C3"] == ONLY_REFERENCE and told["C4"] == NEITHER
    assert told["C6"] == "in the reference's C7"
    assert ["C1", "0.912", "0.934", "0.956", "12.3", "23.4", "123.4", BOTH] in rows


def test_studies_with_long_names_can_be_told_apart_in_a_worklist(printed, tmp_path):
    names = [f"department/2026-11-01 transferred patients/patient_with_a_long_name/study_{n}" for n in (1, 2, 3)]
    rows = [
        WorklistRow(name, f"/{name}", "r", probability=0.4, status=POSITIVE, level="C3 or C4", level_probability=0.1)
        for name in names
    ]
    show_worklist(Worklist(tmp_path, rows))
    shown = "".join(row[0] for row in cells(printed()))
    assert all(name.replace(" ", "") in shown.replace(" ", "") for name in names)
