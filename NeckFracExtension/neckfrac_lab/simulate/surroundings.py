"""What lies around a patient in the scanner: the table, a head rest, a collar."""

from __future__ import annotations

import torch

from .pose import Pose
from .tissue import Tissue

# Radius (mm) of the trough in which the head or the body lies.
_HEAD_REST, _TABLE = 115.0, 320.0


def add_surroundings(
    hu: torch.Tensor, body: torch.Tensor, pose: Pose, tissue: Tissue, planes: tuple[torch.Tensor, ...]
) -> torch.Tensor:
    """HU [z, y, x] with what a patient lies on and wears; only air is replaced.

    body: distance to the skin (mm), planes: z, y, x of the lattice in mm.
    """
    z, y, x = planes
    free = (body > 1.0) & (hu < -700)
    if tissue.collar is not None and "C2" in pose.links and "C7" in pose.links:
        gap, shell = tissue.collar
        top, bottom = pose.center("C2")[2] + 10, pose.center("C7")[2] - 5
        height = ((z < top) & (z > bottom))[:, None, None]
        foam, plastic = (body < gap) & height, ((body - gap).abs() < 1.3) & height
        hu = torch.where(free & foam, -960.0, hu)
        hu = torch.where(free & plastic, shell, hu)
    if tissue.table_gap is not None:
        # Behind the back of the head: where it lies is decided on the whole person, not on this part.
        head = pose.center("skull") if "skull" in pose.links else pose.middle()
        back = float(head[1]) + (110.0 if "L3" in pose.links else 85.0) + tissue.table_gap
        radius = _HEAD_REST if tissue.head_rest else _TABLE
        shell, foam = tissue.table_hu
        # The head rest ends below the head, the table doesn't.
        above = (z > (float(head[2]) - 60 if tissue.head_rest else -1e9))[:, None, None]
        distance = torch.hypot((y - (back - radius))[:, None], (x - float(head[0]))[None]) - radius
        distance = torch.where((y > back - 0.6 * radius)[:, None], distance, torch.full_like(distance, 99.0))[None]
        hu = torch.where(free & above & (distance > 0) & (distance < 22), foam, hu)
        for rim in (0.0, 22.0):
            hu = torch.where(free & above & ((distance - rim).abs() < 1.2), shell, hu)
    return hu

