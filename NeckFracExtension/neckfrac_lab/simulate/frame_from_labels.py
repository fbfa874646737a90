"""A vertebra's landmarks from its label: what fractures take their measure from, in any CT with a labelmap.

The label's surface stands in for a mesh, and its own endplates for the discs, so that `meshes.landmarks`
measures it as it does the meshes.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from neckfrac.anatomy import LEVEL_BY_NAME, LEVELS
from neckfrac.errors import InputError
from neckfrac.volume import CTVolume

from .meshes.landmarks import find_frames, sample_distance, symmetry_plane
from .neck import DISTANCE_SCALE, Bone, VertebraFrame
from .voxelise import Mesh

# mm: of the grid on which a label is measured, and of the room around it, as around a mesh.
STEP, ROOM = 0.8, 9.0
# Surface points from which the plane of symmetry is fitted; more only take longer.
POINTS = 1500
# Half width, depth and height (mm) of any vertebra's body; beyond these the label is no whole vertebra.
SMALLEST, LARGEST = np.array([4.0, 3.0, 2.5]), np.array([32.0, 32.0, 25.0])


def signed_distance(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Signed distance (mm) of a mask [z, y, x] to the border between voxels, negative inside: float32.

    Blurred by half a voxel, so that the mask's steps become a surface.
    """
    from scipy import ndimage

    half = 0.5 * float(np.mean(spacing))
    outer = ndimage.distance_transform_edt(~mask, sampling=spacing)
    inner = ndimage.distance_transform_edt(mask, sampling=spacing)
    return ndimage.gaussian_filter(np.where(mask, half - inner, outer - half).astype(np.float32), 0.5)


def box_around(mask_box: tuple[slice, ...], room: float, volume: CTVolume) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper index [z, y, x] of a box with `room` mm around another, inside the volume."""
    wide = np.ceil(room / volume.spacing).astype(int)
    lower = np.maximum([part.start for part in mask_box] - wide, 0)
    return lower, np.minimum([part.stop for part in mask_box] + wide, volume.shape)


def level_box(labels: np.ndarray, level: str) -> tuple[slice, ...]:
    """The box of a level's voxels. Raises InputError when it has none."""
    from scipy import ndimage

    boxes = ndimage.find_objects(labels, max_label=len(LEVELS))
    box = boxes[LEVEL_BY_NAME[level].label - 1]
    if box is None:
        held = ", ".join(other.name for other, part in zip(LEVELS, boxes, strict=True) if part is not None)
        raise InputError(f"{level} is not in the labels.", advice=f"They hold {held or 'no level'}.")
    return box


def around_labels(labels: np.ndarray, room: float, volume: CTVolume) -> tuple[slice, ...]:
    """The box of all labelled voxels, with `room` mm around them, inside the volume."""
    from scipy import ndimage

    box = ndimage.find_objects((labels > 0).view(np.uint8))[0]
    return tuple(slice(a, b) for a, b in zip(*box_around(box, room, volume), strict=True))


def _center(labels: np.ndarray, volume: CTVolume, label: int) -> np.ndarray | None:
    where = np.argwhere(labels == label)
    return volume.to_points(where.mean(axis=0)) if len(where) else None


def _upward(labels: np.ndarray, volume: CTVolume, label: int, own: np.ndarray) -> np.ndarray:
    """The neck's direction at a level: between its neighbours' middles, or where one is missing from its own."""
    above, below = (_center(labels, volume, label + step) if 1 <= label + step <= len(LEVELS) else None
                    for step in (-1, 1))  # fmt: skip
    # C1's middle lies further back than the others': it tells no direction.
    above = None if label == 2 else above
    if label == 1 or (above is None and below is None):
        return np.array([0.0, 0.0, 1.0])
    way = (own if above is None else above) - (own if below is None else below)
    return way / np.linalg.norm(way)


def _turned(axes: np.ndarray, degrees: float) -> np.ndarray:
    """Axes (rows left, posterior, superior) turned about their own superior axis."""
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return np.array([cosine * axes[0] + sine * axes[1], cosine * axes[1] - sine * axes[0], axes[2]])


def _bone(name: str, distance: np.ndarray, crop: CTVolume, axes: np.ndarray, middle: np.ndarray) -> Bone:
    """A level's distances on a grid whose x, y, z run along `axes` about `middle`."""
    from scipy import ndimage

    inside = (crop.to_points(np.argwhere(distance < 0)) - middle) @ axes.T
    low, high = inside.min(axis=0) - ROOM, inside.max(axis=0) + ROOM
    x, y, z = (np.arange(a, b + STEP, STEP) for a, b in zip(low, high, strict=True))
    local = np.stack(np.meshgrid(z, y, x, indexing="ij"), -1)[..., ::-1]
    place = np.moveaxis(crop.to_indices(local @ axes + middle), -1, 0)
    values = ndimage.map_coordinates(distance, place, order=1, mode="nearest")
    kept = np.clip(np.rint(values * DISTANCE_SCALE), -126, 126).astype(np.int8)
    return Bone(name, kept, tuple(float(v) for v in low), STEP, LEVEL_BY_NAME[name].label, name)


