"""The CT series that results are written beside: its headers, its slices in order, and its grid in the patient."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..findings import StudyIdentity
from ..intake.dicom_headers import looks_like_dicom, quiet_pydicom, read_frames
from ..intake.dicom_series import Stack, arrange
from ..intake.study import Source, series_files
from ..progress import Progress
from ..volume import CTVolume

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

FROM_ARCHIVE = "Export the series from the archive with its original headers."
ON_GRID = 0.05  # voxels that a labelmap may lie off the series' own grid and still be taken for it
# Type 2 elements of the patient and study modules (PS3.3 C.7.1.1, C.7.2.1): must be there, may be empty.
MAY_BE_EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class SourceSeries:
    """A CT series as the results refer to it.

    stack: its slices, sorted along their normal, at different places. headers: one a file and without pixels, in
    the order in which the stack's slices come; of an enhanced CT the only one.
    """

    stack: Stack
    headers: tuple[Dataset, ...]

    @property
    def series_uid(self) -> str:
        return str(self.headers[0].SeriesInstanceUID)

    @property
    def frame_of_reference(self) -> str:
        return str(self.headers[0].FrameOfReferenceUID)

    @property
    def multi_frame(self) -> bool:
        return self.stack.frames[0].index is not None

    @property
    def affine(self) -> np.ndarray:
        """4x4, indices (i, j, k) of column, row and sorted slice to LPS mm; for slices that stand evenly."""
        geometry = self.stack.geometry
        affine = np.eye(4)
        affine[:3, :3] = geometry.axes * (*geometry.pixel, geometry.step)
        affine[:3, 3] = geometry.first
        return affine

    def on_slices(self, labels: CTVolume) -> np.ndarray | None:
        """Labels on the series' own slices ([slice, row, column], sorted); 0 where they do not reach.

        None when they lie on another grid, as those of slices that were resampled do. The axes of `labels` may be
        permuted and flipped against the series', and a part of it may be missing.
        """
        geometry, file = self.stack.geometry, self.stack.frames[0].file
        if geometry.tilted or geometry.uneven:
            return None
        shape = (len(self.stack.frames), file.rows, file.columns)
        from_source = np.linalg.inv(labels.affine) @ self.affine
        turn, start = np.rint(from_source[:3, :3]), np.rint(from_source[:3, 3])
        signed_permutation = (np.abs(turn).sum(axis=0) == 1).all() and (np.abs(turn).sum(axis=1) == 1).all()
        error = np.abs(from_source[:3, :3] - turn) @ np.array(shape[::-1]) + np.abs(from_source[:3, 3] - start)
        if not signed_permutation or error.max() > ON_GRID:
            return None
        # Index axis `target` (i, j, k) of the series runs along axis `found` of the labels.
        found = [int(np.flatnonzero(turn[:, target])[0]) for target in range(3)]
        taken, filled = [], []
        for target in (2, 1, 0):
            places = turn[found[target], target] * np.arange(shape[2 - target]) + start[found[target]]
            inside = np.flatnonzero((places >= 0) & (places < labels.shape[2 - found[target]]))
            taken.append(places[inside].astype(int))
            filled.append(inside)
        result = np.zeros(shape, labels.voxels.dtype)
        turned = labels.voxels.transpose([2 - found[target] for target in (2, 1, 0)])
        result[np.ix_(*filled)] = turned[np.ix_(*taken)]
        return result


def need_highdicom() -> Any:
    """The module highdicom. Raises InputError, with how to install it, when it is missing."""
    try:
        import highdicom
    except ImportError as error:
        raise InputError(
            "Writing DICOM results needs highdicom, which is not installed.",
            advice="Install it: pip install 'neckfrac[dicom]', or pip install 'highdicom>=0.28'.",
        ) from error
    return highdicom


def source_of(study: Source, identity: StudyIdentity) -> SourceSeries:
    """The series of a study (what `read_study` takes) that was read as `identity`; call it before the long work.

    Raises InputError without highdicom, and as `read_source` does.
    """
    need_highdicom()
    with series_files(study, identity.series_uid or None) as files:
        return read_source(files, identity)


def read_source(files: Sequence[str | Path] | SourceSeries, identity: StudyIdentity) -> SourceSeries:
    """The series that `identity` names, from its DICOM files in any order; others among them are passed over.

    A SourceSeries is given back as it is, so that it need not be read for every result. Raises InputError when the
    study was no DICOM, when the series is not among the files, or when its headers lack what results need to refer
    to it.
    """
    if isinstance(files, SourceSeries):
        return files
    paths = [path for path in map(Path, files) if looks_like_dicom(path)]
    if not paths:
        raise InputError(
            "DICOM results need a DICOM study to belong to; this one is not.",
            where=identity.source or None,
            advice="Analyse the DICOM series itself, or leave out --dicom.",
        )
    wanted = identity.series_uid
    frames = read_frames(paths, Progress())
    series = [frame for frame in frames if not wanted or frame.file.series_uid == wanted]
    if not series or len({(frame.file.study_uid, frame.file.series_uid) for frame in series}) > 1:
        raise InputError(
            "The series that was analysed is not among the files." if not series else "The files are of many series.",
            where=paths[0].parent,
            advice="Give the files of the series that was analysed.",
        )
    stack = arrange(series)
    used = list(dict.fromkeys(frame.file.path for frame in stack.frames))
    if stack.frames[0].index is not None and len(used) > 1:
        raise InputError(
            "The series is spread over several multi-frame files.",
            where=used[0].parent,
            advice="Export it as single slices, or as one file.",
        )
    return SourceSeries(stack, tuple(_header(path, stack.geometry.step) for path in used))


def _header(path: Path, step: float) -> Dataset:
    """A file's header without pixels, mended where a result could not be made of it; the file stays as it is.

    Elements that may be empty are there; dates, times and sexes that are none are empty; a slice without a thickness
    is as thick as the slices are apart (step, mm).
    """
    import pydicom

    with quiet_pydicom():
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        for keyword in MAY_BE_EMPTY:
            if keyword not in header:
                setattr(header, keyword, "")
            elif keyword in _UNDERSTOOD:
                setattr(header, keyword, _UNDERSTOOD[keyword](str(header[keyword].value or "")))
        if "Rows" in header and "PerFrameFunctionalGroupsSequence" not in header:
            header.SliceThickness = header.get("SliceThickness") or f"{step:.6g}"
        needed = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID")
        missing = [keyword for keyword in needed if not header.get(keyword)]
    if missing:
        raise InputError(
            f"The series' headers lack {', '.join(missing)}: DICOM results can't refer to it.",
            where=path, advice=FROM_ARCHIVE,
        )  # fmt: skip
    return header


def _date(value: str) -> str:
    """YYYYMMDD, also of the older YYYY.MM.DD; "" for what is no date."""
    value = value.replace(".", "").strip()
    try:
        datetime.strptime(value, "%Y%m%d")
    except ValueError:
        return ""
    return value if len(value) == 8 else ""


def _time(value: str) -> str:
    """HH, HHMM or HHMMSS with a fraction, also of the older HH:MM:SS; "" for what is no time."""
    value = value.replace(":", "").strip()
    return value if re.fullmatch(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?", value) else ""


_UNDERSTOOD = {
    "PatientBirthDate": _date,
    "StudyDate": _date,
    "StudyTime": _time,
    "PatientSex": lambda value: value.strip().upper() if value.strip().upper() in ("M", "F", "O") else "",
}
