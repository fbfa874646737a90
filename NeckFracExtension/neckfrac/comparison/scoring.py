"""One answer judged against the truth, level by level and by its names, and many of them summed up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..anatomy import LEVEL_BY_NAME, LEVEL_NAMES, LEVELS, T1
from .intervals import mean, rate
from .overlap import dice, level_figures

WHOLE = 0.95  # share in view from which a level counts as whole
RIGHT = 0.5  # Dice from which a level lies where it should
IDENTIFIED_WITHIN = 20.0  # mm; Sekuboyina et al. 2021 (VerSe), doi:10.1016/j.media.2021.102166
# A level's name is judged when it has this much voxels (ml), and is out of the spine with less than this share in it.
JUDGED_ML, IN_SPINE = 0.3, 0.25
MEASURES = ("dice", "surface dice 1 mm", "surface dice 2 mm", "hausdorff95 mm")


@dataclass(frozen=True)
class Score:
    """One study's answer against its truth.

    whole, partly: figures by level, of levels in view to at least WHOLE and of others. identified: by whole level.
    wrong: levels of the answer that lie in another level or outside the spine: {"C4": "C5", "C1": ""}.
    certain: whether the names were given as certain. found: whether there was an answer.
    """

    whole: dict[str, dict[str, float | None]]
    partly: dict[str, dict[str, float | None]]
    identified: dict[str, bool]
    wrong: dict[str, str]
    certain: bool
    found: bool
    strata: dict[str, str] = field(default_factory=dict)

    @property
    def every_level_right(self) -> bool:
        """Every whole level is where it should be, and no level lies where it should not."""
        return not self.wrong and all(figures["dice"] > RIGHT for figures in self.whole.values())

    @property
    def certain_and_wrong(self) -> bool:
        """A name is wrong and nobody was warned: what must not happen."""
        return bool(self.wrong) and self.certain

    def record(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "whole": self.whole, "partly": self.partly, "identified": self.identified, "wrong": self.wrong,
            "certain": self.certain, "found": self.found, "every level right": self.every_level_right,
            "certain and wrong": self.certain_and_wrong, "strata": self.strata,
        }  # fmt: skip


def score(
    answer: np.ndarray, truth: np.ndarray, spacing: np.ndarray, shares: dict[str, float], *, certain: bool = True,
    surfaces: bool = True, strata: dict[str, str] | None = None,
) -> Score:  # fmt: skip
    """Judge labels against true ones, both [z, y, x] with 0 or a level's label; the truth may hold T1 as well.

    spacing: mm along z, y, x. shares: of each level in view (0 to 1). surfaces False leaves out all but Dice.
    """
    whole, partly = {}, {}
    for level in LEVELS:
        mask = truth == level.label
        share = shares.get(level.name, 0.0)
        if not mask.any() or not share:
            continue
        own = answer == level.label
        figures = level_figures(own, mask, spacing) if surfaces else {"dice": dice(own, mask)}
        (whole if share >= WHOLE else partly)[level.name] = figures
    return Score(
        whole,
        partly,
        _identified(answer, truth, spacing, list(whole)),
        misnamed(answer, truth, float(np.prod(spacing)) / 1000),
        certain,
        bool(answer.any()),
        strata or {},
    )


def _identified(answer: np.ndarray, truth: np.ndarray, spacing: np.ndarray, names: list[str]) -> dict[str, bool]:
    """Whether each level's centroid lies within IDENTIFIED_WITHIN of its own true one and nearest to that."""
    from scipy.ndimage import center_of_mass

    labels = [label for label in range(1, T1 + 1) if (truth == label).any()]
    centers = dict(zip(labels, np.array(center_of_mass(truth > 0, truth, labels)) * spacing, strict=True))
    result = {}
    for name in names:
        label = LEVEL_BY_NAME[name].label
        own = answer == label
        result[name] = False
        if own.any():
            place = np.array(center_of_mass(own)) * spacing
            distances = {other: float(np.linalg.norm(place - center)) for other, center in centers.items()}
            result[name] = min(distances, key=distances.get) == label and distances[label] < IDENTIFIED_WITHIN
    return result


