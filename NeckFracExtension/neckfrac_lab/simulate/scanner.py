"""The scanner: blur, noise, streaks, shading, calibration and field of view, on any lattice."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from .metal import metal_artefact
from .noise import SmoothNoise, gaussian

OUTSIDE = -1024.0
# Pixel (mm) for which `Scanner.noise` is stated, with the slice thickness: a usual neck CT.
REFERENCE_PIXEL = 0.5
# Sampling on a lattice already averages over a voxel: a box has this standard deviation per spacing.
_BOX = 12**-0.5


@dataclass(frozen=True)
class Scanner:
    """One scan's physics. Lengths in mm, amounts in HU.

    slice_thickness blurs along z with 0.38 of it; blur in plane; sharpening is the overshoot of a bone
    kernel. noise: standard deviation in soft tissue for pixels of 0.5 mm and the slice thickness, with
    correlation (mm, 0 for white) and growing up to shoulder_noise-fold below C7. streaks: horizontal,
    below C7. metal: strength of the streaks around fillings. shading: slow unevenness. gain and offset:
    calibration. cut_above, cut_below: share of the grid's height without data; round: diameter of a
    round field of view as a share of the grid's width, or None.
    """

    slice_thickness: float = 1.0
    blur: float = 0.4
    sharpening: float = 0.0
    noise: float = 15.0
    correlation: float = 0.6
    shoulder_noise: float = 2.0
    streaks: float = 0.0
    metal: float = 1.0
    shading: float = 5.0
    gain: float = 1.0
    offset: float = 0.0
    cut_above: float = 0.0
    cut_below: float = 0.0
    round: float | None = None

    @classmethod
    def clean(cls) -> Scanner:
        """Thin slices, a sharp kernel, no noise, no artefacts."""
        return cls(
            slice_thickness=0.8, blur=0.35, noise=0.0, correlation=0.0, shoulder_noise=1.0, streaks=0.0, metal=0.0,
            shading=0.0,
        )

    @classmethod
    def random(cls, generator: np.random.Generator, *, cuts: bool = True) -> Scanner:
        """A scan as it comes; `cuts` False leaves the field of view whole."""
        g = generator
        low, high = ((0.5, 1.5), (1.5, 3.0), (3.0, 5.0))[int(g.choice(3, p=(0.5, 0.35, 0.15)))]
        # Neck CT is mostly read with a sharp kernel: small blurs are the most common.
        blur = (0.3 + 0.7 * g.uniform() ** 2) * (g.uniform(1.5, 3.2) if g.random() < 0.12 else 1.0)
        odd = g.random() < 0.25
        gain, offset = (g.uniform(0.8, 1.25), g.normal(0, 40)) if odd else (g.normal(1, 0.02), g.normal(0, 8))
        if g.random() < 0.05:
            gain, offset = g.uniform(0.5, 1.8), g.normal(0, 120)
        top, bottom, circle = g.random() < 0.4, g.random() < 0.4, g.random() < 0.08
        top_share, bottom_share, diameter = g.uniform(0.05, 0.5), g.uniform(0.05, 0.5), g.uniform(0.75, 1.15)
        return cls(
            slice_thickness=float(g.uniform(low, high)), blur=float(blur),
            sharpening=float(g.uniform(0.2, 1.0)) if g.random() < 0.4 else 0.0,
            noise=float(np.exp(g.uniform(np.log(4), np.log(70)))),
            correlation=float(g.uniform(0.4, 1.1)) if g.random() < 0.6 else 0.0,
            shoulder_noise=float(g.uniform(1.0, 3.5)), streaks=float(g.uniform(5, 90)) if g.random() < 0.5 else 0.0,
            metal=float(g.uniform(0.3, 1.5)), shading=float(g.uniform(0, 25)), gain=float(gain), offset=float(offset),
            cut_above=float(top_share) if cuts and top else 0.0,
            cut_below=float(bottom_share) if cuts and bottom else 0.0,
            round=float(diameter) if cuts and circle else None,
        )

    def truth(self) -> dict:
        """All parameters, for the record."""
        return asdict(self)

    def seen(self, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> np.ndarray:
        """Which voxels have data: bool, broadcastable to [z, y, x]."""
        depth, height, width = shape
        z = np.arange(depth)
        rows = (z >= round_half(self.cut_below * depth)) & (z < depth - round_half(self.cut_above * depth))
        if not rows.any():
            rows[depth // 2] = True
        plane = np.ones((1, 1), bool)
        if self.round is not None:
            y = (np.arange(height) - (height - 1) / 2)[:, None] * spacing[1]
            x = (np.arange(width) - (width - 1) / 2) * spacing[2]
            plane = np.hypot(y, x) <= self.round * max(height * spacing[1], width * spacing[2]) / 2
        return rows[:, None, None] & plane[None]


def round_half(value: float) -> int:
    """The nearest whole number."""
    return int(np.floor(value + 0.5))


def _left_over(sigma: float, spacing: float) -> float:
    """Blur in voxels that is still missing when the lattice itself averages over a voxel."""
    return float(np.sqrt(max(sigma**2 - (_BOX * spacing) ** 2, 0.0)) / spacing)


def blurred(hu: torch.Tensor, scanner: Scanner, spacing: tuple[float, float, float]) -> torch.Tensor:
    """HU [z, y, x] with the slice profile and the kernel's blur and overshoot."""
    in_plane = [_left_over(scanner.blur, s) for s in spacing[1:]]
    hu = gaussian(hu, (_left_over(0.38 * scanner.slice_thickness, spacing[0]), *in_plane))
    if scanner.sharpening:
        around = 1.0 / spacing[1], 1.0 / spacing[2]
        hu = hu + scanner.sharpening * (hu - gaussian(hu, (0.0, *around)))
    return hu


