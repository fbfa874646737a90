"""A series that holds several stacks in one place gives one of them, and says which and why; parts stay together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intake.made_dicom import enhanced, head, save, write_series
from neckfrac.errors import InputError
from neckfrac.intake.dicom_stacks import _compete, _regular
from neckfrac.intake.study import read_study
from pydicom.dataset import Dataset

FIRST, SECOND = head(seed=1), head(seed=2)
STEP = 2.5
ORIGIN = np.array((-5.0, -7.0, 30.0))


def numbered_from(start: int):
    def change(dataset, number):
        dataset.InstanceNumber = start + number

    return change


def add(folder, name, hu, *, up=0.0, sideways=0.0, start=1, **elements):
    """A stack of the one series, `up` and `sideways` (mm) from the first."""
    origin = ORIGIN + (sideways, 0, up)
    return write_series(folder, hu, origin=origin, name=name, change=numbered_from(start), **elements)


def read_one(folder, expected, left_out: int, *words: str):
    study = read_study(folder)
    np.testing.assert_array_equal(study.volume.voxels, expected)
    (warning,) = [text for text in map(str, study.warnings) if "left out" in text]
    assert f"{left_out} image" in warning and all(word in warning for word in words), warning
    return study


PAIRS = {
    "acquisition": ({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}),
    "acquisition time": ({"AcquisitionTime": "120000"}, {"AcquisitionTime": "120500"}),
    "time point": ({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}),
    "trigger time": ({"TriggerTime": "300"}, {"TriggerTime": "700"}),
    "cardiac phase": ({"NominalPercentageOfCardiacPhase": 30}, {"NominalPercentageOfCardiacPhase": 70}),
    "tube voltage": ({"KVP": "120"}, {"KVP": "80"}),
    "echo": ({"EchoNumbers": 1}, {"EchoNumbers": 2}),
    "kernel": ({"ConvolutionKernel": "Br64f"}, {"ConvolutionKernel": "Br36f"}),
    "image type": ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}, {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}),
    "slice thickness": ({"SliceThickness": "2.5"}, {"SliceThickness": "5"}),
    "field of view": ({"ReconstructionDiameter": "150"}, {"ReconstructionDiameter": "250"}),
    "contrast agent": ({"AcquisitionNumber": 1}, {"ContrastBolusAgent": "Iodine"}),
    "filter": ({"FilterType": "HEAD"}, {"FilterType": "WEDGE"}),
    "irradiation event": ({"IrradiationEventUID": "1.2.3.8"}, {"IrradiationEventUID": "1.2.3.9"}),
    "frame of reference": ({"FrameOfReferenceUID": "1.2.3.8"}, {"FrameOfReferenceUID": "1.2.3.9"}),
    "series description": ({"SeriesDescription": "a"}, {"SeriesDescription": "b"}),
    "series number": ({"SeriesNumber": 1}, {"SeriesNumber": 2}),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("up", [0.0, 0.3, STEP / 2])
def test_two_stacks_that_a_header_tells_apart_are_not_mixed(tmp_path, name, up):
    first, second = PAIRS[name]
    add(tmp_path, "b", SECOND, up=up, sideways=4 if up else 0, **second)
    add(tmp_path, "a", FIRST, **first)
    read_one(tmp_path, FIRST, 26)


def test_the_warning_says_which_was_read_and_why(tmp_path):
    add(tmp_path, "b", SECOND, up=1, AcquisitionNumber=2, ConvolutionKernel="Br36f")
    add(tmp_path, "a", FIRST, AcquisitionNumber=1, ConvolutionKernel="Br64f")
    read_one(tmp_path, FIRST, 26, "acquisition (1 against 2)", "the one with the sharper kernel was read (26 slices)")


def test_the_thinner_reconstruction_is_read(tmp_path):
    thick = head((13, 16, 20), seed=3)
    write_series(tmp_path, thick, spacing=(5, 0.8, 0.6), name="thick", SliceThickness="5", origin=ORIGIN + (0, 0, 1))
    add(tmp_path, "thin", FIRST, SliceThickness="2.5")
    read_one(tmp_path, FIRST, 13, "slice thickness (2.5 against 5)", "the thinnest")


def test_the_longer_stack_is_read(tmp_path):
    add(tmp_path, "short", head((8, 16, 20), seed=3), up=11, AcquisitionNumber=1)
    add(tmp_path, "long", FIRST, AcquisitionNumber=2)
    read_one(tmp_path, FIRST, 8, "the longest")


@pytest.mark.parametrize("up", [0.3, STEP / 2])
@pytest.mark.parametrize("keyword", ["ContentTime", "AcquisitionTime", "InstanceNumber"])
def test_stacks_that_only_their_order_tells_apart_are_not_mixed(tmp_path, keyword, up):
    """Every image has another time or number; but they run through the patient twice."""

    def counted(start):
        def change(dataset, number):
            dataset.InstanceNumber = 1
            if keyword == "InstanceNumber":
                dataset.InstanceNumber = start + number
            else:
                setattr(dataset, keyword, f"12{start + number:04d}.5")

        return change

    write_series(tmp_path, SECOND, name="b", origin=ORIGIN + (0, 0, up), change=counted(100))
    write_series(tmp_path, FIRST, name="a", origin=ORIGIN, change=counted(0))
    read_one(tmp_path, FIRST, 26, "the order of their")


def test_a_table_that_shuttles_gives_its_first_way(tmp_path):
    """Up, then down with other places: the times only rise."""

    def timed(dataset, number, start=0, sign=1):
        dataset.InstanceNumber = 1
        dataset.AcquisitionTime = f"1200{start + sign * number:02d}"

    write_series(tmp_path, FIRST, name="up", change=timed)
    down = lambda dataset, number: timed(dataset, number, 55, -1)  # noqa: E731
    write_series(tmp_path, SECOND, name="down", origin=ORIGIN + (0, 0, 0.8), change=down)
    read_one(tmp_path, FIRST, 26, "acquisition times")


def test_stacks_that_nothing_but_their_places_tells_apart_are_not_mixed(tmp_path):
    add(tmp_path, "a", FIRST, InstanceNumber=1)
    add(tmp_path, "b", SECOND, up=0.75, InstanceNumber=1)
    for path in tmp_path.iterdir():
        _remove_number(path)
    read_one(tmp_path, FIRST, 26, "alternately 0.75 and 1.75 mm", "every second slice")


def _remove_number(path):
    import pydicom

    dataset = pydicom.dcmread(path)
    del dataset.InstanceNumber
    dataset.save_as(path)


@pytest.mark.parametrize("order", ["place by place", "time by time"])
def test_of_a_perfusion_whose_times_alone_differ_one_phase_is_read(tmp_path, order):
    phases = [head((10, 16, 20), seed=seed) for seed in range(4)]
    for phase, hu in enumerate(phases):

        def change(dataset, number, phase=phase):
            dataset.InstanceNumber = number * 4 + phase + 1 if order == "place by place" else phase * 10 + number + 1
            dataset.AcquisitionTime = dataset.ContentTime = f"1200{phase:02d}"

        write_series(tmp_path, hu, spacing=(7.0, 0.8, 0.6), name=f"p{phase}", change=change)
    read_one(tmp_path, phases[0], 30, "acquisition time")


def test_of_a_perfusion_whose_every_image_has_a_time_of_its_own_the_first_of_each_place_is_read(tmp_path):
    phases = [head((10, 16, 20), seed=seed) for seed in range(4)]
    for phase, hu in enumerate(phases):

        def change(dataset, number, phase=phase):
            dataset.InstanceNumber = 1
            dataset.AcquisitionTime = f"12{number:02d}{phase:02d}"

        write_series(tmp_path, hu, spacing=(7.0, 0.8, 0.6), name=f"p{phase}", change=change)
    read_one(tmp_path, phases[0], 30, "the first of each")


@pytest.mark.parametrize("elements", [{}, {"ContentTime": "130000"}])
def test_an_exact_copy_of_a_slice_under_a_new_identifier_is_dropped(tmp_path, elements):
    add(tmp_path, "a", FIRST)
    write_series(tmp_path, FIRST[12:13], name="copy", origin=ORIGIN + (0, 0, 12 * STEP), change=numbered_from(14),
                 **elements)  # fmt: skip
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, FIRST)
    assert any("1 image is an exact copy" in warning for warning in map(str, study.warnings))


def test_a_whole_series_sent_twice_under_new_identifiers_is_read_once(tmp_path):
    add(tmp_path, "a", FIRST), add(tmp_path, "b", FIRST)
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, FIRST)
    assert any("26 images are exact copies" in warning for warning in map(str, study.warnings))


def test_another_image_at_the_place_of_a_slice_is_no_copy(tmp_path):
    add(tmp_path, "a", FIRST)
    write_series(tmp_path, SECOND[12:13], name="other", origin=ORIGIN + (0, 0, 12 * STEP), change=numbered_from(13))
    with pytest.raises(InputError, match="Several slices lie at one place"):
        read_study(tmp_path)


WHOLE = head((40, 16, 20), seed=5)


@pytest.mark.parametrize("keyword", ["AcquisitionNumber", "TriggerTime", "SliceThickness", "ConvolutionKernel"])
@pytest.mark.parametrize("shared", [0, 1, 4])
def test_parts_that_follow_each_other_keep_all_their_places(tmp_path, keyword, shared):
    add(tmp_path, "low", WHOLE[: 20 + shared], **{keyword: "1"})
    add(tmp_path, "high", WHOLE[20:], up=20 * STEP, start=101, **{keyword: "2"})
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, WHOLE)
    said = [warning for warning in map(str, study.warnings) if "left out" in warning]
    assert len(said) == (1 if shared else 0)
    assert not shared or ("2 parts" in said[0] and f"{shared} image" in said[0])


def test_parts_that_only_their_numbers_tell_apart_keep_all_their_places(tmp_path):
    add(tmp_path, "low", WHOLE[:21]), add(tmp_path, "high", head((20, 16, 20), seed=9), up=20 * STEP, start=101)
    voxels = read_study(tmp_path).volume.voxels
    assert len(voxels) == 40
    np.testing.assert_array_equal(voxels[:20], WHOLE[:20])


def test_parts_that_overlap_off_each_other_s_places_are_not_mixed(tmp_path):
    """Half of a slice beside each other where they overlap: one part's slices there, then the other's."""
    ramp = np.repeat(np.arange(40, dtype=np.int16)[:, None, None] * 30 - 400, 16, axis=1).repeat(20, axis=2)
    add(tmp_path, "low", ramp[:24], AcquisitionNumber=1)
    add(tmp_path, "high", ramp[20:] + 15, up=20.5 * STEP, start=101, AcquisitionNumber=2)
    study = read_study(tmp_path)
    assert any("2 parts (acquisition) that overlap" in warning for warning in map(str, study.warnings))
    heights = study.volume.to_points(np.argwhere(study.volume.voxels > -1001))[:, 2]
    expected = (heights - ORIGIN[2]) / STEP * 30 - 400
    assert np.abs(study.volume.voxels.ravel() - expected).max() <= 2  # the ramp is linear wherever slices lie


def test_rotations_of_four_slices_that_share_their_last_are_one_scan(tmp_path):
    for rotation in range(12):
        start = rotation * 3
        add(tmp_path, f"r{rotation:02d}", WHOLE[start : start + 4], up=start * STEP, start=rotation * 4,
            AcquisitionNumber=rotation)  # fmt: skip
    np.testing.assert_array_equal(read_study(tmp_path).volume.voxels, WHOLE[:37])


def test_slices_that_each_have_their_own_acquisition_are_one_stack(tmp_path):
    change = lambda dataset, number: setattr(dataset, "AcquisitionNumber", number)  # noqa: E731
    distances = np.r_[np.arange(10) * 5.0, 45 + 2.5 * np.arange(1, 17)]
    write_series(tmp_path, FIRST, positions=ORIGIN + distances[:, None] * (0, 0, 1.0), change=change)
    assert not [warning for warning in map(str, read_study(tmp_path).warnings) if "left out" in warning]


def test_a_few_slices_of_another_acquisition_that_fill_a_gap_belong_to_the_stack(tmp_path):
    def change(dataset, number):
        dataset.AcquisitionNumber = 2 if number in (11, 12, 13, 20) else 1

    write_series(tmp_path, FIRST, change=change)
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, FIRST)
    assert study.warnings == ()


def test_monitoring_slices_of_another_acquisition_are_left_out(tmp_path):
    add(tmp_path, "a", FIRST, AcquisitionNumber=2)
    add(tmp_path, "m", SECOND[:2], up=6.1 * STEP, start=101, AcquisitionNumber=1)
    read_one(tmp_path, FIRST, 2, "acquisition")


def test_times_of_a_reconstruction_that_runs_ahead_here_and_there_split_nothing(tmp_path):
    def change(dataset, number):
        dataset.ContentTime = f"1200{number // 3 + (2 if number % 7 == 3 else 0):02d}"

    write_series(tmp_path, FIRST, change=change)
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, FIRST)
    assert study.warnings == ()


@settings(max_examples=25)
@given(st.permutations(range(26)), st.sampled_from(["InstanceNumber", "AcquisitionNumber", "ContentTime"]))
def test_a_series_whose_numbers_or_times_were_shuffled_is_read_whole(tmp_path_factory, shuffled, keyword):
    folder = tmp_path_factory.mktemp("shuffled")
    write_series(folder, FIRST, change=lambda d, n: setattr(d, keyword, f"{120000 + shuffled[n]}"))
    study = read_study(folder)
    np.testing.assert_array_equal(study.volume.voxels, FIRST)
    assert study.warnings == ()


@settings(max_examples=200)
@given(st.integers(8, 60), st.floats(0.3, 5.0), st.floats(0.05, 0.95), st.integers(-3, 3))
def test_a_stack_beside_another_competes_and_one_after_it_does_not(count, step, shift, later):
    first = np.arange(count) * step
    beside = first + (shift + min(max(later, -(count // 4)), count // 4)) * step
    assert _regular(first) and _compete(first, beside) and _compete(beside, first)
    assert not _compete(first, first + count * step)
    assert not _compete(first, first + (count - 1) * step)  # one place is shared


@pytest.mark.parametrize("kind", ["stack", "time", "kernel", "moment"])
def test_an_enhanced_ct_of_two_stacks_gives_one(tmp_path, kind):
    dataset = enhanced(FIRST, (STEP, 0.8, 0.6), (1, 2, 3))
    other = enhanced(SECOND, (STEP, 0.8, 0.6), (1, 2, 4))
    for number, source in enumerate((dataset, other)):
        for group in source.PerFrameFunctionalGroupsSequence:
            content, reconstruction = Dataset(), Dataset()
            if kind == "stack":
                content.StackID = str(number + 1)
            if kind == "time":
                content.TemporalPositionIndex = number + 1
            if kind == "moment":
                content.FrameAcquisitionDateTime = f"2024010212{number:02d}00"
            reconstruction.ConvolutionKernel = ["Br64f", "Br36f"][number] if kind == "kernel" else "Br64f"
            group.FrameContentSequence, group.CTReconstructionSequence = [content], [reconstruction]
    groups = list(dataset.PerFrameFunctionalGroupsSequence) + list(other.PerFrameFunctionalGroupsSequence)
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.NumberOfFrames = 52
    dataset.PixelData = dataset.PixelData + other.PixelData
    save(dataset, tmp_path / "enhanced.dcm")
    read_one(tmp_path, FIRST, 26)


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 0, -1), (0, 1, 0, 0, 0, -1)])
@pytest.mark.parametrize("count", [1, 8])
def test_a_reformat_or_scout_under_the_same_identifier_does_not_stop_the_axial_stack(tmp_path, orientation, count):
    write_series(tmp_path, head((count, 26, 20), seed=4), name="other", orientation=orientation, ImageType=None,
                 spacing=(3.0, 2.5, 0.6))  # fmt: skip
    add(tmp_path, "axial", FIRST)
    read_one(tmp_path, FIRST, count, "axial slices were read")


def test_axial_slices_go_before_more_reformats(tmp_path):
    write_series(tmp_path, head((50, 16, 20), seed=4), name="other", orientation=(1, 0, 0, 0, 0, -1))
    add(tmp_path, "axial", FIRST)
    read_one(tmp_path, FIRST, 50, "axial ones are what is analysed")


def test_a_series_of_reformats_alone_is_read(tmp_path):
    write_series(tmp_path, FIRST, orientation=(1, 0, 0, 0, 0, -1))
    np.testing.assert_array_equal(read_study(tmp_path).volume.voxels, FIRST)


def test_two_reconstructions_of_other_fields_of_view_in_one_place_give_one(tmp_path):
    add(tmp_path, "a", FIRST)
    write_series(tmp_path, head((20, 16, 20), seed=3), name="b", spacing=(2.5, 1.2, 1.2), origin=ORIGIN)
    read_one(tmp_path, FIRST, 20, "other sizes or pixel spacings")


def test_two_reconstructions_of_other_centres_in_one_place_give_one(tmp_path):
    add(tmp_path, "a", FIRST, InstanceNumber=1)
    add(tmp_path, "b", SECOND, sideways=30, start=1, InstanceNumber=1)
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.volume.voxels, FIRST)


def test_studies_of_several_patients_under_one_series_identifier_are_not_mixed(tmp_path):
    add(tmp_path, "a", FIRST)
    add(tmp_path, "b", SECOND, up=1, PatientID="another", StudyInstanceUID="1.2.9")
    with pytest.raises(InputError, match="several patients or studies"):
        read_study(tmp_path)


def test_a_study_identifier_of_its_own_for_every_image_is_an_anonymiser_s(tmp_path):
    write_series(tmp_path, FIRST, change=lambda d, n: setattr(d, "StudyInstanceUID", f"1.2.{n}"))
    np.testing.assert_array_equal(read_study(tmp_path).volume.voxels, FIRST)


def test_a_spacing_between_slices_that_their_places_contradict_is_said(tmp_path):
    write_series(tmp_path, FIRST, SpacingBetweenSlices="5")
    assert any("Spacing Between Slices" in warning for warning in map(str, read_study(tmp_path).warnings))
