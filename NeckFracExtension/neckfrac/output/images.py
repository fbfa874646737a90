"""Pictures as arrays: PNG, text and frames, without a display. VTK draws the letters and packs the PNG."""

from __future__ import annotations

import base64
from functools import lru_cache
from pathlib import Path

import numpy as np

INK = (226, 232, 238)


def png(picture: np.ndarray) -> bytes:
    """uint8 [rows, columns] (gray), [rows, columns, 3] (RGB) or [..., 4] (RGBA) as a PNG file's bytes."""
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

    image = vtk.vtkImageData()
    image.SetDimensions(picture.shape[1], picture.shape[0], 1)
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    flat = np.ascontiguousarray(picture[::-1]).reshape(-1, channels)
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=True))
    writer = vtk.vtkPNGWriter()
    writer.WriteToMemoryOn()
    writer.SetInputData(image)
    writer.Write()
    return vtk_to_numpy(writer.GetResult()).tobytes()


def data_url(picture: np.ndarray) -> str:
    """A picture as a PNG that an HTML page holds in itself."""
    return "data:image/png;base64," + base64.b64encode(png(picture)).decode("ascii")


def write_png(picture: np.ndarray, path: Path) -> None:
    """Write a picture as a PNG file."""
    path.write_bytes(png(picture))


def write(
    picture: np.ndarray, words: str, row: float, column: float, size: int, color=INK, *,
    align: str = "center", halo: bool = True,
) -> None:  # fmt: skip
    """Text on an RGB picture, in place, centred at (row, column), or with align "left" or "right" ending there.

    halo: darken what lies around the letters, so that they can be read on bone.
    """
    mask = _text_mask(words, size)
    around = _widened(words, size) if halo else mask
    height, width = mask.shape
    left = {"center": column - width / 2, "left": column, "right": column - width}[align]
    place, part = _overlap(picture, round(row - height / 2), round(left), mask.shape)
    if halo:
        place[...] = np.rint(place * (1 - 0.75 * around[part][..., None]))
    share = mask[part][..., None]
    place[...] = np.rint(place * (1 - share) + np.array(color) * share)


def write_plate(picture: np.ndarray, words: str, row: float, column: float, size: int, color) -> None:
    """Text on a plate of its colour, in place; dark letters on light plates, light ones on dark."""
    mask = _text_mask(words, size)
    height, width = mask.shape[0] + 6, mask.shape[1] + 10
    place, _ = _overlap(picture, round(row - height / 2), round(column - width / 2), (height, width))
    place[...] = color
    ink = (12, 14, 18) if np.dot(color, (0.299, 0.587, 0.114)) > 110 else (255, 255, 255)
    write(picture, words, row, column, size, ink, halo=False)


def frame(picture: np.ndarray, rectangle: tuple[float, float, float, float], color, width: int = 2) -> None:
    """The outline of a rectangle (first row, first column, last row, last column), in place."""
    limits = np.array(picture.shape[:2] * 2) - width
    r0, c0, r1, c1 = np.clip(np.rint(rectangle).astype(int), 0, limits)
    for row in (r0, r1):
        picture[row : row + width, c0 : c1 + width] = color
    for column in (c0, c1):
        picture[r0 : r1 + width, column : column + width] = color


def _overlap(picture: np.ndarray, row: int, column: int, shape: tuple[int, int]) -> tuple[np.ndarray, tuple]:
    """The picture's part under something of `shape` at (row, column), and that thing's part on the picture."""
    r0, c0 = (min(max(start, 0), limit) for start, limit in zip((row, column), picture.shape, strict=False))
    r1, c1 = (
        max(min(start + length, limit), first)
        for start, length, limit, first in zip((row, column), shape, picture.shape, (r0, c0), strict=False)
    )
    return picture[r0:r1, c0:c1], (slice(r0 - row, r1 - row), slice(c0 - column, c1 - column))


@lru_cache(maxsize=256)
def _text_mask(words: str, size: int) -> np.ndarray:
    """Coverage (0...1) [rows, columns] of a line of text, by VTK's FreeType."""
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    look = vtk.vtkTextProperty()
    look.SetFontFamilyToArial()
    look.SetFontSize(size)
    look.SetColor(1, 1, 1)
    image = vtk.vtkImageData()
    extent = [0, 0]
    vtk.vtkTextRenderer.GetInstance().RenderString(look, words, image, extent, 96)
    columns, rows, _ = image.GetDimensions()
    scalars = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, -1)
    mask = scalars[: extent[1] + 1, : extent[0] + 1, 3][::-1] / 255.0
    return np.pad(mask, 2)


@lru_cache(maxsize=256)
def _widened(words: str, size: int) -> np.ndarray:
    from scipy import ndimage

    return np.clip(ndimage.gaussian_filter(ndimage.maximum_filter(_text_mask(words, size), 3), 1.0), 0, 1)