def _surface(bone: Bone) -> np.ndarray:
    """Points (x, y, z) mm [n, 3] on a bone's surface: the voxels near it, moved onto it."""
    distance = bone.distance.astype(np.float32) / DISTANCE_SCALE
    slope = np.stack(np.gradient(distance, bone.spacing), -1)
    steep = (slope**2).sum(-1)
    near = (np.abs(distance) < 0.6 * bone.spacing) & (steep > 0.3)
    moved = (distance[near] / steep[near])[:, None] * slope[near]
    return (np.argwhere(near) * bone.spacing - moved)[:, ::-1] + np.array(bone.origin)


def _facing(points: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Axes turned about `superior` so that left is the side to which the points are symmetric.

    Tried from three starts, because a turned head's vertebra can look symmetric askew.
    """
    from scipy.spatial import cKDTree

    some = points[:: max(len(points) // POINTS, 1)]
    best, least, tree = axes, np.inf, cKDTree(some)
    for degrees in (0.0, 25.0, -25.0):
        middle, left = symmetry_plane(some, _turned(axes, degrees)[0])
        apart = tree.query(some - 2 * ((some - middle) @ left)[:, None] * left)[0]
        misfit = float(np.quantile(apart, 0.8))
        sideways = left - (left @ axes[2]) * axes[2]
        sideways /= np.linalg.norm(sideways)
        # A turn of more than 50 degrees is no neck's: some other plane nearly fitted.
        if misfit < least - 0.02 and sideways @ axes[0] > 0.64:
            best, least = np.array([sideways, np.cross(axes[2], sideways), axes[2]]), misfit
    return best


def _endplates(bone: Bone, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [n, 3] on the upper and the lower end of a body, as wide and deep as it: its discs' places.

    The body is what lies before the canal, which is the hole one sees looking down the vertebra.
    """
    from scipy import ndimage

    inside = bone.distance < 0
    x, y, z = (bone.origin[a] + bone.spacing * np.arange(inside.shape[2 - a]) for a in range(3))
    middle = symmetry_plane(points[:: max(len(points) // POINTS, 1)], np.array([1.0, 0.0, 0.0]))[0][0]
    shadow = inside.any(axis=0)
    holes = ndimage.distance_transform_edt(ndimage.binary_fill_holes(shadow) & ~shadow)
    central = np.abs(x - middle) < 5
    holes[:, ~central] = 0
    if holes.max() * bone.spacing < 3.0:
        raise InputError(
            f"The label of {bone.name} shows no canal.", advice="It must hold the whole vertebra, arch included."
        )
    row = int(np.unravel_index(np.argmax(holes), holes.shape)[0])
    back = row - int(np.argmax(shadow[row::-1, central].any(axis=1)))
    front = int(np.argmax(shadow[:, central].sum(axis=1) > 0.5 * central.sum()))
    depth, center = (y[back] - y[front]) / 2, (y[back] + y[front]) / 2
    heights = np.abs(y - center) < 0.6 * depth
    core = np.ix_(range(len(z)), heights, np.abs(x - middle) < 0.7 * depth)
    some = inside[core].any(axis=0)
    if depth < 2 or not some.any():
        raise InputError(
            f"The label of {bone.name} has no body before its canal.", advice="It must hold the whole vertebra."
        )
    ends = []
    for way in (-1, 1):
        edge = np.argmax(inside[core][::way], axis=0)
        edge = z[::way][edge] + way * -0.5 * bone.spacing
        along = np.broadcast_to(y[heights][:, None], edge.shape)[some]
        ends.append(np.polyfit(along - center, edge[some], 1))
    # Just above the lower endplate no transverse process widens the body.
    width = depth * float(np.clip(_half_width(bone, middle, center, np.polyval(ends[1], 0.0), depth) / depth, 0.9, 1.6))
    side, along = np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 21))
    disc = side**2 + along**2 <= 1.0
    side, along = middle + width * side[disc], depth * along[disc]
    top, low = (np.stack([side, center + along, np.polyval(end, along)], -1) for end in ends)
    return top, low


def _half_width(bone: Bone, middle: float, center: float, bottom: float, depth: float) -> float:
    """How far (mm) the body reaches to its sides 2 to 4 mm above its lower end."""
    along = np.arange(0, 30, 0.25)
    found = []
    for height in (2.0, 3.0, 4.0):
        for forward in (0.0, 0.3):
            for sign in (1, -1):
                line = np.stack([middle + sign * along, np.full_like(along, center - forward * depth),
                                 np.full_like(along, bottom + height)], -1)  # fmt: skip
                outside = sample_distance(bone, line) > 0
                found.append(along[np.argmax(outside)] if outside.any() else 30.0)
    return float(np.median(found))


def _distance(labels: np.ndarray, crop: CTVolume, lower: np.ndarray, label: int) -> np.ndarray | None:
    """Signed distance (mm) of one label on the voxels of a crop that begins at `lower`; None where it is not."""
    here = tuple(slice(a, a + n) for a, n in zip(lower, crop.shape, strict=True))
    mask = labels[here] == label
    return signed_distance(mask, crop.spacing) if mask.any() else None


def measure_frame(level: str, labels: np.ndarray, volume: CTVolume) -> VertebraFrame:
    """The landmarks of one level, LPS mm, from labels [z, y, x] (1...7) on a volume's voxels.

    The axes follow the vertebra's own symmetry and endplates, the long axis first taken from the neighbouring
    levels where they are labelled. Raises InputError when the level is not in the labels or can't be measured.
    """
    label = LEVEL_BY_NAME[level].label
    box = level_box(labels, level)
    lower, upper = box_around(box, ROOM + 1, volume)
    crop = volume.crop(lower, upper)
    distance = _distance(labels, crop, lower, label)
    middle = _center(labels, volume, label)
    up = _upward(labels, volume, label, middle)
    left = np.array([1.0, 0.0, 0.0]) - up[0] * up
    left /= np.linalg.norm(left)
    axes = np.array([left, np.cross(up, left), up])
    try:
        axes = _facing(_surface(_bone(level, distance, crop, axes, middle)), axes)
        bone = _bone(level, distance, crop, axes, middle)
        points = _surface(bone)
        bones, discs = {level: bone}, {}
        if level != "C1":
            top, low = _endplates(bone, points)
            discs = {f"C{label - 1}": [_points(top)], level: [_points(low)]}
        elif (dens := _distance(labels, crop, lower, label + 1)) is not None:
            # The dens closes the atlas' canal in front.
            bones["C2"] = _bone("C2", dens, crop, axes, middle)
        frame = find_frames({level: [_points(points)]}, discs, bones)[level]
        size, canal = np.array(frame.half_size), frame.to_local(np.array(frame.canal))
        sound = (size > SMALLEST).all() and (size < LARGEST).all() and np.isfinite(frame.center).all() and canal[1] > 3
    except (ValueError, IndexError, np.linalg.LinAlgError):
        sound = False
    if not sound:
        raise InputError(
            f"The label of {level} is not shaped like a vertebra.", advice="It must hold the whole vertebra."
        )
    if level in ("C3", "C4", "C5", "C6"):
        frame = _with_transverse_tips(frame, points)
    return _moved(frame, axes, middle)


def _points(points: np.ndarray) -> Mesh:
    return Mesh(points, np.zeros((0, 3), int))


def _with_transverse_tips(frame: VertebraFrame, points: np.ndarray) -> VertebraFrame:
    """The frame of C3 to C6 with its transverse tips before the facet pillars, which worn reach further out."""
    local = frame.to_local(points)
    tips = {}
    for side, word in ((1.0, "left"), (-1.0, "right")):
        limit = frame.to_local(getattr(frame, f"{word}_lateral_mass"))[1] - 6.0
        before = local[local[:, 1] < limit]
        out = before[:, 0] * side
        # A tip hardly beside the body is none: the label leaves the process out.
        if frame.to_local(getattr(frame, f"{word}_transverse_tip"))[1] > limit and out.max() > frame.half_size[0] + 4:
            tip = before[out > out.max() - 1.5].mean(axis=0) @ np.array(frame.axes) + np.array(frame.center)
            tips[f"{word}_transverse_tip"] = tuple(float(v) for v in tip)
    return replace(frame, **tips)


def _moved(frame: VertebraFrame, axes: np.ndarray, middle: np.ndarray) -> VertebraFrame:
    """A frame that was measured along `axes` about `middle`, in LPS mm."""
    values = {field.name: getattr(frame, field.name) for field in fields(frame)}
    for name, value in values.items():
        if value is not None and name not in ("axes", "half_size"):
            values[name] = tuple(float(v) for v in np.array(value) @ axes + middle)
    values["axes"] = tuple(tuple(float(v) for v in row) for row in np.array(frame.axes) @ axes)
    return VertebraFrame(**values)
