"""Simulated studies laid out as the RSNA 2022 data set, so that what reads that can be tried without patients."""

from __future__ import annotations

import csv
import json
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from neckfrac import DISCLAIMER, __version__
from neckfrac.anatomy import LEVEL_NAMES, LEVELS, THORACIC
from neckfrac.errors import InputError
from neckfrac.progress import Progress
from neckfrac.volume import CTVolume, to_image

from .command import LEAST_VOXELS, neck_of

if TYPE_CHECKING:
    from .neck import Neck
    from .study import SimulatedStudy

LABELS, BOXES, IMAGES, SEGMENTATIONS = "train.csv", "train_bounding_boxes.csv", "train_images", "segmentations"
SIMULATED = "simulated.json"
TRIES = 8  # draws of fractures until one lies within the scan


def write_rsna_layout(
    folder: Path,
    studies: int,
    seed: int,
    *,
    anatomy: Path | None = None,
    spacing: tuple[float, float, float] = (1.0, 0.6, 0.6),
    size: tuple[int, int, int] = (200, 256, 256),
    plain: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write train.csv, train_images, segmentations and train_bounding_boxes.csv of simulated studies about C4.

    The first and every second study after it is fractured. Every fourth has no segmentation, and of every sixth the
    boxes are missing too, so that what is absent in the real data is absent here. Slices are numbered from above, as
    scanners mostly do, in two studies, then from below in two. simulated.json says that there is no patient, and
    the truth. anatomy, spacing, size, plain: as `simulate_to_folder`. Raises InputError for an output that
    can't be written or holds something, or when no fracture lies within the scan; then nothing is left.
    """
    from .export import study_folder

    progress = progress or Progress()
    if studies < 1 or min(size) < 2 or not all(0 < value < inf for value in spacing):
        raise InputError(
            "There must be at least one study, 2 voxels along every axis, and a positive spacing.",
            where=f"{studies} studies, size {size}, spacing {spacing}", advice="Change the number, size or spacing.",
        )  # fmt: skip
    labels, boxes, truths = [], [], {}
    with study_folder(Path(folder)) as place:
        (place / IMAGES).mkdir()
        (place / SEGMENTATIONS).mkdir()
        neck = None
        for number in range(studies):
            with progress.stage(f"Simulating study {number + 1} of {studies}", until=(number + 1) / studies):
                neck = neck if plain and neck else neck_of(anatomy, None if plain else seed + number)
                progress.step(0.2)
                study = _study(neck, seed + number, spacing, size, plain=plain, fractured=number % 2 == 0)
                progress.step(0.8)
                uid = _write_images(study, place / IMAGES, from_above=number % 4 < 2)
                broken = fractured_levels(study)
                labels.append([uid, int(bool(broken)), *(int(name in broken) for name in LEVEL_NAMES)])
                if number % 4 != 3:
                    _write_segmentation(study, place / SEGMENTATIONS / f"{uid}.nii")
                if number % 6 != 4:
                    boxes += [[uid, *box] for box in slice_boxes(study, broken, from_above=number % 4 < 2)]
                truths[uid] = _truth(study)
        _write_table(place / LABELS, ["StudyInstanceUID", "patient_overall", *LEVEL_NAMES], labels)
        _write_table(place / BOXES, ["StudyInstanceUID", "x", "y", "width", "height", "slice_number"], boxes)
        about = {"simulated": True, "software": f"NeckFrac {__version__}", "disclaimer": DISCLAIMER, "seed": seed}
        (place / SIMULATED).write_text(json.dumps(about | {"studies": truths}, indent=1) + "\n", encoding="utf-8")


def fractured_levels(study: SimulatedStudy) -> list[str]:
    """The levels of which enough of a fracture lies within the scan to be seen."""
    counts = np.bincount(study.fracture.ravel(), minlength=len(LEVELS) + 1)
    return [level.name for level in LEVELS if counts[level.label] >= LEAST_VOXELS]


def slice_boxes(study: SimulatedStudy, levels: list[str], *, from_above: bool) -> list[list[int]]:
    """x, y, width, height (pixels) and slice number around each level's fracture, slice by slice.

    x, y: of the upper left pixel. from_above: slice 1 is the uppermost, else the lowest.
    """
    boxes = []
    for level in LEVELS:
        mask = study.fracture == level.label
        for z in np.flatnonzero(mask.any(axis=(1, 2))) if level.name in levels else ():
            rows, columns = np.flatnonzero(mask[z].any(axis=1)), np.flatnonzero(mask[z].any(axis=0))
            number = len(mask) - z if from_above else z + 1
            size = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
            boxes.append([int(value) for value in (columns[0], rows[0], *size, number)])
    return boxes


def _study(
    neck: Neck, seed: int, spacing: tuple[float, float, float], size: tuple[int, int, int], *, plain: bool,
    fractured: bool,
) -> SimulatedStudy:  # fmt: skip
    """A study about C4, drawn anew until a fracture lies within it when one is wanted."""
    from .fractures.fracture import draw_fractured_levels, random_fracture
    from .pose import Variation
    from .scanner import Scanner
    from .study import Grid, simulate_study

    for attempt in range(TRIES):
        generator = np.random.default_rng([13, seed, attempt])
        levels = draw_fractured_levels(generator) if fractured else []
        study = simulate_study(
            neck,
            seed=seed,
            grid=Grid(size, spacing, ("C4", (0.0, 12.0, 0.0))),
            fractures=[random_fracture(name, neck.frames[name], seed=seed + 1000 * attempt) for name in levels],
            variation=Variation.plain() if plain else Variation(),
            scanner=Scanner.clean() if plain else Scanner.random(generator, cuts=False),
        )
        if bool(fractured_levels(study)) == fractured:
            return study
    raise InputError("No fracture lies within the scan.", advice="Make the scan larger or finer (--size, --spacing).")


def _write_images(study: SimulatedStudy, place: Path, *, from_above: bool) -> str:
    """The study's series in a folder of its UID, a file a slice named by its number; the UID."""
    from .dicom_series import slices

    count = study.volume.shape[0]
    for number, dataset in enumerate(slices(study), start=1):
        dataset.InstanceNumber = count + 1 - number if from_above else number
        folder = place / dataset.StudyInstanceUID
        folder.mkdir(exist_ok=True)
        dataset.save_as(folder / f"{dataset.InstanceNumber}.dcm", enforce_file_format=True)
    return str(dataset.StudyInstanceUID)


def _write_segmentation(study: SimulatedStudy, path: Path) -> None:
    """C1...C7 as 1...7, T1 as 8, lower ones as 9, on axes that run against those of the images, as in the real data."""
    import SimpleITK as sitk

    labels = np.where(study.labels <= THORACIC, study.labels, 0)[::-1, ::-1]
    affine = study.volume.affine.copy()
    affine[:3, 3] = study.volume.to_points(np.array([labels.shape[0] - 1, labels.shape[1] - 1, 0]))
    affine[:3, 1:3] *= -1
    sitk.WriteImage(to_image(CTVolume(labels, affine)), str(path))


def _truth(study: SimulatedStudy) -> dict[str, Any]:
    from .export import truth_of

    return {"levels": truth_of(study)["levels"]}


def _write_table(path: Path, columns: list[str], rows: list[list[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])
