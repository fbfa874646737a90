"""`python -m neckfrac_lab.fuzz`: mutated series and files, and a table of what the product made of them."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from .run import bugs, cases, table, write_case

ABOUT = """# Robustness against broken inputs

Small studies, each with one mutation of a real kind, are read by `neckfrac.intake.study.read_study` in a child
process with limits of time and memory that the product can't catch. *Refused* (an error that says what, where and
what to do), *read with a warning* and *read as it is* (geometry and HU are those before the mutation) are fine.
A traceback, a hang, memory beyond what the files justify, and a **silent difference** (geometry or HU differ from the
truth and no warning says so) are bugs. Where nothing in the data can tell (a byte of uncompressed pixels; the one
field that gives the spacing of an NRRD), the mutation is left out or that many voxels may differ.

Made by `{command}` in {minutes:.0f} min; {bugs} bugs in {count} cases.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run, print each bug as it is found, write the table; 1 when there was a bug."""
    parser = argparse.ArgumentParser(prog="python -m neckfrac_lab.fuzz", description=__doc__)
    parser.add_argument("--series", type=int, default=1000, help="mutated DICOM series")
    parser.add_argument("--files", type=int, default=300, help="mutated volume files")
    parser.add_argument("--start", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="end after so long, wherever it is")
    parser.add_argument("--table", type=Path, help="write the table to this Markdown file")
    parser.add_argument("--keep", nargs=3, metavar=("GROUP", "NUMBER", "FOLDER"), help="only write one case's files")
    options = parser.parse_args(arguments)
    if options.keep:
        group, number, folder = options.keep[0], int(options.keep[1]), Path(options.keep[2])
        folder.mkdir(parents=True)
        print(*write_case(group, number, options.seed, folder)[::2], sep="\n")
        return 0
    found, begin = [], time.monotonic()

    def told(case) -> None:
        found.append(case)
        if bugs([case]):
            last = (case.told.strip().splitlines() or [""])[-1]
            print(
                f"{case.group} {case.number} {case.name} {'+'.join(case.mutations)}: {case.verdict}: {last}", flush=True
            )

    for group, count in (("files", options.files), ("series", options.series)):
        for _ in cases(group, range(options.start, options.start + count), options.seed, told):
            if time.monotonic() - begin > 60 * options.minutes:
                break
    counts = f"--series {options.series} --files {options.files} --seed {options.seed}"
    if options.minutes < float("inf"):
        counts += f" --minutes {options.minutes:g}"
    minutes = (time.monotonic() - begin) / 60
    command = f"python -m neckfrac_lab.fuzz {counts}" + (f" --start {options.start}" if options.start else "")
    text = ABOUT.format(command=command, minutes=minutes, bugs=len(bugs(found)), count=len(found)) + "\n" + table(found)
    if options.table:
        options.table.parent.mkdir(parents=True, exist_ok=True)
        options.table.write_text(text, encoding="utf-8")
    else:
        print(text)
    return 1 if bugs(found) else 0


if __name__ == "__main__":
    sys.exit(main())
