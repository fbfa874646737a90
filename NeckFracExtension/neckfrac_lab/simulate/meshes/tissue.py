"""Soft tissue around the bones of a mesh neck: muscles and discs from their meshes, the rest from landmarks.

The meshes have no skin, airway, vessels, glands or brain; those are plain shapes placed by the vertebrae
with offsets read off neck CT atlases. They need to look right to a network, not to an anatomist.
"""

from __future__ import annotations

import numpy as np
from neckfrac.progress import Progress

from ..neck import TISSUES, VertebraFrame
from ..voxelise import Grid, Mesh, closed, distance_outside
from .painting import inside_hull, paint_ellipsoid, paint_mesh, paint_tube

Meshes = dict[str, list[Mesh]]
SPACING = 2.0
_VALUE = {name: value for value, name in enumerate(TISSUES)}
# Lateral, posterior and radius in mm, from a body's centre, at C1, C3, C5, C7, T2 and T5 (heights in
# vertebral steps from C1): where each tube runs.
_HEIGHTS = (0.0, 2.0, 4.0, 6.0, 8.0, 11.0)
_CAROTID = ((24, -17, 3.0), (25, -14, 3.5), (25, -20, 4.0), (22, -22, 4.0), (18, -24, 4.5), (18, -26, 5.0))
_JUGULAR = ((29, -12, 4.5), (31, -10, 5.5), (33, -18, 6.0), (31, -20, 6.5), (24, -30, 6.5), (22, -34, 7.0))
_AIRWAY = ((0, -26, 9.0), (0, -22, 8.5), (0, -26, 8.0), (0, -30, 8.5), (0, -30, 8.5), (0, -28, 8.0))
_OESOPHAGUS = ((2, -12, 3.0), (2, -13, 4.0), (2, -14, 5.0), (4, -16, 6.0), (6, -17, 6.5), (6, -18, 7.0))
_PREVERTEBRAL = ((6, -10, 3.5), (7, -10, 4.5), (8, -10, 5.0), (9, -10, 5.0), (9, -11, 4.0), (9, -12, 3.0))


