"""The whole road over studies whose fractures are known: tiny networks, small studies, the command and the cards."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.bundles.bundle import load_bundle
from neckfrac.cli import main
from neckfrac.errors import InputError
from neckfrac.findings import Analysis, Box, StudyIdentity
from neckfrac.intake.study import Study
from neckfrac.pipeline.combine import OPERATING_POINTS, PATIENT, Ensemble, Member
from neckfrac.pipeline.engine import Networks
from neckfrac.progress import Progress
from neckfrac.truth import read_truth
from neckfrac.volume import CTVolume
from neckfrac_lab.evaluation.fractures import cases, evaluate
from neckfrac_lab.evaluation.fractures.boxes import Marked
from neckfrac_lab.evaluation.fractures.card import in_words, record_fractures
from neckfrac_lab.evaluation.fractures.cases import Case, Known, folder_cases, known, simulated_cases, span
from neckfrac_lab.evaluation.fractures.evaluate import (
    RECORDS,
    REPORT,
    RESULT,
    Records,
    evaluate_cases,
    evaluate_simulated_fractures,
    vertebra_boxes,
)
from neckfrac_lab.evaluation.fractures.evaluate import run as run_road
from neckfrac_lab.evaluation.fractures.pictures import ANSWERED, TRUE, draw, picture_name
from neckfrac_lab.evaluation.fractures.report import report
from neckfrac_lab.evaluation.fractures.rsna import is_rsna, rsna_cases
from neckfrac_lab.evaluation.fractures.summary import summarise, worst
from neckfrac_lab.simulate.export import export_nrrd, truth_of
from neckfrac_lab.simulate.fractures.fracture import make_fracture
from neckfrac_lab.simulate.graft import SOURCE
from neckfrac_lab.simulate.rsna_layout import write_rsna_layout
from neckfrac_lab.simulate.scanner import Scanner
from neckfrac_lab.simulate.study import Grid, Variation, simulate_study
from neckfrac_lab.training.rsna import RSNAData
from pipeline_phantom import knowing, phantom
from simulate.conftest import make_toy_neck
from tiny_networks import write_models

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed"),
]
SHAPE, SPACING = (75, 50, 50), (2.0, 2.0, 2.0)


@pytest.fixture(scope="module")
def networks(models):
    return Networks(models, "cpu", 1)


@pytest.fixture(scope="module")
def broken():
    """A toy neck whose C5 is broken."""
    neck = make_toy_neck()
    fracture = make_fracture("C5", "burst", neck.frames["C5"], seed=3, severity=0.9)
    grid = Grid((130, 60, 60), (1.0, 1.2, 1.2), ("C4", (0.0, 12.0, 0.0)))
    return simulate_study(
        neck, seed=3, grid=grid, fractures=[fracture], variation=Variation.plain(), scanner=Scanner.clean()
    )


def of(study):
    return known(Study(study.volume, StudyIdentity(source="toy")), truth_of(study), study.labels, study.fracture)


# --- cases --------------------------------------------------------------------------------------


def test_a_level_is_broken_intact_or_unknown(broken):
    truth = of(broken)
    assert truth.levels["C5"] is True and truth.levels["C4"] is False and truth.patient is True
    assert [marked.level for marked in truth.boxes] == ["C5"]
    assert truth.level_strata["C5"] == {"fracture kind": "burst", "severity": "severe"}
    assert truth.level_strata["C4"] == {"look-alike": "none"} and truth.strata["tilt, pitch"] == "below 10 degrees"
    told = truth_of(broken)
    told["levels"]["C4"]["share_in_view"] = 0.3
    hidden = known(truth.study, told, None, 0 * broken.fracture)
    # Drawn, but not in the scan: neither broken nor intact, and so is the patient.
    assert hidden.levels["C5"] is None and hidden.patient is None and hidden.boxes == ()
    assert hidden.levels["C4"] is None and hidden.levels["C3"] is False


def test_groups_are_told_by_their_edges():
    assert [span(v, (10.0, 20.0), "mm") for v in (9.9, 10.0, 20.0)] == ["below 10 mm", "10 to 20 mm", "20 mm and more"]


def test_simulated_cases_are_the_same_again_and_every_other_one_is_broken():
    build = {"build": lambda number: make_toy_neck(), "shape": SHAPE, "spacing": SPACING}
    cases, again = (list(simulated_cases(2, seed=4, **build)) for _ in range(2))
    assert [case.name for case in cases] == ["simulated-4-00000", "simulated-4-00001"]
    first, same = cases[0].read(), again[0].read()
    assert (first.study.volume.voxels == same.study.volume.voxels).all() and first.levels == same.levels
    assert first.patient is not False and cases[1].read().patient is False
    with pytest.raises(InputError, match="at least one study"):
        list(simulated_cases(0))


def test_studies_that_simulate_wrote_are_read_again(broken, tmp_path):
    export_nrrd(broken, tmp_path / "data" / "one")
    (case,) = folder_cases(tmp_path / "data")
    (alone,) = folder_cases(tmp_path / "data" / "one")
    assert case.name == alone.name == "one"
    read, direct = case.read(), of(broken)
    assert read.levels == direct.levels and read.boxes == direct.boxes and read.strata == direct.strata
    assert (read.fracture == broken.fracture).all() and (read.labels == direct.labels).all()
    assert read_truth(tmp_path / "data" / "one" / "truth.json")["simulated"]
    with pytest.raises(InputError, match="no study whose fractures are known"):
        list(folder_cases(tmp_path))


@pytest.fixture(scope="module")
def rsna(tmp_path_factory):
    """Two studies of the textbook neck in the layout of RSNA 2022, the first fractured."""
    folder = tmp_path_factory.mktemp("rsna") / "data"
    write_rsna_layout(folder, 2, 4, size=(60, 72, 64), spacing=(2.5, 1.6, 1.6), plain=True)
    return folder


def test_the_layout_of_rsna_2022_is_read_with_boxes_over_slices_made_one(rsna, tmp_path):
    data = RSNAData(rsna)
    broken, intact = (case.read() for case in rsna_cases(data))
    truths = json.loads((rsna / "simulated.json").read_text(encoding="utf-8"))
    assert broken.patient and not intact.patient and intact.boxes == () and any(broken.levels.values())
    assert len(data.read_boxes(next(iter(data.labels)), broken.study.volume)) > len(broken.boxes) > 0
    assert {marked.level for marked in broken.boxes} == {""} and set(broken.shares) == set(LEVEL_NAMES)
    assert truths and is_rsna(rsna) and not is_rsna(tmp_path)


def test_a_fractured_study_whose_boxes_nobody_marked_has_none_to_judge(rsna, tmp_path):
    copied = shutil.copytree(rsna, tmp_path / "data")
    (copied / "train_bounding_boxes.csv").unlink()
    broken, intact = (case.read() for case in rsna_cases(RSNAData(copied)))
    assert broken.boxes is None and intact.boxes == ()


def test_only_a_folder_that_says_so_is_told_as_simulated(rsna, tmp_path, monkeypatch):
    copied = shutil.copytree(rsna, tmp_path / "data")
    monkeypatch.setattr(evaluate, "evaluate_cases", lambda networks, cases, out, kind, **_: (kind, len(cases)))
    assert evaluate.evaluate_fractures(None, copied, tmp_path) == (evaluate.SIMULATED, 2)
    (copied / "simulated.json").unlink()
    assert evaluate.evaluate_fractures(None, copied, tmp_path) == (evaluate.PATIENTS, 2)


# --- the pipeline -----------------------------------------------------------------------------------


STRATA = {"tilt, pitch": "below 10 degrees"}


def of_phantom(fractured: bool) -> Known:
    """Seven blocks whose HU tells their level; a part of C5 is broken, or nothing."""
    volume, labels = phantom()
    fracture = np.where(labels == 5, labels, 0)
    fracture[:, :, ::2] = 0
    levels = {name: fractured and name == "C5" for name in LEVEL_NAMES}
    where = np.argwhere(fracture)
    box = Box(tuple(volume.to_points(where.min(0) - 0.5)), tuple(volume.to_points(where.max(0) + 0.5)))
    strata = {"C5": {"fracture kind": "burst"}} if fractured else {}
    return Known(
        Study(volume, StudyIdentity(source="phantom")), levels, fractured, (Marked(box, "C5"),) if fractured else (),
        STRATA, strata, labels, dict.fromkeys(LEVEL_NAMES, 1.0), fracture if fractured else None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def evaluated(models, tmp_path_factory):
    """Two cases, one broken and one intact, and how often each was read."""
    out, reads, networks = tmp_path_factory.mktemp("out"), [], knowing(models)

    def case(name: str, fractured: bool) -> Case:
        return Case(name, lambda: reads.append(name) or of_phantom(fractured))

    options = {"source": {"seed": 0, "anatomy": "blocks"}, "command": "neckfrac evaluate fractures --studies 2"}
    again = partial(evaluate_cases, networks, [case("a", True), case("b", False)], out, **options)
    return again(), out, reads, again


def test_an_evaluation_tells_figures_beside_baselines_and_no_nan(evaluated):
    result, out, _, _ = evaluated
    assert result == json.loads((out / RESULT).read_text(encoding="utf-8"))
    assert result["on"] == "simulated CT" and result["studies"] == 2 and result["fractured studies"] == 1
    assert set(result["members"]) == {"tiny-slices", "tiny-vertebrae"} and result["levels in view"] == 14
    for subject, count in (("levels", 14), ("patient", 2)):
        figures = result["ensemble"][subject]
        assert figures["n"] == count and figures["fractured"] == 1
        assert set(figures["operating points"]) == set(OPERATING_POINTS)
        assert figures["baselines"]["always positive"]["sensitivity"]["value"] == 1
        assert figures["baselines"]["constant majority"]["specificity"]["value"] in (0, 1)
    loss = result["ensemble"]["competition loss"]
    assert loss["0.5 throughout"] == pytest.approx(np.log(2)) and loss["best constant"] < np.log(2)
    assert result["cost"]["seconds"]["mean"] > 0 and result["strata"]["fracture kind"]["burst"]["fractured"] == 1
    assert {len(checksum) for checksum in result["bundles"].values()} == {64}


def test_the_worst_errors_are_pictured_and_no_others(evaluated):
    result, out, _, _ = evaluated
    assert result["errors"]
    wanted = {picture_name(error["case"], error["level"]) for error in result["errors"]}
    assert {path.name for path in (out / "pictures").iterdir()} == wanted
    page = (out / REPORT).read_text(encoding="utf-8")
    assert page.count("data:image/png;base64") == len(wanted) and "No picture was kept" not in page


def test_a_picture_shows_the_true_fracture_and_the_box_that_was_drawn(models):
    truth, networks = of_phantom(True), knowing(models)
    analysis, cost = run_road(truth, networks, Progress())
    picture = draw(truth, analysis, "C5")
    assert picture.dtype == np.uint8 and picture.shape[2] == 3 and cost["seconds"] > 0
    for color in (TRUE, ANSWERED):
        assert (picture == color).all(axis=2).sum() > 20
    assert not (draw(of_phantom(False), analysis, "C3") == TRUE).all(axis=2).any()


def test_a_case_with_a_record_is_not_run_again(evaluated):
    result, out, reads, again = evaluated
    assert reads == ["a", "b"]
    assert again() == result and reads == ["a", "b"]
    lines = (out / RECORDS).read_text(encoding="utf-8").splitlines(keepends=True)
    assert len(lines) == 3
    # Interrupted in the middle of a line: that case alone is run again.
    (out / RECORDS).write_text("".join(lines[:2]) + lines[2][:40], encoding="utf-8")
    assert again()["ensemble"] == result["ensemble"] and reads == ["a", "b", "b"]


def test_records_of_other_networks_or_of_nothing_known_are_refused(tmp_path):
    Records(tmp_path / "r.jsonl", {"bundles": {"x": "1"}}).add({"case": "a"})
    assert Records(tmp_path / "r.jsonl", {"bundles": {"x": "1"}}).has("a")
    with pytest.raises(InputError, match="another evaluation .bundles"):
        Records(tmp_path / "r.jsonl", {"bundles": {"x": "2"}})
    (tmp_path / "r.jsonl").write_text("hello\n")
    with pytest.raises(InputError, match="no records to go on from"):
        Records(tmp_path / "r.jsonl", {})


def test_the_report_says_its_limits_first_and_needs_nothing_beside_it(evaluated):
    _, out, _, _ = evaluated
    page = (out / REPORT).read_text(encoding="utf-8")
    assert page.index("All studies are simulated") < page.index("AUC</th>")
    assert "Research use only; not a medical device" in page and "how much less is not known" in page
    for words in ("Always positive", "Constant majority", "tiny-vertebrae", "Where it is better and worse", "<svg"):
        assert words in page
    assert not re.findall(r'(?:href|src)="(?!#|data:)[^"]*"', page) and "<script" not in page and "url(http" not in page
    assert "nan" not in re.sub(r"data:[^\"]*", "", page).lower().split()


def test_the_report_of_patients_does_not_speak_of_simulation(evaluated):
    result, out, _, _ = evaluated
    page = report({**result, "kind": "patients", "on": "patients' CT"}, out)
    assert "somebody chose and labelled" in page and "All studies are simulated" not in page


def test_improbable_levels_count_in_the_free_response_curve_with_the_box_that_they_would_get(evaluated):
    _, out, _, _ = evaluated
    records = [json.loads(line) for line in (out / RECORDS).read_text(encoding="utf-8").splitlines()[1:]]
    for one in records:
        told = [level for level, probability in one["probabilities"].items() if probability is not None]
        assert [box["level"] for box in one["boxes"]] == told


def test_grafts_into_a_given_ct_are_read_and_told_apart(broken, models, tmp_path):
    whole = tmp_path / "cases" / "graft"
    export_nrrd(broken, whole)
    truth = json.loads((whole / "truth.json").read_text(encoding="utf-8"))
    for key in ("scanner", "pose", "tissue"):
        truth.pop(key, None)  # of a given CT nobody knows them
    (whole / "truth.json").write_text(json.dumps({**truth, "source": SOURCE}), encoding="utf-8")
    result = evaluate.evaluate_fractures(knowing(models), tmp_path / "cases", tmp_path / "out")
    assert "grafted into given CT" in result["on"] and "kernel" not in result["strata"]
    page = (tmp_path / "out" / REPORT).read_text(encoding="utf-8")
    assert "seams of a graft" in page and "All studies are simulated" not in page


def test_the_box_of_a_vertebra_lies_around_its_voxels():
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[4:8, 5:10, 6:12] = 3
    volume = CTVolume(np.zeros((20, 20, 20), np.int16), np.diag([0.5, 1.0, 2.0, 1.0]))
    (marked,) = vertebra_boxes(Analysis(volume, labels, labels, None))
    assert marked.level == "C3" and marked.box.lower == (2.75, 4.5, 7.0) and marked.box.upper == (5.75, 9.5, 15.0)


# --- the summary --------------------------------------------------------------------------------


def made(case: str, broken: set[str], probabilities: dict[str, float | None]) -> dict:
    """A record without boxes: of the levels not told, probability 0.1."""
    levels = {**dict.fromkeys(LEVEL_NAMES, 0.1), **probabilities}
    return {
        "case": case, "truth": {name: name in broken for name in LEVEL_NAMES}, "patient truth": bool(broken),
        "probabilities": levels, "members": {"one": levels, "two": dict.fromkeys(LEVEL_NAMES, 0.1)},
        "patient probability": max(p or 0 for p in levels.values()), "patient members": {"one": 0.3}, "boxes": [],
        "true boxes": None, "vertebrae": [], "names certain": True, "spine": None, "strata": {}, "level strata": {},
        "shape": [2, 2, 2], "seconds": 1.0, "stages": {"Locating": 1.0}, "peak memory GiB": None,
    }  # fmt: skip


@pytest.fixture
def ensemble():
    thresholds = {point: dict.fromkeys((*LEVEL_NAMES, PATIENT), 0.5) for point in OPERATING_POINTS}
    return Ensemble({"one": Member(), "two": Member()}, {"levels": Member()}, thresholds, {})


def test_a_level_that_segmentation_missed_counts_as_a_miss(ensemble):
    records = [made("a", {"C2", "C5"}, {"C2": None, "C5": 0.9}), made("b", set(), {"C3": 0.8})]
    result = summarise(records, ensemble)
    point = result["ensemble"]["levels"]["operating points"]["balanced"]
    assert result["levels missed"] == {"fractured": 1, "intact": 0}
    assert point["sensitivity"]["value"] == 0.5 and point["specificity"]["value"] == pytest.approx(11 / 12)
    assert result["ensemble"]["by level"]["C2"]["auc"]["value"] == 0
    assert result["ensemble"]["boxes"] == {"studies": 0}
    assert [(kind, r["case"], level) for kind, r, level, _ in worst(records, ensemble.thresholds)] == [
        ("missed", "a", "C2"), ("false alarm", "b", "C3")]  # fmt: skip


def test_members_are_judged_alone(ensemble):
    records = [made("a", {"C2"}, {"C2": 0.9}), made("b", set(), {})]
    result = summarise(records, ensemble)
    assert result["members"]["one"]["levels"]["auc"]["value"] == 1
    assert result["members"]["two"]["levels"]["auc"]["value"] == 0.5
    together = result["ensemble"]["levels"]["auc"]["value"]
    assert result["members"]["two"]["lead of the ensemble"]["levels"]["value"] == together - 0.5
    assert result["members"]["two"]["levels"]["operating points"]["balanced"]["sensitivity"]["value"] == 0
    # One member has a patient head of its own, which says the same of both; the other's comes from its levels.
    assert result["members"]["one"]["patient"]["auc"]["value"] == 0.5


def test_calibration_is_judged_at_the_share_of_fractures_at_hand(ensemble):
    # A right answer for one level in a hundred: among these, where every other level is broken, it is moved there.
    few = replace(ensemble, prevalence=0.05)
    records = [made(f"a{n}", {"C1", "C3", "C5", "C7"}, {}) for n in range(4)]
    for r in records:
        r["probabilities"] = dict.fromkeys(LEVEL_NAMES, 0.05 * 1444 / 961 / 7)
    levels = summarise(records, few)["ensemble"]["levels"]
    assert levels["ece"] == pytest.approx(0, abs=1e-6) and levels["brier"] == pytest.approx(4 / 7 * 3 / 7)


# --- command and cards --------------------------------------------------------------------------


def run(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return (ended.value.code or 0, *capsys.readouterr())


def test_the_command_evaluates_a_folder_and_records_in_the_cards_of_the_members_alone(broken, tmp_path, capsys):
    models = write_models(tmp_path / "models")
    export_nrrd(broken, tmp_path / "data" / "one")
    options = ("--models", models, "--device", "cpu", "--threads", 1, "--quiet", "--record", "--out", tmp_path / "out")
    code, out, errors = run(capsys, "evaluate", "fractures", tmp_path / "data", *options)
    assert (code, errors) == (0, "")
    assert out.split() == [str(tmp_path / "out" / name) for name in (RESULT, REPORT)]
    card = (models / "tiny-vertebrae" / "docs" / "README.md").read_text(encoding="utf-8")
    assert card.index("## Limits") < card.index("## Intended use") < card.index("## Measured") < card.index("## CLAIM")
    assert "Single levels, this network alone" in card and "always positive" in card and "simulated CT" in card
    assert not load_bundle(models / "tiny-segment").metadata["eval_metrics"]
    code, _, errors = run(capsys, "evaluate", "fractures", tmp_path / "models", *options)
    assert code == 2 and "no study whose fractures are known" in errors


def test_figures_are_not_recorded_for_other_weights(evaluated, tmp_path):
    result = evaluated[0]
    others = Networks(write_models(tmp_path / "others", seed=5), "cpu", 1)
    with pytest.raises(InputError, match="Other weights"):
        record_fractures(others, result)
    told = in_words(result, "tiny-slices")
    assert "of 14 fractured" in told["Single levels, the ensemble"] and "best constant" in told[list(told)[7]]


def test_simulated_studies_are_evaluated_from_their_seed(networks, tmp_path, monkeypatch):
    monkeypatch.setattr(cases, "_person", lambda number, seed, anatomy: make_toy_neck())
    small = {**simulated_cases.__kwdefaults__, "shape": SHAPE, "spacing": SPACING}
    monkeypatch.setattr(simulated_cases, "__kwdefaults__", small)
    result = evaluate_simulated_fractures(networks, 2, tmp_path, seed=3, readers=1)
    assert result["command"].endswith("--studies 2 --seed 3") and result["anatomy"] == "built-in necks"
    assert result["studies"] == 2 and {r["case"] for r in Records(tmp_path / RECORDS, {}).records} == {
        "simulated-3-00000", "simulated-3-00001"}  # fmt: skip
