"""The whole road on a small phantom, through real bundles; only what finds bone is a stand-in that is named so."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
import torch
from neckfrac.anatomy import LEVEL_NAMES, LEVELS
from neckfrac.errors import Cancelled, InputError
from neckfrac.findings import NEGATIVE, NOT_SEEN, POSITIVE, StudyIdentity
from neckfrac.intake.study import Study
from neckfrac.options import OPERATING_POINTS, AnalysisOptions
from neckfrac.pipeline.analyze import Engine
from neckfrac.progress import Progress
from neckfrac.study_warning import StudyWarning
from neckfrac.volume import CTVolume
from pipeline_phantom import (
    HEIGHT,
    ORIGIN,
    SHAPE,
    SPACING,
    LocateStandIn,
    knowing,
    phantom,
    stored,
    study,
)
from scipy import ndimage


class Broken(torch.nn.Module):
    """A member that fails as one does on a GPU without room."""

    def forward(self, image):
        raise RuntimeError("out of memory\nsecond line")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def engine(models):
    return knowing(models)


@pytest.fixture(scope="module")
def upright(engine):
    return engine.analyze(study(phantom()[0]))


def overlap(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_without_a_neck_every_level_is_not_seen_and_the_findings_say_why(models):
    volume, _ = phantom()
    result = Engine(models, "cpu").analyze(study(volume))
    assert [level.status for level in result.findings.levels] == [NOT_SEEN] * 7
    assert all(level.probability is level.threshold is level.box is None for level in result.findings.levels)
    assert result.findings.patient_status == NOT_SEEN and result.findings.patient_probability is None
    assert any("No cervical spine found" in warning for warning in map(str, result.findings.warnings))
    assert result.labels.shape == result.heat.shape == volume.shape
    assert not result.labels.any() and not result.heat.any()


def test_networks_that_know_nothing_of_bone_still_give_whole_findings(models):
    engine = Engine(models, "cpu")
    engine.networks["locate"] = LocateStandIn()
    findings = engine.analyze(study(phantom()[0])).findings
    assert [level.level for level in findings.levels] == list(LEVEL_NAMES)
    for level in findings.levels:
        assert (level.status == NOT_SEEN) == (level.probability is None)


def test_every_level_is_labelled_where_the_phantom_has_it(upright):
    volume, truth = phantom()
    assert upright.volume.shape == upright.labels.shape == truth.shape
    for level, finding in zip(LEVELS, upright.findings.levels, strict=True):
        assert overlap(upright.labels == level.label, truth == level.label) > 0.9, level.name
        center = volume.to_points(np.argwhere(truth == level.label).mean(axis=0))
        assert np.linalg.norm(center - finding.center) < 1.0
        assert finding.share_in_view == 1.0 and finding.status != NOT_SEEN
        assert set(finding.members) == {"tiny-slices", "tiny-vertebrae"}
        low, high = sorted(finding.members.values())
        assert low <= finding.probability <= high


def test_left_stays_left_and_all_48_orientations_give_the_same_findings(engine, upright):
    volume, truth = phantom()
    middle = ORIGIN[0] + SPACING * (SHAPE[2] - 1) / 2
    for axes, mask in product(permutations(range(3)), range(8)):
        flips = tuple(axis for axis in range(3) if mask >> axis & 1)
        turned, expected = stored(volume, truth, axes, flips)
        result = engine.analyze(study(turned))
        assert result.volume is turned and result.labels.shape == turned.shape, (axes, flips)
        # The very labels and heat of the upright scan, stored as this one is.
        _, labels = stored(volume, upright.labels, axes, flips)
        _, heat = stored(volume, upright.heat, axes, flips)
        assert np.array_equal(result.labels, labels) and np.array_equal(result.heat, heat), (axes, flips)
        assert overlap(result.labels > 0, expected > 0) > 0.9
        points = turned.to_points(np.argwhere(result.labels > 0))
        assert points[:, 0].mean() > middle + 4, "the blocks lie left of the middle: x grows to the left"
        for one, other in zip(upright.findings.levels, result.findings.levels, strict=True):
            assert one.status == other.status and np.allclose(one.center, other.center, atol=1e-3)
            assert one.probability == pytest.approx(other.probability, abs=1e-6)
        assert result.findings.geometry["affine"] == turned.affine.tolist()


def test_an_oblique_scan_is_labelled_on_its_own_voxels(engine):
    volume, truth = phantom()
    angle = np.radians(8)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = volume.affine.copy()
    affine[:3, :3] = turn @ affine[:3, :3]
    result = engine.analyze(study(CTVolume(volume.voxels, affine)))
    # Interpolated HU make a thin rim of other levels, so what counts is where bone lies.
    assert overlap(result.labels > 0, truth > 0) > 0.75


def test_a_member_that_fails_is_left_out_with_a_warning_and_the_rest_answers(models, upright):
    engine = knowing(models)
    engine.networks["tiny-vertebrae"] = Broken()
    findings = engine.analyze(study(phantom()[0])).findings
    said = {warning.code: str(warning) for warning in findings.warnings}
    assert said["member-failed"] == "tiny-vertebrae failed and was left out: out of memory"
    for level, whole in zip(findings.levels, upright.findings.levels, strict=True):
        assert level.members == {"tiny-slices": whole.members["tiny-slices"]}
        assert level.probability == pytest.approx(whole.members["tiny-slices"])


def only(models, folder, *names):
    """A models folder that lacks all members but the named ones."""
    for part in models.iterdir():
        if part.name in ("tiny-locate", "tiny-segment", "ensemble.json", *names):
            (folder / part.name).symlink_to(part)
    return folder


def test_a_member_that_is_not_installed_is_left_out_with_a_warning(models, upright, tmp_path):
    findings = knowing(only(models, tmp_path, "tiny-slices")).analyze(study(phantom()[0])).findings
    assert any("tiny-vertebrae is not among the models" in warning for warning in map(str, findings.warnings))
    for level, whole in zip(findings.levels, upright.findings.levels, strict=True):
        assert level.members == {"tiny-slices": whole.members["tiny-slices"]}


def test_without_any_member_there_is_no_engine(models, tmp_path):
    with pytest.raises(InputError, match="no network that finds fractures"):
        Engine(only(models, tmp_path), "cpu")


def test_when_every_member_fails_there_is_no_answer(models):
    engine = knowing(models)
    engine.networks |= {"tiny-vertebrae": Broken(), "tiny-slices": Broken()}
    with pytest.raises(RuntimeError, match="Every member"):
        engine.analyze(study(phantom()[0]))


STAGES = ("Locating the spine", "Segmenting the vertebrae", "Measuring", "Looking for fractures", "Drawing boxes")


def test_the_stages_run_in_order_and_fractions_never_fall(models):
    engine, told = knowing(models), []
    engine.bundles["tiny-slices"].preprocessing["step"] = 1  # enough slices for several batches
    engine.analyze(study(phantom()[0]), progress=Progress(lambda *step: told.append(step)))
    assert tuple(dict.fromkeys(stage for stage, _ in told)) == STAGES
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    members = [fraction for stage, fraction in told if stage == STAGES[3]]
    assert any(0.65 < f < 0.775 for f in members) and any(0.775 < f < 0.9 for f in members), "half of the stage each"
    assert len(set(members[1:])) == len(members[1:]), "every step goes on"


@pytest.mark.parametrize("stage", STAGES)
def test_cancelling_in_any_stage_ends_the_analysis(engine, stage):
    told = []
    progress = Progress(lambda name, _: told.append(name), lambda: stage in told)
    with pytest.raises(Cancelled):
        engine.analyze(study(phantom()[0]), progress=progress)
    assert told[-1] == stage and told.count(stage) == 1, "the very next step ended it"


def test_cancelling_between_the_members_is_not_taken_for_a_member_that_failed(engine):
    told = []
    progress = Progress(lambda _, done: told.append(done), lambda: bool(told) and told[-1] > 0.775)
    with pytest.raises(Cancelled):
        engine.analyze(study(phantom()[0]), progress=progress)
    assert told[-1] < 0.9 and not any("failed" in warning for warning in map(str, progress.warnings))


def test_the_operating_point_moves_thresholds_and_calls_but_no_probability(engine):
    by_point = {p: engine.analyze(study(phantom()[0]), AnalysisOptions(p)).findings for p in OPERATING_POINTS}
    first = by_point["balanced"]
    for point, findings in by_point.items():
        assert findings.operating_point == point
        assert findings.patient_probability == first.patient_probability
        for one, other in zip(first.levels, findings.levels, strict=True):
            assert one.probability == other.probability and one.members == other.members
            assert other.status == (POSITIVE if other.probability >= other.threshold else NEGATIVE)
            assert (other.box is None) == (other.severity is None) == (other.status == NEGATIVE)
    assert {level.status for level in by_point["sensitive"].levels} == {POSITIVE}
    assert {level.status for level in by_point["specific"].levels} == {NEGATIVE}


def test_boxes_lie_at_their_vertebra(engine):
    findings = engine.analyze(study(phantom()[0]), AnalysisOptions("sensitive")).findings
    for level in findings.levels:
        assert np.all(level.box.size >= 6)
        # Half a block (8 mm high, 38 mm wide at most) and the reach of the heat around it.
        assert np.all(np.abs(level.box.center - level.center) < (22, 15, 8)), level.level


def test_the_heat_lies_on_the_vertebrae_and_their_surface(upright):
    near = ndimage.binary_dilation(upright.labels > 0, iterations=3)
    assert 0 < upright.heat.max() <= 100
    assert not upright.heat[~near].any() and (upright.heat[upright.labels > 0] > 0).mean() > 0.9


def test_an_unknown_operating_point_is_refused(engine):
    with pytest.raises(InputError, match="no operating point 'lucky'") as caught:
        engine.analyze(study(phantom()[0]), AnalysisOptions("lucky"))
    assert caught.value.exit_code == 2 and "sensitive, balanced, specific" in caught.value.advice


def test_a_level_cut_by_the_edge_is_partly_in_view_and_those_beyond_it_are_not_seen(engine):
    volume, truth = phantom()
    cut = int(np.argwhere(truth == 5)[:, 0].min()) + HEIGHT // 2  # through the middle of C5
    findings = engine.analyze(study(volume.crop((cut, 0, 0), volume.shape))).findings
    by_name = {level.level: level for level in findings.levels}
    for name in ("C1", "C2", "C3", "C4"):
        assert by_name[name].share_in_view == 1.0 and by_name[name].status != NOT_SEEN
    assert 0.3 < by_name["C5"].share_in_view < 0.75 and by_name["C5"].status != NOT_SEEN
    for name in ("C6", "C7"):
        assert by_name[name].status == NOT_SEEN and by_name[name].probability is None
        assert by_name[name].share_in_view == 0.0 and by_name[name].members == {}
    assert any("Only partly in view: C5" in warning for warning in map(str, findings.warnings))
    assert any(warning.endswith("nothing is said of: C6, C7.") for warning in map(str, findings.warnings))


def test_the_studys_own_warnings_reach_the_findings(engine):
    volume, _ = phantom()
    thick = StudyWarning("spacing-thick", "The slices are thick.")
    findings = engine.analyze(Study(volume, StudyIdentity(), (thick,))).findings
    assert findings.warnings[0] == thick


def test_the_calls_at_another_operating_point_need_no_new_analysis(engine):
    by_point = {p: engine.analyze(study(phantom()[0]), AnalysisOptions(p)).findings for p in OPERATING_POINTS}
    for start, goal in product(OPERATING_POINTS, repeat=2):
        moved = by_point[start].at(goal)
        assert replace(moved, timings={}) == replace(by_point[goal], timings={}), (start, goal)


def test_levels_that_were_segmented_before_take_the_place_of_ours_in_any_orientation(engine, upright):
    volume, truth = phantom()
    truth = np.where(truth == 7, 9, truth)  # what is no level is no finding's
    for axes, flips in (((0, 1, 2), ()), ((2, 0, 1), (0, 2)), ((1, 2, 0), (1,))):
        turned, labels = stored(volume, truth, axes, flips)
        result = engine.analyze(study(turned), labels=labels)
        assert np.array_equal(result.labels, np.where(labels < 8, labels, 0))
        for name, finding, ours in zip(LEVEL_NAMES, result.findings.levels, upright.findings.levels, strict=True):
            if name == "C7":
                assert finding.status == NOT_SEEN
                continue
            assert np.linalg.norm(np.subtract(finding.center, ours.center)) < 1.0
            assert set(finding.members) == set(ours.members) and finding.share_in_view == 1.0
        assert result.findings.naming.certain
        assert any("given with the study" in warning for warning in map(str, result.findings.warnings))


def test_a_given_segmentation_moves_what_is_looked_at(engine):
    volume, truth = phantom()
    only_c3 = np.where(truth == 3, 3, 0).astype(np.uint8)
    findings = engine.analyze(study(volume), labels=only_c3).findings
    assert [level.level for level in findings.levels if level.status != NOT_SEEN] == ["C3"]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.ones((3, 3, 3), np.uint8), "voxels"),
        (np.zeros(SHAPE, np.uint8), "none of C1 to C7"),
        (np.full(SHAPE, 9, np.uint8), "none of C1 to C7"),
    ],
)
def test_a_segmentation_that_can_not_be_used_is_refused(engine, labels, words):
    with pytest.raises(InputError, match=words):
        engine.analyze(study(phantom()[0]), labels=labels)


def test_what_is_said_of_the_levels_does_not_hang_on_the_anchors(engine, upright):
    shown = engine.analyze(study(phantom()[0]), AnalysisOptions(anchors=True))
    assert replace(shown.findings, timings={}) == replace(upright.findings, timings={})
    assert np.array_equal(shown.labels, upright.labels) and np.array_equal(shown.heat, upright.heat)
    assert shown.anchors is not None and shown.anchors.shape == shown.labels.shape