class _Spine:
    """Where a tube runs beside the vertebrae: offsets from the body centres, interpolated by level."""

    def __init__(self, frames: dict[str, VertebraFrame]) -> None:
        self.frames = list(frames.values())
        self.centers = np.array([frame.center for frame in self.frames])

    def at(self, steps: np.ndarray | float) -> np.ndarray:
        """LPS mm of the body centre `steps` vertebrae below C1; straight on beyond the ends."""
        steps, last = np.atleast_1d(np.asarray(steps, float)), len(self.centers) - 1
        inner = np.clip(steps, 0, last)
        places = np.stack([np.interp(inner, np.arange(last + 1), self.centers[:, a]) for a in range(3)], 1)
        first_step, last_step = np.diff(self.centers[: min(2, last + 1)], axis=0), np.diff(self.centers, axis=0)[-1:]
        return places + np.where(steps[:, None] < 0, first_step, last_step) * (steps - inner)[:, None]

    def tube(self, table: tuple, first: float, last: float, side: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Points and radii of the tube in `table` between two heights, on the left (1) or right (-1)."""
        steps = np.arange(first, last + 0.01, 0.25)
        lateral, posterior, radius = (np.interp(steps, _HEIGHTS, [row[i] for row in table]) for i in range(3))
        offset = np.stack([side * lateral, posterior, np.zeros(len(steps))], 1)
        return self.at(steps) + offset, radius


def _brain(skull: np.ndarray, grid: Grid, height: float) -> np.ndarray:
    """What the skull encloses above `height` (mm), closing gaps up to 20 mm wide."""
    from scipy import ndimage

    wall = ndimage.distance_transform_edt(~skull) * grid.spacing <= 8
    wall |= grid.axes()[0] < height
    regions, count = ndimage.label(~wall)
    border = np.unique(np.concatenate([np.unique(np.take(regions, end, axis)) for axis in range(3) for end in (0, -1)]))
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    sizes[border] = 0
    sizes[0] = 0
    if not sizes.any():
        return np.zeros_like(skull)
    core = regions == np.argmax(sizes)
    return (ndimage.distance_transform_edt(~core) * grid.spacing <= 8) & ~skull


def _body(solid: np.ndarray, grid: Grid) -> np.ndarray:
    """Distance to the skin: `solid` [z, y, x] closed over hollows, wrapped in fat and smoothed."""
    from scipy import ndimage

    factor = 2
    shape = tuple(-(-n // factor) * factor for n in solid.shape)
    padded = np.pad(solid, [(0, a - b) for a, b in zip(shape, solid.shape, strict=True)], mode="edge")
    z, y, x = (n // factor for n in shape)
    coarse = padded.reshape(z, factor, y, factor, x, factor).any(axis=(1, 3, 5))
    step, margin = grid.spacing * factor, 12
    # The body goes on below: a copy of the lowest slice keeps closing and smoothing from rounding its end off.
    coarse = np.pad(coarse, margin)
    coarse[:margin] = coarse[margin]
    hollow = closed(coarse, 34 / step)
    hollow |= np.stack([ndimage.binary_fill_holes(part) for part in hollow])
    skin = ndimage.gaussian_filter(distance_outside(hollow, step) - 7.0, 5.0 / step)
    skin = np.minimum(skin, ndimage.gaussian_filter(distance_outside(coarse, step), 1.0) - 4.0)
    skin = ndimage.gaussian_filter(skin, 2.0 / step)[margin:-margin, margin:-margin, margin:-margin]
    index = [(np.arange(n) + 0.5) / factor - 0.5 for n in solid.shape]
    for axis, places in enumerate(index):
        low = np.clip(np.floor(places).astype(int), 0, skin.shape[axis] - 2)
        weight = np.clip(places - low, 0, 1).reshape([-1 if a == axis else 1 for a in range(3)])
        skin = np.take(skin, low, axis) * (1 - weight) + np.take(skin, low + 1, axis) * weight
    return skin.astype(np.float16)


def build_tissue(
    bones: Meshes,
    discs: Meshes,
    cartilage: Meshes,
    muscles: Meshes,
    frames: dict[str, VertebraFrame],
    floor: float | None,
    first_muscle: int,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray, Grid]:
    """Tissue labels uint8 [z, y, x], distance to the skin float16 (mm), and their grid.

    Meshes by name; floor: height (LPS mm) where the neck is cut off. Muscles get values from
    `first_muscle` up in the order given.
    """
    every = np.concatenate([m.vertices for group in (bones, muscles) for meshes in group.values() for m in meshes])
    if floor is not None:
        every = every[every[:, 2] > floor]
    lower, upper = every.min(0) - 16, every.max(0) + 16
    lower[1] -= 14  # the nose
    if floor is not None:
        lower[2] = floor
    grid = Grid.around(lower, upper, SPACING)
    tissue = np.zeros(grid.shape, np.uint8)
    for number, meshes in enumerate(muscles.values()):
        for mesh in meshes:
            paint_mesh(tissue, grid, mesh, min(first_muscle + number, 255))
        progress.step(0.3 * number / len(muscles))
    bone = np.zeros(grid.shape, bool)
    for meshes in bones.values():
        for mesh in meshes:
            paint_mesh(bone, grid, mesh, True)
    _paint_suboccipital(tissue, bone, grid, frames, min(first_muscle + len(muscles) + 5, 254))
    _fill_between_muscles(tissue, bone, grid)
    progress.step(0.5)
    solid = bone | (tissue > 0)
    _paint_chest(tissue, solid, grid, bones, frames)
    progress.step(0.6)
    _paint_neck(tissue, solid, grid, frames, min(first_muscle + len(muscles), 250))
    _paint_head(tissue, solid, grid, bones, frames, min(first_muscle + len(muscles) + 3, 254))
    for group, word in ((cartilage, "cartilage"), (discs, "disc")):
        for meshes in group.values():
            for mesh in meshes:
                paint_mesh(tissue, grid, mesh, _VALUE[word])
    if len(frames) > 1:
        canal = np.array([frame.canal for frame in frames.values()])
        canal = np.array([2 * canal[0] - canal[1], *canal, 4 * canal[-1] - 3 * canal[-2]])
        paint_tube(tissue, grid, canal, np.full(len(canal), 7.5), _VALUE["spinal canal"])
    progress.step(0.8)
    return tissue, _body(solid | (tissue > 0), grid), grid


def _paint_suboccipital(
    tissue: np.ndarray, bone: np.ndarray, grid: Grid, frames: dict[str, VertebraFrame], value: int
) -> None:
    """The two deep muscles that the set lacks: from C2's spine to C1's transverse tip and to the occiput."""
    if "C1" not in frames or "C2" not in frames:
        return
    spine = np.array(frames["C2"].spinous_tip)
    for number, side in enumerate(("left", "right")):
        atlas = np.array(getattr(frames["C1"], f"{side}_transverse_tip"))
        occiput = (spine + atlas) / 2 + [0, 4, 34]
        free = np.zeros(tissue.shape, bool)
        for start, end in ((spine, atlas), (spine, occiput)):
            start, end = start + 0.15 * (end - start), start + 0.9 * (end - start)
            paint_tube(free, grid, np.array([start, (start + end) / 2, end]), np.array([4.0, 7.0, 5.0]), True)
        tissue[free & ~bone & (tissue == 0)] = value + number


def _fill_between_muscles(tissue: np.ndarray, bone: np.ndarray, grid: Grid) -> None:
    """Let muscles swell into the gaps between them: the meshes are slimmer than muscles on CT."""
    from scipy import ndimage

    apart, nearest = ndimage.distance_transform_edt(tissue == 0, return_indices=True)
    gap = closed((tissue > 0) | bone, 8 / grid.spacing) & (apart * grid.spacing <= 4.5) & ~bone
    tissue[gap] = tissue[tuple(index[gap] for index in nearest)]


def _paint_neck(
    tissue: np.ndarray, solid: np.ndarray, grid: Grid, frames: dict[str, VertebraFrame], value: int
) -> None:
    """Airway, gullet, vessels, thyroid, laryngeal cartilage, prevertebral muscles, glands."""
    if len(frames) < 2:
        return
    spine, last = _Spine(frames), float(len(frames) - 1)
    for number, side in enumerate((1.0, -1.0)):
        paint_tube(tissue, grid, *spine.tube(_PREVERTEBRAL, 0.0, min(last, 9.0), side), value + number)
        vessel = _VALUE["vessel left" if side > 0 else "vessel right"]
        paint_tube(tissue, grid, *spine.tube(_JUGULAR, -0.6, last + 3, side), vessel)
        paint_tube(tissue, grid, *spine.tube(_CAROTID, -0.6, last + 3, side), vessel)
    if last >= 6:
        larynx, radius = spine.tube(_AIRWAY, 3.2, 5.6)
        wide = np.zeros(tissue.shape, bool)
        paint_tube(wide, grid, larynx, radius + 5.0, True)
        shell = wide.copy()
        paint_tube(shell, grid, larynx, radius + 2.5, False)
        # The thyroid cartilage is open behind; the cricoid below it is a ring.
        lower = float(spine.at(5.2)[0, 2])
        z, y, _ = grid.axes()
        middle = np.interp(z.ravel(), spine.centers[::-1, 2], spine.centers[::-1, 1])[:, None, None] - 24
        tissue[shell & ((y < middle) | (z < lower))] = _VALUE["cartilage"]
        for side in (1.0, -1.0):
            lobe = spine.at(5.8)[0] + [side * 17, -27, 0]
            paint_ellipsoid(tissue, grid, lobe, (8, 10, 22), _VALUE["thyroid"])
        paint_ellipsoid(tissue, grid, spine.at(6.2)[0] + [0, -41, 0], (16, 4, 8), _VALUE["thyroid"])
    paint_tube(tissue, grid, *spine.tube(_OESOPHAGUS, 4.5, last + 3), _VALUE["oesophagus"])
    wall = np.zeros(tissue.shape, bool)
    points, radius = spine.tube(_AIRWAY, -0.8, last)
    paint_tube(wall, grid, points, radius + 3, True)
    solid |= wall
    tissue[wall & (tissue == 0)] = value + 2
    paint_tube(tissue, grid, points, radius, _VALUE["airway"])
    for aside in (5.0, -5.0):
        points, radius = spine.tube(_AIRWAY, -0.6, min(last, 2.8))
        paint_tube(tissue, grid, points + [aside, 1, 0], radius - 2, _VALUE["airway"])


def _paint_head(
    tissue: np.ndarray, solid: np.ndarray, grid: Grid, bones: Meshes, frames: dict[str, VertebraFrame], value: int
) -> None:
    """Brain, mouth, nasal air, glands, nose, muscles of the jaw (from `value` up): where there is a skull or jaw."""
    if "skull" in bones and "C1" in frames:
        skull = np.zeros(tissue.shape, bool)
        for mesh in bones["skull"]:
            paint_mesh(skull, grid, mesh, True)
        brain = _brain(skull, grid, frames["C1"].center[2] + 16)
        tissue[brain] = _VALUE["brain"]
        solid |= brain
        # The nose stands before the lowest foremost point of the skull's middle.
        points = np.concatenate([mesh.vertices for mesh in bones["skull"]])
        central = points[np.abs(points[:, 0] - np.median(points[:, 0])) < 8]
        front = central[np.argmin(central[:, 1])]
        for below, ahead, radii in ((4, -2, (9, 9, 14)), (13, -5, (12, 13, 9))):
            paint_ellipsoid(solid, grid, front + [0, ahead, -below], radii, True)
        for aside in (3.5, -3.5):
            lower, upper = front + [aside, 16, -22], front + [aside, 62, -10]
            paint_tube(tissue, grid, np.array([lower, upper]), np.array([3.5, 5.0]), _VALUE["airway"])
            sinus = front + [aside * 6.5, 41, -11]
            paint_ellipsoid(tissue, grid, sinus, (9, 11, 11), _VALUE["airway"])
    if "mandible" in bones:
        jaw = np.concatenate([mesh.vertices for mesh in bones["mandible"]])
        low, high, x = jaw.min(0), jaw.max(0), float(np.median(jaw[:, 0]))
        size = high - low
        paint_ellipsoid(tissue, grid, [x, low[1] + 0.36 * size[1], low[2] + 6], (20, 28, 7), value)
        for side in (1.0, -1.0):
            # Masseter, then medial pterygoid: lateral mm, then fractions of the jaw's depth and height.
            for ends in (((53, 0.55, 0.92), (47, 0.70, 0.25)), ((26, 0.60, 0.70), (38, 0.74, 0.30))):
                points = np.array([(x + side * a, low[1] + b * size[1], low[2] + c * size[2]) for a, b, c in ends])
                paint_tube(tissue, grid, points, np.full(2, 7.0), value + (side > 0))
        mouth = np.array([x, low[1] + 0.42 * (high[1] - low[1]), low[2] + 0.47 * (high[2] - low[2])])
        paint_ellipsoid(tissue, grid, mouth, (25, 33, 20), _VALUE["oral cavity air"])
        paint_ellipsoid(tissue, grid, mouth - [0, 0, 4], (24, 32, 20), _VALUE["tongue"])
        for side in (1.0, -1.0):
            parotid = np.array([x + side * 50, high[1] - 1, low[2] + 0.55 * (high[2] - low[2])])
            paint_ellipsoid(tissue, grid, parotid, (8, 11, 20), _VALUE["gland"])
            submandibular = np.array([x + side * 27, low[1] + 0.62 * (high[1] - low[1]), low[2] + 8])
            paint_ellipsoid(tissue, grid, submandibular, (7, 14, 10), _VALUE["gland"])


def _paint_chest(
    tissue: np.ndarray, solid: np.ndarray, grid: Grid, bones: Meshes, frames: dict[str, VertebraFrame]
) -> None:
    """Lungs inside the ribs of each side, leaving the mediastinum; the chest counts as solid for the skin."""
    for side in ("left", "right"):
        names = [name for name in bones if name.startswith(side) and name.endswith("rib")]
        ribs = [mesh.vertices for name in names for mesh in bones[name]]
        if not ribs or not frames:
            continue
        points = np.concatenate(ribs)
        chest = inside_hull(points, grid, 0.0)
        lung = inside_hull(points, grid, 7.0) & ~solid
        middle = float(np.mean([frame.center[0] for name, frame in frames.items() if name.startswith("T")] or [0.0]))
        lung &= np.abs(grid.axes()[2] - middle) > 26
        tissue[lung] = _VALUE["lung"]
        solid |= chest
