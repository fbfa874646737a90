"""Injuries of discs, ligaments and joints: nothing is broken, but vertebrae stand where they should not.

Allen and Ferguson, Spine 1982 (distractive flexion): a sprain that opens behind, one joint dislocated (the upper body
a quarter of its depth forward) or both (half of it). They change how a neck is posed, and draw from streams of their
own: without an injury a seed gives the study that it always gave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from neckfrac.errors import InputError

from .neck import CHAIN, Neck
from .pose import JointChange, Variation

UPPER = ("C2", "C3", "C4", "C5", "C6")  # levels that can slip on the next one


@dataclass(frozen=True)
class Injury:
    """An injury as it was drawn. level: the upper vertebra, or the one before which the tissue swells."""

    level: str
    kind: str
    parameters: dict[str, Any]


def _sprain(g: np.random.Generator, depth: float, severity: float) -> tuple[JointChange, dict[str, Any]]:
    """The ligaments behind are torn: the upper vertebra flexes and slips a little, spinous processes part."""
    flexion, forward = 9.0 + 7.0 * severity + g.uniform(-1, 1), 1.0 + 2.0 * severity
    return JointChange((flexion, 0.0, 0.0), (0.0, -forward, 0.5)), {"flexion": flexion, "forward": forward}


def _one_facet(g: np.random.Generator, depth: float, severity: float) -> tuple[JointChange, dict[str, Any]]:
    """One facet before its partner: a quarter of the depth forward, turned and bent to the other side."""
    forward, side = (0.24 + 0.08 * severity) * 2 * depth, float(g.choice([-1.0, 1.0]))
    turn = (6.0 + g.uniform(-1, 1), 4.0 * side, 11.0 * side)
    named = "left" if side > 0 else "right"
    return JointChange(turn, (0.0, -forward, 1.5)), {"forward": forward, "side": named}


def _both_facets(g: np.random.Generator, depth: float, severity: float) -> tuple[JointChange, dict[str, Any]]:
    """Both facets before their partners: half of the depth forward."""
    forward = (0.42 + 0.14 * severity) * 2 * depth
    return JointChange((9.0 + g.uniform(-2, 2), 0.0, 0.0), (0.0, -forward, 2.0)), {"forward": forward}


JOINTS: dict[str, Callable[[np.random.Generator, float, float], tuple[JointChange, dict[str, Any]]]] = {
    "ligament": _sprain,
    "facet-dislocation-one": _one_facet,
    "facet-dislocation": _both_facets,
}
SWELLING = "swelling"  # blood before the spine: see `Variation.swelling`
KINDS = (*JOINTS, SWELLING)


def parse_injury(text: str) -> tuple[str, str] | None:
    """("C5", "facet-dislocation") from "C5:facet-dislocation"; None for what names no injury.

    Raises InputError for a level that can't have it.
    """
    level, _, kind = text.strip().partition(":")
    level, kind = level.strip().upper(), kind.strip().lower().replace("_", "-").replace(" ", "-")
    if kind not in KINDS:
        return None
    possible = UPPER if kind in JOINTS else CHAIN[1:8]
    if level not in possible:
        raise InputError(f"{level} has no injury {kind!r}.", advice=f"Possible at {', '.join(possible)}.")
    return level, kind


def injure(
    neck: Neck, variation: Variation, level: str, kind: str, *, seed: int, severity: float | None = None
) -> tuple[Variation, Injury]:
    """How the neck is posed with one more injury, and what was drawn. severity: 0 to 1, drawn when None.

    Raises ValueError when the neck lacks the level or the next one.
    """
    if level not in neck.frames or (kind in JOINTS and level not in neck.joints):
        raise ValueError(f"the neck has no {level} to injure")
    generator = np.random.default_rng([23, seed & 0xFFFFFFFF, CHAIN.index(level), KINDS.index(kind)])
    severity = float(generator.uniform()) if severity is None else float(severity)
    if kind == SWELLING:
        mm = 6.0 + 8.0 * severity
        drawn = {"severity": round(severity, 4), "forward": mm}
        return replace(variation, swelling=(*variation.swelling, (level, mm))), Injury(level, kind, drawn)
    change, drawn = JOINTS[kind](generator, float(neck.frames[level].half_size[1]), severity)
    joints = dict(variation.joints)
    before = joints.get(level, JointChange())
    # An injured joint stands as the injury made it, whatever else was drawn for it.
    turn, slide = (tuple(float(v) for v in np.add(getattr(before, n), getattr(change, n))) for n in ("turn", "slide"))
    joints[level] = JointChange(turn, slide, 0.5 * before.freedom)
    drawn = {"severity": round(severity, 4), **{k: v if isinstance(v, str) else float(v) for k, v in drawn.items()}}
    return replace(variation, joints=tuple(sorted(joints.items()))), Injury(level, kind, drawn)
