"""Findings as they travel: to JSON and back, and what they may hold."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from neckfrac import DISCLAIMER, __version__
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.findings import NOT_SEEN, POSITIVE, SCHEMA_VERSION, SEVERITIES, Box, Findings, severity
from output_case import make_analysis

probability = st.floats(0, 1)


@pytest.mark.parametrize("empty", [False, True])
def test_findings_go_through_json_and_come_back_equal(empty):
    findings = make_analysis(empty=empty).findings
    text = json.dumps(findings.to_dict(), allow_nan=False)
    assert Findings.from_dict(json.loads(text)) == findings


def test_the_record_says_its_schema_the_software_and_that_it_is_for_research():
    content = make_analysis().findings.to_dict()
    assert content["schema"] == SCHEMA_VERSION
    assert content["software"] == f"NeckFrac {__version__}"
    assert content["disclaimer"] == DISCLAIMER and "not a medical device" in DISCLAIMER


def test_reading_leaves_the_record_as_it_was():
    content = make_analysis().findings.to_dict()
    before = json.dumps(content)
    Findings.from_dict(content)
    assert json.dumps(content) == before


def test_a_later_minor_version_is_read_and_another_major_one_refused():
    content = json.loads(json.dumps(make_analysis().findings.to_dict()))
    major = SCHEMA_VERSION.split(".")[0]
    assert Findings.from_dict(content | {"schema": f"{major}.9"}) == make_analysis().findings
    for schema in (f"{int(major) + 1}.0", "", None):
        with pytest.raises(ValueError, match="schema"):
            Findings.from_dict(content | {"schema": schema})


def test_the_positive_levels_are_those_called_so_in_order():
    findings = make_analysis().findings
    assert [level.level for level in findings.levels] == list(LEVEL_NAMES)
    assert [level.level for level in findings.positive] == ["C2", "C4"]
    assert all(level.status == POSITIVE for level in findings.positive)


def test_nothing_is_said_of_a_level_that_was_not_seen():
    level = make_analysis().findings.levels[6]
    assert level.status == NOT_SEEN
    assert level.probability is level.threshold is level.severity is level.box is level.center is None
    assert level.members == {} and level.share_in_view == 0.0


@given(probability, st.floats(0, 0.999))
def test_severity_is_given_from_the_threshold_on_and_only_then(p, threshold):
    assert (severity(p, threshold) is None) == (p < threshold)


@given(probability, probability, st.floats(0, 0.999))
def test_severity_never_falls_as_the_probability_rises(one, other, threshold):
    low, high = sorted((one, other))
    order = (None, *SEVERITIES)
    assert order.index(severity(low, threshold)) <= order.index(severity(high, threshold))


def test_certainty_is_high_even_at_a_threshold_of_one():
    assert severity(1.0, 1.0) == "high" and severity(0.99, 1.0) is None


def test_a_box_knows_its_middle_and_size():
    box = Box((-4.0, 2.0, 10.0), (6.0, 8.0, 11.0))
    assert np.array_equal(box.center, (1, 5, 10.5)) and np.array_equal(box.size, (10, 6, 1))
