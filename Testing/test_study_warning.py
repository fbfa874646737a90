"""A warning is a code with its figures for programs and a sentence for people; nobody reads the sentence for data."""

import ast
import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from neckfrac import study_warning
from neckfrac.study_warning import CODES, NOT_CODED, StudyWarning
from neckfrac_lab import warning_codes

ENGINE = Path(__file__).parents[1] / "NeckFracExtension"


def code_of(node, constants):
    """The code that a call names: a literal, or a constant of `study_warning`; None for any other expression."""
    if isinstance(node, ast.Constant):
        return node.value
    return constants.get(node.id) if isinstance(node, ast.Name) else None


def used_codes(folder):
    """(code, file:line) of each warning that the sources make."""
    constants = {name: value for name, value in vars(study_warning).items() if name.isupper()}
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in ("StudyWarning", "warn"):
                yield code_of(node.args[0], constants), f"{file.relative_to(folder)}:{node.lineno}"


def test_every_code_that_is_used_is_in_the_table_and_every_code_of_the_table_is_used():
    used = list(used_codes(ENGINE / "neckfrac"))
    assert [place for code, place in used if code not in CODES and place.rpartition(":")[0] != "progress.py"] == []
    assert {*CODES} - {code for code, _ in used} == set()


def test_the_laboratorys_codes_are_in_a_table_of_its_own():
    used = list(used_codes(ENGINE / "neckfrac_lab"))
    assert [place for code, place in used if code not in warning_codes.CODES | dict(CODES)] == []
    assert {*warning_codes.CODES} - {code for code, _ in used} == set() == {*warning_codes.CODES} & {*CODES}


def test_a_code_that_is_no_constant_is_seen(tmp_path):
    (tmp_path / "new.py").write_text('progress.warn(f"{x}-missing", "text")\nStudyWarning("unknown", "text")\n')
    assert [code for code, _ in used_codes(tmp_path)] == [None, "unknown"]


def test_codes_are_written_alike_and_each_has_a_meaning():
    for code, meaning in [*CODES.items(), *warning_codes.CODES.items()]:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code) and meaning.endswith(".") and meaning[0].isupper()


def test_a_warning_is_shown_as_its_sentence():
    warning = StudyWarning("spacing-thick", "The slices are 4.0 mm apart.", {"spacing_mm": 4.0})
    assert str(warning) == f"{warning}" == "The slices are 4.0 mm apart."


def test_figures_of_any_kind_are_held_as_json_can_hold_them():
    data = {"a": np.float32(1.5), "b": np.int64(2), "c": (1, np.bool_(True)), "d": float("nan"), "e": Path("x")}
    warning = StudyWarning("scan-short", "text", data | {"f": None})
    assert warning.data == {"a": 1.5, "b": 2, "c": [1, True], "d": None, "e": "x", "f": None}
    assert StudyWarning.from_dict(json.loads(json.dumps(asdict(warning), allow_nan=False))) == warning


def test_warnings_can_be_told_apart_and_counted_once():
    one, other = StudyWarning("scan-short", "text", {"a": [1]}), StudyWarning("scan-short", "text", {"a": [2]})
    assert len({one, StudyWarning("scan-short", "text", {"a": [1]}), other}) == 2


@pytest.mark.parametrize("code", ["", "The slices", "thick_slices", "-a", "a-", "a--b", None, 3])
def test_what_is_no_code_is_refused(code):
    with pytest.raises(ValueError, match="code"):
        StudyWarning(code, "text")


def test_a_warning_that_says_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing"):
        StudyWarning(NOT_CODED, "")


@pytest.mark.parametrize("content", ["a sentence", {"code": "a"}, None, {"code": "a", "text": "b", "data": 3}])
def test_what_is_no_stored_warning_is_refused(content):
    with pytest.raises(ValueError, match="warning"):
        StudyWarning.from_dict(content)


def test_the_documentation_has_the_table_of_codes():
    page = (ENGINE.parent / "docs" / "findings.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", page, re.MULTILINE)) == dict(CODES)
