"""The section Inspection, offscreen: the real .ui, scene and worker process; Qt's manners are stand-ins."""

import importlib
from dataclasses import replace

import numpy as np
import pytest

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from neckfrac.anatomy import LEVELS  # noqa: E402
from neckfrac.output.comparison import DISAGREEMENT, SURFACE, comparison_nodes  # noqa: E402
from neckfrac.output.scene import populate_scene  # noqa: E402
from neckfrac.output.segments import LEVEL_TAG, add_segmentation  # noqa: E402
from output_case import center_of, make_analysis  # noqa: E402
from scipy import ndimage  # noqa: E402
from slicer_double.section import Section, World  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


class Inspected(World):
    """A scene with a result, a reference as TotalSegmentator names it, and the section on it."""

    def __enter__(self):
        super().__enter__()
        self.analysis = make_analysis(turn=10.0)
        self.nodes = populate_scene(self.scene, self.analysis)
        self.slices = [self.scene.AddNewNodeByClass("vtkMRMLSliceNode") for _ in range(3)]
        for node, orient in zip(self.slices, ("Axial", "Sagittal", "Coronal"), strict=True):
            getattr(node, f"SetOrientationTo{orient}")()
        self.inspect = Section(self, "inspect_section", "InspectSection")
        self.ui, self.node = self.inspect.ui, self.inspect.node
        self.node.connectGui(self.ui)
        self.node.inputVolume = self.nodes.volume
        self.update()
        return self

    def add_reference(self, swapped=()):
        """Thinner levels without C6; `swapped` change names."""
        labels = self.analysis.labels.copy()
        for label in range(1, 7):
            mask = self.analysis.labels == label
            labels[mask & ~ndimage.binary_erosion(mask)] = 0
        labels[labels == 6] = 0
        if swapped:
            one, other = (labels == label for label in swapped)
            labels[one], labels[other] = swapped[1], swapped[0]
        node = add_segmentation(self.scene, replace(self.analysis, labels=labels), self.nodes.volume)
        node.SetName("TotalSegmentator")
        segmentation = node.GetSegmentation()
        for index in range(segmentation.GetNumberOfSegments()):
            segment = segmentation.GetNthSegment(index)
            segment.SetName(f"vertebrae_{segment.GetName()}")
            for tag in (LEVEL_TAG, segment.GetTerminologyEntryTagName()):
                segment.RemoveTag(tag)
        return node

    def update(self):
        self.inspect.section.update()

    def compare(self):
        self.update()
        self.ui.compareButton.click()
        self.inspect.wait()

    def texts(self, table, row):
        return [table.item(row, column).text() for column in range(table.columnCount)]

    def place(self):
        """Where the slices are, LPS."""
        axial, sagittal, coronal = (node.GetSliceToRAS() for node in self.slices)
        return -sagittal.GetElement(0, 3), -coronal.GetElement(1, 3), axial.GetElement(2, 3)


@pytest.fixture
def world(monkeypatch, tmp_path):
    with Inspected(monkeypatch, tmp_path) as world:
        yield world


def test_the_networks_stand_side_by_side_and_a_row_leads_to_its_vertebra(world):
    table = world.ui.membersTable
    headings = [table.horizontalHeaderItem(column).text() for column in range(table.columnCount)]
    assert headings == ["Level", "Ensemble", "model-a", "levels", "model-b"]
    assert table.rowCount == 8
    assert world.texts(table, 1) == ["C2", "87.0 %", "87.0 %", "", "92.0 %"]
    assert world.texts(table, 6) == ["C7", "", "", "", ""]
    assert world.texts(table, 7) == ["Patient", "91.0 %", "80.0 %", "93.0 %", ""]
    table.cellClicked.emit(3, 2)
    assert world.place() == pytest.approx(tuple(center_of(3)), abs=0.01)
    table.cellClicked.emit(7, 0)  # the patient is nowhere
    assert world.place() == pytest.approx(tuple(center_of(3)), abs=0.01)


def test_the_button_says_why_it_can_not_compare(world):
    button, tooltip = world.ui.compareButton, lambda: world.ui.compareButton.toolTip
    assert button.enabled and button.text == "Check without a reference"
    reference = world.add_reference()
    world.node.referenceSegmentation = reference
    world.update()
    assert button.enabled and button.text == "Compare" and "overlap" in tooltip()
    world.node.referenceSegmentation = world.nodes.segmentation
    world.update()
    assert not button.enabled and "itself" in tooltip()
    reference.GetSegmentation().GetNthSegment(0).SetName("C2")
    world.node.referenceSegmentation = reference
    world.update()
    assert not button.enabled and "Two segments are C2" in tooltip()
    world.node.inputVolume = world.add_ct("another")
    world.update()
    assert not button.enabled and "Analyze the volume first" in tooltip()
    assert world.ui.membersTable.rowCount == 0


def test_only_segmentations_can_be_the_reference(world):
    reference = world.add_reference()
    assert world.ui.referenceSelector.nodes() == [world.nodes.segmentation, reference]
    world.ui.referenceSelector.setCurrentNode(reference)
    assert world.node.referenceSegmentation is reference


