"""The built-in anatomy is a neck: whole vertebrae, open canals and foramina, published sizes, exact landmarks."""

from __future__ import annotations

import numpy as np
import pytest
from neckfrac.anatomy import LEVEL_NAMES, OTHER_BONE, SKULL, T1, THORACIC
from neckfrac_lab.simulate.built_in.morphometry import AXIS_HEIGHT, TYPICAL
from neckfrac_lab.simulate.built_in.parametric import build_neck
from neckfrac_lab.simulate.neck import CHAIN, DISTANCE_SCALE, FIRST_MUSCLE, TISSUES, Bone, Neck, VertebraFrame
from scipy import ndimage

SPINE = CHAIN[1:]
PERSON = 7


@pytest.fixture(scope="module")
def textbook() -> Neck:
    return build_neck()


@pytest.fixture(scope="module")
def person() -> Neck:
    return build_neck(PERSON)


@pytest.fixture(params=["textbook", "person"])
def neck(request) -> Neck:
    return request.getfixturevalue(request.param)


def distance_at(bone: Bone, points: np.ndarray) -> np.ndarray:
    """The bone's signed distance (mm) at LPS points [..., 3]."""
    points = np.asarray(points, float)
    index = ((points - bone.origin) / bone.spacing)[..., ::-1].reshape(-1, 3)
    values = bone.distance.astype(np.float32) / DISTANCE_SCALE
    return ndimage.map_coordinates(values, index.T, order=1, cval=7.9).reshape(points.shape[:-1])


def world(frame: VertebraFrame, points: np.ndarray) -> np.ndarray:
    """Points in a vertebra's own axes about its centre, in LPS mm."""
    return np.asarray(points, float) @ np.array(frame.axes) + frame.center


