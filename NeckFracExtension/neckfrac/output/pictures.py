"""The study at a glance: two planes that follow the spine, the vertebrae from two sides, a bar a level."""

from __future__ import annotations

import numpy as np

from ..anatomy import LEVEL_BY_NAME, LEVELS
from ..findings import NOT_SEEN, POSITIVE, Analysis, Findings, VertebraFinding
from ..formatting import as_figure, on_scale
from .boxes import SEVERITY_COLORS
from .images import INK, frame, write, write_plate
from .planes import Plane, compose, gray, overlay
from .shading import gather, shade

BACKGROUND = np.array([13, 16, 20], np.uint8)
SOFT = (140, 150, 160)
ALARM = (255, 143, 99)
QUIET = (0.36, 0.52, 0.62)  # bars below the threshold
HEIGHT, GAP = 640, 8  # pixels
PLANES = ("sagittal", "coronal")
LEAST, MOST = 70.0, 150.0  # mm that a picture shows across
BODY_RADIUS = 8.0  # mm from a vertebra's front to about the middle of its body


def panels(analysis: Analysis) -> np.ndarray:
    """Sagittal and coronal CT, the vertebrae from the left and the front: RGB, all on the same scale and height."""
    line = _spine_line(analysis)
    if line is None:
        return _side_by_side([_without_spine(analysis, name) for name in PLANES])
    surroundings = gather(analysis)
    pictures = []
    for name in PLANES:
        plane = _along_spine(analysis, line, name, margin=13.0)
        picture = compose(gray(plane, analysis), overlay(plane, analysis, fill=0.16))
        _finish(picture, plane, analysis.findings)
        if name == "sagittal":
            _name_levels(picture, plane, line)
        pictures.append(picture)
    for name, title in (("sagittal", "from the left"), ("coronal", "from the front")):
        plane = _along_spine(analysis, line, name, margin=5.0)
        picture = shade(surroundings, plane, BACKGROUND)
        _draw_boxes(picture, plane, analysis.findings)
        write(picture, title, picture.shape[0] - 14, picture.shape[1] / 2, 12, SOFT)
        pictures.append(picture)
    return _side_by_side(pictures)


def overview(analysis: Analysis, images: np.ndarray | None = None) -> np.ndarray:
    """`panels` (worked out if not given) and below them each level's probability: RGB."""
    images = panels(analysis) if images is None else images
    return np.concatenate([images, _chart(analysis.findings, images.shape[1])])


def _spine_line(analysis: Analysis) -> np.ndarray | None:
    """Where each labelled vertebra's body (for C1: the dens) is about: rows (x, y, z, label), LPS mm, from the top."""
    found = []
    labels = analysis.labels[::2, ::2, ::2]
    for level in LEVELS:
        points = analysis.volume.to_points(2 * np.argwhere(labels == level.label))
        if len(points) < 20:
            continue
        middle = np.median(points[:, 0])
        center = points[np.abs(points[:, 0] - middle) < 6]
        center = center if len(center) else points
        y = np.percentile(center[:, 1], 2) + BODY_RADIUS
        near = center[np.abs(center[:, 1] - y) < BODY_RADIUS]
        z = np.mean(near[:, 2]) if len(near) else np.mean(points[:, 2])
        found.append((middle, y, z, level.label))
    return np.array(sorted(found, key=lambda place: -place[2])) if found else None


def _along_spine(analysis: Analysis, line: np.ndarray, name: str, margin: float) -> Plane:
    """The plane that shows all labelled vertebrae, with mm around them, and follows their bodies."""
    points = analysis.volume.to_points(2 * np.argwhere(analysis.labels[::2, ::2, ::2]))
    lower, upper = points.min(axis=0), points.max(axis=0)
    center, size = (lower + upper) / 2, upper - lower
    across, through = (1, 0) if name == "sagittal" else (0, 1)
    center[through] = line[:, through].mean()
    half = max(size[2] / 2 + 6, LEAST / 2)
    width = np.clip(size[across] + 2 * margin, LEAST, MOST)
    plane = Plane(name, center, (half, width / 2), pixel_for(half))
    upwards = line[::-1]
    bend = np.interp(center[2] - plane.offsets(0), upwards[:, 2], upwards[:, through]) - center[through]
    return Plane(plane.name, plane.center, plane.half, plane.pixel, bend)


