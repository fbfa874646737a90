import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.errors import InputError
from neckfrac.findings import severity
from neckfrac.members.slices import pool_slices
from neckfrac.pipeline.combine import (
    OPERATING_POINTS,
    PATIENT,
    Context,
    Ensemble,
    Member,
    any_of,
    combine,
    logit,
    sigmoid,
)

probability = st.floats(0.001, 0.999)


@given(probability)
def test_logit_and_sigmoid_undo_each_other(p):
    assert sigmoid(logit(p)) == pytest.approx(p)


@given(st.lists(probability, min_size=2, max_size=2), st.floats(0.1, 0.9))
def test_the_ensemble_lies_between_its_members(ps, weight):
    members = {"a": Member(weight), "b": Member(1 - weight)}
    assert min(ps) - 1e-9 <= combine(dict(zip("ab", ps, strict=True)), members) <= max(ps) + 1e-9


def test_a_missing_member_leaves_the_decision_to_the_others():
    members = {"a": Member(0.3), "b": Member(0.7)}
    assert combine({"a": 0.8}, members) == pytest.approx(0.8)
    assert combine({}, members) is None
    assert combine({"stranger": 0.5}, members) is None


@given(st.lists(probability, min_size=1, max_size=7))
def test_the_patient_is_at_least_as_likely_fractured_as_any_level(ps):
    assert max(ps) - 1e-9 <= any_of(ps) <= 1


@given(st.lists(st.tuples(probability, st.floats(1, 500)), min_size=1, max_size=40))
def test_pooled_slices_lie_between_their_mean_and_their_largest(pairs):
    p, area = (np.array(column) for column in zip(*pairs, strict=True))
    assert (p * area).sum() / area.sum() - 1e-9 <= pool_slices(p, area) <= p.max() + 1e-9


def test_a_slice_that_only_grazes_the_vertebra_does_not_decide():
    p = np.array([0.9, 0.1, 0.1, 0.1])
    assert pool_slices(p, np.array([1.0, 300, 300, 300])) < pool_slices(p, np.array([300.0, 300, 300, 300]))


def test_severity_rises_with_the_odds_over_the_threshold():
    # The odds of 0.2 are 1/4: four times that is 0.5, sixteen times is 0.8.
    assert [severity(p, 0.2) for p in (0.19, 0.2, 0.49, 0.51, 0.79, 0.81, 1.0)] == [
        None, "low", "low", "medium", "medium", "high", "high",
    ]  # fmt: skip

def test_an_ensemble_that_was_measured_near_chance_says_so_in_every_result():
    measured = {"auc": 0.53, "n": 32, "sensitivity": 0.9, "specificity": 0.2}
    caveat = Ensemble({}, {}, {}, {"ensemble": measured}).caveat()
    assert "on 32 levels of held-out simulated studies" in caveat.text and "AUC of 0.53" in caveat.text
    assert caveat.code == "calls-unreliable" and caveat.data == measured
    assert Ensemble({}, {}, {}, {"ensemble": measured | {"auc": 0.95}}).caveat() is None
    assert Ensemble({}, {}, {}, {}).caveat() is None


def test_settings_survive_the_disk_and_broken_ones_are_refused(tmp_path):
    thresholds = {point: dict.fromkeys((*LEVEL_NAMES, PATIENT), 0.3) for point in OPERATING_POINTS}
    ensemble = Ensemble({"a": Member(0.4, 1.2, -0.3)}, {"levels": Member()}, thresholds, {"n": 3})
    path = tmp_path / "ensemble.json"
    ensemble.write(path)
    assert Ensemble.read(path) == ensemble
    content = json.loads(path.read_text())
    del content["thresholds"]["balanced"]["C4"]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="threshold for each level"):
        Ensemble.read(path)
    with pytest.raises(InputError):
        Ensemble.read(tmp_path / "missing.json")


def test_a_level_stands_out_of_its_study_by_what_the_others_have_in_common():
    context = Context(share=0.5, usual=-4.0)
    logits = {"C2": -1.0, "C3": -3.0, "C4": -2.0, "C5": 2.0}  # the median is -1.5
    assert context(logits) == pytest.approx({name: value - 1.25 for name, value in logits.items()})
    few = {"C2": -1.0, "C3": 2.0, "C4": 0.0}
    assert context(few) == few, "three levels say too little of their study"
    assert Context()(logits) == logits


def test_the_ensemble_keeps_its_context_on_disk(tmp_path):
    even = {point: dict.fromkeys((*LEVEL_NAMES, PATIENT), 0.5) for point in OPERATING_POINTS}
    ensemble = Ensemble({"a": Member()}, {"a": Member()}, even, {}, context=Context(0.5, -3.0))
    ensemble.write(tmp_path / "ensemble.json")
    assert Ensemble.read(tmp_path / "ensemble.json") == ensemble
