"""The part Outputs of the panel: which nodes Apply makes, fills or leaves."""

import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from slicer_double.whole_panel import Panel  # noqa: E402

PARTS = ("segmentation", "table", "heat")


@pytest.fixture
def world(monkeypatch, tmp_path):
    with Panel(monkeypatch, tmp_path) as panel:
        panel.ct = panel.add_ct()
        panel.open()
        panel.asked = []
        for question in ("confirmOkCancelDisplay", "confirmYesNoDisplay", "errorDisplay"):
            monkeypatch.setattr(slicer.util, question, lambda text, **_: panel.asked.append(text))
        yield panel


def selectors(world):
    ui = world.ui
    return dict(zip(PARTS, (ui.outputSegmentationSelector, ui.outputTableSelector, ui.outputHeatSelector), strict=True))


def chosen(world):
    """What the three selectors show."""
    return {part: selector.currentNode() for part, selector in selectors(world).items()}


def made(world, volume=None):
    """The nodes of the result."""
    nodes = world.widget.logic.results.of(volume or world.ct)[0]
    return {part: getattr(nodes, part) for part in PARTS}


def test_at_first_all_is_created_new_and_then_the_selectors_name_what_was_made(world):
    assert set(chosen(world).values()) == {None}
    assert {selector.property("noneDisplay") for selector in selectors(world).values()} == {
        "Create new segmentation", "Create new table", "Create new heat map",
    }  # fmt: skip
    assert world.ui.outputsLabel.text == "New: segmentation, table and boxes, heat map."
    world.run()
    assert chosen(world) == made(world) and None not in chosen(world).values()
    words = "Replaced: Cervical vertebrae, Fracture probabilities, Fracture heat map."
    assert world.ui.outputsLabel.text == words


def test_a_second_apply_asks_nothing_and_fills_the_same_nodes_again(world):
    world.run()
    first = made(world)
    count = world.scene.GetNumberOfNodes()
    world.run()
    assert made(world) == first and chosen(world) == first
    assert world.scene.GetNumberOfNodes() == count and world.asked == []


def test_with_new_nodes_chosen_a_second_apply_keeps_the_former_result(world):
    world.run()
    former = world.widget.logic.results.of(world.ct)[0]
    world.ui.confirmButton.click()
    for selector in selectors(world).values():
        selector.setCurrentNode(None)
    told = world.ui.outputsLabel.text.splitlines()
    assert told[0] == "New: segmentation, table and boxes, heat map." and told[1].startswith(
        "Kept: Cervical vertebrae,"
    )
    world.run()
    kept = [former.segmentation, former.heat, former.table, former.text, *former.rois.values()]
    assert all(world.scene.IsNodePresent(node) and node.GetName().endswith("(former)") for node in kept)
    assert not former.segmentation.GetDisplayNode().GetVisibility()
    assert not any(roi.GetDisplayNode().GetVisibility() for roi in former.rois.values())
    assert not set(made(world).values()) & set(kept) and chosen(world) == made(world) and world.asked == []
    assert world.texts(0)[-1] == "confirmed", "what readers said is kept with the new result, too"
    world.run()
    assert all(world.scene.IsNodePresent(node) for node in kept), "what was put aside is not replaced"
    assert world.scene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 2


def test_nodes_that_the_reader_has_made_are_filled_under_their_names(world):
    for selector in selectors(world).values():
        selector.addNode()
    mine = chosen(world)
    for part, node in mine.items():
        node.SetName(f"my {part}")
    world.widget.update()
    assert world.ui.outputsLabel.text == "Replaced: my segmentation, my table, my heat."
    assert world.ui.inputSelector.nodes() == [world.ct], "what will be a heat map is no CT"
    world.run()
    assert made(world) == mine and [node.GetName() for node in mine.values()] == [f"my {part}" for part in PARTS]
    assert world.texts(0)[0] == "C4" and world.boxes() == {"C4"}


