"""Measurements made from lines between landmarks, each with what its value may be off by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...measurement import Measurement, NormalRange, value_of
from ...quantities import QUANTITIES

# mm (sd) by which an edge of bone is off: of its own, and per mm of voxel along the line. Fitted on simulated
# studies (`neckfrac evaluate measurements`), in which 95 % of the intervals should hold the truth.
EDGE, EDGE_PER_VOXEL = 0.25, 0.16
# mm (sd) more of a line: of points that are no edges along it (tips of processes, outer edges of facets), and of what
# masks add. Fitted on 20 worn simulated studies (`neckfrac evaluate measurements --worn`), of others than are shown.
LOOSE = {
    "interspinous": 3.0, "atlas-overhang": 2.0, "basion-dens": 0.6, "basion-axial": 1.0, "listhesis": 0.45,
    "atlanto-dental": 0.6, "lateral-atlanto-dental-left": 0.9, "lateral-atlanto-dental-right": 0.9,
    "canal-diameter": 1.0, "canal-body-ratio": 1.2, "body-depth": 0.95, "disc-height": 0.35, "height-loss": 0.4,
    "anterior-height": 0.25, "middle-height": 0.5, "posterior-height": 0.25, "prevertebral": 1.35,
}  # fmt: skip
Z95 = 1.96


class Maker:
    """Makes measurements of one scan. spacing: mm along [z, y, x]; directions: columns are unit vectors of i, j, k."""

    def __init__(self, spacing: np.ndarray, directions: np.ndarray) -> None:
        # Rows are the voxel's edges in LPS, in the order x, y, z.
        self.edges = (np.asarray(directions) * np.asarray(spacing)[::-1]).T

    def error(self, direction: np.ndarray) -> float:
        """mm (sd) by which an edge is off along a direction."""
        size = float(np.linalg.norm(direction))
        along = float(np.abs(self.edges @ direction).max()) / size if size > 1e-6 else float(np.abs(self.edges).max())
        return float(np.hypot(EDGE, EDGE_PER_VOXEL * along))

    def __call__(
        self, name: str, levels: tuple[str, ...], lines: Sequence[tuple[np.ndarray, np.ndarray]], *,
        value: float | None = None, normal: NormalRange | None = None, note: str = "",
    ) -> list[Measurement]:  # fmt: skip
        """The measurement between lines (LPS mm), in a list for joining. value: where it needs a sense of its own."""
        points = tuple(tuple(float(v) for v in point) for line in lines for point in line)
        value = value_of(name, points) if value is None else float(value)
        half = Z95 * self._spread(name, [np.asarray(b) - np.asarray(a) for a, b in lines], value)
        unit = QUANTITIES[name].unit
        return [Measurement(name, levels, value, unit, value - half, value + half, points, normal, note=note)]

    def _spread(self, name: str, spans: list[np.ndarray], value: float) -> float:
        """The value's standard deviation, in its own unit."""
        formula, lengths = QUANTITIES[name].formula, [max(float(np.linalg.norm(span)), 1e-6) for span in spans]
        loose = LOOSE.get(name, 0.0)
        # Both ends of a line are off on their own.
        errors = [np.hypot(np.sqrt(2) * self.error(span), loose) for span in spans]
        if formula in ("length", "signed"):
            return float(errors[0])
        if formula in ("difference", "sum"):
            return float(np.hypot(*errors))
        if formula == "angle":
            up = [np.cross(np.cross(spans[0], spans[1]), span) for span in spans]
            up = [u if np.linalg.norm(u) > 1e-6 else np.array([0.0, 0.0, 1.0]) for u in up]
            turns = [np.sqrt(2) * self.error(u) / length for u, length in zip(up, lengths, strict=True)]
            return float(np.degrees(np.hypot(*turns)))
        # Ratios and losses: the first line against the mean of the others.
        other = float(np.mean(lengths[1:]))
        shares = errors[0] / lengths[0], np.sqrt(np.sum(np.square(errors[1:]))) / len(errors[1:]) / other
        return float(lengths[0] / other * np.hypot(*shares)) * (100 if formula == "loss" else 1)

    @staticmethod
    def without_norms(measurement: Measurement) -> Measurement:
        """The same without a normal range, and so without a flag: of a child."""
        return replace(measurement, normal=None, flag=None)