def extent(bone: Bone, frame: VertebraFrame, axis: int, through: np.ndarray) -> float:
    """How long (mm) the bone is along one of its own axes around a point inside it (own axes)."""
    steps = np.arange(-40, 40, 0.1)
    line = np.tile(np.asarray(through, float), (len(steps), 1))
    line[:, axis] += steps
    inside = distance_at(bone, world(frame, line)) < 0
    runs, _ = ndimage.label(inside)
    assert runs[len(steps) // 2] > 0, "the measuring line starts outside the bone"
    return 0.1 * np.count_nonzero(runs == runs[len(steps) // 2])


def test_the_neck_has_every_bone_with_the_label_and_link_that_carry_it(neck):
    labels = {name: n + 1 for n, name in enumerate(LEVEL_NAMES)} | {"T1": T1, "skull": SKULL, "mandible": OTHER_BONE}
    labels |= {"hyoid": OTHER_BONE, "left clavicle": OTHER_BONE, "right first rib": OTHER_BONE, "T2": THORACIC}
    assert {name: neck.bones[name].label for name in labels} == labels
    links = {"mandible": "skull", "hyoid": "C3", "left second rib": "T2", "C5": "C5", "right clavicle": "T1"}
    assert {name: neck.bones[name].segment for name in links} == links
    assert set(neck.frames) == set(SPINE)
    assert set(neck.joints) == {*CHAIN[:-1], "mandible"}


@pytest.mark.parametrize("name", [*SPINE, "skull", "mandible", "hyoid", "left scapula"])
def test_each_bone_is_one_connected_piece(neck, name):
    _, pieces = ndimage.label(neck.bones[name].distance < 0)
    assert pieces == 1


@pytest.mark.parametrize("name", ["C1", "C4", "C7", "skull", "mandible"])
def test_no_bone_is_cut_off_by_its_grid(neck, name):
    distance = neck.bones[name].distance
    for axis in range(3):
        for end in (0, -1):
            assert np.take(distance, end, axis).min() > 2 * DISTANCE_SCALE


def test_distances_are_in_millimetres_near_the_surface(textbook):
    for name in ("C1", "C4", "T1"):
        bone = textbook.bones[name]
        distance = bone.distance.astype(np.float32) / DISTANCE_SCALE
        near = np.abs(distance) < 0.8
        slope = np.sqrt(sum(part**2 for part in np.gradient(distance, bone.spacing)))[near]
        assert 0.85 < np.median(slope) < 1.15


def test_the_atlas_is_a_ring_without_a_body(neck):
    atlas, frame = neck.bones["C1"], neck.frames["C1"]
    # The dens and the cord stand where a body would be: nothing of C1 within 5 mm of its centre.
    ball = np.random.default_rng(0).normal(size=(500, 3))
    ball *= 5 / np.linalg.norm(ball, axis=1, keepdims=True)
    assert distance_at(atlas, world(frame, ball)).min() > 0
    # From the canal, bone lies in every direction of the ring's plane: in front, behind and on both sides.
    canal = frame.to_local(np.array(frame.canal))
    for angle in np.arange(0, 2 * np.pi, np.pi / 18):
        ray = canal + np.arange(0, 40, 0.3)[:, None] * np.array([np.cos(angle), np.sin(angle), 0.0])
        # The arches lie a little above and below the middle of the lateral masses.
        heights = [distance_at(atlas, world(frame, ray + np.array([0, 0, z]))).min() for z in (-3, -1.5, 0, 1.5, 3)]
        assert min(heights) < 0


def test_a_tube_of_ten_millimetres_passes_down_the_whole_canal(neck):
    points = np.array([neck.frames[name].canal for name in SPINE])
    path = np.concatenate([np.linspace(a, b, 30) for a, b in zip(points[:-1], points[1:], strict=True)])
    for name in ("skull", *SPINE):
        assert distance_at(neck.bones[name], path).min() > 5.0, name


@pytest.mark.parametrize("name", LEVEL_NAMES[:6])
def test_the_transverse_foramina_are_open_holes_enclosed_by_bone(neck, name):
    bone, frame = neck.bones[name], neck.frames[name]
    for side in (1, -1):
        # Seen from above, every ray that comes down through the hole misses the bone, and bone surrounds it.
        x, y = np.meshgrid(side * np.arange(3, 42, 0.6), np.arange(-12, 9, 0.6), indexing="ij")
        # C2's turns outwards on its way up: only its lower half is seen through.
        z = np.arange(-9, -2.5 if name == "C2" else 4, 0.6)
        columns = np.stack(np.broadcast_arrays(x[..., None], y[..., None], z), axis=-1)
        shadow = (distance_at(bone, world(frame, columns)) < 0).any(axis=-1)
        holes = ndimage.binary_fill_holes(shadow) & ~shadow
        assert np.count_nonzero(holes) * 0.36 > 12


@pytest.mark.parametrize(("upper", "lower"), list(zip(CHAIN[:-1], CHAIN[1:], strict=True)))
def test_neighbours_do_not_overlap(neck, upper, lower):
    one, other = neck.bones[upper], neck.bones[lower]
    inside = np.argwhere(one.distance < 0)[:, ::-1] * one.spacing + one.origin
    shared = distance_at(other, inside) < 0
    assert np.count_nonzero(shared) * one.spacing**3 < 8


@pytest.mark.parametrize("name", ["C3", "C4", "C5", "C6"])
def test_bodies_are_as_large_as_published(neck, name):
    bone, frame = neck.bones[name], neck.frames[name]
    _, depth, height = frame.half_size
    measured = {
        "lower_depth": extent(bone, frame, 1, np.array([0, 0, -height + 2.5])),
        "height": extent(bone, frame, 2, np.array([0, 0.6 * depth, 0])),
        "lower_width": extent(bone, frame, 0, np.array([0, 1.6, -height + 2.4])),
    }
    for measure, value in measured.items():
        mean, deviation = TYPICAL[measure]
        assert abs(value - mean) < 2 * deviation, (measure, value)


def test_the_axis_is_as_tall_as_published_and_its_dens_stands_behind_the_arch_of_the_atlas(neck):
    axis, frame = neck.bones["C2"], neck.frames["C2"]
    tall = extent(axis, frame, 2, np.array([0.0, 0.0, 0.0]))
    assert abs(tall - AXIS_HEIGHT[0]) < 2 * AXIS_HEIGHT[1]
    tip = np.array(frame.dens_tip)
    assert distance_at(axis, tip) < 0
    # Straight forward from the dens at C1's height comes a gap of 1 to 3 mm, then the anterior arch.
    level = world(frame, frame.to_local(np.array(neck.frames["C1"].center)) * [0, 0, 1])
    line = level - np.arange(0, 25, 0.1)[:, None] * np.array(frame.axes[1])
    dens, arch = distance_at(axis, line) < 0, distance_at(neck.bones["C1"], line) < 0
    assert dens[0] and arch.any()
    assert 1.0 < 0.1 * (np.flatnonzero(arch)[0] - np.flatnonzero(dens)[-1]) < 3.0


def test_landmarks_lie_on_or_in_their_bone(neck):
    for name, frame in neck.frames.items():
        bone = neck.bones[name]
        assert distance_at(bone, frame.spinous_tip) < 3.0, name
        for side in ("left", "right"):
            assert distance_at(bone, getattr(frame, f"{side}_lateral_mass")) < 0, (name, side)
            assert distance_at(bone, getattr(frame, f"{side}_transverse_tip")) < 2.0, (name, side)
            assert distance_at(bone, getattr(frame, f"{side}_lamina")) < 1.5, (name, side)
        assert distance_at(bone, frame.canal) > 4.0, name
        if name != "C1":
            assert distance_at(bone, frame.center) < -3.0, name
        axes = np.array(frame.axes)
        assert np.allclose(axes @ axes.T, np.eye(3), atol=1e-9) and np.linalg.det(axes) > 0.99


def test_left_is_towards_positive_x_and_the_chain_runs_down(neck):
    heights = [neck.frames[name].center[2] for name in SPINE]
    assert all(a - b > 9 for a, b in zip(heights[:-1], heights[1:], strict=True))
    for frame in neck.frames.values():
        assert frame.left_lateral_mass[0] > 5 and frame.right_transverse_tip[0] < -15
        assert frame.spinous_tip[1] > frame.canal[1] > frame.center[1]
    left, right = (neck.bones[f"{side} clavicle"] for side in ("left", "right"))
    assert np.argwhere(left.distance < 0)[:, 2].min() * left.spacing + left.origin[0] > 0
    assert np.argwhere(right.distance < 0)[:, 2].max() * right.spacing + right.origin[0] < 0


def test_joints_lie_between_the_bones_they_join(neck):
    for upper, lower in zip(SPINE[1:-1], SPINE[2:], strict=True):
        joint = np.array(neck.joints[upper])
        assert neck.frames[lower].center[2] < joint[2] < neck.frames[upper].center[2]
    # C1 turns about the dens; the head nods above C1.
    assert distance_at(neck.bones["C2"], neck.joints["C1"]) < -2
    assert neck.joints["skull"][2] > neck.frames["C1"].center[2]
    jaw = np.array(neck.joints["mandible"])
    assert distance_at(neck.bones["mandible"], jaw + [51, 0, 0]) < 0 and distance_at(neck.bones["mandible"], jaw) > 5


def test_the_textbook_neck_is_its_own_mirror_image(textbook):
    for name in (*SPINE, "skull", "mandible", "hyoid", "sternum"):
        bone = textbook.bones[name]
        assert np.array_equal(bone.distance, bone.distance[:, :, ::-1]), name
        assert bone.origin[0] == pytest.approx(-(bone.origin[0] + bone.spacing * (bone.distance.shape[2] - 1)))
    for frame in textbook.frames.values():
        assert np.allclose(np.array(frame.left_lamina) * [-1, 1, 1], frame.right_lamina)


def test_the_same_seed_gives_the_same_neck_and_another_seed_another(textbook, person):
    from neckfrac_lab.simulate.built_in.layout import lay_out
    from neckfrac_lab.simulate.built_in.morphometry import draw_person
    from neckfrac_lab.simulate.built_in.parametric import build_vertebra

    def make(seed: int) -> Bone:
        drawn = draw_person(seed)
        return build_vertebra(lay_out(drawn).places["C4"], drawn)

    again, other = make(PERSON), make(PERSON + 1)
    assert np.array_equal(again.distance, person.bones["C4"].distance)
    assert again.origin == person.bones["C4"].origin
    assert again.distance.shape != other.distance.shape or not np.array_equal(again.distance, other.distance)
    assert person.frames["C4"].half_size != textbook.frames["C4"].half_size


def test_soft_tissue_lies_where_it_belongs(neck):
    value = {name: n for n, name in enumerate(TISSUES)}

    def tissue_at(point) -> int:
        index = np.rint((np.asarray(point) - neck.tissue_origin) / neck.tissue_spacing).astype(int)[::-1]
        return int(neck.tissue[tuple(index)])

    assert neck.tissue.shape == neck.body.shape and neck.body.dtype == np.float16
    present = set(np.unique(neck.tissue).tolist())
    missing = {"none", "skin"}
    assert {n for name, n in value.items() if name not in missing} <= present
    assert sum(n >= FIRST_MUSCLE for n in present) >= 30
    for name in SPINE:
        assert tissue_at(neck.frames[name].canal) == value["spinal canal"], name
    disc = (np.array(neck.frames["C4"].center) + neck.frames["C5"].center) / 2
    assert tissue_at(disc) == value["disc"]
    # Walking forward from C3, C5 and C7 one meets the airway before the skin.
    for name in ("C3", "C5", "C7"):
        walk = [tissue_at(np.array(neck.frames[name].center) - [0, step, 0]) for step in np.arange(8, 50, 2.0)]
        assert value["airway"] in walk, name
    airway = neck.tissue == value["airway"]
    assert np.mean(neck.body[airway] < 0) > 0.98


def test_the_skin_encloses_the_bones_of_head_and_neck(neck):
    for name in ("skull", "mandible", "hyoid", *SPINE[:9], "left clavicle", "left first rib"):
        bone = neck.bones[name]
        points = np.argwhere(bone.distance < 0)[:, ::-1] * bone.spacing + bone.origin
        index = np.rint((points - neck.tissue_origin) / neck.tissue_spacing).astype(int)
        depth = neck.body[index[:, 2], index[:, 1], index[:, 0]]
        assert depth.max() < -1.0, (name, float(depth.max()))
