"""Pictures of a study with NumPy alone: no OpenGL, no display. VTK only writes text and PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from .. import DISCLAIMER
from ..anatomy import LEVELS
from ..findings import NOT_SEEN, POSITIVE, Analysis, Box
from ..volume import CTVolume
from .scene import SEVERITY_COLORS

BONE = (-600.0, 1400.0)  # HU: window 2000, level 400
BACKGROUND = np.array([16, 18, 22], np.uint8)
PALETTE = np.array([(0, 0, 0), *(level.color for level in LEVELS)]) * 255
# Rows and columns of each plane as directions in LPS; anterior, superior and the patient's right come first.
PLANES: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "axial": ((0, 1, 0), (1, 0, 0)),
    "sagittal": ((0, 0, -1), (0, 1, 0)),
    "coronal": ((0, 0, -1), (1, 0, 0)),
}
LETTERS = {"axial": "APRL", "sagittal": "SIAP", "coronal": "SIRL"}  # top, bottom, left, right


def cut(
    volume: CTVolume, array: np.ndarray, center: np.ndarray, plane: str, half: tuple[float, float], pixel: float,
    *, nearest: bool = False, fill: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """A plane through an array [z, y, x] of the volume's grid: float32 [rows, columns] with pixels of `pixel` mm.

    center: LPS mm. half: half height and half width in mm. Any stored axes, any tilt.
    """
    rows, columns = (np.arange(-h, h + pixel / 2, pixel) for h in half)
    down, right = (np.array(direction, float) for direction in PLANES[plane])
    points = center + rows[:, None, None] * down + columns[None, :, None] * right
    indices = np.moveaxis(volume.to_indices(points), -1, 0)
    order = 0 if nearest else 1
    return ndimage.map_coordinates(array, indices, np.float32, order, mode="constant", cval=fill, prefilter=False)


def view(
    analysis: Analysis, center: np.ndarray, plane: str, half: tuple[float, float], pixel: float,
    *, boxes: list[tuple[Box, str]] = (), heat: bool = True, fill_levels: bool = False,
) -> np.ndarray:  # fmt: skip
    """One plane as RGB uint8: CT in the bone window, level outlines, heat, boxes with their severity, letters."""
    volume = analysis.volume
    gray = cut(volume, analysis.volume.voxels, center, plane, half, pixel, fill=-1024)
    picture = np.repeat(255 * np.clip((gray - BONE[0]) / (BONE[1] - BONE[0]), 0, 1)[..., None], 3, axis=2)
    labels = cut(volume, analysis.labels, center, plane, half, pixel, nearest=True).astype(np.uint8)
    inside = ndimage.minimum_filter(labels, 3) == ndimage.maximum_filter(labels, 3)
    outline = (labels > 0) & ~inside
    picture[outline] = 0.35 * picture[outline] + 0.65 * PALETTE[labels[outline]]
    if fill_levels:
        picture[labels > 0] = 0.72 * picture[labels > 0] + 0.28 * PALETTE[labels[labels > 0]]
    if heat:
        warmth = cut(volume, analysis.heat, center, plane, half, pixel)[..., None] / 100
        color = np.concatenate([np.full_like(warmth, 255), 230 * (1 - warmth), np.zeros_like(warmth)], axis=2)
        share = 0.55 * np.clip((warmth - 0.25) / 0.5, 0, 1)
        picture = picture * (1 - share) + color * share
    picture = picture.round().astype(np.uint8)
    for box, severity in boxes:
        draw_box(picture, box, severity, center, plane, half, pixel)
    top, bottom, left, right = LETTERS[plane]
    height, width = picture.shape[:2]
    for letter, row, column in (
        (top, 12, width // 2), (bottom, height - 12, width // 2),
        (left, height // 2, 10), (right, height // 2, width - 10),
    ):  # fmt: skip
        write(picture, letter, row, column, 14, (200, 210, 220))
    draw_scale(picture, pixel)
    return picture


def draw_box(picture, box: Box, severity: str, center, plane: str, half, pixel: float) -> None:
    """The box's outline where it meets the plane; nothing when the plane passes beside it."""
    down, right = (np.array(direction, float) for direction in PLANES[plane])
    corners = np.array([box.lower, box.upper]) - center
    through = np.cross(down, right)
    depth = np.sort(corners @ np.abs(through))
    if depth[0] > 0 or depth[1] < 0:
        return
    rows = np.sort(np.rint((corners @ down + half[0]) / pixel)).astype(int)
    columns = np.sort(np.rint((corners @ right + half[1]) / pixel)).astype(int)
    height, width = picture.shape[:2]
    (r0, r1), (c0, c1) = np.clip(rows, 0, height - 2), np.clip(columns, 0, width - 2)
    color = np.array(SEVERITY_COLORS[severity]) * 255
    for row in (r0, r1):
        picture[row : row + 2, c0 : c1 + 2] = color
    for column in (c0, c1):
        picture[r0 : r1 + 2, column : column + 2] = color


