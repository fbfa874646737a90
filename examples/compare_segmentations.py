"""One segmentation of C1 to C7 against another: overlap and distance of each level.

python examples/compare_segmentations.py LABELS REFERENCE

Both are files with labels 1 to 7 for C1 to C7 (or TotalSegmentator's 50 to 44), on any grid.
"""

import argparse
import sys
from pathlib import Path

import neckfrac


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compare two segmentations of the cervical vertebrae.")
    parser.add_argument("labels", type=Path)
    parser.add_argument("reference", type=Path)
    options = parser.parse_args(arguments)

    comparison = neckfrac.compare_files(options.labels, options.reference)
    for level in comparison.levels:
        if level.dice is None:
            print(f"{level.level}: {level.found}")
            continue
        distance = "" if level.hausdorff95_mm is None else f", 95 % Hausdorff distance {level.hausdorff95_mm:.1f} mm"
        print(f"{level.level}: Dice {level.dice:.3f}, surface Dice at 1 mm {level.surface_dice_1mm:.3f}{distance}")
        if level.lies_in:
            print(f"    most of it lies in the reference's {level.lies_in}")
    if comparison.mean_dice is not None:
        print(f"Mean Dice over the reference's levels: {comparison.mean_dice:.3f}")
    for flag in comparison.flags:
        print(f"Odd in the segmentation: {flag.sentence}")


if __name__ == "__main__":
    try:
        main()
    except neckfrac.InputError as error:
        sys.exit(str(error))
