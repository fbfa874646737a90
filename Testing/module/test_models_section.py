"""The panel's section for the networks, offscreen: the real .ui, bundles and worker; Qt's manners are stand-ins."""

import importlib
import shutil
import zipfile

import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from neckfrac.bundles.bundle import WEIGHTS  # noqa: E402
from neckfrac.bundles.library import user_folder  # noqa: E402
from neckfrac.resources import resources_dir  # noqa: E402
from PySide6.QtCore import Qt  # noqa: E402
from slicer_double.section import Section, World  # noqa: E402
from tiny_networks import write_models  # noqa: E402

ONE, TWO = "neckfrac-model-one", "neckfrac-model-two"
SPINE = {"neckfrac-locate", "neckfrac-segment"}
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def world(monkeypatch, tmp_path):
    with World(monkeypatch, tmp_path) as world:
        yield world


@pytest.fixture
def section(world):
    return Section(world, "models_section", "ModelsSection")


@pytest.fixture(scope="module")
def planes(tmp_path_factory):
    """The zip of a small network that NeckFrac does not come with."""
    folder = write_models(tmp_path_factory.mktemp("published"), others=("planes",)) / "tiny-planes"
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"tiny-planes/{file.relative_to(folder).as_posix()}")
    return path


def rows(section):
    """The table's texts by the name in its first column."""
    table = section.ui.modelsTable
    texts = [[table.item(row, column).text() for column in range(7)] for row in range(table.rowCount)]
    return {line[0]: line for line in texts}


def item(section, name, column=0):
    table = section.ui.modelsTable
    return next(table.item(row, column) for row in range(table.rowCount) if table.item(row, 0).text() == name)


def choose(section, name):
    section.ui.modelsTable.selectRow(section.ui.modelsTable.row(item(section, name)))


def test_what_is_installed_is_shown_with_its_checksum_license_and_training_data(section):
    shown = rows(section)
    members = sorted({path.name for path in (resources_dir() / "Models").glob("neckfrac-*")} - SPINE)
    assert list(shown)[:2] == sorted(SPINE) and sorted(list(shown)[2:]) == members and {ONE, TWO} <= {*members}
    for name, line in shown.items():
        assert line[4].startswith("✓ ") and len(line[4]) == 12 and line[5] == "Apache-2.0", name
        assert len(item(section, name, 4).toolTip().splitlines()[-1]) == 64
        assert line[6] and item(section, name, 6).toolTip() == line[6]
        assert str(resources_dir()) in item(section, name).toolTip() and "Comes with" in item(section, name).toolTip()
    assert shown["neckfrac-locate"][1:4] == ["locate", shown[TWO][2], ""]
    assert shown[ONE][3] == "0" and float(shown[TWO][3]) > 0.5
    assert sum(float(shown[name][3]) for name in members) == pytest.approx(1, abs=0.02)
    assert "Locate C1 to C7" in item(section, "neckfrac-locate", 1).toolTip()


def test_only_members_have_a_check_box_and_the_parameter_node_follows_it_and_it_the_node(section):
    assert item(section, "neckfrac-locate").data(Qt.CheckStateRole) is None
    assert item(section, ONE).checkState() == item(section, TWO).checkState() == Qt.Checked
    item(section, ONE).setCheckState(Qt.Unchecked)
    assert section.node.leftOutModels == ONE
    item(section, ONE).setCheckState(Qt.Checked)
    assert section.node.leftOutModels == ""
    section.node.leftOutModels = f"{ONE},gone-model"
    section.section.update()
    assert item(section, ONE).checkState() == Qt.Unchecked
    models = importlib.import_module("NeckFracLib.models")
    assert models.leftOut(section.node.leftOutModels) == [ONE], "what is not installed is not asked of the engine"
    section.section.setParameterNode(None)
    section.section.update()
    assert item(section, ONE).checkState() == Qt.Checked


def test_the_last_network_that_counts_can_not_be_unticked(section):
    others = [name for name, line in rows(section).items() if line[3] not in ("", "0") and name != TWO]
    for name in others:
        item(section, name).setCheckState(Qt.Unchecked)
    before = section.node.leftOutModels
    item(section, TWO).setCheckState(Qt.Unchecked)
    assert section.node.leftOutModels == before and item(section, TWO).checkState() == Qt.Checked
    assert {*before.split(",")} == {*others}
    assert "At least one network" in section.ui.modelsStatusLabel.text
    item(section, ONE).setCheckState(Qt.Unchecked)
    assert section.ui.modelsStatusLabel.isHidden()


