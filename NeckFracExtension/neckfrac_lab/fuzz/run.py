"""A fuzz from its seed to its table."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from neckfrac.intake.dicom_headers import quiet_pydicom

from . import series_mutations  # noqa: F401 registers them
from .judge import BUGS, VERDICTS, Child, judge
from .neck import truth
from .series import MUTATIONS, base_series
from .volumes import FILE_MUTATIONS, base_volume


@dataclass(frozen=True)
class Case:
    """One mutated study and its verdict. number: with the seed and the group it gives the same bytes again."""

    group: str
    number: int
    mutations: tuple[str, ...]
    verdict: str
    told: str
    name: str = ""


def write_case(group: str, number: int, seed: int, folder: Path):
    """The case's files in a folder that is there; what to read, the truth, its mutations and its base's name."""
    generator = np.random.default_rng([seed, {"series": 0, "files": 1}[group], number])
    known = MUTATIONS if group == "series" else FILE_MUTATIONS
    whole = truth(int(generator.integers(4)))
    made = base_series(whole, generator) if group == "series" else base_volume(whole, generator)
    name = "DICOM" if group == "series" else made.main
    # Each in turn, alone most of the time; number 0 is the base itself.
    chosen = [sorted(known)[number % len(known)]] if number else []
    for mutation in chosen:
        try:
            with quiet_pydicom():
                known[mutation](made, generator)
        except (ValueError, KeyError, AttributeError, TypeError, OverflowError):  # pydicom would not write such
            chosen = ["(what can't be written)"]
    made.write(folder)
    return (folder if group == "series" else folder / made.main), made.truth, tuple(chosen), name


def cases(group: str, numbers: range, seed: int, progress: Callable[[Case], None] | None = None) -> Iterator[Case]:
    """Write, read and judge the cases of a group, "series" or "files"."""
    child = Child()
    try:
        for number in numbers:
            folder = Path(tempfile.mkdtemp(prefix="neckfrac-fuzz-"))
            try:
                source, whole, mutations, name = write_case(group, number, seed, folder)
                verdict, told = judge(child.read(source), whole)
            finally:
                shutil.rmtree(folder)
            case = Case(group, number, mutations, verdict, told.replace(str(folder), ""), name)
            if progress:
                progress(case)
            yield case
    finally:
        child.close()


def table(found: list[Case]) -> str:
    """Markdown: a mutation a row, a verdict a column."""
    head = "| mutation | " + " | ".join(VERDICTS) + " |"
    lines = []
    for group, title in (("series", "DICOM series"), ("files", "NIfTI, NRRD and MetaImage files")):
        rows: dict[str, Counter] = {}
        for case in found:
            if case.group == group:
                rows.setdefault(" + ".join(case.mutations) or "none", Counter())[case.verdict] += 1
        if not rows:
            continue
        lines += [f"## {title}", "", head, "|---" * (len(VERDICTS) + 1) + "|"]
        total = sum(rows.values(), Counter())
        for name, counts in [*sorted(rows.items()), ("**all**", total)]:
            lines.append(f"| {name} | " + " | ".join(str(counts[verdict] or "") for verdict in VERDICTS) + " |")
        lines.append("")
    return "\n".join(lines)


def bugs(found: list[Case]) -> list[Case]:
    """The cases that no product should show."""
    return [case for case in found if case.verdict in BUGS]
