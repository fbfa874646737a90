"""One measurement: what it can't be, its words, its flag, and what happens when a reader moves its points."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from measurement_case import made, measured_analysis, measurements
from neckfrac.findings import Findings
from neckfrac.measurement import Measurement, NormalRange, with_moved_points
from output_case import as_written_by_1

SLIP = measurements()[2]


def test_findings_carry_their_measurements_through_json():
    findings = measured_analysis().findings
    again = Findings.from_dict(json.loads(json.dumps(findings.to_dict())))
    assert again.measurements == findings.measurements and again == findings


def test_findings_that_were_written_before_there_were_measurements_open():
    content = as_written_by_1(measured_analysis().findings, "1.3")
    del content["measurements"]
    assert Findings.from_dict(content).measurements == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "width"}, {"unit": "cm"}, {"levels": ()}, {"levels": ("T1",)}, {"levels": ("C3", "C4", "C5")},
        {"lower": 3.9}, {"upper": 3.7}, {"value": math.nan}, {"upper": math.inf}, {"points": SLIP.points[:1]},
        {"points": SLIP.points * 2}, {"points": ((0.0, 0.0, 0.0), (0.0, math.nan, 0.0))}, {"flag": ""},
        {"normal": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_measurement_can_not_be_built_wrong(wrong):
    with pytest.raises(ValueError):
        replace(SLIP, **wrong)


@pytest.mark.parametrize("ends", [(None, None), (3.0, 2.0), (math.nan, None)], ids=str)
def test_a_normal_range_needs_an_end_and_a_source(ends):
    with pytest.raises(ValueError):
        NormalRange(*ends, "somebody")
    with pytest.raises(ValueError):
        NormalRange(0.0, 1.0, "")


def test_a_slip_is_flagged_in_the_words_of_a_report():
    assert SLIP.flag == "C4 on C5: 3.8 mm anterolisthesis (normal -2 to 2 mm)"
    back = made("listhesis", ("C4", "C5"), SLIP.lines, -3.8, normal=SLIP.normal)
    assert back.flag == "C4 on C5: 3.8 mm retrolisthesis (normal -2 to 2 mm)"


def test_a_flag_needs_the_whole_uncertainty_beyond_the_normal_range():
    unsure = replace(SLIP, value=2.4, lower=1.9, upper=2.9, flag=None).judged()
    sure = replace(SLIP, value=2.6, lower=2.1, upper=3.1, flag=None).judged()
    assert unsure.flag is None and sure.flag is not None
    assert replace(SLIP, normal=None, flag=None).judged().flag is None


def test_the_farthest_off_comes_first_and_what_has_no_range_last():
    deviations = {one.name: one.deviation for one in measurements()}
    assert deviations["listhesis"] > 0 > deviations["atlanto-dental"] > deviations["anterior-height"] == -math.inf


def test_words_have_as_many_digits_as_can_be_known():
    by_name = {one.name: one for one in measurements()}
    assert by_name["anterior-height"].in_words() == "10.0 mm"
    assert by_name["segmental-angle"].in_words() == "2°"
    assert by_name["height-ratio"].in_words() == "0.83"
    assert SLIP.uncertainty_in_words() == "3.3 to 4.3 mm"
    assert made("listhesis", ("C4", "C5"), SLIP.lines, -0.01).in_words() == "0.0 mm", "no minus before nothing"


def test_moving_points_changes_the_value_the_flag_and_says_so():
    start, _end = SLIP.points
    closer = SLIP.moved([start, (start[0], start[1] - 1.0, start[2])])
    assert closer.value == pytest.approx(1.0) and closer.edited and closer.flag is None
    assert closer.upper - closer.lower == pytest.approx(SLIP.upper - SLIP.lower)
    behind = SLIP.moved([start, (start[0], start[1] + 3.0, start[2])])
    assert behind.value == pytest.approx(-3.0), "the other way is the other sign"
    assert "retrolisthesis" in behind.flag
    with pytest.raises(ValueError):
        SLIP.moved([start])


def test_what_shares_a_line_follows_when_it_is_moved():
    before = measurements()
    front = before[3]
    lower = [front.points[0], np.subtract(front.points[1], (0, 0, 2.0))]
    after = with_moved_points(before, front.key, lower)
    by_name = {one.name: one for one in after}
    assert by_name["anterior-height"].value == pytest.approx(12.0)
    assert by_name["height-ratio"].value == pytest.approx(1.0) and by_name["height-ratio"].edited
    assert by_name["posterior-height"] == before[4] and by_name["listhesis"] == before[2]
    with pytest.raises(KeyError):
        with_moved_points(before, "listhesis C6 C7", [])


@pytest.mark.parametrize("one", measurements(), ids=lambda one: one.name)
def test_points_that_are_put_where_they_were_keep_the_value(one):
    assert one.moved(one.points).value == pytest.approx(one.value, abs=0.05)
    turned = np.array(one.points) @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]])
    if one.quantity.formula in ("length", "ratio", "loss", "difference"):
        assert one.moved(turned).value == pytest.approx(one.value), "lengths do not hang on the patient's axes"


def test_an_angle_opens_and_changes_sides_as_its_points_are_drawn():
    flat = ((0, 0, 0), (0, 10, 0), (0, 0, -15), (0, 10, -15 + math.tan(math.radians(10)) * 10))
    one = made("segmental-angle", ("C3", "C4"), [flat[:2], flat[2:]], value=10.0)
    other = one.moved([*flat[:3], (0, 10, -15 - math.tan(math.radians(5)) * 10)])
    assert other.value == pytest.approx(-5.0)


def test_asdict_and_from_dict_are_each_others_inverse():
    for one in measurements():
        assert Measurement.from_dict(json.loads(json.dumps(asdict(one)))) == one
