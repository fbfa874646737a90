import json

import numpy as np
import pytest
from neckfrac.comparison.compare import BOTH, NEITHER, ONLY_OURS, ONLY_REFERENCE, Comparison, compare_segmentations
from neckfrac.comparison.overlap import level_figures
from neckfrac.comparison.plausibility import MISSING
from neckfrac.comparison.surfaces import distance_surfaces, read_surfaces, write_surfaces
from neckfrac.errors import Cancelled, InputError
from neckfrac.progress import Progress

SPACING = np.array([1.5, 1.0, 0.8])  # z, y, x
RADIUS = 7.0


def affine(turn=20.0, mirrored=False):
    """An oblique grid somewhere."""
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    result = np.eye(4)
    result[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ np.diag(SPACING[::-1])
    result[:3, 3] = (-30, 12, 840)
    return result @ np.diag([-1.0, 1.0, 1.0, 1.0]) if mirrored else result


def balls(labels=range(1, 8), radius=RADIUS, shift=0.0, dtype=np.uint8):
    """Seven balls from above to below; shift: mm along x."""
    where = np.moveaxis(np.indices((92, 30, 34)), 0, -1) * SPACING
    result = np.zeros(where.shape[:3], dtype)
    for label in labels:
        center = (137 - 16.0 * (label - 0.6), 15.0, 13.0 + shift)
        result[np.linalg.norm(where - center, axis=-1) < radius] = label
    return result


def test_the_same_segmentation_agrees_with_itself():
    result = compare_segmentations(balls(), balls(), affine())
    assert [level.level for level in result.levels] == [f"C{n}" for n in range(1, 8)]
    for level in result.levels:
        assert level.found == BOTH and level.lies_in is None
        assert level.dice == level.surface_dice_1mm == level.surface_dice_2mm == 1 and level.hausdorff95_mm == 0
        assert level.volume_ml == level.reference_ml == pytest.approx(4 / 3 * np.pi * RADIUS**3 / 1000, rel=0.02)
    assert result.mean_dice == 1 and result.flags == result.reference_flags == ()


def test_the_figures_of_a_level_are_those_of_the_whole_volume():
    ours, reference = balls(shift=1.6), balls(radius=8.0)
    for level in compare_segmentations(ours, reference, affine()).levels:
        label = int(level.level[1])
        whole = level_figures(ours == label, reference == label, SPACING)
        found = (level.dice, level.surface_dice_1mm, level.surface_dice_2mm, level.hausdorff95_mm)
        assert found == pytest.approx(tuple(whole.values()), abs=1e-6)
        assert 0.7 < level.dice < 0.95 and 1.5 < level.hausdorff95_mm < 3.5


def test_a_level_lies_where_its_reference_lies():
    result = compare_segmentations(balls(shift=3.2), balls(), affine(mirrored=True))
    center = affine(mirrored=True) @ [13 / 0.8, 15.0, (137 - 16 * 3.4) / 1.5, 1]
    assert np.allclose(result.levels[3].place, center[:3], atol=0.3)


def test_levels_that_one_of_the_two_lacks_are_told():
    result = compare_segmentations(balls((1, 2, 4, 5)), balls((2, 3, 4, 5)), affine())
    found = [level.found for level in result.levels]
    assert found == [ONLY_OURS, BOTH, ONLY_REFERENCE, BOTH, BOTH, NEITHER, NEITHER]
    assert result.levels[0].dice is None and result.levels[0].reference_ml == 0 and result.levels[0].place
    assert result.levels[5].place is None
    assert result.mean_dice == pytest.approx(3 / 4)
    assert [(flag.kind, flag.levels) for flag in result.flags] == [(MISSING, ("C3",))]
    assert result.reference_flags == ()


def test_a_level_that_lies_in_another_is_told():
    ours = balls()
    ours[ours == 5] = 0
    ours[ours == 6] = 5
    levels = {level.level: level for level in compare_segmentations(ours, balls(), affine()).levels}
    assert levels["C5"].lies_in == "C6" and levels["C5"].dice == 0 and levels["C5"].hausdorff95_mm > 10
    assert levels["C4"].lies_in is None


def test_other_values_and_types_do_not_matter():
    ours = balls(dtype=np.int16)
    ours[0], ours[1] = 260, -3
    assert compare_segmentations(ours, balls(), affine()) == compare_segmentations(balls(), balls(), affine())


def test_it_goes_to_json_and_comes_back():
    result = compare_segmentations(balls((1, 2, 4), shift=1), balls((2, 3, 4)), affine())
    assert Comparison.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False))) == result


