"""A study's result as clients get it: findings with what readers said, and files by range."""

from __future__ import annotations

import json
import re
import tempfile
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi.responses import Response, StreamingResponse
from sqlalchemy import and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..findings import Findings, Review
from ..output.tables import read_json, write_csv
from .database import DONE, READ_ONLY, reviews
from .jobtable import JobTable
from .problems import Problem
from .store import Store

# What may be fetched, by name: the type it is served as, and in which member of scene.mrb it lies, if it does.
NRRD = "application/octet-stream"
DICOM = "application/dicom"
FILES: dict[str, tuple[str, str]] = {
    "report.html": ("text/html; charset=utf-8", ""),
    "overview.png": ("image/png", ""),
    "scene.mrb": ("application/octet-stream", ""),
    "findings.json": ("application/json", ""),
    "findings.csv": ("text/csv; charset=utf-8", ""),
    "segmentation.dcm": (DICOM, ""),
    "report.dcm": (DICOM, ""),
    "overview.dcm": (DICOM, ""),
    "boxes.csv": ("text/csv; charset=utf-8", ""),
    "vertebrae.seg.nrrd": (NRRD, ""),
    "anchors.seg.nrrd": (NRRD, ""),
    "ct.nrrd": (NRRD, "Data/CT.nrrd"),
    "heat.nrrd": (NRRD, "Data/Fracture heat map.nrrd"),
}
SHOWN_INLINE = ("report.html", "overview.png")
_PIECE = 2**18
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


@dataclass(frozen=True)
class Part:
    """Bytes of a file: a whole one, or a member that is stored in a zip."""

    path: Path
    start: int
    size: int


class Results:
    """Results of studies that are done. Raises Problem 404 or 409 for what is not there."""

    def __init__(self, table: JobTable, store: Store) -> None:
        self._table, self._store = table, store
        self._reading = table.engine.execution_options(**{READ_ONLY: True})

    def folder(self, row: dict[str, Any]) -> Path:
        if row["state"] != DONE:
            raise Problem(409, f"The study has no result: it is {row['state']}.", "Look again when it is done.")
        return self._store.result(row["id"], row["result"])

    def names(self, row: dict[str, Any]) -> list[str]:
        """Which of FILES there are."""
        if row["state"] != DONE:
            return []
        folder = self._store.result(row["id"], row["result"])
        members = _members(folder / "scene.mrb")
        return [
            name for name, (_, inside) in FILES.items() if (inside in members if inside else (folder / name).is_file())
        ]

    def findings(self, row: dict[str, Any], operating_point: str | None = None) -> Findings:
        """With the readers' reviews, as they are called at the operating point."""
        findings = read_json(self.folder(row) / "findings.json")
        for review in self.reviews(row["id"]):
            findings = findings.reviewed(review["level"], Review(review["level"], review["verdict"], review["note"]))
        if operating_point is None:
            return findings
        try:
            return findings.at(operating_point)
        except ValueError as error:
            raise Problem(409, "The thresholds of that operating point are not known for this study.") from error

    def response(self, row: dict[str, Any], name: str, wanted: str | None) -> Response:
        """A file, whole or the range (the header Range) that was asked for."""
        folder = self.folder(row)
        if name not in FILES:
            raise Problem(404, "There is no file of that name.", "The study's own page names its files.")
        kind, inside = FILES[name]
        disposition = "inline" if name in SHOWN_INLINE else f'attachment; filename="neckfrac-{row["id"][:8]}-{name}"'
        headers = {"Content-Disposition": disposition}
        if name.startswith("findings."):
            return Response(self._table_of(row, name), media_type=kind, headers=headers)
        part = _part(folder, name, inside)
        if part is None:
            raise Problem(404, "The study has no such file.", "The study's own page names its files.")
        headers |= {"Accept-Ranges": "bytes", "ETag": f'"{row["id"][:8]}-{row["attempt"]}-{name}"'}
        first, last = _range(wanted, part.size)
        headers["Content-Length"] = str(last - first + 1)
        if wanted:
            headers["Content-Range"] = f"bytes {first}-{last}/{part.size}"
        content = _bytes(part, first, last)
        return StreamingResponse(content, 206 if wanted else 200, headers, media_type=kind)

    def _table_of(self, row: dict[str, Any], name: str) -> bytes:
        findings = self.findings(row)
        if name == "findings.json":
            return json.dumps(findings.to_dict(), indent=2, ensure_ascii=False).encode()
        with tempfile.NamedTemporaryFile(dir=self._store.scratch, suffix=".csv") as file:
            write_csv(findings, Path(file.name))
            return Path(file.name).read_bytes()

    def reviews(self, identifier: str) -> list[dict[str, Any]]:
        with self._reading.connect() as connection:
            rows = connection.execute(select(reviews).where(reviews.c.job == identifier).order_by(reviews.c.level))
            return [dict(row) for row in rows.mappings()]

    def review(self, identifier: str, level: str) -> dict[str, Any] | None:
        return next((one for one in self.reviews(identifier) if one["level"] == level), None)

    def put_review(self, identifier: str, level: str, *, match: str | None, who: str, **said: str) -> dict[str, Any]:
        """Write what a reader says; match: the version that they saw (If-Match), None when there was no review."""
        values = {**said, "who": who, "at": self._table.now(), "version": uuid.uuid4().hex}
        if match is None:
            try:
                with self._table.engine.begin() as connection:
                    connection.execute(insert(reviews).values(job=identifier, level=level, **values))
            except IntegrityError as error:
                raise _seen_before() from error
        elif not self._change(update(reviews).where(_which(identifier, level, match)).values(values)):
            raise _changed()
        return {"job": identifier, "level": level, **values}

    def delete_review(self, identifier: str, level: str, match: str | None) -> None:
        if match is None:
            raise _seen_before()
        if not self._change(delete(reviews).where(_which(identifier, level, match))):
            raise _changed()

    def _change(self, statement: Any) -> bool:
        with self._table.engine.begin() as connection:
            return connection.execute(statement).rowcount == 1


