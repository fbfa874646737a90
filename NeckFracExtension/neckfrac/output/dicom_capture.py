"""The overview as a DICOM Secondary Capture (PS3.3 A.8.1), for viewers that show neither SEG nor SR."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .dicom_source import SourceSeries, need_highdicom
from .dicom_writing import new_object, write_whole

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SERIES_NUMBER = 7003


def write_capture(path: Path, source: SourceSeries, picture: Path) -> None:
    """Write the PNG `picture` as one RGB image in the series' study; whole or not at all.

    It is marked as derived and with burned-in annotation (the drawn levels and figures; no patient's name is drawn).
    Raises InputError without highdicom, and when the headers do not allow it or it can't be written.
    """
    need_highdicom()
    write_whole(path, source, lambda: capture(source, picture))


def capture(source: SourceSeries, picture: Path) -> Dataset:
    """The Secondary Capture as a dataset; see `write_capture`."""
    import SimpleITK as sitk

    pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(picture)))[..., :3]
    about = new_object("NeckFrac: overview", SERIES_NUMBER)
    about.pop("specific_character_set")  # highdicom writes this object in UTF-8 in any case
    about.pop("software_versions"), about.pop("device_serial_number"), about.pop("manufacturer_model_name")
    description = about.pop("series_description")
    dataset = need_highdicom().sc.SCImage.from_ref_dataset(
        source.headers[0],
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),  # highdicom asks for one; the picture has several
        **about,
    )
    dataset.PatientOrientation = None
    dataset.SeriesDescription = description
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.BurnedInAnnotation = "YES"
    return dataset
