"""The module's panel, offscreen: the real .ui, scene and worker process; Qt's manners and Slicer are stand-ins."""

import ast
import importlib
import logging
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from slicer_double import panel  # noqa: E402
from slicer_double.whole_panel import Panel  # noqa: E402


@pytest.fixture
def world(monkeypatch, tmp_path):
    with Panel(monkeypatch, tmp_path) as panel_world:
        yield panel_world


@pytest.fixture
def asking(monkeypatch, tmp_path):
    with Panel(monkeypatch, tmp_path, asks=True) as panel_world:
        yield panel_world


def test_the_panel_says_that_it_is_no_medical_device(world):
    world.open()
    assert "Research use only; not a medical device" in world.ui.disclaimerLabel.text
    assert not world.ui.disclaimerLabel.isHidden()


def test_the_controls_offer_what_the_engine_knows(world):
    from neckfrac.pipeline.combine import OPERATING_POINTS

    world.open()
    kinds = importlib.import_module("NeckFracLib.parameter_node")
    assert {point.value for point in kinds.OperatingPoint} == set(OPERATING_POINTS)
    shown = [world.ui.operatingPointComboBox.itemText(index) for index in range(3)]
    assert shown == [point.label() for point in kinds.OperatingPoint]
    assert [device.value for device in kinds.Device] == ["auto", "cpu", "cuda"]
    assert world.ui.deviceComboBox.count == 3


def test_only_scalar_volumes_can_be_chosen(world):
    ct = world.add_ct()
    world.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    world.scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode")
    world.open()
    assert world.ui.inputSelector.nodes() == [ct]
    assert world.ui.inputSelector.currentNode() is ct


def test_the_parameter_node_follows_the_panel_and_the_panel_the_parameter_node(world):
    ct = world.add_ct()
    other = world.add_ct("other")
    world.open()
    node = world.widget.logic.getParameterNode()
    kinds = importlib.import_module("NeckFracLib.parameter_node")
    assert node.operatingPoint is kinds.OperatingPoint.balanced and node.inputVolume is ct
    world.ui.operatingPointComboBox.setCurrentIndex(0)
    world.ui.deviceComboBox.setCurrentIndex(1)
    world.ui.inputSelector.setCurrentNode(other)
    assert node.operatingPoint is kinds.OperatingPoint.sensitive and node.device is kinds.Device.cpu
    assert node.inputVolume is other
    node.operatingPoint, node.device, node.inputVolume = kinds.OperatingPoint.specific, kinds.Device.cuda, ct
    assert world.ui.operatingPointComboBox.currentIndex == 2 and world.ui.deviceComboBox.currentIndex == 2
    assert world.ui.inputSelector.currentNode() is ct


def test_apply_waits_for_a_volume_and_says_so(world):
    world.open()
    assert not world.ui.applyButton.enabled and world.ui.applyButton.toolTip == "Select a CT volume."
    world.ui.inputSelector.setCurrentNode(world.add_ct())
    assert world.ui.applyButton.enabled and "fractures" in world.ui.applyButton.toolTip


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda node, scene: node.SetAndObserveImageData(None), "no voxels"),
        (lambda node, scene: node.GetImageData().SetDimensions(50, 40, 1), "single slice"),
        (
            lambda node, scene: node.SetAndObserveTransformNodeID(
                scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode").GetID()
            ),
            "Straighten a copy",
        ),
    ],
)
def test_apply_says_what_is_wrong_with_a_volume(world, spoil, reason):
    volume = world.add_ct()
    spoil(volume, world.scene)
    world.open()
    world.ui.inputSelector.setCurrentNode(volume)
    assert not world.ui.applyButton.enabled and reason in world.ui.applyButton.toolTip
    assert not world.ui.inputWarningLabel.isHidden() and reason in world.ui.inputWarningLabel.text


def test_missing_packages_are_named_and_installed_on_a_click_only(world, monkeypatch):
    world.add_ct()
    world.missing = ["torch", "monai"]
    installed = []
    install = importlib.import_module("NeckFracLib.install")
    monkeypatch.setattr(install, "_isMissing", lambda name: name in world.missing)
    monkeypatch.setattr(install, "install", lambda: installed.append(world.missing.clear()))
    monkeypatch.setattr(install, "checkInChildProcess", lambda onChecked: onChecked("2.9 1.6"))
    world.open()
    assert not world.ui.applyButton.enabled and "torch, monai" in world.ui.applyButton.toolTip
    assert not world.ui.installButton.isHidden() and not installed
    world.ui.installButton.click()
    assert installed and world.ui.applyButton.enabled and world.ui.installButton.isHidden()
    assert "2.9 1.6" in world.ui.statusLabel.text


