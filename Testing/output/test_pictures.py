"""Pictures show the right place, the right way round, whatever the stored axes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neckfrac.anatomy import LEVELS
from neckfrac.findings import Box
from neckfrac.output.images import png, write
from neckfrac.output.pictures import HEIGHT, _along_spine, _spine_line, overview, panels, pixel_for
from neckfrac.output.planes import Plane, compose, gray, overlay, sample
from neckfrac.output.shading import gather, shade
from neckfrac.volume import CTVolume
from output_case import center_of, make_analysis

BLACK = np.zeros(3)
# How far right of the picture's middle, and how far down, a point 12 mm to L, P or S falls.
TOWARDS = {
    "axial": {"L": (0, 12), "P": (12, 0), "S": None},
    "sagittal": {"L": None, "P": (0, 12), "S": (-12, 0)},
    "coronal": {"L": (0, 12), "P": None, "S": (-12, 0)},
}


@pytest.mark.parametrize("name", TOWARDS)
@pytest.mark.parametrize("way", "LPS")
def test_a_plane_has_the_patient_s_sides_where_its_letters_say(analysis, name, way):
    center = center_of(2)
    bright = center + 12 * np.eye(3)["LPS".index(way)]
    volume = analysis.volume
    volume.voxels[...] = -1000
    z, y, x = np.rint(volume.to_indices(bright)).astype(int)
    volume.voxels[z - 1 : z + 2, y - 2 : y + 3, x - 1 : x + 2] = 3000
    plane = Plane(name, center, (30.0, 30.0), 0.5)
    picture = gray(plane, analysis)
    assert picture.shape == plane.shape == (121, 121)
    if TOWARDS[name][way] is None:
        assert picture.max() == 0
        return
    place = np.argwhere(picture > 200).mean(axis=0)
    assert np.allclose((place - 60) * 0.5, TOWARDS[name][way], atol=1.5)
    top, bottom, left, right = plane.letters
    side = {(1, 0): bottom, (-1, 0): top, (0, 1): right, (0, -1): left}[tuple(np.sign(TOWARDS[name][way]))]
    assert side == way


@pytest.mark.parametrize(("axes", "flips"), [((0, 1, 2), (0, 2)), ((2, 0, 1), (1,)), ((1, 2, 0), (0, 2))])
def test_a_plane_shows_the_same_place_whatever_the_stored_axes(axes, flips):
    plane = Plane("sagittal", center_of(1), (30.0, 20.0), 0.5, bend=np.linspace(-4, 4, 121))
    first, turned = make_analysis(), make_analysis(axes, flips)
    expected = sample(plane, first.volume, first.volume.voxels, fill=-1024)
    np.testing.assert_allclose(sample(plane, turned.volume, turned.volume.voxels, fill=-1024), expected, atol=1)
    np.testing.assert_allclose(overlay(plane, turned).astype(int), overlay(plane, first), atol=1)


def test_a_plane_beside_the_scan_is_empty(analysis):
    plane = Plane("axial", np.array([0.0, 0.0, 5000.0]), (10.0, 10.0), 1.0)
    assert gray(plane, analysis).max() == 0 and overlay(plane, analysis).max() == 0


def test_a_box_is_drawn_around_what_it_encloses():
    plane = Plane("coronal", np.array([0.0, 0.0, 0.0]), (20.0, 20.0), 0.5)
    assert plane.rectangle(Box((4, -9, -6), (10, 9, 2))) == (40 - 4, 40 + 8, 40 + 12, 40 + 20)


def test_outlines_run_around_their_level_and_heat_is_red(analysis):
    plane = Plane("coronal", center_of(1), (12.0, 14.0), 0.5)
    drawn = overlay(plane, analysis)
    line = drawn[..., 3] > 150
    assert 40 < line.sum() < 0.3 * line.size and line[:, line.shape[1] // 2].any()
    middle = drawn[line.shape[0] // 2, line.shape[1] // 2]
    assert middle[3] > 100 and middle[0] > 200 and middle[1] < 90
    clear = compose(gray(plane, analysis), np.zeros_like(drawn))
    assert (clear[..., 0] == gray(plane, analysis)).all()


@pytest.mark.parametrize(("axes", "flips", "turn"), [((0, 1, 2), (), 0), ((2, 0, 1), (0, 1), 20)])
@pytest.mark.parametrize("name", ["sagittal", "coronal"])
def test_vertebrae_in_three_dimensions_lie_where_the_plane_shows_them(axes, flips, turn, name):
    plane = Plane(name, center_of(3), (62.0, 30.0), 0.5)
    for index in (0, 5):
        analysis = make_analysis(axes, flips, turn=turn)
        analysis.labels[analysis.labels != index + 1] = 0
        picture = shade(gather(analysis), plane, BLACK)
        place = np.argwhere(picture.any(axis=2)).mean(axis=0) - (124, 60)
        offset = (center_of(index) - plane.center)[[2, 1 if name == "sagittal" else 0]]
        assert np.allclose(place * 0.5, offset * (-1, 1), atol=1.5)


def test_the_left_is_nearer_than_the_right_when_looked_at_from_the_left(analysis):
    analysis.heat[...] = 0
    points = analysis.volume.to_points(np.moveaxis(np.indices(analysis.labels.shape), 0, -1))
    blob = analysis.labels == 3
    analysis.labels[blob & (points[..., 0] > center_of(2)[0])] = 1
    analysis.labels[blob & (points[..., 0] <= center_of(2)[0])] = 6
    plane = Plane("sagittal", center_of(2), (6.0, 6.0), 0.5)
    picture = shade(gather(analysis), plane, BLACK).reshape(-1, 3).mean(axis=0)
    left, right = (np.array(LEVELS[index].color) for index in (0, 5))
    assert np.dot(picture, left) / np.linalg.norm(left) > np.dot(picture, right) / np.linalg.norm(right)
    assert picture[1] / picture[0] > 0.55  # C1's orange, not C6's


@settings(max_examples=300)
@given(st.floats(0.5, 500.0))
def test_the_pictures_of_every_height_have_one_row_more_than_are_shown(half):
    for height in (half, 0.3125 * round(half / 0.3125) + 6):  # mm of slices 0.625 mm apart, with the margin
        assert Plane("sagittal", BLACK, (height, 40.0), pixel_for(height)).shape[0] == HEIGHT + 1


# mm of which an earlier version made pictures one row too low: an even number of rows lay between two odd ones.
@pytest.mark.parametrize("half", [80.375, 81.625, 91.8, 92.35])
def test_panels_are_as_high_as_they_are_said_to_be_whatever_the_height_of_the_spine(half):
    analysis = make_analysis()
    affine, labels = analysis.volume.affine.copy(), np.zeros_like(analysis.labels)
    labels[4:45, 20:40, 20:30] = 3  # of which every second voxel is looked at: 20 steps of the grid from end to end
    affine[2, 2] = 2 * (half - 6) / 40
    analysis = replace(analysis, volume=CTVolume(analysis.volume.voxels, affine), labels=labels)
    plane = _along_spine(analysis, _spine_line(analysis), "sagittal", 13.0)
    assert plane.half[0] == pytest.approx(half) and plane.shape[0] == HEIGHT + 1
    assert panels(analysis).shape[0] == HEIGHT


def test_a_plane_bent_by_another_number_of_rows_is_refused():
    with pytest.raises(ValueError, match="121 rows"):
        Plane("coronal", BLACK, (30.0, 30.0), 0.5, bend=np.zeros(119))


@pytest.mark.parametrize("empty", [False, True])
def test_the_overview_is_one_picture_with_or_without_a_spine(empty):
    analysis = make_analysis(empty=empty)
    images = panels(analysis)
    picture = overview(analysis, images)
    assert picture.dtype == np.uint8 and picture.shape[1:] == images.shape[1:] and picture.shape[0] > images.shape[0]
    assert (picture[: images.shape[0]] == images).all()


def test_text_is_written_where_asked_and_clipped_at_the_rim():
    picture = np.zeros((40, 80, 3), np.uint8)
    write(picture, "C2", 20, 60, 12, (255, 0, 0))
    rows, columns = np.nonzero(picture[..., 0] > 128)
    assert abs(rows.mean() - 20) < 3 and abs(columns.mean() - 60) < 3 and picture[..., 1].max() == 0
    for row, column in ((0, 0), (39, 79), (-50, 20), (20, 500)):
        write(picture, "C7", row, column, 12)


@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_png_keeps_every_pixel(tmp_path, channels):
    sitk = pytest.importorskip("SimpleITK")
    picture = np.random.default_rng(0).integers(0, 255, (11, 7, *channels), dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(png(picture))
    assert (sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.png"))) == picture).all()
