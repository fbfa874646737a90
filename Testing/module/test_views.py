"""What the module does to the slice views and the layout, and that it gives them back; real MRML and slice logics."""

import importlib
from types import SimpleNamespace

import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from neckfrac.output.scene_file import HeadlessScene  # noqa: E402
from slicer_double.whole_panel import Panel  # noqa: E402


@pytest.fixture
def world(monkeypatch, tmp_path):
    """The panel with the result of a CT, and a slice view's nodes and logic."""
    with Panel(monkeypatch, tmp_path) as panel:
        panel.ct = panel.add_ct()
        panel.logic = slicer.vtkMRMLSliceLogic()
        panel.logic.SetMRMLScene(panel.scene)
        panel.slice = panel.add_slices()[0]
        panel.composite = panel.scene.AddNode(slicer.vtkMRMLSliceCompositeNode())
        panel.logic.SetSliceNode(panel.slice)
        panel.logic.SetSliceCompositeNode(panel.composite)
        panel.open()
        yield panel
        panel.logic.SetMRMLScene(None)


def layout_of(scene):
    """Slicer's own layout logic, which knows Slicer's own layouts, and its layout node."""
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(scene)
    return logic, logic.GetLayoutNode()


def edited(world):
    """Which layer the mouse would window in the middle of the heat map: by Slicer's own function."""
    manager = world.application.views.manager("Red")
    editable = manager.GetAdjustBackgroundWindowLevelEnabled(), manager.GetAdjustForegroundWindowLevelEnabled()
    layer = world.logic.GetEditableLayerAtWorldPosition([-4.5, 10.5, 129.0], *editable)
    return {0: "background", 1: "foreground"}.get(layer)


def test_with_the_heat_map_on_the_mouse_windows_the_ct_and_other_foregrounds_without_it(world):
    world.run()
    assert world.composite.GetForegroundVolumeID() and edited(world) == "background"
    world.ui.showHeatCheckBox.click()
    assert world.application.views.manager("Red").GetAdjustForegroundWindowLevelEnabled()


def test_a_view_in_which_the_reader_had_switched_that_off_keeps_it_off(world):
    manager = world.application.views.manager("Green")
    manager.SetAdjustForegroundWindowLevelEnabled(False)
    world.run()
    world.ui.showHeatCheckBox.click()
    assert not manager.GetAdjustForegroundWindowLevelEnabled()
    assert world.application.views.manager("Red").GetAdjustForegroundWindowLevelEnabled()


def test_a_foreground_that_the_reader_had_is_put_back_when_the_heat_map_goes(world):
    pet = world.add_ct("PET")
    world.composite.SetForegroundVolumeID(pet.GetID())
    world.composite.SetForegroundOpacity(0.7)
    world.run()
    heat = world.composite.GetForegroundVolumeID()
    assert heat not in (pet.GetID(), None)
    world.run()  # another result takes the place of the first, and its heat map that of the first one's
    assert world.composite.GetForegroundVolumeID() not in (pet.GetID(), None)
    world.ui.showHeatCheckBox.click()
    assert world.composite.GetForegroundVolumeID() == pet.GetID()
    assert world.composite.GetForegroundOpacity() == pytest.approx(0.7)
    world.ui.showHeatCheckBox.click()
    world.ui.inputSelector.setCurrentNode(pet)  # of which there is no result
    assert world.composite.GetForegroundVolumeID() == pet.GetID(), "the heat map of another volume is in the way"


def reader_places(world, kind="vtkMRMLMarkupsLineNode"):
    """A reader's markup that is being placed with the mouse, several times; the nodes that say so, and what they say.

    The selection node is that of the application: the real logic of the module Markups writes to it.
    """
    nodes = []
    for name in ("vtkMRMLSelectionNode", "vtkMRMLInteractionNode"):
        node = getattr(slicer, name)()
        node.SetSingletonTag("Singleton")
        nodes.append(world.scene.AddNode(node))
    selection, interaction = nodes
    mine = world.scene.AddNewNodeByClass(kind)
    assert selection.GetActivePlaceNodeID() == mine.GetID(), "the module Markups makes what is added active"
    interaction.SetPlaceModePersistence(1)
    interaction.SetCurrentInteractionMode(interaction.Place)

    def said():
        active = selection.GetActivePlaceNodeClassName(), selection.GetActivePlaceNodeID()
        return *active, interaction.GetCurrentInteractionMode(), interaction.GetPlaceModePersistence()

    assert said() == (kind, mine.GetID(), interaction.Place, 1)
    return mine, said


def test_apply_rows_and_reviews_leave_the_readers_markup_the_active_one(world):
    _mine, said = reader_places(world)
    before = said()
    world.run()
    assert world.boxes() == {"C4"} and said() == before
    world.ui.resultsTable.cellClicked.emit(world.row("C3"), 0)
    world.ui.addButton.click()
    assert world.boxes() == {"C3", "C4"} and said() == before
    world.ui.undoButton.click()
    world.ui.operatingPointComboBox.setCurrentIndex(0)
    assert world.boxes() == {"C3", "C4"} and said() == before
    world.run()
    assert said() == before