def test_the_check_box_shows_and_hides_t1_and_the_skull_base(world):
    world.add_ct()
    world.open()
    box = world.ui.showAnchorsCheckBox
    assert not box.isChecked() and "counted from" in box.toolTip
    world.run()

    def visible(node):
        segmentation = node.GetSegmentation()
        ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
        shown = [name for name in ids if node.GetDisplayNode().GetSegmentVisibility(name)]
        return [segmentation.GetSegment(name).GetName() for name in shown]

    first = world.scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    assert visible(first) == ["C4"]
    box.click()
    assert visible(first) == ["C4", "T1", "Skull base"]
    world.run()
    assert world.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1, "it takes the place of the first"
    second = world.scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    assert visible(second) == ["C4", "T1", "Skull base"], "a later analysis follows the box, too"
    box.click()
    assert visible(second) == ["C4"]


def test_segments_that_were_hidden_elsewhere_are_left_alone_by_other_settings(world):
    world.add_ct()
    world.open()
    world.ui.showAnchorsCheckBox.click()
    world.run()
    node = world.scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    node.GetDisplayNode().SetAllSegmentsVisibility(False)
    world.ui.operatingPointComboBox.setCurrentIndex(0)
    identifier = node.GetSegmentation().GetNthSegmentID(1)
    assert not node.GetDisplayNode().GetSegmentVisibility(identifier)


def test_while_it_runs_the_button_cancels_and_the_scene_stays(world):
    world.add_ct("slow")
    world.open()
    before = world.scene.GetNumberOfNodes()
    world.ui.applyButton.click()
    assert world.ui.applyButton.text == "Cancel" and not world.ui.inputSelector.enabled
    world.wait_until(lambda: world.ui.progressBar.value > 0)
    assert world.ui.statusLabel.text == "Locating the spine"
    began = time.monotonic()
    world.run()
    assert time.monotonic() - began < 1
    assert world.ui.statusLabel.text == "Cancelled." and world.ui.applyButton.text == "Apply"
    assert world.scene.GetNumberOfNodes() == before and list(world.temporary.iterdir()) == []


def test_an_engine_that_does_not_listen_is_cancelled_within_a_second_too(world):
    ct = world.add_ct("deaf")
    world.open()
    world.ui.applyButton.click()
    world.wait_until(lambda: world.ui.progressBar.value > 0)
    began = time.monotonic()
    world.run()
    assert time.monotonic() - began < 1 and world.widget.logic.workerPid is None
    ct.SetName("ct")
    world.run()
    assert world.texts(0)[0] == "C4"


@pytest.mark.parametrize(("kind", "words"), [("memory", "crop the volume"), ("internal", "no luck")])
def test_a_failure_is_told_with_advice_and_leaves_the_scene(world, caplog, kind, words):
    world.add_ct(kind)
    world.open()
    before = world.scene.GetNumberOfNodes()
    with caplog.at_level(logging.ERROR):
        world.run()
    assert words in caplog.text and "No result" in world.ui.statusLabel.text
    assert world.scene.GetNumberOfNodes() == before and world.ui.applyButton.enabled


def test_closing_the_scene_stops_the_run_and_the_panel_starts_anew(world):
    world.add_ct("slow")
    world.open()
    world.ui.applyButton.click()
    world.scene.Clear(0)
    assert not world.widget.logic.isRunning and list(world.temporary.iterdir()) == []
    assert world.ui.applyButton.text == "Apply" and not world.ui.applyButton.enabled
    world.ui.inputSelector.setCurrentNode(world.add_ct())
    world.run()
    assert world.texts(0)[0] == "C4"


def test_a_scene_that_was_saved_brings_panel_table_and_reviews_back(world, tmp_path):
    kinds = importlib.import_module("NeckFracLib.parameter_node")
    volume = world.add_ct()
    world.open()
    world.ui.inputSelector.setCurrentNode(volume)
    world.run()
    world.ui.resultsTable.setCurrentCell(world.row("C4"), 0)
    world.ui.rejectButton.click()
    world.ui.operatingPointComboBox.setCurrentIndex(2)
    world.ui.resultsTable.horizontalHeader().sectionClicked.emit(0)
    world.ui.showBoxesCheckBox.click()
    before = [world.texts(row) for row in range(world.ui.resultsTable.rowCount)]
    assert before[0][0] == "C1" and before[world.row("C4")][-1] == "rejected"
    file = str(tmp_path / "saved.mrb")
    assert world.scene.WriteToMRB(file)

    world.scene.Clear(0)
    assert world.ui.resultsTable.rowCount == 0 and world.node.operatingPoint is kinds.OperatingPoint.balanced
    assert world.ui.showBoxesCheckBox.checked
    world.scene.SetURL(file)
    assert world.scene.ReadFromMRB(file)
    world.application.processEvents()
    assert world.node.inputVolume is not None and world.node.inputVolume.GetName() == "ct"
    assert world.ui.inputSelector.currentNode() is world.node.inputVolume
    assert world.node.operatingPoint is kinds.OperatingPoint.specific
    assert world.ui.operatingPointComboBox.currentIndex == 2
    assert not world.ui.showBoxesCheckBox.checked
    assert [world.texts(row) for row in range(world.ui.resultsTable.rowCount)] == before


