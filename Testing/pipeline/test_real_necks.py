"""The trained networks on real CT that they never saw; skipped where it is absent (`make real-data` fetches most)."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.intake.files import read_stored
from neckfrac.intake.study import read_study
from neckfrac.pipeline.engine import Networks
from neckfrac.pipeline.grids import coarse
from neckfrac.pipeline.locate import locate
from neckfrac.progress import Progress
from neckfrac_lab.evaluation.segmentation import segment_volume
from real_data_case import DATA, LANDMARKS, WHERE
from scipy import ndimage
from scipy.spatial import Delaunay

HEAD = DATA / "visible-human-female-head"
NECKS = sorted((DATA / "openkbp").glob("*_ct.nii.gz")) or [None]
CORD = 1  # in the radiotherapy structures


@pytest.fixture(scope="module")
def networks():
    return Networks()


def located(path, networks):
    if path is None or not path.exists():
        pytest.skip(WHERE)
    volume, _ = read_study(path).volume.canonical()
    return volume, *segment_volume(volume, networks, Progress())


@cache
def head():
    if not HEAD.is_dir():
        pytest.skip(WHERE)
    return read_study(HEAD).volume.canonical()[0]


def landmarks():
    """Points inside the levels, picked by eye; they are not published with the head."""
    if not LANDMARKS.is_file():
        pytest.skip(f"{LANDMARKS.name} is not here")
    return json.loads(LANDMARKS.read_text(encoding="utf-8"))["points"]


def points_of(volume):
    """The landmarks' places along z, in slices of the volume, by name."""
    points = landmarks()
    return {name: float(volume.to_indices(np.array(point))[0]) for name, point in points.items()}


def find(volume, networks):
    """What is located in a volume with canonical axes."""
    return locate(*coarse(volume), progress=Progress(), **networks.arguments("locate"))


EACH_NECK = [path if number < 2 else pytest.param(path, marks=pytest.mark.slow) for number, path in enumerate(NECKS)]


@pytest.mark.parametrize("path", EACH_NECK, ids=lambda path: path.name if path else "absent")
def test_twelve_radiotherapy_necks_have_seven_levels_in_order_about_the_cord(path, networks):
    volume, labels, found = located(path, networks)
    assert list(found.centers) == list(LEVEL_NAMES) and found.naming.certain
    heights = [center[2] for center in found.centers.values()]
    assert heights == sorted(heights, reverse=True)
    structures, _ = read_stored(Path(str(path).replace("_ct.", "_oar.")), Progress())[0].canonical()
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
    volume, labels, found = located(HEAD, networks)
    points = landmarks()
    assert "C7" not in found.centers
    for name, point in points.items():
        z, y, x = np.rint(volume.to_indices(np.array(point))).astype(int)
        near = labels[max(z - 1, 0) : z + 2, y - 1 : y + 2, x - 1 : x + 2]
        assert int(name[1]) in near, name


def test_a_lumbar_spine_is_no_neck(networks):
    _, labels, found = located(DATA / "other-anatomy" / "lumbar_crop_ct.nii.gz", networks)
    assert not found.found and not labels.any()


@pytest.mark.parametrize(
    "heights", [(1560, 1600), (1530, 1580), (1510, 1565), (1500, 1548), (1500, 1530), (1520, 1560)], ids=str
)
def test_a_slab_of_the_real_head_is_named_rightly_or_called_uncertain(heights, networks):
    whole = head()
    low, high = (int(whole.to_indices(np.array([250.0, 240.0, z]))[0]) for z in heights)
    found = find(whole.crop(np.array([low, 0, 0]), np.array([high, *whole.shape[1:]])), networks)
    assert found.found
    seen = {name: points_of(whole)[f"{name} body"] for name in ("C2", "C3", "C4", "C5")}
    inside = {name: z for name, z in seen.items() if low + 4 < z < high - 4}
    at = {name: float(whole.to_indices(np.array(center))[0]) for name, center in found.centers.items()}
    right = all(name in at and abs(at[name] - z) < 8 for name, z in inside.items())
    assert right or (not found.naming.certain and found.naming.alternatives)
    if min(heights) > 1515:
        assert right and found.naming.certain, "C2 is whole in view"


@pytest.mark.slow
def test_a_head_without_its_neck_and_a_chest_are_no_neck(networks):
    whole = head()
    low = int(whole.to_indices(np.array([250.0, 240.0, 1590.0]))[0])
    assert not find(whole.crop(np.array([low, 0, 0]), np.array(whole.shape)), networks).found
    if not (DATA / "openkbp" / "pt_34_ct.nii.gz").exists():
        pytest.skip(WHERE)
    neck, _ = read_study(DATA / "openkbp" / "pt_34_ct.nii.gz").volume.canonical()
    assert not find(neck.crop(np.zeros(3), np.array([35, *neck.shape[1:]])), networks).found
