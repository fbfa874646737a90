"""Clicks that end in a No or in an error: no dialog for a No, and what should follow does."""

import importlib
import sys
import types

import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from slicer_double.whole_panel import Panel  # noqa: E402


@pytest.fixture
def world(monkeypatch, tmp_path):
    with Panel(monkeypatch, tmp_path) as panel:
        panel.shown, panel.cursors = [], []
        monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, **_: panel.shown.append(text))
        monkeypatch.setattr(panel.application, "setOverrideCursor", lambda cursor: panel.cursors.append(cursor))
        monkeypatch.setattr(panel.application, "restoreOverrideCursor", lambda: panel.cursors.pop())
        yield panel


def declining(world, monkeypatch):
    """Slicer 5.10's question, which the user answers with No; how many cursors there were is noted."""
    asked = []
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)

    def confirm(text, **_):
        asked.append((text, len(world.cursors)))
        return False

    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", confirm)
    return asked


def test_who_declines_an_installation_sees_no_error_and_the_panel_goes_on(world, monkeypatch):
    world.add_ct()
    world.missing = ["monai"]
    asked = declining(world, monkeypatch)
    world.open()
    world.ui.installButton.click()
    assert len(asked) == 1 and asked[0][1] == 0, "the question does not stand under a wait cursor"
    assert world.shown == [] and world.ui.statusLabel.text == "Nothing was installed."
    assert not world.ui.installButton.isHidden() and world.cursors == []


def test_who_declines_what_dicom_needs_gets_report_and_tables_and_is_told(world, monkeypatch, tmp_path):
    world.add_ct()
    world.open()
    world.run()
    asked = declining(world, monkeypatch)
    for module, name, value in (
        ("install", "missingForDicom", lambda: ["highdicom"]),
        ("export", "reasonAgainstDicom", lambda volume: None),
    ):
        monkeypatch.setattr(importlib.import_module(f"NeckFracLib.{module}"), name, value)
    world.ui.exportDicomCheckBox.setChecked(True)
    world.ui.exportPathLineEdit.currentPath = str(tmp_path)
    world.ui.exportButton.click()
    world.wait_until(lambda: not world.widget.logic.isRunning)
    assert len(asked) == 1 and asked[0][1] == 0 and world.shown == []
    assert "Written" in world.ui.exportStatusLabel.text and "DICOM was not written" in world.ui.exportStatusLabel.text


def test_an_error_is_shown_once_and_the_rest_of_the_panel_is_updated(world, monkeypatch):
    world.add_ct()
    world.open()
    monkeypatch.setattr(world.widget.logic, "process", lambda *_, **__: 1 / 0)
    world.ui.applyButton.setText("not updated")
    world.ui.applyButton.click()
    assert len(world.shown) == 1 and "could not be started" in world.shown[0] and "zero" in world.shown[0]
    assert world.ui.applyButton.text == "Apply" and world.cursors == []


def test_no_click_goes_through_slicers_own_function_which_skips_what_follows():
    """`tryWithErrorDisplay` raises again after its dialog."""
    from slicer_double.panel import MODULE

    for path in (MODULE / "NeckFracLib").glob("*.py"):
        assert "tryWithErrorDisplay(" not in path.read_text(encoding="utf-8"), path.name


def test_the_folder_of_an_export_is_remembered(world, tmp_path):
    world.add_ct()
    world.open()
    world.run()
    world.ui.exportPathLineEdit.currentPath = str(tmp_path)
    world.ui.exportButton.click()
    world.wait_until(lambda: not world.widget.logic.isRunning)
    assert world.ui.exportPathLineEdit.history == [str(tmp_path)]


def test_every_field_for_a_path_keeps_a_history_and_is_remembered_by_the_code():
    """CTK's widget remembers by `addCurrentPathToHistory` alone, under the key that its property names."""
    from xml.etree import ElementTree

    from slicer_double.panel import MODULE

    code = "".join(path.read_text(encoding="utf-8") for path in (MODULE / "NeckFracLib").glob("*_section.py"))
    for path in (MODULE / "Resources" / "UI").glob("*.ui"):
        for widget in ElementTree.parse(path).iter("widget"):
            if widget.get("class") == "ctkPathLineEdit":
                assert any(part.get("name") == "settingKey" for part in widget.findall("property")), widget.get("name")
                assert widget.get("name") in code
    assert code.count("addCurrentPathToHistory") >= 2


def test_the_visual_dicom_browsers_selection_is_taken_when_that_one_is_shown(world, monkeypatch):
    batch = importlib.import_module("NeckFracLib.batch")

    class Database:
        isOpen = True

        def studiesForPatient(self, patient):
            return [f"study of {patient}"]

        def seriesForStudy(self, study):
            return [f"series of {study}"]

        def filesForSeries(self, series):
            return [f"/{series}.dcm"]

    tables = types.SimpleNamespace(
        currentSeriesSelection=lambda: ["classic"], currentStudiesSelection=list, currentPatientsSelection=list
    )
    view = types.SimpleNamespace(selectedSeriesInstanceUIDs=lambda: ["visual"], selectedPatientUIDs=lambda: ["p"])
    browser = types.SimpleNamespace(
        useVisualDICOMBrowser=True,
        dicomBrowser=types.SimpleNamespace(dicomTableManager=lambda: tables),
        dicomVisualBrowser=types.SimpleNamespace(patientView=lambda: view),
    )
    modules = types.SimpleNamespace(DICOMInstance=types.SimpleNamespace(browserWidget=browser))
    monkeypatch.setattr(slicer, "modules", modules, raising=False)
    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    assert batch.selectedDicomFiles() == ["/visual.dcm"]
    view.selectedSeriesInstanceUIDs = list
    assert batch.selectedDicomFiles() == ["/series of study of p.dcm"]
    browser.useVisualDICOMBrowser = False
    assert batch.selectedDicomFiles() == ["/classic.dcm"]
    browser.useVisualDICOMBrowser, browser.dicomVisualBrowser = True, types.SimpleNamespace()
    with pytest.raises(ValueError, match="classic"):
        batch.selectedDicomFiles()