def misnamed(answer: np.ndarray, truth: np.ndarray, voxel_ml: float) -> dict[str, str]:
    """Levels of the answer most of whose voxels are another vertebra: its name, or "" when few are any vertebra."""
    names = {**{level.label: level.name for level in LEVELS}, T1: "T1"}
    wrong = {}
    for level in LEVELS:
        within = truth[answer == level.label]
        if len(within) * voxel_ml < JUDGED_ML:
            continue
        counts = np.bincount(within, minlength=T1 + 1)[: T1 + 1]
        lies_in = int(counts[1:].argmax()) + 1
        if counts[1:].sum() < IN_SPINE * len(within):
            wrong[level.name] = ""
        elif lies_in != level.label:
            wrong[level.name] = names[lies_in]
    return wrong


def span(value: float, edges: tuple[float, ...], unit: str) -> str:
    """The group of a value: "below 10 degrees", "10 to 20 degrees", "20 degrees and more"."""
    place = int(np.searchsorted(edges, value, side="right"))
    if place == 0:
        return f"below {edges[0]:g} {unit}"
    if place == len(edges):
        return f"{edges[-1]:g} {unit} and more"
    return f"{edges[place - 1]:g} to {edges[place]:g} {unit}"


def summarise(scores: list[Score], *, seed: int = 0) -> dict[str, Any]:
    """Means with bootstrap intervals, rates with Wilson intervals; over all levels, by level, and by stratum."""

    def of_levels(kind: str, measure: str, names: tuple[str, ...] = LEVEL_NAMES) -> dict[str, object]:
        groups = [
            [f[measure] for name, f in getattr(s, kind).items() if name in names and f.get(measure) is not None]
            for s in scores
        ]
        return mean(groups, seed=seed)

    identified = [right for s in scores for right in s.identified.values()]
    by_level = {
        level.name: {
            **{measure: of_levels("whole", measure, (level.name,)) for measure in MEASURES},
            "identified": _rate([s.identified[level.name] for s in scores if level.name in s.identified]),
        }
        for level in LEVELS
    }
    return {
        "whole levels": {
            **{measure: of_levels("whole", measure) for measure in MEASURES},
            "identified": _rate(identified),
            "missed": sum(not f["dice"] for s in scores for f in s.whole.values()),
        },
        "by level": by_level,
        "partly seen levels": {"dice": of_levels("partly", "dice")},
        **study_rates(scores),
        "strata": _by_stratum(scores, seed),
    }


def study_rates(scores: list[Score]) -> dict[str, Any]:
    """The shares of studies with every level right, called certain though wrong, uncertain, and without an answer."""
    judged = [s for s in scores if s.whole]
    return {
        "every level right": _rate([s.every_level_right for s in judged]),
        "certain and wrong": _rate([s.certain_and_wrong for s in scores]),
        "uncertain": _rate([not s.certain for s in scores]),
        "nothing found": _rate([not s.found for s in scores]),
    }


def _by_stratum(scores: list[Score], seed: int) -> dict[str, dict[str, Any]]:
    strata: dict[str, dict[str, Any]] = {}
    for name in sorted({name for s in scores for name in s.strata}):
        for value in sorted({s.strata[name] for s in scores if name in s.strata}):
            chosen = [s for s in scores if s.strata.get(name) == value]
            overlap = mean([[f["dice"] for f in s.whole.values()] for s in chosen], seed=seed)
            strata.setdefault(name, {})[value] = {"studies": len(chosen), "dice": overlap, **study_rates(chosen)}
    return strata


def _rate(answers: list[bool]) -> dict[str, object]:
    return rate(sum(answers), len(answers))
