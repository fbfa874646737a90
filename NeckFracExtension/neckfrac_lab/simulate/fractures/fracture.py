"""The kinds of fracture that can be simulated, how common they are, and what "C2:odontoid-2" means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.errors import InputError

from ..neck import VertebraFrame
from . import lower, mimics, upper
from .shapes import FractureEffect, FractureField
from .site import Site

__all__ = [
    "KINDS", "MIMICS", "FractureEffect", "FractureField", "FractureKind", "draw_fractured_levels", "make_fracture",
    "make_mimic", "parse_fracture", "random_fracture", "random_mimic",
]

# Patients with a fracture of each level among the 961 fractured and 1,058 other patients of the RSNA 2022
# cervical spine fracture data (training set), C1 to C7.
PATIENTS, FRACTURED_PATIENTS = 2019, 961
FRACTURED_LEVELS = (146, 285, 73, 108, 162, 277, 393)
# Correlation of neighbouring levels in `draw_fractured_levels`: with it, as many patients have no fracture at
# all as in that data (0.524); without it 0.465.
NEIGHBOUR_CORRELATION = 0.385


@dataclass(frozen=True)
class FractureKind:
    """A kind of fracture or mimic: what builds it, and its relative frequency by level it can hit."""

    name: str
    build: Callable[[Site], FractureField]
    frequency: dict[str, float]

    @property
    def levels(self) -> tuple[str, ...]:
        return tuple(self.frequency)


def _lower(*shares: float) -> dict[str, float]:
    return dict(zip(LEVEL_NAMES[2:], shares, strict=True))


def _by_name(*kinds: FractureKind) -> dict[str, FractureKind]:
    return {kind.name: kind for kind in kinds}


# Relative frequencies are this project's own estimate of what trauma CT shows, not counts from a study: arches
# before lateral masses at the atlas, dens fractures (type II, then III) before the hangman's at the axis, and
# more broken processes the further down the neck.
KINDS: dict[str, FractureKind] = _by_name(
    FractureKind("jefferson", upper.jefferson, {"C1": 0.33}),
    FractureKind("anterior-arch", upper.anterior_arch, {"C1": 0.17}),
    FractureKind("posterior-arch", upper.posterior_arch, {"C1": 0.32}),
    FractureKind("lateral-mass", upper.lateral_mass, {"C1": 0.18}),
    FractureKind("odontoid-1", upper.odontoid_1, {"C2": 0.04}),
    FractureKind("odontoid-2", upper.odontoid_2, {"C2": 0.34}),
    FractureKind("odontoid-3", upper.odontoid_3, {"C2": 0.22}),
    FractureKind("hangman", upper.hangman, {"C2": 0.20}),
    FractureKind("body", upper.axis_body, {"C2": 0.20}),
    FractureKind("teardrop", lower.teardrop, _lower(0.16, 0.14, 0.14, 0.10, 0.05)),
    FractureKind("compression", lower.compression, _lower(0.14, 0.16, 0.17, 0.14, 0.13)),
    FractureKind("burst", lower.burst, _lower(0.04, 0.06, 0.09, 0.07, 0.04)),
    FractureKind("facet", lower.facet, _lower(0.14, 0.16, 0.16, 0.18, 0.14)),
    FractureKind("lamina", lower.lamina, _lower(0.18, 0.17, 0.16, 0.15, 0.12)),
    FractureKind("pedicle", lower.pedicle, _lower(0.07, 0.07, 0.06, 0.06, 0.05)),
    FractureKind("spinous", lower.spinous, _lower(0.10, 0.09, 0.09, 0.14, 0.22)),
    FractureKind("transverse", lower.transverse, _lower(0.17, 0.15, 0.13, 0.16, 0.25)),
)
_BODIES = dict.fromkeys(LEVEL_NAMES[2:], 1.0)
MIMICS: dict[str, FractureKind] = _by_name(
    FractureKind("vascular-channel", mimics.vascular_channel, dict.fromkeys(LEVEL_NAMES[1:], 2.0)),
    FractureKind("nutrient-canal", mimics.nutrient_canal, dict.fromkeys(LEVEL_NAMES, 1.5)),
    FractureKind("osteophyte", mimics.osteophyte, _BODIES),
    FractureKind("ossicle", mimics.ossicle, dict.fromkeys(LEVEL_NAMES, 1.0)),
    FractureKind("healed", mimics.healed, dict.fromkeys(LEVEL_NAMES, 0.6)),
    FractureKind("schmorl-node", mimics.schmorl_node, _BODIES),
    FractureKind("facet-sclerosis", mimics.facet_sclerosis, dict.fromkeys(LEVEL_NAMES[1:], 1.0)),
)


def _make(
    kinds: dict[str, FractureKind], word: str, level: str, kind: str, frame: VertebraFrame, seed: int,
    severity: float | None,
) -> FractureField:
    _check(kinds, word, level, kind)
    site = Site(level, kind, frame, seed, severity)
    made = kinds[kind].build(site)
    details = {key: float(value) if isinstance(value, np.floating) else value for key, value in made.parameters.items()}
    return replace(made, parameters={"severity": round(site.severity, 4), "seed": int(seed), **details})


def make_fracture(
    level: str, kind: str, frame: VertebraFrame, *, seed: int, severity: float | None = None
) -> FractureField:
    """A fracture of `KINDS` at one vertebra; the same arguments give the same fracture.

    severity: 0 is a hairline without displacement, 1 the widest gap and displacement of the kind; drawn
    when None. Raises InputError when the kind is unknown or does not occur at that level.
    """
    return _make(KINDS, "fracture", level, kind, frame, seed, severity)


def make_mimic(level: str, kind: str, frame: VertebraFrame, *, seed: int) -> FractureField:
    """A mimic of `MIMICS` at one vertebra, whose truth region is empty. Raises InputError like `make_fracture`."""
    return _make(MIMICS, "mimic", level, kind, frame, seed, None)


def _random(kinds: dict[str, FractureKind], level: str, seed: int) -> str:
    possible = {name: kind.frequency[level] for name, kind in kinds.items() if level in kind.frequency}
    shares = np.array(list(possible.values()))
    return str(np.random.default_rng([seed & 0xFFFFFFFF, 1]).choice(list(possible), p=shares / shares.sum()))


def random_fracture(level: str, frame: VertebraFrame, *, seed: int) -> FractureField:
    """A fracture whose kind is drawn as often as it occurs at `level`."""
    return make_fracture(level, _random(KINDS, level, seed), frame, seed=seed)


def random_mimic(level: str, frame: VertebraFrame, *, seed: int) -> FractureField:
    """A mimic whose kind is drawn as often as it is listed for `level`."""
    return make_mimic(level, _random(MIMICS, level, seed), frame, seed=seed)


def _check(kinds: dict[str, FractureKind], word: str, level: str, kind: str) -> None:
    if level not in LEVEL_NAMES:
        raise InputError(f"There is no level {level!r}.", advice=f"Levels are {', '.join(LEVEL_NAMES)}.")
    possible = [name for name, known in kinds.items() if level in known.frequency]
    if kind not in possible:
        raise InputError(
            f"{level} has no {word} {kind!r}.", advice=f"Possible at {level}: {', '.join(possible)}."
        )


def parse_fracture(text: str) -> tuple[str, str]:
    """("C2", "odontoid-2") from "C2:odontoid-2"; raises InputError that lists what is possible."""
    level, colon, kind = text.strip().partition(":")
    level, kind = level.strip().upper(), kind.strip().lower().replace("_", "-").replace(" ", "-")
    if not colon:
        raise InputError(
            f"{text!r} names no fracture.", advice="Write level and kind, for instance C2:odontoid-2 or C7:spinous."
        )
    _check(KINDS, "fracture", level, kind)
    return level, kind


def draw_fractured_levels(generator: np.random.Generator) -> list[str]:
    """Fractured levels of one fractured patient, at least one, in order, as often as in RSNA 2022.

    Seven normal variables, correlated between neighbours by `NEIGHBOUR_CORRELATION` to the power of their
    distance, each beyond its level's quantile; drawn again while none is.
    """
    from scipy.special import ndtri

    beyond = -ndtri(np.array(FRACTURED_LEVELS) / PATIENTS)
    place = np.arange(len(LEVEL_NAMES))
    root = np.linalg.cholesky(NEIGHBOUR_CORRELATION ** np.abs(place[:, None] - place))
    while True:
        hit = root @ generator.normal(size=len(LEVEL_NAMES)) > beyond
        if hit.any():
            return [name for name, broken in zip(LEVEL_NAMES, hit, strict=True) if broken]
