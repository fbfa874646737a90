"""What a member of the ensemble says of a study."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..pipeline.crops import VertebraCrop

LevelHeat = dict[str, tuple[VertebraCrop, np.ndarray]]


@dataclass(frozen=True, eq=False)
class MemberPrediction:
    """What one member says: probability by level, perhaps of the patient, and where: by level, or of all voxels."""

    levels: dict[str, float]
    patient: float | None = None
    heat: LevelHeat = field(default_factory=dict)
    fine_heat: dict[str, tuple[np.ndarray, tuple[slice, ...]]] = field(default_factory=dict)
