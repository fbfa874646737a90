import sys

import numpy as np
import pydicom
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from intake.made_dicom import enhanced, head, save
from neckfrac.anatomy import LEVEL_BY_NAME
from neckfrac.errors import InputError
from neckfrac.findings import Naming
from neckfrac.intake.study import read_study
from neckfrac.output.dicom_seg import write_segmentation
from neckfrac.output.dicom_source import read_source, source_of
from neckfrac.volume import CTVolume, Reorientation
from output.made_series import (
    NAME,
    ORIGIN,
    SHAPE,
    SPACING,
    dciodvfy_errors,
    findings_of,
    labels_of,
    output_of,
    program,
    write_case,
)
from scipy.spatial.transform import Rotation

highdicom = pytest.importorskip("highdicom")
FINDINGS = findings_of()


def write(folder, files, labels, **options):
    path = folder / "segmentation.dcm"
    write_segmentation(path, files, labels, FINDINGS, **options)
    return pydicom.dcmread(path)


def points_of(dataset, name):
    """LPS mm of a segment's voxels, from the elements of the standard alone."""
    numbers = {item.SegmentLabel: item.SegmentNumber for item in dataset.SegmentSequence}
    shared = dataset.SharedFunctionalGroupsSequence[0]
    rows, columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    pixels = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    found = []
    for plane, group in zip(pixels, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber == numbers[name]:
            position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
            row, column = np.nonzero(plane)
            found.append(position + column[:, None] * columns * orientation[:3] + row[:, None] * rows * orientation[3:])
    return np.concatenate(found)


def assert_same_place(dataset, labels):
    for name in (item.SegmentLabel for item in dataset.SegmentSequence):
        expected = labels.to_points(np.argwhere(labels.voxels == LEVEL_BY_NAME[name].label))
        found = points_of(dataset, name)
        assert len(found) == len(expected)
        nearest = np.linalg.norm(found[:, None] - expected[None], axis=-1)
        assert nearest.min(axis=0).max() < 0.01 and nearest.min(axis=1).max() < 0.01


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """(files, labels on the grid on which the series is read)"""
    folder = tmp_path_factory.mktemp("series")
    files = write_case(folder)
    return files, labels_of(read_study(folder).volume.affine)


@settings(max_examples=5, derandomize=True, phases=[Phase.generate])
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    axes=st.permutations([0, 1, 2]),
    flips=st.sets(st.sampled_from([0, 1, 2])),
)
def test_every_voxel_keeps_its_place_in_the_patient_however_series_and_labels_lie(
    tmp_path_factory, angles, axes, flips
):
    folder = tmp_path_factory.mktemp("oblique")
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    files = write_case(folder, orientation=(*turn[:, 0], *turn[:, 1]))
    labels = labels_of(read_study(folder).volume.affine)
    shape = tuple(SHAPE[axis] for axis in axes)
    other = Reorientation(tuple(axes), tuple(sorted(flips)), shape)
    turned = CTVolume(other.apply(labels.voxels), other.apply_affine(labels.affine))
    dataset = write(folder, files[::2] + files[1::2], turned)
    assert_same_place(dataset, labels)
    # On the series' own slices: each frame refers to the image it lies on.
    positions = {str(p.SOPInstanceUID): p.ImagePositionPatient for p in map(pydicom.dcmread, files)}
    for group in dataset.PerFrameFunctionalGroupsSequence:
        image = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert positions[image] == group.PlanePositionSequence[0].ImagePositionPatient


