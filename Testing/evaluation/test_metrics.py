import numpy as np
import pytest
from neckfrac.comparison.overlap import dice
from neckfrac_lab.evaluation.metrics import at_threshold, auc, summary
from operating_case import threshold_for


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


def test_dice_of_nothing_is_undefined_and_of_the_same_is_one():
    a = np.zeros((3, 3), bool)
    assert dice(a, a) is None
    a[1, 1] = True
    assert dice(a, a) == 1


def test_the_balanced_point_has_the_most_of_what_was_asked_for():
    from neckfrac_lab.evaluation.metrics import choose
    from operating_case import operating_curve

    generator = np.random.default_rng(3)
    truths = generator.random(400) < 0.5
    p = 1 / (1 + np.exp(-generator.normal(1.2 * truths, 1.0)))
    _, found, spared = operating_curve(p, truths)

    def f_at(index, beta, prevalence):
        precision = prevalence * found[index] / (prevalence * found[index] + (1 - prevalence) * (1 - spared[index]))
        return (1 + beta**2) * precision * found[index] / (beta**2 * precision + found[index])

    usable = np.flatnonzero((found > 0) & (found + spared > 0))
    for beta in (1.0, 2.0):
        for prevalence in (0.05, 0.5):
            chosen = choose(found, spared, beta=beta, prevalence=prevalence)
            assert f_at(chosen, beta, prevalence) == pytest.approx(max(f_at(i, beta, prevalence) for i in usable))
    assert found[choose(found, spared, beta=2.0)] >= found[choose(found, spared, beta=1.0)]
