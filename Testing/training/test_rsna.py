"""The RSNA 2022 layout, of simulated studies, through the reader that real ones would go through."""

from __future__ import annotations

import csv
import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from neckfrac.anatomy import LEVEL_NAMES, T1
from neckfrac.errors import Cancelled, InputError
from neckfrac.pipeline.engine import Networks
from neckfrac.pipeline.grids import FINE_SPACING
from neckfrac.progress import Progress
from neckfrac.volume import CTVolume
from neckfrac_lab.simulate.rsna_layout import write_rsna_layout
from neckfrac_lab.training import train as training
from neckfrac_lab.training.cache import SampleCache
from neckfrac_lab.training.export import export
from neckfrac_lab.training.rsna import BOXES, IMAGES, LABELS, SEGMENTATIONS, SIMULATED, RSNAData, SliceBox
from neckfrac_lab.training.rsna_cache import RSNA_CACHE, STUDIES, _Cache, fill_rsna_cache
from neckfrac_lab.training.rsna_samples import mark_fractures, rsna_samples, whole_levels
from neckfrac_lab.training.samples import VERTEBRA_SHAPE
from neckfrac_lab.training.sources import RSNA_2022, add_source, in_metadata, read_sources, simulated_source

SIZE, SPACING = (60, 72, 64), (2.5, 1.6, 1.6)


@pytest.fixture(scope="module", autouse=True)
def _one_thread(one_thread):
    """In every test here."""


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """Two studies of the textbook neck, the first with a fracture; both with a segmentation."""
    folder = tmp_path_factory.mktemp("rsna") / "data"
    write_rsna_layout(folder, 2, 4, size=SIZE, spacing=SPACING, plain=True)
    return folder


@pytest.fixture
def copy(layout, tmp_path):
    """The same, to be changed."""
    return shutil.copytree(layout, tmp_path / "data")


@pytest.fixture(scope="module")
def samples(layout):
    """The fractured study's, by level name."""
    return taken(layout)


def taken(folder, networks=None):
    data = RSNAData(folder)
    return by_level(rsna_samples(data, broken_of(data), networks))


def by_level(samples):
    return {LEVEL_NAMES[int(sample["level"]) - 1]: sample for sample in samples}


def broken_of(data):
    return next(uid for uid, values in data.labels.items() if values["patient_overall"])


def truth_of(folder):
    return json.loads((folder / SIMULATED).read_text())["studies"]


def rewrite(path, change):
    """A table with its rows (dicts) changed; None leaves one out."""
    with path.open(newline="") as file:
        rows = [change(row) for row in csv.DictReader(file)]
    rows = [row for row in rows if row is not None]
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def number_from_the_other_end(folder, uid):
    """What another scanner does: the slices of a study, and its boxes, are numbered the other way."""
    paths = sorted((folder / IMAGES / uid).iterdir())
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.InstanceNumber = len(paths) + 1 - dataset.InstanceNumber
        dataset.save_as(path.with_name(f"{dataset.InstanceNumber}.new"), enforce_file_format=True)
    for path in paths:
        path.with_suffix(".new").replace(path)
    rewrite(folder / BOXES, lambda row: {**row, "slice_number": len(paths) + 1 - int(row["slice_number"])})


def test_levels_are_fractured_as_the_truth_says(layout):
    data, truth = RSNAData(layout), truth_of(layout)
    assert data.simulated and data.absent == 0 and list(data.labels) == list(truth)
    for uid, values in data.labels.items():
        told = {name for name, level in truth[uid]["levels"].items() if level["fracture"]}
        assert {name for name in LEVEL_NAMES if values[name]} == told
        assert values["patient_overall"] == bool(told)
    assert [values["patient_overall"] for values in data.labels.values()] == [True, False]


def test_samples_have_the_form_of_simulated_ones_and_are_centred_on_their_vertebra(samples):
    assert list(samples) == list(LEVEL_NAMES)
    for name, sample in samples.items():
        assert set(sample) == {
            "hu", "labels", "fracture", "level", "kind", "severity", "fractured", "located"}  # fmt: skip
        for key, kind in (("hu", np.int16), ("labels", np.uint8), ("fracture", np.uint8)):
            assert sample[key].shape == VERTEBRA_SHAPE and sample[key].dtype == kind
        own = sample["labels"] == sample["level"]
        where = np.argwhere(own)
        off = ((where.min(axis=0) + where.max(axis=0)) - (np.array(VERTEBRA_SHAPE) - 1)) / 2 * FINE_SPACING
        assert np.abs(off).max() <= 0.6, name
        assert np.median(sample["hu"][own]) > 150, "HU and labels lie on each other"
        assert sample["severity"] == 0 and str(sample["kind"]) == ("unknown" if sample["fractured"] else "")
    assert (samples["C7"]["labels"] == T1).any() and samples["C3"]["hu"].min() >= -1024
    # Along S, not against it: C4 lies above C5 in C5's own sample.
    heights = [np.argwhere(samples["C5"]["labels"] == label)[:, 0].mean() for label in (4, 5, 6)]
    assert all(upper > lower for upper, lower in pairwise(heights))
    # And the spinous process behind, along P.
    assert np.argwhere(samples["C7"]["labels"] == 7)[:, 1].max() > 100