def draw_scale(picture: np.ndarray, pixel: float) -> None:
    """A bar of 2 cm at the lower right."""
    length, (height, width) = round(20 / pixel), picture.shape[:2]
    if width > length + 40:
        picture[height - 8 : height - 6, width - 12 - length : width - 12] = 220
        write(picture, "2 cm", height - 17, width - 12 - length // 2, 11, (220, 220, 220))


def write(picture: np.ndarray, words: str, row: int, column: int, size: int, color, *, align: str = "center") -> None:
    """Text on a picture, centred at (row, column), or beginning there with align "left"."""
    mask = text_mask(words, size)
    height, width = mask.shape
    r0, c0 = row - height // 2, column - (width // 2 if align == "center" else 0)
    a0, b0 = max(r0, 0), max(c0, 0)
    a1, b1 = min(r0 + height, picture.shape[0]), min(c0 + width, picture.shape[1])
    if a1 <= a0 or b1 <= b0:
        return
    share = mask[a0 - r0 : a1 - r0, b0 - c0 : b1 - c0, None]
    place = picture[a0:a1, b0:b1]
    place[...] = (place * (1 - share) + np.array(color) * share).round().astype(np.uint8)


def text_mask(words: str, size: int) -> np.ndarray:
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
    return scalars[: extent[1] + 1, : extent[0] + 1, 3][::-1] / 255.0


def surfaces(analysis: Analysis, side: str, pixel: float = 0.7) -> np.ndarray:
    """The vertebrae seen from the "front" or the "left": RGB, a depth map shaded by its own slope."""
    volume, turn = analysis.volume.canonical()
    labels = turn.apply(analysis.labels)
    where = [np.flatnonzero(labels.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not len(where[0]):
        return np.zeros((200, 120, 3), np.uint8) + BACKGROUND
    labels = labels[tuple(slice(max(w[0] - 2, 0), w[-1] + 3) for w in where)]
    zoom = volume.spacing / pixel
    labels = ndimage.zoom(labels, zoom, order=0, prefilter=False)[::-1]
    # From the front one looks along y; from the left along -x, with the front to the left of the picture.
    looked = np.moveaxis(labels, 1, 2) if side == "front" else labels[:, :, ::-1]
    first = (looked > 0).argmax(axis=2)
    hit = np.take_along_axis(looked, first[..., None], axis=2)[..., 0]
    depth = ndimage.gaussian_filter(np.where(hit > 0, first, looked.shape[2]).astype(np.float32), 0.8)
    slope_down, slope_right = np.gradient(depth)
    facing = 1 / np.sqrt(1 + slope_down**2 + slope_right**2)
    light = facing * np.clip(1 + 0.45 * (slope_down + slope_right), 0.25, 1.6)
    fade = 1 - 0.35 * depth / max(looked.shape[2], 1)
    picture = PALETTE[hit] * (0.25 + 0.75 * np.clip(light, 0, 1) * fade)[..., None]
    picture[hit == 0] = BACKGROUND
    return picture.clip(0, 255).astype(np.uint8)


def overview(analysis: Analysis) -> np.ndarray:
    """The study at a glance: RGB of sagittal and coronal planes, the vertebrae from two sides, probabilities."""
    findings = analysis.findings
    centers = np.array([level.center for level in findings.levels if level.center is not None])
    volume = analysis.volume
    middle = volume.to_points((np.array(volume.shape) - 1) / 2)
    center = centers.mean(axis=0) if len(centers) else middle
    half, pixel = (105.0, 75.0), 0.42
    boxes = [(level.box, level.severity) for level in findings.positive if level.box is not None]
    sagittal = view(analysis, center, "sagittal", half, pixel, boxes=boxes, fill_levels=True)
    coronal = view(analysis, center, "coronal", half, pixel, boxes=boxes, fill_levels=True)
    for level, info in zip(findings.levels, LEVELS, strict=True):
        if level.center is not None:
            row = round((half[0] - (level.center[2] - center[2])) / pixel)
            column = round((level.center[1] - center[1] + half[1]) / pixel)
            write(sagittal, level.level, row, min(column + 62, sagittal.shape[1] - 18), 13, np.array(info.color) * 255)
    rows = [_fit(surfaces(analysis, side), sagittal.shape[0] // 2 - 4, 250) for side in ("left", "front")]
    shaded = np.concatenate([rows[0], np.zeros((8, 250, 3), np.uint8) + BACKGROUND, rows[1]])
    shaded = _fit(shaded, sagittal.shape[0], 250)
    gap = np.zeros((sagittal.shape[0], 10, 3), np.uint8) + BACKGROUND
    images = np.concatenate([sagittal, gap, coronal, gap, shaded], axis=1)
    chart = _chart(analysis, images.shape[1])
    return np.concatenate([images, chart])


def _chart(analysis: Analysis, width: int) -> np.ndarray:
    """A bar a level: its probability, the threshold as a tick; grey words where a level is not seen."""
    chart = np.zeros((250, width, 3), np.uint8) + BACKGROUND
    findings, left, right = analysis.findings, 90, width - 180
    title = f"Fracture probability, {findings.operating_point} operating point"
    write(chart, title, 20, 20, 13, (200, 210, 220), align="left")
    for n, level in enumerate(findings.levels):
        row = 50 + 26 * n
        write(chart, level.level, row, 40, 14, (230, 230, 230), align="left")
        chart[row - 8 : row + 8, left:right] = (38, 42, 48)
        if level.status == NOT_SEEN:
            write(chart, "not seen", row, left + 10, 12, (130, 130, 130), align="left")
            continue
        color = np.array(SEVERITY_COLORS[level.severity]) if level.status == POSITIVE else np.array([0.35, 0.5, 0.6])
        chart[row - 8 : row + 8, left : left + round((right - left) * level.probability)] = color * 255
        tick = left + round((right - left) * level.threshold)
        chart[row - 11 : row + 11, tick : tick + 2] = 235
        words = f"{level.probability:.2f}" + (f"  {level.severity}" if level.severity else "")
        write(chart, words, row, right + 12, 13, (230, 230, 230), align="left")
    write(chart, f"Simulated training. {DISCLAIMER}", 236, 20, 11, (150, 155, 160), align="left")
    return chart


def _fit(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture scaled to fit and centred on the background."""
    scale = min(height / picture.shape[0], width / picture.shape[1])
    rows = np.clip((np.arange(round(picture.shape[0] * scale)) / scale).astype(int), 0, picture.shape[0] - 1)
    columns = np.clip((np.arange(round(picture.shape[1] * scale)) / scale).astype(int), 0, picture.shape[1] - 1)
    scaled = picture[rows][:, columns][:height, :width]
    result = np.zeros((height, width, 3), np.uint8) + BACKGROUND
    r, c = (height - scaled.shape[0]) // 2, (width - scaled.shape[1]) // 2
    result[r : r + scaled.shape[0], c : c + scaled.shape[1]] = scaled
    return result


def png(picture: np.ndarray) -> bytes:
    """RGB uint8 [rows, columns, 3] as a PNG file's bytes."""
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

    image = vtk.vtkImageData()
    image.SetDimensions(picture.shape[1], picture.shape[0], 1)
    flat = np.ascontiguousarray(picture[::-1]).reshape(-1, 3)
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=True))
    writer = vtk.vtkPNGWriter()
    writer.WriteToMemoryOn()
    writer.SetInputData(image)
    writer.Write()
    return vtk_to_numpy(writer.GetResult()).tobytes()


def write_png(picture: np.ndarray, path: Path) -> None:
    """Write RGB as a PNG file."""
    path.write_bytes(png(picture))
