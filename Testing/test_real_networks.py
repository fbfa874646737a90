"""The embedded, trained networks on the embedded sample and, where it is there, on a real head."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from neckfrac.anatomy import LEVEL_BY_NAME, LEVEL_NAMES, LEVELS
from neckfrac.demo import sample_paths
from neckfrac.findings import NOT_SEEN
from neckfrac.intake.study import Study, read_study
from neckfrac.options import AnalysisOptions
from neckfrac.pipeline.analyze import Engine
from neckfrac.progress import Progress
from neckfrac.volume import CTVolume
from neckfrac_lab.evaluation.segmentation import segment_volume
from neckfrac_lab.simulate.other_anatomy import phantom_study
from neckfrac_lab.simulate.study import Grid

HEAD = Path(__file__).parents[2] / "shared" / "data" / "visible-human-female-head"


@cache
def engine():
    return Engine(device="cpu")


@cache
def sample():
    return read_study(sample_paths()[0])


@cache
def analysis():
    return engine().analyze(sample())


@cache
def truth():
    return json.loads(sample_paths()[1].read_text(encoding="utf-8"))


def test_every_level_of_the_sample_is_found_where_it_is():
    for finding in analysis().findings.levels:
        center = truth()["levels"][finding.level]["center"]
        assert finding.status != NOT_SEEN
        assert np.linalg.norm(np.array(finding.center) - center) < 15, finding.level


def test_labels_and_heat_lie_on_the_studys_grid_and_on_bone():
    result = analysis()
    assert result.labels.shape == result.heat.shape == sample().volume.shape
    for level in LEVELS:
        inside = sample().volume.voxels[result.labels == level.label]
        assert len(inside) > 2000
        assert np.median(inside) > 150


def test_a_scan_that_ends_in_a_vertebra_shifts_no_border_above_it():
    whole = analysis().labels
    center = next(level.center for level in analysis().findings.levels if level.level == "C5")
    bottom = int(sample().volume.to_indices(np.array(center))[0])
    cut = sample().volume.crop(np.array([bottom, 0, 0]), np.array(whole.shape))
    labels, located = segment_volume(cut, engine(), Progress())
    assert located.naming.certain and "C7" not in located.centers
    for name in ("C2", "C3", "C4"):
        one, two = whole[bottom:] == LEVEL_BY_NAME[name].label, labels == LEVEL_BY_NAME[name].label
        assert 2 * (one & two).sum() / (one.sum() + two.sum()) > 0.9, name


def test_boxes_lie_in_the_volume_and_only_where_a_level_is_called():
    low, high = (sample().volume.to_points(np.array(i)) for i in ((0, 0, 0), sample().volume.shape))
    for finding in analysis().findings.levels:
        assert (finding.box is not None) == (finding.status == "positive")
        if finding.box is not None:
            assert (np.array(finding.box.lower) > low - 10).all() and (np.array(finding.box.upper) < high + 10).all()


def test_the_same_study_gives_the_same_findings_in_other_stored_axes():
    volume = sample().volume
    # Axes x, z, y with x and z running the other way: the same voxels at the same places.
    stored = np.ascontiguousarray(volume.voxels.transpose(2, 0, 1)[::-1, ::-1])
    affine = np.eye(4)
    columns = volume.affine[:3, :3]
    affine[:3, 2], affine[:3, 1], affine[:3, 0] = -columns[:, 0], -columns[:, 2], columns[:, 1]
    affine[:3, 3] = volume.to_points(np.array([volume.shape[0] - 1, 0, volume.shape[2] - 1]))
    other = engine().analyze(Study(CTVolume(stored, affine), sample().identity, ()))
    for one, two in zip(analysis().findings.levels, other.findings.levels, strict=True):
        assert one.probability == pytest.approx(two.probability, abs=1e-4)
        assert np.allclose(one.center, two.center, atol=0.01)
    assert (other.labels.transpose(1, 2, 0)[::-1, :, ::-1] == analysis().labels).all()


def test_probabilities_do_not_depend_on_the_operating_point():
    sensitive = engine().analyze(sample(), AnalysisOptions("sensitive")).findings
    for one, two in zip(analysis().findings.levels, sensitive.levels, strict=True):
        assert one.probability == pytest.approx(two.probability, abs=1e-6)
        assert two.threshold <= one.threshold


def test_a_scan_without_a_neck_says_so():
    generator = np.random.default_rng(0)
    voxels = generator.normal(0, 20, (80, 100, 100)).astype(np.int16)
    voxels[:, 40:60, 40:60] = 1000  # a rod
    volume = CTVolume(voxels, np.diag([2.0, 2.0, 2.0, 1.0]))
    findings = engine().analyze(Study(volume, sample().identity, ())).findings
    assert findings.patient_status == NOT_SEEN and findings.patient_probability is None
    assert {level.status for level in findings.levels} == {NOT_SEEN}
    assert any("No cervical spine found" in warning for warning in map(str, findings.warnings))


@pytest.mark.parametrize("seed", range(900, 906))
def test_a_phantom_is_no_neck(seed):
    phantom = phantom_study(seed, Grid((88, 64, 64), (2.0, 2.0, 2.0))).volume
    labels, located = segment_volume(phantom, engine(), Progress())
    assert not located.found and not labels.any()


@pytest.mark.slow
def test_on_a_real_head_every_landmark_lies_in_its_level():
    if not HEAD.is_dir():
        pytest.skip(f"the Visible Human head is not at {HEAD}")
    study = read_study(HEAD)
    result = engine().analyze(study)
    points = json.loads(HEAD.with_suffix(".landmarks.json").read_text())["points"]
    for name, point in points.items():
        level = LEVEL_BY_NAME[name.split()[0]]
        if level.name in ("C5", "C6"):
            continue  # cut by the scan's lower edge
        index = tuple(np.rint(study.volume.to_indices(np.array(point))).astype(int))
        assert result.labels[index] == level.label, name
    # Left stays left: the patient's left is +x, and C1's left half lies there.
    c1 = study.volume.to_points(np.argwhere(result.labels == 1))
    assert abs(c1[:, 0].mean() - 250) < 8
    by_name = {level.level: level for level in result.findings.levels}
    assert [by_name[name].share_in_view for name in LEVEL_NAMES[:4]] == [1, 1, 1, 1]
    assert by_name["C7"].status == NOT_SEEN
