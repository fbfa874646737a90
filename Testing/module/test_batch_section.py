"""The panel's section for many studies, offscreen: the real .ui and worker process; Qt's manners are stand-ins."""

import importlib
import json
import time
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

import SimpleITK as sitk  # noqa: E402
from neckfrac.output.worklist import JSON, Worklist, WorklistRow  # noqa: E402
from slicer_double.section import Section, World  # noqa: E402
from slicer_double.whole_panel import Panel  # noqa: E402


@pytest.fixture
def world(monkeypatch, tmp_path):
    with World(monkeypatch, tmp_path) as world:
        yield world


@pytest.fixture
def section(world):
    return Section(world, "batch_section", "BatchSection")


def write_ct(path, tissue=40):
    voxels = np.full((30, 40, 50), -1000, np.int16)
    voxels[:, 5:35, 5:45] = tissue
    voxels[12:18, 15:25, 20:30] = 900
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(voxels), str(path))


ROWS = [
    WorklistRow("walls/brick", "b", "brick", 0.004, "negative", "C1", 0.003, patient_id="ID-7", study_date="20240102"),
    WorklistRow("mr", "m", "mr", error="The images are not a CT (modality MR)."),
    WorklistRow("fall", "f", "fall", 0.62, "positive", "C2 or C3", 0.6, "C2–C4 or C3–C5", patient_name="Doe^Jane"),
    WorklistRow("legs", "l", "legs", None, "not seen"),
]


def write_worklist(folder, *rows):
    worklist = Worklist(folder, [])
    for row in rows or ROWS:
        (folder / row.result).mkdir(parents=True, exist_ok=True)
        (folder / row.result / "scene.mrb").write_bytes(b"scene")
        worklist.put(row)
    worklist.write()
    return folder


def texts(section, row):
    table = section.ui.worklistTable
    return [table.cellWidget(row, 0).format, *(table.item(row, column).text() for column in range(1, 5))]


def test_start_waits_for_two_folders_and_says_so(section, tmp_path):
    ui = section.ui
    assert not ui.batchStartButton.enabled and "Choose a folder with studies" in ui.batchStartButton.toolTip
    ui.batchInputPathLineEdit.currentPath = str(tmp_path / "absent")
    assert "no such folder" in ui.batchStartButton.toolTip
    ui.batchInputPathLineEdit.currentPath = str(tmp_path)
    assert not ui.batchStartButton.enabled and "folder for the results" in ui.batchStartButton.toolTip
    ui.batchResultsPathLineEdit.currentPath = str(tmp_path)
    assert not ui.batchStartButton.enabled and "of their own" in ui.batchStartButton.toolTip
    ui.batchResultsPathLineEdit.currentPath = str(tmp_path / "results")
    assert ui.batchStartButton.enabled and "no result yet" in ui.batchStartButton.toolTip


def test_start_waits_for_the_packages_that_are_missing(section, tmp_path, monkeypatch):
    install = importlib.import_module("NeckFracLib.install")
    monkeypatch.setattr(install, "missingPackages", lambda: ["torch"])
    section.ui.batchInputPathLineEdit.currentPath = str(tmp_path)
    section.ui.batchResultsPathLineEdit.currentPath = str(tmp_path / "results")
    assert not section.ui.batchStartButton.enabled and "torch" in section.ui.batchStartButton.toolTip


def test_the_worklist_of_a_folder_is_shown_with_the_likeliest_fracture_first(section, tmp_path):
    section.ui.batchResultsPathLineEdit.currentPath = str(write_worklist(tmp_path / "results"))
    assert [texts(section, row) for row in range(4)] == [
        ["62.0 %", "C2 or C3", "suspected fracture", "fall", "Doe^Jane"],
        ["0.4 %", "C1", "no fracture found", "walls/brick", "ID-7"],
        ["–", "", "no cervical spine", "legs", ""],
        ["–", "", "no result", "mr", ""],
    ]
    table = section.ui.worklistTable
    bars = [table.cellWidget(row, 0) for row in range(4)]
    assert bars[0].value > 500 > bars[1].value > bars[2].value == bars[3].value == 0
    assert bars[0].styleSheet != bars[1].styleSheet, "a call has another color"
    assert "C2–C4 or C3–C5" in table.item(0, 3).toolTip() and "20240102" in table.item(1, 3).toolTip()
    assert "modality MR" in table.item(3, 2).toolTip()
    section.ui.batchResultsPathLineEdit.currentPath = ""
    assert table.rowCount == 0


def test_a_damaged_worklist_is_told_and_shows_nothing(section, tmp_path):
    (tmp_path / JSON).write_text("nonsense")
    section.ui.batchResultsPathLineEdit.currentPath = str(tmp_path)
    assert section.ui.worklistTable.rowCount == 0 and "can't be read" in section.ui.batchStatusLabel.text


