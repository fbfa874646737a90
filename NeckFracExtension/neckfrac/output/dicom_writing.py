"""How a DICOM result is made and written: with highdicom, as a new series of the same study, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import InputError
from ..intake.dicom_headers import quiet_pydicom
from .dicom_source import FROM_ARCHIVE, SourceSeries

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@contextmanager
def _speaking_of(source: SourceSeries) -> Iterator[None]:
    """What highdicom can't do with these headers becomes an InputError that quotes none of their values."""
    try:
        with quiet_pydicom():
            yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"The series' headers can't be carried over into a DICOM result ({type(error).__name__}).",
            where=source.stack.frames[0].file.path,
            advice=FROM_ARCHIVE,
        ) from error


def write_whole(path: Path, source: SourceSeries, build: Callable[[], Dataset]) -> None:
    """Build the dataset and write it beside `path`, then rename it: whole or not at all.

    Raises InputError when the headers don't allow it or the file can't be written.
    """
    path = Path(path).absolute()
    with _speaking_of(source):
        dataset = build()
        try:
            handle, unfinished = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
            os.close(handle)
            try:
                dataset.save_as(unfinished, enforce_file_format=True)
                os.chmod(unfinished, 0o644)
                os.replace(unfinished, path)
            finally:
                Path(unfinished).unlink(missing_ok=True)
        except OSError as error:
            raise InputError(
                f"The DICOM result can't be written: {error.strerror or error}.",
                where=path,
                advice="Check the folder and the room on the disk.",
            ) from error


def new_uid(*names: object) -> str:
    """A UID: of these names always the same one, without names a new one each time."""
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=["NeckFrac", *map(str, names)] if names else None))


def new_object(series_description: str, number: int) -> dict[str, Any]:
    """What every object that NeckFrac writes says of itself: a new series in the same study, UTF-8, its maker."""
    return {
        "series_instance_uid": new_uid(),
        "series_number": number,
        "sop_instance_uid": new_uid(),
        "instance_number": 1,
        "manufacturer": "NeckFrac",
        "manufacturer_model_name": "NeckFrac",
        "software_versions": __version__,
        "device_serial_number": "NeckFrac",
        "series_description": series_description,
        # The series' own character set need not hold what is said here; names are converted.
        "specific_character_set": "ISO_IR 192",
    }
