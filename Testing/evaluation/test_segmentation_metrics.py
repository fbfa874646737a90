"""Figures of the segmentation: hand-made labels whose figures are known, a toy neck, and the command."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from neckfrac.anatomy import T1
from neckfrac.cli import main
from neckfrac.comparison.intervals import mean, rate
from neckfrac.comparison.overlap import level_figures
from neckfrac.comparison.scoring import score, summarise
from neckfrac.errors import InputError
from neckfrac.pipeline.engine import Networks
from neckfrac.volume import CTVolume
from neckfrac_lab.evaluation import perturbations as degraded
from neckfrac_lab.evaluation import robustness
from neckfrac_lab.evaluation.figure import categories, draw_robustness, with_baseline
from neckfrac_lab.evaluation.perturbations import CUTS, Case, RealScan, Subject
from neckfrac_lab.evaluation.robustness import (
    BASELINE,
    CONDITIONS,
    REAL_CONDITIONS,
    REAL_FILE,
    SIMULATED_FILE,
    Ledger,
    curves,
    landmarks_right,
    points_of,
    sweep_simulated,
)
from neckfrac_lab.evaluation.segmentation import shares_of_labels
from simulate.conftest import make_toy_neck
from tiny_networks import write_models

SPACING = np.array([1.0, 1.0, 1.0])
ALL = {f"C{n}": 1.0 for n in range(1, 8)}


pytestmark = pytest.mark.usefixtures("one_thread")


def stack(first: int = 1, last: int = T1) -> np.ndarray:
    """Blocks of 10 x 20 x 20 voxels, the first label on top (z runs upwards), 2 voxels apart."""
    labels = np.zeros((110, 40, 40), np.uint8)
    for label in range(first, last + 1):
        top = 105 - 12 * label
        labels[top : top + 10, 10:30, 10:30] = label
    return labels


def ct(labels: np.ndarray, spacing=(1.0, 1.0, 1.0)) -> CTVolume:
    voxels = np.where(labels > 0, 600, 40).astype(np.int16)
    return CTVolume(voxels, np.diag([*spacing[::-1], 1.0]))


# --- one level ----------------------------------------------------------------------------------


def test_the_same_mask_is_perfect_and_an_empty_answer_has_no_distance():
    truth = stack() == 3
    assert level_figures(truth, truth, SPACING) == {
        "dice": 1.0, "surface dice 1 mm": 1.0, "surface dice 2 mm": 1.0, "hausdorff95 mm": 0.0}  # fmt: skip
    nothing = level_figures(np.zeros_like(truth), truth, SPACING)
    assert nothing["dice"] == nothing["surface dice 2 mm"] == 0 and nothing["hausdorff95 mm"] is None


@pytest.mark.parametrize(("step", "within_1", "within_2"), [(1.0, True, True), (1.6, False, True), (3.0, False, False)])
def test_a_shift_along_z_is_measured_in_millimetres(step, within_1, within_2):
    truth = stack() == 3
    figures = level_figures(np.roll(truth, 1, axis=0), truth, (step, 1.0, 1.0))
    assert figures["dice"] == pytest.approx(0.9)
    assert figures["hausdorff95 mm"] == pytest.approx(step)
    assert (figures["surface dice 1 mm"] == 1) == within_1 and (figures["surface dice 2 mm"] == 1) == within_2
    assert figures["surface dice 2 mm"] > 0.3


def test_intervals_hold_what_they_are_of_and_nothing_has_none():
    perfect = rate(20, 20)
    # Wilson's interval of 20 of 20, as published tables have it.
    assert perfect["rate"] == 1 and perfect["interval"] == pytest.approx([0.8389, 1.0], abs=1e-3)
    assert rate(0, 0)["interval"] is None and mean([])["mean"] is None
    values = mean([[0.8, 0.9], [0.7], []])
    assert values["count"] == 3 and values["mean"] == pytest.approx(0.8)
    assert values["interval"] == [pytest.approx(0.7), pytest.approx(0.85)]


# --- one study ----------------------------------------------------------------------------------


def test_a_perfect_answer_has_every_level_right():
    result = score(np.where(stack() == T1, 0, stack()), stack(), SPACING, ALL)
    assert result.every_level_right and not result.wrong and all(result.identified.values())
    assert list(result.whole) == list(ALL) and not result.partly


def test_names_one_level_too_low_are_wrong_though_the_bone_is_right_and_worse_when_given_as_certain():
    truth = stack()
    shifted = np.where((truth > 0) & (truth < 7), truth + 1, 0)
    sure, unsure = (score(shifted, truth, SPACING, ALL, certain=certain) for certain in (True, False))
    assert sure.wrong == {f"C{n + 1}": f"C{n}" for n in range(1, 7)}
    assert not any(sure.identified.values()) and not sure.every_level_right
    assert sure.certain_and_wrong and not unsure.certain_and_wrong


def test_the_first_rib_bearing_vertebra_called_c7_is_wrong():
    truth = stack()
    answer = np.where(truth == T1, 7, np.where(truth == 7, 0, truth))
    result = score(answer, truth, SPACING, ALL)
    assert result.wrong == {"C7": "T1"} and not result.identified["C7"] and result.identified["C6"]


def test_a_level_outside_the_spine_is_wrong_and_a_few_voxels_are_not_judged():
    truth = stack(first=2)
    answer = np.where(truth <= 7, truth, 0)
    answer[104:108, 0:9, 0:9] = 1  # 0.3 ml of something above
    assert score(answer, truth, SPACING, ALL).wrong == {"C1": ""}
    answer[105:108] = 0
    assert score(answer, truth, SPACING, ALL).every_level_right


def test_a_level_that_is_missed_is_not_right_and_not_a_wrong_name():
    truth = stack()
    result = score(np.where((truth == 4) | (truth == T1), 0, truth), truth, SPACING, ALL)
    assert not result.wrong and not result.every_level_right and not result.identified["C4"]
    summary = summarise([result])
    assert summary["whole levels"]["missed"] == 1 and summary["whole levels"]["dice"]["mean"] == pytest.approx(6 / 7)
    assert summary["whole levels"]["hausdorff95 mm"]["count"] == 6
    assert summary["by level"]["C4"]["identified"]["rate"] == 0


def test_partly_seen_levels_are_reported_apart():
    result = score(np.where(stack() == 7, 0, stack()), stack(), SPACING, {**ALL, "C7": 0.6})
    assert list(result.partly) == ["C7"] and result.every_level_right
    summary = summarise([replace(result, strata={"noise": "low"})])
    assert summary["whole levels"]["dice"]["mean"] == 1 and summary["partly seen levels"]["dice"]["mean"] == 0
    assert summary["strata"]["noise"]["low"]["studies"] == 1


def test_a_label_at_the_border_or_beside_missing_data_is_partly_seen():
    labels = stack()
    labels[:9] = np.where(stack(first=8) > 0, 0, labels)[:9]
    volume = ct(labels)
    assert set(shares_of_labels(labels, volume).values()) == {1.0}
    assert shares_of_labels(labels[26:], ct(labels[26:]))["C6"] == 1
    assert shares_of_labels(labels[35:], ct(labels[35:]))["C6"] == 0.5
    volume.voxels[: 105 - 12 * 6] = -1024
    assert shares_of_labels(labels, volume)["C6"] == 0.5


# --- a scan made worse --------------------------------------------------------------------------


@pytest.fixture
def real():
    labels = stack(last=7)
    points = {f"C{n} body": tuple(float(v) for v in np.argwhere(labels == n).mean(0)[::-1]) for n in range(1, 8)}
    return RealScan(Case(ct(labels), labels, dict(ALL), points))


@pytest.mark.parametrize(("where", "names"), [(CUTS[0], "C1 C2 C3"), (CUTS[1], "C5 C6 C7"), (CUTS[2], "C3 C4 C5")])
def test_a_cut_keeps_so_many_whole_levels(real, where, names):
    case = real.case(where, 3)
    assert [name for name, share in case.shares.items() if share == 1.0] == names.split()
    assert case.volume.shape == case.labels.shape
    # What is kept stays where it was.
    label = int(names[1])
    moved = case.volume.to_points(np.argwhere(case.labels == label).mean(0))
    assert moved == pytest.approx(real.case_as_read.points[f"C{label} body"])


@pytest.mark.parametrize("condition", ["pitch", "roll", "yaw"])
@pytest.mark.parametrize("degrees", [-30, 30])
def test_labels_and_landmarks_turn_with_the_scan(real, condition, degrees):
    case = real.case(condition, degrees)
    answer = np.where(case.volume.voxels > 300, case.labels, 0)
    for n in (3, 4, 5):
        assert case.shares[f"C{n}"] == 1
        center = case.volume.to_points(np.argwhere(case.labels == n).mean(0))
        assert center == pytest.approx(case.points[f"C{n} body"], abs=0.3)
    assert landmarks_right(answer, case.volume, case.points)["C4 body"]


def test_positive_pitch_lowers_the_face_as_in_the_simulator(real):
    before, after = (np.array(real.case("pitch", angle).points["C1 body"]) for angle in (0, 30))
    assert after[1] < before[1] - 5  # the head comes forward: y runs backwards


def test_thick_slices_noise_and_offset_change_what_they_say(real):
    thick = real.case("slice thickness", 5)
    assert thick.volume.spacing == pytest.approx([5, 1, 1]) and thick.labels.shape == thick.volume.shape
    noisy, brighter = real.case("noise", 40).volume.voxels, real.case("HU offset", 50).volume.voxels
    untouched = real.case_as_read.volume.voxels
    assert (noisy - untouched).std() == pytest.approx(40, rel=0.02)
    assert (brighter - untouched == 50).all()
    fine = real.case("in-plane spacing", 0.5)
    assert fine.volume.spacing == pytest.approx([1, 0.5, 0.5])
    assert (fine.labels == 4).sum() == pytest.approx(4 * (real.case_as_read.labels == 4).sum(), rel=0.1)
    soft, sharp = real.case("kernel", "soft").volume.voxels, real.case("kernel", "very sharp").volume.voxels
    assert soft.std() < untouched.std() < sharp.std()


def test_a_landmark_counts_when_its_level_is_the_nearest_within_2_mm():
    labels = stack(last=7)
    volume = ct(labels)
    points = {"C1 body": (20.0, 20.0, 98.0), "C1 tip": (31.0, 20.0, 98.0), "C1 far": (33.0, 20.0, 98.0)}
    points |= {"C1 out": (20.0, 20.0, 300.0), "C3 body": (20.0, 20.0, 86.0)}  # the last lies in C2
    right = landmarks_right(labels, volume, points)
    assert right == {"C1 body": True, "C1 tip": True, "C1 far": False, "C3 body": False}


@pytest.fixture(scope="module")
def subject():
    return Subject(make_toy_neck(), 7, -1)


def test_a_subject_is_turned_by_the_angle_that_was_asked_for_and_by_nothing_else(subject):
    tiny = (8, 8, 8), (20.0, 20.0, 20.0)
    upright = subject._simulate(subject.variation, subject.scanner, *tiny).truth["pose"]
    assert upright["rotation_degrees"] == [0, 0, 0]
    for axis, condition in enumerate(("pitch", "roll", "yaw")):
        turned = subject._turned(axis, -20.0)
        pose = subject._simulate(turned, subject.scanner, *tiny).truth["pose"]
        wanted = [-20.0 if n == axis else 0.0 for n in range(3)]
        assert pose["rotation_degrees"] == pytest.approx(wanted, abs=1e-6), condition
        assert pose["body_scale"] == upright["body_scale"]


def test_a_simulated_thick_slice_is_kept_from_thin_ones(subject, monkeypatch):
    monkeypatch.setattr(degraded, "EXTENT", (190.0, 60.0, 60.0))
    thin, thick = subject.case("slice thickness", 1), subject.case("slice thickness", 5)
    assert thick.volume.spacing == pytest.approx([5.0, 0.8, 0.8])
    assert (thick.labels == thin.labels[::5]).all()
    assert thick.volume.voxels[:, 30:45].std() < thin.volume.voxels[:, 30:45].std()


# --- the sweep ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    return Networks(write_models(tmp_path_factory.mktemp("models")), "cpu", 1)


def test_a_sweep_goes_on_where_it_was_interrupted_and_refuses_another_seed(tmp_path, networks, monkeypatch):
    monkeypatch.setattr(degraded, "EXTENT", (60.0, 40.0, 40.0))
    built = []

    def build(subject: int):
        built.append(subject)
        return make_toy_neck()

    options = {"subjects": 1, "chosen": ["HU offset"], "build": build}
    path = sweep_simulated(networks, tmp_path, **options)
    content = json.loads(path.read_text())
    assert [r["condition"] for r in content["records"]] == [BASELINE] + 4 * ["HU offset"]
    assert set(content["sweep"]["bundles"]) == {"tiny-locate", "tiny-segment"} and content["sweep"]["seed"] == 0
    assert "--seed 0" in content["sweep"]["command"]
    content["records"].pop()
    path.write_text(json.dumps(content))
    sweep_simulated(networks, tmp_path, **options)
    again = json.loads(path.read_text())
    assert len(again["records"]) == 5 and again["records"][:4] == content["records"] and built == [0, 0]
    sweep_simulated(networks, tmp_path, **options)
    assert built == [0, 0]  # nothing is left to do
    with pytest.raises(InputError, match="another sweep .seed"):
        sweep_simulated(networks, tmp_path, seed=1, **options)
    path.write_text("{}")
    with pytest.raises(InputError, match="no results to go on from"):
        sweep_simulated(networks, tmp_path, **options)


def test_every_condition_is_swept_from_its_first_value_to_its_last():
    points = points_of(CONDITIONS)
    assert points[0] == (BASELINE, None) and len(points) == len(set(points)) > 40
    assert set(REAL_CONDITIONS) < set(CONDITIONS)
    assert [value for name, value in points if name == CUTS[0]] == [7, 6, 5, 4, 3, 2]
    with pytest.raises(InputError, match="no condition 'weather'"):
        points_of(CONDITIONS, ["weather"])


def record(condition, value, overlap, right=True, subject=0):
    return {
        "subject": subject, "condition": condition, "value": value, "whole": {"C3": {"dice": overlap}}, "found": True,
        "every level right": right, "certain and wrong": not right, "landmarks": {"C3 body": right},
    }  # fmt: skip


def test_a_curve_has_its_baseline_where_it_belongs():
    records = [record(BASELINE, None, 0.9), *(record("slice thickness", v, 0.5) for v in (0.5, 2, 3, 5))]
    swept = curves([*records, record("slice thickness", 5, 0.7, right=False, subject=1)])
    points = with_baseline(swept, "slice thickness", CONDITIONS)
    assert [p["value"] for p in points] == [0.5, 1, 2, 3, 5] and points[1]["dice"]["mean"] == 0.9
    assert points[-1]["dice"]["mean"] == pytest.approx(0.6) and points[-1]["every level right"]["rate"] == 0.5
    assert points[-1]["certain and wrong"]["right"] == 1 and points[-1]["landmarks right"]["rate"] == 0.5
    assert categories("kernel")[2] == "standard" and categories("noise") == []


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_the_figure_shows_every_condition_and_says_that_it_is_simulated(tmp_path):
    for name, conditions in ((SIMULATED_FILE, CONDITIONS), (REAL_FILE, REAL_CONDITIONS)):
        ledger = Ledger(tmp_path / name, {"seed": 0})
        ledger.records = [record(c, v, 0.8) for c, v in points_of(conditions)]
        ledger.add(record("pitch", 40, 0.4, right=False, subject=1))
    svg, png = draw_robustness(tmp_path)
    drawn = svg.read_text()
    assert "simulated CT" in drawn and "not a medical device" in drawn and png.stat().st_size > 20_000
    for name in CONDITIONS:
        assert name in drawn
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no sweep to draw"):
        draw_robustness(tmp_path / "empty")


# --- the command --------------------------------------------------------------------------------


def run(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return (ended.value.code or 0, *capsys.readouterr())


def test_a_labelled_ct_is_evaluated_by_the_command(tmp_path, capsys):
    labels = stack(last=7)
    models = write_models(tmp_path / "models")
    sitk.WriteImage(sitk.GetImageFromArray(labels), str(tmp_path / "labels.nii.gz"))
    volume = ct(labels).voxels
    volume[:, :4] = -1000  # a CT has air
    sitk.WriteImage(sitk.GetImageFromArray(volume), str(tmp_path / "ct.nii.gz"))
    options = ("--models", models, "--device", "cpu", "--threads", 1, "--quiet")
    files = ("--study", tmp_path / "ct.nii.gz", "--reference", tmp_path / "labels.nii.gz")
    code, out, errors = run(capsys, "evaluate", "segment", *files, "--out", tmp_path / "out", "--record", *options)
    assert (code, errors) == (0, "")
    told = json.loads(out)
    assert told == json.loads((tmp_path / "out" / "segment.json").read_text())
    assert told["whole levels"]["dice"]["count"] == 7 and told["on"] == "a labelled CT"
    assert {len(checksum) for checksum in told["bundles"].values()} == {64}
    card = (models / "tiny-segment" / "docs" / "README.md").read_text(encoding="utf-8")
    assert "Dice of whole levels, a labelled CT" in card and "n = 7" in card
    code, _, errors = run(capsys, "evaluate", "segment", "--study", tmp_path / "ct.nii.gz", *options)
    assert code == 2 and "belong together" in errors
    sitk.WriteImage(sitk.GetImageFromArray(0 * labels), str(tmp_path / "labels.nii.gz"))
    code, _, errors = run(capsys, "evaluate", "segment", *files, *options)
    assert code == 2 and "none of C1 to C7" in errors


def test_landmarks_that_name_no_level_are_refused(tmp_path):
    path = Path(tmp_path / "marks.json")
    path.write_text('{"points": {"skull": [0, 0, 0]}}')
    with pytest.raises(InputError, match="names no level"):
        robustness.read_landmarks(path)
    path.write_text("[]")
    with pytest.raises(InputError, match="can't be read"):
        robustness.read_landmarks(path)
