import re

import numpy as np
import pytest
from neckfrac.comparison.compare import compare_segmentations, disagreement
from neckfrac.comparison.surfaces import distance_surfaces
from neckfrac.output import comparison as output
from neckfrac.output.comparison import add_comparison, comparison_nodes, show_disagreement, show_surfaces
from neckfrac.output.scene import populate_scene
from neckfrac.output.scene_file import HeadlessScene
from output_case import center_of, make_analysis
from scipy import ndimage

slicer = pytest.importorskip("slicer")


@pytest.fixture
def headless(tmp_path):
    scene = HeadlessScene(tmp_path)
    yield scene
    scene.close()


@pytest.fixture(scope="module")
def study():
    """An analysis, and a reference that is thinner, lacks C6 and calls the lower half of C3 a C4."""
    analysis = make_analysis(turn=15.0)
    reference = analysis.labels.copy()
    for label in range(1, 7):
        mask = analysis.labels == label
        reference[mask & ~ndimage.binary_erosion(mask)] = 0
    reference[reference == 6] = 0
    third = np.argwhere(reference == 3)
    reference[tuple(third[third[:, 0] < third[:, 0].mean()].T)] = 4
    return analysis, reference


def compared(scene, study, volume_node=None):
    analysis, reference = study
    affine = analysis.volume.affine
    result = compare_segmentations(analysis.labels, reference, affine)
    surfaces = distance_surfaces(analysis.labels, reference, affine)
    where = disagreement(analysis.labels, reference, affine)
    return add_comparison(scene, result, surfaces, where, volume_node=volume_node)


def counts(scene):
    nodes = [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())]
    return sorted((node.GetClassName(), re.sub(r"_\d+$", "", node.GetName() or "")) for node in nodes)


def test_each_level_gets_a_surface_that_is_coloured_by_its_distance(headless, study):
    from vtk.util.numpy_support import vtk_to_numpy

    nodes = compared(headless.scene, study)
    assert list(nodes.surfaces) == ["C1", "C2", "C3", "C4", "C5"]  # the reference has no C6
    for index, (name, node) in enumerate(nodes.surfaces.items()):
        display, data = node.GetDisplayNode(), node.GetPolyData()
        assert node.GetAttribute("NeckFrac.Level") == name
        assert display.GetActiveScalarName() == "Distance (mm)" and display.GetScalarVisibility()
        assert display.GetScalarRange() == (-3.0, 3.0)
        assert display.GetScalarRangeFlag() == display.UseManualScalarRange
        distances = vtk_to_numpy(data.GetPointData().GetArray("Distance (mm)"))
        assert len(distances) == data.GetNumberOfPoints()
        points = vtk_to_numpy(data.GetPoints().GetData())
        if name in ("C1", "C2", "C5"):
            assert 0.6 < distances.mean() < 2, "our surface lies outside the thinner reference"
            assert np.allclose(points.mean(axis=0), center_of(index) * (-1, -1, 1), atol=1.5), "RAS, where it was"


def test_the_colours_diverge_about_white_and_name_their_distance(headless, study):
    compared(headless.scene, study)
    colors = headless.scene.GetFirstNodeByName("NeckFrac distance")
    rgba = np.zeros((255, 4))
    for n in range(255):
        colors.GetColor(n, rgba[n])
    assert rgba[0, 2] > rgba[0, 0] + 0.4 and rgba[254, 0] > rgba[254, 2] + 0.4 and (rgba[127, :3] > 0.96).all()
    assert colors.GetColorName(0) == "-3.00 mm" and colors.GetColorName(254) == "+3.00 mm"
    assert colors.GetLookupTable().GetTableRange() == (-3.0, 3.0)


def legends(scene):
    kind = "vtkMRMLColorLegendDisplayNode"
    return [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]


