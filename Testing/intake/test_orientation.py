"""What the position on the table contradicts is said: a scan that is stored upside down or mirrored."""

from __future__ import annotations

import pytest
from intake.made_dicom import head, write_series
from neckfrac.intake.study import read_study

HU = head()


def said(folder, orientation, position) -> list[str]:
    write_series(folder, HU, orientation=orientation, PatientPosition=position)
    return [warning for warning in map(str, read_study(folder).warnings) if "orientation looks wrong" in warning]


@pytest.mark.parametrize(
    ("position", "orientation"),
    [
        ("HFS", (1, 0, 0, 0, 1, 0)),
        ("HFP", (-1, 0, 0, 0, -1, 0)),
        ("FFS", (1, 0, 0, 0, 1, 0)),
        ("FFS", (-1, 0, 0, 0, 1, 0)),
        ("FFP", (-1, 0, 0, 0, -1, 0)),
        ("HFDR", (0, 1, 0, -1, 0, 0)),
        ("HFDL", (0, -1, 0, 1, 0, 0)),
        ("HFS", (0.92, 0.39, 0, -0.39, 0.92, 0)),  # the head is turned
        ("HFS", (1, 0, 0, 0, 0.94, -0.34)),  # the gantry is tilted
        ("HFS", (1, 0, 0, 0, 0, -1)),  # a coronal reformat
        ("", (-1, 0, 0, 0, -1, 0)),
        ("RUBBISH", (-1, 0, 0, 0, -1, 0)),
    ],
)
def test_images_as_scanners_store_them_are_not_doubted(tmp_path, position, orientation):
    assert said(tmp_path, orientation, position) == []


@pytest.mark.parametrize(
    ("position", "orientation", "words"),
    [
        ("HFS", (1, 0, 0, 0, -1, 0), "lower edge is the patient's front"),
        ("HFS", (-1, 0, 0, 0, -1, 0), "the patient's front"),
        ("FFP", (1, 0, 0, 0, 1, 0), "face down (Patient Position FFP)"),
        ("HFS", (0, 1, 0, -1, 0, 0), "the patient's right"),
        ("HFS", (-1, 0, 0, 0, 1, 0), "mirrored"),
        ("HFP", (1, 0, 0, 0, -1, 0), "mirrored"),
    ],
)  # fmt: skip
def test_images_that_lie_otherwise_than_the_patient_are_doubted(tmp_path, position, orientation, words):
    (warning,) = said(tmp_path, orientation, position)
    assert words in warning
