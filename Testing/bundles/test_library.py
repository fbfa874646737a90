"""The bundles that are installed: which count, that only whole, harmless ones get in, that none goes that is needed."""

from __future__ import annotations

import json
import pickle
import shutil
import stat
import zipfile
from io import StringIO
from pathlib import Path

import pytest
from neckfrac.bundles.bundle import INFERENCE, METADATA, WEIGHTS, load_bundle
from neckfrac.bundles.installing import add_bundle, remove_bundle
from neckfrac.bundles.library import ensemble_file, installed, model_folders, survey, user_folder
from neckfrac.cli import main
from neckfrac.errors import InputError
from neckfrac.options import AnalysisOptions
from neckfrac.pipeline.engine import Networks
from neckfrac.pipeline.run_members import run_members
from neckfrac.progress import Progress
from neckfrac.worker import Worker
from tiny_networks import write_models

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The four tiny bundles and two further members."""
    return write_models(tmp_path_factory.mktemp("published"), others=("planes", "sagittal"))


@pytest.fixture
def world(published, tmp_path, monkeypatch):
    """An installation with four bundles, a user's folder that is not there yet, two bundles to add."""
    resources, user = tmp_path / "Resources", tmp_path / "user"
    for part in published.iterdir():
        if part.name not in ("tiny-planes", "tiny-sagittal"):
            copy = shutil.copytree if part.is_dir() else shutil.copy
            copy(part, resources.joinpath("Models", part.name)) if part.is_dir() else None
    shutil.copy(published / "ensemble.json", resources / "Models")
    monkeypatch.setenv("NECKFRAC_RESOURCES", str(resources))
    monkeypatch.setenv("NECKFRAC_USER_MODELS", str(user))
    return resources / "Models", user


def renamed(bundle: Path, folder: Path, **changes) -> Path:
    """A copy of a bundle whose settings under "neckfrac" are changed."""
    shutil.copytree(bundle, folder)
    content = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    content["neckfrac"] |= changes
    (folder / METADATA).write_text(json.dumps(content), encoding="utf-8")
    return folder


def packed(folder: Path, target: Path, below: str = "", more: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, below + path.relative_to(folder).as_posix())
        for name, content in (more or {}).items():
            archive.writestr(name, content)
    return target


def names(bundles) -> list[str]:
    return [bundle.name for bundle in bundles]


# --- which bundles count ------------------------------------------------------------------------


def test_the_users_folder_is_where_the_system_keeps_a_users_data(monkeypatch, tmp_path):
    monkeypatch.setenv("NECKFRAC_USER_MODELS", str(tmp_path / "own"))
    assert user_folder() == tmp_path / "own"
    monkeypatch.delenv("NECKFRAC_USER_MODELS")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert user_folder() == tmp_path / "data" / "NeckFrac" / "Models"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert user_folder() == tmp_path / "local" / "NeckFrac" / "Models"


def test_a_folder_that_is_given_is_the_only_one(world, published):
    embedded, user = world
    assert model_folders() == (embedded, user) and model_folders(published) == (published,)
    assert names(installed(model_folders())) == ["tiny-locate", "tiny-segment", "tiny-slices", "tiny-vertebrae"]
    assert len(installed(model_folders(published))) == 6


def test_what_the_user_added_is_asked_beside_what_is_embedded(world, published, tmp_path):
    embedded, user = world
    before = {path: path.stat().st_mtime_ns for path in embedded.rglob("*")}
    bundle = add_bundle(packed(published / "tiny-planes", tmp_path / "a.zip", "tiny-planes/"))
    assert bundle.folder == user / "tiny-planes" and [path.name for path in user.iterdir()] == ["tiny-planes"]
    assert {path: path.stat().st_mtime_ns for path in embedded.rglob("*")} == before, "may be read-only"
    assert set(Networks(None, "cpu").members) == {"tiny-slices", "tiny-vertebrae", "tiny-planes"}
    entries = {entry.name: entry for entry in survey()}
    assert entries["tiny-planes"].own and entries["tiny-planes"].checked and not entries["tiny-planes"].error
    assert entries["tiny-planes"].weight == 0.0 and entries["tiny-vertebrae"].weight == 0.6
    assert entries["tiny-locate"].weight is None and entries["tiny-locate"].license == "Apache-2.0"
    assert entries["tiny-locate"].trained_on == "nothing"
    remove_bundle("tiny-planes")
    assert list(user.iterdir()) == [] and "tiny-planes" not in Networks(None, "cpu").members


