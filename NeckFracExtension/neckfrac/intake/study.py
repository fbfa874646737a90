"""The way into the pipeline: a study, however it is stored, becomes a CTVolume with its identity and warnings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import InputError
from ..findings import StudyIdentity
from ..formatting import as_text
from ..progress import Progress
from ..study_warning import StudyWarning
from ..volume import CTVolume, Gap
from .archive import unpacked
from .checks import check_volume
from .dicom_choice import Candidate, SeriesSummary, candidates, choose
from .dicom_geometry import place
from .dicom_headers import looks_like_dicom, read_frames
from .dicom_pixels import decode
from .dicom_series import Stack, group_series
from .file_kinds import check_file_kind, check_name_is_text, walk_files
from .files import file_format, header_file, read_file
from .mixed_stacks import one_of_mixed

__all__ = ["SeriesSummary", "Source", "Study", "list_series", "read_study", "series_files"]

Source = str | Path | Sequence[str | Path]
_FORMATS = "Give a DICOM folder, its files or a zip of them, or a NIfTI, NRRD or MetaImage file."


@dataclass(frozen=True, eq=False)
class Study:
    """A CT as read: HU on its stored axes, whose it is, and what limits the reading.

    `identity` holds the patient's name and ID; no warning does. gaps: where slices of a DICOM series are missing.
    """

    volume: CTVolume
    identity: StudyIdentity
    warnings: tuple[StudyWarning, ...] = ()
    gaps: tuple[Gap, ...] = ()

    def with_warnings(self, warnings: Sequence[StudyWarning]) -> Study:
        """The same study, with warnings of what was read beside it."""
        return replace(self, warnings=tuple(dict.fromkeys((*self.warnings, *warnings))))


def read_study(source: Source, *, series: str | None = None, progress: Progress | None = None) -> Study:
    """Read a CT from a DICOM folder (searched recursively), a list of files, a zip, or one volume file.

    series: UID or number of the DICOM series; None takes the only one, or the clear one. Voxels are int16 HU
    of at least -1024, [z, y, x] as stored; evenly spaced slices straight above each other are not resampled.
    Raises InputError for what can't be read as a CT, Cancelled when `progress` says so.
    """
    progress = progress or Progress()
    name = _name(source)
    with ExitStack() as stack:
        paths = _files(source, stack, progress)
        if volume_file := _volume_file(paths, name):
            volume, warnings = read_file(volume_file, progress)
            identity, gaps = StudyIdentity(source=name, format=file_format(volume_file)), ()
            with _naming(volume_file):
                # Its values were looked at as they are stored, before padding became air.
                warnings = [*warnings, *check_volume(volume, values=False)]
        else:
            found = _dicom_series(paths, name, progress, 0.3)
            chosen, warnings = choose(found, None if series is None else str(series))
            with _naming(chosen.summary):
                volume, slices, mixed = _dicom_volume(chosen.usable_stack, progress)
                warnings = [*warnings, *mixed, *slices.warnings, *_passed_over(paths, found)]
                warnings = [*warnings, *check_volume(volume, values=True)]
            identity, gaps = _identity(slices, name), slices.geometry.gaps
    progress.step(1.0)
    return Study(volume, identity, tuple(dict.fromkeys(warnings)), gaps)


@contextmanager
def _naming(where: object) -> Iterator[None]:
    """An InputError that does not say where says `where`."""
    try:
        yield
    except InputError as error:
        raise InputError(error.what, where=error.where or where, advice=error.advice) from error


def list_series(source: Source) -> list[SeriesSummary]:
    """Every series of a source (a volume file counts as one) with what tells them apart and whether it can be read.

    Pixels are not decoded, except those of a volume file. Raises InputError when nothing is found.
    """
    progress, name = Progress(), _name(source)
    with ExitStack() as stack:
        paths = _files(source, stack, progress)
        volume_file = _volume_file(paths, name)
        if not volume_file:
            return [candidate.summary for candidate in _dicom_series(paths, name, progress, 1.0)]
        summary = {"number": None, "uid": "", "description": volume_file.name, "modality": "CT", "kernel": ""}
        try:
            volume, _ = read_file(volume_file, progress)
            spacing = tuple(float(value) for value in volume.spacing)
            check_volume(volume, values=False)
        except InputError as error:
            return [SeriesSummary(**summary, slices=0, spacing=(), usable=False, why_not=error.what)]
        return [SeriesSummary(**summary, slices=volume.shape[0], spacing=spacing, usable=True)]


@contextmanager
def series_files(source: Source, series: str | None = None) -> Iterator[tuple[Path, ...]]:
    """The DICOM files whose slices `read_study` reads of this source, lowest first; none for a volume file.

    Those of a zip are there as long as the context is. Raises InputError as `read_study` does.
    """
    name = _name(source)
    with ExitStack() as stack:
        paths = _files(source, stack, Progress())
        if _volume_file(paths, name):
            yield ()
            return
        chosen, _ = choose(_dicom_series(paths, name, Progress(), 1.0), series)
        yield tuple(dict.fromkeys(frame.file.path for frame in chosen.usable_stack.frames))


def _paths(source: Source) -> list[Path]:
    given = [source] if isinstance(source, str | Path) else list(source)
    if not given:
        raise InputError("No file was given.", advice=_FORMATS)
    return [Path(path).expanduser() for path in given]


def _name(source: Source) -> str:
    """What the source is called in messages and in the identity: its path, or its files' common folder."""
    paths = _paths(source)
    if len(paths) == 1:
        return as_text(paths[0])
    return as_text(os.path.commonpath([os.path.abspath(path.parent) for path in paths]))


