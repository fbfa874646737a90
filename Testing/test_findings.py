"""Findings as they travel: to JSON and back, and what they may hold."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from neckfrac import DISCLAIMER, __version__
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.findings import (
    ADDED,
    CONFIRMED,
    NOT_SEEN,
    POSITIVE,
    REJECTED,
    SCHEMA_VERSION,
    SEVERITIES,
    Box,
    Findings,
    Naming,
    Review,
    StudyIdentity,
    VertebraFinding,
    severity,
)
from neckfrac.formatting import as_figure, on_scale
from neckfrac.provenance import Provenance
from output_case import UNCERTAIN, as_written_by_1, make_analysis, with_naming

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


def uncertain(given, *alternatives):
    return Naming(False, given, alternatives, 0.5, "Neither end is in view.")


def test_uncertain_names_go_through_json_and_come_back_equal():
    findings = with_naming(make_analysis(), UNCERTAIN).findings
    content = json.loads(json.dumps(findings.to_dict(), allow_nan=False))
    assert Findings.from_dict(content) == findings and content["naming"]["alternatives"] == ["C2–C7"]


def test_findings_of_schema_one_point_zero_are_read_with_certain_names():
    findings = replace(make_analysis().findings, warnings=())
    content = as_written_by_1(findings, "1.0")
    del content["naming"]
    assert Findings.from_dict(content) == findings
    assert Findings.from_dict(content).naming.certain


@pytest.mark.parametrize(
    ("naming", "expected"),
    [
        (uncertain("C3–C5", "C4–C6"), {"C3": ("C4",), "C4": ("C5",), "C5": ("C6",)}),
        (uncertain("C3-C5", "C4-C6"), {"C3": ("C4",), "C4": ("C5",), "C5": ("C6",)}),
        (uncertain("C3–C4", "C4–C5", "C2–C3"), {"C3": ("C4", "C2"), "C4": ("C5", "C3")}),
        (uncertain("C4", "C5", "C3"), {"C4": ("C5", "C3")}),
        (uncertain("C6–C7", "C7"), {"C6": ("C7",), "C7": ("T1",), "T1": ("T2",)}),  # the rest is thoracic then
        (uncertain("C6–C7", "C5–C7"), {"C6": ("C5",), "C7": ("C6",), "T1": ("C7",)}),
        (uncertain("C6–C7", ""), {}),
        (uncertain("", "C7"), {}),
        (uncertain("C3–C5"), {}),
        (uncertain("C5–C3", "C4–C6"), {}),
        (uncertain("all", "C4–C6"), {}),
        (uncertain("C3–C5", "C3–C5", "x", "C4–C6", "C4–C5"), {"C3": ("C4",), "C4": ("C5",), "C5": ("C6",)}),
        (Naming(True, "C3–C5", ("C4–C6",)), {}),
        (Naming(), {}),
    ],
)
def test_each_level_of_a_chain_shifts_as_the_chain_does(naming, expected):
    found = {name: naming.alternatives_of(name) for name in (*LEVEL_NAMES, "T1", "Skull base", "")}
    assert {name: others for name, others in found.items() if others} == expected


@given(st.integers(1, 7), st.integers(0, 6), st.integers(-6, 6))
def test_the_alternatives_of_a_chain_s_levels_are_the_levels_of_the_alternative(first, length, shift):
    last = min(first + length, 7)
    moved = [n + shift for n in range(first, last + 1)]
    if moved[0] < 1 or moved[-1] > 7 or shift == 0:
        return
    naming = uncertain(f"C{first}–C{last}", f"C{moved[0]}–C{moved[-1]}")
    assert [naming.alternatives_of(f"C{n}") for n in range(first, last + 1)] == [(f"C{n}",) for n in moved]


def test_a_reader_is_told_every_reading_and_nothing_when_names_are_certain():
    naming = uncertain("C3-C5", "C4–C6", "C2–C4")
    assert naming.sentence() == ("The levels' names are uncertain: C3–C5 or C4–C6 or C2–C4. Neither end is in view.")
    assert naming.either("C3") == "C3 or C4 or C2" and naming.either("C7") == "C7"
    assert Naming(True, "C3–C5", ("C4–C6",)).sentence() == Naming().sentence() == ""
    assert Naming(False, reason="Nothing hangs together.").sentence() == "", "nothing was named"
    assert "no cervical level or C6–C7" in uncertain("", "C6–C7").sentence()


def test_levels_in_a_row_are_told_with_what_else_they_could_be():
    findings = make_analysis().findings
    assert findings.levels_in_words(findings.positive) == "C2, C4"
    findings = with_naming(make_analysis(), UNCERTAIN).findings
    assert findings.levels_in_words(findings.positive) == "C2 or C3; C4 or C5"


@given(st.floats(0.02, 0.98), st.floats(0.02, 0.98), st.floats(0.2, 5.0))
def test_severity_is_the_same_whatever_the_prevalence_that_probabilities_are_given_for(p, threshold, times):
    def moved(value):
        return value * times / (value * times + 1 - value)

    odds = p * (1 - threshold) / ((1 - p) * threshold)
    assume(min(abs(odds / step - 1) for step in (1.0, 4.0, 16.0)) > 1e-6)
    assert severity(p, threshold) == severity(moved(p), moved(threshold))


def test_a_probability_is_told_in_two_digits_that_count():
    told = {None: "", 0.874: "0.87", 0.1: "0.10", 0.0996: "0.10", 0.034: "0.034", 0.0042: "0.0042", 1e-5: "<0.001"}
    assert {value: as_figure(value) for value in told} == told
    assert as_figure(1.0) == "1.00"


@given(st.floats(0, 1), st.floats(0, 1))
def test_bars_keep_the_order_of_probabilities_and_stay_in_their_frame(one, other):
    low, high = sorted((one, other))
    assert 0 <= on_scale(low) <= on_scale(high) <= 1
    assert on_scale(0.5) == 0.5 and on_scale(0.02) - on_scale(0.01) > 0.04


def with_thresholds():
    """The case with three operating points: at 0.05 more is called, at 0.7 only C2."""
    findings = make_analysis().findings
    levels = [replace(one, region=one.box or BOX) if one.probability is not None else one for one in findings.levels]
    thresholds = {p: dict.fromkeys((*LEVEL_NAMES, "patient"), t) for p, t in POINTS.items()}
    return replace(findings, levels=tuple(levels), patient_threshold=POINTS["balanced"], thresholds=thresholds)


BOX = Box((0.0, 0.0, 0.0), (6.0, 6.0, 6.0))
POINTS = {"sensitive": 0.1, "balanced": 0.5, "specific": 0.7}


@given(st.lists(st.sampled_from(sorted(POINTS)), max_size=5), st.sampled_from(sorted(POINTS)))
def test_moving_between_operating_points_in_any_order_ends_the_same(way, last):
    findings = with_thresholds()
    for point in way:
        findings = findings.at(point)
    assert findings.at(last) == with_thresholds().at(last)
    for level in findings.at(last).levels:
        called = level.probability is not None and level.probability >= POINTS[last]
        assert (level.status == POSITIVE) == called == (level.box is not None) == (level.severity is not None)


def test_an_operating_point_whose_thresholds_are_not_known_is_refused():
    with pytest.raises(ValueError, match="specific"):
        make_analysis().findings.at("specific")


def test_reviews_travel_with_the_findings_and_leave_what_the_networks_said():
    findings = with_thresholds()
    reviewed = findings.reviewed("C5", Review("C5", ADDED, "seen on MRI", BOX)).reviewed("C2", Review("C2", REJECTED))
    assert [review.level for review in reviewed.reviews] == ["C2", "C5"] and reviewed.levels == findings.levels
    assert Findings.from_dict(json.loads(json.dumps(reviewed.to_dict()))) == reviewed
    assert reviewed.reviewed("C2", None).review_of("C2") is None
    assert reviewed.reviewed("C5", Review("C5", CONFIRMED)).review_of("C5").verdict == CONFIRMED


@pytest.mark.parametrize(("level", "verdict"), [("C9", CONFIRMED), ("C2", "perhaps")])
def test_a_review_of_no_level_or_without_a_verdict_is_refused(level, verdict):
    with pytest.raises(ValueError, match="no review"):
        Review(level, verdict)


def test_findings_that_were_written_before_reviews_are_read():
    findings = replace(make_analysis().findings, warnings=())
    content = as_written_by_1(findings, "1.2")
    for key in ("reviews", "thresholds"):
        del content[key]
    for level in content["levels"]:
        del level["region"]
    assert Findings.from_dict(content) == findings


def test_what_the_networks_were_trained_on_is_told_as_it_is():
    findings = make_analysis().findings
    assert "simulated CT only; no patient" in findings.training_in_words()
    other = replace(findings.models[0], trained_on="simulated CT, and 12 patients of RSNA 2022",
                    provenance=Provenance.MIXED)  # fmt: skip
    told = replace(findings, models=(*findings.models, other)).training_in_words()
    assert "12 patients" in told and "no patient with a fracture" not in told
    assert "not known" in replace(findings, models=()).training_in_words()


def test_readers_boxes_take_the_place_of_the_networks_ones():
    findings = with_thresholds()
    reviewed = findings.reviewed("C2", Review("C2", REJECTED)).reviewed("C7", Review("C7", ADDED, "", BOX))
    reviewed = reviewed.reviewed("C3", Review("C3", CONFIRMED, "faint"))
    assert set(findings.boxes()) == {"C2", "C4"} and set(reviewed.boxes()) == {"C3", "C4", "C7"}
    assert reviewed.boxes()["C7"] == BOX and reviewed.boxes()["C3"] == findings.level("C3").region
    assert [level.level for level in reviewed.shown()] == ["C2", "C3", "C4", "C7"]
    assert reviewed.review_in_words("C3") == "confirmed: faint" and reviewed.review_in_words("C5") == ""


THRESHOLDS = {"sensitive": {"C5": 0.01}, "balanced": {"C5": 0.04}, "specific": {"C5": 0.1}}


@pytest.mark.parametrize(
    "share, point, probability, status, told",
    [
        (0.8, "sensitive", 0.02, "negative", "cut"),
        (0.8, "sensitive", 0.05, "positive", "positive"),
        (0.8, "balanced", 0.02, "negative", "cut"),
        (0.8, "specific", 0.05, "negative", "cut"),
        (1.0, "sensitive", 0.02, "positive", "positive"),
        (1.0, "balanced", 0.02, "negative", "negative"),
    ],
)
def test_a_level_that_the_scan_cuts_is_called_by_no_less_than_at_the_balanced_point(
    share, point, probability, status, told
):
    level = VertebraFinding("C5", "negative", probability, share_in_view=share)
    level = level.at(level.threshold_at(THRESHOLDS, point))
    assert (level.status, level.verdict) == (status, told)


def test_a_level_that_was_not_seen_is_not_cut():
    assert VertebraFinding("C5", "not seen").verdict == "not seen" and not VertebraFinding("C5", "not seen").is_cut


def called_by_a_level(patient, threshold=0.5, positive=("C4",)):
    levels = [VertebraFinding(name, "negative", 0.1, threshold=0.3, share_in_view=1.0) for name in LEVEL_NAMES]
    levels = tuple(replace(level, status="positive") if level.level in positive else level for level in levels)
    return Findings(StudyIdentity(), levels, "positive", patient, {}, threshold, "balanced")


def test_a_patient_who_is_positive_below_the_threshold_because_of_a_level_has_a_note_that_says_so():
    note = called_by_a_level(0.31).note_on_call()
    assert note == (
        "The patient is called positive because C4 is: the patient probability alone, 0.31, lies below its threshold "
        "of 0.50."
    )
    assert "C4, C6 are" in called_by_a_level(0.31, positive=("C4", "C6")).note_on_call()
    assert "0.4998, lies below its threshold of 0.5000" in called_by_a_level(0.4998).note_on_call()
    uncertain = replace(called_by_a_level(0.31), naming=Naming(False, "C3–C5", ("C4–C6",), 0.6))
    assert "because C4 or C5 is" in uncertain.note_on_call()


def test_a_patient_whose_probability_says_the_same_as_the_call_has_no_note():
    assert called_by_a_level(0.5).note_on_call() == ""
    assert replace(called_by_a_level(0.31, positive=()), patient_status="negative").note_on_call() == ""
    assert replace(called_by_a_level(0.31), patient_probability=None).note_on_call() == ""


def test_the_note_is_written_with_the_findings_and_read_past():
    findings = called_by_a_level(0.31)
    content = json.loads(json.dumps(findings.to_dict()))
    assert content["note_on_call"] == findings.note_on_call() and Findings.from_dict(content) == findings
    older = as_written_by_1(replace(findings, warnings=()), "1.3")
    del older["note_on_call"]
    assert Findings.from_dict(older) == replace(findings, warnings=())


def test_another_review_of_a_level_takes_the_stamp_off_the_whole():
    stamped = replace(make_analysis().findings, review_completed="2026-03-01T10:20:30+00:00")
    assert Findings.from_dict(stamped.to_dict()) == stamped
    assert "2026-03-01 10:20:30" in stamped.review_state_in_words()
    changed = stamped.reviewed("C4", Review("C4", "confirmed"))
    assert changed.review_completed == "" and changed.review_state_in_words().startswith("No reader")
    older = {key: value for key, value in as_written_by_1(stamped, "1.5").items() if key != "review_completed"}
    assert Findings.from_dict(older).review_completed == ""