def test_one_legend_says_what_the_colours_mean_and_is_seen_with_the_surfaces(headless, study):
    """By Slicer's own displayable managers; nothing is rendered."""
    import vtk

    renderer, window, interactor = vtk.vtkRenderer(), vtk.vtkRenderWindow(), vtk.vtkGenericRenderWindowInteractor()
    window.AddRenderer(renderer)
    interactor.SetRenderWindow(window)
    managers = slicer.vtkMRMLDisplayableManagerGroup()
    managers.SetRenderer(renderer)
    for name in ("Model", "ColorLegend"):
        manager = getattr(slicer, f"vtkMRML{name}DisplayableManager")()
        manager.SetMRMLApplicationLogic(headless.application)
        managers.AddDisplayableManager(manager)
    managers.SetMRMLDisplayableNode(headless.scene.AddNewNodeByClass("vtkMRMLViewNode"))
    for _ in range(2):  # without and with an earlier comparison
        compared(headless.scene, study)
        (legend,) = legends(headless.scene)
        actor = manager.GetColorLegendActor(legend)
        table = actor.GetLookupTable()
        assert actor.GetTitle() == "Distance (mm)" and tuple(table.GetRange()) == (-3.0, 3.0)
        for distance, told in ((-3.0, (0.13, 0.40, 0.67)), (0.0, (0.97, 0.97, 0.97)), (3.0, (0.70, 0.09, 0.17))):
            table.GetColor(distance, color := [0.0] * 3)
            assert color == pytest.approx(told, abs=0.02)
        for shown in (False, True):
            show_surfaces(headless.scene, shown)
            layers = [one for layer in window.GetRenderers() for one in layer.GetViewProps()]
            kinds = [one.GetClassName() for one in layers if one.GetVisibility()]
            assert kinds.count("vtkSlicerScalarBarActor") == shown and ("vtkOpenGLActor" in kinds) == shown


def test_the_legend_comes_back_with_the_scene(headless, study, tmp_path):
    compared(headless.scene, study)
    headless.scene.SetSaveToXMLString(1)
    headless.scene.Commit()
    other = HeadlessScene(tmp_path / "other")
    other.scene.SetLoadFromXMLString(1)
    other.scene.SetSceneXMLString(headless.scene.GetSceneXMLString())
    other.scene.Connect()
    (legend,) = legends(other.scene)
    assert legend.GetTitleText() == "Distance (mm)" and legend.GetPrimaryDisplayNode().GetActiveScalarName()
    other.close()


def test_without_surfaces_there_is_no_legend(headless, study):
    compared(headless.scene, study)
    analysis, _ = study
    add_comparison(headless.scene, compare_segmentations(analysis.labels, None, analysis.volume.affine), {})
    assert legends(headless.scene) == []


def test_the_disagreement_is_one_segment_of_each_kind_where_it_lies(headless, study):
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    analysis, reference = study
    nodes = compared(headless.scene, study)
    segmentation = nodes.disagreement.GetSegmentation()
    names = [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]
    assert names == ["Only the segmentation", "Another level"]
    expected = [analysis.labels.astype(bool) & (reference == 0), (reference > 0) & (analysis.labels != reference)]
    for n, mask in enumerate(expected):
        image = slicer.vtkOrientedImageData()
        nodes.disagreement.GetBinaryLabelmapRepresentation(segmentation.GetNthSegmentID(n), image)
        voxels = vtk_to_numpy(image.GetPointData().GetScalars())
        assert (voxels > 0).sum() == mask.sum()
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        grid = voxels.reshape(image.GetDimensions()[::-1])
        first = np.argwhere(grid)[0][::-1] + np.array(image.GetExtent()[::2])
        place = [matrix.MultiplyPoint((*map(float, first), 1.0))[axis] * sign for axis, sign in enumerate((-1, -1, 1))]
        assert np.allclose(place, analysis.volume.to_points(np.argwhere(mask)[0]), atol=1e-3)
    display = nodes.disagreement.GetDisplayNode()
    assert not display.GetVisibility3D() and display.GetVisibility()


