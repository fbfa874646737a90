"""Landmarks of vertebrae and centres of rotation, measured on the meshes and their signed distances."""

from __future__ import annotations

import numpy as np

from ..neck import CHAIN, DISTANCE_SCALE, Bone, VertebraFrame
from ..voxelise import Mesh

Meshes = dict[str, list[Mesh]]


def _points(meshes: list[Mesh]) -> np.ndarray:
    return np.concatenate([mesh.vertices for mesh in meshes])


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def sample_distance(bone: Bone, points: np.ndarray) -> np.ndarray:
    """Signed distance (mm) of LPS points [..., 3], trilinear; 7.9 mm outside the crop."""
    from scipy import ndimage

    index = (np.asarray(points) - np.array(bone.origin)) / bone.spacing
    values = ndimage.map_coordinates(
        bone.distance.astype(np.float32), np.moveaxis(index[..., ::-1], -1, 0), order=1, cval=126.0
    )
    return values / DISTANCE_SCALE


def symmetry_plane(points: np.ndarray, left: np.ndarray, iterations: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """A point on the plane of symmetry and its unit normal (towards `left`), by mirroring and fitting.

    Each round mirrors the points [n, 3], pairs them with their nearest neighbours (worst fifth left
    out) and takes the plane that best swaps the pairs.
    """
    from scipy.spatial import cKDTree

    tree, normal, middle = cKDTree(points), _unit(left), points.mean(axis=0)
    for _ in range(iterations):
        mirrored = points - 2 * ((points - middle) @ normal)[:, None] * normal
        apart, partner = tree.query(mirrored)
        kept = apart <= np.quantile(apart, 0.8)
        a, b = points[kept], points[partner[kept]]
        between = a - b
        # Differences of swapped points lie along the normal: the direction of largest spread.
        _, vectors = np.linalg.eigh(between.T @ between)
        normal = vectors[:, -1] * np.sign(vectors[:, -1] @ left)
        middle = ((a + b) / 2).mean(axis=0)
    return middle, normal


def _axes(left: np.ndarray, superior: np.ndarray) -> np.ndarray:
    """Rows left, posterior, superior: `left` kept, `superior` made perpendicular to it."""
    superior = _unit(superior - (superior @ left) * left)
    return np.array([left, np.cross(superior, left), superior])


def _canal(bones: list[Bone], center: np.ndarray, axes: np.ndarray, heights: tuple[float, float]) -> np.ndarray:
    """Centre of the largest empty disc behind `center`, looking along the vertebra's own long axis."""
    from scipy import ndimage

    step = 0.5
    posterior, superior, wide = np.arange(0, 45, step), np.arange(*heights, 1.0), np.arange(-22, 22.01, step)
    local = np.stack(np.meshgrid(superior, posterior, wide, indexing="ij"), -1)[..., ::-1]
    filled = np.zeros((len(posterior), len(wide)), bool)
    for bone in bones:
        filled |= (sample_distance(bone, local @ axes + center) < 0).any(axis=0)
    # Only holes count: what lies around the vertebra is filled first.
    holes = ndimage.binary_fill_holes(filled) & ~filled
    room = ndimage.distance_transform_edt(holes)
    room[:, np.abs(wide) > 6] = 0
    # The disc of a wide canal can slide sideways: the middle lies on the plane of symmetry.
    return center + posterior[int(np.argmax(room.max(axis=1)))] * axes[1]


def _deepest(bone: Bone, center: np.ndarray, axes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Middle of the deepest bone in a box (rows lower and upper, local mm)."""
    grid = np.stack(np.meshgrid(*(np.arange(a, b + 0.01, 0.5) for a, b in box.T), indexing="ij"), -1)
    points = grid @ axes + center
    depth = np.clip(-sample_distance(bone, points), 0, None)
    if not depth.any():
        return points.reshape(-1, 3).mean(axis=0)
    # Weights to the fourth power: the mean of the deepest voxels, and no jump between equal ones.
    weight = (depth / depth.max()) ** 8
    return (weight[..., None] * points).reshape(-1, 3).sum(axis=0) / weight.sum()


def _laminae(bone: Bone, canal: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middles of the left and right lamina: halfway through the first bone behind and beside the canal.

    Both are taken at the one angle and height where the thinner of the two is thickest.
    """
    best, thickest = [canal + 10 * (axes[1] + side * axes[0]) for side in (1.0, -1.0)], 0.0
    along = np.arange(3, 24, 0.25)
    for angle in np.radians([40, 50, 60]):
        for height in np.arange(-9, 5.1, 1.0):
            middles, depths = [], []
            for side in (1.0, -1.0):
                out = np.cos(angle) * axes[1] + np.sin(angle) * side * axes[0]
                line = canal + height * axes[2] + along[:, None] * out
                distance = sample_distance(bone, line)
                first = int(np.argmax(distance < 0))
                outside = np.flatnonzero(distance[first:] >= 0)
                middle = first + int(outside[0] if len(outside) else len(along) - first) // 2
                middles.append(line[min(middle, len(line) - 1)])
                depths.append(-float(distance[min(middle, len(line) - 1)]))
            if min(depths) > thickest:
                best, thickest = middles, min(depths)
    return best[0], best[1]


def _cast(bone: Bone, start: np.ndarray, direction: np.ndarray, reach: float) -> float:
    """How far (mm) the bone goes on from `start`."""
    along = np.arange(0, reach, 0.25)
    outside = sample_distance(bone, start + along[:, None] * direction) > 0
    return float(along[np.argmax(outside)]) if outside.any() else reach


def _extreme(local: np.ndarray, direction: np.ndarray, depth: float = 1.5) -> np.ndarray:
    """Mean of the points [n, 3] within `depth` mm of the outermost one."""
    reach = local @ direction
    return local[reach > reach.max() - depth].mean(axis=0)


def _frame(
    name: str, bone: Bone, points: np.ndarray, center: np.ndarray, axes: np.ndarray,
    half_size: np.ndarray, canal: np.ndarray,
) -> VertebraFrame:
    """The landmarks that follow from the body, the axes and the canal."""
    local = (points - center) @ axes.T
    behind = float((canal - center) @ axes[1])
    central = local[np.abs(local[:, 0]) < 8]
    backward = np.array([0.0, 1.0, 0.0 if name.startswith("C") else -0.5])
    spinous = _extreme(central, backward)
    spinous[0] = np.clip(spinous[0], -3, 3)
    pillar = {"C1": (10, 26, -12, 6), "C2": (14, 24, -6, 12)}.get(name)
    sides = {}
    for side, word in ((1.0, "left"), (-1.0, "right")):
        tip = _extreme(local, np.array([side, 0.0, 0.0]))
        if pillar:
            inner, outer, front, back = pillar
        else:
            inner, outer = (10, 26) if name.startswith("C") else (12, 20)
            front, back = behind - 3, behind + 9
        span = sorted((side * inner, side * outer))
        box = np.array([(span[0], front, -7.0), (span[1], back, 7.0)])
        sides[f"{word}_transverse_tip"] = tip @ axes + center
        sides[f"{word}_lateral_mass"] = _deepest(bone, center, axes, box)
    sides["left_lamina"], sides["right_lamina"] = _laminae(bone, canal, axes)
    dens = None
    if name == "C2":
        dens = _extreme(local[np.abs(local[:, 0]) < 6], np.array([0.0, 0.0, 1.0]), 1.0) @ axes + center
    given = {"center": center, "canal": canal, "half_size": half_size, "spinous_tip": spinous @ axes + center, **sides}
    plain = {field: tuple(float(v) for v in value) for field, value in given.items()}
    rows = tuple(tuple(float(v) for v in row) for row in axes)
    return VertebraFrame(axes=rows, dens_tip=None if dens is None else tuple(float(v) for v in dens), **plain)


def _measure(name: str, vertebrae: Meshes, discs: Meshes, bones: dict[str, Bone]) -> VertebraFrame:
    above = CHAIN[CHAIN.index(name) - 1]
    points, bone = _points(vertebrae[name]), bones[name]
    middle, left = symmetry_plane(points, np.array([1.0, 0.0, 0.0]))

    def on_plane(point: np.ndarray) -> np.ndarray:
        return point - ((point - middle) @ left) * left

    if name == "C1":
        # The ring is flat: its own long axis is the direction of least spread.
        _, vectors = np.linalg.eigh(np.cov((points - points.mean(0)).T))
        axes = _axes(left, vectors[:, 0] * np.sign(vectors[2, 0]))
        local = (points - middle) @ axes.T
        masses = {
            side: _deepest(bone, middle, axes, np.array([sorted((side * 9.0, side * 24.0)), (-25, 12), (-8, 8)]).T)
            for side in (1.0, -1.0)
        }
        center = on_plane((masses[1.0] + masses[-1.0]) / 2)
        outer = np.mean([abs((m - center) @ left) + _cast(bone, m, s * left, 15) for s, m in masses.items()])
        half = np.mean([(_cast(bone, m, axes[2], 15) + _cast(bone, m, -axes[2], 15)) / 2 for m in masses.values()])
        half_size = np.array([outer, np.ptp(local[:, 1]) / 2, half])
        ring = [bone] + ([bones["C2"]] if "C2" in bones else [])
        canal = _canal(ring, center, axes, (-half, half))
    else:
        below = _points(discs[name])
        low = on_plane(below.mean(axis=0))
        if name == "C2":
            # C2: its long axis runs from the disc through the dens.
            axes = _axes(left, np.array([0.0, 0.0, 1.0]))
            for _ in range(3):
                local = (points - low) @ axes.T
                tip = _extreme(local[np.abs(local[:, 0]) < 6], np.array([0.0, 0.0, 1.0]), 1.0) @ axes + low
                axes = _axes(left, on_plane(tip) - low)
            center = low + 11.0 * axes[2]
            ends = [below]
        else:
            top = _points(discs[above])
            axes = _axes(left, top.mean(axis=0) - below.mean(axis=0))
            center = on_plane((top.mean(axis=0) + below.mean(axis=0)) / 2)
            ends = [top, below]
        sizes = np.array([np.ptp((end @ axes.T)[:, :2], axis=0) / 2 for end in ends]).mean(axis=0)
        # Depth is measured in the body's own middle: thoracic discs reach back beside the canal.
        heights = center + np.array([-3.0, 0.0, 3.0])[:, None] * axes[2]
        front, back = (float(np.mean([_cast(bone, at, way * axes[1], 25) for at in heights])) for way in (-1, 1))
        center = center + (back - front) / 2 * axes[1]
        sizes[1] = (front + back) / 2
        down = _cast(bone, center, -axes[2], 25)
        half = down if name == "C2" else (down + _cast(bone, center, axes[2], 25)) / 2
        half_size = np.array([*sizes, half])
        canal = _canal([bone], center, axes, (-half, half))
    return _frame(name, bone, points, center, axes, half_size, canal)


def _levels(vertebrae: Meshes) -> list[str]:
    return [level for level in CHAIN if level in vertebrae and level != "skull"]


def find_frames(parts: Meshes, discs: Meshes, bones: dict[str, Bone]) -> dict[str, VertebraFrame]:
    """Frames of all vertebrae of `CHAIN` that have discs above and below (C1, C2 need only what they have).

    parts, discs: meshes by name, a disc under the name of the vertebra above it; bones: their distances.
    """
    return {
        level: _measure(level, parts, discs, bones)
        for level in _levels(parts)
        if level == "C1" or (level in discs and (level == "C2" or CHAIN[CHAIN.index(level) - 1] in discs))
    }


def find_joints(
    parts: Meshes, discs: Meshes, frames: dict[str, VertebraFrame]
) -> dict[str, tuple[float, float, float]]:
    """Centres of rotation, LPS mm, keyed by the upper link: the middle of the disc below it.

    "skull" turns between the condyles, on top of C1's lateral masses; "C1" about the dens at C1's height;
    "mandible" between its own condyles.
    """
    joints = {level: _points(discs[level]).mean(axis=0) for level in CHAIN if level in discs}
    if "C1" in frames:
        atlas = frames["C1"]
        masses = (np.array(atlas.left_lateral_mass) + np.array(atlas.right_lateral_mass)) / 2
        joints["skull"] = masses + atlas.half_size[2] * np.array(atlas.axes[2])
        if "C2" in frames and frames["C2"].dens_tip is not None:
            axis, up = frames["C2"], np.array(atlas.axes[2])
            tip, long = np.array(axis.dens_tip), np.array(axis.axes[2])
            joints["C1"] = tip + ((np.array(atlas.center) - tip) @ up) / (long @ up) * long
    if "mandible" in parts:
        points = _points(parts["mandible"])
        condyles = []
        for side in (points[:, 0] > 0, points[:, 0] < 0):
            ramus = points[side & (points[:, 1] > np.quantile(points[:, 1], 0.6))]
            condyles.append(_extreme(ramus, np.array([0.0, 0.5, 1.0]), 4.0))
        joints["mandible"] = np.mean(condyles, axis=0)
    return {name: tuple(float(v) for v in joints[name]) for name in (*CHAIN, "mandible") if name in joints}
