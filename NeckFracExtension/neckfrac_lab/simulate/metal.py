"""Streaks of metal as they come about: projections through it harden and starve, and are projected back."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

# What is denser than this (HU) throws streaks; enamel does not.
DENSE = 2500.0
# Attenuation of water at the mean energy of a 120 kV beam, per mm.
WATER = 0.02
# A beam in three parts: relative attenuation of metal for each, and their shares of the counts.
_SOFTNESS, _SHARES = (0.55, 1.0, 1.9), (0.3, 0.4, 0.3)
# Scattered light over unattenuated light; noise of a ray that no metal attenuates.
_SCATTER, _STARVED = 0.08, 0.025
# Lattice (mm) on which streaks are worked out, in plane and along z; they are smooth enough for it.
_PIXEL, _SLICE = 1.3, 1.6
# Slices worked out at once.
_AT_ONCE = 24


def _error(path: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """What goes wrong in a ray: `path` is its attenuation by metal (no unit), so is the error."""
    if strength <= 0:
        return torch.zeros_like(path)
    mean, passed = 0.0, torch.zeros_like(path)
    for softness, share in zip(_SOFTNESS, _SHARES, strict=True):
        passed += share * torch.exp(-softness * path)
        mean += softness * share
    # Scattered light, as a share of what arrives without metal, hides how little comes through.
    scatter = _SCATTER * strength
    passed = (passed + scatter) / (1 + scatter)
    hardening = -torch.log(passed) - mean * path
    counts = torch.exp(0.5 * path.clamp(max=7.0)) - 1
    grain = torch.randn(path.shape, generator=generator).to(path.device)
    return strength**0.5 * hardening + _STARVED * strength * counts * grain


def _ramp(size: int, pixel: float, device: torch.device) -> torch.Tensor:
    """Filter of back-projection by frequency (1/mm), with a Hann window."""
    frequency = torch.fft.rfftfreq(size, pixel, device=device)
    return frequency * (0.5 + 0.5 * torch.cos(np.pi * frequency / frequency[-1]))


def _streaks(excess: torch.Tensor, pixel: float, strength: float, generator: torch.Generator) -> torch.Tensor:
    """HU [slices, y, x] that go wrong for metal of `excess` attenuation (times water's) on square pixels (mm)."""
    count, height, width = excess.shape
    device = excess.device
    dense = (excess.amax(0) > 0).nonzero()
    reach = int(np.ceil(np.hypot(height, width) / 2)) + 2
    size, angles = 2 * reach + 1, max(int(1.3 * max(height, width)), 60)
    turns = torch.arange(angles, device=device) * (np.pi / angles)
    cos, sin = torch.cos(turns), torch.sin(turns)
    y = torch.arange(height, device=device) - (height - 1) / 2
    x = torch.arange(width, device=device) - (width - 1) / 2
    place = cos[:, None] * x[dense[:, 1]] + sin[:, None] * y[dense[:, 0]] + reach
    low = place.floor()
    share = (place - low)[..., None]
    row = torch.arange(angles, device=device)[:, None] * size + low.long()
    values = excess[:, dense[:, 0], dense[:, 1]].T[None]
    path = torch.zeros(angles * size, count, device=device)
    path.index_add_(0, row.flatten(), ((1 - share) * values).flatten(0, 1))
    path.index_add_(0, row.flatten() + 1, (share * values).flatten(0, 1))
    path = path.view(angles, size, count) * (pixel * WATER)
    error = _error(path, strength, generator)
    padded = 2 ** int(np.ceil(np.log2(2 * size)))
    # Detectors twice as fine, so that the nearest one will do on the way back.
    spectrum = torch.fft.rfft(error, n=padded, dim=1) * _ramp(padded, pixel, device)[:, None]
    fine = 2 * torch.fft.irfft(F.pad(spectrum, (0, 0, 0, padded // 2)), n=2 * padded, dim=1)
    total = torch.zeros(height * width, count, device=device)
    for turn in range(angles):
        back = (2 * (cos[turn] * x[None] + sin[turn] * y[:, None] + reach)).round().long().flatten()
        total += fine[turn].index_select(0, back)
    return (total.T.view(count, height, width) * (np.pi / angles / WATER * 1000)).contiguous()


def metal_artefact(
    hu: torch.Tensor, spacing: tuple[float, float, float], strength: float, generator: torch.Generator
) -> torch.Tensor | None:
    """Dark and bright bands around and between everything dense in HU [z, y, x]; None when nothing is.

    spacing: mm (z, y, x). strength: 1 for a usual scanner. generator: a CPU generator, for the starved rays.
    Only metal on the lattice counts. Model: three energies, scatter, quantum noise, filtered back-projection.
    """
    # From where metal begins it counts in full within 1000 HU: no edge that partial volume would move.
    excess = hu.clamp(max=20000.0) / 1000 * ((hu - DENSE) / 1000).clamp(0, 1)
    rows = (excess.amax((1, 2)) > 0).nonzero()[:, 0]
    if strength <= 0 or not len(rows):
        return None
    first, last = int(rows[0]), int(rows[-1]) + 1
    excess = excess[first:last]
    deep = min(max(int(round(_SLICE / spacing[0])), 1), len(excess))
    wide = max(int(round(_PIXEL / spacing[1])), 1), max(int(round(_PIXEL / spacing[2])), 1)
    small = F.avg_pool3d(excess[None, None], (deep, *wide), ceil_mode=True, count_include_pad=False)[0, 0]
    pixel = float(np.sqrt(wide[0] * spacing[1] * wide[1] * spacing[2]))
    parts = []
    for start in range(0, len(small), _AT_ONCE):
        part = small[start : start + _AT_ONCE]
        done = torch.zeros_like(part)
        held = (part.amax((1, 2)) > 0.02).nonzero()[:, 0]
        if len(held):
            done[held] = _streaks(part[held], pixel, strength, generator)
        parts.append(done)
    streaks = torch.cat(parts)[None, None]
    shape = excess.shape
    full = torch.zeros_like(hu)
    full[first:last] = F.interpolate(streaks, size=shape, mode="trilinear", align_corners=False)[0, 0]
    return full.clamp(-1800, 1800)
