"""What the headers of DICOM files say of each image, read once and without pixels."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from ..progress import Progress

# Only these elements are parsed; the rest of a header (often private, often large) is skipped.
KEYWORDS = (
    "SpecificCharacterSet",
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyDate",
    "Modality",
    "StudyDescription",
    "SeriesDescription",
    "PatientName",
    "PatientID",
    "KVP",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "AcquisitionNumber",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "FrameOfReferenceUID",
    "TemporalPositionIdentifier",
    "EchoNumbers",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "BitsAllocated",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "ModalityLUTSequence",
    "LossyImageCompression",
    "BodyPartExamined",
    "ProtocolName",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
CT_CLASSES = frozenset(
    ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
)  # CT, enhanced CT and legacy converted enhanced CT image storage
# JPEG baseline to progressive and JPEG-LS near-lossless; JPEG 2000 says it by LossyImageCompression.
LOSSY_SYNTAXES = frozenset("1.2.840.10008.1.2.4." + end for end in ("50", "51", "53", "55", "81"))
# The first elements of a data set without a preamble: group length, character set, image type.
BARE_STARTS = (b"\x08\x00\x00\x00", b"\x08\x00\x05\x00", b"\x08\x00\x08\x00")
DICOM_EXTENSIONS = frozenset((".dcm", ".dicom", ".ima"))


@dataclass(frozen=True)
class FileHeader:
    """What all frames of one file share. `patient_name` and `patient_id` never leave for a message."""

    path: Path
    modality: str = ""
    sop_class: str = ""
    sop_uid: str = ""
    transfer_syntax: str = ""
    series_uid: str = ""
    series_number: int | None = None
    description: str = ""
    kernel: str = ""
    body_part: str = ""
    image_type: tuple[str, ...] = ()
    rows: int = 0
    columns: int = 0
    samples: int = 1
    photometric: str = ""
    padding: tuple[float, float] | None = None
    modality_lut: bool = False
    lossy: bool = False
    frame_of_reference: str = ""
    study_uid: str = ""
    study_date: str = field(default="", repr=False)
    study_description: str = ""
    patient_id: str = field(default="", repr=False)
    patient_name: str = field(default="", repr=False)


@dataclass(frozen=True)
class Frame:
    """One slice: a file's only image, or frame `index` (from 0) of a multi-frame file.

    position: LPS mm of the centre of the first pixel. orientation: direction cosines of a row, then of
    a column (PS3.3 C.7.6.2.1.1). spacing: mm between rows, between columns. None where it is not said.
    """

    file: FileHeader
    index: int | None = None
    position: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    spacing: tuple[float, ...] | None = None
    slope: float | None = None
    intercept: float | None = None
    rescale_type: str = ""
    frame_type: tuple[str, ...] = ()
    instance: int | None = None
    acquisition: str = ""
    temporal: str = ""
    echo: str = ""
    voltage: str = ""

    @property
    def where(self) -> str:
        """The file's name, and the frame's number in a multi-frame file."""
        return self.file.path.name + ("" if self.index is None else f", frame {self.index + 1}")


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """No warnings or log lines of pydicom: they quote header values, a patient's name among them."""
    import pydicom.config

    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(), pydicom.config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def looks_like_dicom(path: Path) -> bool:
    """Whether the file opens with DICOM's preamble, or with a data set of before there was one."""
    if path.name.upper() == "DICOMDIR" or path.name.startswith("."):
        return False
    try:
        with path.open("rb") as stream:
            start = stream.read(132)
    except OSError:
        return path.suffix.lower() in DICOM_EXTENSIONS
    if start[128:132] == b"DICM":
        return True
    return path.suffix.lower() in DICOM_EXTENSIONS or start[:4] in BARE_STARTS


def read_frames(paths: Sequence[Path], progress: Progress, share: float = 1.0) -> list[Frame]:
    """All frames of the DICOM files among `paths`; other files and DICOMDIR are passed over.

    Steps `progress` up to `share`. Raises InputError for a DICOM file whose header can't be read.
    """
    frames: list[Frame] = []
    with quiet_pydicom():
        for number, path in enumerate(paths):
            if number % 10 == 0:
                progress.step(share * number / len(paths))
            if looks_like_dicom(path):
                frames += _frames_of_file(path)
    return frames


def _frames_of_file(path: Path) -> list[Frame]:
    import pydicom

    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(KEYWORDS), force=True)
        syntax = str(getattr(dataset.file_meta, "TransferSyntaxUID", "") or "")
        media_class = str(getattr(dataset.file_meta, "MediaStorageSOPClassUID", "") or "")
        if media_class == "1.2.840.10008.1.3.10":  # a DICOMDIR under another name
            return []
        header = _file_header(path, dataset, syntax, media_class)
        if not (header.modality or header.sop_class):
            raise ValueError("neither modality nor SOP class")
        if header.sop_class in CT_CLASSES and not (header.rows and header.columns):
            raise ValueError("a CT image without an image")
        return list(_frames(header, dataset))
    except PermissionError as error:
        raise InputError("A file may not be read.", where=path, advice="Check who may read it.") from error
    except Exception as error:  # pydicom raises nearly everything on a broken file
        raise InputError(
            "A DICOM file is truncated or corrupt.", where=path, advice="Export it again, or take it out of the folder."
        ) from error


