"""The mark in a folder that NeckFrac has written: it tells a result from whatever else a folder may hold.

A small hidden file. In a result it names the files that were written, each with its SHA-256, so that what somebody
added or changed since is known and kept when the result is replaced. Results of earlier versions have none; they are
known by their findings.json.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import __version__

MARK = ".neckfrac.json"
FORMAT = 1  # of the mark
RESULT, UNFINISHED = "result", "unfinished"  # kinds of folder
FINDINGS, WORKLIST = "findings.json", "worklist.json"
KEPT = "kept"  # a result's folder for what its predecessor held under a name that is taken
# What results held before there was a mark.
WRITTEN_WITHOUT_MARK = frozenset(
    (
        "scene.mrb",
        "vertebrae.seg.nrrd",
        "anchors.seg.nrrd",
        FINDINGS,
        "findings.csv",
        "report.html",
        "overview.png",
        "segmentation.dcm",
        "report.dcm",
        "boxes.csv",
    )
)
_MOST_BYTES = 2**26  # of a JSON file that is looked into


def new_mark(kind: str, **facts: Any) -> str:
    """The content of a mark."""
    about = {"mark": "NeckFrac", "format": FORMAT, "kind": kind, "software": f"NeckFrac {__version__}"}
    return json.dumps(about | facts, indent=1) + "\n"


def parse_mark(text: str) -> dict[str, Any] | None:
    """What a mark says; None for what is no mark of NeckFrac's."""
    try:
        content = json.loads(text)
    except ValueError:
        return None
    ours = isinstance(content, dict) and content.get("mark") == "NeckFrac" and isinstance(content.get("kind"), str)
    return content if ours else None


def mark_result(folder: Path) -> None:
    """Mark a folder as a whole result: of the files that it holds now, each name and SHA-256."""
    files = {path.name: _sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}
    (folder / MARK).write_text(new_mark(RESULT, files=files), encoding="utf-8")


def is_result(folder: Path) -> bool:
    """Whether the folder bears NeckFrac's mark as a result, or holds the findings of a version that wrote none."""
    mark = parse_mark(_text(folder / MARK))
    if mark is not None:
        return mark["kind"] == RESULT
    from .findings import is_readable

    try:
        content = json.loads(_text(folder / FINDINGS))
    except ValueError:
        return False
    if not isinstance(content, dict) or "levels" not in content:
        return False
    return is_readable(content.get("schema")) and str(content.get("software", "")).startswith("NeckFrac")


def written_files(folder: Path, names: Iterable[str]) -> frozenset[str]:
    """The names of what NeckFrac has written into the folder, when that is a result; names: all that it holds."""
    if not {MARK, FINDINGS} & set(names) or not is_result(folder):
        return frozenset()
    return frozenset(_files_of(folder))


def foreign_entries(result: Path) -> list[Path]:
    """What lies in a result and is not as NeckFrac left it: added by somebody, or changed since."""
    files = _files_of(result)
    return [entry for entry in sorted(result.iterdir()) if entry.name != MARK and not _is_written(entry, files)]


def keep_foreign_entries(old: Path, new: Path) -> None:
    """Move what is not NeckFrac's from an old result into the new one; all of it or nothing.

    What has a name that the new result uses goes into its folder ``kept``. Raises OSError.
    """
    moved: list[tuple[Path, Path]] = []
    try:
        for entry in foreign_entries(old):
            target = new / entry.name
            if os.path.lexists(target):
                (new / KEPT).mkdir(exist_ok=True)
                target = unused(new / KEPT / entry.name)
            os.rename(entry, target)
            moved.append((entry, target))
    except OSError:
        for entry, target in reversed(moved):
            os.rename(target, entry)
        raise


def json_keys(path: Path) -> set[str]:
    """The keys of the object in a JSON file; none for any other file."""
    try:
        content = json.loads(_text(path))
    except ValueError:
        return set()
    return set(content) if isinstance(content, dict) else set()


def unused(path: Path) -> Path:
    """The path, or the next one with a number that nothing has yet."""
    number, free = 2, path
    while os.path.lexists(free):
        free, number = path.with_name(f"{path.stem}-{number}{path.suffix}"), number + 1
    return free


def _files_of(result: Path) -> dict[str, Any]:
    """Name and SHA-256 of each file that was written; None instead of the latter where it is not known."""
    files = (parse_mark(_text(result / MARK)) or {}).get("files")
    return files if isinstance(files, dict) else dict.fromkeys(WRITTEN_WITHOUT_MARK)


def _is_written(entry: Path, files: dict[str, Any]) -> bool:
    if entry.name not in files or entry.is_symlink() or not entry.is_file():
        return False
    return files[entry.name] is None or files[entry.name] == _sha256(entry)


def _text(path: Path) -> str:
    """A small file's text; "" where there is none: a pipe or a device of that name is not opened."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return ""
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
