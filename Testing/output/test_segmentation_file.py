"""The segmentation file alone, as programs other than Slicer read it."""

import re

import numpy as np
import pytest
from neckfrac.anatomy import ANCHORS, LEVEL_BY_NAME
from neckfrac.output.scene_file import read_scene, write_scene
from neckfrac.volume import from_image
from output_case import make_analysis, with_anchors

pytest.importorskip("slicer")
sitk = pytest.importorskip("SimpleITK")


def read_segments(path):
    """Each segment's name and the LPS mm of its voxels, sorted; the file's metadata."""
    image = sitk.ReadImage(str(path))
    keys = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    volume = from_image(image)
    points = {}
    for key, name in keys.items():
        if re.fullmatch(r"Segment\d+_Name", key):
            value = int(keys[key.replace("_Name", "_LabelValue")])
            found = volume.to_points(np.argwhere(volume.voxels == value))
            points[name] = found[np.lexsort(np.rint(found * 10).T)]
    return points, keys


@pytest.mark.parametrize(
    ("axes", "flips", "turn"), [((0, 1, 2), (), 0), ((0, 1, 2), (2,), 20), ((2, 0, 1), (0, 1), 20), ((1, 0, 2), (), 5)]
)
def test_segments_lie_on_the_voxels_of_the_ct_that_were_labelled(tmp_path, axes, flips, turn):
    analysis = make_analysis(axes, flips, turn=turn)
    write_scene(analysis, tmp_path / "scene.mrb")
    segments, _ = read_segments(tmp_path / "vertebrae.seg.nrrd")
    assert set(segments) == {"C1", "C2", "C3", "C4", "C5", "C6"}
    for name, points in segments.items():
        expected = analysis.volume.to_points(np.argwhere(analysis.labels == LEVEL_BY_NAME[name].label))
        np.testing.assert_allclose(points, expected[np.lexsort(np.rint(expected * 10).T)], atol=1e-3)


def test_anchors_lie_in_their_own_file_on_the_voxels_of_the_ct(tmp_path):
    analysis = with_anchors(make_analysis((2, 0, 1), (0, 1), turn=20))
    write_scene(analysis, tmp_path / "scene.mrb")
    segments, keys = read_segments(tmp_path / "anchors.seg.nrrd")
    assert set(segments) == {"T1", "Skull base"}
    for anchor in ANCHORS:
        expected = analysis.volume.to_points(np.argwhere(analysis.anchors == anchor.label))
        sorted_points = expected[np.lexsort(np.rint(expected * 10).T)]
        np.testing.assert_allclose(segments[anchor.name], sorted_points, atol=1e-3)
    assert {keys[key] for key in keys if re.fullmatch(r"Segment\d+_LabelValue", key)} == {"8", "10"}
    vertebrae, _ = read_segments(tmp_path / "vertebrae.seg.nrrd")
    assert set(vertebrae) == {"C1", "C2", "C3", "C4", "C5", "C6"}


def test_a_level_keeps_its_label_value_when_others_are_not_in_view(tmp_path, analysis):
    analysis.labels[analysis.labels < 3] = 0
    write_scene(analysis, tmp_path / "scene.mrb")
    _, keys = read_segments(tmp_path / "vertebrae.seg.nrrd")
    names = {keys[key]: key.split("_")[0] for key in keys if re.fullmatch(r"Segment\d+_Name", key)}
    assert {name: int(keys[f"{segment}_LabelValue"]) for name, segment in names.items()} == {
        "C3": 3, "C4": 4, "C5": 5, "C6": 6
    }  # fmt: skip


def test_surfaces_and_the_ct_s_extent_come_back_with_the_scene(tmp_path, analysis):
    write_scene(analysis, tmp_path / "scene.mrb")
    read = read_scene(tmp_path / "scene.mrb", tmp_path / "unpacked")
    node = read.scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    segmentation = node.GetSegmentation()
    assert segmentation.ContainsRepresentation("Closed surface")
    assert segmentation.GetNthSegment(0).GetRepresentation("Closed surface").GetNumberOfPoints() > 100
    reference = segmentation.GetConversionParameter("Reference image geometry")
    assert reference.split(";")[-7:] == ["0", "43", "0", "71", "0", "69", ""]
    read.close()


def test_the_patient_s_ct_is_unpacked_nowhere_but_beside_the_result(tmp_path, analysis, monkeypatch):
    from neckfrac.output import scene_file

    common, beside = tmp_path / "common", tmp_path / "beside"
    common.mkdir()
    beside.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(common))
    seen = {}
    write_nodes = scene_file.write_nodes

    def look(scene, nodes, path):
        write_nodes(scene, nodes, path)
        seen["common"] = list(common.iterdir())
        seen["beside"] = {entry.name for entry in beside.iterdir() if entry.is_file()}

    monkeypatch.setattr(scene_file, "write_nodes", look)
    write_scene(analysis, beside / "scene.mrb")
    assert seen == {"common": [], "beside": {"scene.mrb", "vertebrae.seg.nrrd"}}
    assert {entry.name for entry in beside.iterdir()} == {"scene.mrb", "vertebrae.seg.nrrd"}