def _file_header(path: Path, dataset, syntax: str, media_class: str) -> FileHeader:
    lossy = _text(dataset, "LossyImageCompression") == "01" or syntax in LOSSY_SYNTAXES
    kernel = _texts(dataset, "ConvolutionKernel")
    padding = _number(dataset, "PixelPaddingValue")
    limit = _number(dataset, "PixelPaddingRangeLimit")
    return FileHeader(
        path=path,
        modality=_text(dataset, "Modality"),
        sop_class=_text(dataset, "SOPClassUID") or media_class,
        sop_uid=_text(dataset, "SOPInstanceUID"),
        transfer_syntax=syntax,
        series_uid=_text(dataset, "SeriesInstanceUID"),
        series_number=_integer(dataset, "SeriesNumber"),
        description=_text(dataset, "SeriesDescription"),
        kernel=kernel[0] if kernel else "",
        body_part=" ".join((_text(dataset, "BodyPartExamined"), _text(dataset, "ProtocolName"))).strip(),
        image_type=_texts(dataset, "ImageType"),
        rows=_integer(dataset, "Rows") or 0,
        columns=_integer(dataset, "Columns") or 0,
        samples=_integer(dataset, "SamplesPerPixel") or 1,
        photometric=_text(dataset, "PhotometricInterpretation"),
        padding=None if padding is None else tuple(sorted((padding, padding if limit is None else limit))),
        modality_lut=bool(dataset.get("ModalityLUTSequence")),
        lossy=lossy,
        frame_of_reference=_text(dataset, "FrameOfReferenceUID"),
        study_uid=_text(dataset, "StudyInstanceUID"),
        study_date=_text(dataset, "StudyDate"),
        study_description=_text(dataset, "StudyDescription"),
        patient_id=_text(dataset, "PatientID"),
        patient_name=_text(dataset, "PatientName"),
    )


def _frames(header: FileHeader, dataset) -> Iterator[Frame]:
    """One Frame a slice; an enhanced image's own from its functional groups (PS3.3 C.7.6.16)."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    count = _integer(dataset, "NumberOfFrames") or 1
    if per_frame and len(per_frame) != count:
        raise ValueError("number of frames and functional groups differ")
    for index in range(count):
        groups = [group for group in (per_frame[index] if per_frame else None, shared) if group is not None]
        content = _group(groups, "FrameContentSequence")
        transformation = _group(groups, "PixelValueTransformationSequence") or dataset
        yield Frame(
            file=header,
            index=index if count > 1 or per_frame else None,
            position=_numbers(_group(groups, "PlanePositionSequence") or dataset, "ImagePositionPatient", 3),
            orientation=_numbers(_group(groups, "PlaneOrientationSequence") or dataset, "ImageOrientationPatient", 6),
            spacing=_numbers(_group(groups, "PixelMeasuresSequence") or dataset, "PixelSpacing", 2),
            slope=_number(transformation, "RescaleSlope"),
            intercept=_number(transformation, "RescaleIntercept"),
            rescale_type=_text(transformation, "RescaleType"),
            frame_type=_texts(_group(groups, "CTImageFrameTypeSequence"), "FrameType"),
            instance=index if per_frame else _integer(dataset, "InstanceNumber"),
            acquisition=_text(content, "FrameAcquisitionNumber") or _text(dataset, "AcquisitionNumber"),
            temporal=_text(content, "TemporalPositionIndex") or _text(dataset, "TemporalPositionIdentifier"),
            echo=_text(dataset, "EchoNumbers"),
            voltage=_text(dataset, "KVP"),
        )


def _group(groups: list, sequence: str):
    """The first item of a functional group, of the frame or else shared; None where there is none."""
    return next((group[sequence].value[0] for group in groups if group.get(sequence)), None)


def _value(dataset, keyword: str):
    # A value that can't be converted (a broken private writer) counts as not given.
    try:
        return None if dataset is None else dataset.get(keyword)
    except Exception:
        return None


def _text(dataset, keyword: str) -> str:
    value = _value(dataset, keyword)
    return "" if value is None else str(value).strip()


def _texts(dataset, keyword: str) -> tuple[str, ...]:
    value = _value(dataset, keyword)
    if value is None or value == "":
        return ()
    return (value.strip(),) if isinstance(value, str) else tuple(str(part).strip() for part in value)


def _numbers(dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    try:
        numbers = tuple(float(part) for part in _value(dataset, keyword))
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None


def _number(dataset, keyword: str) -> float | None:
    try:
        number = float(_value(dataset, keyword))
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _integer(dataset, keyword: str) -> int | None:
    number = _number(dataset, keyword)
    return None if number is None else int(number)