def _which(identifier: str, level: str, match: str) -> Any:
    which = and_(reviews.c.job == identifier, reviews.c.level == level)
    return which if match == "*" else and_(which, reviews.c.version == match)


def _seen_before() -> Problem:
    return Problem(428, "There is a review of this level.", "Send its ETag in If-Match, so that no other's is lost.")


def _changed() -> Problem:
    return Problem(412, "The review is another by now, or gone.", "Read it again, then decide.")


def _members(path: Path) -> dict[str, zipfile.ZipInfo]:
    """Of a scene.mrb, by the name below its top folder; only those that are stored as they are."""
    try:
        with zipfile.ZipFile(path) as archive:
            stored = [one for one in archive.infolist() if one.compress_type == zipfile.ZIP_STORED and not one.is_dir()]
            return {one.filename.partition("/")[2]: one for one in stored}
    except (OSError, zipfile.BadZipFile):
        return {}


def _part(folder: Path, name: str, inside: str) -> Part | None:
    if not inside:
        path = folder / name
        return Part(path, 0, path.stat().st_size) if path.is_file() else None
    scene = folder / "scene.mrb"
    member = _members(scene).get(inside)
    if member is None:
        return None
    with scene.open("rb") as stream:
        stream.seek(member.header_offset + 26)  # lengths of name and extra field in the local header
        name_length, extra = int.from_bytes(stream.read(2), "little"), int.from_bytes(stream.read(2), "little")
    return Part(scene, member.header_offset + 30 + name_length + extra, member.file_size)


def _range(wanted: str | None, size: int) -> tuple[int, int]:
    """First and last byte. Raises Problem 416."""
    if not wanted:
        return 0, size - 1
    found = _RANGE.match(wanted.replace(" ", ""))
    first, last = (found[1], found[2]) if found else ("", "")
    if first:
        ends = int(first), min(int(last), size - 1) if last else size - 1
    elif last:
        ends = max(size - int(last), 0), size - 1
    else:
        ends = 1, 0
    if ends[0] > ends[1]:
        raise Problem(
            416, "That range is not in the file.", "Ask for one range within it.",
            headers={"Content-Range": f"bytes */{size}"},
        )  # fmt: skip
    return ends


def _bytes(part: Part, first: int, last: int) -> Iterator[bytes]:
    with part.path.open("rb") as stream:
        stream.seek(part.start + first)
        left = last - first + 1
        while left > 0 and (piece := stream.read(min(_PIECE, left))):
            left -= len(piece)
            yield piece