def test_what_is_left_out_reaches_the_worker(section, world):
    request = {}
    jobs = section.logic.jobs
    start = jobs.start
    jobs.start = lambda command, arguments, *rest, **more: start(
        command, lambda folder: request.update(arguments(folder)) or request, *rest, **more
    )
    section.logic.process(world.add_ct(), leaveOut=[ONE])
    assert request["options"]["leave_out"] == [ONE]


def test_a_network_is_checked_and_added_by_the_worker_and_deleted_after_asking(section, planes, monkeypatch):
    section.section.askForFile = lambda: str(planes)
    section.ui.addModelButton.click()
    assert not section.ui.addModelButton.enabled and "Checking" in section.ui.modelsStatusLabel.text
    section.wait()
    assert "Added and checked: tiny-planes" in section.ui.modelsStatusLabel.text and section.ui.addModelButton.enabled
    assert rows(section)["tiny-planes"][1:4] == ["planes", "0.0.1", "0"]
    assert "Added by you" in item(section, "tiny-planes").toolTip()
    assert (user_folder() / "tiny-planes" / WEIGHTS).is_file()

    choose(section, "neckfrac-locate")
    assert not section.ui.removeModelButton.enabled and "not deleted" in section.ui.removeModelButton.toolTip
    choose(section, "tiny-planes")
    assert section.ui.removeModelButton.enabled
    asked, answers = [], [False, True]
    monkeypatch.setattr(
        slicer.util, "confirmOkCancelDisplay", lambda text, windowTitle: asked.append(text) or answers.pop(0)
    )
    section.ui.removeModelButton.click()
    assert "tiny-planes" in asked[0] and "tiny-planes" in rows(section)
    section.ui.removeModelButton.click()
    assert "tiny-planes" not in rows(section) and list(user_folder().iterdir()) == []
    assert "Deleted: tiny-planes" in section.ui.modelsStatusLabel.text


def test_a_network_that_is_there_is_replaced_only_when_the_user_says_so(section, planes, monkeypatch):
    asked, answers = [], [False, True]
    monkeypatch.setattr(
        slicer.util, "confirmOkCancelDisplay", lambda text, windowTitle: asked.append(text) or answers.pop(0)
    )
    section.section.add(planes)
    section.wait()
    weights = user_folder() / "tiny-planes" / WEIGHTS
    before = weights.stat().st_mtime_ns
    section.section.add(planes)
    section.wait()
    assert "a bundle tiny-planes (version 0.0.1)" in asked[0] and weights.stat().st_mtime_ns == before
    assert "Not added" in section.ui.modelsStatusLabel.text
    section.section.add(planes)
    section.world.wait_until(lambda: len(asked) == 2)
    section.wait()
    assert weights.stat().st_mtime_ns > before and "Added and checked" in section.ui.modelsStatusLabel.text


def test_a_file_that_is_no_network_is_refused_with_the_reason(section, tmp_path):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    section.section.add(tmp_path / "other.zip")
    section.wait()
    assert "Not added" in section.ui.modelsStatusLabel.text and "no bundle" in section.ui.modelsStatusLabel.text
    assert not user_folder().exists()


def test_a_damaged_network_is_shown_with_what_is_wrong_and_can_be_deleted(section, monkeypatch):
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text, windowTitle: True)
    shutil.copytree(resources_dir() / "Models" / TWO, user_folder() / "spoilt")
    (user_folder() / "spoilt" / WEIGHTS).write_bytes(b"")
    before = section.ui.modelsTable.rowCount
    section.section.refresh()
    assert section.ui.modelsTable.rowCount == before + 1
    row = next(n for n, entry in enumerate(section.section._entries) if entry.own)
    assert "SHA-256" in section.ui.modelsTable.item(row, 0).toolTip()
    assert section.ui.modelsTable.item(row, 0).data(Qt.CheckStateRole) is None
    section.ui.modelsTable.selectRow(row)
    section.ui.removeModelButton.click()
    assert section.ui.modelsTable.rowCount == before, section.ui.modelsStatusLabel.text


def test_the_folder_of_added_networks_is_shown_and_made_when_it_is_not_there(section):
    opened = []
    section.section.openFolder = opened.append
    section.ui.modelsFolderButton.click()
    assert opened == [user_folder()] and user_folder().is_dir()
    assert str(user_folder()) in section.ui.modelsFolderButton.toolTip


def test_nothing_is_changed_while_something_runs(section, world):
    section.logic.begin(world.add_ct("slow"))
    section.section.update()
    ui = section.ui
    assert not (ui.modelsTable.enabled or ui.addModelButton.enabled or ui.removeModelButton.enabled)
    section.logic.jobs.abandon()
    section.section.update()
    assert ui.modelsTable.enabled and ui.addModelButton.enabled
