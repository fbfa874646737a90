"""Landmarks between C1, C2 and the skull, in the axes of the dens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from .axes import VertebraAxes
from .surface import Surface

Line = tuple[np.ndarray, np.ndarray]
SIDES = {"left": 1.0, "right": -1.0}
# mm inside the facets at which outer edges are taken: C2's deeper, for its shoulder is rounded, C1's nearer, for its
# transverse process begins above.
FACET_INSIDE = {"C2": np.array([2.0, 3.0, 4.0]), "C1": np.array([1.5, 2.0, 2.5])}
FACET_ALONG = np.arange(-5.0, 5.1, 1.0)  # mm before and behind the joint's middle
BASION_SEARCH = 16.0  # mm above the dens within which the tip of the clivus is looked for
CLIVUS = 4.5  # mm of bone, upwards, from which it is taken for the clivus


def find_lines(
    atlas: VertebraAxes, axis: VertebraAxes, surface: Surface, voxels: dict[str, np.ndarray]
) -> dict[str, Line]:
    """Pairs of points (LPS mm) by the name of what is measured between them; what was not found is missing.

    voxels: LPS mm [n, 3] of the masks of C1 and C2.
    """
    lines: dict[str, Line] = {}
    arch, dens = _arch(atlas, axis, voxels["C1"]), _dens(axis, voxels["C2"])
    if dens is None:
        return lines
    if arch is not None:
        # Heights are the arch's, the midline is the dens'.
        found = _atlanto_dental(replace(atlas, center=arch), axis, dens, surface)
        if found is not None:
            lines["atlanto-dental"] = found
        height = float(axis.local(arch)[2])
        for side, sign in SIDES.items():
            beside = _lateral(axis, dens, height, sign, surface)
            if beside is not None:
                lines[f"lateral-atlanto-dental-{side}"] = beside
    for side, sign in SIDES.items():
        edges = _overhang(atlas, axis, dens, sign, surface, voxels)
        if edges is not None:
            lines[f"overhang-{side}"] = edges
    lines |= _basion(axis, dens, surface, voxels["C2"])
    return lines


def _dens(axis: VertebraAxes, voxels: np.ndarray) -> np.ndarray | None:
    """(left, posterior, top) in C2's axes: the middle of the dens 6 to 12 mm under its tip, and its tip's height."""
    local = axis.local(voxels)
    column = local[(np.abs(local[:, 0]) < 7.0) & (np.abs(local[:, 1]) < 10.0)]
    if not len(column):
        return None
    top = float(np.quantile(column[:, 2], 0.995))
    if top < 16.0:  # the dens is not in the mask
        return None
    slab = column[(column[:, 2] > top - 12.0) & (column[:, 2] < top - 6.0)]
    if len(slab) < 30:
        return None
    left, posterior = (float(np.quantile(slab[:, n], [0.05, 0.95]).mean()) for n in (0, 1))
    return np.array([left, posterior, top])


def _arch(atlas: VertebraAxes, axis: VertebraAxes, voxels: np.ndarray) -> np.ndarray | None:
    """The middle (LPS mm) of C1's anterior arch where it crosses the midline."""
    local = axis.local(voxels)
    midline = local[(np.abs(local[:, 0]) < 4.0) & (local[:, 1] < 2.0)]
    if len(midline) < 30:
        return None
    front = midline[midline[:, 1] < np.quantile(midline[:, 1], 0.5) + 6.0]
    low, high = np.quantile(front[:, 2], [0.03, 0.97])
    middle = front[np.abs(front[:, 2] - (low + high) / 2) < 2.0]
    if not len(middle):
        return None
    return axis.world([0.0, float(middle[:, 1].mean()), (low + high) / 2])


def _atlanto_dental(at_arch: VertebraAxes, axis: VertebraAxes, dens: np.ndarray, surface: Surface) -> Line | None:
    """From the arch's back to the dens' front; at_arch: C1's axes about the middle of its anterior arch."""
    x, z = (part.ravel() for part in np.meshgrid([-2.0, -1.0, 0.0, 1.0, 2.0], [-1.5, -0.5, 0.5, 1.5]))
    middle = float(at_arch.local(axis.world([dens[0], dens[1], 0.0]))[0])
    starts = at_arch.world(np.stack([middle + x, np.zeros_like(x), z], axis=1))
    out, meet = surface.gaps(("C1", "C2"), starts, at_arch.rows[1], 16.0)
    return _line(out, meet, at_arch.world([middle, 0.0, 0.0]), at_arch.rows[1], 14.0)


def _lateral(axis: VertebraAxes, dens: np.ndarray, height: float, sign: float, surface: Surface) -> Line | None:
    """From the dens' side to C1's lateral mass, at the height of the anterior arch."""
    y, z = (part.ravel() for part in np.meshgrid([-1.5, 0.0, 1.5], [-4.0, -3.0, -2.0, -1.0]))
    starts = axis.world(np.stack([np.full_like(y, dens[0]), dens[1] + y, height + z], axis=1))
    direction = sign * axis.rows[0]
    out, meet = surface.gaps(("C2", "C1"), starts, direction, 22.0)
    return _line(out, meet, axis.world([dens[0], dens[1], height - 2.5]), direction, 14.0)


def _line(out: np.ndarray, meet: np.ndarray, start: np.ndarray, direction: np.ndarray, longest: float) -> Line | None:
    known = np.isfinite(out) & np.isfinite(meet)
    if known.sum() <= len(out) / 2:
        return None
    first, last = float(np.median(out[known])), float(np.median(out[known]) + np.median((meet - out)[known]))
    if not 0.0 <= last - first <= longest:
        return None
    return start + first * direction, start + last * direction


