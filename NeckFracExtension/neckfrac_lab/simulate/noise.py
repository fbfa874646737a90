"""Smooth random fields that belong to places in the world, not to a lattice: any grid sees the same field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

# Control values per axis; the field repeats every TILE * spacing millimetres.
TILE = 32
# Standard deviation of a uniform cubic B-spline over independent unit normal control values in 3D:
# the mean over a cell of the sum of squared weights is 151/315 per axis.
_BSPLINE_SD = (151 / 315) ** 1.5


def _weights(coordinates: torch.Tensor, spacing: float) -> torch.Tensor:
    """Cubic B-spline weights [n, TILE] of the control values along one axis at coordinates [n] (mm)."""
    position = coordinates / spacing
    cell = torch.floor(position)
    t = position - cell
    weights = torch.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], dim=1
    ) / 6
    columns = (cell.long()[:, None] + torch.arange(-1, 3, device=t.device)) % TILE
    return torch.zeros(len(t), TILE, dtype=t.dtype, device=t.device).scatter_add_(1, columns, weights)


@dataclass(frozen=True, eq=False)
class SmoothNoise:
    """Random fields of about unit standard deviation, smooth on the scale `spacing` (mm).

    values: [channels, TILE, TILE, TILE], independent unit normal control values of a cubic B-spline.
    """

    values: torch.Tensor
    spacing: float

    @classmethod
    def draw(cls, generator: np.random.Generator, spacing: float, channels: int = 1) -> SmoothNoise:
        values = generator.standard_normal((channels, TILE, TILE, TILE), dtype=np.float32)
        return cls(torch.from_numpy(values), float(spacing))

    def on_lattice(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The fields [channels, len(z), len(y), len(x)] where the planes z, y, x (mm, [n]) meet."""
        values = self.values.to(z.device)
        channels = len(values)
        field = (_weights(z, self.spacing) @ values.reshape(channels, TILE, -1)).reshape(channels, -1, TILE, TILE)
        field = _weights(y, self.spacing) @ field
        return field @ _weights(x, self.spacing).T / _BSPLINE_SD

    def at(self, points: torch.Tensor) -> torch.Tensor:
        """The fields [channels, n] at points [3 (x, y, z), n] (mm) that lie on no lattice."""
        channels, place, weights = len(self.values), [], []
        for coordinates in points:
            position = coordinates / self.spacing
            cell = torch.floor(position)
            t = position - cell
            cubic = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
            weights.append(torch.stack(cubic) / 6)
            place.append((cell.long()[None] + torch.arange(-1, 3, device=t.device)[:, None]) % TILE)
        values = self.values.to(points.device).reshape(channels, -1)
        total = points.new_zeros(channels, points.shape[1])
        for k in range(4):
            for j in range(4):
                row = (place[2][k] * TILE + place[1][j]) * TILE
                for i in range(4):
                    total += values[:, row + place[0][i]] * (weights[2][k] * weights[1][j] * weights[0][i])
        return total / _BSPLINE_SD


def gaussian(volume: torch.Tensor, sigmas: tuple[float, float, float]) -> torch.Tensor:
    """Blur [z, y, x] by a Gaussian with standard deviations in voxels along z, y, x; edges repeated."""
    for axis, sigma in enumerate(sigmas):
        if sigma < 0.15:
            continue
        radius = min(max(int(np.ceil(2.5 * sigma)), 1), volume.shape[axis] - 1)
        if radius < 1:
            continue
        offsets = torch.arange(-radius, radius + 1, device=volume.device, dtype=torch.float32)
        kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
        kernel = kernel / kernel.sum()
        ends = [volume.narrow(axis, 0, 1)] * radius, [volume.narrow(axis, volume.shape[axis] - 1, 1)] * radius
        padded = torch.cat([*ends[0], volume, *ends[1]], dim=axis)
        # A sum of shifted views is several times faster than a 3D convolution on one core.
        total = torch.zeros_like(volume)
        for n in range(2 * radius + 1):
            total.add_(padded.narrow(axis, n, volume.shape[axis]), alpha=float(kernel[n]))
        volume = total
    return volume


def smoothstep(values: torch.Tensor) -> torch.Tensor:
    """0 below 0, 1 above 1, with no kink between."""
    values = values.clamp(0, 1)
    return values * values * (3 - 2 * values)
