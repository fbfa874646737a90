import numpy as np
import pytest
from neckfrac.evaluation.calibrate import fit_ensemble, platt
from neckfrac.evaluation.metrics import at_threshold, auc, dice, summary, threshold_for


def test_calling_everyone_fractured_has_no_specificity():
    truths = np.array([True, False, False, False])
    everyone = summary(np.array([0.9, 0.8, 0.1, 0.2]), truths, 0.5)["always positive"]
    assert everyone["sensitivity"] == 1 and everyone["specificity"] == 0


def test_auc_of_a_perfect_a_useless_and_a_one_sided_set():
    truths = np.array([True, True, False, False])
    assert auc(np.array([0.9, 0.8, 0.2, 0.1]), truths) == 1
    assert auc(np.array([0.5, 0.5, 0.5, 0.5]), truths) == 0.5
    assert auc(np.array([0.9, 0.8]), np.array([True, True])) is None


def test_thresholds_reach_what_they_were_chosen_for():
    generator = np.random.default_rng(0)
    truths = generator.random(400) < 0.4
    p = np.clip(generator.normal(0.4 + 0.2 * truths, 0.15), 0.01, 0.99)
    assert at_threshold(p, truths, threshold_for(p, truths, sensitivity=0.95))["sensitivity"] >= 0.95
    assert at_threshold(p, truths, threshold_for(p, truths, specificity=0.9))["specificity"] >= 0.9
    best = at_threshold(p, truths, threshold_for(p, truths))
    assert best["sensitivity"] + best["specificity"] > 1.2


def test_calibration_moves_the_mean_to_the_wanted_prevalence():
    generator = np.random.default_rng(1)
    truths = generator.random(4000) < 0.5
    p = 1 / (1 + np.exp(-generator.normal(2.0 * truths - 1.0, 1.4)))
    member = platt(p, truths, 0.5)
    logits = member.slope * np.log(p / (1 - p)) + member.offset
    assert (1 / (1 + np.exp(-logits))).mean() == pytest.approx(0.5, abs=0.02)
    assert platt(p, truths, 0.1).offset < member.offset - 2


def test_the_ensemble_is_measured_on_rows_that_did_not_fit_it():
    generator = np.random.default_rng(2)
    truths = generator.random(300) < 0.4
    good = np.clip(generator.normal(0.3 + 0.4 * truths, 0.15), 0.01, 0.99)
    patients = [(float(g), bool(t)) for g, t in zip(good, truths, strict=True)]
    rows = [({"m-one": float(generator.random()), "m-two": g}, t) for g, t in patients]
    ensemble = fit_ensemble(rows, patients)
    assert ensemble.levels["m-two"].weight > ensemble.levels["m-one"].weight
    assert ensemble.measured["ensemble"]["n"] == 150
    assert ensemble.measured["ensemble"]["auc"] > 0.85


def test_dice_of_nothing_is_undefined_and_of_the_same_is_one():
    a = np.zeros((3, 3), bool)
    assert dice(a, a) is None
    a[1, 1] = True
    assert dice(a, a) == 1
