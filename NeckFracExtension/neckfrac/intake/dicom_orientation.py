"""Whether axial images say the same of where the patient's front and left are as the position on the table does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..study_warning import StudyWarning
from .dicom_geometry import normal_of
from .dicom_headers import Frame

# Where the image's lower edge lies in the patient (LPS): the table's side (PS3.3 C.7.3.1.1.2).
TABLE_SIDE = {
    "S": ((0.0, 1.0, 0.0), "on the back"),
    "P": ((0.0, -1.0, 0.0), "face down"),
    "DR": ((-1.0, 0.0, 0.0), "on the right side"),
    "DL": ((1.0, 0.0, 0.0), "on the left side"),
}
AXIAL = np.cos(np.radians(45))
TURNED = np.cos(np.radians(60))  # beyond this the image is another way up, not a head that is turned
SIDES = (("right", "left"), ("front", "back"), ("feet", "head"))


def orientation_warnings(frames: Sequence[Frame]) -> list[StudyWarning]:
    """A sentence where axial images lie otherwise than the patient position says; [] where nothing contradicts.

    Scanners show the table below and, head first, the slices as seen from the feet. What is stored otherwise was
    turned on purpose, or its orientation is wrong; then sides and levels are too.
    """
    position = frames[0].file.patient_position
    side = TABLE_SIDE.get(position[2:])
    normal = normal_of(frames[0].orientation)
    if side is None or position[:2] not in ("HF", "FF") or abs(normal[2]) < AXIAL:
        return []
    (down, lies), column = side, np.array(frames[0].orientation[3:])
    if column @ np.array(down) < TURNED:
        axis = int(np.abs(column).argmax())
        text = (
            f"The orientation looks wrong: the patient lies {lies} (Patient Position {position}), but the images' "
            f"lower edge is the patient's {SIDES[axis][int(column[axis] > 0)]} (Image Orientation). "
            "It was read as the image orientation says; check left and right, front and back."
        )
        return [StudyWarning("patient-position-contradicted", text, {"patient_position": position})]
    if position[:2] == "HF" and normal[2] < 0:
        text = (
            f"The orientation looks wrong: with the head first (Patient Position {position}) slices are seen from the "
            "feet, but these are mirrored (Image Orientation). They were read as the image orientation says; "
            "check left and right."
        )
        return [StudyWarning("patient-position-contradicted", text, {"patient_position": position})]
    return []
