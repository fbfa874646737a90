"""Measuring: against true surfaces, whatever the pose; nothing where a level is cut; edges of bone in thick slices."""

from dataclasses import replace

import numpy as np
import pytest
from neckfrac.anatomy import LEVEL_BY_NAME
from neckfrac.measurement import NormalRange
from neckfrac.pipeline.external_segmentation import given
from neckfrac.pipeline.grids import Lattice
from neckfrac.pipeline.measure import TOO_COARSE, assemble, measure
from neckfrac.pipeline.measurements import norms, soft_tissue
from neckfrac.pipeline.measurements.axes import VertebraAxes, voxels_of
from neckfrac.pipeline.measurements.bodies import Body, _middle_of
from neckfrac.pipeline.measurements.surface import ScanSurface, crossings, edge_share
from neckfrac.pipeline.measurements.values import Maker
from neckfrac.volume import CTVolume
from neckfrac_lab.simulate.landmarks import true_measurements
from neckfrac_lab.simulate.pose import Variation
from neckfrac_lab.simulate.study import Grid, Scanner, simulate_study
from simulate.conftest import make_toy_neck

SPACING = (1.0, 0.6, 0.6)
UPRIGHT = np.eye(3)


@pytest.fixture(scope="module", params=[(0.0, 0.0, 0.0), (20.0, 15.0, -20.0)], ids=["upright", "turned"])
def toy(request):
    """A scan of the toy neck, its labels and its true measurements."""
    variation = replace(Variation.plain(), turn=request.param)
    grid = Grid((110, 116, 80), SPACING, ("C4", (0.0, 12.0, 0.0)))
    study = simulate_study(make_toy_neck(), seed=3, grid=grid, variation=variation, scanner=Scanner.clean())
    labels = np.where(study.labels <= 7, study.labels, 0).astype(np.uint8)
    # The toy's bones hang in air; beside real ones lies tissue.
    volume = CTVolume(np.maximum(study.volume.voxels, 40), study.volume.affine)
    return volume, labels, {one.key: one for one in true_measurements(study.posed)[1]}


@pytest.fixture
def ellipsoids(monkeypatch):
    """The toy's bodies are ellipsoids: near their ends neighbouring rays differ by more than on bodies of vertebrae."""
    monkeypatch.setattr(ScanSurface, "together", 4.0)


@pytest.mark.usefixtures("ellipsoids")
def test_what_is_measured_agrees_with_the_true_surfaces(toy):
    volume, labels, truth = toy
    found = {one.key: one for one in measure(given(volume, labels, window=96), volume)[0]}
    # The toy's bodies are ellipsoids: they have no corners for a step to be measured between.
    limits = {"body-depth": 0.8, "middle-height": 0.8, "canal-diameter": 1.0, "interspinous": 1.5, "listhesis": 1.5}
    compared = 0
    for name, limit in limits.items():
        for key in [
            key for key in found if found[key].name == name and key in truth and "C3" <= key.split()[1] <= "C6"
        ]:
            assert abs(found[key].value - truth[key].value) < limit, key
            apart = np.linalg.norm(np.array(found[key].points) - np.array(truth[key].points), axis=1)
            assert apart.max() < 3.5, f"{key}: its line lies elsewhere"
            compared += 1
    assert compared >= 12


@pytest.mark.usefixtures("ellipsoids")
def test_a_level_that_the_scan_cuts_is_not_measured(toy):
    volume, labels, _ = toy
    whole = measure(given(volume, labels, window=96), volume)[0]
    middle = next(one for one in whole if one.key == "body-depth C4").points[0]
    cut = int(volume.to_indices(np.array(middle))[0])
    upper = volume.crop(np.array([cut, 0, 0]), np.array(volume.shape))
    rest = measure(given(upper, labels[cut:], window=96), upper)[0]
    assert not any("C4" in one.levels and "height" in one.name for one in rest)
    assert any(one.levels == ("C3",) for one in rest)


