"""The studies of an RSNA 2022 folder as cases: what its tables, boxes and segmentations say of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from neckfrac.anatomy import LEVEL_NAMES, T1
from neckfrac.comparison.scoring import span
from neckfrac.findings import Box, StudyIdentity

from .boxes import Marked, overlap
from .cases import Case, Known

if TYPE_CHECKING:
    from neckfrac_lab.training.rsna import RSNAData, SliceBox


def rsna_cases(data: RSNAData) -> Iterator[Case]:
    """Every study that has images, in the table's order."""
    for uid in data.labels:
        yield Case(uid, partial(_read, data, uid))


def _read(data: RSNAData, uid: str) -> Known:
    """Levels as the table says; which of them lie within the scan is known of studies with a segmentation alone."""
    from neckfrac.intake.study import Study

    from ..segmentation import shares_of_labels

    volume, table = data.read(uid), data.labels[uid]
    labels = data.read_segmentation(uid, volume)
    shares = {}
    if labels is not None:
        labels = np.where(labels <= T1, labels, 0).astype(np.uint8)
        shares = shares_of_labels(labels, volume)
    patient = table["patient_overall"]
    boxes = None if patient and not data.has_boxes(uid) else merged(data.read_boxes(uid, volume))
    return Known(
        Study(volume, StudyIdentity(source=data.folder.name)), {name: table[name] for name in LEVEL_NAMES}, patient,
        boxes, {"slice thickness": span(float(volume.spacing[0]), (1.5, 3.0), "mm")}, {}, labels, shares,
    )  # fmt: skip


def merged(slices: Sequence[SliceBox]) -> tuple[Marked, ...]:
    """One box (mm, LPS) of those on neighbouring slices that overlap; its level is not known.

    A fracture was boxed slice by slice, so that one fracture is a stack of boxes; gaps of one slice are bridged.
    """
    stacks: list[Box] = []
    for part in sorted(slices, key=lambda part: part.center[2]):
        box = part.box
        reach = np.array([0.0, 0.0, 1.1 * part.size[2]])  # up to the slice after the next
        grown = Box(tuple(box.lower - reach), tuple(box.upper + reach))
        near = [other for other in stacks if overlap(grown, other) > 0]
        lower = np.min([box.lower, *(other.lower for other in near)], axis=0)
        upper = np.max([box.upper, *(other.upper for other in near)], axis=0)
        stacks = [other for other in stacks if other not in near]
        stacks.append(Box(tuple(map(float, lower)), tuple(map(float, upper))))
    return tuple(Marked(box) for box in stacks)


def is_rsna(folder: Path) -> bool:
    """Whether a folder is laid out as the RSNA 2022 archive unpacks."""
    from neckfrac_lab.training.rsna import LABELS

    return (Path(folder) / LABELS).is_file()
