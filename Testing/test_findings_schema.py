"""The contract of findings.json: what is written, and that what earlier versions wrote still opens.

``stored/findings-1.6.json`` and ``stored/scene-1.6.mrb`` were written by the last version of schema 1 and are never
written again.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import neckfrac
import pytest
from json_schema_checker import faults
from measurement_case import measured_analysis
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.findings import (
    CONFIRMED,
    SCHEMA_VERSION,
    SEVERITIES,
    STATUSES,
    Box,
    Explanation,
    Findings,
    Review,
    StudyIdentity,
    VertebraFinding,
    is_readable,
)
from neckfrac.intake.study import Study
from neckfrac.marks import is_result, written_files
from neckfrac.measurement import UNITS
from neckfrac.options import EXPLANATIONS, OPERATING_POINTS, AnalysisOptions
from neckfrac.output.tables import read_json, write_json
from neckfrac.progress import Progress
from neckfrac.provenance import Provenance
from neckfrac.study_warning import GIVEN, NOT_CODED, StudyWarning
from neckfrac_lab.stand_in_engine import StandInEngine
from output_case import UNCERTAIN, make_analysis, reviewable, with_naming
from pipeline_phantom import knowing, phantom

SCHEMA_FILE = Path(neckfrac.__file__).with_name("findings.schema.json")
SCHEMA = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
STORED = Path(__file__).parent / "stored"
OLD, OLD_SCENE = STORED / "findings-1.6.json", STORED / "scene-1.6.mrb"


def test_stored_findings_of_schema_one_are_read_whole():
    content = json.loads(OLD.read_text(encoding="utf-8"))
    assert content["schema"] == "1.6" and all(isinstance(warning, str) for warning in content["warnings"])
    findings = read_json(OLD)
    assert [level.probability for level in findings.levels] == [level["probability"] for level in content["levels"]]
    assert findings.naming == UNCERTAIN and findings.review_of("C2").verdict == CONFIRMED
    assert len(findings.measurements) == len(content["measurements"]) == 6
    assert findings.at("specific").positive != findings.positive
    assert [str(warning) for warning in findings.warnings] == content["warnings"]


def test_warnings_of_schema_one_get_the_codes_that_decide_something_and_the_rest_none():
    findings = read_json(OLD)
    assert [warning.code for warning in findings.warnings] == [NOT_CODED, "names-uncertain", GIVEN.code, NOT_CODED]
    assert UNCERTAIN.sentence() not in map(str, findings.further_warnings) and GIVEN in findings.further_warnings


def test_what_was_read_of_schema_one_is_written_as_it_is_now(tmp_path):
    findings = read_json(OLD)
    write_json(findings, tmp_path / "findings.json")
    content = json.loads((tmp_path / "findings.json").read_text(encoding="utf-8"))
    assert content["schema"] == SCHEMA_VERSION and read_json(tmp_path / "findings.json") == findings
    assert content["warnings"][3] == {"code": NOT_CODED, "text": "Not seen, so nothing is said of: C7.", "data": {}}


def test_a_result_of_schema_one_without_a_mark_is_known_as_ours(tmp_path):
    shutil.copy(OLD, tmp_path / "findings.json")
    assert is_result(tmp_path) and "findings.json" in written_files(tmp_path, ["findings.json"])
    content = json.loads(OLD.read_text(encoding="utf-8"))
    for change in ({"schema": "3.0"}, {"schema": None}, {"software": "Another program"}):
        (tmp_path / "findings.json").write_text(json.dumps(content | change), encoding="utf-8")
        assert not is_result(tmp_path)


def test_a_stored_scene_of_schema_one_opens(tmp_path):
    pytest.importorskip("slicer", reason="needs MRML")
    from neckfrac.output.result import findings_in, result_of
    from neckfrac.output.scene_file import read_scene

    read = read_scene(OLD_SCENE, tmp_path / "unpacked")
    try:
        volume = read.scene.GetFirstNodeByName("CT")
        assert findings_in(result_of(read.scene, volume)) == read_json(OLD)
    finally:
        read.close()


@pytest.mark.parametrize(
    ("schema", "read"), [("1.0", True), ("1.6", True), ("2.0", True), ("2.7", True), ("3.0", False)]
)
def test_findings_are_read_by_their_major_version(schema, read):
    assert is_readable(schema) is read


@pytest.mark.parametrize("schema", ["", None, 2.0, "two", "12.0"])
def test_what_is_no_schema_is_not_read(schema):
    with pytest.raises(ValueError, match="schema"):
        Findings.from_dict(json.loads(OLD.read_text(encoding="utf-8")) | {"schema": schema})


def test_a_code_of_a_later_version_is_read():
    content = read_json(OLD).to_dict()
    later = {"code": "arteries-calcified", "text": "Something new.", "data": {"levels": ["C4"]}}
    findings = Findings.from_dict(content | {"schema": "2.9", "warnings": [later]})
    assert findings.warnings == (StudyWarning("arteries-calcified", "Something new.", {"levels": ["C4"]}),)


# --- the JSON Schema ----------------------------------------------------------------------------


def schema_faults(content):
    """By the small checker, and by `jsonschema` where it is installed; both must say the same."""
    found = faults(content, SCHEMA)
    try:
        from jsonschema import Draft202012Validator
    except ImportError:
        return found
    Draft202012Validator.check_schema(SCHEMA)
    assert bool(list(Draft202012Validator(SCHEMA).iter_errors(content))) == bool(found), found
    return found


def as_stored(findings):
    return json.loads(json.dumps(findings.to_dict(), allow_nan=False))


@pytest.mark.parametrize("findings", [
    make_analysis().findings, make_analysis(empty=True).findings, reviewable().findings.at("specific"),
    measured_analysis().findings, with_naming(make_analysis(), UNCERTAIN).findings,
    replace(make_analysis().findings, explanation=Explanation("grad-cam", "model-a"), prevalence=0.05),
    make_analysis().findings.reviewed("C7", Review("C7", "added", "faint", Box((0, 0, 0), (1, 2.5, 3)))),
    read_json(OLD),
])  # fmt: skip
def test_what_is_written_fulfils_the_schema(findings):
    assert schema_faults(as_stored(findings)) == []


def test_what_the_pipeline_and_its_stand_in_give_fulfils_the_schema(models):
    engine = knowing(models)
    study = Study(phantom()[0], StudyIdentity("case", "NIfTI"))
    for result in (
        engine.analyze(study),
        engine.analyze(study, AnalysisOptions("sensitive", explain="grad-cam")),
        engine.analyze(study, labels=phantom()[1]),
        StandInEngine().analyze(study, progress=Progress()),
    ):
        content = as_stored(result.findings)
        assert schema_faults(content) == [] and Findings.from_dict(content) == result.findings


def test_the_schema_names_every_field_and_the_values_that_there_are():
    content, defs = as_stored(read_json(OLD)), SCHEMA["$defs"]
    assert set(content) == set(SCHEMA["properties"]) == set(SCHEMA["required"])
    for key, name in (("levels", "level"), ("models", "model"), ("warnings", "warning"), ("reviews", "review")):
        assert set(content[key][0]) == set(defs[name]["properties"]) == set(defs[name]["required"])
    assert defs["status"]["enum"] == sorted(STATUSES, key=["positive", "negative", "not seen"].index)
    assert defs["level_name"]["enum"] == list(LEVEL_NAMES)
    assert defs["measurement"]["properties"]["unit"]["enum"] == list(UNITS)
    assert defs["model"]["properties"]["provenance"]["enum"] == list(Provenance)
    assert SCHEMA["properties"]["explanation"]["properties"]["method"]["enum"] == list(EXPLANATIONS)
    assert SCHEMA["properties"]["operating_point"]["enum"] == list(OPERATING_POINTS)
    assert [one for one in defs["level"]["properties"]["severity"]["enum"] if one] == list(SEVERITIES)


@pytest.mark.parametrize(("place", "wrong"), [
    (("levels", 1, "probability"), 1.2), (("levels", 1, "probability"), None), (("levels", 6, "probability"), 0.3),
    (("levels", 1, "status"), "maybe"), (("levels", 0, "severity"), "low"), (("levels", 1, "box", "lower"), [1.0, 2.0]),
    (("levels", 1, "level"), "T1"), (("patient_threshold",), "0.5"), (("warnings", 0), "a sentence"),
    (("warnings", 0, "code"), "Not A Code"), (("models", 0, "provenance"), "whales"), (("schema",), "1.6"),
    (("explanation",), "Grad-CAM of model-a"), (("levels", 1, "members"), {"a": -0.1}),
])  # fmt: skip
def test_what_can_not_be_is_refused_by_schema_and_reader(place, wrong):
    content = as_stored(make_analysis().findings)
    part = content
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = wrong
    assert schema_faults(content)
    if place not in (("schema",), ("models", 0, "provenance")):  # read as 1.6; a later version's word is "unknown"
        with pytest.raises((ValueError, TypeError)):
            Findings.from_dict(content)


def test_the_checker_refuses_keywords_that_it_does_not_know():
    with pytest.raises(ValueError, match="multipleOf"):
        faults(1, {"multipleOf": 2})


# --- findings cannot be built wrong -------------------------------------------------------------

LEVEL = VertebraFinding("C4", "positive", 0.7, {"a": 0.7}, 0.5, "low", share_in_view=1.0)


@pytest.mark.parametrize("change", [
    {"level": "T1"}, {"status": "maybe"}, {"probability": 1.01}, {"probability": float("nan")}, {"probability": None},
    {"probability": "0.7"}, {"probability": True}, {"members": {"a": -0.1}}, {"threshold": 2}, {"severity": "huge"},
    {"share_in_view": 1.5}, {"center": (1.0, 2.0)}, {"center": (1.0, 2.0, float("inf"))}, {"status": "not seen"},
    {"status": "negative"},
])  # fmt: skip
def test_a_level_that_can_not_be_is_refused(change):
    with pytest.raises(ValueError, match=r"C4|level"):
        replace(LEVEL, **change)


@pytest.mark.parametrize(("lower", "upper"), [
    ((1.0, 0.0, 0.0), (0.0, 1.0, 1.0)), ((0.0, 0.0, float("nan")), (1.0, 1.0, 1.0)), ((0.0, 0.0), (1.0, 1.0)),
    ((0.0, 0.0, 0.0), (1.0, 1.0, float("inf"))), (("a", 0, 0), (1, 1, 1)),
])  # fmt: skip
def test_a_box_that_can_not_be_is_refused(lower, upper):
    with pytest.raises(ValueError, match="corner"):
        Box(lower, upper)


@pytest.mark.parametrize("change", [
    {"patient_status": "maybe"}, {"patient_probability": -0.1}, {"patient_threshold": None}, {"prevalence": 5},
    {"patient_members": {"a": 2}}, {"thresholds": {"balanced": {"C1": 7}}}, {"warnings": ("a sentence",)},
    {"levels": (LEVEL, LEVEL)}, {"levels": (LEVEL, replace(LEVEL, level="C2"))}, {"patient_status": "negative"},
    {"reviews": (Review("C4", "rejected"), Review("C2", "rejected"))}, {"models": ("model-a",)},
])  # fmt: skip
def test_findings_that_can_not_be_are_refused(change):
    with pytest.raises(ValueError, match=r"\w"):
        replace(make_analysis().findings, **change)


@pytest.mark.parametrize(("method", "member"), [("x-ray", "a"), ("grad-cam", "")])
def test_an_explanation_that_can_not_be_is_refused(method, member):
    with pytest.raises(ValueError, match=r"heat map|no|none"):
        Explanation(method, member)
