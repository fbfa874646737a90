"""Agreement of measured with true values: bias, limits, failures, and what counts as in view."""

import numpy as np
import pytest
from measurement_case import made
from neckfrac.measurement import NormalRange
from neckfrac.volume import CTVolume
from neckfrac_lab.evaluation.measurements import Agreement, compare, in_words, table, thicker
from neckfrac_lab.simulate.study import SimulatedStudy


def rows(*pairs):
    """Rows of (true, measured or None), limits a millimetre about the measured value."""
    return [
        {"name": "body-depth", "true": true}
        | ({} if value is None else {"value": value, "lower": value - 1, "upper": value + 1})
        for true, value in pairs
    ]


def test_bias_limits_failures_and_coverage_are_bland_and_altmans():
    found = Agreement.of(rows((10.0, 10.5), (12.0, 11.9), (14.0, 16.0), (13.0, None)))
    off = np.array([0.5, -0.1, 2.0])
    assert (found.measured, found.failed) == (3, 1)
    assert found.bias == pytest.approx(off.mean()) and found.limits == pytest.approx(1.96 * off.std(ddof=1))
    assert found.covered == pytest.approx(2 / 3)


def test_of_nothing_measured_nothing_is_said():
    found = Agreement.of(rows((10.0, None)))
    assert (found.measured, found.failed) == (0, 1) and found.bias is found.limits is found.covered is None
    one = {"agreement": {"1 mm": {"body-depth": vars(Agreement.of(rows((10.0, 10.5))))}}}
    assert "| Body depth (mm) | 1 | 0 | +0.50 | – | 100% |" in in_words(one)


def volume():
    return CTVolume(np.zeros((40, 40, 40), np.int16), np.eye(4))


def test_what_lies_at_the_scans_edge_is_no_failure_and_what_lies_inside_is():
    inside = made("body-depth", ("C4",), [((10, 10, 20), (10, 24, 20))])
    cut = made("body-depth", ("C5",), [((10, 10, 1), (10, 24, 1))])
    missed = compare([inside, cut], [], volume())
    assert [row["levels"] for row in missed] == [["C4"]] and "value" not in missed[0]
    found = compare([inside, cut], [cut], volume())
    assert [row["levels"] for row in found] == [["C4"], ["C5"]] and found[1]["value"] == 14.0


def test_the_table_has_a_line_a_quantity_in_each_condition():
    cases = [
        {"study": 0, "pose": pose, "slice": mm, "rows": rows((10.0, 10.5), (12.0, 11.9))}
        for pose in ("upright", "turned") for mm in (1.0, 3.0)
    ]  # fmt: skip
    result = {"agreement": table(cases)}
    assert list(result["agreement"]) == ["1 mm, upright", "3 mm, upright", "1 mm, turned", "3 mm, turned"]
    assert in_words(result).count("| Body depth (mm) | 2 | 0 | +0.20 | ±0.83 | 100% |") == 4


def test_thick_slices_are_means_of_thin_ones_with_the_labels_of_their_middles():
    voxels = np.arange(9, dtype=np.int16)[:, None, None] * np.ones((1, 4, 4), np.int16) * 10
    labels = np.arange(9, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    study = SimulatedStudy(CTVolume(voxels, np.eye(4)), labels, labels, {}, {}, {})
    thick, kept = thicker(study, 3)
    assert thick.voxels[:, 0, 0].tolist() == [10, 40, 70] and thick.spacing[0] == 3.0
    assert kept[:, 0, 0].tolist() == [1, 4, 7]
    assert thick.affine[2, 3] == 1.0, "the middle of the first three"


def test_a_flag_is_wrong_unless_the_true_value_lies_outside_the_normal_range_too(tmp_path, monkeypatch):
    """Two studies, of which the simulation, the measuring and the truth stand in."""
    from neckfrac_lab.evaluation import measurements as module
    from neckfrac_lab.evaluation.fractures import cases

    loss = ("atlanto-dental", ("C1", "C2"))
    normal = NormalRange(None, 3.0, "a source")
    wide, narrow = (made(*loss, [((10, 10, 20), (10, 10 + mm, 20))], normal=normal).judged() for mm in (5, 2))
    assert wide.flag and not narrow.flag
    study = SimulatedStudy(volume(), None, None, {}, {}, {})
    monkeypatch.setattr("neckfrac_lab.simulate.command.neck_of", lambda anatomy, number: number)
    drawn = []
    monkeypatch.setattr(cases, "simulated_study", lambda n, seed, *rest: drawn.append((n, seed)) or study)
    truths = iter([[narrow], [wide]])
    monkeypatch.setattr("neckfrac_lab.simulate.landmarks.true_measurements", lambda posed: (None, next(truths)))
    monkeypatch.setattr(module, "measured_in", lambda *_: (wide,))
    result = module.evaluate_worn(2, tmp_path, networks=None, seed=4)
    assert drawn == [(1, 4), (3, 4)], "odd numbers are intact"
    assert (result["with a wrong flag"], result["right flags"], result["studies"]) == (1, 1, 2)
    said = in_words(result)
    assert "1 of 2 intact studies have a wrong flag" in said and "in truth 2.0 mm" in said
    assert "| Atlanto-dental interval (mm) | 2 | 0 | +1.50 |" in said
    again = module.evaluate_worn(2, tmp_path, networks=None, seed=4)
    assert again == result and len(drawn) == 2, "what was done is not done again"
