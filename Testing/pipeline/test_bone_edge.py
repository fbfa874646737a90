"""The surface follows the CT's own bone edge where the network is unsure, and nowhere else."""

import numpy as np
import torch
from neckfrac.pipeline.segment import EDGE_RANGE, bone_edge, toward_edge


def muscle_and_fat(offset=0, seed=0):
    generator = np.random.default_rng(seed)
    hu = np.where(generator.random((20, 80, 80)) < 0.7, 55, -100) + generator.normal(0, 15, (20, 80, 80))
    hu[:, 30:50, 30:50] = 600
    return (hu + offset).astype(np.int16)


def test_the_edge_is_near_200_hu_and_moves_with_the_scanners_zero():
    plain = bone_edge(muscle_and_fat())
    assert 180 < plain < 230
    assert bone_edge(muscle_and_fat(60)) - plain > 40
    assert EDGE_RANGE[0] <= bone_edge(muscle_and_fat(-400)) <= EDGE_RANGE[1]


def test_a_scan_without_muscle_still_has_an_edge():
    assert EDGE_RANGE[0] < bone_edge(np.full((10, 40, 40), -1000, np.int16)) < EDGE_RANGE[1]


def test_doubtful_voxels_follow_the_ct_and_sure_ones_the_network():
    share = torch.tensor([0.35, 0.65, 0.99, 0.01])
    hu = torch.tensor([700, 20, 0, 900])  # cortex, muscle, marrow deep inside, another bone far outside
    moved = toward_edge(share, hu, 200.0)
    assert (moved > 0.5).tolist() == [True, False, True, False]


def test_on_the_edge_itself_the_network_decides():
    share = torch.tensor([0.2, 0.5, 0.8])
    assert torch.allclose(toward_edge(share, torch.full((3,), 200), 200.0), share, atol=1e-5)
