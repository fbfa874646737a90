"""A simulated study leaves as NRRD with its truth, or as a DICOM CT series that any viewer accepts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from neckfrac import DISCLAIMER, __version__
from neckfrac.anatomy import CLASS_NAMES, LEVELS
from neckfrac.truth import TRUTH_SCHEMA_VERSION
from neckfrac.volume import CTVolume, to_image
from neckfrac.workspace import unwritable, whole_folder

if TYPE_CHECKING:
    from .study import SimulatedStudy

CT, LABELS, FRACTURE, TRUTH, SERIES = "ct.nrrd", "labels.nrrd", "fracture.nrrd", "truth.json", "dicom"


def truth_of(study: SimulatedStudy) -> dict[str, Any]:
    """The truth of a study, JSON-ready: what `truth.json` holds.

    levels: for each of C1...C7 fracture (1 when some of a fracture lies within the scan, else 0), kinds (of the
    fractures in view), box of the fracture and center of the vertebra (mm, LPS; None when out of view) and
    share_in_view. landmarks and measurements (mm, LPS) of the posed neck, in view or not. fractures, mimics, scanner
    and the rest as they were drawn.
    """
    drawn = dict(study.truth)
    levels = {}
    for level in LEVELS:
        box = _box(study.fracture == level.label, study.volume)
        kinds = [item["kind"] for item in drawn.get("fractures", []) if item["level"] == level.name]
        share = float(study.shares.get(level.name, 0.0))
        center = study.centers.get(level.name) if share > 0 else None
        levels[level.name] = {
            "fracture": int(box is not None),
            "kinds": kinds if box is not None else [],
            "box": box,
            "center": None if center is None else [float(v) for v in center],
            "share_in_view": share,
        }
    head = {
        "schema": TRUTH_SCHEMA_VERSION,
        "software": f"NeckFrac {__version__}",
        "disclaimer": DISCLAIMER,
        "simulated": True,
        "coordinates": "mm, LPS",
        "classes": {str(value): name for value, name in enumerate(CLASS_NAMES)},
        "geometry": {
            "shape": list(study.volume.shape),
            "spacing": study.volume.spacing.tolist(),
            "affine": study.volume.affine.tolist(),
        },
        "levels": levels,
    }
    if study.posed is not None:
        from .landmarks import record

        head |= record(study.posed)
    return head | {key: value for key, value in drawn.items() if key not in head}


def export_nrrd(study: SimulatedStudy, folder: Path) -> Path:
    """ct.nrrd (int16 HU), labels.nrrd, fracture.nrrd (uint8) and truth.json, whole or not at all.

    Raises InputError when `folder` can't be written or already holds something.
    """
    return export_study(study, folder, nrrd=True, dicom=False)


def export_dicom(study: SimulatedStudy, folder: Path) -> Path:
    """One CT image a slice, whole or not at all; UIDs follow from the study's content alone.

    Raises InputError when `folder` can't be written or already holds something, or when rows and columns of
    the volume are not perpendicular, which DICOM can't say.
    """
    with study_folder(Path(folder)) as place:
        _write_series(study, place)
    return Path(folder)


def export_study(study: SimulatedStudy, folder: Path, *, nrrd: bool = True, dicom: bool = False) -> Path:
    """NRRD files and truth.json in `folder`, and a DICOM series in its folder ``dicom``, all or none of them."""
    with study_folder(Path(folder)) as place:
        if nrrd:
            _write_volumes(study, place)
        if dicom:
            (place / SERIES).mkdir()
            _write_series(study, place / SERIES)
        text = json.dumps(truth_of(study), indent=1, default=_plain)
        (place / TRUTH).write_text(text + "\n", encoding="utf-8")
    return Path(folder)


@contextmanager
def study_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes `folder` when all went well, and is gone otherwise. Raises InputError."""
    what = "simulated study"
    try:
        with whole_folder(folder, what=what) as place:
            yield place
    except RuntimeError as error:  # so SimpleITK reports what it can't write
        raise unwritable(folder, what, OSError("the files could not be written")) from error


def _box(mask: np.ndarray, volume: CTVolume) -> dict[str, list[float]] | None:
    """The box (mm, LPS) around the voxels of a mask [z, y, x], borders included."""
    if not mask.any():
        return None
    spans = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    edges = np.stack(np.meshgrid(*((s[0] - 0.5, s[-1] + 0.5) for s in spans), indexing="ij"), axis=-1).reshape(-1, 3)
    points = volume.to_points(edges)
    return {"lower": points.min(axis=0).tolist(), "upper": points.max(axis=0).tolist()}


def _plain(value: Any) -> Any:
    """NumPy numbers and arrays for JSON."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in the truth file")


def _write_volumes(study: SimulatedStudy, place: Path) -> None:
    import SimpleITK as sitk

    affine = study.volume.affine
    for name, voxels in ((CT, study.volume.voxels), (LABELS, study.labels), (FRACTURE, study.fracture)):
        sitk.WriteImage(to_image(CTVolume(voxels, affine)), str(place / name), useCompression=True)


def _write_series(study: SimulatedStudy, place: Path) -> None:
    from .dicom_series import slices

    for number, dataset in enumerate(slices(study), start=1):
        dataset.save_as(place / f"CT{number:04d}.dcm", enforce_file_format=True)