def test_what_neckfrac_did_not_make_is_neither_offered_nor_filled(world):
    theirs = world.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "bone")
    theirs.GetSegmentation().AddEmptySegment("bone")
    world.widget.update()
    assert world.ui.outputSegmentationSelector.nodes() == []
    empty = world.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "empty")
    world.widget.update()
    world.ui.outputSegmentationSelector.setCurrentNode(empty)
    assert world.ui.applyButton.enabled
    empty.GetSegmentation().AddEmptySegment("painted meanwhile")
    world.widget.update()
    assert not world.ui.applyButton.enabled and "Choose another output" in world.ui.applyButton.toolTip
    logic, outputs = world.widget.logic, __import__("NeckFracLib.outputs", fromlist=["chosen"])
    with pytest.raises(ValueError, match="empty holds something else"):
        logic.begin(world.ct, outputs=outputs.chosen(world.node))
    assert not logic.isRunning


def test_an_output_that_is_filled_by_somebody_else_during_the_run_stays_theirs(world):
    world.ct.SetName("steady")
    world.ui.outputSegmentationSelector.addNode()
    node = world.ui.outputSegmentationSelector.currentNode()
    world.ui.applyButton.click()
    assert not world.ui.outputSegmentationSelector.enabled
    node.GetSegmentation().AddEmptySegment("painted meanwhile")
    world.wait_until(lambda: not world.widget.logic.isRunning)
    assert node.GetSegmentation().GetNumberOfSegments() == 1 and "No result" in world.ui.statusLabel.text
    assert world.asked and "Choose another output" in world.asked[0]


def test_an_output_that_is_deleted_during_the_run_is_made_anew(world):
    world.ct.SetName("steady")
    world.ui.outputTableSelector.addNode()
    world.ui.applyButton.click()
    world.scene.RemoveNode(world.ui.outputTableSelector.currentNode())
    world.wait_until(lambda: not world.widget.logic.isRunning)
    assert world.scene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 1 and chosen(world) == made(world)


def test_another_volume_brings_the_outputs_of_its_own_result(world):
    world.run()
    first = made(world)
    other = world.add_ct("calm")
    world.ui.inputSelector.setCurrentNode(other)
    assert set(chosen(world).values()) == {None} and world.ui.outputTableSelector.nodes() == []
    world.run()
    assert not set(made(world, other).values()) & set(first.values()) and made(world) == first
    world.ui.inputSelector.setCurrentNode(world.ct)
    assert chosen(world) == first
    world.ui.inputSelector.setCurrentNode(other)
    assert chosen(world) == made(world, other)


def test_the_choice_of_outputs_is_saved_with_the_scene(world, tmp_path):
    world.run()
    world.ui.outputHeatSelector.setCurrentNode(None)
    file = str(tmp_path / "saved.mrb")
    assert world.scene.WriteToMRB(file)
    world.scene.Clear(0)
    assert set(chosen(world).values()) == {None}
    world.scene.SetURL(file)
    assert world.scene.ReadFromMRB(file)
    volume = world.node.inputVolume
    assert chosen(world) == made(world, volume) | {"heat": None}


def test_with_a_segmentation_as_input_none_is_put_out(world):
    world.run()
    own = made(world)["segmentation"]
    world.ui.segmentationSelector.setCurrentNode(own)
    assert not world.ui.outputSegmentationSelector.enabled
    assert "New" not in world.ui.outputsLabel.text and "Kept: Cervical vertebrae" in world.ui.outputsLabel.text
    world.run()
    assert made(world)["segmentation"] is own and world.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


def test_a_segmentation_that_was_an_output_and_was_painted_can_become_the_input(world):
    world.ui.outputSegmentationSelector.addNode()
    node = world.ui.outputSegmentationSelector.currentNode()
    node.GetSegmentation().AddEmptySegment("C4", "C4")
    world.widget.update()
    assert "Choose another output" in world.ui.applyButton.toolTip
    world.ui.segmentationSelector.setCurrentNode(node)
    assert "Choose another output" not in world.ui.applyButton.toolTip, "it is no output any more"


def test_who_takes_the_volume_away_and_chooses_it_again_has_the_outputs_as_before(world):
    world.run()
    first = chosen(world)
    world.ui.inputSelector.setCurrentNode(None)
    world.ui.inputSelector.setCurrentNode(world.ct)
    assert chosen(world) == first == made(world)
