"""From HU to what a network sees; the constants travel in each bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Intensity:
    """HU clipped to [lower, upper], minus `mean`, over `scale`."""

    lower: float
    upper: float
    mean: float
    scale: float

    def __call__(self, hu: torch.Tensor) -> torch.Tensor:
        """HU of any shape to float32 of the same shape."""
        return (hu.float().clamp(self.lower, self.upper) - self.mean) / self.scale

    def to_dict(self) -> dict[str, float]:
        return {"hu_lower": self.lower, "hu_upper": self.upper, "hu_mean": self.mean, "hu_scale": self.scale}

    @classmethod
    def from_dict(cls, preprocessing: dict[str, Any]) -> Intensity:
        return cls(*(float(preprocessing[f"hu_{key}"]) for key in ("lower", "upper", "mean", "scale")))


# Soft tissue and bone at once: levels are told by both.
TISSUE_AND_BONE = Intensity(-300.0, 1500.0, 200.0, 500.0)
# NeckFrac's bone window 150...2050, clipped: what is below it is black and never wraps to white.
BONE_WINDOW = Intensity(150.0, 2050.0, 150.0, 1900.0)
