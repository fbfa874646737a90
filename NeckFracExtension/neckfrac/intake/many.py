"""Many studies at once: what in a folder, or in a list of files, is a study of its own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..folder_lock import entries
from ..formatting import as_text
from ..marks import WORKLIST, is_result
from ..progress import Progress
from .dicom_headers import looks_like_dicom, quiet_pydicom
from .file_kinds import check_file_kind, special_kind, walk_files
from .files import FORMATS, file_format

SEGMENTATION = ".seg.nrrd"  # Slicer's segmentations, those of earlier results too, are no CT
_FORMATS = "Give a folder with DICOM folders, zips of them, or NIfTI, NRRD or MetaImage files."


@dataclass(frozen=True)
class FoundStudy:
    """A study that is still to be read. name: its place in the folder that was searched. files: for `read_study`.

    source: where it lies, absolute; of the studies that lie in one folder each has another one.
    """

    name: str
    source: str
    files: tuple[Path, ...]

    def fingerprint(self) -> str:
        """SHA-256 of the files' paths, sizes and times of change: another one when the study is another.

        Contents are not read: a study has hundreds of megabytes.
        """
        digest = hashlib.sha256()
        for path in sorted(self.files):
            try:
                state = path.stat()
                told = f"{path}|{state.st_size}|{state.st_mtime_ns}\n"
            except OSError:
                told = f"{path}|absent\n"
            digest.update(told.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    @property
    def title(self) -> str:
        """The name without the file format's ending."""
        ending = next((e for e in (*FORMATS, ".zip") if self.name.lower().endswith(e)), "")
        return self.name[: -len(ending)] if ending else self.name


def find_studies(source: Path | str | Sequence[Path | str], progress: Progress | None = None) -> list[FoundStudy]:
    """The studies in a folder, nested ones too, or among given files, by name; nothing but DICOM headers is read.

    Each zip and each NIfTI, NRRD or MetaImage file is a study. DICOM files are one study when they lie in the same
    sub-folder of the searched folder and name the same patient and study; those that name none belong to their folder.
    What can't be read is told as a study, so that reading it tells why: a folder that may not be read, a link that
    leads nowhere, a pipe, and a sub-folder of the searched folder in which nothing is found. Raises InputError when
    nothing is found or the folder does not exist.
    """
    progress = progress or Progress()
    if isinstance(source, str | Path):
        root = Path(source).expanduser().absolute()
        check_file_kind(root)
        files = list(_walk(root)) if root.is_dir() else [root]
        root = root if root.is_dir() else root.parent
    else:
        root, files = None, [Path(path).expanduser().absolute() for path in source]
    single, dicom, special = [], [], []
    for number, path in enumerate(files):
        if number % 50 == 0:
            progress.step(0.1 * number / len(files))
        if special_kind(path):
            special.append(path)  # never opened
        elif path.is_dir() or path.suffix.lower() == ".zip" or _is_volume(path):
            single.append(FoundStudy(_name(path, root), str(path), (path,)))
        elif looks_like_dicom(path):
            dicom.append(path)
    found = [*single, *_dicom_studies(dicom, special, root, progress)]
    if root is not None and isinstance(source, str | Path) and Path(source).expanduser().is_dir():
        found += _empty_folders(root, found)
    found.sort(key=lambda study: (study.name, study.source))
    if not found:
        raise InputError("Nothing here can be read as a CT.", where=root, advice=_FORMATS)
    progress.step(1.0)
    return found


def _walk(folder: Path) -> Iterator[Path]:
    """The files below the folder, hidden ones aside, in a stable order; and each folder that may not be read."""
    refused: list[Path] = []
    yield from walk_files(folder, lambda error: refused.append(Path(error.filename)))
    yield from refused


def _empty_folders(root: Path, found: list[FoundStudy]) -> list[FoundStudy]:
    """The root's sub-folders in which nothing was found: each may be a patient whose files did not get there.

    Results and folders of results are none, nor are further links to what was found.
    """
    places = {parent for study in found for path in study.files for parent in (path, *path.parents)}
    places |= {Path(os.path.realpath(place)) for place in places}
    folders = [root / name for name in entries(root) if not name.startswith((".", "__MACOSX"))]
    return [
        FoundStudy(as_text(path.name), str(path), (path,))
        for path in folders
        if path.is_dir() and path not in places and Path(os.path.realpath(path)) not in places and not _is_ours(path)
    ]


def _is_ours(folder: Path) -> bool:
    """Whether the folder is a result, or holds results."""
    inside = entries(folder)
    return WORKLIST in inside or is_result(folder) or any(is_result(folder / name) for name in inside)


def _is_volume(path: Path) -> bool:
    return bool(file_format(path)) and not path.name.lower().endswith(SEGMENTATION)


def _name(path: Path, root: Path | None) -> str:
    """The path below the root; of the root itself, or without a root, the last part alone."""
    return as_text(path.name if root is None or path == root else path.relative_to(root).as_posix())


def _dicom_studies(
    paths: list[Path], special: list[Path], root: Path | None, progress: Progress
) -> Iterator[FoundStudy]:
    """The studies of DICOM files, and of what lies among them and is no file; alone, each of these is one itself."""
    groups: dict[tuple[str, str, str], list[Path]] = {}
    nameless: list[Path] = []
    with quiet_pydicom():
        for number, path in enumerate(paths):
            if number % 10 == 0:
                progress.step(0.1 + 0.9 * number / len(paths))
            patient, study = _patient_and_study(path)
            if study:
                groups.setdefault((_sub_folder(path, root), patient, study), []).append(path)
            else:
                nameless.append(path)
    for path in (*nameless, *special):
        # A broken slice belongs to the study that it lies among, whose reading then tells of it.
        around = [key for key, files in groups.items() if any(file.parent == path.parent for file in files)]
        if len(around) == 1:
            groups[around[0]].append(path)
        elif path in nameless:
            groups.setdefault((str(path.parent), "", ""), []).append(path)
        else:
            yield FoundStudy(_name(path, root), str(path), (path,))
    commons = {key: Path(os.path.commonpath([path.parent for path in files])) for key, files in groups.items()}
    for key, files in groups.items():
        folder = commons[key]
        shared = list(commons.values()).count(folder) > 1 or root is None
        mark = hashlib.sha256("|".join(key[1:]).encode()).hexdigest()[:8]
        name = f"study {mark}" if root is None else _name(folder, root) + (f" ({mark})" if shared else "")
        yield FoundStudy(name, f"{folder}#{mark}" if shared else str(folder), tuple(files))


def _sub_folder(path: Path, root: Path | None) -> str:
    """The root's sub-folder that the file lies in: a study is not looked for across two of them.

    Sets that were made anonymous often give all patients the same names and numbers.
    """
    parts = path.relative_to(root).parts if root else ()
    return parts[0] if len(parts) > 1 else ""


def _patient_and_study(path: Path) -> tuple[str, str]:
    """PatientID and StudyInstanceUID of a DICOM file; "" for what it does not say or can't be read."""
    import pydicom

    keywords = ["PatientID", "StudyInstanceUID"]
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=keywords, force=True)
        patient, study = (str(getattr(dataset, keyword, "") or "") for keyword in keywords)
        return patient, study
    except Exception:  # pydicom raises nearly everything on a broken file; reading the study tells what is wrong
        return "", ""
