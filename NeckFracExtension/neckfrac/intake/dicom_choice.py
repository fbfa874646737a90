"""Which of a study's CT series is read: the one asked for, or the thinnest axial one when that is clear."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..study_warning import StudyWarning
from .dicom_headers import Frame
from .dicom_kernels import kernel_kind
from .dicom_series import Stack, arrange

SHORT = 60.0  # mm; less than half a cervical spine
MOST_LISTED = 40  # lines of an error
MOST_NUMBERS = 12  # in a line
SAME_SPACING = 1.1  # spacings within a tenth of the thinnest count as equal
_NECK = re.compile(r"neck|c[-_ ]?spine|\bc[-_ ]?sp\b|cervi|\bhws\b|halswirbel", re.IGNORECASE)


@dataclass(frozen=True)
class SeriesSummary:
    """One series as a list shows it. spacing: mm [z, y, x], empty where unknown. why_not: why it can't be read."""

    number: int | None
    uid: str
    description: str
    modality: str
    slices: int
    spacing: tuple[float, ...]
    kernel: str
    usable: bool
    why_not: str = ""

    def __str__(self) -> str:
        number = "-" if self.number is None else str(self.number)
        spacing = "" if not self.spacing else " of {:.2f} x {:.2f} x {:.2f} mm".format(*self.spacing)
        kernel = f", kernel {self.kernel}" if self.kernel else ""
        state = "" if self.usable else f" (not readable: {self.why_not})"
        images = "slice" if self.slices == 1 else "slices"
        name = self.description or "no description"
        return f"{number}: {name}, {self.modality or 'no modality'}, {self.slices} {images}{spacing}{kernel}{state}"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A series with its summary and, when usable, its stack, else the error that says why not."""

    frames: list[Frame]
    summary: SeriesSummary
    stack: Stack | None
    error: InputError | None

    @property
    def usable_stack(self) -> Stack:
        """The stack. Raises the error when there is none."""
        if self.stack is None:
            raise self.error or InputError("The series can't be read.", where=self.summary)
        return self.stack


def candidates(groups: Sequence[list[Frame]]) -> list[Candidate]:
    """Each series, arranged and summarised."""
    found = []
    for frames in groups:
        stack, error = None, None
        try:
            stack = arrange(frames)
        except InputError as problem:
            error = problem
        file, spacing = frames[0].file, ()
        if stack is not None:
            columns, rows = stack.geometry.pixel
            spacing = (stack.geometry.step, rows, columns)
        summary = SeriesSummary(
            number=file.series_number,
            uid=file.series_uid,
            description=file.description,
            modality=file.modality,
            slices=len(stack.frames if stack else frames),
            spacing=spacing,
            kernel=file.kernel,
            usable=stack is not None,
            why_not=error.what if error else "",
        )
        found.append(Candidate(frames, summary, stack, error))
    return found


def choose(found: Sequence[Candidate], series: str | None) -> tuple[Candidate, list[StudyWarning]]:
    """The series to read, with a warning where it was chosen among several.

    series: its UID or number, or None for the clear one. Raises InputError with the list of all series
    when it is unknown, can't be read, or is not clear.
    """
    listing = "\n".join(f"  {candidate.summary}" for candidate in found[:MOST_LISTED])
    if len(found) > MOST_LISTED:
        listing += f"\n  and {len(found) - MOST_LISTED} more"
    if series is not None:
        wanted = str(series).strip()
        matching = [c for c in found if c.summary.uid == wanted] or [
            c for c in found if wanted.isdecimal() and c.summary.number == int(wanted)
        ]
        if len(matching) > 1:
            usable = [c for c in matching if c.stack is not None]
            if len(usable) != 1:
                uids = "\n".join(f"  {c.summary.uid or 'no UID'}: {c.summary}" for c in matching)
                raise InputError(f"Several series have the number {wanted}.", advice=f"Choose one by its UID:\n{uids}")
            matching = usable
        if not matching:
            raise InputError(f"There is no series {wanted}.", advice=f"There are:\n{listing}")
        if matching[0].error is not None:
            raise matching[0].error
        return matching[0], []
    usable = [candidate for candidate in found if candidate.stack is not None]
    if not usable:
        if len(found) == 1:
            raise found[0].error
        raise InputError(
            f"None of the {len(found)} series (numbers {_numbers(found)}) is a CT that can be read.",
            advice=f"There are:\n{listing}",
        )
    if len(usable) == 1:
        # Reports, localizers and captures beside it are usual, but another CT is worth a word.
        rest = [c for c in found if c.stack is None and c.summary.modality == "CT"]
        text = f"Series {usable[0].summary} was read; the others can't be."
        return usable[0], [StudyWarning("other-series-unreadable", text, {"unreadable": len(rest)})] if rest else []
    if len({(c.frames[0].file.patient_id, c.frames[0].file.study_uid) for c in usable}) > 1:
        raise InputError(
            "There are several patients or studies here.",
            advice=f"Give one study's folder, or choose with --series UID or number ({_numbers(usable)}):\n{listing}",
        )
    chosen = _clear(usable)
    if chosen is None:
        raise InputError(
            "There are several CT series, and none was chosen.",
            advice=f"Choose one with --series, by UID or number ({_numbers(usable)}):\n{listing}",
        )
    text = (
        f"Of {len(usable)} CT series this one was read: {chosen.summary}. "
        "Another is chosen with --series UID or number."
    )
    return chosen, [StudyWarning("series-chosen", text, {"series": len(usable), "uid": chosen.summary.uid})]


def _numbers(usable: Sequence[Candidate]) -> str:
    """The series' numbers, in the line that a worklist shows of an error."""
    numbers = ["-" if c.summary.number is None else str(c.summary.number) for c in usable]
    return ", ".join(numbers[:MOST_NUMBERS]) + (" and others" if len(numbers) > MOST_NUMBERS else "")


def _clear(usable: Sequence[Candidate]) -> Candidate | None:
    """The one to read: axial, long enough, of the neck if any says so, thinnest, bone before soft; else None."""
    axial = [c for c in usable if abs(c.stack.geometry.axes[2, 2]) > np.cos(np.radians(45))]
    long = [c for c in axial if c.stack.geometry.distances[-1] >= SHORT] or axial
    neck = [c for c in long if _NECK.search(f"{c.summary.description} {c.frames[0].file.body_part}")] or long
    if not neck:
        return None
    thinnest = min(c.stack.geometry.step for c in neck)
    thin = [c for c in neck if c.stack.geometry.step <= thinnest * SAME_SPACING]
    longest = max(c.stack.geometry.distances[-1] for c in neck)
    if max(c.stack.geometry.distances[-1] for c in thin) < longest / 2:
        return None  # a thin detail scan beside a long one: which of them holds the neck is not clear
    if len(thin) == 1:
        return thin[0]
    for kind in ("bone", "soft"):
        matching = [c for c in thin if kernel_kind(c.summary.kernel, c.summary.description) == kind]
        if matching:
            return matching[0] if len(matching) == 1 else None
    return None