def test_another_module_on_top_keeps_the_panel_from_looking_at_the_scene(world):
    world.add_ct()
    world.open()
    node = world.widget.logic.getParameterNode()
    kinds = importlib.import_module("NeckFracLib.parameter_node")
    world.exit()
    node.operatingPoint = kinds.OperatingPoint.specific
    world.ui.applyButton.setToolTip("not looked at")
    node.device = kinds.Device.cuda
    assert world.ui.applyButton.toolTip == "not looked at"
    world.enter()
    assert world.ui.deviceComboBox.currentIndex == 2 and world.ui.applyButton.toolTip != "not looked at"


def test_leaving_slicer_ends_the_worker(world):
    world.add_ct()
    world.open()
    world.run()
    assert world.widget.logic.workerPid is not None  # kept warm
    world.widget.cleanup()
    assert world.widget.logic.workerPid is None and world.widget.Observations == []


def test_the_module_registers_the_sample_with_its_checksum_once_slicer_has_started(world):
    import hashlib
    from urllib.parse import urlparse
    from urllib.request import url2pathname

    module = importlib.import_module("NeckFrac")
    parent = SimpleNamespace()
    module.NeckFrac(parent)
    assert parent.categories == ["Segmentation"] and "not a medical device" in parent.helpText
    assert panel.StandInSampleData.sources == []  # nothing in the constructor
    for started in world.application.startup:
        started()
    (source,) = panel.StandInSampleData.sources
    content = Path(url2pathname(urlparse(source["uri"]).path)).read_bytes()
    assert source["checksum"] == "SHA256:" + hashlib.sha256(content).hexdigest()


def test_slicer_knows_the_codes_of_the_segments_once_it_has_started(world, monkeypatch):

    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    terminologies = SimpleNamespace(logic=lambda: logic)
    monkeypatch.setattr(slicer, "modules", SimpleNamespace(terminologies=terminologies), raising=False)
    module = importlib.import_module("NeckFrac")
    module.NeckFrac(SimpleNamespace())
    for started in world.application.startup:
        started()
    name, found = "NeckFrac cervical vertebrae", []
    category, kind = slicer.vtkSlicerTerminologyCategory(), slicer.vtkSlicerTerminologyType()
    assert logic.GetNthCategoryInTerminology(name, 0, category)
    for index in range(logic.GetNumberOfTypesInTerminologyCategory(name, category)):
        assert logic.GetNthTypeInTerminologyCategory(name, category, index, kind)
        found.append(kind.GetCodeMeaning())
    assert found == [*(f"C{n} vertebra" for n in range(1, 8)), "T1 vertebra", "Skull"]


def test_every_text_for_the_user_can_be_translated():
    shown = ("setText", "setToolTip", "errorDisplay", "confirmOkCancelDisplay", "_showProgress", "InstallError")
    for path in panel.MODULE.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or not call.args:
                continue
            name = getattr(call.func, "id", None) or getattr(call.func, "attr", None)
            where, argument = f"{path.name}:{call.lineno}", call.args[0]
            if name == "_":
                assert isinstance(argument, ast.Constant) and isinstance(argument.value, str), where
            if name in shown:
                assert not isinstance(argument, ast.JoinedStr), where
                assert not isinstance(argument, ast.Constant) or argument.value is None, where


def test_the_panel_says_what_the_networks_can_run_on(asking):
    asking.open()
    assert asking.ui.deviceFoundLabel.text == ""
    asking.wait_until(lambda: asking.ui.deviceFoundLabel.text)
    assert "No graphics card" in asking.ui.deviceFoundLabel.text, "there is none where this is tested"
    asking.widget._onDevice({"gpus": [{"name": "A100", "free": 30 * 2**30, "total": 40 * 2**30}]})
    assert asking.ui.deviceFoundLabel.text == "A100: 30 of 40 GB free"


def test_nothing_is_started_to_look_for_a_device_while_packages_are_missing(asking):
    asking.missing = ["torch"]
    asking.open()
    assert not asking.widget.logic.jobs.hasWorker


def test_a_run_that_starts_while_the_device_is_being_looked_for_waits_its_turn(asking):
    asking.add_ct()
    asking.open()
    asking.run()
    assert asking.texts(0)[0] == "C4" and asking.ui.deviceFoundLabel.text


def test_a_volume_that_does_not_look_like_a_ct_is_warned_of_with_the_reason(world):
    import numpy as np

    ct = world.add_ct()
    world.open()
    assert world.ui.inputWarningLabel.isHidden()
    slicer.util.arrayFromVolume(ct)[:] = np.clip(slicer.util.arrayFromVolume(ct), 0, 255)
    ct.GetImageData().Modified()
    world.widget.update()
    assert not world.ui.inputWarningLabel.isHidden() and "Hounsfield" in world.ui.inputWarningLabel.text
    assert world.ui.applyButton.enabled, "a warning, no ban"


def test_an_analysis_goes_on_while_another_module_is_open_and_its_result_is_there_on_return(world):
    world.add_ct()
    world.open()
    world.ui.applyButton.click()
    world.widget.exit()
    world.wait_until(lambda: not world.widget.logic.isRunning)
    world.widget.enter()
    assert world.texts(0)[0] == "C4" and world.ui.applyButton.text == "Apply"