def test_the_first_sample_of_a_scan_ends_in_air_where_the_scan_ends(samples):
    beyond = samples["C1"]["hu"][:, :2], samples["C7"]["hu"][:2]
    assert all(part.min() >= -1024 for part in beyond)
    assert (samples["C7"]["hu"] == -1024).mean() < 0.5


@pytest.mark.parametrize("way", ["from above", "from below"])
def test_boxes_lie_where_the_truth_has_the_fracture_however_slices_are_numbered(copy, samples, way):
    data = RSNAData(copy)
    uid = broken_of(data)
    if way == "from below":
        number_from_the_other_end(copy, uid)
        data = RSNAData(copy)
    boxes = [box.box for box in data.read_boxes(uid, data.read(uid))]
    levels = truth_of(copy)[uid]["levels"]
    fractured = [name for name, level in levels.items() if level["fracture"]]
    assert boxes and fractured
    lower = np.min([levels[name]["box"]["lower"] for name in fractured], axis=0)
    upper = np.max([levels[name]["box"]["upper"] for name in fractured], axis=0)
    assert np.allclose(np.min([box.lower for box in boxes], axis=0), lower, atol=1e-3)
    assert np.allclose(np.max([box.upper for box in boxes], axis=0), upper, atol=1e-3)
    assert all(np.allclose(box.size[2], SPACING[0]) for box in boxes)
    for name, sample in taken(copy).items():
        own = sample["fracture"] == sample["level"]
        assert sample["located"] and bool(sample["fractured"]) == (name in fractured) == bool(own.any())
        assert (sample["labels"][own] == sample["level"]).all()
        assert np.array_equal(sample["fracture"], samples[name]["fracture"])


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SAR", "PIL"])
def test_a_segmentation_on_other_axes_gives_the_same_samples(copy, samples, axes):
    path = copy / SEGMENTATIONS / f"{broken_of(RSNAData(copy))}.nii"
    stored = sitk.ReadImage(str(path))
    assert np.diag(np.array(stored.GetDirection()).reshape(3, 3)).tolist() == [1, -1, -1], "not those of the images"
    sitk.WriteImage(sitk.DICOMOrient(stored, axes), str(path))
    for name, sample in taken(copy).items():
        assert all(np.array_equal(sample[key], samples[name][key]) for key in sample), name


def test_a_fractured_level_that_nobody_drew_on_is_not_located(copy):
    (copy / BOXES).unlink()
    for sample in taken(copy).values():
        assert not sample["fracture"].any() and sample["located"] == (not sample["fractured"])
    assert any(sample["fractured"] for sample in taken(copy).values())


def test_a_box_goes_to_the_fractured_level_of_which_it_holds_most():
    labels = np.zeros((8, 12, 12), np.uint8)
    labels[4:, 2:10, 2:10], labels[:4, 2:10, 2:10] = 3, 4
    volume = CTVolume(labels, np.diag([2.0, 2.0, 3.0, 1.0]))
    across = SliceBox(1, np.array([11.0, 11.0, 9.0]), np.eye(3), np.array([8.0, 8.0, 15.0]))  # slices 1...5

    def marked(*fractured, box=across):
        return np.unique(mark_fractures(volume, [box], fractured).voxels[labels > 0]).tolist()

    assert marked(3, 4) == [0, 4] and marked(3) == [0, 3]
    assert marked(5) == [0] and marked() == [0], "nor is it anybody's when no fractured level lies in it"
    outside = SliceBox(1, np.array([300.0, 11.0, 9.0]), np.eye(3), across.size)
    assert marked(3, 4, box=outside) == [0]
    voxels = mark_fractures(volume, [across], [4]).voxels
    assert np.argwhere(voxels == 4).min(axis=0).tolist() == [1, 4, 4]
    assert np.argwhere(voxels == 4).max(axis=0).tolist() == [3, 7, 7]


