"""Pictures of the worst errors, drawn while their studies are at hand: the CT, the true fracture, the answered box."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from neckfrac.anatomy import LEVEL_BY_NAME
from neckfrac.findings import Analysis, Box

from .summary import worst

if TYPE_CHECKING:
    from .cases import Known

FOLDER = "pictures"
HALF, PIXEL = (32.0, 38.0), 0.25  # mm
# Okabe and Ito's sky blue and orange: told apart by colour-blind readers.
TRUE, ANSWERED = (86, 180, 233), (230, 159, 0)


def picture_name(case: str, level: str) -> str:
    """The file of one error."""
    return f"{case}-{level}.png"


def keep_worst(
    out: Path, records: list[dict[str, Any]], thresholds: dict[str, dict[str, float]], case: str, known: Known,
    analysis: Analysis,
) -> None:  # fmt: skip
    """Draw the newest case's errors that are among the worst so far; remove pictures that no longer are."""
    from neckfrac.output.images import write_png

    folder, kept = out / FOLDER, set()
    for _, record, level, _ in worst(records, thresholds):
        kept.add(picture_name(record["case"], level))
        if record["case"] == case:
            folder.mkdir(parents=True, exist_ok=True)
            write_png(draw(known, analysis, level), folder / picture_name(case, level))
    drawn = {picture_name(record["case"], name) for record in records for name in LEVEL_BY_NAME}
    for name in drawn - kept:  # nothing else that may lie there
        (folder / name).unlink(missing_ok=True)


def draw(known: Known, analysis: Analysis, level: str) -> np.ndarray:
    """Axial and sagittal crop side by side, bone window: RGB. Through the true fracture, else through the answer."""
    from neckfrac.output.images import frame, write
    from neckfrac.output.planes import Plane, gray, sample

    answered = next((finding.region for finding in analysis.findings.levels if finding.level == level), None)
    true = next((marked.box for marked in known.boxes or () if marked.level == level), None)
    center = _center(true or answered, analysis, known, level)
    pictures = []
    for name in ("axial", "sagittal"):
        plane = Plane(name, center, HALF, PIXEL)
        picture = gray(plane, analysis)[..., None].repeat(3, axis=2)
        if known.fracture is not None:
            broken = known.fracture == LEVEL_BY_NAME[level].label
            _outline(picture, sample(plane, known.study.volume, broken))
        for box, color in ((true, TRUE), (answered, ANSWERED)):
            if box is not None and _meets(plane, box):
                frame(picture, plane.rectangle(box), color, 2)
        top, bottom, left, right = plane.letters
        height, width = picture.shape[:2]
        for letter, row, column in zip(
            (top, bottom, left, right), (12, height - 12, height / 2, height / 2),
            (width / 2, width / 2, 10, width - 10), strict=True,
        ):  # fmt: skip
            write(picture, letter, row, column, 11)
        pictures.append(picture)
    gap = np.full((pictures[0].shape[0], 6, 3), 255, np.uint8)
    return np.concatenate([pictures[0], gap, pictures[1]], axis=1)


def _center(box: Box | None, analysis: Analysis, known: Known, level: str) -> np.ndarray:
    """Where to look: the box's middle, the level's as answered or as it truly is, the scan's middle."""
    if box is not None:
        return box.center
    found = next((f.center for f in analysis.findings.levels if f.level == level and f.center), None)
    if found is not None:
        return np.array(found)
    volume, label = analysis.volume, LEVEL_BY_NAME[level].label
    if known.labels is not None and (known.labels == label).any():
        return volume.to_points(np.argwhere(known.labels == label).mean(axis=0))
    return volume.to_points((np.array(volume.shape) - 1) / 2)


def _meets(plane, box: Box) -> bool:
    """Whether the plane passes through the box."""
    through = plane.directions[2]
    return bool(np.dot(box.lower, through) <= np.dot(plane.center, through) <= np.dot(box.upper, through))


def _outline(picture: np.ndarray, share: np.ndarray) -> None:
    """The edge of a mask that was sampled as 0...1, in place."""
    from scipy import ndimage

    inside = share > 0.5
    picture[ndimage.binary_dilation(inside) & ~inside] = TRUE
