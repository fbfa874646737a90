"""The worklist of a folder of results: a row a study, the likeliest fracture first, as JSON and CSV."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from ..errors import InputError
from ..findings import Findings
from .tables import json_text

JSON, CSV = "worklist.json", "worklist.csv"
SCHEMA = "1.0"
WHOLE = ("findings.json", "scene.mrb", "report.html")  # what a result folder must hold to be one
_INTERNAL = ("source", "input", "made_with")  # of no use to a reader of the table


@dataclass(frozen=True)
class WorklistRow:
    """One study. Patient's name and ID are here only as the result's findings.json holds them; never log them.

    study: its name in the searched folder. source: where it lies. result: its result folder's name, beside the
    worklist. status: "positive", "negative", "not seen", or "" without a result; error says why there is none.
    level: the level with the highest probability, "C3 or C4" when names are uncertain; uncertain_names: all readings.
    input, made_with: fingerprints of the study's files, and of networks and options (see `batch`). note: what a reader
    must know of the call (`Findings.note_on_call`).
    """

    study: str
    source: str
    result: str
    probability: float | None = None
    status: str = ""
    level: str = ""
    level_probability: float | None = None
    uncertain_names: str = ""
    patient_id: str = ""
    patient_name: str = ""
    study_date: str = ""
    seconds: float | None = None
    error: str = ""
    note: str = ""
    input: str = ""
    made_with: str = ""

    def with_findings(self, findings: Findings, seconds: float) -> WorklistRow:
        """The row of a study that has a result."""
        known = [level for level in findings.levels if level.probability is not None]
        highest = max(known, key=lambda level: level.probability, default=None)
        return replace(
            self,
            probability=findings.patient_probability,
            status=findings.patient_status,
            level=findings.naming.either(highest.level) if highest else "",
            level_probability=highest.probability if highest else None,
            uncertain_names=findings.naming.readings,
            patient_id=findings.study.patient_id,
            patient_name=findings.study.patient_name,
            study_date=findings.study.study_date,
            seconds=round(seconds, 2),
            error="",
            note=findings.note_on_call(),
        )

    @property
    def place(self) -> tuple[bool, float, str]:
        """By this the rows are sorted: high probabilities first, then studies without one, then errors."""
        return bool(self.error), 1.0 if self.probability is None else -self.probability, self.study


class Worklist:
    """The rows of one folder of results by their study's source."""

    def __init__(self, folder: Path, rows: list[WorklistRow] | None = None) -> None:
        self.folder = Path(folder)
        self._rows = {row.source: row for row in rows or []}

    @classmethod
    def read(cls, folder: Path | str) -> Worklist:
        """The worklist in `folder`; without rows when there is none. Raises InputError for a damaged one."""
        path, table = Path(folder) / JSON, Path(folder) / CSV
        if not path.exists():
            if os.path.lexists(table):
                raise InputError(
                    "A worklist of something else lies here.", where=table, advice="Choose another result folder."
                )
            return cls(Path(folder))
        known = {field.name for field in fields(WorklistRow)}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if str(content["schema"]).split(".")[0] != SCHEMA.split(".")[0]:
                raise ValueError(f"it has schema {content['schema']}, this version reads {SCHEMA}")
            rows = [{key: value for key, value in row.items() if key in known} for row in content["rows"]]
            return cls(Path(folder), [WorklistRow(**row) for row in rows])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"The worklist can't be read: {error}.",
                where=path,
                advice="Move it away, or choose another result folder.",
            ) from error

    @property
    def rows(self) -> list[WorklistRow]:
        """Sorted by the patient's probability; studies without a result last."""
        return sorted(self._rows.values(), key=lambda row: row.place)

    def of(self, source: str) -> WorklistRow | None:
        return self._rows.get(source)

    def put(self, row: WorklistRow) -> None:
        """Add a row, or replace its study's."""
        self._rows[row.source] = row

    def folder_of(self, row: WorklistRow) -> Path | None:
        """The row's result folder; None when its name is none, or leads elsewhere."""
        name = row.result
        return self.folder / name if name not in ("", ".", "..") and name == os.path.basename(name) else None

    def has_result(self, row: WorklistRow) -> bool:
        """Whether the row's result lies there whole."""
        folder = self.folder_of(row)
        return not row.error and folder is not None and all((folder / name).is_file() for name in WHOLE)

    def write(self, parts: Path | None = None) -> None:
        """Write both files, each whole or not at all. parts: a folder for what is not whole yet. Raises InputError."""
        rows, parts = self.rows, parts or self.folder
        content = json_text({"schema": SCHEMA, "rows": [asdict(row) for row in rows]}, indent=1)
        columns = [field.name for field in fields(WorklistRow) if field.name not in _INTERNAL]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            part = parts / f".{JSON}"
            part.write_text(content + "\n", encoding="utf-8")
            os.replace(part, self.folder / JSON)
            part = parts / f".{CSV}"
            with part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
                writer = csv.writer(file)
                writer.writerow(columns)
                writer.writerows([_cell(getattr(row, column)) for column in columns] for row in rows)
            os.replace(part, self.folder / CSV)
        except OSError as error:
            raise InputError(
                f"The worklist can't be written: {error.strerror or error}.",
                where=self.folder,
                advice="Choose a folder that you may write to; a table that is open elsewhere may be locked.",
            ) from error


def _cell(value: str | float | None) -> str:
    """A value for CSV. Text from a study that a spreadsheet would take for a formula gets an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"'{value}" if value[:1] in tuple("=+@\t\r") else value
