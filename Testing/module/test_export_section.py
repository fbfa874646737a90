"""The section Export in the whole panel, offscreen, with the real worker job: what is written, and what is refused."""

import csv
import importlib
import json

import numpy as np
import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from neckfrac.findings import Findings  # noqa: E402
from neckfrac.output.scene import _add_volume  # noqa: E402
from output.made_series import write_case  # noqa: E402
from slicer_double.whole_panel import Panel  # noqa: E402


class StandInDatabase:
    """For `slicer.dicomDatabase`: knows where the instances lie."""

    def __init__(self, files):
        self.files = files

    def fileForInstance(self, uid):
        return str(self.files.get(uid, ""))


@pytest.fixture
def world(monkeypatch, tmp_path):
    with Panel(monkeypatch, tmp_path) as panel:
        panel.out = tmp_path / "exports"
        panel.out.mkdir()
        yield panel


def export(world):
    world.ui.exportPathLineEdit.currentPath = str(world.out)
    assert world.ui.exportButton.enabled, world.ui.exportButton.toolTip
    world.ui.exportButton.click()
    world.wait_until(lambda: not world.widget.logic.isRunning)


def from_dicom(world, monkeypatch, folder):
    """A volume as Slicer loads it from a small series, with a bright block in it; its files are in the database."""
    pydicom = pytest.importorskip("pydicom")
    pytest.importorskip("highdicom")
    write_case(folder)
    files = {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in folder.iterdir()}
    from neckfrac.intake.study import read_study

    study = read_study(folder)
    voxels = np.array(study.volume.voxels)
    voxels[:] = 40
    voxels[4:12, 5:14, 6:16] = 900
    voxels[:, 0] = -1000
    node = _add_volume(world.scene, voxels.astype(np.int16), study.volume.affine, "Neck/CT 1")
    node.SetAttribute("DICOM.instanceUIDs", " ".join(files))
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(world.scene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), study.identity.patient_name)
    visit = hierarchy.CreateStudyItem(patient, "Study")
    item = hierarchy.CreateItem(visit, node)
    hierarchy.SetItemUID(item, "DICOM", study.identity.series_uid)
    hierarchy.SetItemUID(visit, "DICOM", study.identity.study_uid)
    monkeypatch.setattr(slicer, "dicomDatabase", StandInDatabase(files), raising=False)
    return node


def test_without_a_result_or_a_folder_the_button_says_what_is_missing(world):
    world.add_ct()
    world.open()
    assert not world.ui.exportButton.enabled and "Apply first" in world.ui.exportButton.toolTip
    world.run()
    assert not world.ui.exportButton.enabled and "folder" in world.ui.exportButton.toolTip
    assert not world.ui.exportDicomCheckBox.enabled
    assert "not loaded from DICOM" in world.ui.exportDicomCheckBox.toolTip


def test_report_and_tables_are_written_as_they_were_reviewed_into_a_folder_of_their_own(world):
    world.add_ct()
    world.open()
    world.run()
    world.ui.resultsTable.setCurrentCell(0, 0)
    world.ui.rejectButton.click()
    export(world)
    (folder,) = world.out.iterdir()
    assert folder.name == "ct NeckFrac" and str(folder) in world.ui.exportStatusLabel.text
    tables = {"findings.json", "findings.csv", "measurements.csv"}
    assert {path.name for path in folder.iterdir()} == {"report.html", "overview.png", ".neckfrac.json"} | tables
    rows = {row["level"]: row for row in csv.DictReader((folder / "findings.csv").open(encoding="utf-8"))}
    assert rows["C4"]["review"] == "rejected"
    kept = Findings.from_dict(json.loads((folder / "findings.json").read_text(encoding="utf-8")))
    assert kept.review_of("C4").verdict == "rejected"
    export(world)
    assert {path.name for path in world.out.iterdir()} == {"ct NeckFrac", "ct NeckFrac 2"}
    assert list(world.temporary.iterdir()) == []


def test_dicom_is_written_for_the_patient_of_the_series_with_the_readers_boxes(world, monkeypatch, tmp_path):
    import pydicom

    node = from_dicom(world, monkeypatch, tmp_path / "series")
    world.open()
    world.ui.inputSelector.setCurrentNode(node)
    world.run()
    assert world.boxes() == {"C4"}
    assert world.ui.exportDicomCheckBox.enabled
    world.ui.exportDicomCheckBox.click()
    export(world)
    assert "Written" in world.ui.exportStatusLabel.text, world.ui.exportStatusLabel.text
    (folder,) = world.out.iterdir()
    assert folder.name == "Neck_CT 1 NeckFrac"
    source = pydicom.dcmread(next((tmp_path / "series").iterdir()), stop_before_pixels=True)
    for name, modality in (("segmentation.dcm", "SEG"), ("report.dcm", "SR")):
        dataset = pydicom.dcmread(folder / name)
        assert dataset.Modality == modality and dataset.StudyInstanceUID == source.StudyInstanceUID
        assert dataset.PatientName == source.PatientName and dataset.PatientID == source.PatientID
    assert [str(part.SegmentLabel) for part in pydicom.dcmread(folder / "segmentation.dcm").SegmentSequence] == ["C4"]


def test_dicom_files_that_are_gone_are_told_beforehand(world, monkeypatch, tmp_path):
    node = from_dicom(world, monkeypatch, tmp_path / "series")
    world.open()
    world.ui.inputSelector.setCurrentNode(node)
    next((tmp_path / "series").iterdir()).unlink()
    world.widget.update()
    assert not world.ui.exportDicomCheckBox.enabled
    assert "database" in world.ui.exportDicomCheckBox.toolTip


def test_what_can_not_be_written_is_told_and_leaves_nothing(world):
    world.add_ct()
    world.open()
    world.run()
    (world.out / "file").write_text("no folder")
    world.out = world.out / "file"
    export(world)
    assert "Nothing was written" in world.ui.exportStatusLabel.text
    assert world.out.read_text() == "no folder" and list(world.temporary.iterdir()) == []


def test_the_heat_map_that_is_cropped_in_the_scene_is_whole_again(world):
    world.add_ct()
    world.open()
    world.run()
    export_file = importlib.import_module("NeckFracLib.export")
    nodes, _ = world.widget.logic.results.of(world.node.inputVolume)
    whole = export_file.wholeHeat(nodes)
    expected = np.zeros((30, 40, 50), np.uint8)
    expected[12:18, 15:25, 20:30] = 80  # the fake engine heats C4
    assert np.array_equal(whole, expected)
