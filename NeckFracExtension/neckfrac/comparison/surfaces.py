"""Each vertebra's surface with its distance to the same level's surface in a reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..anatomy import LEVEL_NAMES, LEVELS, N_LEVELS
from ..progress import Progress
from ..volume import CTVolume
from .compare import labelled_part

SMOOTHING = 16  # iterations; the net's points stay within half a voxel of where they were


@dataclass(frozen=True, eq=False)
class DistanceSurface:
    """A level's closed surface. points: float32 [n, 3], LPS mm. triangles: int32 [m, 3], outwards.

    distances: float32 [n], mm to the reference's surface: positive outside the reference, negative inside.
    """

    points: np.ndarray
    triangles: np.ndarray
    distances: np.ndarray


def distance_surfaces(
    labels: np.ndarray, reference: np.ndarray, affine: np.ndarray, progress: Progress | None = None
) -> dict[str, DistanceSurface]:
    """The surfaces of the levels that both have, by name, from above to below.

    labels, reference: integers [z, y, x] on one grid, 1 to 7 for C1 to C7; affine: 4x4, voxel (i, j, k) to mm in LPS.
    Raises ImportError without VTK, InputError when the grids differ.
    """
    progress = progress or Progress()
    labels, reference, affine = labelled_part(labels, reference, affine)
    from scipy import ndimage

    arrays = (labels, reference)
    boxes = [ndimage.find_objects(array, max_label=N_LEVELS) for array in arrays]
    surfaces = {}
    for index, level in enumerate(LEVELS):
        progress.step(index / N_LEVELS)
        both = [(array, own[index]) for array, own in zip(arrays, boxes, strict=True) if own[index] is not None]
        if len(both) < 2:
            continue
        (points, triangles), theirs = (_surface(array[box] == level.label, box, affine) for array, box in both)
        surfaces[level.name] = DistanceSurface(points, triangles, _distances(points, *theirs))
    progress.step(1.0)
    return surfaces


def write_surfaces(surfaces: dict[str, DistanceSurface], path: Path) -> None:
    """One .npz with three arrays a level: "C3 points", "C3 triangles", "C3 distances"."""
    arrays = {f"{name} {part}": array for name, surface in surfaces.items() for part, array in vars(surface).items()}
    np.savez(path, **arrays)


def read_surfaces(path: Path) -> dict[str, DistanceSurface]:
    """What `write_surfaces` wrote."""
    with np.load(path, allow_pickle=False) as file:
        names = [name for name in LEVEL_NAMES if f"{name} points" in file]
        parts = ("points", "triangles", "distances")
        return {name: DistanceSurface(*(file[f"{name} {part}"] for part in parts)) for name in names}


def poly_data(points: np.ndarray, triangles: np.ndarray) -> Any:
    """vtkPolyData over copies of points [n, 3] and triangles [m, 3]."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData

    result, places, cells = vtkPolyData(), vtkPoints(), vtkCellArray()
    places.SetData(numpy_to_vtk(np.ascontiguousarray(points, dtype=np.float32), deep=True))
    corners = np.ascontiguousarray(triangles.reshape(-1), dtype=np.int64)
    offsets = np.arange(0, len(corners) + 1, 3, dtype=np.int64)
    cells.SetData(numpy_to_vtkIdTypeArray(offsets, deep=True), numpy_to_vtkIdTypeArray(corners, deep=True))
    result.SetPoints(places)
    result.SetPolys(cells)
    return result


def _surface(mask: np.ndarray, box: tuple[slice, ...], affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (LPS mm) and triangles of the surface of a mask [z, y, x] that was cut out of a volume."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkSurfaceNets3D

    volume = CTVolume(mask, affine)
    padded = np.pad(mask.astype(np.uint8), 2)  # closed, also where the volume ends
    image, net = vtkImageData(), vtkSurfaceNets3D()
    image.SetDimensions(*padded.shape[::-1])
    image.SetSpacing(*volume.spacing[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(padded.reshape(-1), deep=True))
    net.SetInputData(image)
    net.SetValue(0, 1)
    net.SetOutputMeshTypeToTriangles()
    net.SmoothingOn()
    net.SetNumberOfIterations(SMOOTHING)
    net.Update()
    found = net.GetOutput()
    start = np.array([part.start for part in box]) - 2
    places = vtk_to_numpy(found.GetPoints().GetData())[:, ::-1] / volume.spacing + start
    triangles = vtk_to_numpy(found.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    if np.linalg.det(volume.affine[:3, :3]) < 0:
        triangles = triangles[:, ::-1]  # a mirrored grid turns the triangles inside out, and with them the sign
    return volume.to_points(places).astype(np.float32), triangles.astype(np.int32)


def _distances(points: np.ndarray, others: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Signed distance (mm) of each point to a closed surface: positive outside."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkDoubleArray
    from vtkmodules.vtkFiltersCore import vtkImplicitPolyDataDistance

    distance, result = vtkImplicitPolyDataDistance(), vtkDoubleArray()
    distance.SetInput(poly_data(others, triangles))
    distance.FunctionValue(numpy_to_vtk(np.ascontiguousarray(points, dtype=np.float64)), result)
    return vtk_to_numpy(result).astype(np.float32)
