"""What a study says, vertebra by vertebra; nothing here knows how it is shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from . import DISCLAIMER, __version__
from .anatomy import LEVEL_NAMES
from .formatting import as_figures
from .level_finding import (  # some of them for those who import them from here
    CUT,  # noqa: F401
    NEGATIVE,
    NOT_SEEN,
    POSITIVE,
    SEVERITIES,  # noqa: F401
    STATUSES,
    WHOLE,  # noqa: F401
    Box,
    VertebraFinding,
    severity,  # noqa: F401
)
from .measurement import Measurement
from .naming import Naming
from .options import EXPLANATION_TITLES, HEATMAP
from .provenance import Provenance
from .schema_one import upgraded
from .study_warning import NAMES_UNCERTAIN, StudyWarning
from .validation import check_all_are, check_one_of, check_share, check_shares

SCHEMA_VERSION = "2.0"
READABLE_SCHEMAS = ("1", "2")  # major versions; the first is read by `schema_one`


@dataclass(frozen=True)
class StudyIdentity:
    """Which study this is. `patient_name` and `patient_id` must never be logged."""

    source: str = ""
    format: str = ""
    patient_id: str = ""
    patient_name: str = ""
    study_uid: str = ""
    series_uid: str = ""
    study_date: str = ""
    study_description: str = ""
    series_description: str = ""


@dataclass(frozen=True)
class ModelIdentity:
    """A bundle that took part.

    sha256: of its weights file. step: locate, segment, or a kind of member. trained_on: on what, in words; provenance:
    the same for programs.
    """

    name: str
    version: str
    sha256: str
    step: str
    trained_on: str = ""
    provenance: Provenance = Provenance.UNKNOWN


@dataclass(frozen=True)
class Explanation:
    """What drew the heat map. method: of `options.EXPLANATIONS`. member: whose heat it is, "" for all members' own.

    Raises ValueError for a method that is unknown, or one without its member.
    """

    method: str = HEATMAP
    member: str = ""

    def __post_init__(self) -> None:
        check_one_of(self.method, EXPLANATION_TITLES, "what drew the heat map")
        if self.method != HEATMAP and not self.member:
            raise ValueError(f"{self.method} is of one member, and none is named")

    @property
    def is_own(self) -> bool:
        """Whether a heat map is shown that a network was trained to give, rather than what moved its answer."""
        return self.method == HEATMAP

    def in_words(self) -> str:
        """ "Grad-CAM of neckfrac-model-two"; "" for the members' own heat maps."""
        return f"{EXPLANATION_TITLES[self.method]} of {self.member}" if self.member else ""


CONFIRMED, REJECTED, ADDED = "confirmed", "rejected", "added"


@dataclass(frozen=True)
class Review:
    """What a reader said of a level. verdict: "confirmed", "rejected", or "added" where the networks called nothing.

    box: where the reader saw it, when that is not where the networks drew theirs. Raises ValueError for another
    verdict or level.
    """

    level: str
    verdict: str
    note: str = ""
    box: Box | None = None

    def __post_init__(self) -> None:
        if self.verdict not in (CONFIRMED, REJECTED, ADDED) or self.level not in LEVEL_NAMES:
            raise ValueError(f"no review: {self.verdict!r} of {self.level!r}")


def patient_status(levels: tuple[VertebraFinding, ...], probability: float | None, threshold: float) -> str:
    """The patient's call: never negative when a level is positive, "not seen" when no level was."""
    if all(level.status == NOT_SEEN for level in levels):
        return NOT_SEEN
    called = any(level.status == POSITIVE for level in levels) or (probability is not None and probability >= threshold)
    return POSITIVE if called else NEGATIVE


