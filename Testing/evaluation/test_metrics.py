import numpy as np
import pytest
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.evaluation.calibrate import Aims, Row, fit_ensemble, level_thresholds, platt
from neckfrac.evaluation.metrics import at_threshold, auc, dice, summary, threshold_for
from neckfrac.pipeline.combine import any_of, combine, level_prevalence


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


def made_rows(n=700, seed=2):
    """Twins, broken and whole: member "m-one" knows nothing, "m-two" much, "m-three" a little."""
    generator, rows = np.random.default_rng(seed), []
    for index in range(n):
        truth, level = bool(index % 2), LEVEL_NAMES[index // 2 % 7]
        members = {
            "m-one": float(generator.random()),
            "m-two": float(np.clip(generator.normal(0.3 + 0.4 * truth, 0.15), 0.01, 0.99)),
            "m-three": float(np.clip(generator.normal(0.4 + 0.2 * truth, 0.2), 0.01, 0.99)),
        }
        rows.append(Row(level, members, truth, index // 2, float(np.clip(generator.normal(truth), 0.01, 0.99))))
    return rows


def test_the_ensemble_is_measured_on_people_who_did_not_fit_it():
    ensemble = fit_ensemble(made_rows())
    weight = {name: member.weight for name, member in ensemble.levels.items()}
    assert weight["m-two"] > weight["m-three"] > weight["m-one"] == 0, "what knows nothing does not count"
    assert sum(weight.values()) == pytest.approx(1, abs=1e-3)
    measured = ensemble.measured
    assert measured["ensemble"]["n"] == 700 and measured["ensemble"]["fractured"] == 350
    assert measured["ensemble"]["auc"] > max(0.85, measured["members"]["m-three"]["auc"])
    assert abs(measured["members"]["m-one"]["auc"] - 0.5) < 0.1
    assert measured["ensemble"]["always positive"]["specificity"] == 0


def test_what_was_fitted_to_noise_alone_is_measured_as_noise():
    generator = np.random.default_rng(5)
    rows = [
        Row("C3", {"m-one": float(generator.random()), "m-two": float(generator.random())}, bool(n % 2), n // 2)
        for n in range(400)
    ]
    assert abs(fit_ensemble(rows).measured["ensemble"]["auc"] - 0.5) < 0.08


def test_probabilities_of_the_ensemble_hold_at_the_wanted_prevalence():
    rows = made_rows(2800)
    for prevalence in (0.05, 0.5):
        ensemble = fit_ensemble(rows, Aims(prevalence=prevalence))
        p = np.array([combine(row.members, ensemble.levels) for row in rows])
        truths = np.array([row.fractured for row in rows])
        share = level_prevalence(prevalence)
        assert share * p[truths].mean() + (1 - share) * p[~truths].mean() == pytest.approx(share, rel=0.2)
        assert ensemble.prevalence == prevalence
    assert any_of([level_prevalence(0.05)] * 7) == pytest.approx(0.05 * 1444 / 961, rel=0.05)


def test_thresholds_of_levels_are_chosen_for_the_patient_who_has_seven():
    generator = np.random.default_rng(7)
    rows = made_rows(1400)
    p, truths = np.array([row.members["m-two"] for row in rows]), np.array([row.fractured for row in rows])
    intact, broken = p[~truths], p[truths]
    patients = generator.choice(intact, (4000, 7))
    hurt = np.column_stack([generator.choice(intact, (4000, 6)), generator.choice(broken, 4000)])
    balanced, sensitive, specific = (
        level_thresholds(rows, p, **wanted)["C4"] for wanted in ({}, {"sensitivity": 0.95}, {"specificity": 0.95})
    )
    assert sensitive < balanced < specific
    assert (patients < specific).all(axis=1).mean() == pytest.approx(0.95, abs=0.04)
    assert (hurt >= sensitive).any(axis=1).mean() == pytest.approx(0.95, abs=0.03)
    by_level = threshold_for(p, truths)
    best = (patients < balanced).all(axis=1).mean() + (hurt >= balanced).any(axis=1).mean()
    naive = (patients < by_level).all(axis=1).mean() + (hurt >= by_level).any(axis=1).mean()
    assert best > naive + 0.1, "a level's own best threshold calls too many patients"


def test_a_level_with_few_rows_takes_the_threshold_of_all():
    rows = [row for row in made_rows(1400) if row.level != "C3" or row.person < 60]
    p = np.array([row.members["m-two"] for row in rows])
    few, many = (level_thresholds(rows, p, specificity=wanted) for wanted in (0.95, 0.3))
    assert len(set(few.values())) == 1, "one in a hundred of a hundred is no threshold"
    assert len(set(many.values())) == 7 and sum(row.level == "C3" and not row.fractured for row in rows) < 20
    assert len({many[level] for level in LEVEL_NAMES if level != "C3"}) == 6


def test_dice_of_nothing_is_undefined_and_of_the_same_is_one():
    a = np.zeros((3, 3), bool)
    assert dice(a, a) is None
    a[1, 1] = True
    assert dice(a, a) == 1


def test_the_balanced_point_has_the_most_of_what_was_asked_for():
    from neckfrac.evaluation.metrics import choose, operating_curve

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
    by_aim = {name: fit_ensemble(made_rows(), Aims(balanced=name)).thresholds["balanced"] for name in ("f1", "f2")}
    assert by_aim["f2"]["C4"] <= by_aim["f1"]["C4"], "F2 misses fewer"
