"""Single vertebrae of the RSNA 2022 data set, as `vertebra_sample` simulates them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from neckfrac.anatomy import LEVELS, N_LEVELS
from neckfrac.errors import InputError
from neckfrac.pipeline.coverage import NO_DATA
from neckfrac.pipeline.grids import FINE_SPACING, Lattice, resample
from neckfrac.progress import Progress
from neckfrac.volume import CTVolume
from scipy import ndimage

from .cache import Sample
from .rsna import RSNAData, SliceBox
from .samples import VERTEBRA_SHAPE

if TYPE_CHECKING:
    from neckfrac.pipeline.engine import Networks

LEAST_ML = 2.0  # of a vertebra, ml: a small child's is twice that
BORDER = 3.0  # mm from the first or last slice within which a level counts as cut: its tips are not outlined to the end
# Dark streaks from metal reach as low and cross bone too, but are narrower (mm) than where the data end. So many
# voxels without data may touch a vertebra all the same: a gas bubble, the throat's air.
STREAK, TOUCHED = 5.0, 20


def rsna_samples(
    data: RSNAData, uid: str, networks: Networks | None = None, *, progress: Progress | None = None
) -> Iterator[Sample]:
    """One sample for each of C1...C7 that lies whole in the scan, upper ones first.

    As `vertebra_sample`: hu int16, labels uint8 (classes of `anatomy`) and fracture uint8 (level label), of
    VERTEBRA_SHAPE at FINE_SPACING along L, P, S, centred on the vertebra's extent, air beyond the scan; level, kind
    (known of no patient: "unknown" when fractured, else ""), severity 0. And bool: fractured, as train.csv says;
    located, whether `fracture` tells the place: True when the level is whole (then it is empty, and rightly so) or
    boxes lie on it, False when it is fractured and nobody drew where (then it is empty, and says nothing).

    Levels are those of the segmentation, else of `networks` when these are certain of the names; without either
    there are no samples. Raises InputError when the study can't be read or no levels can be had.
    """
    progress = progress or Progress()
    stored = data.read(uid, progress=progress.part(0.0, 0.3))
    labels = data.read_segmentation(uid, stored)
    if labels is None:
        labels = find_levels(stored, networks, progress.part(0.3, 0.9))
    boxes = data.read_boxes(uid, stored)
    volume, reorientation = stored.canonical()
    labels = CTVolume(reorientation.apply(labels), volume.affine)
    fractured = data.labels[uid]
    broken = mark_fractures(labels, boxes, [level.label for level in LEVELS if fractured[level.name]])
    extents = ndimage.find_objects(labels.voxels, max_label=N_LEVELS)
    for level in whole_levels(labels.voxels, volume):
        lattice = lattice_about(labels, level, extents[level - 1])
        name = LEVELS[level - 1].name
        fracture = resample(broken, lattice, nearest=True, fill=0)
        yield {
            "hu": resample(volume, lattice, sharp=True).astype(np.int16, copy=False),
            "labels": resample(labels, lattice, nearest=True, fill=0),
            "fracture": fracture,
            "level": np.int64(level),
            "kind": np.array("unknown" if fractured[name] else ""),
            "severity": np.float32(0.0),
            "fractured": np.bool_(fractured[name]),
            "located": np.bool_(not fractured[name] or (fracture == level).any()),
        }


def find_levels(volume: CTVolume, networks: Networks | None, progress: Progress) -> np.ndarray:
    """C1...C7 as our own networks see them, and T1 and the skull about them: uint8 on the volume's voxels.

    Raises InputError when there are no networks, they find no neck, or they are not certain of its names.
    """
    from neckfrac.pipeline.grids import coarse
    from neckfrac.pipeline.locate import locate
    from neckfrac.pipeline.segment import anchors_onto_volume, onto_volume, segment

    if networks is None:
        raise InputError("The study has no segmentation, and there are no networks to make one.")
    canonical, reorientation = volume.canonical()
    located = locate(*coarse(canonical), progress=progress.part(0.0, 0.3), **networks.arguments("locate"))
    if not located.found:
        raise InputError(f"No cervical spine found. {located.reason}")
    if not located.naming.certain:
        raise InputError("The names of the levels are uncertain.")
    segmented = segment(
        canonical, located, progress=progress.part(0.3, 1.0), anchors=True, **networks.arguments("segment")
    )
    levels, anchors = np.zeros(volume.shape, np.uint8), np.zeros(volume.shape, np.uint8)
    onto_volume(segmented, canonical, reorientation.apply(levels))
    anchors_onto_volume(segmented, canonical, reorientation.apply(anchors))
    return np.where(levels > 0, levels, anchors)


def whole_levels(labels: np.ndarray, volume: CTVolume) -> list[int]:
    """The labels of C1...C7 that no end of the scan or of its field of view cuts, and that are no mere specks.

    labels: uint8 on the volume's voxels; both with canonical axes.
    """
    whole = []
    for level, box in enumerate(ndimage.find_objects(labels, max_label=N_LEVELS), start=1):
        if box is None:
            continue
        gaps = np.array([min(part.start, n - part.stop) for part, n in zip(box, labels.shape, strict=True)])
        uncut = (gaps * volume.spacing >= (BORDER, 0.5, 0.5)).all()
        around = np.ceil((STREAK + 1) / volume.spacing).astype(int)
        wide = tuple(slice(max(p.start - n, 0), p.stop + n) for p, n in zip(box, around, strict=True))
        mask, no_data = labels[wide] == level, volume.voxels[wide] <= NO_DATA
        near = ndimage.binary_dilation(mask)
        if np.count_nonzero(near & no_data) > TOUCHED:
            size = (1, *np.maximum(np.rint(STREAK / volume.spacing[1:]).astype(int), 2))
            inner = ndimage.minimum_filter(no_data.astype(np.uint8), size, mode="constant")
            broad = ndimage.maximum_filter(inner, size, mode="constant", origin=(0, *(n % 2 - 1 for n in size[1:])))
            uncut = uncut and np.count_nonzero(near & (broad > 0)) <= TOUCHED
        ml = np.count_nonzero(mask) * float(np.prod(volume.spacing)) / 1000
        if uncut and ml >= LEAST_ML:
            whole.append(level)
    return whole


def lattice_about(labels: CTVolume, level: int, box: tuple[slice, ...]) -> Lattice:
    """The fine grid of VERTEBRA_SHAPE whose middle is that of the vertebra's extent along L, P, S.

    box: where in the labels it lies. Its largest piece counts: a stray voxel far away must not move the grid.
    """
    pieces, _ = ndimage.label(labels.voxels[box] == level)
    largest = np.bincount(pieces.ravel())[1:].argmax() + 1
    points = labels.to_points(np.argwhere(pieces == largest) + [part.start for part in box])
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    origin = middle - (np.array(VERTEBRA_SHAPE) - 1)[::-1] / 2 * FINE_SPACING[::-1]
    return Lattice(VERTEBRA_SHAPE, FINE_SPACING, tuple(float(value) for value in origin))


def mark_fractures(labels: CTVolume, boxes: Sequence[SliceBox], fractured: Sequence[int]) -> CTVolume:
    """The voxels of fractured levels inside the boxes (uint8: 0 or the level's label), on the labels' grid.

    A box does not say whose it is: it goes to the fractured level of which it holds most, or to none.
    """
    marks = np.zeros(labels.shape, np.uint8)
    for drawn in boxes:
        # At least as thick as the fine grid's slices, so that no box falls between two of them.
        box = replace(drawn, size=np.maximum(drawn.size, (0, 0, FINE_SPACING[0])))
        bounds = box.box
        corners = np.array(np.meshgrid(*zip(bounds.lower, bounds.upper, strict=True))).reshape(3, -1).T
        indices = labels.to_indices(corners)
        lower = np.clip(np.floor(indices.min(axis=0)).astype(int), 0, labels.shape)
        part = labels.crop(lower, np.ceil(indices.max(axis=0)) + 1)
        if 0 in part.shape:
            continue
        inside = box.holds(part.to_points(np.moveaxis(np.indices(part.shape), 0, -1)))
        counts = np.bincount(part.voxels[inside], minlength=256)
        level = max(fractured, key=lambda label, counts=counts: counts[label], default=0)
        if level and counts[level]:
            view = marks[tuple(slice(a, a + n) for a, n in zip(lower, part.shape, strict=True))]
            view[inside & (part.voxels == level)] = level
    return CTVolume(marks, labels.affine)
