"""Meshes become the bones, landmarks and soft tissue of a neck."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from neckfrac.errors import InputError
from neckfrac_lab.simulate.meshes.mesh_neck import classify, load_mesh_neck, read_neck
from neckfrac_lab.simulate.neck import CHAIN, DISTANCE_SCALE, FIRST_MUSCLE, TISSUES, Bone
from neckfrac_lab.simulate.voxelise import Grid, Mesh, crop_around, occupancy, read_obj, signed_distance

REAL = Path(__file__).parents[3] / "shared" / "anatomy" / "bodyparts3d-neck"
TILT = np.radians(12)
# The small neck below leans forward as a whole: what the landmarks must find again.
TURN = np.array([[1, 0, 0], [0, np.cos(TILT), -np.sin(TILT)], [0, np.sin(TILT), np.cos(TILT)]])


def sheet(u_count: int, v_count: int, place, closed_v: bool) -> Mesh:
    """A parametrised surface, closed along u and, for a torus, along v."""
    u = np.arange(u_count) / u_count
    v = np.arange(v_count) / (v_count if closed_v else v_count - 1)
    vertices = place(*np.meshgrid(2 * np.pi * u, v, indexing="ij")).reshape(-1, 3)
    faces = []
    for i in range(u_count):
        for j in range(v_count if closed_v else v_count - 1):
            a, b = i * v_count + j, ((i + 1) % u_count) * v_count + j
            c, d = ((i + 1) % u_count) * v_count + (j + 1) % v_count, i * v_count + (j + 1) % v_count
            faces += [(a, b, c), (a, c, d)]
    return Mesh(vertices, np.array(faces))


def ellipsoid(center, radii) -> Mesh:
    def place(u, v):
        direction = np.stack([np.cos(u) * np.sin(np.pi * v), np.sin(u) * np.sin(np.pi * v), np.cos(np.pi * v)], -1)
        return np.asarray(center) + np.asarray(radii) * direction

    mesh = sheet(48, 33, place, closed_v=False)
    return Mesh(mesh.vertices, mesh.faces[:, ::-1])


def torus(center, ring, tube) -> Mesh:
    def place(u, v):
        reach = ring + tube * np.cos(2 * np.pi * v)
        return np.asarray(center) + np.stack([reach * np.cos(u), reach * np.sin(u), tube * np.sin(2 * np.pi * v)], -1)

    return sheet(128, 64, place, closed_v=True)


def joined(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def write_obj(path: Path, mesh: Mesh) -> None:
    lines = ["# a comment", *(f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in mesh.vertices)]
    path.write_text("\n".join([*lines, *(f"f {a}//{a} {b} {c}/1" for a, b, c in mesh.faces + 1)]))


def volume(bone: Bone) -> float:
    """Volume in mm3 with partial voxels counted in part."""
    distance = bone.distance / DISTANCE_SCALE
    return float(np.clip(0.5 - distance / bone.spacing, 0, 1).sum() * bone.spacing**3)


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory) -> Path:
    """Vertebrae C3 to C5 (an ellipsoid and a ring, canal 15 mm behind), discs C2 to C5, a ball for a jaw, a muscle."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "obj_mm_LPS").mkdir()
    meshes = {}
    for number, ordinal in ((3, "Third"), (4, "Fourth"), (5, "Fifth")):
        height = -16.0 * number
        meshes[f"FMA{number}_{ordinal}_cervical_vertebra.obj"] = joined(
            ellipsoid((0, 0, height), (11, 9, 6.5)), torus((0, 15, height), 11.0, 3.0)
        )
    words = ("axis", "third_cervical_vertebra", "fourth_cervical_vertebra", "fifth_cervical_vertebra")
    for number, word in enumerate(words, 2):
        meshes[f"FMA1{number}_Intervertebral_disk_of_{word}.obj"] = ellipsoid((0, 0, -16.0 * number - 8), (12, 9, 2.5))
    meshes["FMA52748_Mandible.obj"] = ellipsoid((0, -60, -20), (20, 20, 20))
    meshes["FMA13408_Right_sternocleidomastoid.obj"] = ellipsoid((-40, 0, -60), (9, 9, 30))
    for name, mesh in meshes.items():
        turned = mesh.vertices @ TURN.T + [3.0, -7.0, 1400.0]
        # Holes as in the real meshes: a few faces are missing.
        kept = np.ones(len(mesh.faces), bool)
        kept[100:103] = False
        write_obj(folder / "obj_mm_LPS" / name, Mesh(turned, mesh.faces[kept]))
    (folder / "manifest.csv").write_text("file,group\n" + "".join(f"{name},any\n" for name in meshes))
    return folder


@pytest.fixture(scope="module")
def small_neck(small_folder, tmp_path_factory):
    file = tmp_path_factory.mktemp("cache") / "small.npz"
    return load_mesh_neck(small_folder, cache=file), file


