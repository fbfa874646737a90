"""Posed necks stay necks."""

from __future__ import annotations

import numpy as np
import torch
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac_lab.simulate.noise import SmoothNoise
from neckfrac_lab.simulate.pose import Variation, affine, apply, draw_pose, rotation
from neckfrac_lab.simulate.study import Grid, Scanner, simulate_study


def pose_of(neck, seed, variation=Variation()):
    return draw_pose(neck, variation, np.random.default_rng(seed))


def test_a_plain_pose_leaves_every_bone_where_it_was_relative_to_c4(toy_neck):
    pose = pose_of(toy_neck, 0, Variation.plain())
    shift = -np.array(toy_neck.frames["C4"].center)
    for bone in toy_neck.bones.values():
        assert np.allclose(pose.link_of(bone), affine(np.eye(3), shift))


def test_positive_flexion_lowers_the_face_and_positive_turn_moves_it_to_the_left(toy_neck):
    face = np.array([0.0, -1.0, 0.0])
    assert (rotation(np.array([20.0, 0, 0])) @ face)[2] < -0.3
    assert (rotation(np.array([0, 0, 20.0])) @ face)[0] > 0.3


def test_neighbours_stay_joined_in_every_pose(toy_neck):
    for seed in range(10):
        pose = pose_of(toy_neck, seed)
        names = list(pose.links)
        for upper, lower in zip(names[:-1], names[1:], strict=True):
            joint = np.array([*toy_neck.joints[upper], 1.0])
            apart = np.linalg.norm((pose.links[upper] @ joint - pose.links[lower] @ joint)[:3])
            assert apart < 4.0, "disc gap and shift are all that may part two links"


def test_no_link_is_mirrored_or_shrunk_beyond_belief(toy_neck):
    for seed in range(20):
        for link in pose_of(toy_neck, seed).links.values():
            assert 0.4 < np.linalg.det(link[:3, :3]) < 3.5


def test_soft_tissue_follows_the_vertebrae(toy_neck):
    for seed in range(5):
        pose = pose_of(toy_neck, seed, Variation(girdle=0.0, jaw_opening=(0.0, 0.0)))
        for level in LEVEL_NAMES[1:]:
            center = torch.tensor(pose.center(level), dtype=torch.float32)[:, None]
            rest = pose.tissue_at_rest(center)[:, 0].numpy()
            assert np.linalg.norm(rest - pose.points[level]) < 6.0


def test_levels_that_a_neck_lacks_are_supposed_below_its_last_one(toy_neck):
    pose = pose_of(toy_neck, 1)
    heights = [pose.center(name)[2] for name in ("T3", "T4", "T5")]
    assert heights[0] > heights[1] > heights[2]


def test_vertebrae_hardly_overlap_and_the_deeper_one_wins(toy_neck):
    grid = Grid((100, 60, 60), (1.5, 1.5, 1.5), ("C4", (0.0, 12.0, 0.0)))
    for seed in range(6):
        study = simulate_study(toy_neck, seed=seed, grid=grid, scanner=Scanner.clean())
        pose = draw_pose(toy_neck, Variation(), np.random.default_rng(np.random.SeedSequence(seed).spawn(5)[0]))
        points = study.volume.to_points(np.argwhere((study.labels > 0) & (study.labels < 8)))
        if study.truth["mirrored"]:
            points = points * (-1, 1, 1)
        world = torch.from_numpy(points.T.astype(np.float32))
        inside = []
        for level in LEVEL_NAMES:
            local = apply(np.linalg.inv(pose.links[level]), world).numpy().T - toy_neck.frames[level].center
            inside.append(np.linalg.norm(local / (9, 8, 6), axis=1) < 0.8)
        shared = (np.sum(inside, axis=0) > 1).sum()
        assert shared <= 0.01 * len(points), "bodies must not run into each other"


def test_smooth_noise_belongs_to_the_world_and_has_unit_spread():
    noise = SmoothNoise.draw(np.random.default_rng(0), 10.0)
    wide = torch.arange(-160.0, 160.0, 5.0)
    assert 0.85 < float(noise.on_lattice(wide, wide, wide).std()) < 1.15
    z, y, x = torch.tensor([3.0, 7.0]), torch.tensor([-4.0, 1.0]), torch.tensor([11.0, 12.5, 20.0])
    part, whole = noise.on_lattice(z[1:], y[:1], x[1:2]), noise.on_lattice(z, y, x)
    assert torch.allclose(part, whole[:, 1:, :1, 1:2], atol=1e-5)
    step = noise.on_lattice(z[:1], y[:1], torch.tensor([5.0, 5.01]))
    assert abs(float(step[..., 1] - step[..., 0])) < 0.02
