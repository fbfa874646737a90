"""Every study below a folder into one table: a row a study, a column a level.

python examples/batch_folder.py FOLDER TABLE.csv

For result folders, resuming, and a worklist, there is `neckfrac batch`.
"""

import argparse
import csv
import sys
from pathlib import Path

import neckfrac

try:
    import pandas as pd
except ImportError:
    pd = None


def row_of(study: neckfrac.Study, engine: neckfrac.Engine) -> dict[str, object]:
    """What the table says of a study that was read."""
    findings = engine.analyze(study).findings
    row: dict[str, object] = {"call": findings.patient_status, "patient": findings.patient_probability}
    for level in findings.levels:
        row[level.level] = level.probability  # None where the level was not seen
    # Names that are not certain shift all levels together: whoever reads the columns has to know.
    row["names"] = findings.naming.readings
    return row


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Analyse every neck CT below a folder.")
    parser.add_argument("folder", help="DICOM folders, zips, NIfTI, NRRD or MetaImage files")
    parser.add_argument("table", type=Path, help="CSV file to write; must not exist")
    parser.add_argument("--models", type=Path, help="folder of bundles; default: those that come with NeckFrac")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    options = parser.parse_args(arguments)

    studies = neckfrac.find_studies(options.folder)
    engine = neckfrac.Engine(options.models, options.device)  # loaded once, for all studies
    levels = [f"C{number}" for number in range(1, 8)]
    with options.table.open("x", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["study", "call", "patient", *levels, "names", "error"])
        writer.writeheader()
        for number, found in enumerate(studies, 1):
            print(f"{number} of {len(studies)}: {found.name}", flush=True)
            try:
                row = row_of(neckfrac.read_study(found.files), engine)
            except neckfrac.InputError as error:  # one study's fault is not the others'
                row = {"error": " ".join(str(error).split())}
            writer.writerow({"study": found.name, **row})

    if pd is not None:
        table = pd.read_csv(options.table)
        print(table.sort_values("patient", ascending=False)[["study", "call", "patient"]].to_string(index=False))
        print(table[levels].describe().loc[["count", "mean", "max"]].round(3).to_string())
    print(f"Table: {options.table}")
    print(neckfrac.DISCLAIMER)


if __name__ == "__main__":
    try:
        main()
    except (neckfrac.InputError, FileExistsError) as error:
        sys.exit(str(error))
