import numpy as np
import pytest
from neckfrac.volume import CTVolume
from neckfrac_lab.evaluation.fractures.visibility import SEEN, UNSEEN, visibility
from neckfrac_lab.simulate.scanner import Scanner
from neckfrac_lab.simulate.study import SimulatedStudy


def scans(gap_hu, noise=10.0, thick=3):
    """A block of bone of 600 HU with a gap of that HU through C4, and the same block whole; noise of both alike."""
    voxels = np.full((24, 40, 40), 600, np.float32)
    intact = voxels + np.random.default_rng(0).normal(0, noise, voxels.shape)
    fracture = np.zeros(voxels.shape, np.uint8)
    fracture[10 : 10 + thick, 8:32, 8:32] = 4
    broken = np.where(fracture == 4, intact - 600 + gap_hu, intact)
    truth = {"scanner": Scanner(noise=noise, slice_thickness=1.0).truth()}
    affine = np.diag([0.6, 0.6, 1.0, 1.0])
    return tuple(
        SimulatedStudy(CTVolume(part.astype(np.int16), affine), fracture, fracture, {}, {}, truth)
        for part in (broken, intact)
    )


@pytest.mark.parametrize(
    "gap_hu, noise, told", [(45, 10, SEEN), (580, 10, UNSEEN), (400, 10, SEEN), (400, 400, UNSEEN), (600, 10, UNSEEN)]
)
def test_a_fracture_is_seen_by_what_it_changes_against_the_noise(gap_hu, noise, told):
    assert visibility(*scans(gap_hu, noise)) == {"C4": told}


def test_a_few_voxels_of_truth_are_not_seen():
    broken, intact = scans(45)
    broken.fracture[:] = 0
    broken.fracture[10, 20, 20:24] = 4
    assert visibility(broken, intact) == {"C4": UNSEEN}
