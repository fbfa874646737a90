"""What is odd in one segmentation of C1 to C7, whoever made it: no reference is needed.

The thresholds were set on 80 simulated necks (children and adults, worn, bent, broken, cut by the field of view;
1 mm voxels), of whose 25 that were wholly in view the comments tell the extremes. A flag is a reason to look, not a
verdict: an unfused ossicle, a cleft arch or a displaced fragment are pieces of their own, too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..anatomy import LEVELS
from .components import Piece, SegmentedLevel, read_levels

ORDER, DOUBLED, FUSED, FRAGMENTED, MISSING = "out of order", "doubled", "fused", "fragmented", "missing"
KINDS = (ORDER, DOUBLED, FUSED, FRAGMENTED, MISSING)

# Medians of simulated necks: volume of C1 to C7 over the median of C3 to C7, and distance along the spine from each
# centroid to the next over the median of those from C3 down.
VOLUMES = np.array([1.29, 2.03, 0.98, 0.93, 0.96, 1.02, 1.22])
STEPS = np.array([1.02, 1.41, 1.04, 0.98, 0.97, 1.01])
STEP_MM = 17.0  # of an adult, where a segmentation has too few levels to tell its own
LEAST_ML = 0.3  # smaller levels and pieces say nothing about order or doubling
# Part of a step by which a level must lie below the one above it; simulated necks had at least 0.66.
LEAST_STEP = 0.2
# A piece is another vertebra when it has this share of the largest one and lies this part of the way to the next
# level from it along the spine, or when it lies past a neighbor by half a step.
SECOND_SHARE, SECOND_WAY, PAST_STEPS = 0.25, 0.75, 0.5
# Volume over what the other levels let expect: whole simulated vertebrae had at most 1.27 (one other alone: 1.6).
# C2 is so large that C3 makes it only half as large again: where a neighbor is missing, this part of it is enough.
FUSED_VOLUME, FUSED_BESIDE_ONE, FUSED_PART = 1.6, 1.8, 0.65
# Share of a level, and ml, outside its largest piece; whole simulated vertebrae had at most 0.002 and 0.03 ml.
OFF_SHARE, OFF_ML = 0.04, 0.15
PIECES = 4  # or this many pieces


@dataclass(frozen=True)
class Flag:
    """One reason to look again. kind: of KINDS. levels: names. sentence: for a reader. place: LPS mm (x, y, z)."""

    kind: str
    levels: tuple[str, ...]
    sentence: str
    place: tuple[float, float, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Flag:
        """The Flag that `to_dict` wrote."""
        return cls(content["kind"], tuple(content["levels"]), content["sentence"], tuple(content["place"]))


def find_flags(labels: np.ndarray, affine: np.ndarray) -> list[Flag]:
    """Levels out of order, doubled, fused, fragmented or missing between others, from above to below.

    labels: integers [z, y, x], 1 to 7 for C1 to C7, other values are left out; affine: 4x4, voxel (i, j, k) to mm in
    LPS, any orientation. What the field of view cuts is judged by order and doubling alone.
    """
    levels = [level for level in read_levels(labels, affine) if level.ml >= LEAST_ML]
    if not levels:
        return []
    spine = _Spine(levels)
    order, doubled = _order(levels, spine), _doubled(levels, spine)
    # What is out of order has another's size; what is there twice is in pieces anyway.
    explained = [{name for flag in flags for name in flag.levels} for flags in (order, doubled)]
    fused = [flag for flag in _fused(levels) if flag.levels[0] not in explained[0]]
    fragmented = [flag for level in levels if level.name not in explained[1] for flag in _fragmented(level)]
    flags = [*order, *doubled, *fused, *fragmented, *_missing(levels, spine)]
    return sorted(flags, key=lambda flag: (flag.levels, KINDS.index(flag.kind)))


class _Spine:
    """The direction from below to above, and how far it is from one level to the next along it."""

    def __init__(self, levels: list[SegmentedLevel]) -> None:
        centers = np.array([level.main.center for level in levels])
        self.up = np.array([0.0, 0.0, 1.0])
        if len(levels) > 2:
            along = np.linalg.svd(centers - centers.mean(axis=0))[2][0]
            # Patients lie along the scanner's axis, more or less: names must not decide which end is up.
            self.up = along * np.sign(along[2] or 1.0)
        places = np.sort(centers @ self.up)[::-1]
        expected = [STEPS[a.number - 1 : b.number - 1].sum() for a, b in zip(levels, levels[1:], strict=False)]
        # Sorted by place, so that levels that change places keep their steps.
        steps = [gap / least for gap, least in zip(-np.diff(places), expected, strict=True)]
        self.step = float(np.median(steps)) if len(steps) > 1 else STEP_MM

    def height(self, piece: Piece) -> float:
        """mm along the spine, more above."""
        return float(piece.center @ self.up)


def _flag(kind: str, levels: tuple[str, ...], sentence: str, place: np.ndarray) -> Flag:
    return Flag(kind, levels, sentence, tuple(float(value) for value in place))


def _order(levels: list[SegmentedLevel], spine: _Spine) -> list[Flag]:
    flags = []
    for upper, lower in zip(levels, levels[1:], strict=False):
        drop = spine.height(upper.main) - spine.height(lower.main)
        # A level of which only a tip is in view lies near its neighbor.
        least = 0.0 if upper.cut or lower.cut else LEAST_STEP * spine.step
        if drop >= least:
            continue
        where = "above" if drop < 0 else "beside"
        sentence = f"{lower.name} lies {where} {upper.name}: the levels are out of order."
        names, place = (upper.name, lower.name), (upper.main.center + lower.main.center) / 2
        flags.append(_flag(ORDER, names, sentence, place))
    return flags


def _doubled(levels: list[SegmentedLevel], spine: _Spine) -> list[Flag]:
    flags = []
    heights = {level.number: spine.height(level.main) for level in levels}
    for level in levels:
        own = heights[level.number]
        for piece in level.pieces[1:]:
            if piece.ml < LEAST_ML:
                continue
            away = spine.height(piece) - own
            between = [h for number, h in heights.items() if number != level.number and (h - own) * away > 0]
            past = max([(abs(away) - abs(h - own)) / spine.step for h in between], default=-1.0)
            far = abs(away) > SECOND_WAY * _way(level, away) * spine.step and piece.ml >= SECOND_SHARE * level.main.ml
            # The cut parts of a tilted vertebra lie far apart along the spine by themselves.
            if past > (2 * PAST_STEPS if level.cut else PAST_STEPS) or (far and not level.cut):
                sentence = f"{level.name} is there twice: {piece.ml:.1f} ml of it lie {abs(away):.0f} mm "
                sentence += f"{'above' if away > 0 else 'below'} the larger part."
                flags.append(_flag(DOUBLED, (level.name,), sentence, piece.inside))
    return flags


def _way(level: SegmentedLevel, away: float) -> float:
    """Steps from a level to the next one above (away > 0) or below."""
    # C2 with its dens is as high as it is far from C3: of its parts, only such a distance tells anything.
    beside = level.number - 2 if away > 0 and level.number != 2 else level.number - 1
    return float(STEPS[min(max(beside, 0), len(STEPS) - 1)])


def _fused(levels: list[SegmentedLevel]) -> list[Flag]:
    flags = []
    numbers = [level.number for level in levels]
    for level in levels:
        others = [o.main.ml / VOLUMES[o.number - 1] for o in levels if o is not level and not o.cut]
        if not others:
            continue
        times = level.main.ml / VOLUMES[level.number - 1] / float(np.median(others))
        least = FUSED_VOLUME if len(others) > 1 else FUSED_BESIDE_ONE
        for beside in (level.number - 1, level.number + 1):
            if len(others) > 1 and min(numbers) < beside < max(numbers) and beside not in numbers:
                least = min(least, 1 + FUSED_PART * VOLUMES[beside - 1] / VOLUMES[level.number - 1])
        if times >= least:
            sentence = f"{level.name} is {times:.1f} times as large as the other levels let expect: "
            sentence += "it may hold two vertebrae."
            flags.append(_flag(FUSED, (level.name,), sentence, level.main.inside))
    return flags


def _missing(levels: list[SegmentedLevel], spine: _Spine) -> list[Flag]:
    flags = []
    for upper, lower in zip(levels, levels[1:], strict=False):
        absent = tuple(level.name for level in LEVELS[upper.number : lower.number - 1])
        drop = spine.height(upper.main) - spine.height(lower.main)
        if not absent or drop < 0:
            continue
        room = drop > 1.5 * spine.step * STEPS[upper.number - 1 : lower.number - 1].mean()
        names, verb = " and ".join(absent), "is" if len(absent) == 1 else "are"
        sentence = f"{names} {verb} missing between {upper.name} and {lower.name}"
        sentence += "." if room else ", and there is no room: the names may be wrong."
        flags.append(_flag(MISSING, absent, sentence, (upper.main.center + lower.main.center) / 2))
    return flags


def _fragmented(level: SegmentedLevel) -> list[Flag]:
    rest = level.pieces[1:]
    off = sum(piece.ml for piece in rest)
    if level.cut or not rest or (len(level.pieces) < PIECES and (off < OFF_ML or off < OFF_SHARE * level.ml)):
        return []
    sentence = f"{level.name} is in {len(level.pieces)} pieces; {off:.1f} ml are apart from the largest. "
    sentence += "A cleft, an ossicle or a displaced fracture can look like this, too."
    return [_flag(FRAGMENTED, (level.name,), sentence, rest[0].inside)]