def test_the_table_holds_the_figures(headless, study):
    table = compared(headless.scene, study).table.GetTable()
    columns = [table.GetColumnName(n) for n in range(table.GetNumberOfColumns())]
    assert columns[:2] == ["Level", "Dice"] and "Hausdorff 95 % (mm)" in columns
    rows = {table.GetValue(n, 0).ToString(): n for n in range(table.GetNumberOfRows())}
    assert list(rows) == [f"C{n}" for n in range(1, 8)]
    assert 0 < table.GetValue(rows["C1"], 1).ToDouble() < 1
    assert np.isnan(table.GetValue(rows["C6"], 1).ToDouble())
    assert table.GetValue(rows["C6"], columns.index("Found")).ToString() == "only in the segmentation"


def test_all_lies_in_one_folder_beside_the_ct(headless, study):
    volume = populate_scene(headless.scene, study[0]).volume
    nodes = compared(headless.scene, study, volume)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(headless.scene)
    parent_of = lambda node: hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))  # noqa: E731
    folders = {parent_of(node) for node in (*nodes.surfaces.values(), nodes.disagreement, nodes.table)}
    assert len(folders) == 1 and hierarchy.GetItemName(*folders) == "NeckFrac comparison"
    assert hierarchy.GetItemParent(*folders) == parent_of(volume)


def test_a_second_comparison_takes_the_place_of_the_first(headless, study):
    volume = populate_scene(headless.scene, study[0]).volume
    compared(headless.scene, study, volume)
    before = counts(headless.scene)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(headless.scene)
    items = hierarchy.GetNumberOfItems()
    nodes = compared(headless.scene, study, volume)
    assert counts(headless.scene) == before and hierarchy.GetNumberOfItems() == items
    assert comparison_nodes(headless.scene, output.SURFACE) == list(nodes.surfaces.values())


@pytest.mark.parametrize("fails", ["_add_surface", "_add_legend", "_add_disagreement", "_add_table", "place"])
def test_what_fails_half_way_leaves_the_scene_with_the_earlier_comparison(headless, study, monkeypatch, fails):
    volume = populate_scene(headless.scene, study[0]).volume
    for _ in range(2):  # without and with an earlier one
        before, earlier = counts(headless.scene), comparison_nodes(headless.scene)
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(headless.scene)
        items = hierarchy.GetNumberOfItems()
        real, calls = getattr(output, fails), []

        def once(*arguments, real=real, calls=calls):
            calls.append(1)
            if len(calls) == (2 if fails in ("_add_surface", "place") else 1):
                raise MemoryError("no room")
            return real(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(output, fails, once)
            with pytest.raises(MemoryError):
                compared(headless.scene, study, volume)
        assert counts(headless.scene) == before and comparison_nodes(headless.scene) == earlier
        assert hierarchy.GetNumberOfItems() == items
        compared(headless.scene, study, volume)


def test_two_that_agree_have_no_disagreement_to_show(headless, study):
    analysis, _ = study
    nodes = compared(headless.scene, (analysis, analysis.labels))
    assert nodes.disagreement is None and list(nodes.surfaces) == [f"C{n}" for n in range(1, 7)]
    show_disagreement(headless.scene, True)


def test_surfaces_and_disagreement_can_be_hidden_and_segmentations_make_room_for_them(headless, study):
    segmentation = populate_scene(headless.scene, study[0]).segmentation
    nodes = compared(headless.scene, study)
    shown = segmentation.GetDisplayNode()
    show_surfaces(headless.scene, True)
    assert not shown.GetVisibility3D() and shown.GetVisibility()
    assert all(node.GetDisplayNode().GetVisibility() for node in nodes.surfaces.values())
    show_surfaces(headless.scene, False)
    assert shown.GetVisibility3D() and not any(n.GetDisplayNode().GetVisibility() for n in nodes.surfaces.values())
    shown.SetVisibility3D(False)
    show_surfaces(headless.scene, True)
    show_surfaces(headless.scene, False)
    assert not shown.GetVisibility3D(), "what the reader has hidden stays hidden"
    show_disagreement(headless.scene, False)
    assert not nodes.disagreement.GetDisplayNode().GetVisibility()