def test_whatever_is_added_removed_or_fails_the_readers_markup_stays_the_active_one(world):
    from neckfrac.output.placement import placement_kept

    mine, said = reader_places(world, "vtkMRMLMarkupsFiducialNode")
    before = said()
    with placement_kept(world.scene):
        world.scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode")
        assert said() != before
    assert said() == before
    with pytest.raises(ZeroDivisionError), placement_kept(world.scene):
        world.scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
        raise ZeroDivisionError
    assert said() == before
    with placement_kept(world.scene):
        world.scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
        world.scene.RemoveNode(mine)
    assert said()[1] is None, "what is gone can't be placed"


def test_a_scene_with_the_reading_layout_has_views_although_the_module_was_not_opened(world, tmp_path, monkeypatch):
    logic, layout = layout_of(world.scene)
    world.ui.readingLayoutButton.click()
    file = str(tmp_path / "saved.mrb")
    assert world.scene.WriteToMRB(file)
    headless = HeadlessScene(tmp_path / "another")
    try:
        another = headless.scene
        other, layout = layout_of(another)
        monkeypatch.setattr(slicer, "mrmlScene", another)
        importlib.import_module("NeckFrac").NeckFrac(SimpleNamespace())
        for started in world.application.startup:
            started()
        another.SetURL(file)
        assert another.ReadFromMRB(file)
        assert layout.GetViewArrangement() == importlib.import_module("NeckFracLib.layout").READING_LAYOUT
        assert "vtkMRMLSliceNode" in (layout.GetCurrentLayoutDescription() or "")
    finally:
        for one in (logic, other):
            one.SetMRMLScene(None)
        monkeypatch.setattr(slicer, "mrmlScene", world.scene)
        headless.close()


def test_the_button_goes_to_the_reading_layout_and_back_to_the_one_before(world):
    logic, layout = layout_of(world.scene)
    layout.SetViewArrangement(layout.SlicerLayoutOneUpRedSliceView)
    button = world.ui.readingLayoutButton
    button.click()
    assert button.text == "Previous layout"
    button.click()
    assert layout.GetViewArrangement() == layout.SlicerLayoutOneUpRedSliceView and button.text == "Reading layout"
    button.click()
    layout.RemoveAttribute("NeckFrac.PreviousLayout")
    button.click()
    assert layout.GetViewArrangement() == layout.SlicerLayoutFourUpView
    logic.SetMRMLScene(None)


def test_bone_is_shown_at_first_the_buttons_change_it_and_a_window_of_the_reader_stays(world):
    world.ct.CreateDefaultDisplayNodes()
    display = world.ct.GetScalarVolumeDisplayNode()
    world.run()
    assert (display.GetWindow(), display.GetLevel()) == (2000, 400)
    world.ui.softTissueWindowButton.click()
    assert (display.GetWindow(), display.GetLevel()) == (400, 40)
    world.run()
    assert (display.GetWindow(), display.GetLevel()) == (400, 40), "what was chosen stays"
    world.ui.boneWindowButton.click()
    assert (display.GetWindow(), display.GetLevel()) == (2000, 400)
    other = world.add_ct("other")
    other.CreateDefaultDisplayNodes()
    mine = other.GetScalarVolumeDisplayNode()
    mine.AutoWindowLevelOff()
    mine.SetWindowLevel(1234, 56)
    world.ui.inputSelector.setCurrentNode(other)
    world.run()
    assert (mine.GetWindow(), mine.GetLevel()) == (1234, 56)


def test_a_window_that_the_dicom_files_name_is_not_the_readers(world):
    world.ct.CreateDefaultDisplayNodes()
    display = world.ct.GetScalarVolumeDisplayNode()
    display.AddWindowLevelPreset(350, 50)
    display.AutoWindowLevelOff()
    display.SetWindowLevel(350, 50)
    world.run()
    assert (display.GetWindow(), display.GetLevel()) == (2000, 400)


def test_without_a_main_window_and_views_the_panel_works_and_has_no_keys(tmp_path, monkeypatch):
    with Panel(monkeypatch, tmp_path) as panel:
        monkeypatch.setattr(slicer.util, "mainWindow", lambda verbose=True: None)
        monkeypatch.setattr(panel.application, "layoutManager", lambda: None)
        ct = panel.add_ct()
        panel.open()
        panel.run()
        assert panel.boxes() == {"C4"} and panel.widget.results.level == "C4"
        assert panel.widget.keys._shortcuts == []
        panel.ui.showHeatCheckBox.click()
        panel.exit()
        panel.enter()
        assert panel.widget.logic.results.of(ct) is not None