def pixel_for(half: float) -> float:
    """mm of a pixel at which a plane of this half height (mm) has HEIGHT + 1 rows, one more than is shown.

    A plane's rows are odd in number, and HEIGHT is even: a pixel for HEIGHT rows would lie halfway between two sizes.
    """
    return half / (HEIGHT // 2)


def _without_spine(analysis: Analysis, name: str) -> np.ndarray:
    """The plane through the middle of the scan."""
    volume = analysis.volume
    middle = volume.to_points((np.array(volume.shape) - 1) / 2)
    half = min(np.abs(volume.affine[2, :3]) @ (np.array(volume.shape[::-1]) - 1) / 2, 150.0)
    plane = Plane(name, middle, (half, 0.8 * half), pixel_for(half))
    picture = gray(plane, analysis)[..., None].repeat(3, axis=2)
    _finish(picture, plane, analysis.findings)
    return picture


def _finish(picture: np.ndarray, plane: Plane, findings: Findings) -> None:
    """Boxes, the patient's sides and a scale."""
    _draw_boxes(picture, plane, findings)
    height, width = picture.shape[:2]
    top, bottom, left, right = plane.letters
    write(picture, top, 15, width / 2, 16)
    write(picture, bottom, height - 15, width / 2, 16)
    write(picture, left, height / 2, 15, 16)
    write(picture, right, height / 2, width - 15, 16)
    length = 20 / plane.pixel
    picture[height - 10 : height - 8, max(round(width - 10 - length), 0) : width - 10] = INK
    write(picture, "2 cm", height - 23, width - 10 - length / 2, 12)


def _draw_boxes(picture: np.ndarray, plane: Plane, findings: Findings) -> None:
    for level in findings.shown():
        if level.level in findings.boxes():
            rectangle = plane.rectangle(level.box)
            frame(picture, np.add(rectangle, (-1, -1, 1, 1)), (0, 0, 0), 4)
            frame(picture, rectangle, _color(level), 2)


def _name_levels(picture: np.ndarray, plane: Plane, line: np.ndarray) -> None:
    """Each level's name in front of its body."""
    middle = np.array(plane.shape) // 2
    for _, y, z, label in line:
        row = middle[0] - (z - plane.center[2]) / plane.pixel
        column = middle[1] + (y - BODY_RADIUS - plane.center[1]) / plane.pixel - 30
        level = LEVELS[int(label) - 1]
        write_plate(picture, level.name, row, max(column, 26), 14, 255 * np.array(level.color))


def _side_by_side(pictures: list[np.ndarray]) -> np.ndarray:
    gap = np.zeros((HEIGHT, GAP, 3), np.uint8) + BACKGROUND
    parts = [part for picture in pictures for part in (gap, picture[:HEIGHT])]
    return np.concatenate([*parts[1:]], axis=1)


def _chart(findings: Findings, width: int) -> np.ndarray:
    """A bar a level with its threshold as a tick; words where a level is not seen."""
    uncertain = findings.naming.sentence()
    step, top = 30, 88 if uncertain else 62
    chart = np.zeros((top + step * (len(findings.levels) + 1), width, 3), np.uint8) + BACKGROUND
    left, right = 84, width - 170
    title = f"Probability of fracture, {findings.operating_point} operating point"
    write(chart, title, 26, 24, 13, align="left")
    if uncertain:
        write(chart, uncertain, 52, 24, 12, ALARM, align="left")
    for number, level in enumerate(findings.levels):
        row = top + step * number
        write_plate(chart, level.level, row, 48, 12, 255 * np.array(LEVEL_BY_NAME[level.level].color))
        chart[row - 8 : row + 8, left:right] = (32, 37, 43)
        if level.status == NOT_SEEN:
            write(chart, "not seen", row, left + 10, 11, SOFT, align="left", halo=False)
            continue
        chart[row - 8 : row + 8, left : left + round((right - left) * on_scale(level.probability))] = _color(level)
        tick = left + round((right - left) * on_scale(level.threshold))
        chart[row - 11 : row + 11, tick - 1 : tick + 1] = 240
        words = as_figure(level.probability) + (f"  {level.severity}" if level.severity else "")
        write(chart, words, row, right + 14, 13, align="left")
    words = "Trained on simulated CT. Research use only; not a medical device."
    write(chart, words, chart.shape[0] - 16, 24, 10, SOFT, align="left")
    return chart


def _color(level: VertebraFinding) -> np.ndarray:
    color = SEVERITY_COLORS[level.severity or "low"] if level.status == POSITIVE else QUIET
    return 255 * np.array(color)