def test_winding_number_gives_a_torus_its_analytic_volume_from_either_orientation(tmp_path):
    mesh = torus((1.0, 2.0, 3.0), 12.0, 4.0)
    expected = 2 * np.pi**2 * 12.0 * 4.0**2
    grid = Grid.around(np.full(3, -20.0), np.full(3, 24.0), 0.5)
    for name, faces in (("out", mesh.faces), ("in", mesh.faces[:, ::-1])):
        write_obj(tmp_path / f"{name}.obj", Mesh(mesh.vertices, faces))
        found = occupancy(read_obj(tmp_path / f"{name}.obj"), grid).sum() * 0.5**3
        assert found == pytest.approx(expected, rel=0.02)


def test_overlapping_shells_stay_filled():
    both = joined(ellipsoid((-3, 0, 0), (8, 8, 8)), ellipsoid((3, 0, 0), (8, 8, 8)))
    inside = occupancy(both, Grid.around(np.full(3, -12.0), np.full(3, 12.0), 1.0))
    assert inside[12, 12, 4:21].all()


def test_holes_in_a_mesh_leave_no_trace():
    whole = ellipsoid((0, 0, 0), (15, 15, 15))
    grid = crop_around([whole], 1.0)
    middle = whole.vertices[whole.faces].mean(axis=1)
    hole = (np.linalg.norm(middle - [0, 0, 15], axis=1) < 4) | (np.linalg.norm(middle - [15, 0, 0], axis=1) < 4)
    assert 10 < hole.sum() < 400
    torn = occupancy(Mesh(whole.vertices, whole.faces[~hole]), grid)
    differing = np.argwhere(torn != occupancy(whole, grid))[:, ::-1] * grid.spacing + grid.origin
    # Only the missing caps themselves, 1.2 mm high, may be lost: no ray through a hole leaves a trace.
    assert (np.linalg.norm(differing, axis=1) > 13.8).all()


def test_signed_distance_of_a_ball_is_right_to_a_quarter_millimetre_and_padded():
    ball = ellipsoid((5, -4, 7), (12, 12, 12))
    grid = crop_around([ball], 1.0)
    distance = signed_distance([ball], grid) / DISTANCE_SCALE
    z, y, x = grid.axes()
    exact = np.sqrt((x - 5) ** 2 + (y + 4) ** 2 + (z - 7) ** 2) - 12
    near = np.abs(exact) < 7
    assert np.abs(distance - exact)[near].max() < 0.35
    assert abs((distance - exact)[np.abs(exact) < 2].mean()) < 0.08
    for axis in range(3):
        assert np.take(distance, [0, -1], axis).min() > 7.5


def test_bones_keep_their_volume_although_meshes_have_holes(small_neck):
    neck, _ = small_neck
    assert volume(neck.bones["mandible"]) == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.02)
    assert set(neck.bones) == {"mandible", "C3", "C4", "C5"}
    assert neck.bones["C4"].label == 4 and neck.bones["mandible"].segment == "skull"


def test_landmarks_of_a_leaning_neck_are_found(small_neck):
    neck, _ = small_neck
    for number, name in ((3, "C3"), (4, "C4"), (5, "C5")):
        frame = neck.frames[name]
        center = TURN @ [0, 0, -16.0 * number] + [3.0, -7.0, 1400.0]
        assert np.linalg.norm(np.array(frame.center) - center) < 1.0
        assert np.abs(np.array(frame.axes) - TURN.T).max() < 0.03
        assert np.linalg.det(np.array(frame.axes)) == pytest.approx(1.0, abs=1e-6)
        assert frame.to_local(np.array(frame.canal)) == pytest.approx([0, 15, 0], abs=1.5)
        assert frame.half_size == pytest.approx((12, 9, 6.5), abs=1.0)
        assert frame.to_local(np.array(frame.spinous_tip)) == pytest.approx([0, 29, 0], abs=1.5)
        assert frame.to_local(np.array(frame.left_lamina))[0] > 4 > -4 > frame.to_local(np.array(frame.right_lamina))[0]
    assert neck.joints["C4"] == pytest.approx(TURN @ [0, 0, -72.0] + [3.0, -7.0, 1400.0], abs=0.3)


def test_tissue_holds_discs_canal_and_each_muscle_inside_the_skin(small_neck):
    neck, _ = small_neck
    values = set(np.unique(neck.tissue))
    assert {TISSUES.index("disc"), TISSUES.index("spinal canal"), FIRST_MUSCLE} <= values
    assert neck.tissue.dtype == np.uint8 and neck.body.dtype == np.float16
    assert neck.tissue.shape == neck.body.shape
    assert (neck.body[neck.tissue >= FIRST_MUSCLE] < 0).all()
    # Air above, before and behind; below, the body goes on.
    assert all((np.take(neck.body, end, axis) > 0).all() for axis, end in ((0, -1), (1, 0), (1, -1)))
    assert (neck.body[0] < 0).any()


