"""A surface mesh becomes voxels: winding numbers for the inside, signed distances for the surface."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from neckfrac.errors import InputError

from .neck import DISTANCE_SCALE

# Bones end this far (mm) inside their crops, so that every clipped distance (7.9 mm) has room.
PADDING = 8.5


@dataclass(frozen=True)
class Grid:
    """An axis-aligned isotropic grid: origin of voxel (0, 0, 0) in LPS mm, spacing in mm, shape [z, y, x]."""

    origin: tuple[float, float, float]
    spacing: float
    shape: tuple[int, int, int]

    @classmethod
    def around(cls, lower: np.ndarray, upper: np.ndarray, spacing: float) -> Grid:
        """The smallest grid whose voxel centres reach from `lower` to `upper` (LPS mm)."""
        lower, upper = np.asarray(lower, float), np.asarray(upper, float)
        count = np.ceil((upper - lower) / spacing).astype(int) + 1
        return cls(tuple(float(v) for v in lower), float(spacing), tuple(int(n) for n in count[::-1]))

    def halved(self) -> Grid:
        """The grid of this one's eighth voxels: two along each axis for every voxel."""
        origin = tuple(v - self.spacing / 4 for v in self.origin)
        return Grid(origin, self.spacing / 2, tuple(2 * n for n in self.shape))

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates (LPS mm) along z, y and x, shaped to broadcast to [z, y, x]."""
        z, y, x = (self.origin[2 - a] + self.spacing * np.arange(self.shape[a]) for a in range(3))
        return z[:, None, None], y[None, :, None], x[None, None, :]

    def index(self, points: np.ndarray) -> np.ndarray:
        """LPS mm [..., 3] to fractional voxel indices [..., 3] in the order z, y, x."""
        return ((np.asarray(points, float) - np.array(self.origin)) / self.spacing)[..., ::-1]


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles: vertices float64 [n, 3] (LPS mm), faces int64 [m, 3], counter-clockwise seen from outside."""

    vertices: np.ndarray
    faces: np.ndarray


