"""The trained networks on real CT that they never saw; skipped where ../shared is absent."""

import json
from pathlib import Path

import numpy as np
import pytest
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.evaluation.segmentation import segment_volume
from neckfrac.intake.files import read_file
from neckfrac.intake.study import read_study
from neckfrac.pipeline.engine import Networks
from neckfrac.progress import Progress
from scipy import ndimage
from scipy.spatial import Delaunay

DATA = Path(__file__).parents[3] / "shared" / "data"
NECKS = sorted((DATA / "openkbp").glob("*_ct.nii.gz")) or [None]
CORD = 1  # in the radiotherapy structures


@pytest.fixture(scope="module")
def networks():
    return Networks()


def located(path, networks):
    if path is None or not path.exists():
        pytest.skip("../shared/data is not here")
    volume, _ = read_study(path).volume.canonical()
    return volume, *segment_volume(volume, networks, Progress())


@pytest.mark.parametrize("path", NECKS, ids=lambda path: path.name if path else "absent")
def test_twelve_radiotherapy_necks_have_seven_levels_in_order_about_the_cord(path, networks):
    volume, labels, found = located(path, networks)
    assert list(found.centers) == list(LEVEL_NAMES) and found.naming.certain
    heights = [center[2] for center in found.centers.values()]
    assert heights == sorted(heights, reverse=True)
    structures, _ = read_file(Path(str(path).replace("_ct.", "_oar.")), Progress())[0].canonical()
    bone = labels > 0
    rows = np.flatnonzero(bone.any(axis=(1, 2)))
    cord = structures.voxels == CORD
    cord[: rows[0]], cord[rows[-1] + 1 :] = False, False
    assert (cord & ~bone).sum() >= 0.98 * cord.sum()
    # Slices 8 mm up and down taken together, because arches have gaps between them; between the outermost bodies,
    # because above and below these there is no ring.
    reach = max(1, round(8 / volume.spacing[0]))
    around = ndimage.maximum_filter1d(bone.astype(np.uint8), 2 * reach + 1, axis=0)
    first, last = (int(volume.to_indices(np.array(found.centers[name]))[0]) for name in ("C7", "C1"))
    inside, voxels = 0, 0
    for z in range(first, last + 1):
        places = np.argwhere(cord[z])
        inside += (Delaunay(np.argwhere(around[z])).find_simplex(places) >= 0).sum()
        voxels += len(places)
    assert voxels > 100 and inside >= 0.98 * voxels


def test_every_landmark_of_the_visible_human_head_lies_in_its_level(networks):
    volume, labels, found = located(DATA / "visible-human-female-head", networks)
    points = json.loads((DATA / "visible-human-female-head.landmarks.json").read_text())["points"]
    assert "C7" not in found.centers
    for name, point in points.items():
        z, y, x = np.rint(volume.to_indices(np.array(point))).astype(int)
        near = labels[max(z - 1, 0) : z + 2, y - 1 : y + 2, x - 1 : x + 2]
        assert int(name[1]) in near, name


def test_a_lumbar_spine_is_no_neck(networks):
    _, labels, found = located(DATA / "other-anatomy" / "lumbar_crop_ct.nii.gz", networks)
    assert not found.found and not labels.any()