def test_a_box_on_a_tilted_slice_is_a_slab_along_that_slice():
    angle = np.radians(20)
    row, column = np.array([1.0, 0, 0]), np.array([0, np.cos(angle), np.sin(angle)])
    box = SliceBox(1, np.zeros(3), np.stack([row, column, np.cross(row, column)], 1), np.array([10.0, 40.0, 2.0]))
    assert box.holds(18 * column) and not box.holds(18 * np.array([0, 1.0, 0]))
    cosine, sine = np.cos(angle), np.sin(angle)
    assert np.allclose(box.box.size, [10, 40 * cosine + 2 * sine, 40 * sine + 2 * cosine])


def test_levels_that_the_scan_cuts_are_left_out(copy):
    data = RSNAData(copy)
    uid = broken_of(data)
    heights = {name: level["center"][2] for name, level in truth_of(copy)[uid]["levels"].items()}
    for path in (copy / IMAGES / uid).iterdir():
        if pydicom.dcmread(path, stop_before_pixels=True).ImagePositionPatient[2] > heights["C3"]:
            path.unlink()
    assert list(taken(copy)) == ["C4", "C5", "C6", "C7"]


@pytest.fixture
def block():
    """C4 as a block of bone, whole; hu and labels."""
    labels = np.zeros((60, 60, 60), np.uint8)
    labels[15:35, 20:40, 20:40] = 4
    return np.where(labels > 0, 400, 40).astype(np.int16), labels


def test_a_speck_is_no_vertebra(block):
    hu, labels = block
    labels[40:42, 8:12, 8:12] = 3
    assert whole_levels(labels, CTVolume(hu, np.eye(4))) == [4]


def test_a_vertebra_at_the_end_of_the_field_of_view_is_cut_and_one_in_a_dark_streak_is_whole(block):
    hu, labels = block
    streak = hu.copy()
    streak[24:27, :, 27:31] = -1024  # as from a filling, through vertebra and all
    assert whole_levels(labels, CTVolume(streak, np.eye(4))) == [4]
    beyond = np.add.outer(np.arange(60), np.arange(60)) > 70
    hu[:, beyond], labels[:, beyond] = -1024, 0
    assert whole_levels(labels, CTVolume(hu, np.eye(4))) == []
    hu, labels = np.full_like(hu, 40), np.zeros_like(labels)
    hu[30:], labels[15:30, 20:40, 20:40] = -1024, 4  # slices without data above it
    assert whole_levels(labels, CTVolume(hu, np.eye(4))) == []


def test_what_is_missing_is_said(copy, tmp_path):
    with pytest.raises(InputError, match="no train.csv") as caught:
        RSNAData(tmp_path)
    assert str(tmp_path) in str(caught.value) and "RSNA 2022" in caught.value.advice
    first, second = RSNAData(copy).labels
    shutil.rmtree(copy / IMAGES / second)
    data = RSNAData(copy)
    assert list(data.labels) == [first] and data.absent == 1
    shutil.rmtree(copy / IMAGES / first)
    with pytest.raises(InputError, match="No study of train.csv has its images"):
        RSNAData(copy)
    (copy / IMAGES).rmdir()
    with pytest.raises(InputError, match="no train_images"):
        RSNAData(copy)


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (LABELS, lambda row: {name: row[name] for name in row if name not in ("C3", "C5")}, "no column C3, C5"),
        (LABELS, lambda row: {**row, "C2": "yes"}, "C2 is 'yes', neither 0 nor 1.*line 2"),
        (LABELS, lambda row: {**row, "StudyInstanceUID": "../elsewhere"}, "names no study.*line 2"),
        (BOXES, lambda row: {name: row[name] for name in row if name != "slice_number"}, "no column slice_number"),
        (BOXES, lambda row: {**row, "width": "nan"}, "width is 'nan'.*line 2"),
    ],
)
def test_a_table_that_is_not_as_it_should_be_is_refused(copy, file, change, words):
    rewrite(copy / file, change)
    with pytest.raises(InputError, match=words):
        taken(copy)


def cached(runs):
    return sorted((runs / "cache" / RSNA_CACHE).glob("[0-9]*.npz"))


