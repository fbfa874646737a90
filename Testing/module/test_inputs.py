"""Which CT the panel begins with, what it offers, how often it reads, and where results lie among the patients."""

import importlib

import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from slicer_double.whole_panel import Panel  # noqa: E402


@pytest.fixture
def world(monkeypatch, tmp_path):
    with Panel(monkeypatch, tmp_path) as panel:
        yield panel


def red(world, volume):
    """The red slice view, which shows a volume."""
    composite = slicer.vtkMRMLSliceCompositeNode()
    composite.SetSingletonTag("Red")
    composite = world.scene.AddNode(composite)
    assert composite.GetID() == "vtkMRMLSliceCompositeNodeRed"
    composite.SetBackgroundVolumeID(volume.GetID())


def test_the_panel_begins_with_the_volume_that_the_red_slice_shows(world):
    world.add_ct("first")
    shown = world.add_ct("shown")
    red(world, shown)
    world.open()
    assert world.node.inputVolume is shown


def test_a_labelmap_that_comes_first_or_is_shown_is_no_ct(world):
    labelmap = world.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    ct = world.add_ct()
    red(world, labelmap)
    world.open()
    assert world.node.inputVolume is ct


def test_our_own_heat_map_is_neither_begun_with_nor_offered(world):
    ct = world.add_ct()
    world.open()
    for runs in (1, 2):
        world.ui.outputHeatSelector.setCurrentNode(None)
        world.run()
        assert world.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1 + runs, "the former is kept"
        assert world.ui.inputSelector.nodes() == [ct]
    world.node.inputVolume = None
    red(world, world.widget.logic.results.of(ct)[0].heat)
    world.exit()
    world.enter()
    assert world.node.inputVolume is ct


def test_what_a_comparison_made_is_offered_as_no_segmentation(world):
    world.add_ct()
    world.open()
    made = world.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Disagreement")
    made.SetAttribute("NeckFrac.Comparison", "disagreement")
    own = world.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "by hand")
    world.widget.update()
    assert world.ui.segmentationSelector.nodes() == world.ui.referenceSelector.nodes() == [own]


def test_findings_are_read_once_a_change_however_many_sections_show_them(world, monkeypatch):
    world.add_ct()
    world.open()
    world.run()
    result = importlib.import_module("neckfrac.output.result")
    result._findings_of.cache_clear()  # other tests have had the same findings
    world.widget.update()
    read, loads = [], result.json.loads
    monkeypatch.setattr(result.json, "loads", lambda text: read.append(text) or loads(text))
    world.widget.update()
    world.widget.update()
    assert read == []
    world.ui.confirmButton.click()
    assert len(read) == 1


def test_only_a_sample_of_the_voxels_is_looked_at_before_a_run(world, monkeypatch):
    world.add_ct()
    checks, seen = importlib.import_module("neckfrac.intake.checks"), []
    values = checks.check_values
    monkeypatch.setattr(checks, "check_values", lambda voxels: seen.append(voxels.size) or values(voxels))
    world.open()
    assert seen and max(seen) <= 30 * 40 * 50 / 20
    world.widget.update()
    assert len(seen) == 1


def test_a_volume_of_no_known_patient_stays_where_it_is_and_no_patient_is_invented(world):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(world.scene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "my folder")
    inside, outside = world.add_ct("ct"), world.add_ct("calm")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(inside), folder)
    world.open()
    for volume, place in ((inside, folder), (outside, hierarchy.GetSceneItemID())):
        world.ui.inputSelector.setCurrentNode(volume)
        world.run()
        nodes = world.widget.logic.results.of(volume)[0]
        for node in (volume, nodes.segmentation, nodes.heat, nodes.table):
            assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == place
    from neckfrac.output.hierarchy import items_of

    assert not {hierarchy.GetItemLevel(item) for item in items_of(hierarchy)} & {"Patient", "Study"}
