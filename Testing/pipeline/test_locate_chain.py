import numpy as np
import torch
from neckfrac.anatomy import N_CLASSES
from neckfrac.pipeline.grids import Lattice
from neckfrac.pipeline.locate import decide_levels, in_one_column

SHAPE = (110, 60, 60)
LATTICE = Lattice(SHAPE, (2.0, 2.0, 2.0), (-60.0, -60.0, 0.0))


def neck(heights, size=(6, 12, 12)):
    """Certain blocks of the classes in `heights` (label: z index of the middle)."""
    probabilities = torch.zeros(N_CLASSES, *SHAPE)
    probabilities[0] = 1
    for label, z in heights.items():
        z0, y0, x0 = z - size[0] // 2, 30 - size[1] // 2, 30 - size[2] // 2
        place = (slice(z0, z0 + size[0]), slice(y0, y0 + size[1]), slice(x0, x0 + size[2]))
        probabilities[(slice(None), *place)] = 0
        probabilities[(label, *place)] = 1
    return probabilities


def decide(probabilities):
    confidence, labels = probabilities.max(dim=0)
    return decide_levels(in_one_column(labels.numpy()), confidence.numpy(), LATTICE)


def test_bone_of_the_face_that_is_taken_for_a_vertebra_does_not_count():
    probabilities = neck({n: 95 - 9 * n for n in range(1, 8)})
    probabilities[:, 85:95, 2:10, 20:40] = 0
    probabilities[1, 85:95, 2:10, 20:40] = 1  # larger than C1 itself
    centers, _ = decide(probabilities)
    assert list(centers) == [f"C{n}" for n in range(1, 8)]
    assert np.allclose(centers["C1"], LATTICE.to_points(np.array([85.5, 29.5, 29.5])), atol=3)


def test_a_whole_chain_is_found_in_order():
    centers, reason = decide(neck({n: 95 - 9 * n for n in range(1, 8)}))
    assert reason == ""
    assert list(centers) == [f"C{n}" for n in range(1, 8)]
    heights = [center[2] for center in centers.values()]
    assert heights == sorted(heights, reverse=True)


def test_a_level_out_of_order_is_dropped():
    heights = {n: 95 - 9 * n for n in range(1, 8)} | {4: 8}
    centers, _ = decide(neck(heights))
    assert "C4" not in centers and len(centers) == 6


def test_nothing_is_no_neck():
    centers, reason = decide(neck({}))
    assert centers == {} and "No voxels" in reason


def test_one_lonely_level_is_no_neck():
    assert decide(neck({3: 50}))[1].startswith("Fewer than two")


def test_vertebrae_as_large_as_lumbar_ones_are_no_neck():
    centers, reason = decide(neck({3: 80, 4: 62, 5: 44, 6: 26}, size=(16, 30, 30)))
    assert centers == {} and "large" in reason


def test_levels_that_lie_on_top_of_each_other_are_not_both_believed():
    probabilities = neck({3: 60, 4: 51})
    probabilities[:, 50:56, 28:32, 24:36] = 0
    probabilities[5, 50:56, 28:32, 24:36] = 1
    centers, _ = decide(probabilities)
    assert set(centers) == {"C3", "C4"}


def test_medians_hold_against_a_few_voxels_elsewhere():
    probabilities = neck({3: 60, 4: 51})
    probabilities[:, 5:7, 5:8, 5:8] = 0
    probabilities[3, 5:7, 5:8, 5:8] = 1
    centers, _ = decide(probabilities)
    assert np.allclose(centers["C3"], LATTICE.to_points(np.array([59.0, 29, 29])), atol=3)


def test_levels_that_the_network_is_not_sure_of_are_no_neck():
    probabilities = neck({n: 95 - 9 * n for n in range(1, 8)})
    probabilities[1:8] *= 0.6
    centers, reason = decide(probabilities)
    assert centers == {} and "does not look enough" in reason