def test_a_cache_is_filled_once_and_goes_on_where_it_was_interrupted(layout, samples, tmp_path):
    def leave_in_the_second_study(stage, fraction):
        if fraction > 0.6:
            raise Cancelled

    assert fill_rsna_cache(layout, tmp_path, None, time_budget=0.0) == 0
    with pytest.raises(Cancelled):
        progress = Progress(leave_in_the_second_study)
        with progress.stage("Cache", 1.0):
            fill_rsna_cache(layout, tmp_path, None, progress=progress)
    folder = tmp_path / "cache" / RSNA_CACHE
    assert len(cached(tmp_path)) == 7 and {path.suffix for path in folder.iterdir()} == {".npz", ".json"}
    (folder / "03000002.npz").write_bytes(b"of a study that was never told")
    before = {path: path.stat().st_mtime_ns for path in cached(tmp_path)}
    assert fill_rsna_cache(layout, tmp_path, None) == 14
    after = {path: path.stat().st_mtime_ns for path in cached(tmp_path)}
    assert len(after) == 14 and all(after[p] == t for p, t in before.items() if p.name != "03000002.npz")
    assert fill_rsna_cache(layout, tmp_path, None) == 14
    assert after == {path: path.stat().st_mtime_ns for path in cached(tmp_path)}
    kept = by_level(SampleCache.load(path) for path in after if path.stem.endswith("000000"))
    assert all(np.array_equal(kept[name][key], sample[key]) for name, sample in samples.items() for key in sample)