def test_a_comparison_fills_table_slices_and_3d_view(world):
    world.node.referenceSegmentation = world.add_reference()
    shown = world.inspect.record(world.ui.compareStatusLabel)
    world.compare()
    assert "Mean Dice 0." in world.ui.compareStatusLabel.text and "Comparing…" in shown()
    table = world.ui.comparisonTable
    assert table.rowCount == 7 and not table.isHidden()
    first = world.texts(table, 0)
    assert first[0] == "C1" and 0.3 < float(first[1]) < 0.95 and float(first[4]) >= 1 and first[7] == ""
    assert float(first[5]) > float(first[6]), "the reference is thinner"
    assert world.texts(table, 5)[1:] == ["", "", "", "", world.texts(table, 5)[5], "", "Not in the reference"]
    assert world.texts(table, 6)[7] == "In neither"
    assert len(comparison_nodes(world.scene, SURFACE)) == 5
    assert len(comparison_nodes(world.scene, DISAGREEMENT)) == 1
    assert list(world.temporary.iterdir()) == []
    table.cellClicked.emit(2, 1)
    assert world.place() == pytest.approx(tuple(center_of(2)), abs=1)


def test_what_is_odd_is_listed_and_a_click_leads_to_its_place(world):
    world.node.referenceSegmentation = world.add_reference(swapped=(3, 4))
    assert world.ui.flagsTable.isHidden()
    world.compare()
    table = world.ui.flagsTable
    assert not table.isHidden() and table.rowCount == 1
    assert world.texts(table, 0) == ["C3, C4, reference", "C4 lies above C3: the levels are out of order."]
    table.cellClicked.emit(0, 0)
    assert world.place() == pytest.approx(tuple((center_of(2) + center_of(3)) / 2), abs=1)
    remarks = [world.texts(world.ui.comparisonTable, row)[7] for row in (2, 3)]
    assert remarks == ["Lies in C4", "Lies in C3"]


def test_a_segmentation_is_checked_without_a_reference_too(world):
    segmentation = world.nodes.segmentation.GetSegmentation()
    segmentation.RemoveSegment(segmentation.GetNthSegmentID(2))
    world.compare()
    assert world.texts(world.ui.flagsTable, 0) == ["C3", "C3 is missing between C2 and C4."]
    assert world.ui.comparisonTable.isHidden() and comparison_nodes(world.scene, SURFACE) == []
    assert world.ui.compareStatusLabel.text == "To look at: 1."
    assert not world.ui.showDistancesCheckBox.enabled


def test_the_check_boxes_show_and_hide_surfaces_and_disagreement(world):
    world.node.referenceSegmentation = world.add_reference()
    world.compare()
    (disagreement,) = comparison_nodes(world.scene, DISAGREEMENT)
    surfaces = comparison_nodes(world.scene, SURFACE)
    ours = world.nodes.segmentation.GetDisplayNode()
    assert all(node.GetDisplayNode().GetVisibility() for node in surfaces) and not ours.GetVisibility3D()
    world.ui.showDistancesCheckBox.click()
    world.update()
    assert not any(node.GetDisplayNode().GetVisibility() for node in surfaces) and ours.GetVisibility3D()
    world.ui.showDisagreementCheckBox.click()
    world.update()
    assert not disagreement.GetDisplayNode().GetVisibility()
    disagreement.GetDisplayNode().SetVisibility(True)
    world.update()
    assert disagreement.GetDisplayNode().GetVisibility(), "what was changed elsewhere stays"
    world.compare()
    assert not any(n.GetDisplayNode().GetVisibility() for n in comparison_nodes(world.scene, SURFACE))


def test_the_figures_come_back_with_the_scene(world):
    world.node.referenceSegmentation = world.add_reference(swapped=(3, 4))
    world.compare()
    other = Section(world, "inspect_section", "InspectSection")
    assert other.ui.comparisonTable.rowCount == 7 and other.ui.flagsTable.rowCount == 1
    other.node.inputVolume = world.add_ct("another")
    other.section.update()
    assert other.ui.comparisonTable.rowCount == 0, "they are of one CT"


def test_a_cancelled_comparison_leaves_the_scene(world):
    world.node.referenceSegmentation = world.add_reference()
    world.update()
    before = world.scene.GetNumberOfNodes()
    world.ui.compareButton.click()
    assert world.ui.compareButton.text == "Cancel" and not world.ui.referenceSelector.enabled
    world.ui.compareButton.click()
    world.inspect.wait()
    assert world.ui.compareStatusLabel.text == "Cancelled." and world.ui.compareButton.text == "Compare"
    assert world.scene.GetNumberOfNodes() == before and list(world.temporary.iterdir()) == []


def test_a_volume_that_goes_meanwhile_is_told_and_leaves_the_scene(world):
    world.node.referenceSegmentation = world.add_reference()
    world.update()
    world.ui.compareButton.click()
    world.scene.RemoveNode(world.nodes.volume)
    world.inspect.wait()
    assert "No comparison" in world.ui.compareStatusLabel.text
    assert comparison_nodes(world.scene) == []


def test_every_control_has_a_tooltip(world):
    for name, widget in vars(world.ui).items():
        if type(widget).__name__ in ("QPushButton", "QCheckBox", "QTableWidget", "qMRMLNodeComboBox", "QProgressBar"):
            assert widget.toolTip, name


def test_each_network_has_a_column_even_when_it_only_judges_the_patient(world):
    inspection = importlib.import_module("NeckFracLib.inspection")
    findings = world.analysis.findings
    columns, rows = inspection.memberTable(findings)
    assert columns == [inspection.ENSEMBLE, "model-a", "levels", "model-b"], "in the order of the models, then others"
    assert [row[0] for row in rows] == [*(level.name for level in LEVELS), "Patient"]
    assert rows[-1][1] == [0.91, 0.8, 0.93, None] and np.allclose(rows[1][2], center_of(1))
