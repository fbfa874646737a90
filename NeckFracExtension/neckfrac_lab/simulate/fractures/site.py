"""Where on a vertebra a fracture is drawn: landmarks in the vertebra's own axes, and the seeded draws."""

from __future__ import annotations

import zlib

import numpy as np

from ..neck import VertebraFrame
from .shapes import Blob, Face, Roughness, Vector

LEFT, POSTERIOR, SUPERIOR = np.eye(3)


def vector(values: np.ndarray) -> Vector:
    """Three plain numbers."""
    return tuple(float(value) for value in values)


def unit(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    return values / np.linalg.norm(values)


class Site:
    """One vertebra's landmarks (mm, left, posterior, superior about its centre) and a seeded generator.

    Landmarks of a side are asked for by sign: +1 left, -1 right. severity: 0 (hairline) to 1.
    """

    def __init__(self, level: str, kind: str, frame: VertebraFrame, seed: int, severity: float | None = None) -> None:
        self.level = level
        # The kind takes part, so that two fractures of one seed don't share their noise.
        self.generator = np.random.default_rng([seed & 0xFFFFFFFF, zlib.crc32(f"{level}:{kind}".encode())])
        self.width, self.depth, self.height = frame.half_size

        def local(name: str) -> np.ndarray:
            return np.asarray(frame.to_local(getattr(frame, name)), dtype=float)

        self.canal, self.spinous_tip = local("canal"), local("spinous_tip")
        self.dens_tip = None if frame.dens_tip is None else local("dens_tip")
        self._sides = {
            name: {sign: local(f"{word}_{name}") for sign, word in ((1, "left"), (-1, "right"))}
            for name in ("lateral_mass", "transverse_tip", "lamina")
        }
        # A fifth are hairlines; of the rest small displacements are commoner than large ones.
        drawn = 0.0 if self.generator.uniform() < 0.2 else float(self.generator.beta(1.3, 1.8))
        self.severity = drawn if severity is None else float(np.clip(severity, 0, 1))

    def lateral_mass(self, side: int) -> np.ndarray:
        return self._sides["lateral_mass"][side]

    def transverse_tip(self, side: int) -> np.ndarray:
        return self._sides["transverse_tip"][side]

    def lamina(self, side: int) -> np.ndarray:
        return self._sides["lamina"][side]

    @property
    def arch(self) -> np.ndarray:
        """Where the laminae meet: the root of the spinous process."""
        return (self.lamina(1) + self.lamina(-1)) / 2 * np.array([0.0, 1.0, 1.0])

    def between(self, lower: float, upper: float) -> float:
        return float(self.generator.uniform(lower, upper))

    def chance(self, share: float) -> bool:
        return bool(self.generator.uniform() < share)

    def side(self) -> int:
        return 1 if self.chance(0.5) else -1

    def gap(self, largest: float = 1.6) -> float:
        """Gap in mm: 0.3 for a hairline, up to `largest` by severity."""
        return 0.3 + (largest - 0.3) * self.severity * self.between(0.5, 1.0)

    def shift(self, direction: np.ndarray, largest: float) -> Vector:
        """A displacement of up to `largest` mm by severity about `direction`; none for a hairline."""
        wobble = unit(unit(direction) + self.generator.normal(size=3) * 0.2)
        return vector(wobble * largest * self.severity * self.between(0.6, 1.0))

    def rotation(self, axis: np.ndarray, largest: float) -> Vector:
        """A rotation vector (degrees) of up to `largest` by severity about `axis`."""
        wobble = unit(unit(axis) + self.generator.normal(size=3) * 0.2)
        return vector(wobble * largest * self.severity * self.between(0.3, 1.0))

    def roughness(self, strength: float = 1.0) -> Roughness:
        return Roughness.draw(self.generator, strength)

    def face(
        self, point: np.ndarray, normal: np.ndarray, tilt: float = 12.0, strength: float = 1.0, bow: float = 0.0,
        bow_axis: np.ndarray = LEFT,
    ) -> Face:
        """A rough sheet through `point`, its normal tilted by about `tilt` degrees (sd)."""
        tilted = unit(unit(normal) + np.radians(tilt) * self.generator.normal(size=3) * 0.7)
        rough = self.roughness(strength) if strength else None
        return Face(vector(point), vector(tilted), rough, bow, vector(unit(bow_axis)))

    def limit(self, point: np.ndarray, normal: np.ndarray) -> Face:
        """A plain half-space: where a fracture may reach."""
        return Face(vector(point), vector(unit(normal)))

    def ball(self, point: np.ndarray, radius: float) -> Blob:
        return Blob(vector(point), (radius,) * 3)

    def radial(self, angle: float, side: int) -> tuple[np.ndarray, np.ndarray]:
        """(outward direction, direction of growing angle) at `angle` degrees round the canal from the front."""
        sine, cosine = np.sin(np.radians(angle)), np.cos(np.radians(angle))
        return np.array([side * sine, -cosine, 0.0]), np.array([side * cosine, sine, 0.0])

    def angle(self, point: np.ndarray) -> float:
        """Degrees round the canal from the front to `point`, the same for left and right."""
        left, posterior, _ = point - self.canal
        return float(np.degrees(np.arctan2(abs(left), -posterior)))

    def chips(self, point: np.ndarray, count: int, spread: float = 4.0) -> tuple[Blob, ...]:
        """Small rough pieces of bone near `point`, for the gap of a displaced break."""
        return tuple(
            Blob(vector(point + self.generator.normal(size=3) * spread), vector(self.generator.uniform(0.5, 1.3, 3)),
                 self.roughness(0.4))
            for _ in range(count if self.severity > 0.25 else 0)
        )

    def turned(self) -> tuple[Vector, ...]:
        """Three random perpendicular unit vectors."""
        return tuple(vector(row) for row in np.linalg.qr(self.generator.normal(size=(3, 3)))[0])