def test_voxels_that_are_too_large_give_nothing_and_say_so():
    volume = CTVolume(np.zeros((20, 20, 20), np.int16), np.diag([4.0, 4.0, 2.5, 1.0]))
    assert measure(None, volume) == ((), TOO_COARSE)


# --- edges of bone ------------------------------------------------------------------------------


def slab(thickness, cortex=1.0, height=12.0, shift=0.0):
    """A slab of bone of `height` mm along z: cortex before marrow, in slices of `thickness` mm, on the working grid.

    shift: mm by which slices and grid lie elsewhere.
    """
    fine = 0.05
    z = np.arange(-30.0, 30.0, fine)
    depth = height / 2 - np.abs(z)
    hu = np.where(depth < 0, 60.0, np.where(depth < cortex, 1000.0, 250.0))
    width = round(thickness / fine)
    means = np.convolve(hu, np.ones(width) / width, mode="same")
    grid = np.arange(-24.0, 24.5, 1.0) + shift
    coarse = np.arange(-27.0, 27.1, thickness) + shift
    values = np.interp(grid, coarse, np.interp(coarse, z, means))
    shape = (len(grid), 30, 30)
    lattice = Lattice(shape, SPACING, (-9.0, -9.0, -24.0 + shift))
    labels = np.where(np.abs(grid) <= height / 2, 5, 0).astype(np.uint8)[:, None, None]
    voxel = np.diag([0.6, 0.6, thickness])
    block = np.broadcast_to(np.rint(values).astype(np.int16)[:, None, None], shape)
    return ScanSurface(block.copy(), np.broadcast_to(labels, shape).copy(), lattice, voxel)


def height_of(surface):
    up, down = (surface.exits("C5", np.zeros((1, 3)), np.array([0.0, 0.0, way]), 20.0)[0] for way in (1.0, -1.0))
    return up + down