def noise_level(scanner: Scanner, spacing: tuple[float, float, float]) -> float:
    """Standard deviation (HU) of the noise on a lattice of this spacing, above the shoulders.

    Noise falls with the root of the averaged volume when white; real noise is correlated and lattices
    are often interpolated, not averaged, so the fourth root is used, and finer lattices gain nothing.
    """
    volume = REFERENCE_PIXEL**2 * scanner.slice_thickness
    return scanner.noise * min(1.0, volume / float(np.prod(spacing))) ** 0.25


def noise(
    scanner: Scanner, shape: tuple[int, int, int], spacing: tuple[float, float, float], below: torch.Tensor,
    generator: torch.Generator,
) -> torch.Tensor:
    """Noise and horizontal streaks in HU [z, y, x]. below: [z], 0 above the shoulders to 1 well below."""
    device = below.device
    field = torch.randn(shape, generator=generator).to(device)
    if scanner.correlation:
        sigmas = [min(0.3 * scanner.slice_thickness, scanner.correlation) / spacing[0]]
        sigmas += [scanner.correlation / s for s in spacing[1:]]
        field = gaussian(field, tuple(sigmas))
    field = field * (noise_level(scanner, spacing) / field.std().clamp(min=1e-6))
    field *= (1 + (scanner.shoulder_noise - 1) * below)[:, None, None]
    if scanner.streaks and float(below.max()) > 0:
        lines = torch.randn(shape[0], 1, shape[1], 8, generator=generator).to(device)
        lines = F.interpolate(lines[:, 0][:, None], size=shape[1:], mode="bilinear", align_corners=True)[:, 0]
        lines = gaussian(lines, (0.25 * scanner.slice_thickness / spacing[0], 0.7 / spacing[1], 0.0))
        field += lines * (scanner.streaks / lines.std().clamp(min=1e-6) * 0.6) * below[:, None, None]
    return field


def metal_streaks(
    scanner: Scanner, fillings: list[tuple[float, float, float]], planes: tuple[torch.Tensor, ...],
    generator: np.random.Generator,
) -> torch.Tensor | None:
    """Bright and dark rays through metal, in the slices that hold it: HU [z, y, x], or None without metal.

    fillings: world points (x, y, z) mm; planes: z, y, x of the lattice in mm.
    """
    z, y, x = planes
    total = None
    for fx, fy, fz in fillings:
        count = generator.integers(3, 40, 14)
        harmonics = [(int(k), *generator.uniform(0, 2 * np.pi, 2), generator.normal()) for k in count]
        rows = torch.exp(-0.5 * ((z - fz) / 1.8) ** 2)
        if not scanner.metal or float(rows.max()) < 0.02:
            continue
        dy, dx = (y - fy)[:, None], (x - fx)[None, :]
        radius, angle = torch.sqrt(dy**2 + dx**2), torch.atan2(dy, dx)
        if total is None:
            total = torch.zeros(len(z), len(y), len(x), device=z.device)
        fading = 420 * scanner.metal / (1 + radius / 14) / len(harmonics) ** 0.5
        for n in (rows > 0.02).nonzero()[:, 0].tolist():
            # Rays are the same on both sides of the metal: even multiples of the angle. They turn from slice to slice.
            turn = 0.35 * float(z[n] - fz)
            rays = sum(a * torch.cos(2 * k * angle + phase + turn * drift) for k, phase, drift, a in harmonics)
            total[n] += rows[n] * rays * fading
    return total


def acquire(
    hu: torch.Tensor, scanner: Scanner, spacing: tuple[float, float, float], planes: tuple[torch.Tensor, ...],
    shoulders: float, fillings: list[tuple[float, float, float]], generator: np.random.Generator,
    metal: np.random.Generator | None = None,
) -> torch.Tensor:
    """What the scanner makes of true HU [z, y, x]: int16, -1024 outside the field of view.

    planes: z, y, x of the lattice in mm; shoulders: world height (mm) at which they begin. metal: given
    when there is more metal than fillings, for the streaks that it throws.
    """
    hu = blurred(hu, scanner, spacing)
    voxels = torch.Generator().manual_seed(int(generator.integers(2**62)))
    streaks = metal_streaks(scanner, fillings, planes, generator)
    if metal is not None:
        rays = torch.Generator().manual_seed(int(metal.integers(2**62)))
        artefact = metal_artefact(hu, spacing, scanner.metal, rays)
        streaks = artefact if streaks is None else streaks if artefact is None else streaks + artefact
    shading = SmoothNoise.draw(generator, 60.0)
    inside = (hu > -950).float()
    if streaks is not None:
        hu = hu + streaks * (0.35 + 0.65 * inside)
    if scanner.shading:
        hu = hu + scanner.shading * 0.6 * shading.on_lattice(*planes)[0] * inside
    if scanner.noise or scanner.streaks:
        below = ((shoulders - planes[0]) / 50 + 0.2).clamp(0, 1)
        # Air far from the body is noisy too, but less.
        hu = hu + noise(scanner, tuple(hu.shape), spacing, below, voxels) * (0.5 + 0.5 * inside)
    hu = (hu + 1000) * scanner.gain - 1000 + scanner.offset
    seen = torch.from_numpy(scanner.seen(tuple(hu.shape), spacing)).to(hu.device)
    hu = torch.where(seen, hu, torch.tensor(OUTSIDE, device=hu.device))
    return hu.clamp(OUTSIDE, 3071).round().to(torch.int16)
