"""The contract of findings.json: what is written, and that what earlier versions wrote still opens.

``stored/findings-1.6.json`` and ``stored/scene-1.6.mrb`` were written by the last version of schema 1 and are never
written again.
"""

import json
import shutil
from pathlib import Path

import pytest
from neckfrac.findings import CONFIRMED, SCHEMA_VERSION, Findings, is_readable
from neckfrac.marks import is_result, written_files
from neckfrac.output.tables import read_json, write_json
from neckfrac.study_warning import GIVEN, NOT_CODED, StudyWarning
from output_case import UNCERTAIN

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