def test_grids_that_differ_and_segmentations_without_levels_are_refused():
    with pytest.raises(InputError, match="one grid"):
        compare_segmentations(balls(), balls()[1:], affine())
    with pytest.raises(InputError, match="Neither"):
        compare_segmentations(np.full((4, 4, 4), 9, np.uint8), np.zeros((4, 4, 4), np.uint8), affine())


@pytest.mark.parametrize("work", [compare_segmentations, distance_surfaces])
def test_it_tells_its_progress_and_can_be_cancelled(work):
    pytest.importorskip("vtkmodules")
    told = []
    progress = Progress(lambda _, done: told.append(done))
    with progress.stage("Comparing", until=1.0):
        work(balls(), balls(), affine(), progress)
    assert told == sorted(told) and told[-1] == 1 and len(set(told)) >= 7
    progress = Progress(cancelled=lambda: True)
    with pytest.raises(Cancelled):
        work(balls(), balls(), affine(), progress)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("radius", "other", "sign"), [(7.0, 5.0, 1), (5.0, 7.0, -1)])
def test_distances_are_positive_outside_the_reference_on_any_grid(mirrored, radius, other, sign):
    pytest.importorskip("vtkmodules")
    surfaces = distance_surfaces(balls(radius=radius), balls(radius=other), affine(mirrored=mirrored))
    assert list(surfaces) == [f"C{n}" for n in range(1, 8)]
    for surface in surfaces.values():
        assert surface.distances.mean() == pytest.approx(sign * 2, abs=0.3)
        assert (np.abs(surface.distances - sign * 2) < 1.2).all()
        assert surface.triangles.max() < len(surface.points) == len(surface.distances)


def test_distances_tell_the_side_to_which_a_level_is_shifted():
    pytest.importorskip("vtkmodules")
    surface = distance_surfaces(balls(shift=2.4), balls(), affine())["C4"]
    x = surface.points[:, 0] - surface.points[:, 0].mean()
    assert surface.distances[x > 6].mean() == pytest.approx(2.4, abs=0.5)
    assert surface.distances[x < -6].mean() == pytest.approx(-2.4, abs=0.5)
    # The surface lies where the ball is, in mm of the patient.
    center = affine() @ [15.4 / 0.8, 15.0, (137 - 16 * 3.4) / 1.5, 1]
    assert np.allclose(surface.points.mean(axis=0), center[:3], atol=0.4)
    assert np.linalg.norm(surface.points - center[:3], axis=1) == pytest.approx(RADIUS, abs=0.9)


def test_equal_surfaces_have_no_distance_and_closed_ends_at_the_border():
    pytest.importorskip("vtkmodules")
    cut = balls()[:, :16]
    for surface in distance_surfaces(cut, cut, affine()).values():
        assert np.abs(surface.distances).max() < 1e-3
        edges = np.sort(surface.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


def test_surfaces_of_levels_in_both_are_written_and_read_back(tmp_path):
    pytest.importorskip("vtkmodules")
    surfaces = distance_surfaces(balls((1, 2, 3)), balls((2, 3, 4)), affine())
    write_surfaces(surfaces, tmp_path / "surfaces.npz")
    back = read_surfaces(tmp_path / "surfaces.npz")
    assert list(back) == ["C2", "C3"]
    assert all((getattr(back["C3"], part) == value).all() for part, value in vars(surfaces["C3"]).items())
