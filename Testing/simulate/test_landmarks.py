"""True landmarks of posed necks, and injuries that only move what is whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from neckfrac.errors import InputError
from neckfrac_lab.simulate.export import truth_of
from neckfrac_lab.simulate.injuries import KINDS, injure, parse_injury
from neckfrac_lab.simulate.landmarks import true_measurements
from neckfrac_lab.simulate.noise import SmoothNoise
from neckfrac_lab.simulate.pose import Variation, draw_pose
from neckfrac_lab.simulate.posed_surface import PosedSurface
from neckfrac_lab.simulate.study import Grid, Scanner, simulate_study
from neckfrac_lab.simulate.tissue import draw_tissue

STILL = Variation.plain().still()


def surface_of(neck, variation=STILL, seed=0, **options):
    pose = draw_pose(neck, variation, np.random.default_rng(seed))
    return PosedSurface(neck, pose, draw_tissue(neck, variation, np.random.default_rng(seed)), **options)


def measured(neck, variation=STILL, seed=0, **options):
    found = true_measurements(surface_of(neck, variation, seed, **options))[1]
    return {(one.name, *one.levels): one.value for one in found}


def test_noise_at_points_is_the_noise_on_a_lattice():
    noise = SmoothNoise.draw(np.random.default_rng(3), 7.0, 2)
    z, y, x = torch.tensor([-3.0, 11.5]), torch.tensor([0.5, 200.0]), torch.tensor([-40.0, 2.0])
    points = torch.stack([axis.flatten() for axis in torch.meshgrid(z, y, x, indexing="ij")][::-1])
    assert torch.allclose(noise.at(points), noise.on_lattice(z, y, x).reshape(2, -1), atol=1e-5)


def test_a_body_whose_size_is_known_is_measured_as_large_as_it_is(toy_neck):
    found = measured(toy_neck)
    # An ellipsoid of 18 x 16 x 12 mm, behind which the arch's ring adds a millimetre.
    assert found["body-depth", "C5"] == pytest.approx(17.0, abs=0.7)
    assert found["middle-height", "C5"] == pytest.approx(12.0, abs=0.6)
    assert found["anterior-height", "C5"] == pytest.approx(12.0 * np.sqrt(1 - 0.75**2), abs=1.0)
    assert found["listhesis", "C4", "C5"] == pytest.approx(0.0, abs=0.3)


def test_measures_do_not_hang_on_how_the_neck_is_turned_or_mirrored(toy_neck):
    plain = measured(toy_neck)
    for turn, mirrored in (((25.0, -20.0, 30.0), False), ((0.0, 15.0, -20.0), True)):
        turned = measured(toy_neck, replace(STILL, turn=turn), mirrored=mirrored)
        assert {*turned} == {*plain}
        assert all(abs(turned[key] - value) < 1.5 for key, value in plain.items())


def test_true_points_lie_on_the_bone_of_the_rendered_labels(toy_neck):
    variation = replace(Variation(), implant_chance=0.0)
    study = simulate_study(
        toy_neck, seed=4, grid=Grid((120, 100, 90), (1.5, 1.2, 1.2)), variation=variation, scanner=Scanner.clean()
    )
    points = study.posed.forward("C4", np.array([toy_neck.frames["C4"].center]))
    z, y, x = np.rint(study.volume.to_indices(points[0])).astype(int)
    assert study.labels[z, y, x] == 4
    assert study.posed.distance("C4", points)[0] < -4, "deep inside"
    inside = study.volume.to_points(np.argwhere(study.labels == 4))
    assert np.mean(study.posed.distance("C4", inside) < 0.7) > 0.97


def test_truth_holds_landmarks_and_measurements_as_json(toy_neck):
    study = simulate_study(toy_neck, seed=1, grid=Grid((40, 40, 40), (3.0, 3.0, 3.0)), scanner=Scanner.clean())
    truth = truth_of(study)
    assert {"upper corner", "lower corner", "front wall"} <= {*truth["landmarks"]["C5"]}
    one = next(item for item in truth["measurements"] if item["name"] == "body-depth" and item["levels"] == ["C5"])
    ends = np.array(one["points"])
    assert one["value"] == pytest.approx(float(np.linalg.norm(ends[1] - ends[0])))


@pytest.mark.parametrize("kind", ["ligament", "facet-dislocation", "facet-dislocation-one"])
def test_an_injured_joint_slips_by_what_was_drawn(toy_neck, kind):
    before = measured(toy_neck)
    variation, injury = injure(toy_neck, STILL, "C4", kind, seed=1, severity=1.0)
    after = measured(toy_neck, variation)
    slip = after["listhesis", "C4", "C5"] - before["listhesis", "C4", "C5"]
    assert slip >= 0.6 * injury.parameters["forward"]
    if kind == "ligament":
        assert after["interspinous", "C4", "C5"] > 1.2 * before["interspinous", "C4", "C5"]
        assert after["segmental-angle", "C4", "C5"] < before["segmental-angle", "C4", "C5"] - 8
    assert abs(after["listhesis", "C6", "C7"] - before["listhesis", "C6", "C7"]) < 0.3, "others stay"


def test_an_injury_draws_nothing_from_the_studys_own_streams(toy_neck):
    grid = Grid((30, 40, 40), (4.0, 3.0, 3.0))
    plain = simulate_study(toy_neck, seed=5, grid=grid)
    variation, _ = injure(toy_neck, Variation(), "C5", "swelling", seed=5)
    swollen = simulate_study(toy_neck, seed=5, grid=grid, variation=variation)
    assert (plain.labels == swollen.labels).all() and plain.truth == swollen.truth


def test_tissue_before_a_swollen_level_stands_farther_forward(toy_neck):
    variation, injury = injure(toy_neck, STILL, "C3", "swelling", seed=2, severity=0.5)
    front = torch.tensor(toy_neck.frames["C3"].center) - torch.tensor(toy_neck.frames["C4"].center)
    at = (front + torch.tensor([0.0, -8.0 - 20.0, 0.0]))[:, None].float()
    plain, swollen = (surface_of(toy_neck, v).pose.tissue_at_rest(at.clone())[1, 0] for v in (STILL, variation))
    assert float(swollen - plain) == pytest.approx(injury.parameters["forward"], rel=0.2)


def test_injuries_are_parsed_beside_fractures():
    assert parse_injury("c5:facet dislocation") == ("C5", "facet-dislocation")
    assert parse_injury("C2:odontoid-2") is None and len(KINDS) == 4
    with pytest.raises(InputError, match="C7 has no injury"):
        parse_injury("C7:ligament")