def test_a_users_network_of_the_spine_takes_the_embedded_ones_place(world, tmp_path):
    embedded, user = world
    other = renamed(embedded / "tiny-segment", tmp_path / "other", name="better-segment")
    with pytest.raises(InputError, match="network for the step 'segment'"):
        add_bundle(other)
    assert not user.exists() or list(user.iterdir()) == []
    add_bundle(other, replace=True)
    assert names(installed(model_folders())) == ["tiny-locate", "better-segment", "tiny-slices", "tiny-vertebrae"]
    entries = {entry.name: entry for entry in survey()}
    assert "user's is used instead" in entries["tiny-segment"].error and not entries["better-segment"].error
    third = renamed(embedded / "tiny-segment", tmp_path / "third", name="best-segment")
    add_bundle(third, replace=True)
    assert [path.name for path in user.iterdir()] == ["best-segment"], "one network a step"
    remove_bundle("best-segment")
    assert names(installed(model_folders()))[1] == "tiny-segment"


def test_a_users_ensemble_counts_when_there_is_one(world):
    embedded, user = world
    assert ensemble_file(model_folders()) == embedded / "ensemble.json"
    user.mkdir()
    shutil.copy(embedded / "ensemble.json", user)
    assert ensemble_file(model_folders()) == user / "ensemble.json"


def test_a_damaged_bundle_is_listed_with_what_is_wrong_and_can_be_removed(world, published):
    _, user = world
    add_bundle(published / "tiny-planes")
    (user / "tiny-planes" / WEIGHTS).write_bytes(b"other weights")
    (damaged,) = [entry for entry in survey() if entry.own]
    assert "SHA-256" in damaged.error and not damaged.checked
    (user / "tiny-planes" / METADATA).write_text("{}")
    (damaged,) = [entry for entry in survey() if entry.own]
    assert damaged.name == "tiny-planes" and "metadata is wrong" in damaged.error
    remove_bundle("tiny-planes")
    assert list(user.iterdir()) == []


# --- what does not get in -----------------------------------------------------------------------


def pickled(folder):
    (folder / "models" / "model.pt").write_bytes(pickle.dumps({}))


def other_weights(folder):
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)


def change(path, key, value):
    def spoil(folder):
        content = json.loads((folder / path).read_text(encoding="utf-8"))
        part = content
        for name in key[:-1]:
            part = part[name]
        part[key[-1]] = value
        (folder / path).write_text(json.dumps(content), encoding="utf-8")

    return spoil


