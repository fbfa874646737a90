"""What the headers of DICOM files say of each image, read once and without pixels."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..progress import Progress
from . import dicom_elements as elements
from .dicom_marks import KEYWORDS as MARK_KEYWORDS
from .dicom_marks import mark, marks_of
from .dicom_recognition import looks_like_dicom

# Only these elements are parsed; the rest of a header (often private, often large) is skipped.
KEYWORDS = (
    *MARK_KEYWORDS,
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyDate",
    "Modality",
    "StudyDescription",
    "PatientName",
    "PatientID",
    "PatientPosition",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "AcquisitionDate",
    "ContentDate",
    "ContentTime",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "SpacingBetweenSlices",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
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
PIXEL_TAGS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))  # pixel data as floats, doubles, integers
UNDEFINED = 0xFFFFFFFF  # the length of pixel data that are stored in fragments
MOST_FRAMES = 20_000  # of one file; as many as an archive may hold files


@dataclass(frozen=True)
class FileHeader:
    """What all frames of one file share. `patient_name` and `patient_id` never leave for a message.

    frames: as the header says, however many there are. pixel_bytes: the length of its pixel data as the header says,
    None where they are stored in fragments (compressed) or where it is not known (a deflated file).
    """

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
    frames: int = 1
    bits_allocated: int = 16
    bits_stored: int = 16
    high_bit: int = 15
    signed: bool = False
    pixel_bytes: int | None = None
    patient_position: str = ""
    slice_spacing: float | None = None
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
    a column (PS3.3 C.7.6.2.1.1). spacing: mm between rows, between columns. None where it is not said; slope and
    intercept are NaN where what is said is no finite number. marks: values of `dicom_marks.NAMES`. acquired, created:
    when the frame was acquired, and when its image was made, in seconds.
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
    marks: tuple[str, ...] = ()
    acquired: float | None = None
    created: float | None = None

    @property
    def where(self) -> str:
        """The file's name, and the frame's number in a multi-frame file."""
        return self.file.path.name + ("" if self.index is None else f", frame {self.index + 1}")

    def mark(self, name: str) -> str:
        """The value of one of `dicom_marks.NAMES`, "" where the header says none."""
        return mark(self.marks, name)


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
    syntax = ""
    try:
        dataset, pixel_bytes = _read_header(path)
        syntax = str(getattr(dataset.file_meta, "TransferSyntaxUID", "") or "")
        media_class = str(getattr(dataset.file_meta, "MediaStorageSOPClassUID", "") or "")
        if media_class == "1.2.840.10008.1.3.10":  # a DICOMDIR under another name
            return []
        header = _file_header(path, dataset, syntax, media_class, pixel_bytes)
        if not (header.modality or header.sop_class):
            raise ValueError("neither modality nor SOP class")
        if header.sop_class in CT_CLASSES:
            _check_image(header)
        return list(_frames(header, dataset))
    except InputError:
        raise
    except PermissionError as error:
        raise InputError("A file may not be read.", where=path, advice="Check who may read it.") from error
    except Exception as error:  # pydicom raises nearly everything on a broken file
        if syntax and not known_syntax(syntax):
            raise InputError(
                f"A DICOM file is written in a transfer syntax that is not known ({syntax}).", where=path, advice=_AGAIN
            ) from error
        raise InputError("A DICOM file is truncated or corrupt.", where=path, advice=_AGAIN) from error


_AGAIN = "Export it again, or take it out of the folder."


def known_syntax(syntax: str) -> bool:
    """Whether a UID is one of the transfer syntaxes that DICOM has or had."""
    from pydicom.uid import UID

    uid = UID(syntax)
    return not uid.is_private and uid.name != str(uid) and uid.type == "Transfer Syntax"


def _read_header(path: Path) -> tuple[Any, int | None]:
    """The data set up to its pixels, and their length in bytes: 0 where there are none, None where it isn't known.

    Raises InputError for an element that is there twice (against PS3.5 7.1): which of its values holds is not known.
    """
    from pydicom.datadict import dictionary_description, tag_for_keyword
    from pydicom.filereader import read_partial

    tags = [tag_for_keyword(keyword) for keyword in KEYWORDS]
    length, count = 0, dict.fromkeys(tags, 0)

    def at_pixels(tag: int, representation: str | None, bytes_held: int) -> bool:
        nonlocal length
        if tag in PIXEL_TAGS:
            length = bytes_held
        elif tag in count:
            count[tag] += 1
        return tag in PIXEL_TAGS

    with path.open("rb") as stream:
        dataset = read_partial(stream, stop_when=at_pixels, force=True, specific_tags=tags)
    if twice := [tag for tag, times in count.items() if times > 1]:
        raise InputError(
            f"A DICOM file is corrupt: its header gives {dictionary_description(twice[0])} twice.",
            where=path,
            advice=_AGAIN,
        )
    return dataset, None if length == UNDEFINED else length


def _check_image(header: FileHeader) -> None:
    """Raise InputError for a CT image that lacks its image, or says an impossible number of frames."""
    if header.pixel_bytes == 0:
        raise InputError(
            "A CT image has no pixel data: it is truncated or corrupt, or was exported without them.",
            where=header.path,
            advice=_AGAIN,
        )
    if not (header.rows > 0 and header.columns > 0):
        raise InputError("A CT image does not say its size (Rows, Columns).", where=header.path, advice=_AGAIN)


def _file_header(path: Path, dataset, syntax: str, media_class: str, pixel_bytes: int | None) -> FileHeader:
    lossy = elements.text(dataset, "LossyImageCompression") == "01" or syntax in LOSSY_SYNTAXES
    kernel = elements.texts(dataset, "ConvolutionKernel")
    padding = elements.number(dataset, "PixelPaddingValue")
    limit = elements.number(dataset, "PixelPaddingRangeLimit")
    allocated = elements.integer(dataset, "BitsAllocated") or 16
    stored, high = elements.integer(dataset, "BitsStored") or allocated, elements.integer(dataset, "HighBit")
    return FileHeader(
        path=path,
        modality=elements.text(dataset, "Modality"),
        sop_class=elements.text(dataset, "SOPClassUID") or media_class,
        sop_uid=elements.text(dataset, "SOPInstanceUID"),
        transfer_syntax=syntax,
        series_uid=elements.text(dataset, "SeriesInstanceUID"),
        series_number=elements.integer(dataset, "SeriesNumber"),
        description=elements.text(dataset, "SeriesDescription"),
        kernel=kernel[0] if kernel else "",
        body_part=" ".join(elements.text(dataset, keyword) for keyword in ("BodyPartExamined", "ProtocolName")).strip(),
        image_type=elements.texts(dataset, "ImageType"),
        rows=elements.integer(dataset, "Rows") or 0,
        columns=elements.integer(dataset, "Columns") or 0,
        samples=elements.integer(dataset, "SamplesPerPixel") or 1,
        photometric=elements.text(dataset, "PhotometricInterpretation"),
        frames=elements.integer(dataset, "NumberOfFrames") or 1,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=stored - 1 if high is None else high,
        signed=elements.integer(dataset, "PixelRepresentation") == 1,
        pixel_bytes=pixel_bytes,
        patient_position=elements.text(dataset, "PatientPosition").upper(),
        slice_spacing=elements.number(dataset, "SpacingBetweenSlices"),
        padding=None if padding is None else tuple(sorted((padding, padding if limit is None else limit))),
        modality_lut=bool(dataset.get("ModalityLUTSequence")),
        lossy=lossy,
        frame_of_reference=elements.text(dataset, "FrameOfReferenceUID"),
        study_uid=elements.text(dataset, "StudyInstanceUID"),
        study_date=elements.text(dataset, "StudyDate"),
        study_description=elements.text(dataset, "StudyDescription"),
        patient_id=elements.text(dataset, "PatientID"),
        patient_name=elements.text(dataset, "PatientName"),
    )


def _frames(header: FileHeader, dataset) -> Iterator[Frame]:
    """One Frame a slice; an enhanced image's own from its functional groups (PS3.3 C.7.6.16)."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    count = header.frames
    if per_frame and len(per_frame) != count:
        raise InputError(
            f"An image is truncated or corrupt: it says {count} frames and describes {len(per_frame)}.",
            where=header.path,
            advice=_AGAIN,
        )
    # Without places of their own, frames are no volume; so many as no file holds are looked at as one.
    listed = count if per_frame or 1 <= count <= MOST_FRAMES else 1
    moments = elements.moment(dataset, "AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime")
    created = elements.moment(dataset, "", "ContentDate", "ContentTime")
    marks = () if per_frame else marks_of(dataset, [])
    for index in range(listed):
        groups = [group for group in (per_frame[index] if per_frame else None, shared) if group is not None]
        content = elements.first_item(groups, "FrameContentSequence")
        plane = elements.first_item(groups, "PlanePositionSequence") or dataset
        turned = elements.first_item(groups, "PlaneOrientationSequence") or dataset
        measures = elements.first_item(groups, "PixelMeasuresSequence") or dataset
        transformation = elements.first_item(groups, "PixelValueTransformationSequence") or dataset
        acquired = elements.moment(content, "FrameAcquisitionDateTime", "", "") if content else None
        yield Frame(
            file=header,
            index=index if count > 1 or per_frame else None,
            position=elements.numbers(plane, "ImagePositionPatient", 3),
            orientation=elements.numbers(turned, "ImageOrientationPatient", 6),
            spacing=elements.numbers(measures, "PixelSpacing", 2),
            slope=elements.number_or_nan(transformation, "RescaleSlope"),
            intercept=elements.number_or_nan(transformation, "RescaleIntercept"),
            rescale_type=elements.text(transformation, "RescaleType"),
            frame_type=elements.texts(elements.first_item(groups, "CTImageFrameTypeSequence"), "FrameType"),
            instance=index if per_frame else elements.integer(dataset, "InstanceNumber"),
            marks=marks or marks_of(dataset, groups),
            acquired=moments if acquired is None else acquired,
            created=created,
        )