def test_a_batch_analyzes_every_study_in_the_worker_and_goes_on_where_it_ended(section, world, tmp_path):
    write_ct(tmp_path / "in" / "a.nrrd")
    write_ct(tmp_path / "in" / "deep" / "b.nrrd")
    (tmp_path / "in" / "broken.nrrd").write_bytes(b"NRRD0004\n")
    with zipfile.ZipFile(tmp_path / "in" / "z.zip", "w") as archive:
        archive.write(tmp_path / "in" / "a.nrrd", "a.nrrd")
    ui = section.ui
    ui.batchInputPathLineEdit.currentPath = str(tmp_path / "in")
    ui.batchResultsPathLineEdit.currentPath = str(tmp_path / "out")
    stages = section.record(ui.batchStatusLabel)
    ui.batchStartButton.click()
    assert ui.batchStartButton.text == "Cancel" and not ui.batchInputPathLineEdit.enabled
    assert not ui.batchProgressBar.isHidden() and ui.batchInputPathLineEdit.history == [str(tmp_path / "in")]
    section.wait()
    assert ui.batchStartButton.text == "Start" and ui.batchProgressBar.isHidden()
    assert "3 of 4 studies have a result" in ui.batchStatusLabel.text
    assert "Study 2 of 4: Reading the study" in stages()
    assert [texts(section, row)[3] for row in range(4)] == ["a.nrrd", "deep/b.nrrd", "z.zip", "broken.nrrd"]
    assert (tmp_path / "out" / "a" / "scene.mrb").stat().st_size > 1000
    assert list(world.temporary.iterdir()) == [] and world.scene.GetNumberOfNodesByClass("vtkMRMLMarkupsROINode") == 0
    made = (tmp_path / "out" / "a" / "findings.json").stat().st_mtime_ns
    (tmp_path / "in" / "broken.nrrd").unlink()
    ui.batchStartButton.click()
    section.wait()
    assert "All 3 studies have a result." in ui.batchStatusLabel.text
    assert (tmp_path / "out" / "a" / "findings.json").stat().st_mtime_ns == made
    ui.batchAgainCheckBox.click()
    section.node.leftOutModels = "nobody"  # a scene from elsewhere may name what is not installed here
    ui.batchStartButton.click()
    section.wait()
    assert (tmp_path / "out" / "a" / "findings.json").stat().st_mtime_ns > made


def test_a_finished_study_can_be_opened_while_the_next_one_is_analyzed_and_cancelling_keeps_it(
    section, world, tmp_path, monkeypatch
):
    write_ct(tmp_path / "in" / "a.nrrd")
    write_ct(tmp_path / "in" / "slow.nrrd")
    loaded = []

    def loadScene(path, properties):
        loaded.append((path, properties))
        world.scene.Clear(0)

    monkeypatch.setattr(slicer.util, "loadScene", loadScene)
    ui = section.ui
    ui.batchInputPathLineEdit.currentPath = str(tmp_path / "in")
    ui.batchResultsPathLineEdit.currentPath = str(tmp_path / "out")
    ui.batchStartButton.click()
    world.wait_until(lambda: [bool(row.error) for row in section.section._rows] == [False, True], 60)
    ui.worklistTable.selectRow(0)
    assert ui.batchOpenButton.enabled
    ui.worklistTable.cellDoubleClicked.emit(0, 3)
    assert loaded == [(str(tmp_path / "out" / "a" / "scene.mrb"), {"clear": True})]
    assert section.section.isRunning, "closing the scene does not stop the batch"
    section.section.setParameterNode(None)
    section.section.update()
    assert ui.worklistTable.rowCount == 2 and ui.batchStartButton.enabled
    began = time.monotonic()
    ui.batchStartButton.click()
    section.wait()
    assert time.monotonic() - began < 3
    assert "Cancelled" in ui.batchStatusLabel.text and ui.worklistTable.rowCount == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "worklist.csv", "worklist.json"]


def test_the_rest_of_the_panel_waits_while_a_batch_runs_and_can_not_cancel_it(monkeypatch, tmp_path):
    write_ct(tmp_path / "in" / "slow.nrrd")
    with Panel(monkeypatch, tmp_path) as panel:
        panel.add_ct()
        panel.open()
        ui = panel.ui
        ui.batchInputPathLineEdit.currentPath = str(tmp_path / "in")
        ui.batchResultsPathLineEdit.currentPath = str(tmp_path / "out")
        assert ui.applyButton.enabled and ui.addModelButton.enabled
        ui.batchStartButton.click()
        assert not ui.applyButton.enabled and not ui.addModelButton.enabled
        ui.batchStartButton.click()
        panel.wait_until(lambda: not panel.widget.logic.isRunning)
        assert ui.applyButton.enabled and ui.addModelButton.enabled and ui.batchStartButton.text == "Start"
        ui.applyButton.click()
        assert not ui.batchStartButton.enabled and "Something else" in ui.batchStartButton.toolTip
        panel.widget.logic.jobs.abandon()