def test_second_load_comes_from_the_cache_and_is_identical(small_neck, small_folder, monkeypatch):
    neck, file = small_neck
    voxelise = "neckfrac_lab.simulate.meshes.mesh_neck.voxelise_neck"
    monkeypatch.setattr(voxelise, lambda *_: pytest.fail("voxelised again"))
    again = load_mesh_neck(small_folder, cache=file)
    assert again.frames == neck.frames and again.joints == neck.joints
    assert (again.tissue_origin, again.tissue_spacing) == (neck.tissue_origin, neck.tissue_spacing)
    assert (again.source, again.license) == (neck.source, neck.license)
    assert np.array_equal(again.tissue, neck.tissue) and np.array_equal(again.body, neck.body)
    assert list(again.bones) == list(neck.bones)
    for name, bone in neck.bones.items():
        other = again.bones[name]
        assert np.array_equal(other.distance, bone.distance) and other.distance.dtype == np.int8
        assert (other.origin, other.spacing, other.label, other.segment) == (
            bone.origin, bone.spacing, bone.label, bone.segment
        )


def test_damaged_archive_and_foreign_key_read_as_nothing(small_neck, tmp_path):
    _, file = small_neck
    assert read_neck(file) is not None
    assert read_neck(file, key="another") is None
    assert read_neck(tmp_path / "absent.npz") is None
    for kept in (0, 100, 5000):
        (tmp_path / "cut.npz").write_bytes(file.read_bytes()[:kept])
        assert read_neck(tmp_path / "cut.npz") is None


def test_missing_folder_missing_mesh_and_empty_mesh_are_input_errors(tmp_path):
    with pytest.raises(InputError, match=r"manifest\.csv"):
        load_mesh_neck(tmp_path / "nowhere", cache=tmp_path / "a.npz")
    (tmp_path / "manifest.csv").write_text("file\nFMA1_Mandible.obj\n")
    with pytest.raises(InputError, match="Mandible"):
        load_mesh_neck(tmp_path, cache=tmp_path / "a.npz")
    (tmp_path / "manifest.csv").write_text("name\nFMA1_Mandible.obj\n")
    with pytest.raises(InputError, match="file"):
        load_mesh_neck(tmp_path, cache=tmp_path / "a.npz")
    for content in ("", "v 0 0 0\nv 1 0 0\nf 1 2 9\n", "v 0 zero 0\nf 1 1 1\n", "v 0 0 0\n"):
        (tmp_path / "bad.obj").write_text(content)
        with pytest.raises(InputError, match=r"bad\.obj"):
            read_obj(tmp_path / "bad.obj")
    assert not (tmp_path / "a.npz").exists()


@pytest.mark.parametrize(
    ("file", "name", "kind", "label", "segment"),
    [
        ("FMA12519_Atlas.obj", "C1", "bone", 1, "C1"),
        ("FMA12525_Seventh_cervical_vertebra.obj", "C7", "bone", 7, "C7"),
        ("FMA9165_First_thoracic_vertebra.obj", "T1", "bone", 8, "T1"),
        ("FMA9968_Seventh_thoracic_vertebra.obj", "T7", "bone", 9, "T5"),
        ("FMA13899_Intervertebral_disk_of_sixth_cervical_vertebra.obj", "C6", "disc", 11, ""),
        ("FMA53648_Left_nasal_bone.obj", "skull", "bone", 10, "skull"),
        ("FMA52748_Mandible.obj", "mandible", "bone", 11, "skull"),
        ("FMA7987_Left_first_rib.obj", "left first rib", "bone", 11, "T1"),
        ("FMA8005_Left_first_costal_cartilage.obj", "left_first_costal_cartilage", "cartilage", 11, ""),
        ("FMA13390_Right_scalenus_medius.obj", "right_scalenus_medius", "muscle", 11, ""),
    ],
)
def test_file_names_say_what_a_mesh_is(file, name, kind, label, segment):
    part = classify(file)
    assert (part.name, part.kind, part.label, part.segment) == (name, kind, label, segment)


def test_real_meshes_are_all_known_and_vertebrae_keep_their_volume():
    if not REAL.is_dir():
        pytest.skip("the BodyParts3D meshes are not at ../shared/anatomy")
    parts = [classify(path.name) for path in sorted((REAL / "obj_mm_LPS").glob("*.obj"))]
    assert {part.name for part in parts if part.kind == "bone"} >= set(CHAIN)
    assert sum(part.kind == "disc" for part in parts) == 12
    mesh = read_obj(next((REAL / "obj_mm_LPS").glob("*Fourth_cervical_vertebra.obj")))
    corners = mesh.vertices[mesh.faces] - mesh.vertices.mean(axis=0)
    expected = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert occupancy(mesh, crop_around([mesh], 0.5)).sum() * 0.5**3 == pytest.approx(expected, rel=0.01)
