"""What a study says of one level: a probability and how it is called, or that it was not seen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from .anatomy import LEVEL_NAMES
from .validation import check_one_of, check_point, check_share, check_shares

NOT_SEEN, NEGATIVE, POSITIVE = STATUSES = ("not seen", "negative", "positive")
CUT = "cut"  # what a reader is told of a level that the scan cuts and that is not called
WHOLE = 0.95  # share in view from which a level counts as whole
# Severity follows the odds p / (1 - p) of the calibrated probability over those of the operating point's threshold:
# low from 1 times these on, medium from SEVERITY_ODDS[0] times, high from SEVERITY_ODDS[1] times. It ranks how sure
# the networks are, not how unstable the fracture is.
SEVERITIES = ("low", "medium", "high")
SEVERITY_ODDS = (4.0, 16.0)  # times the threshold's odds from which a suspicion is medium, and high


def severity(probability: float, threshold: float) -> str | None:
    """low, medium or high for a probability at or above the threshold; None below it.

    By the odds over the threshold's, so that it is the same at any prevalence that probabilities are given for.
    """
    if probability < threshold:
        return None
    times = probability * max(1 - threshold, 1e-9) / max((1 - probability) * threshold, 1e-12)
    return SEVERITIES[sum(times >= most for most in SEVERITY_ODDS)]


@dataclass(frozen=True)
class Box:
    """A box along the patient's axes: lower and upper corner (x, y, z), mm, LPS.

    Raises ValueError for corners that are not finite or not in order.
    """

    lower: tuple[float, float, float]
    upper: tuple[float, float, float]

    def __post_init__(self) -> None:
        check_point(self.lower, "a box's lower corner")
        check_point(self.upper, "a box's upper corner")
        if any(low > high for low, high in zip(self.lower, self.upper, strict=True)):
            raise ValueError(f"a box's lower corner {self.lower} lies above its upper one {self.upper}")

    @property
    def center(self) -> np.ndarray:
        return (np.array(self.lower) + np.array(self.upper)) / 2

    @property
    def size(self) -> np.ndarray:
        return np.array(self.upper) - np.array(self.lower)


@dataclass(frozen=True)
class VertebraFinding:
    """What the study says of one level.

    status: "positive", "negative" or "not seen" (then probability, threshold and severity say nothing
    and are None). members: each network's probability by bundle name. box: of the suspected fracture, only when
    positive. region: where that box lies, or would lie if the level were called. center: the segmented vertebra's
    centroid, mm, LPS. share_in_view: the share (0 to 1) of the vertebra that is estimated to lie within the scan.
    Raises ValueError for what can't be: a probability of what was not seen, or beyond 0 to 1, an unknown level.
    """

    level: str
    status: str
    probability: float | None = None
    members: dict[str, float] = field(default_factory=dict)
    threshold: float | None = None
    severity: str | None = None
    box: Box | None = None
    center: tuple[float, float, float] | None = None
    share_in_view: float = 0.0
    region: Box | None = None

    def __post_init__(self) -> None:
        check_one_of(self.level, LEVEL_NAMES, "a level")
        check_one_of(self.status, STATUSES, f"the status of {self.level}")
        check_share(self.share_in_view, f"the share of {self.level} in view")
        check_shares(self.members.items(), f"the probability of {self.level}")
        if self.center is not None:
            check_point(self.center, f"the centre of {self.level}")
        if self.status == NOT_SEEN:
            if (self.probability, self.threshold, self.severity) != (None, None, None) or self.members:
                raise ValueError(f"{self.level} was not seen, so nothing is said of it")
            return
        check_share(self.probability, f"the probability of {self.level}")
        if self.threshold is not None:
            check_share(self.threshold, f"the threshold of {self.level}")
        if self.severity is not None:
            check_one_of(self.severity, SEVERITIES, f"the severity of {self.level}")
        if self.status == NEGATIVE and self.severity is not None:
            raise ValueError(f"{self.level} is negative: it has no severity")

    @property
    def is_cut(self) -> bool:
        """Whether the scan's edge cuts the level: what is missing of it may look fractured, or be."""
        return self.probability is not None and self.share_in_view < WHOLE

    @property
    def verdict(self) -> str:
        """The status as a reader is told it: a level that is cut and not called is "cut", not "negative"."""
        return CUT if self.is_cut and self.status == NEGATIVE else self.status

    def threshold_at(self, thresholds: dict[str, dict[str, float]], operating_point: str) -> float:
        """The probability from which the level is called; thresholds[operating point][level].

        A level that is cut is called by no lower probability than at the balanced point.
        """
        own = thresholds[operating_point][self.level]
        return max(own, thresholds["balanced"][self.level]) if self.is_cut and "balanced" in thresholds else own

    def at(self, threshold: float) -> VertebraFinding:
        """The same level as it is called at another threshold."""
        if self.probability is None:
            return self
        called = self.probability >= threshold
        return replace(
            self,
            status=POSITIVE if called else NEGATIVE,
            threshold=threshold,
            severity=severity(self.probability, threshold),
            box=self.region if called else None,
        )