def test_segments_say_what_they_are_and_empty_frames_are_left_out(tmp_path, case):
    files, labels = case
    dataset = write(tmp_path, files, labels)
    assert dataset.Modality == "SEG" and dataset.SegmentationType == "BINARY"
    assert [item.SegmentNumber for item in dataset.SegmentSequence] == [1, 2, 3]
    for item, name in zip(dataset.SegmentSequence, ("C3", "C4", "C5"), strict=True):
        kind, category = item.SegmentedPropertyTypeCodeSequence[0], item.SegmentedPropertyCategoryCodeSequence[0]
        assert (item.SegmentLabel, kind.CodeValue, kind.CodingSchemeDesignator) == (
            name, LEVEL_BY_NAME[name].snomed, "SCT")  # fmt: skip
        assert (category.CodeValue, item.SegmentAlgorithmType) == ("91723000", "AUTOMATIC")
        algorithm = item.SegmentationAlgorithmIdentificationSequence[0]
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("NeckFrac", "0.1.0")
    assert dataset.NumberOfFrames == 3 * 3 < 3 * SHAPE[0] and dataset.pixel_array.any(axis=(1, 2)).all()
    assert float(dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices) == 2.5
    assert len(dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == SHAPE[0]
    assert "simulated" not in dataset.ContentDescription and "research use only" in dataset.ContentDescription


def test_patient_and_study_are_the_series_own_whatever_its_character_set(tmp_path, case):
    files, labels = case
    dataset, first = write(tmp_path, files, labels), pydicom.dcmread(files[0])
    for keyword in ("PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID", "StudyDate",
                    "FrameOfReferenceUID"):  # fmt: skip
        assert dataset[keyword].value == first[keyword].value, keyword
    assert dataset.PatientName == NAME and dataset.SpecificCharacterSet == "ISO_IR 192"
    assert dataset.SeriesInstanceUID != first.SeriesInstanceUID


def test_headers_as_careless_anonymisers_leave_them_are_mended_and_others_kept(tmp_path):
    files = write_case(
        tmp_path / "series", PatientBirthDate="1950", StudyDate="2024.01.02", StudyTime="12:00:01", PatientSex="X",
        SliceThickness=None, StudyID=None, SpecificCharacterSet=["", "ISO 2022 IR 87"],
        PatientName="Yamada^Tarou=山田^太郎",
    )  # fmt: skip
    dataset = write(tmp_path, files, labels_of(read_study(tmp_path / "series").volume.affine))
    keywords = ("PatientBirthDate", "StudyDate", "StudyTime", "PatientSex")
    found = [str(dataset[keyword].value or "") for keyword in keywords]
    assert found == ["", "20240102", "120001", ""] and dataset.StudyID in ("", None)
    assert dataset.PatientName == "Yamada^Tarou=山田^太郎"
    assert float(dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness) == 2.5


def test_an_edited_segmentation_is_semi_automatic_and_uncertain_names_are_told(tmp_path, case):
    from dataclasses import replace

    files, labels = case
    naming = Naming(False, "C3–C5", ("C4–C6",), 0.7, "No end is in view.")
    path = tmp_path / "segmentation.dcm"
    write_segmentation(path, files, labels, replace(FINDINGS, naming=naming), edited=True)
    first = pydicom.dcmread(path).SegmentSequence[0]
    assert (first.SegmentLabel, first.SegmentAlgorithmType) == ("C3 or C4", "SEMIAUTOMATIC")
    assert "C3–C5 or C4–C6" in first.SegmentDescription


def test_slices_that_were_resampled_get_a_grid_of_their_own_at_the_same_place(tmp_path):
    steps = np.array([0, *np.cumsum([2.5] * 8 + [3.5] + [2.5] * 8)])
    tilted = np.arange(SHAPE[0])[:, None] * np.array([0.0, 0.9, 2.4])
    for name, positions in (("uneven", ORIGIN + steps[:, None] * [0, 0, 1]), ("tilted", ORIGIN + tilted)):
        (tmp_path / name).mkdir()
        files = write_case(tmp_path / name, positions=positions)
        volume = read_study(tmp_path / name).volume
        labels = labels_of(volume.affine, shape=volume.shape)
        assert read_source(files, FINDINGS.study).on_slices(labels) is None
        assert_same_place(write(tmp_path, files, labels), labels)


def test_labels_of_a_part_of_the_series_lie_where_they_were(tmp_path, case):
    files, labels = case
    part = labels.crop([2, 1, 3], [13, 12, 20])
    dataset = write(tmp_path, files, part)
    assert_same_place(dataset, part)
    assert (dataset.Rows, dataset.Columns) == SHAPE[1:]


def test_a_grid_of_its_own_may_run_against_the_normal_of_its_slices(tmp_path, case):
    files, labels = case
    affine = labels.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [0.5, 0.5, 20.5]
    affine[:3, 2] *= -1
    mirrored = CTVolume(labels.voxels, affine)
    assert read_source(files, FINDINGS.study).on_slices(mirrored) is None
    assert_same_place(write(tmp_path, files, mirrored), mirrored)


def test_an_enhanced_ct_in_one_file_is_referred_to_frame_by_frame(tmp_path):
    dataset = enhanced(head(SHAPE), SPACING, ORIGIN)
    dataset.FrameOfReferenceUID = "1.2.3.4.9"
    files = [save(dataset, tmp_path / "series" / "enhanced.dcm")]
    labels = labels_of(read_study(tmp_path / "series").volume.affine)
    written = write(tmp_path, files, labels)
    assert_same_place(written, labels)
    for group in written.PerFrameFunctionalGroupsSequence:
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        source = dataset.PerFrameFunctionalGroupsSequence[int(image.ReferencedFrameNumber) - 1]
        position = source.PlanePositionSequence[0].ImagePositionPatient
        assert group.PlanePositionSequence[0].ImagePositionPatient == position


def test_what_can_not_be_written_is_refused_with_advice_and_leaves_nothing(tmp_path, case):
    files, labels = case
    path = tmp_path / "out" / "segmentation.dcm"
    path.parent.mkdir()
    with pytest.raises(InputError, match="No level is segmented"):
        write_segmentation(path, files, labels_of(labels.affine, levels=()), FINDINGS)
    (tmp_path / "ct.nrrd").write_bytes(b"NRRD0004\n")
    with pytest.raises(InputError, match="need a DICOM study.*Analyse the DICOM series"):
        write_segmentation(path, [tmp_path / "ct.nrrd"], labels, FINDINGS)
    other = write_case(tmp_path / "other", SeriesInstanceUID="1.2.3.4.2")
    with pytest.raises(InputError, match="not among the files"):
        write_segmentation(path, other, labels, FINDINGS)
    homeless = write_case(tmp_path / "homeless", FrameOfReferenceUID=None)
    with pytest.raises(InputError, match="FrameOfReferenceUID") as error:
        write_segmentation(path, homeless, labels, FINDINGS)
    assert "Müller" not in str(error.value)
    with pytest.raises(InputError, match="can't be written"):
        write_segmentation(tmp_path / "nowhere" / "segmentation.dcm", files, labels, FINDINGS)
    assert list(path.parent.iterdir()) == []


def test_without_highdicom_it_is_told_how_to_get_it_before_any_work(tmp_path, case, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(InputError, match=r"pip install 'neckfrac\[dicom\]'"):
        source_of(str(case[0][0].parent), FINDINGS.study)
    with pytest.raises(InputError, match="highdicom"):
        write_segmentation(tmp_path / "segmentation.dcm", *case, FINDINGS)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_on_the_way_leaves_the_old_file_as_it_was(tmp_path, case, monkeypatch):
    path = tmp_path / "segmentation.dcm"
    path.write_text("old")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pydicom.Dataset, "save_as", fail)
    with pytest.raises(InputError, match="No space left"):
        write_segmentation(path, *case, FINDINGS)
    assert path.read_text() == "old" and [entry.name for entry in tmp_path.iterdir()] == ["segmentation.dcm"]


def test_highdicom_reads_the_labels_back_slice_by_slice(tmp_path, case):
    files, labels = case
    write(tmp_path, files, labels)
    segmentation = highdicom.seg.segread(tmp_path / "segmentation.dcm")
    by_position = sorted(map(pydicom.dcmread, files), key=lambda file: float(file.ImagePositionPatient[2]))
    found = segmentation.get_pixels_by_source_instance(
        [file.SOPInstanceUID for file in by_position], combine_segments=True, ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )  # fmt: skip
    assert np.array_equal(found, np.where(labels.voxels > 0, labels.voxels - 2, 0))


def test_dcmqi_which_slicer_imports_with_reads_the_same_voxels(tmp_path, case):
    import SimpleITK as sitk

    reader = program("segimage2itkimage", "pip install dcmqi")
    files, labels = case
    write(tmp_path, files, labels)
    output_of(reader, "--inputDICOM", tmp_path / "segmentation.dcm", "--outputDirectory", tmp_path,
              "--outputType", "nrrd", "--mergeSegments")  # fmt: skip
    image = sitk.ReadImage(str(tmp_path / "1.nrrd"))
    found, origin = sitk.GetArrayFromImage(image), image.GetOrigin()
    for number, label in enumerate((3, 4, 5), start=1):
        voxels = np.argwhere(found == number)[:, ::-1]
        points = np.array([image.TransformIndexToPhysicalPoint(voxel.tolist()) for voxel in voxels])
        expected = labels.to_points(np.argwhere(labels.voxels == label))
        assert np.allclose(points, expected, atol=1e-3), origin


def test_dicom3tools_finds_no_error_in_it_on_slices_or_on_a_grid_of_its_own(tmp_path, case):
    files, labels = case
    affine = labels.affine.copy()
    affine[:3, 3] += 0.2
    for lying in (labels, CTVolume(labels.voxels, affine)):
        assert_same_place(write(tmp_path, files, lying), lying)
        assert dciodvfy_errors(tmp_path / "segmentation.dcm") == []
