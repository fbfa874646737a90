"""The true measurements of a simulated study: of the posed surfaces, by the definitions that scans are measured by."""

from __future__ import annotations

from typing import Any

import numpy as np
from neckfrac.measurement import Measurement
from neckfrac.pipeline.measure import assemble, landmarks
from neckfrac.pipeline.measurements import soft_tissue
from neckfrac.pipeline.measurements.axes import to_endplates
from neckfrac.pipeline.measurements.bodies import Body
from neckfrac.pipeline.measurements.values import Maker

from .posed_surface import PosedSurface


def true_measurements(surface: PosedSurface) -> tuple[dict[str, Body], tuple[Measurement, ...]]:
    """Landmarks of C2 to C7 by level, and the measurements of a posed neck, whether in view or not."""
    axes, voxels = {}, {}
    for name in surface.levels:
        own = surface.axes(name)
        own = own if name in ("C1", "C2") else to_endplates(own, name, surface)
        if own is not None:
            axes[name], voxels[name] = own, surface.voxels(name)
    bodies, lines = landmarks(axes, surface, voxels)
    airs = {}
    for level in soft_tissue.LEVELS:
        wall = bodies[level].points.get("front wall") if level in bodies else None
        points = None if wall is None else soft_tissue.rays(wall, axes[level])
        distance = None if points is None else soft_tissue.to_air(surface.air(points))
        if distance is not None:
            airs[level] = ((wall, wall - distance * axes[level].rows[1]), "")
    return bodies, assemble(bodies, lines, airs, Maker(np.zeros(3), np.eye(3)))[0]


def record(surface: PosedSurface) -> dict[str, Any]:
    """For `truth.json`: landmarks (mm, LPS) by level and name, and what they measure."""
    bodies, measurements = true_measurements(surface)
    points = {}
    for level, body in bodies.items():
        named = {**{f"top {k}": v for k, v in body.top.items()}, **{f"bottom {k}": v for k, v in body.bottom.items()}}
        points[level] = {name: [float(v) for v in point] for name, point in (named | body.points).items()}
    return {
        "landmarks": points,
        "measurements": [
            {"name": one.name, "levels": list(one.levels), "value": one.value, "unit": one.unit,
             "points": [list(point) for point in one.points]}
            for one in measurements
        ],
    }  # fmt: skip
