"""The overview as a Secondary Capture in the study of the series."""

import numpy as np
import pydicom
from intake.made_dicom import head, write_series
from neckfrac.findings import StudyIdentity
from neckfrac.output.dicom_capture import write_capture
from neckfrac.output.dicom_source import read_source
from neckfrac.output.images import write_png


def test_the_picture_is_an_image_of_the_same_study(tmp_path):
    files = write_series(tmp_path / "series", head(), FrameOfReferenceUID="1.2.3.9")
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    write_png(picture, tmp_path / "overview.png")
    source = read_source(files, StudyIdentity(series_uid="1.2.3.4.1"))
    write_capture(tmp_path / "overview.dcm", source, tmp_path / "overview.png")
    dataset = pydicom.dcmread(tmp_path / "overview.dcm")
    assert (dataset.Modality, dataset.StudyInstanceUID, dataset.PatientID) == ("OT", "1.2.3.4", "ID-4711-XYZ")
    assert dataset.SeriesInstanceUID != "1.2.3.4.1" and dataset.BurnedInAnnotation == "YES"
    assert (dataset.pixel_array == picture).all()
