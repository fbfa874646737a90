import numpy as np
import pytest
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.pipeline.combine import (
    LEVELS_MEMBER,
    OPERATING_POINTS,
    PATIENT,
    Context,
    any_of,
    combine,
    combine_levels,
    level_prevalence,
)
from neckfrac_lab.evaluation.metrics import auc
from neckfrac_lab.training.calibration import (
    OperatingPointTargets,
    StudyPredictions,
    choose_thresholds,
    fit,
    fit_ensemble,
    platt,
)
from operating_case import threshold_for


def probability(generator, truth, gap, spread=1.0):
    return float(1 / (1 + np.exp(-generator.normal(gap * (2 * truth - 1) / 2, spread))))


def made(n=400, seed=2, gaps=(0.0, 4.0, 1.0), head=1.5, shared=0.0, hidden=0.0):
    """Pairs of one person, fractured in one or two levels and not.

    Member "m-one" knows nothing, "m-two" much, "m-three" a little; "m-two" has a head for the patient. shared: by how
    much the levels of one study err together. hidden: share of the levels that are not seen.
    """
    generator, studies = np.random.default_rng(seed), []
    for number in range(n):
        fractured = number % 2 == 0
        broken = set(generator.choice(LEVEL_NAMES, generator.integers(1, 3), replace=False)) if fractured else set()
        seen = [name for name in LEVEL_NAMES if generator.random() >= hidden]
        offset = shared * generator.normal()
        levels = {
            name: {
                member: probability(generator, name in broken, gap + 2 * offset / (1 if name in broken else -1))
                for member, gap in zip(("m-one", "m-two", "m-three"), gaps, strict=True)
            }
            for name in seen
        }
        truths = {name: name in broken for name in seen}
        heads = {"m-two": probability(generator, fractured, head)}
        studies.append(StudyPredictions(levels, truths, heads, fractured, number // 2))
    return studies


def answers(ensemble, studies):
    """Whether each study is called at each operating point, and the patients' probabilities."""
    called, patients = {point: [] for point in OPERATING_POINTS}, []
    for study in studies:
        levels = combine_levels(study.levels, ensemble.levels, ensemble.context)
        patients.append(combine({**study.heads, LEVELS_MEMBER: any_of(levels.values())}, ensemble.patient))
        for point, limits in ensemble.thresholds.items():
            by_level = any(p >= limits[name] for name, p in levels.items())
            called[point].append(by_level or patients[-1] >= limits[PATIENT])
    return {point: np.array(value) for point, value in called.items()}, np.array(patients)


def test_calibration_moves_the_mean_to_the_wanted_prevalence():
    generator = np.random.default_rng(1)
    truths = generator.random(4000) < 0.5
    p = 1 / (1 + np.exp(-generator.normal(2.0 * truths - 1.0, 1.4)))
    member = platt(p, truths, 0.5)
    logits = member.slope * np.log(p / (1 - p)) + member.offset
    assert (1 / (1 + np.exp(-logits))).mean() == pytest.approx(0.5, abs=0.02)
    assert platt(p, truths, 0.1).offset < member.offset - 2


def test_the_ensemble_is_measured_on_people_who_did_not_fit_it():
    ensemble = fit_ensemble(made(200))
    weight = {name: member.weight for name, member in ensemble.levels.items()}
    assert weight["m-two"] > weight["m-three"] > weight["m-one"] == 0, "what knows nothing does not count"
    assert sum(weight.values()) == pytest.approx(1, abs=1e-3)
    measured = ensemble.measured
    assert measured["ensemble"]["n"] == 1400 and measured["patients"]["n"] == 200
    assert measured["patients"]["fractured"] == 100 and measured["ensemble"]["fractured"] >= 100
    assert measured["ensemble"]["auc"] > max(0.9, measured["members"]["m-three"]["auc"])
    assert abs(measured["members"]["m-one"]["auc"] - 0.5) < 0.1
    for told in (measured["ensemble"], measured["patients"]):
        assert told["always positive"]["specificity"] == 0 and told["sensitivity"] + told["specificity"] > 1.4


def test_what_was_fitted_to_noise_alone_is_measured_as_noise():
    measured = fit_ensemble(made(160, gaps=(0.0, 0.0, 0.0), head=0.0, seed=5)).measured
    assert abs(measured["ensemble"]["auc"] - 0.5) < 0.08
    assert measured["patients"]["sensitivity"] + measured["patients"]["specificity"] < 1.3


def test_probabilities_of_the_ensemble_hold_at_the_wanted_prevalence():
    studies = made(1200)
    for prevalence in (0.05, 0.5):
        ensemble = fit(studies, OperatingPointTargets(prevalence=prevalence))
        told = [
            (p, s.truths[n])
            for s in studies
            for n, p in combine_levels(s.levels, ensemble.levels, ensemble.context).items()
        ]
        p, truths = np.array([p for p, _ in told]), np.array([truth for _, truth in told])
        share = level_prevalence(prevalence)
        assert share * p[truths].mean() + (1 - share) * p[~truths].mean() == pytest.approx(share, rel=0.2)
        _, patients = answers(ensemble, studies)
        fractured = np.array([study.fractured for study in studies])
        mean = prevalence * patients[fractured].mean() + (1 - prevalence) * patients[~fractured].mean()
        assert mean == pytest.approx(prevalence, rel=0.2)
        assert ensemble.prevalence == prevalence


def test_levels_are_judged_against_their_study_where_those_of_a_study_err_together():
    together = fit(made(300, shared=1.5), OperatingPointTargets())
    alone = fit(made(300, shared=0.0), OperatingPointTargets())
    assert together.context.share >= 0.5 and alone.context.share <= 0.25
    fresh = made(300, seed=7, shared=1.5)

    def ranks(context):
        told = [(combine_levels(s.levels, together.levels, context), s.truths) for s in fresh]
        rows = [(p, truths[name]) for of_one, truths in told for name, p in of_one.items()]
        return auc(*map(np.array, zip(*rows, strict=True)))

    assert ranks(together.context) > ranks(Context()) + 0.02


@pytest.mark.parametrize("shared", [0.0, 1.5])
@pytest.mark.parametrize("hidden", [0.0, 0.3])
def test_thresholds_reach_for_patients_what_they_were_chosen_for(shared, hidden):
    """However much the levels of a study err together, and whichever are in view: fresh studies of the same kind."""
    kind = {"gaps": (0.0, 2.5, 1.0), "shared": shared, "hidden": hidden}
    ensemble = fit(made(600, **kind), OperatingPointTargets(0.9, 0.9))
    others = made(600, seed=9, **kind)
    called, _ = answers(ensemble, others)
    fractured = np.array([study.fractured for study in others])
    assert called["sensitive"][fractured].mean() == pytest.approx(0.9, abs=0.05)
    assert 1 - called["specific"][~fractured].mean() == pytest.approx(0.9, abs=0.05)
    points = [ensemble.thresholds[point]["C4"] for point in OPERATING_POINTS]
    assert points == sorted(points)


def test_a_levels_own_best_threshold_would_call_too_many_patients():
    studies = made(600)
    ensemble = fit(studies, OperatingPointTargets())
    fractured = np.array([study.fractured for study in studies])
    told = [(combine(s.levels[n], ensemble.levels), s.truths[n]) for s in studies for n in s.levels]
    naive = threshold_for(np.array([p for p, _ in told]), np.array([truth for _, truth in told]))
    called = np.array([
        any(combine(told, ensemble.levels) >= naive for told in study.levels.values()) for study in studies
    ])  # fmt: skip
    balanced = answers(ensemble, studies)[0]["balanced"]
    best = balanced[fractured].mean() + 1 - balanced[~fractured].mean()
    assert best > called[fractured].mean() + 1 - called[~fractured].mean() + 0.02


def test_a_level_with_few_whole_vertebrae_takes_the_threshold_of_all():
    generator = np.random.default_rng(0)
    levels = generator.random((400, 7)) * np.linspace(0.2, 1.0, 7)
    levels[20:, 2] = np.nan
    broken, fractured = np.zeros(levels.shape, bool), np.arange(400) % 2 == 0
    broken[fractured, 6] = True
    levels[fractured, 6] = 0.93  # so that about one in fourteen whole ones is called
    chosen = choose_thresholds(levels, broken, np.zeros(400), fractured, OperatingPointTargets())["balanced"]
    assert chosen["C1"] < chosen["C2"] < chosen["C4"] < chosen["C6"], "each its own"
    # Of 20 whole C3 one or two are above: that is no threshold, so it has that of all levels together.
    together = np.where(broken, np.nan, levels)
    above = np.nanmean(together[:, 0] >= chosen["C1"])
    assert chosen["C3"] == pytest.approx(np.nanquantile(together, 1 - above), rel=0.05)


def test_the_balanced_point_misses_fewer_by_f2_than_by_f1():
    studies = made(300, gaps=(0.0, 2.0, 1.0))
    f1, f2 = (fit(studies, OperatingPointTargets(balanced=name)).thresholds["balanced"] for name in ("f1", "f2"))
    assert f2["C4"] <= f1["C4"]


def test_a_patient_of_whom_no_level_was_seen_is_not_called():
    studies = [*made(100), StudyPredictions({}, {}, {}, True, 50), StudyPredictions({}, {}, {}, False, 50)]
    ensemble = fit_ensemble(studies)
    assert ensemble.measured["patients"]["n"] == 102 and ensemble.measured["ensemble"]["n"] == 700
    alone = fit(made(100), OperatingPointTargets())
    for name, member in fit(studies, OperatingPointTargets()).patient.items():
        assert member.offset == pytest.approx(alone.patient[name].offset), "nothing was said, so nothing is learned"


def test_too_few_studies_are_told():
    for studies in ([], made(2), [StudyPredictions({}, {}, {}, n % 2 == 0, n // 2) for n in range(20)]):
        with pytest.raises(ValueError, match="both halves"):
            fit_ensemble(studies)