def read_obj(path: Path) -> Mesh:
    """The triangles of a Wavefront OBJ file; polygons are cut into fans, normals and textures ignored.

    Faces that run clockwise as a whole (negative volume) are turned. Raises InputError for anything
    that is not a triangle mesh.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        vertices = np.array(" ".join(line[2:] for line in lines if line.startswith("v ")).split(), float)
        rows = [[int(word.partition("/")[0]) for word in line[2:].split()] for line in lines if line.startswith("f ")]
        vertices = vertices.reshape(len([line for line in lines if line.startswith("v ")]), -1)[:, :3]
        faces = np.array([(r[0], r[i], r[i + 1]) for r in rows for i in range(1, len(r) - 1)], np.int64)
        faces = np.where(faces < 0, faces + len(vertices), faces - 1)
        corners = vertices[faces]
    except (OSError, ValueError, IndexError) as error:
        raise InputError("This is not a triangle mesh in OBJ format.", where=path) from error
    if not len(faces):
        raise InputError("This mesh has no faces.", where=path)
    relative = corners - vertices.mean(axis=0)
    volume = np.einsum("ij,ij->i", relative[:, 0], np.cross(relative[:, 1], relative[:, 2])).sum()
    return Mesh(vertices, faces[:, ::-1] if volume < 0 else faces)


def _crossings(mesh: Mesh, grid: Grid, axis: int) -> np.ndarray:
    """Twice the winding number along grid rays of one axis, seen from both ends: int16 [z, y, x]."""
    # Rays that hit an edge exactly would count twice or never; this shift makes that practically impossible.
    index = grid.index(mesh.vertices) + np.array([1.7e-5, 2.3e-5, 3.1e-5])
    u_axis, v_axis = (a for a in range(3) if a != axis)
    u, v, w = (index[:, a][mesh.faces] for a in (u_axis, v_axis, axis))
    n_u, n_v, n_w = grid.shape[u_axis], grid.shape[v_axis], grid.shape[axis]
    u_first, v_first = (np.clip(np.ceil(c.min(1)), 0, None).astype(int) for c in (u, v))
    u_count = np.clip(np.floor(u.max(1)), None, n_u - 1).astype(int) - u_first + 1
    v_count = np.clip(np.floor(v.max(1)), None, n_v - 1).astype(int) - v_first + 1
    candidates = np.clip(u_count, 0, None) * np.clip(v_count, 0, None)
    face = np.repeat(np.arange(len(u)), candidates)
    within = np.arange(len(face)) - np.repeat(np.cumsum(candidates) - candidates, candidates)
    ray_u = u_first[face] + within // v_count[face]
    ray_v = v_first[face] + within % v_count[face]
    # Twice the signed areas of the three triangles that the ray cuts off: all of one sign means a hit.
    du, dv = u[face] - ray_u[:, None], v[face] - ray_v[:, None]
    area = du[:, [1, 2, 0]] * dv[:, [2, 0, 1]] - du[:, [2, 0, 1]] * dv[:, [1, 2, 0]]
    hit = (area > 0).all(1) | (area < 0).all(1)
    area, face, ray_u, ray_v = area[hit], face[hit], ray_u[hit], ray_v[hit]
    total = area.sum(1)
    depth = np.clip(np.ceil((area * w[face]).sum(1) / total), 0, n_w).astype(int)
    # (u, v, axis) is an odd order of (z, y, x) only for the middle axis; z, y, x itself is odd in LPS.
    sign = np.sign(total).astype(np.int16) * (-1 if axis == 1 else 1)
    steps = np.zeros((n_u, n_v, n_w + 1), np.int16)
    np.add.at(steps, (ray_u, ray_v, depth), sign)
    winding = np.cumsum(steps, axis=2, dtype=np.int16)
    both = 2 * winding[:, :, :n_w] - winding[:, :, n_w:]
    return np.moveaxis(both, 2, axis)


def occupancy(mesh: Mesh, grid: Grid) -> np.ndarray:
    """Which voxel centres lie inside: bool [z, y, x].

    The generalised winding number (Jacobson et al. 2013) estimated from six axis-parallel rays: a ray
    that leaves through a hole is outvoted by the others, and overlapping shells do not cancel.
    """
    total = _crossings(mesh, grid, 0) + _crossings(mesh, grid, 1)
    total += _crossings(mesh, grid, 2)
    return total > 3


def distance_outside(inside: np.ndarray, spacing: float) -> np.ndarray:
    """Signed distance in mm to the border between voxels, negative inside: float32 like `inside`."""
    from scipy import ndimage

    if not inside.any():
        return np.full(inside.shape, 1e3, np.float32)
    outer = ndimage.distance_transform_edt(~inside)
    inner = ndimage.distance_transform_edt(inside)
    signed = np.where(inside, 0.5 - inner, outer - 0.5)
    return (signed * spacing).astype(np.float32)


def closed(inside: np.ndarray, radius: float) -> np.ndarray:
    """Morphological closing by a ball of `radius` voxels."""
    from scipy import ndimage

    if not inside.any():
        return inside
    grown = ndimage.distance_transform_edt(~inside) <= radius
    return inside | (ndimage.distance_transform_edt(grown) > radius)


def crop_around(meshes: list[Mesh], spacing: float, floor: float | None = None) -> Grid:
    """The grid that holds all meshes with `PADDING`, cut at the height `floor` (LPS mm) where given."""
    lower = np.min([m.vertices.min(0) for m in meshes], axis=0) - PADDING
    upper = np.max([m.vertices.max(0) for m in meshes], axis=0) + PADDING
    if floor is not None:
        lower[2] = max(lower[2], floor)
    return Grid.around(lower, upper, spacing)


def signed_distance(meshes: list[Mesh], grid: Grid, closing: float = 0.0) -> np.ndarray:
    """Signed distance of the meshes' union: int8 [z, y, x], sixteenths of a mm, clipped to +-7.9 mm.

    Computed on a grid of half the spacing and averaged. `closing` (mm) bridges gaps within the union.
    """
    fine = grid.halved()
    inside = np.zeros(fine.shape, bool)
    for mesh in meshes:
        inside |= occupancy(mesh, fine)
    if closing:
        inside = closed(inside, closing / fine.spacing)
    distance = distance_outside(inside, fine.spacing)
    z, y, x = grid.shape
    mean = distance.reshape(z, 2, y, 2, x, 2).mean(axis=(1, 3, 5))
    return np.clip(np.rint(mean * DISTANCE_SCALE), -126, 126).astype(np.int8)