def _files(source: Source, stack: ExitStack, progress: Progress) -> list[Path]:
    """All files of the source; a zip is unpacked until `stack` closes."""
    found: list[Path] = []
    for path in _paths(source):
        check_file_kind(path)
        if path.is_dir():
            found += walk_files(path, _refuse)
        elif path.suffix.lower() == ".zip":
            found += walk_files(stack.enter_context(unpacked(path, progress)), _refuse)
        else:
            found.append(header_file(path))
    for path in found:
        check_file_kind(path)
    # A file given twice, or in a folder that is given too, is read once.
    return list(dict.fromkeys(found))


def _refuse(error: OSError) -> None:
    raise InputError("A folder may not be read.", where=error.filename, advice="Check who may read it.") from error


def _volume_file(paths: list[Path], source: str) -> Path | None:
    """The one volume file, when there is one and no DICOM; None for DICOM. Raises InputError for anything else."""
    volumes = [path for path in paths if file_format(path)]
    if len(paths) == 1 and volumes:
        check_name_is_text(volumes[0])
        return volumes[0]
    if any(looks_like_dicom(path) for path in paths):
        return None
    if len(volumes) > 1:
        names = "\n".join(f"  {path.name}" for path in volumes[:20])
        raise InputError("There are several volume files here.", where=source, advice=f"Give one of them:\n{names}")
    if not volumes:
        raise InputError("Nothing here can be read as a CT.", where=source, advice=_FORMATS)
    check_name_is_text(volumes[0])
    return volumes[0]


def _dicom_series(paths: list[Path], source: str, progress: Progress, share: float) -> list[Candidate]:
    frames = read_frames(paths, progress, share)
    if not frames:
        raise InputError("Nothing here can be read as a CT.", where=source, advice=_FORMATS)
    return candidates(group_series(frames))


def _passed_over(paths: list[Path], found: Sequence[Candidate]) -> list[StudyWarning]:
    """A sentence on how many of the files were no DICOM; an index (DICOMDIR) is expected beside images."""
    read = {frame.file.path for candidate in found for frame in candidate.frames}
    count = sum(path not in read and path.name.upper() != "DICOMDIR" for path in paths)
    if not count:
        return []
    were = "1 file is no DICOM image and was" if count == 1 else f"{count} files are no DICOM images and were"
    text = f"{were} passed over; {len(read)} were looked at."
    return [StudyWarning("files-passed-over", text, {"passed_over": count, "looked_at": len(read)})]


def _dicom_volume(stack: Stack, progress: Progress) -> tuple[CTVolume, Stack, list[StudyWarning]]:
    """A series' volume, the slices that it is made of, and what was left out because it belongs to another stack."""
    uneven = stack.geometry.tilted or stack.geometry.uneven
    decoded_until = 0.8 if uneven else 1.0
    voxels, stack, warnings = one_of_mixed(decode(stack.frames, progress, 0.3, decoded_until), stack)
    return place(voxels, stack.geometry, progress, decoded_until, 1.0), stack, warnings


def _identity(stack: Stack, source: str) -> StudyIdentity:
    file = stack.frames[0].file
    return StudyIdentity(
        source=source,
        format="DICOM",
        patient_id=file.patient_id,
        patient_name=file.patient_name,
        study_uid=file.study_uid,
        series_uid=file.series_uid,
        study_date=file.study_date,
        study_description=file.study_description,
        series_description=file.description,
    )
