"""Studies to calibrate on: tiny networks on toy necks through the whole pipeline, and made-up answers."""

import json
from functools import partial

import pytest
from calibration_case import answer
from neckfrac.errors import InputError
from neckfrac.pipeline.combine import LEVELS_MEMBER, Ensemble
from neckfrac_lab.evaluation.fractures.evaluate import RECORDS
from neckfrac_lab.training import calibrate as module
from neckfrac_lab.training.calibrate import calibrate, calibration_networks, run_studies
from simulate.conftest import make_toy_neck
from tiny_networks import write_models

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def networks(tmp_path):
    return calibration_networks(write_models(tmp_path / "models"), "cpu", 1)


def test_studies_are_run_once_and_of_two_in_a_row_one_is_fractured(networks, tmp_path):
    small = {"build": lambda number: make_toy_neck(), "shape": (75, 50, 50), "spacing": (2.0, 2.0, 2.0)}
    assert run_studies(networks, tmp_path, 2, time_budget=0, **small) == 0
    assert run_studies(networks, tmp_path, 1, **small) == 1
    lines = (tmp_path / "calibration" / RECORDS).read_text().splitlines()
    assert run_studies(networks, tmp_path, 2, **small) == 2
    again = (tmp_path / "calibration" / RECORDS).read_text().splitlines()
    assert again[:2] == lines and len(again) == 3
    truths = [json.loads(line)["patient truth"] for line in again[1:]]
    assert truths[0] is not False and truths[1] is False


@pytest.mark.slow
def test_people_of_calibration_and_of_evaluation_are_others():
    from neckfrac_lab.evaluation.fractures.cases import FIRST_SEED, PEOPLE, simulated_cases

    met = {}
    for seed in (0, 1, module.SEED):
        numbers = []
        cases = simulated_cases(6, seed=seed, build=partial(lambda seen, n: seen.append(n) or make_toy_neck(), numbers),
                                shape=(40, 30, 30), spacing=(4.0, 4.0, 4.0))  # fmt: skip
        for case in cases:
            case.read()
        assert numbers == [0, 1, 2], "each is met twice in a row"
        met[seed] = {FIRST_SEED + 1000 * seed + n for n in range(PEOPLE)}
    assert not met[0] & met[1] and not (met[0] | met[1]) & met[module.SEED]


def test_the_ensemble_is_fitted_to_what_the_members_said(networks, tmp_path):
    answer(networks, tmp_path)
    ensemble = calibrate(networks, tmp_path)
    assert {*ensemble.levels} == {*networks.members} and {*ensemble.patient} == {LEVELS_MEMBER, "tiny-slices"}
    assert ensemble.measured["ensemble"]["n"] == 24 * 6, "C7 is not known"
    assert ensemble.measured["ensemble"]["auc"] > 0.9
    assert calibrate(networks, tmp_path, most=12).measured["patients"]["n"] == 12
    ensemble.write(tmp_path / "ensemble.json")
    assert Ensemble.read(tmp_path / "ensemble.json") == ensemble


def test_a_study_whose_fracture_is_out_of_sight_teaches_nothing(networks, tmp_path):
    answer(networks, tmp_path)
    before = calibrate(networks, tmp_path)
    path = tmp_path / "calibration" / RECORDS
    lines = path.read_text().splitlines(keepends=True)
    unknown = json.loads(lines[1]) | {"patient truth": None}
    path.write_text("".join([lines[0], json.dumps(unknown) + "\n", *lines[2:]]))
    after = calibrate(networks, tmp_path)
    assert after.measured["patients"]["n"] == before.measured["patients"]["n"] - 1


def test_without_studies_or_with_those_of_other_networks_it_says_what_to_do(networks, tmp_path):
    with pytest.raises(InputError, match="too few studies") as caught:
        calibrate(networks, tmp_path)
    assert "neckfrac train cache-calibration" in caught.value.advice
    answer(networks, tmp_path)
    other = calibration_networks(write_models(tmp_path / "others", seed=1), "cpu", 1)
    with pytest.raises(InputError, match="bundles differ"):
        calibrate(other, tmp_path)
