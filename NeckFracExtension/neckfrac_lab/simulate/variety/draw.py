"""What sets people apart beyond size and pose: wear, variants, growth, bone density. One neck becomes another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..fractures.shapes import FractureField
from ..neck import Neck
from ..pose import Variation
from . import clefts, degeneration, growth, ligaments, ribs, variants
from .remodel import Remodelling


@dataclass(frozen=True, eq=False)
class Variety:
    """One person's neck: what `simulate_study` takes.

    neck: perhaps changed at rest. mimics: look-alikes that are no fractures. variation: perhaps changed.
    truth: JSON-ready; ``kinds`` lists what was drawn, each a record with its own ``kind``.
    """

    neck: Neck
    mimics: tuple[FractureField, ...]
    variation: Variation
    truth: dict


KINDS: dict[str, Callable[[Remodelling], None]] = {
    "wear": degeneration.wear,
    "flowing-ossification": degeneration.flowing_ossification,
    "posterior-ligament": ligaments.posterior_ligament,
    "nuchal-ligament": ligaments.nuchal_ligament,
    "crown": ligaments.crown,
    "brittle": growth.brittle,
    "dense": growth.dense,
    "child": growth.child,
    "block": variants.block,
    "cervical-rib": ribs.cervical_rib,
    "long-process": ribs.long_process,
    "short-first-rib": ribs.short_first_rib,
    "cleft-atlas": clefts.atlas_arch,
    "spina-bifida": clefts.spina_bifida,
    "os-odontoideum": clefts.os_odontoideum,
    "ossiculum": clefts.ossiculum,
    "straight": variants.straight,
    "scoliosis": variants.scoliosis,
}
# What a group of people has, each kind with its own chance: in the order of what is common, but rare things are
# met far more often than in life, for a network learns nothing from one case in a thousand.
GROUPS: dict[str, tuple[float, dict[str, float]]] = {
    "old": (0.38, {
        "wear": 0.92, "brittle": 0.45, "crown": 0.40, "nuchal-ligament": 0.22, "flowing-ossification": 0.16,
        "posterior-ligament": 0.12, "straight": 0.25, "scoliosis": 0.12, "block": 0.03, "dense": 0.05,
        "cervical-rib": 0.03, "long-process": 0.04, "cleft-atlas": 0.05, "spina-bifida": 0.03,
    }),
    "adult": (0.48, {
        "wear": 0.28, "block": 0.18, "crown": 0.12, "straight": 0.30, "scoliosis": 0.15, "dense": 0.14,
        "brittle": 0.06, "nuchal-ligament": 0.08, "posterior-ligament": 0.05,
        "cleft-atlas": 0.16, "spina-bifida": 0.09, "cervical-rib": 0.12, "long-process": 0.14,
        "short-first-rib": 0.05, "os-odontoideum": 0.06, "ossiculum": 0.05,
    }),
    "child": (0.14, {
        "child": 1.0, "straight": 0.25, "block": 0.06, "scoliosis": 0.06, "cleft-atlas": 0.06, "os-odontoideum": 0.03,
    }),
}


def draw_variety(
    neck: Neck,
    generator: np.random.Generator,
    variation: Variation = Variation(),
    *,
    chance: float = 0.6,
    kinds: Sequence[str] | None = None,
) -> Variety:
    """A neck as some people have it; with probability 1 - `chance` it is left as it is.

    kinds: names of `KINDS` to apply instead of drawing them. The same generator state gives the same variety.
    Raises KeyError for a kind that does not exist.
    """
    change = Remodelling(neck, generator, variation)
    group = None
    if kinds is None:
        kinds = []
        if change.chance(chance):
            group = change.pick(GROUPS, [share for share, _ in GROUPS.values()])
            while not kinds:
                kinds = [kind for kind, share in GROUPS[group][1].items() if change.chance(share)]
            if "dense" in kinds and "brittle" in kinds:
                kinds.remove("dense")
    for kind in kinds:
        KINDS[kind](change)
    changed, varied = change.finish()
    return Variety(changed, tuple(change.mimics), varied, {"group": group, "kinds": change.record})