def _overhang(
    atlas: VertebraAxes,
    axis: VertebraAxes,
    dens: np.ndarray,
    sign: float,
    surface: Surface,
    voxels: dict[str, np.ndarray],
) -> Line | None:
    """(edge of C2's, edge of C1's lateral mass) on one side, at the same height, in the coronal plane of the joint."""
    own = {name: axis.local(points) * (sign, 1.0, 1.0) for name, points in voxels.items()}
    shift = np.array([sign * dens[0], 0.0, 0.0])
    own = {name: points - shift for name, points in own.items()}
    # The joint: columns of 1 mm in which C1 lies just above C2.
    columns: dict[str, dict[tuple[int, int], float]] = {}
    for name, pick in (("C1", np.minimum), ("C2", np.maximum)):
        points = own[name]
        near = points[(points[:, 0] > 7) & (points[:, 0] < 26) & (np.abs(points[:, 1] - dens[1] - 2.0) < 6.0)]
        if name == "C2":
            near = near[near[:, 2] > -4.0]
        if len(near) < 30:
            return None
        cells = np.floor(near[:, :2]).astype(int)
        grid = np.full((40, 60), np.inf if name == "C1" else -np.inf)
        pick.at(grid, (cells[:, 0], cells[:, 1] + 30), near[:, 2])
        columns[name] = grid
    both = np.isfinite(columns["C1"]) & np.isfinite(columns["C2"])
    gap = np.where(both, columns["C1"], 99.0) - np.where(both, columns["C2"], 0.0)
    joint = (gap > -1.5) & (gap < 5.0)
    if joint.sum() < 20:
        return None
    x, y = np.nonzero(joint)
    # Along the joint, which falls off sideways: its slope and height in the middle, from both facets.
    height = (columns["C1"][joint] + columns["C2"][joint]) / 2
    slope = float(np.polyfit(x + 0.5, height, 1)[0]) if np.ptp(x) > 3 else 0.0
    slope = float(np.clip(slope, -1.0, 0.3))
    middle = np.array([np.median(x) + 0.5, np.median(y) - 29.5])
    level = float(np.median(height - slope * (x + 0.5 - middle[0])))
    outward = np.array([1.0, 0.0, slope]) / np.hypot(1.0, slope)
    up, edges = np.array([-slope, 0.0, 1.0]) / np.hypot(1.0, slope), []
    half = float(np.median(gap[joint])) / 2
    flip = np.array([sign, 1.0, 1.0])
    for name, way in (("C2", -1.0), ("C1", 1.0)):
        z, y = (part.ravel() for part in np.meshgrid(FACET_INSIDE[name], FACET_ALONG, indexing="ij"))
        local = np.array([middle[0], middle[1], level]) + way * (half + z)[:, None] * up
        local[:, 1] += y
        out = surface.exits(name, axis.world((local + shift) * flip), (outward * flip) @ axis.rows, 16.0)
        across = (local + out[:, None] * outward)[:, 0].reshape(-1, len(FACET_ALONG))
        across = across[:, np.isfinite(across).all(axis=0)]
        if across.shape[1] < 3:
            return None
        # As on an open-mouth radiograph: the widest place. Single rays can run on into a process.
        edges.append(float(np.sort(np.median(across, axis=0))[-2]))
    ends = [np.array([edge, middle[1], level + slope * (edge - middle[0])]) + shift for edge in edges]
    ends[1][2] = ends[0][2]  # drawn level: what counts is how far the one is beside the other
    return tuple(axis.world(end * flip) for end in ends)


def _basion(axis: VertebraAxes, dens: np.ndarray, surface: Surface, voxels: np.ndarray) -> dict[str, Line]:
    """The tip of the clivus against the dens and against C2's posterior line; empty where it is not in view."""
    left, posterior, top = dens
    x, y, z = np.meshgrid(
        [-1.5, 0.0, 1.5], np.arange(-16.0, 9.0, 0.5), np.arange(-2.0, BASION_SEARCH, 0.5), indexing="ij"
    )
    points = axis.world(np.stack([left + x, posterior + y, top + z], axis=-1))
    bone = surface.other_bone(points).sum(axis=0) >= 2  # [y, z]
    # The clivus goes on upwards from its tip; a calcified ligament or an ossicle does not.
    parts, count = ndimage.label(bone)
    if not count:
        return {}
    places = np.argwhere(parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:])))
    if np.ptp(places[:, 1]) * 0.5 < CLIVUS or len(places) < 60:
        return {}
    low = places[places[:, 1] <= places[:, 1].min() + 1]
    tip = low[:, 0].mean() * 0.5 - 16.0, (places[:, 1].min()) * 0.5 - 2.0
    if tip[1] < -1.0:  # bone beside the dens is not the skull's
        return {}
    basion = axis.world([left, posterior + tip[0], top + tip[1]])
    local = axis.local(voxels)
    dome = local[
        (np.abs(local[:, 0] - left) < 3.0) & (local[:, 2] > top - 8.0) & (np.abs(local[:, 1] - posterior) < 8.0)
    ]
    if not len(dome):
        return {}
    apart = np.hypot(dome[:, 1] - posterior - tip[0], dome[:, 2] - top - tip[1])
    nearest = dome[int(np.argmin(apart))]
    return {"basion-dens": (basion, axis.world([left, nearest[1], nearest[2]]))}


def basion_axial(basion: np.ndarray, low: np.ndarray, high: np.ndarray) -> Line:
    """From C2's posterior line, through two points of its back wall, forwards to the basion."""
    along = (high - low) / np.linalg.norm(high - low)
    return low + float((basion - low) @ along) * along, basion
