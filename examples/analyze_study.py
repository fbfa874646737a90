"""Analyse one study and write its result folder.

python examples/analyze_study.py STUDY RESULT [--operating-point sensitive]
"""

import argparse
import sys
from pathlib import Path

import neckfrac


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Analyse one neck CT.")
    parser.add_argument("study", help="DICOM folder or zip; NIfTI, NRRD or MetaImage file")
    parser.add_argument("result", type=Path, help="folder for the result; must not hold anything yet")
    parser.add_argument("--operating-point", default="balanced", help="sensitive, balanced or specific")
    parser.add_argument("--models", type=Path, help="folder of bundles; default: those that come with NeckFrac")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    options = parser.parse_args(arguments)

    analysis = neckfrac.analyze(
        options.study, operating_point=options.operating_point, models_dir=options.models, device=options.device
    )
    findings = analysis.findings

    print(f"Patient: {findings.patient_status}")
    for level in findings.levels:
        if level.probability is None:
            print(f"{level.level}: not seen")  # which is never the same as negative
        else:
            seen = f"{level.share_in_view:.0%} in view"
            print(f"{level.level}: {level.verdict}, probability {level.probability:.3f}, {seen}")
            if level.box is not None:
                x, y, z = level.box.center
                print(f"    suspected about ({x:.0f}, {y:.0f}, {z:.0f}) mm, LPS")
    for warning in findings.warnings:
        print(f"Note: {warning}")

    # Another operating point calls the same probabilities anew; nothing is computed again.
    for point in findings.thresholds:
        called = [level.level for level in findings.at(point).positive]
        print(f"At the {point} point: {', '.join(called) or 'no level'}")

    # Labels lie on the CT's own voxels, [z, y, x]; 1 to 7 are C1 to C7.
    voxel_ml = abs(analysis.volume.spacing.prod()) / 1000
    print(f"Segmented: {(analysis.labels > 0).sum() * voxel_ml:.1f} ml")

    neckfrac.write_result(analysis, options.result)
    print(f"Result: {options.result}")
    print(neckfrac.DISCLAIMER)


if __name__ == "__main__":
    try:
        main()
    except neckfrac.InputError as error:  # says what is wrong, where, and what to do
        sys.exit(str(error))