@pytest.mark.parametrize("thickness", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("height", [11.3, 12.0, 13.4])
def test_slices_make_bone_neither_higher_nor_lower_on_average_wherever_they_lie(thickness, height):
    errors, half_way = [], []
    for shift in np.arange(0.0, thickness, thickness / 6):
        surface = slab(thickness, height=height, shift=shift)
        errors.append(height_of(surface) - height)
        surface._share = lambda directions: np.full(len(directions), 0.5)
        half_way.append(height_of(surface) - height)
    assert abs(np.mean(errors)) < 0.5
    assert np.mean(half_way) > np.mean(errors) + 0.3, "half the height of a blurred shell lies outside it"


@pytest.mark.parametrize("beyond", [60, 220])
def test_a_mask_that_reaches_over_the_disc_moves_no_endplate(beyond):
    """Into soft tissue, or into the calcified or osteophytic rim of a worn disc, which is bright but no cortex."""
    surface = slab(1.0)
    z = np.arange(-24.0, 24.5, 1.0)
    surface.labels[np.abs(z) <= 10.0] = 5
    surface.values[(np.abs(z) > 7.0) & (np.abs(z) <= 10.0)] = beyond
    assert height_of(surface) == pytest.approx(12.0, abs=0.8)


def test_dense_marrow_behind_a_thin_endplate_does_not_pull_it_inwards():
    surface = slab(1.0)
    surface.values[24] = 1200  # one sclerotic slice in the middle
    assert height_of(surface) == pytest.approx(12.0, abs=0.8)


def test_beside_a_vertebra_air_with_noise_is_beyond_the_scan():
    surface = slab(1.0)
    assert surface.in_view(np.array([0.0, 0.0, 8.0]))
    surface.values[32] = -990  # 8 mm above the middle
    assert not surface.in_view(np.array([0.0, 0.0, 8.0]))
    assert not surface.in_view(np.array([0.0, 0.0, 40.0]))


def test_rays_that_met_several_surfaces_give_no_point():
    together = [6.0, 6.1, 6.3, 5.8, 6.6, 6.2, 6.4, 6.0]
    assert _middle_of(np.array(together), 2.0) == pytest.approx(6.15)
    assert _middle_of(np.array([*together, 10.3]), 2.0) == pytest.approx(6.2), "one that leaked"
    assert np.isnan(_middle_of(np.array([*together, 10.3, 10.2, 10.1]), 2.0))
    assert np.isnan(_middle_of(np.array([*together, *[np.nan] * 4]), 2.0))
    rounded = np.array([*together, 3.0, 3.5, 2.0])
    assert _middle_of(rounded, 2.0, rounded > 5) == pytest.approx(6.0), "of the rounded edge no more is asked"
    assert np.isnan(_middle_of(np.array([np.nan]), 2.0)) and np.isnan(_middle_of(np.array([]), 2.0))


@pytest.mark.usefixtures("ellipsoids")
@pytest.mark.parametrize("fault", ["mask", "scan"])
def test_a_spinous_process_that_mask_or_scan_cut_short_has_no_tip(toy, fault):
    volume, labels, _ = toy
    found = measure(given(volume, labels, window=96), volume)[0]
    line = next(one for one in found if one.name == "interspinous")
    level, row = line.levels[0], round(float(volume.to_indices(np.array(line.points[0]))[1]))
    labels, voxels = labels.copy(), volume.voxels.copy()
    short = (labels == LEVEL_BY_NAME[level].label) & (np.arange(labels.shape[1])[:, None] > row - 8)
    labels[short] = 0
    if fault == "scan":
        voxels[:, row - 7 :] = -1010
    cut = CTVolume(voxels, volume.affine)
    rest = measure(given(cut, labels, window=96), cut)[0]
    assert not any(one.name == "interspinous" and level in one.levels for one in rest)
    assert any(one.name == "listhesis" or "height" in one.name for one in rest)


def test_the_edge_of_a_thick_cortex_is_half_way_and_of_a_thin_shell_higher():
    assert edge_share(np.array([0.4, 1.0])) == pytest.approx([0.5, 0.5])
    shares = edge_share(np.array([2.0, 3.0, 5.0]))
    assert (shares > 0.65).all() and (shares < 0.85).all()


def test_a_ray_that_leaves_the_scan_or_starts_outside_gives_nothing():
    surface = slab(1.0, height=47.0)
    assert np.isnan(surface.exits("C5", np.zeros((1, 3)), np.array([0.0, 0.0, 1.0]), 40.0)).all()
    assert np.isnan(slab(1.0).exits("C5", np.array([[0.0, 0.0, 20.0]]), np.array([0.0, 0.0, 1.0]), 9.0)).all()
    assert np.isnan(slab(1.0).exits("C4", np.zeros((1, 3)), np.array([0.0, 0.0, 1.0]), 9.0)).all()


def test_a_fracture_gap_does_not_end_a_ray_but_the_canal_does():
    inside = np.array([[1] * 6 + [0] * 2 + [1] * 6 + [0] * 6, [1] * 6 + [0] * 6 + [1] * 8, [0] * 20], bool)
    assert crossings(inside, leaving=True).tolist() == [14, 6, -1]


# --- air, children and flags --------------------------------------------------------------------


def throat(hu_between=50, tube=None):
    """Muscle from y = 0 forwards to air at 7 mm."""
    values = np.full((30, 80, 60), hu_between, np.int16)
    y = np.arange(80) * 0.6 - 40.0
    values[:, y < -7.0] = -1000
    if tube is not None:
        values[:, np.abs(y + tube) < 0.7] = 800
    affine = np.diag([0.6, 0.6, 1.0, 1.0])
    affine[:3, 3] = (-18.0, -40.0, -15.0)
    return CTVolume(values, affine)


def test_the_soft_tissue_ends_at_the_air_before_it():
    axes = VertebraAxes(np.array([0.0, 8.0, 0.0]), UPRIGHT, 16.0, 6.0)
    (start, end), note = soft_tissue.thickness(np.zeros(3), axes, throat())
    assert np.linalg.norm(end - start) == pytest.approx(7.0, abs=0.5) and note == ""
    assert soft_tissue.thickness(np.zeros(3), axes, throat(tube=5.0))[1] == soft_tissue.TUBE_NOTE
    closed = CTVolume(np.full((30, 80, 60), 50, np.int16), throat().affine)
    assert soft_tissue.thickness(np.zeros(3), axes, closed) is None


def bodies_of(scale, fifth=1.0):
    """C3 to C7 as boxes 16 mm deep and 13 mm high, all times `scale`; the height of C5 times `fifth`."""
    result = {}
    for n, name in enumerate(("C3", "C4", "C5", "C6", "C7")):
        center = np.array([0.0, 0.0, -18.0 * n]) * scale
        axes, half = VertebraAxes(center, UPRIGHT, 16.0, 6.5), 6.5 * scale * (fifth if name == "C5" else 1.0)
        ends = {place: y * scale for place, y in (("front", -6.0), ("middle", 0.0), ("back", 6.0))}
        body = Body(axes)
        body.top.update({place: center + (0, y, half) for place, y in ends.items()})
        body.bottom.update({place: center + (0, y, -half) for place, y in ends.items()})
        walls = {"front wall": (0, -8.0 * scale, 0), "back wall": (0, 8.0 * scale, 0)}
        walls |= {"upper corner": (0, 8.0 * scale, half), "lower corner": (0, 8.0 * scale, -half)}
        body.points.update({name: center + place for name, place in walls.items()})
        result[name] = body
    return result


FINE = Maker(np.array([1.0, 0.5, 0.5]), UPRIGHT)


def test_a_body_that_lost_a_third_of_its_height_is_flagged_and_its_neighbours_are_not():
    made, remark = assemble(bodies_of(1.0, fifth=0.67), {}, {}, FINE)
    assert [one.key for one in made if one.flag] == ["height-loss C5"] and remark is None
    assert "C5: height loss 33 % (normal ≤ 20 %)" in [one.flag for one in made]


def test_an_intact_neck_has_no_flag():
    assert not [one for one in assemble(bodies_of(1.0), {}, {}, FINE)[0] if one.flag]


def test_a_childs_bodies_get_no_normal_range_and_so_no_flag():
    made, remark = assemble(bodies_of(0.7, fifth=0.6), {}, {}, FINE)
    assert made and not [one for one in made if one.normal or one.flag] and str(remark) == norms.CHILD_NOTE


def test_a_step_of_four_millimetres_is_flagged_where_it_is():
    bodies = bodies_of(1.0)
    for name in ("C3", "C4"):
        body = bodies[name]
        for points in (body.top, body.bottom, body.points):
            points.update({key: point - (0, 4.0, 0) for key, point in points.items()})
    made = {one.key: one for one in assemble(bodies, {}, {}, FINE)[0]}
    assert made["listhesis C4 C5"].value == pytest.approx(4.0)
    assert [key for key, one in made.items() if one.flag] == ["listhesis C4 C5"]
    assert made["listhesis C4 C5"].flag == "C4 on C5: 4.0 mm anterolisthesis (normal -2 to 2 mm)"


def test_thick_slices_widen_the_uncertainty_along_them():
    thick = Maker(np.array([3.0, 0.5, 0.5]), UPRIGHT)
    fine, coarse = ({one.key: one for one in assemble(bodies_of(1.0), {}, {}, maker)[0]} for maker in (FINE, thick))

    def width(one):
        return one.upper - one.lower

    assert width(coarse["anterior-height C5"]) > 1.3 * width(fine["anterior-height C5"])
    assert width(coarse["body-depth C5"]) == pytest.approx(width(fine["body-depth C5"]))


def test_neighbours_set_the_range_of_spinous_distances_and_angles():
    assert norms.interspinous([20.0]) is None
    assert norms.interspinous([20.0, 16.0]) == NormalRange(None, 30.0, norms.NAIDICH)
    assert norms.segmental_angle([5.0, 2.0]).lower == -9.0


def test_specks_of_a_mask_are_no_level():
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[5, 5, 5] = 3
    assert voxels_of(labels, Lattice(labels.shape, SPACING, (0.0, 0.0, 0.0))) == {}