@dataclass(frozen=True)
class Findings:
    """A study's findings: seven levels in order, the patient's probability, and how they came about.

    patient_status: "positive", "negative" or "not seen" (no cervical spine found).
    geometry: shape [z, y, x], spacing [z, y, x] mm and the 4x4 LPS affine of the grid that labels and
    heat map lie on. timings: seconds by stage. explanation: what drew the heat map. prevalence: share of fractured
    patients at which the probabilities hold; None when that is not known. thresholds[operating point][level or
    "patient"]: of all operating points; empty where they are not known. reviews: what readers said, at most one a
    level. measurements: from above.
    review_completed: when a reader called the review complete, ISO 8601 in UTC; "" when none has.
    Raises ValueError for what contradicts itself, or what no such figure can be.
    """

    study: StudyIdentity
    levels: tuple[VertebraFinding, ...]
    patient_status: str
    patient_probability: float | None
    patient_members: dict[str, float]
    patient_threshold: float
    operating_point: str
    models: tuple[ModelIdentity, ...] = ()
    warnings: tuple[StudyWarning, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    geometry: dict[str, Any] = field(default_factory=dict)
    naming: Naming = Naming()
    explanation: Explanation = Explanation()
    prevalence: float | None = None
    thresholds: dict[str, dict[str, float]] = field(default_factory=dict)
    reviews: tuple[Review, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    review_completed: str = ""

    def __post_init__(self) -> None:
        check_one_of(self.patient_status, STATUSES, "the patient's status")
        check_share(self.patient_threshold, "the patient's threshold")
        check_shares(self.patient_members.items(), "the patient's probability")
        for value, what in ((self.patient_probability, "the patient's probability"), (self.prevalence, "prevalence")):
            if value is not None:
                check_share(value, what)
        for values in self.thresholds.values():
            check_shares(values.items(), "the threshold")
        check_all_are(self.levels, VertebraFinding, "levels")
        check_all_are(self.models, ModelIdentity, "models")
        check_all_are(self.warnings, StudyWarning, "warnings")
        check_all_are([self.explanation], Explanation, "what drew the heat map")
        check_all_are(self.measurements, Measurement, "measurements")
        for what in ("levels", "reviews"):
            names = [one.level for one in getattr(self, what)]
            if names != sorted(set(names), key=LEVEL_NAMES.index):
                raise ValueError(f"{what} must be of each level once, from C1 down, not {', '.join(names)}")
        if self.positive and self.patient_status != POSITIVE:
            raise ValueError(f"the patient can't be {self.patient_status} when a level is positive")
        for level in self.levels:
            if level.box is not None and level.status != POSITIVE:
                raise ValueError(f"{level.level} is {level.status}: the networks draw no box there")

    @property
    def positive(self) -> tuple[VertebraFinding, ...]:
        return tuple(level for level in self.levels if level.status == POSITIVE)

    @property
    def further_warnings(self) -> tuple[StudyWarning, ...]:
        """The warnings without that of uncertain names, which is shown on its own."""
        return tuple(warning for warning in self.warnings if warning.code != NAMES_UNCERTAIN)

    def level(self, name: str) -> VertebraFinding:
        """The level of that name. Raises KeyError."""
        return {level.level: level for level in self.levels}[name]

    def review_of(self, level: str) -> Review | None:
        """What a reader said of a level."""
        return next((review for review in self.reviews if review.level == level), None)

    def reviewed(self, level: str, review: Review | None) -> Findings:
        """The findings with another review of a level, or without one; what the networks say stays as it is.

        The review as a whole is not complete any more.
        """
        others = [other for other in self.reviews if other.level != level]
        if review is not None:
            others.append(review)
        reviews = tuple(sorted(others, key=lambda one: LEVEL_NAMES.index(one.level)))
        return replace(self, reviews=reviews, review_completed="")

    @property
    def flagged(self) -> tuple[Measurement, ...]:
        """The measurements that are not normal, the farthest off first."""
        flagged = [one for one in self.measurements if one.flag is not None]
        return tuple(sorted(flagged, key=lambda one: -one.deviation))

    def boxes(self) -> dict[str, Box]:
        """Where fractures are suspected, networks and readers together: by level; what a reader rejected is out."""
        boxes = {}
        for level in self.levels:
            review = self.review_of(level.level)
            box = level.box if review is None else None if review.verdict == REJECTED else review.box or level.region
            if box is not None:
                boxes[level.level] = box
        return boxes

    def shown(self) -> tuple[VertebraFinding, ...]:
        """The levels that are suspected or that a reader spoke of, each with the box where it was seen."""
        boxes = self.boxes()
        return tuple(
            replace(level, box=boxes.get(level.level, level.box))
            for level in self.levels
            if level.status == POSITIVE or self.review_of(level.level) is not None
        )

    def review_in_words(self, level: str) -> str:
        """What a reader said of a level, "rejected: nutrient vessel"; "" when nobody has."""
        review = self.review_of(level)
        return "" if review is None else ": ".join(filter(None, [review.verdict, review.note]))

    def review_state_in_words(self) -> str:
        """Whether a reader has called the review complete, and when, in a sentence."""
        if not self.review_completed:
            return "No reader has marked the review of this result as complete."
        return f"A reader marked the review as complete: {self.review_completed.replace('T', ' ')}."

    def training_in_words(self) -> str:
        """What the networks that took part were trained on, in a sentence."""
        known = list(dict.fromkeys(model.trained_on for model in self.models if model.trained_on))
        if not known:
            return "What the networks were trained on is not known."
        if all(model.provenance is Provenance.SIMULATED for model in self.models):
            return (
                "The networks were trained on simulated CT only; no patient with a fracture was used to train or to "
                "measure them."
            )
        return f"The networks were trained on {'; on '.join(known)}."

    def at(self, operating_point: str) -> Findings:
        """The findings as they are called at another operating point; nothing is computed again.

        Raises ValueError when the thresholds of that operating point are not known.
        """
        if operating_point == self.operating_point:
            return self
        if operating_point not in self.thresholds:
            raise ValueError(f"the thresholds of the operating point {operating_point!r} are not known")
        thresholds = self.thresholds[operating_point]
        levels = tuple(level.at(level.threshold_at(self.thresholds, operating_point)) for level in self.levels)
        return replace(
            self,
            levels=levels,
            patient_status=patient_status(levels, self.patient_probability, thresholds["patient"]),
            patient_threshold=thresholds["patient"],
            operating_point=operating_point,
        )

    def prevalence_in_words(self) -> str:
        """For a reader, what the probabilities take for granted; "" when that is not known."""
        if self.prevalence is None:
            return ""
        return f"Probabilities are for a hospital in which {self.prevalence:.0%} of the patients scanned are fractured."

    def note_on_call(self) -> str:
        """Why the patient is positive although the patient's probability is below its threshold; "" otherwise."""
        probability, threshold = self.patient_probability, self.patient_threshold
        if self.patient_status != POSITIVE or not self.positive or probability is None or probability >= threshold:
            return ""
        told, least = as_figures(probability, threshold)
        one = len(self.positive) == 1
        return (
            f"The patient is called positive because {self.levels_in_words(self.positive)} {'is' if one else 'are'}: "
            f"the patient probability alone, {told}, lies below its threshold of {least}."
        )

    def levels_in_words(self, levels: tuple[VertebraFinding, ...]) -> str:
        """Levels in a row for a reader: "C2, C4", or "C2 or C3; C4 or C5" when their names are uncertain."""
        names = [self.naming.either(level.level) for level in levels]
        return ("; " if any(" or " in name for name in names) else ", ").join(names)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with schema version, software version, the disclaimer and the note on the patient's call."""
        software = f"NeckFrac {__version__}"
        head = {"schema": SCHEMA_VERSION, "software": software, "disclaimer": DISCLAIMER}
        return head | {"note_on_call": self.note_on_call()} | asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Findings:
        """The Findings that `to_dict` wrote, also those of schema 1.0 to 1.6.

        Raises ValueError for another schema's major version.
        """
        content = dict(content)
        schema = content.pop("schema", "")
        if not is_readable(schema):
            raise ValueError(f"findings of schema {schema or 'unknown'}; this version reads 1.0 to {SCHEMA_VERSION}")
        naming = _naming(content.get("naming", {}))  # not written before schema 1.1
        if schema.split(".")[0] == "1":
            content = upgraded(content, naming.warning())
        for key in ("software", "disclaimer", "note_on_call"):  # the last not written before schema 1.4
            content.pop(key, None)
        content["study"] = StudyIdentity(**content["study"])
        content["models"] = tuple(map(_model, content["models"]))
        content["warnings"] = tuple(map(StudyWarning.from_dict, content["warnings"]))
        content["naming"] = naming
        content["explanation"] = Explanation(**content["explanation"])
        levels = []
        for level in content["levels"]:
            level = {**level, "box": _box(level["box"]), "region": _box(level.get("region"))}
            if level["center"] is not None:
                level["center"] = tuple(level["center"])
            levels.append(VertebraFinding(**level))
        content["levels"] = tuple(levels)
        reviews = content.get("reviews", ())  # not written before schema 1.3, nor were regions and thresholds
        content["reviews"] = tuple(Review(**{**review, "box": _box(review["box"])}) for review in reviews)
        measurements = content.get("measurements", ())  # not written before schema 1.5
        content["measurements"] = tuple(map(Measurement.from_dict, measurements))
        return cls(**content)


def is_readable(schema: Any) -> bool:
    """Whether `Findings.from_dict` reads findings of this schema, "1.6"."""
    return isinstance(schema, str) and schema.split(".")[0] in READABLE_SCHEMAS


def _model(content: dict[str, Any]) -> ModelIdentity:
    return ModelIdentity(**{**content, "provenance": Provenance.of(content.get("provenance"))})


def _naming(content: dict[str, Any]) -> Naming:
    return Naming(**{**content, "alternatives": tuple(content.get("alternatives", ()))})


def _box(content: dict[str, Any] | None) -> Box | None:
    return None if content is None else Box(tuple(content["lower"]), tuple(content["upper"]))


@dataclass(frozen=True, eq=False)
class Analysis:
    """All that an analysis of one study yields, on one grid.

    volume: the CT as read. labels: uint8 [z, y, x], 0 or the level's label value. heat: uint8 [z, y, x],
    0...100, how much each voxel speaks for a fracture. anchors: uint8 [z, y, x], `anatomy.T1` and `anatomy.SKULL`
    where these bones lie that the levels are counted from (only near the cervical spine), or None.
    """

    volume: Any  # CTVolume; not imported here so that findings stay free of images
    labels: np.ndarray
    heat: np.ndarray
    findings: Findings
    anchors: np.ndarray | None = None