def test_opening_asks_before_unsaved_data_goes(section, world, tmp_path, monkeypatch):
    asked, loaded, answers = [], [], [False, True]
    monkeypatch.setattr(slicer.util, "loadScene", lambda path, properties: loaded.append(path))
    monkeypatch.setattr(
        slicer.util, "confirmOkCancelDisplay", lambda text, windowTitle: asked.append(text) or answers.pop(0)
    )
    section.ui.batchResultsPathLineEdit.currentPath = str(write_worklist(tmp_path / "results"))
    section.section.onRow(0)
    assert len(loaded) == 1 and asked == [], "nothing to lose"
    world.add_ct()
    section.section.onRow(0)
    assert len(asked) == 1 and len(loaded) == 1
    section.section.onRow(1)
    assert len(asked) == 2 and loaded[1].endswith("brick/scene.mrb")


def test_a_row_without_a_scene_says_why(section, tmp_path, monkeypatch):
    monkeypatch.setattr(slicer.util, "loadScene", lambda *arguments: pytest.fail("nothing to load"))
    results = write_worklist(tmp_path / "results")
    section.ui.batchResultsPathLineEdit.currentPath = str(results)
    section.ui.worklistTable.selectRow(3)
    assert not section.ui.batchOpenButton.enabled
    section.section.onRow(3)
    assert "modality MR" in section.ui.batchStatusLabel.text
    (results / "fall" / "scene.mrb").unlink()
    section.section.onRow(0)
    assert "not there any more" in section.ui.batchStatusLabel.text


class DicomBrowser:
    """Stands in for the module DICOM's browser and its database; selected: uids at one level."""

    isOpen = True
    FILES = {"s1": ["/db/1.dcm", "/db/2.dcm"], "s2": ["/db/3.dcm"]}

    def __init__(self, **selected):
        self.selected = selected
        self.browserWidget = SimpleNamespace(dicomBrowser=SimpleNamespace(dicomTableManager=lambda: self))

    def currentPatientsSelection(self):
        return self.selected.get("patients", ())

    def currentStudiesSelection(self):
        return self.selected.get("studies", ())

    def currentSeriesSelection(self):
        return self.selected.get("series", ())

    def studiesForPatient(self, patient):
        return {"p": ["study"]}[patient]

    def seriesForStudy(self, study):
        return {"study": ["s1", "s2"]}[study]

    def filesForSeries(self, series):
        return self.FILES[series]


@pytest.mark.parametrize(
    ("selected", "count"), [({"series": ("s1",), "patients": ("p",)}, 2), ({"studies": ("study",)}, 3),
                            ({"patients": ("p",)}, 3), ({}, 0)],
)  # fmt: skip
def test_the_dicom_browsers_selection_replaces_the_folder_and_a_folder_the_selection(
    section, tmp_path, monkeypatch, selected, count
):
    browser = DicomBrowser(**selected)
    monkeypatch.setattr(slicer, "modules", SimpleNamespace(DICOMInstance=browser), raising=False)
    monkeypatch.setattr(slicer, "dicomDatabase", browser, raising=False)
    ui = section.ui
    ui.batchResultsPathLineEdit.currentPath = str(tmp_path / "results")
    ui.batchInputPathLineEdit.currentPath = str(tmp_path)
    ui.batchDicomButton.click()
    if not count:
        assert "Nothing is selected" in ui.batchStatusLabel.text and ui.batchInputPathLineEdit.currentPath
        return
    assert f"{count} files" in ui.batchStatusLabel.text and ui.batchInputPathLineEdit.currentPath == ""
    assert ui.batchStartButton.enabled and len(section.section._studies()) == count
    ui.batchInputPathLineEdit.currentPath = str(tmp_path)
    assert section.section._studies() == str(tmp_path)


def test_the_request_names_files_options_and_a_folder_for_what_zips_hold(section, tmp_path):
    module = importlib.import_module("NeckFracLib.batch")
    request = module.batchArguments(["/a.dcm"], tmp_path, "/scratch", "sensitive", "cpu", ["one"], True)
    assert json.loads(json.dumps(request)) == {
        "studies": ["/a.dcm"], "results": str(tmp_path), "scratch": "/scratch", "again": True,
        "options": {"device": "cpu", "operating_point": "sensitive", "anchors": True, "leave_out": ["one"]},
    }  # fmt: skip