SPOILT = {
    "pickles": (pickled, "pickled files (model.pt)"),
    "changed weights": (other_weights, "SHA-256"),
    "an unknown step": (change(METADATA, ("neckfrac", "step"), "dance"), "step 'dance'"),
    "a name that climbs": (change(METADATA, ("neckfrac", "name"), "../evil"), "can't be a folder's"),
    "a hidden name": (change(METADATA, ("neckfrac", "name"), ".evil"), "can't be a folder's"),
    "code": (change(INFERENCE, ("network_def", "_target_"), "os.system"), "no known network"),
    "another network": (change(INFERENCE, ("network_def", "hidden"), 16), "not this network's"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), "missing"),
    "no metadata": (lambda folder: (folder / METADATA).unlink(), "no bundle"),
    "a link": (lambda folder: [(folder / WEIGHTS).unlink(), (folder / WEIGHTS).symlink_to("/etc/passwd")], "link"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_bundle_that_is_wrong_or_could_run_code_is_refused_and_leaves_nothing(world, published, tmp_path, case):
    _, user = world
    spoil, words = SPOILT[case]
    folder = Path(shutil.copytree(published / "tiny-planes", tmp_path / "given"))
    spoil(folder)
    with pytest.raises(InputError) as refusal:
        add_bundle(folder)
    assert words in str(refusal.value) and str(user) not in str(refusal.value)
    assert not user.exists() or list(user.iterdir()) == []


def test_an_archive_that_leads_out_of_itself_is_refused(world, published, tmp_path):
    archive = packed(published / "tiny-planes", tmp_path / "a.zip", more={"../../evil.txt": b"out"})
    with pytest.raises(InputError, match="leads out of its folder"):
        add_bundle(archive)
    assert not (tmp_path / "evil.txt").exists() and not world[1].exists()
    link = zipfile.ZipInfo("docs/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(packed(published / "tiny-planes", tmp_path / "b.zip"), "a") as packing:
        packing.writestr(link, "/etc")
    with pytest.raises(InputError, match="holds a link"):
        add_bundle(tmp_path / "b.zip")


def test_only_what_a_bundle_needs_is_copied(world, published, tmp_path):
    more = {"tiny-planes/setup.py": b"import os", "tiny-planes/docs/page.html": b"<script>"}
    bundle = add_bundle(packed(published / "tiny-planes", tmp_path / "a.zip", "tiny-planes/", more))
    files = {path.relative_to(bundle.folder).as_posix() for path in bundle.folder.rglob("*") if path.is_file()}
    assert files == {METADATA, INFERENCE, WEIGHTS, "docs/README.md", "LICENSE"}


@pytest.mark.parametrize("name", ["weights.safetensors", "absent.zip", "not.zip"])
def test_a_file_that_is_no_bundle_is_refused(world, tmp_path, name):
    if name != "absent.zip":
        (tmp_path / name).write_bytes(b"something")
    with pytest.raises(InputError):
        add_bundle(tmp_path / name)


def test_a_name_that_is_taken_needs_replace(world, published, tmp_path):
    embedded, user = world
    newer = renamed(embedded / "tiny-vertebrae", tmp_path / "newer", trained_on="more")
    with pytest.raises(InputError, match="a bundle tiny-vertebrae .version 0.0.1. already"):
        add_bundle(newer)
    add_bundle(newer, replace=True)
    (found,) = [b for b in installed(model_folders()) if b.name == "tiny-vertebrae"]
    assert found.folder == user / "tiny-vertebrae" and found.identity.trained_on == "more"
    networks, progress = Networks(None, "cpu"), Progress()
    assert networks.replaced == ["tiny-vertebrae"] and Networks(embedded, "cpu").replaced == []
    with pytest.raises(AttributeError):
        run_members(None, networks, progress)  # nothing to look at, but the reader was told before
    assert [str(warning) for warning in progress.warnings] == [
        "tiny-vertebrae is not the network that its weight, calibration and thresholds were fitted with."
    ]
    add_bundle(renamed(embedded / "tiny-vertebrae", tmp_path / "newest", trained_on="most"), replace=True)
    assert load_bundle(user / "tiny-vertebrae").identity.trained_on == "most"
    assert [path.name for path in user.iterdir()] == ["tiny-vertebrae"]


# --- what is not removed ------------------------------------------------------------------------


def test_nothing_goes_that_the_road_needs(world, tmp_path):
    embedded, _ = world
    for name in ("tiny-vertebrae", "tiny-locate"):
        with pytest.raises(InputError, match="comes with NeckFrac"):
            remove_bundle(name)
    with pytest.raises(InputError, match="only network for the step 'locate'"):
        remove_bundle("tiny-locate", embedded)
    remove_bundle("tiny-slices", embedded)
    with pytest.raises(InputError, match="only network that finds fractures and counts"):
        remove_bundle("tiny-vertebrae", embedded)
    with pytest.raises(InputError, match="no bundle 'tiny-slices'"):
        remove_bundle("tiny-slices", embedded)
    assert (embedded / "ensemble.json").exists() and Networks(embedded, "cpu").missing == ["tiny-slices"]


# --- a member is left out of a run --------------------------------------------------------------


def test_a_member_that_is_left_out_is_neither_loaded_nor_asked_and_the_reader_is_told(models):
    networks, progress = Networks(models, "cpu", leave_out=["tiny-slices"]), Progress()
    assert set(networks.networks) == {"locate", "segment", "tiny-vertebrae"} and networks.missing == []
    networks.members["tiny-vertebrae"].metadata["neckfrac"]["step"] = "planes"  # fails at once, after the warnings
    with pytest.raises((RuntimeError, AttributeError, TypeError)):
        run_members(None, networks, progress)
    assert progress.warnings[0].text.startswith("tiny-slices was left out, as was asked for")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["nobody"], "no member nobody to leave out"),
        (["tiny-locate"], "no member tiny-locate"),
        (["tiny-slices", "tiny-vertebrae"], "No network that counts"),
    ],
)
def test_leaving_out_what_is_needed_or_unknown_is_refused(models, names, words):
    with pytest.raises(InputError, match=words):
        Networks(models, "cpu", leave_out=names)


def test_the_worker_loads_its_networks_anew_once_one_was_added_or_is_left_out(world, published):
    loaded = []
    worker = Worker([], StringIO(), lambda options: loaded.append(options) or object())
    first = worker._warm_engine(AnalysisOptions())
    assert worker._warm_engine(AnalysisOptions.from_dict({"leave_out": []})) is first and len(loaded) == 1
    add_bundle(published / "tiny-planes")
    assert worker._warm_engine(AnalysisOptions()) is not first and len(loaded) == 2
    worker._warm_engine(AnalysisOptions.from_dict({"leave_out": ["tiny-planes"]}))
    assert loaded[-1].leave_out == ("tiny-planes",) and len(loaded) == 3


# --- the command --------------------------------------------------------------------------------


def test_the_command_adds_lists_and_removes(world, published, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def command(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["models", *map(str, arguments)])
        return ended.value.code or 0, *capsys.readouterr()

    archive = packed(published / "tiny-sagittal", tmp_path / "a.zip")
    code, told, _ = command("add", archive)
    assert code == 0 and "tiny-sagittal 0.0.1: added to" in told
    code, _, errors = command("add", archive)
    assert code == 2 and "already" in errors and "--replace" in errors
    code, told, _ = command("list", "--long")
    assert code == 0 and "tiny-sagittal" in told and "Apache-2.0" in told and str(world[1]) in told
    code, told, _ = command("verify")
    assert code == 0 and told.count("as published") == 5
    assert command("remove", "tiny-sagittal")[0] == 0 and not (world[1] / "tiny-sagittal").exists()
    assert command("remove", "tiny-vertebrae")[0] == 2
