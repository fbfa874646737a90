"""What `neckfrac simulate` leaves in a folder, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
from neckfrac.anatomy import LEVEL_BY_NAME
from neckfrac.cli import main
from neckfrac.errors import Cancelled, InputError
from neckfrac.intake.study import read_study
from neckfrac.progress import Progress
from neckfrac.truth import read_truth
from neckfrac.volume import from_image
from neckfrac_lab.simulate.built_in import parametric
from neckfrac_lab.simulate.command import LEAST_VOXELS, simulate_to_folder

SIZE, SPACING = (60, 80, 80), (2.0, 2.0, 2.0)


@pytest.fixture(scope="module")
def neck():
    """The built-in textbook neck, built once: it takes some seconds."""
    return parametric.build_neck(None)


@pytest.fixture
def simulate(neck, monkeypatch):
    """simulate_to_folder on a small grid; every seed gets the textbook neck in its own pose and scanner."""
    seeds = []

    def build(seed=None):
        seeds.append(seed)
        return neck

    monkeypatch.setattr(parametric, "build_neck", build)

    def simulate(output, **options):
        simulate_to_folder(output, **({"seed": 3, "fractures": [], "size": SIZE, "spacing": SPACING} | options))
        return output

    simulate.seeds = seeds
    return simulate


@pytest.fixture(scope="module")
def two_fractures(neck, tmp_path_factory):
    """A study with a fracture of C4 and one of C6, as NRRD and as DICOM."""
    folder = tmp_path_factory.mktemp("simulated") / "study"
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parametric, "build_neck", lambda seed: neck)
        simulate_to_folder(
            folder, seed=3, fractures=["C4:burst", "c6:spinous"], size=SIZE, spacing=SPACING, dicom=True,
            progress=Progress(lambda *step: told.append(step)),
        )  # fmt: skip
    return folder, told


def volume(path):
    return from_image(sitk.ReadImage(str(path)))


def test_a_study_has_its_ct_labels_fractures_and_truth_on_one_grid(two_fractures):
    folder, _ = two_fractures
    assert {path.name for path in folder.iterdir()} == {
        "ct.nrrd", "labels.nrrd", "fracture.nrrd", "truth.json", "dicom"}  # fmt: skip
    ct, labels, fracture = (volume(folder / f"{name}.nrrd") for name in ("ct", "labels", "fracture"))
    assert ct.shape == labels.shape == fracture.shape == SIZE
    assert np.allclose(ct.spacing, SPACING)
    assert np.allclose(ct.affine, labels.affine) and np.allclose(ct.affine, fracture.affine)
    assert ct.voxels.dtype == np.int16 and ct.voxels.min() >= -1024
    assert np.median(ct.voxels[labels.voxels == 4]) > 150, "a vertebra is bone"
    assert ct.voxels.min() < -900, "and around the neck is air"
    assert [path.name for path in folder.parent.iterdir()] == ["study"], "nothing unfinished is left beside it"


def test_the_truth_names_the_wanted_fractures_and_no_others(two_fractures):
    folder, _ = two_fractures
    truth = read_truth(folder / "truth.json")
    fractured = {name: level["kinds"] for name, level in truth["levels"].items() if level["fracture"]}
    assert fractured == {"C4": ["burst"], "C6": ["spinous"]}
    assert truth["simulated"] is True and truth["seed"] == 3
    fracture = volume(folder / "fracture.nrrd")
    assert set(np.unique(fracture.voxels)) == {0, 4, 6}
    for name in fractured:
        where = np.argwhere(fracture.voxels == LEVEL_BY_NAME[name].label)
        assert len(where) >= LEAST_VOXELS
        points, box = fracture.to_points(where), truth["levels"][name]["box"]
        assert (points >= box["lower"]).all() and (points <= box["upper"]).all()


def test_the_levels_lie_where_the_truth_says(two_fractures):
    folder, _ = two_fractures
    truth, labels = read_truth(folder / "truth.json"), volume(folder / "labels.nrrd")
    for name in ("C3", "C4", "C5"):
        assert truth["levels"][name]["share_in_view"] > 0.95
        center = labels.to_points(np.argwhere(labels.voxels == LEVEL_BY_NAME[name].label).mean(axis=0))
        # The truth's centre is the body's; the arch draws the vertebra's own backwards.
        assert np.linalg.norm(center - truth["levels"][name]["center"]) < 22
        assert abs(center[0] - truth["levels"][name]["center"][0]) < 5, "left is left"


def test_the_dicom_series_holds_the_same_voxels_at_the_same_places(two_fractures):
    folder, _ = two_fractures
    ct, study = volume(folder / "ct.nrrd"), read_study(folder / "dicom")
    assert np.array_equal(study.volume.voxels, ct.voxels)
    assert np.allclose(study.volume.affine, ct.affine, atol=1e-3)
    assert study.identity.format == "DICOM" and "imulated" in study.identity.study_description
    assert np.array_equal(read_study(folder / "ct.nrrd").volume.voxels, ct.voxels)


def test_progress_runs_through_building_scanning_and_writing(two_fractures):
    _, told = two_fractures
    assert list(dict.fromkeys(stage for stage, _ in told)) == [
        "Building the neck", "Simulating the scan", "Writing"]  # fmt: skip
    fractions = [done for _, done in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0


def test_the_same_seed_gives_the_same_files_and_another_seed_another_study(simulate, tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        simulate(tmp_path / name, seed=seed, size=(24, 40, 40), spacing=(3.0, 4.0, 4.0))
    assert simulate.seeds == [5, 5, 6], "the seed decides whose neck it is"
    for name in ("ct.nrrd", "labels.nrrd", "truth.json"):
        one, same, other = ((tmp_path / part / name).read_bytes() for part in "abc")
        assert one == same and one != other


def test_a_plain_study_is_the_textbook_neck_standing_straight(simulate, tmp_path):
    out = simulate(tmp_path / "out", plain=True)
    assert simulate.seeds == [None]
    labels = volume(out / "labels.nrrd")
    # Through the left and the right half of a symmetric neck as many voxels.
    points = labels.to_points(np.argwhere((labels.voxels >= 3) & (labels.voxels <= 6)))
    left, right = (points[:, 0] > 0).sum(), (points[:, 0] < 0).sum()
    assert abs(left - right) < 0.03 * len(points)


def refusal(call, output, **options):
    with pytest.raises(InputError) as caught:
        call(output, **options)
    assert caught.value.exit_code == 2 and caught.value.advice, "says what to do"
    return caught.value


def test_a_fracture_outside_the_scan_is_refused_and_nothing_is_left(simulate, tmp_path):
    options = {"fractures": ["C4:burst", "C1:jefferson"], "size": (12, 80, 80)}
    error = refusal(simulate, tmp_path / "new" / "out", **options)
    assert "C1:jefferson does not lie within the scan" in error.what and "--size" in error.advice
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("C2:bent", ["bent", "odontoid-2"]),
        ("C9:burst", ["C9", "C1"]),
        ("C1:odontoid-2", ["odontoid-2", "C1"]),
        ("burst", ["names no fracture", "C2:odontoid-2"]),
    ],
)
def test_an_unknown_fracture_is_refused_before_the_neck_is_built(simulate, tmp_path, text, words):
    error = refusal(simulate, tmp_path / "out", fractures=["C4:burst", text])
    assert all(word in str(error) for word in words), error
    assert simulate.seeds == [] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options", [{"size": (1, 80, 80)}, {"spacing": (2.0, 0.0, 2.0)}, {"spacing": (float("nan"), 1.0, 1.0)}]
)
def test_a_grid_without_room_is_refused(simulate, tmp_path, options):
    assert "at least 2 voxels" in refusal(simulate, tmp_path / "out", **options).what
    assert simulate.seeds == [] and list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(simulate, tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    assert "already holds something" in refusal(simulate, tmp_path).what
    assert "a file, not a folder" in refusal(simulate, tmp_path / "note.txt").what
    assert simulate.seeds == [] and (tmp_path / "note.txt").read_text() == "mine"


def test_meshes_that_are_not_there_are_refused(simulate, tmp_path):
    with pytest.raises(InputError):
        simulate(tmp_path / "out", anatomy=tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", ["Building the neck", "Simulating the scan"])
def test_cancelling_leaves_nothing(simulate, tmp_path, stage):
    told = []
    progress = Progress(lambda name, _: told.append(name), lambda: stage in told)
    with pytest.raises(Cancelled):
        simulate(tmp_path / "out", progress=progress)
    assert told[-1] == stage and list(tmp_path.iterdir()) == []


def test_the_command_line_hands_everything_on(simulate, tmp_path, capsys):
    size, spacing = ["--size", "30", "50", "50"], ["--spacing", "3", "3.5", "3.5"]
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "-o", str(tmp_path / "out"), "--seed", "8", "--fracture", "C5:burst", "--dicom"]
             + size + spacing)  # fmt: skip
    assert not ended.value.code
    truth = json.loads((tmp_path / "out" / "truth.json").read_text(encoding="utf-8"))
    assert truth["seed"] == 8 and truth["levels"]["C5"]["kinds"] == ["burst"]
    ct = volume(tmp_path / "out" / "ct.nrrd")
    assert ct.shape == (30, 50, 50) and np.allclose(ct.spacing, (3, 3.5, 3.5))
    assert len(list((tmp_path / "out" / "dicom").iterdir())) == 30
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "-o", str(tmp_path / "other"), "--fracture", "C2:bent"])
    told = capsys.readouterr().err
    assert ended.value.code == 2 and told.startswith("neckfrac: ") and len(told.splitlines()) == 1
    assert not (tmp_path / "other").exists()
