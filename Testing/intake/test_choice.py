"""Of several series the one asked for is read, or the clear one; else the list is shown."""

from __future__ import annotations

import pytest
from intake.made_dicom import head, write_series
from neckfrac.errors import InputError
from neckfrac.intake.dicom_choice import kernel_kind
from neckfrac.intake.study import list_series, read_study


def add(folder, number, description, *, step=2.5, slices=26, kernel="Br40f", **elements):
    hu = head((slices, 16, 20), seed=number)
    write_series(
        folder / str(number),
        hu,
        spacing=(step, 0.8, 0.6),
        SeriesNumber=number,
        SeriesInstanceUID=f"1.2.3.4.{number}",
        SeriesDescription=description,
        ConvolutionKernel=kernel,
        **elements,
    )
    return hu


def chosen_number(folder) -> str:
    return read_study(folder).identity.series_uid.rsplit(".", 1)[1]


def test_a_series_is_chosen_by_number_or_uid(tmp_path):
    first, second = add(tmp_path, 2, "Soft"), add(tmp_path, 3, "Soft again")
    assert (read_study(tmp_path, series="2").volume.voxels == first).all()
    assert (read_study(tmp_path, series="1.2.3.4.3").volume.voxels == second).all()


def test_an_unknown_choice_lists_what_is_there(tmp_path):
    add(tmp_path, 2, "Soft"), add(tmp_path, 3, "Sharp", step=3.0)
    with pytest.raises(InputError, match="There is no series 9") as caught:
        read_study(tmp_path, series="9")
    assert "2: Soft, CT, 26 slices of 2.50 x 0.80 x 0.60 mm, kernel Br40f" in caught.value.advice
    assert "3: Sharp, CT, 26 slices of 3.00 x 0.80 x 0.60 mm" in caught.value.advice


def test_a_chosen_series_that_can_not_be_read_says_why(tmp_path):
    add(tmp_path, 2, "Soft"), add(tmp_path, 3, "Dose report", Modality="SR")
    with pytest.raises(InputError, match="modality SR"):
        read_study(tmp_path, series="3")


def test_equal_series_are_listed_and_refused(tmp_path):
    add(tmp_path, 2, "Neck one"), add(tmp_path, 3, "Neck two")
    with pytest.raises(InputError, match="several CT series") as caught:
        read_study(tmp_path)
    assert "--series" in caught.value.advice and "Neck one" in caught.value.advice and "Neck two" in caught.value.advice


def test_the_first_line_of_the_advice_says_the_numbers(tmp_path):
    """A worklist's row has no room for more."""
    add(tmp_path, 2, "Neck one"), add(tmp_path, 14, "Neck two")
    with pytest.raises(InputError) as caught:
        read_study(tmp_path)
    assert "number (2, 14)" in caught.value.advice.splitlines()[0]


def test_none_that_can_be_read_says_the_numbers(tmp_path):
    add(tmp_path, 2, "a", PixelSpacing=None), add(tmp_path, 14, "b", PixelSpacing=None)
    with pytest.raises(InputError, match=r"None of the 2 series \(numbers 2, 14\)"):
        read_study(tmp_path)


def test_a_localizer_and_a_report_beside_the_only_ct_need_no_choice_and_no_warning(tmp_path):
    add(tmp_path, 5, "Neck")
    add(tmp_path, 6, "Dose", Modality="SR")
    add(tmp_path, 7, "Capture", SOPClassUID="1.2.840.10008.5.1.4.1.1.7", Modality="OT")
    study = read_study(tmp_path)
    assert study.identity.series_description == "Neck" and study.warnings == ()


def test_the_thinnest_is_taken_and_said(tmp_path):
    add(tmp_path, 2, "Thick", step=5.0, slices=13), add(tmp_path, 3, "Thin", slices=26)
    study = read_study(tmp_path)
    assert study.identity.series_description == "Thin"
    assert any("this one was read: 3: Thin" in warning for warning in map(str, study.warnings))


def test_of_equally_thin_ones_bone_is_taken(tmp_path):
    add(tmp_path, 2, "Neck", kernel="Br36f"), add(tmp_path, 3, "Neck", kernel="Br64f")
    assert chosen_number(tmp_path) == "3"


def test_of_two_bone_series_none_is_taken(tmp_path):
    add(tmp_path, 2, "Neck", kernel="B70s"), add(tmp_path, 3, "Neck", kernel="Br64f")
    with pytest.raises(InputError, match="several CT series"):
        read_study(tmp_path)


def test_a_series_of_the_neck_goes_before_a_longer_one_of_the_chest(tmp_path):
    add(tmp_path, 2, "Chest", slices=60, kernel="Br64f", step=2.0), add(tmp_path, 3, "C-Spine")
    assert chosen_number(tmp_path) == "3"


def test_sagittal_reformats_do_not_compete(tmp_path):
    add(tmp_path, 2, "Neck axial"), add(tmp_path, 3, "Neck sagittal", step=2.0, orientation=(0, 1, 0, 0, 0, -1))
    assert chosen_number(tmp_path) == "2"


def test_a_thin_detail_scan_beside_a_long_one_is_not_clear(tmp_path):
    add(tmp_path, 2, "Long", slices=80), add(tmp_path, 3, "Detail", slices=61, step=1.0)
    with pytest.raises(InputError, match="several CT series"):
        read_study(tmp_path)


def test_two_patients_in_one_folder_are_never_chosen_between(tmp_path):
    add(tmp_path, 2, "Thin"), add(tmp_path, 3, "Thick", step=5.0, PatientID="another", StudyInstanceUID="1.2.9")
    with pytest.raises(InputError, match="several patients or studies"):
        read_study(tmp_path)


def test_the_list_of_series_is_in_the_order_of_their_numbers(tmp_path):
    add(tmp_path, 12, "Later"), add(tmp_path, 3, "Earlier", kernel="BONE")
    first, second = list_series(tmp_path)
    assert (first.number, second.number) == (3, 12)
    assert (first.uid, first.slices, first.kernel, first.usable) == ("1.2.3.4.3", 26, "BONE", True)
    assert first.spacing == pytest.approx((2.5, 0.8, 0.6))


@pytest.mark.parametrize(
    ("kernel", "description", "kind"),
    [
        ("B30s", "", "soft"), ("B70f", "", "bone"), ("Br64f", "", "bone"), ("Hr40", "", "soft"),
        ("BONEPLUS", "", "bone"),
        ("STANDARD", "", "soft"), ("FC30", "", "bone"), ("FC08", "", "soft"), ("YD", "", "bone"), ("B", "", "soft"),
        ("LUNG", "", ""), ("", "C-Spine Bone 0.6", "bone"), ("", "Neck soft tissue", "soft"), ("", "Neck", ""),
    ],
)  # fmt: skip
def test_kernels_of_the_makers_are_told_apart(kernel, description, kind):
    assert kernel_kind(kernel, description) == kind
