"""Voxels and affines as VTK wants them: the one door that turns LPS into Slicer's RAS."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

import numpy as np

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def ras_affine(affine: np.ndarray) -> Any:
    """vtkMatrix4x4 from voxel (i, j, k) to mm in RAS, of a 4x4 affine to mm in LPS."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    for row, values in enumerate(LPS_TO_RAS @ affine):
        for column, value in enumerate(values):
            matrix.SetElement(row, column, float(value))
    return matrix


def image(voxels: np.ndarray) -> Any:
    """vtkImageData over a copy of the voxels [z, y, x]; geometry is left to the node."""
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    result = vtk.vtkImageData()
    result.SetDimensions(*voxels.shape[::-1])
    # One copy, owned by VTK: the scene may outlive the array.
    scalars = numpy_to_vtk(np.ascontiguousarray(voxels).reshape(-1), deep=True)
    result.GetPointData().SetScalars(scalars)
    return result


def table_of(columns: Mapping[str, Iterable[Any]], texts: Container[str]) -> Any:
    """vtkTable of columns by title: strings for those in `texts`, else numbers; None becomes NaN."""
    import vtk

    table = vtk.vtkTable()
    for title, values in columns.items():
        text = title in texts
        array = vtk.vtkStringArray() if text else vtk.vtkDoubleArray()
        array.SetName(title)
        for value in values:
            array.InsertNextValue(value if text else float("nan") if value is None else float(value))
        table.AddColumn(array)
    return table
