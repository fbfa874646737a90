"""How two masks agree: Dice, surface Dice and surface distance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TOLERANCES = (1.0, 2.0)  # mm, of the surface Dice


def dice(a: np.ndarray, b: np.ndarray) -> float | None:
    """Dice of two masks; None when both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else None


def level_figures(answer: np.ndarray, truth: np.ndarray, spacing: Sequence[float]) -> dict[str, float | None]:
    """Dice, surface Dice at TOLERANCES and 95 % Hausdorff distance (mm) of one level's masks [z, y, x].

    spacing: mm along z, y, x. truth must not be empty. When the answer is, the overlaps are 0 and the distance None.
    Surface Dice: Nikolov et al. 2021, doi:10.2196/26151; both as MONAI computes them, on the box of both masks.
    """
    import warnings

    import torch
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    names = [f"surface dice {tolerance:g} mm" for tolerance in TOLERANCES]
    if not answer.any():
        return {"dice": 0.0, **dict.fromkeys(names, 0.0), "hausdorff95 mm": None}
    box = _box(answer | truth)
    a, t = (torch.from_numpy(np.ascontiguousarray(np.pad(mask[box], 1)))[None, None] for mask in (answer, truth))
    options = {"include_background": True, "spacing": [float(value) for value in spacing]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # MONAI 1.5 warns of an argument that it sets itself
        surface = {
            name: float(compute_surface_dice(a, t, [tolerance], **options)[0, 0])
            for name, tolerance in zip(names, TOLERANCES, strict=True)
        }
        distance = float(compute_hausdorff_distance(a, t, percentile=95, **options)[0, 0])
    return {"dice": dice(answer[box], truth[box]), **surface, "hausdorff95 mm": distance}


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds a mask's voxels."""
    box = []
    for axis in range(mask.ndim):
        where = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(int(where[0]), int(where[-1]) + 1))
    return tuple(box)
