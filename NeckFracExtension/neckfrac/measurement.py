"""One measurement of a neck: its value, how sure it is, what is normal, and the points that it was taken between."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .anatomy import LEVEL_NAMES
from .quantities import QUANTITIES, Quantity

Point = tuple[float, float, float]

UNITS = {"mm": "mm", "deg": "°", "%": "%", "1": ""}  # UCUM, and as it is shown
NO_DIAGNOSIS = "A flag compares a figure with healthy adults; it is no diagnosis."


@dataclass(frozen=True)
class NormalRange:
    """What is normal in adults: from lower to upper (None: no limit on that side), and who says so."""

    lower: float | None
    upper: float | None
    source: str

    def __post_init__(self) -> None:
        ends = [end for end in (self.lower, self.upper) if end is not None]
        if not ends or not all(map(math.isfinite, ends)) or ends != sorted(ends) or not self.source:
            raise ValueError(f"no normal range: {self.lower} to {self.upper} ({self.source!r})")

    def in_words(self, unit: str) -> str:
        """ "≤ 3 mm", "≥ 0.8", "-2 to 2 mm"."""
        shown = UNITS[unit] if unit == "deg" else f" {UNITS[unit]}".rstrip()
        if self.lower is None or (self.lower == 0 and self.upper is not None):
            return f"≤ {self.upper:g}{shown}"
        if self.upper is None:
            return f"≥ {self.lower:g}{shown}"
        return f"{self.lower:g} to {self.upper:g}{shown}"


@dataclass(frozen=True)
class Measurement:
    """A quantity of one level or between levels.

    name: of `QUANTITIES`. levels: one, or the upper and the lower one. value, lower, upper: in `unit` (UCUM); lower
    and upper hold 95 % of what it may be. normal: None where none is known or it does not apply (children). flag: a
    sentence when the value is not normal, else None. points: mm, LPS; each two in a row are a line. edited: a reader
    moved the points. note: what a reader must know of it. Raises ValueError for what can't be.
    """

    name: str
    levels: tuple[str, ...]
    value: float
    unit: str
    lower: float
    upper: float
    points: tuple[Point, ...]
    normal: NormalRange | None = None
    flag: str | None = None
    edited: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        quantity = QUANTITIES.get(self.name)
        if quantity is None or self.unit != quantity.unit:
            raise ValueError(f"nothing is measured as {self.name!r} in {self.unit!r}")
        if not 1 <= len(self.levels) <= 2 or any(level not in LEVEL_NAMES for level in self.levels):
            raise ValueError(f"no levels of a measurement: {self.levels}")
        if not self.lower <= self.value <= self.upper or not math.isfinite(self.upper - self.lower):
            raise ValueError(f"{self.value} does not lie between {self.lower} and {self.upper}")
        places = np.array(self.points, dtype=float)
        fewest, most = quantity.lines
        if not 2 * fewest <= len(self.points) <= 2 * most or len(self.points) % 2 or places.shape[1:] != (3,):
            raise ValueError(f"{self.name} is not taken between {len(self.points)} points")
        if not np.isfinite(places).all():
            raise ValueError("points of a measurement must be finite")
        if self.flag is not None and (self.normal is None or not self.flag):
            raise ValueError("a flag needs a normal range and a sentence")

    @property
    def quantity(self) -> Quantity:
        return QUANTITIES[self.name]

    @property
    def key(self) -> str:
        """What tells it from the others of its study: "listhesis C5 C6"."""
        return " ".join([self.name, *self.levels])

    @property
    def where(self) -> str:
        """ "C5", "C5 on C6" or "C2 to C7"."""
        if self.name == "listhesis":
            return " on ".join(self.levels)
        return " to ".join(self.levels) if self.name.startswith("lordosis") else "–".join(self.levels)

    @property
    def lines(self) -> tuple[tuple[Point, Point], ...]:
        return tuple((self.points[n], self.points[n + 1]) for n in range(0, len(self.points), 2))

    @property
    def deviation(self) -> float:
        """How far outside its normal range, in half widths of its uncertainty; negative inside, -inf without one."""
        if self.normal is None:
            return -math.inf
        half = max((self.upper - self.lower) / 2, 1e-6)
        beyond = [] if self.normal.upper is None else [(self.value - self.normal.upper) / half]
        return max(beyond + ([] if self.normal.lower is None else [(self.normal.lower - self.value) / half]))

    def in_words(self) -> str:
        """The value with its unit: "3.8 mm", "12°", "0.92", "31 %"."""
        return shown(self.value, self.unit)

    def uncertainty_in_words(self) -> str:
        """ "3.1 to 4.5 mm"."""
        return f"{shown(self.lower, self.unit, bare=True)} to {shown(self.upper, self.unit)}"

    def judged(self) -> Measurement:
        """The same with its flag: when even the end of its uncertainty next to the normal range lies outside it.

        After a reader moved points the value itself decides, which is then the reader's.
        """
        flag, beyond = None, self.deviation > (0 if self.edited else 1)
        if beyond and self.normal is not None:
            flag = f"{self.where}: {self._what()} (normal {self.normal.in_words(self.unit)})"
        return replace(self, flag=flag)

    def _what(self) -> str:
        if self.name == "listhesis":
            return f"{abs(self.value):.1f} mm {'antero' if self.value > 0 else 'retro'}listhesis"
        title = self.quantity.title
        return f"{title[0].lower() + title[1:] if title[:2] != 'C1' else title} {self.in_words()}"

    def moved(self, points: Iterable[Sequence[float]]) -> Measurement:
        """The measurement as a reader drew it: value, limits and flag follow from the points."""
        points = tuple(tuple(float(v) for v in point) for point in points)
        if len(points) != len(self.points):
            raise ValueError(f"{self.name} is taken between {len(self.points)} points, not {len(points)}")
        value = value_of(self.name, points, like=self)
        low, high = self.value - self.lower, self.upper - self.value
        changed = replace(
            self, points=points, value=value, lower=value - low, upper=value + high, flag=None, edited=True
        )
        return changed.judged()

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Measurement:
        """The measurement that `dataclasses.asdict` took apart."""
        normal = content.get("normal")
        parts = {
            "levels": tuple(content["levels"]),
            "points": tuple(tuple(float(v) for v in point) for point in content["points"]),
            "normal": None if normal is None else NormalRange(**normal),
        }
        return cls(**{**content, **parts})


def with_moved_points(
    measurements: Iterable[Measurement], key: str, points: Iterable[Sequence[float]]
) -> tuple[Measurement, ...]:
    """The measurements after a reader moved the points of one; those that share a line with it follow.

    Raises KeyError when none has that key, ValueError for another number of points.
    """
    measurements = tuple(measurements)
    old = {one.key: one for one in measurements}[key]
    new = old.moved(points)
    lines = {before: after for before, after in zip(old.lines, new.lines, strict=True) if before != after}
    if not lines:
        return measurements
    return tuple(
        one.moved(point for line in one.lines for point in lines.get(line, line)) if {*lines} & {*one.lines} else one
        for one in measurements
    )


def shown(value: float, unit: str, bare: bool = False) -> str:
    """A figure for a reader, with as many digits as can be known."""
    digits = {"mm": 1, "deg": 0, "%": 0, "1": 2}[unit]
    text = f"{value + 0.0:.{digits}f}"
    text = text.lstrip("-") if not float(text) else text
    return text if bare else f"{text}{'' if unit in ('deg', '1') else ' '}{UNITS[unit]}"


def value_of(name: str, points: Sequence[Sequence[float]], like: Measurement | None = None) -> float:
    """The value that follows from the points (mm) of a quantity.

    A sign can't be seen from two points: signed lengths and angles keep the sense of `like`, the measurement that the
    points belonged to before they were moved.
    """
    ends = np.array(points, dtype=float).reshape(-1, 2, 3)
    spans = ends[:, 1] - ends[:, 0]
    lengths = np.linalg.norm(spans, axis=1)
    formula = QUANTITIES[name].formula
    if formula == "length":
        return float(lengths[0])
    if formula == "ratio":
        return float(lengths[0] / max(lengths[1], 1e-6))
    if formula == "difference":
        return float(abs(lengths[0] - lengths[1]))
    if formula == "loss":
        return float(100 * (1 - lengths[0] / max(lengths[1:].mean(), 1e-6)))
    if like is None:
        raise ValueError(f"the sense of {name} does not follow from its points")
    before = np.array(like.points, dtype=float).reshape(-1, 2, 3)
    old = before[:, 1] - before[:, 0]
    if formula == "sum":  # each line keeps the sense in which it counted: outward is positive
        sides = _sides(before)
        return float((spans * sides).sum())
    if formula == "signed":
        return float(math.copysign(1.0, like.value) * math.copysign(lengths[0], float(spans[0] @ old[0])))
    normal = np.cross(old[0], old[1])
    size = math.copysign(1.0, like.value) if np.linalg.norm(normal) > 1e-9 else 1.0
    turned = np.cross(spans[0], spans[1])
    degrees = np.degrees(np.arctan2(np.linalg.norm(turned), spans[0] @ spans[1]))
    return float(size * math.copysign(degrees, float(turned @ normal)))


def _sides(lines: np.ndarray) -> np.ndarray:
    """Unit vectors outwards of each of two lines [2, 2, 3]: away from the other one."""
    apart = lines[0].mean(axis=0) - lines[1].mean(axis=0)
    apart = apart / max(float(np.linalg.norm(apart)), 1e-9)
    return np.array([apart, -apart])
