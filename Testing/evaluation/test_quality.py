"""Flags on simulated vertebrae: none on clean ones, each injected fault where it was put."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from neckfrac.comparison.plausibility import DOUBLED, FRAGMENTED, FUSED, MISSING, ORDER, Flag, find_flags
from scipy import ndimage
from vertebrae_case import center_of, turned, vertebrae

PEOPLE = (1, 3)


def flags_of(labels, affine):
    return [(flag.kind, flag.levels) for flag in find_flags(labels, affine)]


@pytest.fixture(params=PEOPLE)
def neck(request):
    labels, affine = vertebrae(request.param)
    return labels.copy(), affine


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    person=st.sampled_from(PEOPLE), degrees=st.integers(-40, 40), axis=st.integers(0, 2),
    scale=st.sampled_from((0.6, 0.8, 1.0, 1.2)), thick=st.sampled_from((1, 2)),
    top=st.floats(0, 0.45), bottom=st.floats(0, 0.45), mirrored=st.booleans(), dtype=st.sampled_from(("u1", "i2")),
)  # fmt: skip
def test_a_clean_neck_raises_no_flag_however_it_lies_and_is_cut(
    person, degrees, axis, scale, thick, top, bottom, mirrored, dtype
):
    labels, affine = vertebrae(person)
    affine = turned(affine, degrees, axis) @ np.diag([scale, scale, scale * thick, 1.0])
    labels = labels[::thick]
    labels = labels[round(bottom * len(labels)) : round((1 - top) * len(labels))].astype(dtype)
    if mirrored:
        affine = affine @ np.diag([-1.0, 1.0, 1.0, 1.0])
    assert find_flags(labels, affine) == []


def test_nothing_and_other_programs_values_raise_no_flag():
    assert find_flags(np.zeros((4, 5, 6), np.uint8), np.eye(4)) == []
    labels, affine = vertebrae(PEOPLE[0])
    other = labels.astype(np.int16)
    other[:3], other[-3:] = 26, 91
    assert find_flags(other, affine) == []


@pytest.mark.parametrize("upper", range(1, 7))
def test_two_levels_that_changed_names_are_out_of_order_where_they_meet(neck, upper):
    labels, affine = neck
    swapped = labels.copy()
    swapped[labels == upper], swapped[labels == upper + 1] = upper + 1, upper
    (flag,) = find_flags(swapped, affine)
    assert flag.kind == ORDER and flag.levels == (f"C{upper}", f"C{upper + 1}")
    middle = (center_of(labels, affine, upper) + center_of(labels, affine, upper + 1)) / 2
    assert np.linalg.norm(np.array(flag.place) - middle) < 6


def test_a_neck_counted_upwards_is_out_of_order_at_every_level(neck):
    labels, affine = neck
    upside_down = np.where(labels > 0, 8 - labels, 0)
    assert flags_of(upside_down, affine) == [(ORDER, (f"C{n}", f"C{n + 1}")) for n in range(1, 7)]


@pytest.mark.parametrize(("level", "there"), [(3, 6), (5, 2), (7, 4)])
def test_a_part_of_a_level_in_another_vertebra_is_doubled_there(neck, level, there):
    labels, affine = neck
    where = np.argwhere(labels == there)
    part = where[where[:, 2] < np.median(where[:, 2]) - 4]
    labels[tuple(part.T)] = level
    place = affine[:3, :3] @ part.mean(axis=0)[::-1] + affine[:3, 3]
    flag = next(flag for flag in find_flags(labels, affine) if flag.kind == DOUBLED)
    assert flag.levels == (f"C{level}",) and np.linalg.norm(np.array(flag.place) - place) < 8
    assert ("below" if there > level else "above") in flag.sentence


@pytest.mark.parametrize("upper", range(1, 7))
def test_two_vertebrae_that_grew_together_under_one_name_are_fused(neck, upper):
    labels, affine = neck
    lower = labels == upper + 1
    near = ndimage.distance_transform_edt(labels != upper) + ndimage.distance_transform_edt(~lower)
    labels[lower | ((near < near.min() + 0.8) & (labels == 0))] = upper
    assert ndimage.label(labels == upper, np.ones((3, 3, 3)))[1] == 1
    flags = {flag.kind: flag for flag in find_flags(labels, affine)}
    assert set(flags) == ({FUSED, MISSING} if upper < 6 else {FUSED}) and flags[FUSED].levels == (f"C{upper}",)
    assert np.linalg.norm(np.array(flags[FUSED].place) - center_of(labels, affine, upper)) < 20


def test_one_name_for_two_vertebrae_that_do_not_touch_is_doubled(neck):
    labels, affine = neck
    labels[ndimage.binary_dilation(labels == 5, np.ones((3, 3, 3))) & (labels == 4)] = 0
    labels[labels == 5] = 4
    assert (DOUBLED, ("C4",)) in flags_of(labels, affine) and (MISSING, ("C5",)) in flags_of(labels, affine)


@pytest.mark.parametrize("level", range(2, 7))
def test_a_level_that_was_left_out_is_missed_in_its_place(neck, level):
    labels, affine = neck
    center = center_of(labels, affine, level)
    labels[labels == level] = 0
    flag = next(flag for flag in find_flags(labels, affine) if flag.kind == MISSING)
    assert flag.levels == (f"C{level}",) and "no room" not in flag.sentence
    assert np.linalg.norm(np.array(flag.place) - center) < 12


def test_a_name_that_was_skipped_is_told_from_a_vertebra_that_is_missing(neck):
    labels, affine = neck
    skipped = np.where(labels >= 4, labels + 1, labels)
    (flag,) = find_flags(np.where(skipped > 7, 0, skipped), affine)
    assert flag.kind == MISSING and flag.levels == ("C4",) and "no room" in flag.sentence


@pytest.mark.parametrize("level", range(1, 8))
def test_a_level_that_fell_apart_is_fragmented_at_the_piece(neck, level):
    labels, affine = neck
    where = np.argwhere(labels == level)
    behind = where[:, 1] - np.quantile(where[:, 1], 0.75)
    labels[tuple(where[np.abs(behind) < 1.1].T)] = 0
    piece = where[behind > 1.1].mean(axis=0)
    (flag,) = find_flags(labels, affine)
    assert flag.kind == FRAGMENTED and flag.levels == (f"C{level}",)
    assert np.linalg.norm(np.array(flag.place) - (affine[:3, :3] @ piece[::-1] + affine[:3, 3])) < 25


def test_crumbs_are_no_fragments(neck):
    labels, affine = neck
    free = np.argwhere(ndimage.distance_transform_edt(labels == 0) > 3)
    for place in free[:: len(free) // 8]:
        labels[tuple(place)] = 4
    assert find_flags(labels, affine) == []


def test_places_do_not_depend_on_how_the_grid_is_stored(neck):
    labels, affine = neck
    labels[labels == 3] = 0
    stored = np.ascontiguousarray(labels.transpose(2, 0, 1)[:, ::-1])
    # Array axes are now x, -z, y: its index (i, j, k) are the old y, top - z, x.
    columns = affine @ np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, -1, 0, labels.shape[0] - 1], [0, 0, 0, 1]])
    first, second = find_flags(labels, affine), find_flags(stored, columns)
    assert [flag.kind for flag in first] == [flag.kind for flag in second] == [MISSING]
    assert np.allclose(first[0].place, second[0].place, atol=1e-6)


def test_a_flag_survives_json():
    import json

    flag = Flag(ORDER, ("C3", "C4"), "C4 lies above C3.", (1.0, 2.5, -3.0))
    assert Flag.from_dict(json.loads(json.dumps(flag.to_dict()))) == flag
