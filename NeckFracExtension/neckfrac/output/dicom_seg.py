"""The segmented levels as a DICOM Segmentation (PS3.3 A.51), which viewers lay over the CT series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..anatomy import LEVELS, Level
from ..errors import InputError
from ..findings import Findings
from ..volume import CTVolume
from .dicom_codes import ANATOMICAL_STRUCTURE, ARTIFICIAL_INTELLIGENCE, Concept
from .dicom_source import SourceSeries, need_highdicom, read_source
from .dicom_writing import new_object, new_uid, write_whole

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SERIES_NUMBER = 7001  # far from a scanner's own


def write_segmentation(
    path: Path, files: Sequence[str | Path] | SourceSeries, labels: CTVolume, findings: Findings, *,
    edited: bool = False,
) -> None:  # fmt: skip
    """Write C1 to C7, as far as they are labelled, as one segment a level; whole or not at all.

    files: of the CT series, in any order. labels: label values of `anatomy` ([z, y, x]; others are left out) and
    where they lie; on the series' own grid, in any orientation, each frame refers to the slice it lies on, otherwise
    the frames have their own grid in the same frame of reference. edited: by a reader, or given, so not automatic.
    Segments are BINARY, frames without a voxel are left out. Segment Property Type: CID 7603 (a level), Category:
    CID 7150, Algorithm Family: CID 7162.
    Raises InputError without a level, for a series that is no DICOM or lacks what a result needs, without highdicom,
    and when it can't be written.
    """
    need_highdicom()
    source = read_source(files, findings.study)
    write_whole(path, source, lambda: segmentation(source, labels, findings, edited=edited))


def segmentation(source: SourceSeries, labels: CTVolume, findings: Findings, *, edited: bool = False) -> Dataset:
    """The Segmentation as a dataset; see `write_segmentation`."""
    highdicom = need_highdicom()
    present = set(np.flatnonzero(np.bincount(np.asarray(labels.voxels, np.uint8).reshape(-1), minlength=256)))
    levels = [level for level in LEVELS if level.label in present]
    if not levels:
        raise InputError(
            "No level is segmented, so there is nothing to write as DICOM Segmentation.",
            where=findings.study.source or None,
            advice="Look at the report for why no cervical spine was found.",
        )
    # Segments are numbered from 1 without a gap (PS3.3 table C.8.20-4), whichever levels are in view.
    table = np.zeros(256, np.uint8)
    for number, level in enumerate(levels, start=1):
        table[level.label] = number
    numbered = CTVolume(table[np.asarray(labels.voxels, np.uint8)], labels.affine)
    result = highdicom.seg.Segmentation(
        source_images=source.headers,
        **_pixels(source, numbered),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(source, number, level, findings, edited) for number, level in enumerate(levels, start=1)
        ],
        content_label="VERTEBRAE",
        content_description="Cervical vertebrae; research use only",
        **new_object("NeckFrac: cervical vertebrae", SERIES_NUMBER),
    )
    result.ContentCreatorName = None  # no person; must be there (PS3.3 table 10-12, type 2)
    for item, level in zip(result.SegmentSequence, levels, strict=True):
        said = f"{level.name}. {findings.naming.sentence()}" if findings.naming.alternatives_of(level.name) else ""
        if said:
            item.SegmentDescription = said[:1024]
    return result


def _pixels(source: SourceSeries, numbered: CTVolume) -> dict[str, Any]:
    """The arguments of highdicom that say which voxels are set and where they lie."""
    import highdicom

    geometry = source.stack.geometry
    on_slices = source.on_slices(numbered)
    if on_slices is None:
        return {"pixel_array": _volume(numbered, source.frame_of_reference)}
    header = source.headers[0]
    measures = highdicom.PixelMeasuresSequence(
        pixel_spacing=[geometry.pixel[1], geometry.pixel[0]],
        slice_thickness=float(header.get("SliceThickness") or geometry.step),
        spacing_between_slices=geometry.step,
    )
    if source.multi_frame:
        # One array plane a frame of the file, in its order; frames that are no slice of the stack stay empty.
        planes = np.zeros((int(header.NumberOfFrames), *on_slices.shape[1:]), np.uint8)
        planes[[frame.index for frame in source.stack.frames]] = on_slices
        on_slices = planes
    return {"pixel_array": on_slices, "pixel_measures": measures}


def _volume(numbered: CTVolume, frame_of_reference: str) -> Any:
    """The labels on their own grid: only the planes that hold any, slices in the order in which their normal runs."""
    import highdicom

    filled = np.flatnonzero(numbered.voxels.any(axis=(1, 2)))
    lower, upper = [int(filled[0]), 0, 0], [int(filled[-1]) + 1, *numbered.shape[1:]]
    part = numbered.crop(np.array(lower), np.array(upper))
    voxels, affine = part.voxels, part.affine.copy()
    row, column, way = part.directions.T
    if way @ np.cross(row, column) < 0:
        affine[:3, 3] = part.to_points(np.array([part.shape[0] - 1, 0, 0]))
        affine[:3, 2] *= -1
        voxels = voxels[::-1]
    # highdicom's affine takes indices in the array's own order: slice, row, column.
    return highdicom.Volume(
        np.ascontiguousarray(voxels),
        affine[:, [2, 1, 0, 3]],
        coordinate_system=highdicom.CoordinateSystemNames.PATIENT,
        frame_of_reference_uid=frame_of_reference,
    )


def _segment(source: SourceSeries, number: int, level: Level, findings: Findings, edited: bool) -> Any:
    import highdicom

    kinds = highdicom.seg.SegmentAlgorithmTypeValues
    red, green, blue = (round(255 * part) for part in level.color)
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=findings.naming.either(level.name),
        segmented_property_category=ANATOMICAL_STRUCTURE.code(),
        segmented_property_type=Concept(level.snomed, "SCT", level.meaning).code(),
        algorithm_type=kinds.SEMIAUTOMATIC if edited else kinds.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name="NeckFrac", family=ARTIFICIAL_INTELLIGENCE.code(), version=__version__
        ),
        tracking_uid=new_uid(source.series_uid, level.name, "vertebra"),
        tracking_id=f"NeckFrac {level.name}",
        display_color=highdicom.color.CIELabColor.from_rgb(red, green, blue),
    )