def test_levels_of_one_patient_are_held_out_together(tmp_path):
    for number in range(20):
        for level in range(1, 8):
            (tmp_path / f"{level * 1_000_000 + 2 * number:08d}.npz").touch()
    held = SampleCache(tmp_path).paths(held_out=True)
    assert {int(path.stem) % 1_000_000 // 2 for path in held} == {9, 19} and len(held) == 14


def test_a_cache_does_not_outgrow_its_limit(layout, tmp_path):
    progress = Progress()
    assert fill_rsna_cache(layout, tmp_path, None, most_gb=0.010, progress=progress) == 7
    assert sum(path.stat().st_size for path in cached(tmp_path)) < 10e6 and len(cached(tmp_path)) == 7
    assert [warning.code for warning in progress.warnings] == ["cache-full"]
    assert not list((tmp_path / "cache" / RSNA_CACHE).glob("*.tmp"))
    assert fill_rsna_cache(layout, tmp_path, None, most_gb=1) == 14, "with more room it goes on"


def test_studies_that_cannot_be_used_are_told_and_the_others_are(copy, models, tmp_path):
    whole, other = RSNAData(copy).labels
    (copy / SEGMENTATIONS / f"{other}.nii").unlink()
    assert fill_rsna_cache(copy, tmp_path / "without", None) == 7, "networks might do later what a file does not say"
    progress = Progress()
    # Networks that know nothing find no neck, or are not certain of what they name.
    assert fill_rsna_cache(copy, tmp_path, Networks(models, "cpu"), progress=progress) == 7
    told = json.loads((tmp_path / "cache" / RSNA_CACHE / STUDIES).read_text())
    assert told[whole] == {"number": 0, "samples": 7, "unused": ""}
    assert told[other]["samples"] == 0 and ("spine" in told[other]["unused"] or "uncertain" in told[other]["unused"])
    assert "1 studies could not be used" in " ".join(map(str, progress.warnings))
    shutil.rmtree(tmp_path / "cache")
    image = next((copy / IMAGES / whole).iterdir())
    image.write_bytes(image.read_bytes()[:700])
    assert fill_rsna_cache(copy, tmp_path, None) == 0
    told = json.loads((tmp_path / "cache" / RSNA_CACHE / STUDIES).read_text())
    assert image.name in told[whole]["unused"]


def test_our_own_networks_find_the_levels_of_a_study_without_a_segmentation(copy, samples):
    (copy / SEGMENTATIONS / f"{broken_of(RSNAData(copy))}.nii").unlink()
    found = taken(copy, Networks(None, "cpu"))
    assert list(found) == list(LEVEL_NAMES)
    for name in ("C2", "C3", "C4", "C5"):
        one, other = (part[name]["labels"] == part[name]["level"] for part in (found, samples))
        assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.75, name
    assert [bool(sample["fractured"]) for sample in found.values()] == [
        bool(sample["fractured"]) for sample in samples.values()]  # fmt: skip


def test_a_training_reads_patients_beside_simulated_samples_and_the_card_tells_their_terms(copy, samples, tmp_path):
    (copy / SIMULATED).unlink()  # as if they were patients
    assert fill_rsna_cache(copy, tmp_path, None) == 14
    simulated = tmp_path / "cache" / "vertebrae"
    simulated.mkdir()
    plain = {key: value for key, value in samples["C4"].items() if key not in ("fractured", "located")}
    np.savez(simulated / "00000000.npz", **plain)
    (simulated / "about.json").write_text('{"anatomy": "built-in"}')
    paths = [path for cache in training.caches("vertebrae", tmp_path) for path in cache.paths(held_out=False)]
    assert {path.parent.name for path in paths} == {"vertebrae", RSNA_CACHE} and len(paths) == 15
    assert training.train("model2", tmp_path, steps=1, device=torch.device("cpu"))
    shutil.rmtree(tmp_path / "cache" / RSNA_CACHE)  # what was learned from it stays told
    bundle = export("model2", tmp_path, tmp_path / "models")
    card = (bundle / "docs" / "README.md").read_text()
    for words in ("Copyright RSNA, 2023", "Simulated neck CT; built-in", "Trained on: simulated CT and patients of the "
                  "RSNA 2022", "License: Non-commercial use only", "10.1148/ryai.230034"):  # fmt: skip
        assert words in card, words
    assert "no patient data" not in card
    assert "Non-commercial use only" in (bundle / "LICENSE").read_text()


def test_a_training_on_simulated_samples_alone_says_so(tmp_path):
    record = tmp_path / "model2.sources.json"
    add_source(record, simulated_source("built-in and BodyParts3D meshes"))
    add_source(record, simulated_source("built-in and BodyParts3D meshes"))
    said, origin = in_metadata(read_sources(record))
    assert origin == {"trained_on": "simulated CT only; no patient data", "provenance": "simulated"}
    assert "license" not in said
    assert said["data_source"].count("Simulated neck CT") == 1 and "BodyParts3D" in said["data_source"]
    add_source(record, RSNA_2022)
    assert in_metadata(read_sources(record))[1]["provenance"] == "mixed"
    assert read_sources(record)[-1] == RSNA_2022 and len(read_sources(Path(record))) == 2


@pytest.fixture
def train(monkeypatch, capsys, models, tmp_path):
    """`neckfrac train` with a tiny network of three planes; gives its exit code and standard error."""
    from dataclasses import replace
    from functools import partial

    from neckfrac.cli import main
    from neckfrac_lab.training.tasks import TASKS
    from neckfrac_lab.training.three_planes import plane_batches

    task = TASKS["planes"]
    small = {**task.network, "widths": [8, 8, 8, 8], "hidden": 8, "heat_channels": 8}
    few = replace(task, network=small, batches=partial(plane_batches, size=2), begins_as=None)
    monkeypatch.setitem(TASKS, "planes", few)

    def run(*arguments):
        options = ("--runs", tmp_path / "runs", "--models", models, "--device", "cpu", "--steps", "1")
        with pytest.raises(SystemExit) as ended:
            main(["train", *map(str, (*arguments, *options))])
        return ended.value.code or 0, capsys.readouterr().err

    return run


def test_one_command_makes_samples_of_the_patients_and_trains_on_them(layout, train, tmp_path):
    code, said = train("planes", "--rsna", layout, "--folds", 2, "--fold", 1)
    assert code == 0 and "14 vertebrae" in said and "planes-fold1: step 1 of 1" in said and "held out" in said
    assert "no images" not in said
    before = {path: path.stat().st_mtime_ns for path in cached(tmp_path / "runs")}
    assert len(before) == 14
    assert train("planes", "--rsna", layout, "--folds", 2, "--fold", 1, "--quiet") == (0, ""), "it is finished"
    assert before == {path: path.stat().st_mtime_ns for path in cached(tmp_path / "runs")}


@pytest.mark.parametrize("what", ["sagittal", "locate", "segment", "ensemble", "cache-slabs"])
def test_what_patients_make_no_samples_for_is_refused(layout, train, tmp_path, what):
    code, said = train(what, "--rsna", layout)
    assert code == 2 and f"{what} learns from others" in said and "cache-vertebrae, model1, model2" in said
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("model2", "--folds", 3), "A fold is one of so many"),
        (("model2", "--fold", 0), "A fold is one of so many"),
        (("model2", "--folds", 3, "--fold", 3), "up to --fold 2"),
        (("export", "--folds", 3, "--fold", 1), "not for export"),
        (("baselines", "--patience", 3), "not for baselines"),
    ],
)
def test_folds_and_patience_that_mean_nothing_are_refused(train, arguments, words):
    code, said = train(*arguments)
    assert code == 2 and words in said


def test_torchrun_is_refused_for_what_one_process_does(train, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, said = train("cache-vertebrae")
    assert code == 2 and "torchrun" in said


def test_a_cache_removes_only_what_it_has_made_itself(tmp_path):
    """Left by a run that was killed: a sample that waited for its place, and one of a study that was not told."""
    left = ["02000004.991.tmp", "02000004.npz", f"{STUDIES}.tmp"]
    others = ["notes.tmp", "2.tmp", "thesis.npz", "2 good ones.npz", "12.npz", "02000004.old.tmp"]
    for name in (*left, *others):
        (tmp_path / name).write_text("mine")
    assert _Cache(tmp_path).size == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)
