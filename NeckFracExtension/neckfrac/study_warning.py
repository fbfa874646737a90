"""What limits a result, as a code for programs, a sentence for people and the figures behind it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

NAMES_UNCERTAIN, NOT_CODED = "names-uncertain", "not-coded"
SEGMENTATION_GIVEN = "segmentation-given"
SLICES_TILTED, SLICES_UNEVEN = "slices-tilted", "slices-uneven"

# Every code with its meaning. A code keeps its meaning for good; sentences may change.
CODES: Mapping[str, str] = MappingProxyType(
    {
        # What was read, and what was left out of it
        "series-chosen": "One of several CT series was read.",
        "other-series-unreadable": "One CT series was read; others beside it can't be.",
        "files-passed-over": "Some files are no DICOM images and were passed over.",
        "series-image-left-out": "Images of the series are no CT slices by their header.",
        "localizers-left-out": "Localizers (scouts) of the series were left out.",
        "faulty-images-left-out": "Single images whose headers can't be those of a slice in HU were left out.",
        "not-parallel-left-out": "Images that are not parallel to the slices were left out.",
        "other-grid-left-out": "Images of another size or pixel spacing were left out.",
        "slice-beside-left-out": "Slices that say they lie far beside their neighbours were left out.",
        "slice-between-left-out": "Slices that say they lie squeezed in between two others were left out.",
        "copies-left-out": "Exact copies of images under new identifiers were left out.",
        "stacks-separated": "Of several stacks of slices in one place one was read.",
        "parts-overlap": "The series is put together of parts that overlap; where they do, one of them was read.",
        "images-between-left-out": "Images that lie between the slices and differ from them were left out.",
        "stacks-interleaved": "The slices lie as two stacks in one place do; every second one was read.",
        "places-repeated": "The series holds several images of every place; the first of each was read.",
        "stacks-mixed": "Scans or reconstructions seem to be mixed in the volume.",
        # What the headers leave open, or contradict
        "pixel-data-longer": "The pixel data are some bytes longer than their size says.",
        "file-longer": "The file holds more bytes than its header says.",
        "inverted-display": "The series is stored for inverted display (MONOCHROME1).",
        "rescale-absent": "The series does not say how its values become HU.",
        "rescale-unit": "The series says that its values are in another unit than HU.",
        "rescale-differs": "The rescale of single slices differs from that of the others.",
        "compressed-with-loss": "The series was compressed with loss.",
        "patient-position-contradicted": "The images lie otherwise than the position of the patient says.",
        "anatomy-upside-down": "Airway, lung or shoulders lie where the orientation does not allow it.",
        "spacing-contradicted": "The headers say another distance between slices than their places have.",
        SLICES_TILTED: "The slices are shifted against each other (gantry tilt) and were resampled.",
        SLICES_UNEVEN: "The slices are unevenly spaced and were resampled.",
        "orientation-unstated": "The file does not say how it is oriented.",
        "orientations-differ": "The file gives two orientations that differ (MetaImage).",
        "sform-unusable": "The file's sform is not usable; its qform was taken (NIfTI).",
        "qform-unusable": "The file's qform is not usable; its sform was taken (NIfTI).",
        "sform-qform-differ": "The file's sform and qform give two places; the sform was taken (NIfTI).",
        "file-spacings-differ": "The file gives two spacings; that of the sform was taken (NIfTI).",
        "scaling-not-applied": "The file asks for its values to be scaled; they were taken as stored (MetaImage).",
        "axes-not-unit": "The file's axes are not of length 1 (MetaImage).",
        "axes-not-perpendicular": "Rows and columns are not quite at right angles.",
        # What the scan can't show
        "spacing-thick": "The slices are so far apart that fine fractures are lost.",
        "pixels-coarse": "The pixels are so wide that fine fractures are lost.",
        "scan-short": "The scan is too short for the whole cervical spine.",
        # Whether the values are HU
        "slice-values-differ": "The values of single slices differ from those of their neighbours.",
        "tissue-off-zero": "Soft tissue does not lie near 0 HU.",
        "soft-tissue-scarce": "Few values are those of soft tissue.",
        "tissue-peaks-apart": "Fat and muscle lie farther apart than in HU.",
        "values-multiplied": "Whole HU were multiplied and rounded.",
        "air-too-low": "Air lies below where it lies in HU.",
        "air-too-dense": "Air lies above where it lies in HU.",
        "air-and-fat-absent": "Beside padding there is neither air nor fat.",
        "air-absent": "There is no air in the volume.",
        # Labels that were given
        "labels-totalsegmentator": "The labels have TotalSegmentator's numbers.",
        "labels-out-of-order": "The labels do not follow each other from the head down.",
        SEGMENTATION_GIVEN: "Levels and outlines were given with the study and not checked.",
        # Levels
        "spine-not-found": "No cervical spine was found.",
        NAMES_UNCERTAIN: "The names of the levels are uncertain; they shift together.",
        "levels-out-of-step": "Two neighbours look like other levels than those that were counted.",
        "level-fused": "A level is so large that it may be two fused vertebrae.",
        "level-missing-between": "A level was not found between its neighbours.",
        "levels-partly-in-view": "The scan's edge cuts levels.",
        "levels-not-seen": "Levels are not seen, so nothing is said of them.",
        # Measurements
        "not-measured": "The voxels are too large for measurements.",
        "norms-not-applied": "The bodies are as small as a child's; normal ranges of adults are not applied.",
        # Networks
        "calls-unreliable": "The networks told fractures apart too badly to rely on their calls.",
        "member-missing": "A member of the ensemble is not among the models.",
        "member-left-out": "A member of the ensemble was left out, as was asked for.",
        "member-replaced": "A member is not the network that its weight and the thresholds were fitted with.",
        "member-failed": "A member failed and was left out.",
        "saliency-failed": "The heat that was asked for could not be drawn; it is the members' own.",
        "memory-small-batches": "The graphics card's memory did not suffice for whole batches.",
        "memory-cpu": "The graphics card's memory did not suffice; the CPU was used.",
        # Output
        "dicom-results-absent": "There are no DICOM results.",
        # Findings that were stored before schema 2.0 hold sentences without a code
        NOT_CODED: "A warning of an earlier version, which gave it no code.",
    }
)

_CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class StudyWarning:
    """One warning.

    code: what it is of, stable: one of `CODES`, or one of a later version's. text: the sentence for a reader, which is
    also its `str`; it must not hold a patient's name. data: the figures in it, JSON-ready. Raises ValueError for a
    code that is none and for an empty text.
    """

    code: str
    text: str
    data: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not (isinstance(self.code, str) and _CODE.fullmatch(self.code)):
            raise ValueError(f"no code of a warning: {self.code!r}")
        if not (isinstance(self.text, str) and self.text):
            raise ValueError(f"the warning {self.code} says nothing")
        object.__setattr__(self, "data", {str(key): _plain(value) for key, value in self.data.items()})

    def __str__(self) -> str:
        return self.text

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> StudyWarning:
        """The warning that `dataclasses.asdict` took apart. Raises ValueError for what is none."""
        try:
            return cls(content["code"], content["text"], dict(content.get("data", {})))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no warning: {content!r}") from error


def _plain(value: Any) -> Any:
    """The value as JSON can hold it: NumPy's numbers as Python's, tuples as lists, what is not finite as None."""
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return _plain(value.item()) if hasattr(value, "item") else str(value)


GIVEN = StudyWarning(
    SEGMENTATION_GIVEN, "The levels and their outlines were given with the study; this program did not check them."
)
