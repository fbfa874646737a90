"""What goes to the worker and what may come back, on real MRML nodes."""

import importlib

import numpy as np
import pytest

slicer = pytest.importorskip("slicer")

from neckfrac.findings import StudyIdentity  # noqa: E402
from slicer_double.stand_ins import install  # noqa: E402


@pytest.fixture
def hand_over(tmp_path):
    scene = slicer.vtkMRMLScene()
    install(scene, tmp_path)
    module = importlib.import_module("NeckFracLib.hand_over")
    module.scene = scene
    yield module
    del module.scene


def node_of(scene, voxels):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "ct")
    slicer.util.updateVolumeFromArray(node, voxels)
    return node


def test_a_tilted_volume_is_handed_over_in_patient_coordinates(hand_over):
    import vtk

    node = node_of(hand_over.scene, np.zeros((4, 5, 6), np.int16))
    matrix = vtk.vtkMatrix4x4()
    for row, values in enumerate([(0.5, 0, 0, 7), (0, 0.5, 0.3, -8), (0, 0, 2, 9)]):
        for column, value in enumerate(values):
            matrix.SetElement(row, column, value)
    node.SetIJKToRASMatrix(matrix)
    # Left is +x in LPS and -x in RAS, posterior +y and -y; up stays.
    expected = [[-0.5, 0, 0, -7], [0, -0.5, -0.3, 8], [0, 0, 2, 9], [0, 0, 0, 1]]
    assert np.allclose(hand_over.affineOf(node), expected)
    assert hand_over.rasPoint((1, 2, 3)) == [-1, -2, 3]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (np.int16, -1024, np.int16),
        (np.uint8, 255, np.int16),
        (np.uint16, 40000, np.float32),
        (np.int32, 3071, np.int16),
        (np.float64, 12.5, np.float32),
    ],
)
def test_voxels_of_any_type_arrive_with_their_values(hand_over, tmp_path, kind, value, expected):
    voxels = np.zeros((3, 4, 5), kind)
    voxels[1, 2, 3] = value
    written = np.load(hand_over.writeVolume(node_of(hand_over.scene, voxels), tmp_path), allow_pickle=False)
    assert written.dtype == expected and written[1, 2, 3] == value and written.shape == (3, 4, 5)


def test_the_identity_is_that_of_the_subject_hierarchy(hand_over):
    names = slicer.vtkMRMLSubjectHierarchyConstants
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(hand_over.scene)
    node = node_of(hand_over.scene, np.zeros((3, 4, 5), np.int16))
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "patient")
    study = hierarchy.CreateStudyItem(patient, "study")
    item = hierarchy.CreateItem(study, node)
    hierarchy.SetItemUID(item, "DICOM", "1.2.3")
    hierarchy.SetItemUID(study, "DICOM", "1.2")
    hierarchy.SetItemAttribute(patient, names.GetDICOMPatientNameAttributeName(), "Doe^Jane")
    hierarchy.SetItemAttribute(patient, names.GetDICOMPatientIDAttributeName(), "77")
    hierarchy.SetItemAttribute(study, names.GetDICOMStudyDateAttributeName(), "20260102")
    hierarchy.SetItemAttribute(study, names.GetDICOMStudyDescriptionAttributeName(), "CT neck")
    identity = StudyIdentity(**hand_over.identityOf(node))
    assert (identity.patient_name, identity.patient_id) == ("Doe^Jane", "77")
    assert (identity.study_uid, identity.series_uid, identity.study_date) == ("1.2", "1.2.3", "20260102")
    assert identity.study_description == "CT neck" and identity.source == "ct"


def test_a_volume_without_a_study_still_has_a_source(hand_over):
    identity = StudyIdentity(**hand_over.identityOf(node_of(hand_over.scene, np.zeros((3, 4, 5), np.int16))))
    assert identity.source == "ct" and identity.patient_id == ""


def test_results_on_another_grid_are_refused(hand_over, tmp_path):
    hand_over.writeVolume(node_of(hand_over.scene, np.zeros((3, 4, 5), np.int16)), tmp_path)
    (tmp_path / "result").mkdir()
    for wrong in ("labels.npy", "heat.npy", "anchors.npy"):
        for name in ("labels.npy", "heat.npy", "anchors.npy"):
            np.save(tmp_path / "result" / name, np.zeros((3, 4, 6 if name == wrong else 5), np.uint8))
        with pytest.raises(ValueError, match="grid"):
            hand_over.readAnalysis(tmp_path, np.eye(4))


def test_only_an_explanation_that_is_asked_for_is_passed_on(hand_over, tmp_path):
    volume = node_of(hand_over.scene, np.zeros((4, 5, 6), np.int16))
    for asked, passed in ((None, None), ("heat", None), ("grad-cam", "grad-cam")):
        options = hand_over.analyzeArguments(volume, tmp_path, "balanced", "cpu", explanation=asked)["options"]
        assert options.get("explain") == passed
