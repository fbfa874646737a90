"""Landmarks of C2 to C7: endplates, walls, corners, lamina and spinous process, in each vertebra's own axes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .axes import VertebraAxes
from .surface import Surface

# Where heights are taken, as shares of the body's depth from the front: an eighth inside the walls, so that rounded
# edges and osteophytes do not count.
PLACES = {"front": 0.125, "middle": 0.5, "back": 0.875}
ACROSS = np.array([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])  # mm beside the midline over which endplates are averaged
ALONG = np.array([-1.0, 0.0, 1.0])  # mm before and behind the same place
# Which of these rows must end together: not those nearer to the wall, where the body is rounded.
INNER = {"front": (False, True, True), "middle": (True, True, True), "back": (True, True, False)}
WALL_ACROSS = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
WALL_INSIDE = np.array([2.5, 3.5, 4.5])  # mm from the endplate at which walls are taken: corners are rounded
TANGENT_HEIGHT = 11.0  # mm above the lower endplate of C2 to which its posterior wall is straight
LEAST_TOGETHER = 0.8  # share of a point's rays that must end within the surface's `together`
BEYOND = 2.5  # mm beyond an endplate that must be in view: where the scan ends, so does the mask
SPINOUS_AIR = 3.0  # mm behind and below the tip that must be in view, without bone that no mask holds: else it is cut
SPINOUS_SHELL = 1.5  # mm of the rearmost bone whose middle is the tip


@dataclass(frozen=True, eq=False)
class Body:
    """Landmarks of one vertebra, LPS mm; what could not be found is missing.

    top, bottom: of the endplates at `PLACES`. points: "front wall", "back wall" (mid-height), "upper corner" and
    "lower corner" (of the back), "wall above" (C2 only: the upper end of its straight back wall), "lamina",
    "spinous tip". spread: mm (sd) by which neighbouring rays of each point differ.
    """

    axes: VertebraAxes
    top: dict[str, np.ndarray] = field(default_factory=dict)
    bottom: dict[str, np.ndarray] = field(default_factory=dict)
    points: dict[str, np.ndarray] = field(default_factory=dict)


def find_body(level: str, axes: VertebraAxes, surface: Surface, voxels: np.ndarray) -> Body:
    """The landmarks of a level from C2 down. voxels: LPS mm [n, 3] of its mask."""
    body = Body(axes)
    low = _middle_of(_endplate(level, axes, surface, np.zeros(1), -1), surface.together)
    if not np.isfinite(low):
        return body
    if level == "C2":
        walls = {"low": _walls(level, axes, surface, low + WALL_INSIDE)}
        walls["high"] = walls["low"]
    else:
        high = _middle_of(_endplate(level, axes, surface, np.zeros(1), 1), surface.together)
        walls = {"low": _walls(level, axes, surface, low + WALL_INSIDE)}
        walls["high"] = _walls(level, axes, surface, high - WALL_INSIDE)
    (front_low, back_low), (front_high, back_high) = walls["low"], walls["high"]
    front, back = (front_low + front_high) / 2, (back_low + back_high) / 2
    if not np.isfinite(front + back):
        return body
    ends = {"bottom": (body.bottom, -1)} if level == "C2" else {"top": (body.top, 1), "bottom": (body.bottom, -1)}
    for place, share in PLACES.items():
        y = front + share * (back - front)
        for found, way in ends.values():
            rays = _endplate(level, axes, surface, y + ALONG, way)
            height = _middle_of(rays, surface.together, np.repeat(INNER[place], len(ACROSS)))
            if np.isfinite(height) and surface.in_view(axes.world([0.0, y, height + way * BEYOND])):
                found[place] = axes.world([0.0, y, height])
    points = body.points
    if "back" in body.bottom:
        points["lower corner"] = axes.world([0.0, back_low, axes.local(body.bottom["back"])[2]])
    if "back" in body.top:
        points["upper corner"] = axes.world([0.0, back_high, axes.local(body.top["back"])[2]])
    if level == "C2":
        above = _walls(level, axes, surface, low + TANGENT_HEIGHT + np.array([-1.0, 0.0, 1.0]), front=False)[1]
        if np.isfinite(above):
            points["wall above"] = axes.world([0.0, above, low + TANGENT_HEIGHT])
            points["wall below"] = axes.world([0.0, back_low, low + WALL_INSIDE.mean()])
        points["front wall"] = axes.world([0.0, front_low, low + WALL_INSIDE.mean()])
    else:
        middle = _walls(level, axes, surface, np.array([-2.0, -1.0, 0.0, 1.0, 2.0]))
        if np.isfinite(sum(middle)):
            points["front wall"], points["back wall"] = (axes.world([0.0, y, 0.0]) for y in middle)
            lamina = _lamina(level, axes, surface, points["back wall"])
            if lamina is not None:
                points["lamina"] = lamina
    tip = _spinous_tip(axes, voxels)
    if tip is not None and _ends_there(tip, axes, surface):
        points["spinous tip"] = tip
    return body


def _ends_there(tip: np.ndarray, axes: VertebraAxes, surface: Surface) -> bool:
    """Whether the spinous process ends at the tip of its mask: neither the scan nor the mask stops short of it."""
    back, down = axes.rows[1], -axes.rows[2]
    around = tip + SPINOUS_AIR * np.array([back, (back + down) / np.sqrt(2), down])
    return all(map(surface.in_view, around)) and not surface.other_bone(around).any()


def _middle_of(values: np.ndarray, together: float, inner: np.ndarray | None = None) -> float:
    """The median; NaN when a third or more is unknown, or too few lie within `together`: no one surface was met.

    inner: which of the values must lie together; None: all.
    """
    known = values[np.isfinite(values)]
    if len(known) <= 2 * values.size / 3:
        return float("nan")
    asked = np.sort(values if inner is None else values[inner])
    counts = np.searchsorted(asked[np.isfinite(asked)], asked + together, side="right") - np.arange(len(asked))
    return float(np.median(known)) if counts.max() >= LEAST_TOGETHER * len(asked) else float("nan")


def _endplate(level: str, axes: VertebraAxes, surface: Surface, y: np.ndarray, way: int) -> np.ndarray:
    """Heights (mm above the centre) of the upper (way 1) or lower endplate about the midline at depths y."""
    x, y = (part.ravel() for part in np.meshgrid(ACROSS, y))
    starts = axes.world(np.stack([x, y, np.zeros_like(x)], axis=1))
    return way * surface.exits(level, starts, way * axes.rows[2], axes.half_height + 9.0)


def _walls(
    level: str, axes: VertebraAxes, surface: Surface, heights: np.ndarray, front: bool = True
) -> tuple[float, float]:
    """(front, back) wall, mm behind the centre, about the midline at some heights."""
    x, z = (part.ravel() for part in np.meshgrid(WALL_ACROSS, heights))
    starts = axes.world(np.stack([x, np.zeros_like(x), z], axis=1))
    ahead = -_middle_of(surface.exits(level, starts, -axes.rows[1], 20.0), surface.together) if front else float("nan")
    return ahead, _middle_of(surface.exits(level, starts, axes.rows[1], 16.0), surface.together)


def _lamina(level: str, axes: VertebraAxes, surface: Surface, wall: np.ndarray) -> np.ndarray | None:
    """The point of the lamina's front, in the midline, that is nearest to the back wall's middle."""
    x, z = np.meshgrid([-1.5, 0.0, 1.5], np.arange(-14.0, 8.1, 1.0))
    starts = axes.world(np.stack([x, np.full_like(x, axes.canal), z], axis=-1).reshape(-1, 3))
    y = axes.canal + surface.entries(level, starts, axes.rows[1], 18.0).reshape(x.shape)
    known = np.isfinite(y).sum(axis=1) >= 2
    if known.sum() < 2:
        return None
    y, z = np.nanmedian(y[known], axis=1), z[known, 0]
    depth = axes.local(wall)[1]
    nearest = int(np.argmin(np.hypot(y - depth, z)))
    near = slice(max(nearest - 1, 0), nearest + 2)
    return axes.world([0.0, float(np.median(y[near])), z[nearest]])


def _spinous_tip(axes: VertebraAxes, voxels: np.ndarray) -> np.ndarray | None:
    """The middle of the rearmost bone near the midline: of both ends where the tip is forked."""
    local = axes.local(voxels)
    near = local[np.abs(local[:, 0]) < 9.0]
    if not len(near):
        return None
    reach = float(np.quantile(near[:, 1], 0.999))
    if reach < axes.canal + 12.0:  # no spinous process in the mask
        return None
    tip = np.median(near[near[:, 1] > reach - SPINOUS_SHELL], axis=0)
    return axes.world([0.0, reach, tip[2]])
