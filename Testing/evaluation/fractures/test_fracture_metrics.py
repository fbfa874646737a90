"""Figures of fracture detection against hand-worked examples, brute force and what must hold of any answer."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neckfrac.findings import Box
from neckfrac_lab.evaluation.fractures.boxes import (
    Judged,
    Marked,
    at_operating_point,
    froc,
    froc_intervals,
    judge,
    overlap,
)
from neckfrac_lab.evaluation.fractures.metrics import (
    best_constant,
    calls,
    competition_loss,
    ece,
    figures,
    lead,
    patient_draws,
    predictive_values,
    ranking,
    reliability,
    roc_curve,
    weighted_auc,
    weighted_sensitivity_at,
)
from neckfrac_lab.evaluation.metrics import auc

answers = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=30)


def once(n: int) -> np.ndarray:
    return np.ones((1, n), np.float32)


def brute_auc(scores, truths, weights) -> float:
    right = total = 0.0
    for s, w in zip(scores[truths], weights[truths], strict=True):
        for other, v in zip(scores[~truths], weights[~truths], strict=True):
            right += w * v * ((s > other) + 0.5 * (s == other))
            total += w * v
    return right / total if total else math.nan


# --- ranking ------------------------------------------------------------------------------------


@given(answers)
@settings(max_examples=60)
def test_auc_counts_pairs_in_order_with_ties_as_halves(rows):
    scores, truths = np.array([s for s, _ in rows]) / 6, np.array([t for _, t in rows])
    weights = np.random.default_rng(len(rows)).integers(0, 4, (3, len(rows))).astype(np.float32)
    found = weighted_auc(scores, truths, np.concatenate([once(len(rows)), weights]))
    expected = [brute_auc(scores, truths, w) for w in [np.ones(len(rows)), *weights]]
    assert found == pytest.approx(expected, nan_ok=True)
    by_monai = auc(scores, truths)
    assert (by_monai is None) == math.isnan(found[0])
    assert by_monai is None or by_monai == pytest.approx(found[0])


@given(answers)
@settings(max_examples=40)
def test_turning_the_scores_around_turns_the_auc_around(rows):
    scores, truths = np.array([s for s, _ in rows]) / 6, np.array([t for _, t in rows])
    there = weighted_auc(scores, truths, once(len(rows)))[0]
    back = weighted_auc(1 - scores, truths, once(len(rows)))[0]
    assert there + back == pytest.approx(1) or (math.isnan(there) and math.isnan(back))


def test_sensitivity_at_a_specificity_takes_the_best_threshold_that_keeps_it():
    truths = np.array([True] * 4 + [False] * 10)
    scores = np.array([0.9, 0.8, 0.5, 0.1, 0.85, *np.linspace(0.2, 0.4, 9)])
    # One of ten intact ones may be called at 90 %: 0.9, 0.8 and 0.5 are found. At 95 % none may: 0.9 alone.
    assert weighted_sensitivity_at(0.90, scores, truths, once(14))[0] == pytest.approx(0.75)
    assert weighted_sensitivity_at(0.95, scores, truths, once(14))[0] == pytest.approx(0.25)
    assert math.isnan(weighted_sensitivity_at(0.9, scores[:4], truths[:4], once(4))[0])


def test_equal_scores_are_called_together():
    truths = np.array([True, False, True, False])
    assert weighted_sensitivity_at(0.95, np.full(4, 0.7), truths, once(4))[0] == 0
    assert roc_curve(np.full(4, 0.7), truths) == {"false positive rate": [0.0, 1.0], "sensitivity": [0.0, 1.0]}
    assert roc_curve(np.full(4, 0.7), np.ones(4, bool)) is None


def test_whole_patients_are_drawn():
    groups = np.array([4, 4, 4, 9, 9, 2])
    draws = patient_draws(groups, draws=300)
    assert (draws[:, 0] == draws[:, 1]).all() and (draws[:, 3] == draws[:, 4]).all()
    patients = draws[:, [0, 3, 5]]
    assert (patients.sum(axis=1) == 3).all() and patients.mean(axis=0) == pytest.approx([1, 1, 1], abs=0.15)


def test_an_interval_narrows_with_patients_and_not_with_their_levels():
    generator = np.random.default_rng(0)

    def width(patients: int, levels: int) -> float:
        truths = np.repeat(generator.random(patients) < 0.5, levels)
        # All levels of a patient are the same: more of them say nothing more.
        scores = np.repeat(generator.normal(0, 1, patients), levels) + truths
        groups = np.repeat(np.arange(patients), levels)
        answer = figures(scores, np.full(len(truths), 0.5), truths, groups, called={})
        low, high = answer["auc"]["interval"]
        return high - low

    few, copied, many = width(40, 1), width(40, 7), width(400, 1)
    assert copied > 0.6 * few and many < 0.6 * few


# --- calls --------------------------------------------------------------------------------------


def test_a_small_lead_is_seen_when_both_are_asked_the_same():
    generator = np.random.default_rng(0)
    truths, groups = np.arange(600) % 4 == 0, np.arange(600) // 3
    theirs = truths + generator.normal(0, 1.5, 600)
    ours = theirs + 0.15 * truths
    found = lead(ours, theirs, truths, groups, seed=0)
    assert found["value"] == pytest.approx(auc(ours, truths) - auc(theirs, truths)) and found["interval"][0] > 0
    apart = [ranking(one, truths, groups, patient_draws(groups))["auc"]["interval"] for one in (ours, theirs)]
    assert apart[0][0] < apart[1][1], "intervals of each alone overlap"
    assert lead(ours, ours, truths, groups, seed=0) == {"value": 0.0, "interval": [0.0, 0.0]}
    assert lead(ours[:8], theirs[:8], truths[:8], groups[:8], seed=0)["interval"] is None, "few patients"
    assert lead(ours[1:3], theirs[1:3], truths[1:3], groups[1:3], seed=0) == {"value": None, "interval": None}


def test_calls_of_a_hand_worked_table():
    # 8 of 10 fractures found, 5 of 20 intact ones called.
    truths = np.array([True] * 10 + [False] * 20)
    called = np.array([True] * 8 + [False] * 2 + [True] * 5 + [False] * 15)
    found = calls(called, truths, np.arange(30), patient_draws(np.arange(30)))
    assert found["sensitivity"]["value"] == 0.8 and found["specificity"]["value"] == 0.75
    assert found["f1"]["value"] == pytest.approx(16 / 23) and found["f2"]["value"] == pytest.approx(40 / 53)
    assert found["accuracy"]["value"] == pytest.approx(23 / 30) and found["called"] == 13
    # Bayes at 5 %: 0.04 / (0.04 + 0.2375) and 0.7125 / (0.7125 + 0.01).
    assert found["at 5% prevalence"] == pytest.approx({"ppv": 0.04 / 0.2775, "npv": 0.7125 / 0.7225})
    low, high = found["sensitivity"]["interval"]
    assert low < 0.8 < high <= 1


def test_what_all_draws_agree_on_is_not_certain():
    truths = np.array([True] * 3 + [False] * 3)
    found = calls(truths, truths, np.arange(6), patient_draws(np.arange(6)))
    # Wilson's interval of 3 of 3.
    assert found["sensitivity"] == {"value": 1.0, "interval": pytest.approx([0.4385, 1], abs=1e-3)}
    answer = figures(truths.astype(float), truths.astype(float), truths, np.arange(6), called={})
    assert answer["auc"] == {"value": 1.0, "interval": None}  # of three patients of either kind


def test_baselines_stand_beside_and_undefined_figures_are_none():
    truths = np.array([True] * 2 + [False] * 8)
    answer = figures(np.arange(10) / 10, np.arange(10) / 10, truths, np.arange(10), called={"balanced": truths})
    everything, constant = answer["baselines"]["always positive"], answer["baselines"]["constant majority"]
    assert everything["sensitivity"]["value"] == 1 and everything["specificity"]["value"] == 0
    assert constant["sensitivity"]["value"] == 0 and constant["specificity"]["value"] == 1
    assert constant["accuracy"]["value"] == 0.8 and constant["brier"] == pytest.approx(0.16)
    assert everything["auc"]["value"] == 0.5 and everything["f2"]["value"] == pytest.approx(10 / 18)
    alone = figures(np.array([0.2, 0.3]), np.array([0.2, 0.3]), np.zeros(2, bool), np.arange(2), called={})
    assert alone["auc"] == {"value": None, "interval": None}
    assert alone["sensitivity at 90% specificity"]["value"] is None
    none = np.zeros(0, bool)
    nothing = figures(np.zeros(0), np.zeros(0), none, np.zeros(0, int), called={"balanced": none})
    assert nothing["n"] == 0 and nothing["ece"] is None
    json.dumps([answer, alone, nothing], allow_nan=False)  # raises for NaN


def test_predictive_values_are_undefined_when_nothing_is_called_so():
    assert predictive_values(0.0, 1.0)["ppv"] is None and predictive_values(0.0, 1.0)["npv"] == 0.95
    assert predictive_values(1.0, 0.0) == {"ppv": 0.05, "npv": None}
    assert predictive_values(None, 0.5) == {"ppv": None, "npv": None}


# --- calibration --------------------------------------------------------------------------------


def test_what_is_perfectly_calibrated_has_next_to_no_calibration_error():
    generator = np.random.default_rng(3)
    p = generator.random(40_000)
    truths = generator.random(40_000) < p
    assert ece(p, truths) < 0.015
    assert ece(np.full(40_000, 0.9), truths) == pytest.approx(0.4, abs=0.01)
    rows = reliability(p, truths)
    assert len(rows) == 15 and sum(row["fractured"]["count"] for row in rows) == 40_000
    assert all(row["from"] <= row["mean probability"] <= row["to"] for row in rows)


def test_a_probability_of_one_falls_into_the_last_bin():
    rows = reliability(np.array([0.0, 1.0]), np.array([False, True]))
    assert [row["from"] for row in rows] == [0, 14 / 15] and ece(np.array([0.0, 1.0]), np.array([False, True])) == 0


# --- the competition's loss ---------------------------------------------------------------------


def test_knowing_nothing_costs_the_logarithm_of_two_and_a_hand_worked_exam_costs_what_it_should():
    truths = np.array([[1, 0, 0, 0, 0, 0, 0, 1], [0] * 8, [0, np.nan, np.nan, 0, 0, 0, 1, 1]], float)
    assert competition_loss(np.full(truths.shape, 0.5), truths) == pytest.approx(math.log(2))
    # A positive level weighs 2, six negative ones 1 each, the positive patient 14.
    p = np.array([[0.8, *[0.1] * 6, 0.9]])
    expected = (2 * -math.log(0.8) + 6 * -math.log(0.9) + 14 * -math.log(0.9)) / 22
    assert competition_loss(p, truths[:1]) == pytest.approx(expected)
    assert competition_loss(np.full((1, 8), 0.5), np.full((1, 8), np.nan)) is None


def test_no_other_constant_costs_less_than_the_best():
    generator = np.random.default_rng(5)
    levels = generator.random((200, 7)) < [0.07, 0.14, 0.04, 0.05, 0.08, 0.14, 0.19]
    truths = np.column_stack([levels, levels.any(axis=1)]).astype(float)
    truths[generator.random(truths.shape) < 0.1] = np.nan
    best = best_constant(truths)
    least = competition_loss(np.broadcast_to(best, truths.shape), truths)
    for _ in range(30):
        other = np.clip(best + generator.normal(0, 0.03, 8), 0.001, 0.999)
        assert competition_loss(np.broadcast_to(other, truths.shape), truths) > least
    assert least < math.log(2)


# --- boxes --------------------------------------------------------------------------------------


def cube(x: float, side: float = 10.0) -> Box:
    return Box((x, 0.0, 0.0), (x + side, side, side))


def test_overlap_is_shared_volume_over_all_of_it():
    assert overlap(cube(0), cube(0)) == 1 and overlap(cube(0), cube(20)) == 0
    assert overlap(cube(0), cube(5)) == pytest.approx(500 / 1500)
    assert overlap(cube(0), cube(0, side=5)) == pytest.approx(1 / 8)


def test_a_fracture_is_hit_once_and_its_level_is_compared():
    truths = [Marked(cube(0), "C2")]
    judged = judge([Marked(cube(1), "C3", 0.6), Marked(cube(0), "C2", 0.9), Marked(cube(50), "C5", 0.7)], truths)
    assert judged == [Judged(0.9, True, True), Judged(0.7, False), Judged(0.6, False)]
    assert judge([Marked(cube(0), "C3")], truths) == [Judged(1.0, True, False)]
    assert judge([Marked(cube(0), "C3")], [Marked(cube(0))]) == [Judged(1.0, True, None)]


def test_perfect_boxes_hit_everything_at_every_rate_of_false_positives():
    studies = [(judge([Marked(cube(0), "C2", 0.9)], [Marked(cube(0), "C2")]), 1), ([], 0)]
    found = froc(studies)
    assert set(found["sensitivity"].values()) == {1.0} and found["fractures"] == 1
    shown = at_operating_point(studies)
    assert shown["ppv"]["rate"] == shown["sensitivity"]["rate"] == shown["level agreement"]["rate"] == 1
    assert froc([([Judged(0.3, False)], 0)])["sensitivity"] is None


def test_a_free_response_curve_of_a_hand_worked_example():
    # Two studies with two fractures in each; falling: hit, false, hit, false, false, hit. One fracture has no box.
    first = [Judged(0.9, True), Judged(0.8, False), Judged(0.5, False)]
    second = [Judged(0.7, True), Judged(0.6, False), Judged(0.4, True)]
    found = froc([(first, 2), (second, 2)])
    assert found["sensitivity"] == {"0.5": 0.5, "1": 0.5, "2": 0.75, "4": 0.75, "8": 0.75}
    points = list(zip(found["curve"]["false positives a study"], found["curve"]["sensitivity"], strict=True))
    assert points == [(0, 0), (0, 0.25), (0.5, 0.25), (0.5, 0.5), (1, 0.5), (1.5, 0.5), (1.5, 0.75)]


def test_free_response_intervals_hold_the_curve_and_few_studies_have_none():
    generator = np.random.default_rng(2)
    hit, miss = [Judged(0.9, True), Judged(0.4, False)], [Judged(0.6, False)]
    studies = [(hit if generator.random() < 0.7 else miss, 1) for _ in range(60)]
    found, intervals = froc(studies)["sensitivity"], froc_intervals(studies)
    assert intervals.keys() == found.keys()
    for wanted, (low, high) in intervals.items():
        assert low <= found[wanted] <= high and 0.1 < high - low < 0.35
    assert set(froc_intervals(studies[:4]).values()) == {None}
