"""Measure: heights, steps, angles and intervals of a segmented neck, each between points that can be drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..anatomy import LEVEL_NAMES
from ..measurement import Measurement
from ..study_warning import StudyWarning
from ..volume import CTVolume
from .measurements import norms, soft_tissue
from .measurements.axes import VertebraAxes, fit_axes, voxels_of
from .measurements.bodies import PLACES, Body, find_body
from .measurements.craniocervical import basion_axial, find_lines
from .measurements.surface import ScanSurface, Surface
from .measurements.values import Maker
from .segment import Segmented

COARSEST = (5.0, 2.0)  # mm between slices, and of a pixel: beyond these no edge of bone can be told
TOO_COARSE = StudyWarning("not-measured", "Nothing was measured: the voxels are too large for it.")


def measure(segmented: Segmented, volume: CTVolume) -> tuple[tuple[Measurement, ...], StudyWarning | None]:
    """All that can be measured of a study, from above, and what a reader must know of it all (None: nothing).

    volume: the scan itself, canonical axes. What is cut, hidden or too coarse is left out, never guessed.
    """
    across = sorted(volume.spacing)
    if across[-1] > COARSEST[0] or across[1] > COARSEST[1]:
        return (), TOO_COARSE
    maker = Maker(volume.spacing, volume.directions)
    surface = ScanSurface(segmented.hu, segmented.labels, segmented.lattice, maker.edges)
    voxels = voxels_of(segmented.labels, segmented.lattice)
    axes = fit_axes(voxels, surface)
    bodies, lines = landmarks(axes, surface, voxels)
    walls = {level: bodies[level].points.get("front wall") for level in soft_tissue.LEVELS if level in bodies}
    airs = {
        level: soft_tissue.thickness(wall, axes[level], volume) for level, wall in walls.items() if wall is not None
    }
    return assemble(bodies, lines, {level: air for level, air in airs.items() if air is not None}, maker)


def landmarks(
    axes: dict[str, VertebraAxes], surface: Surface, voxels: dict[str, np.ndarray]
) -> tuple[dict[str, Body], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Landmarks of C2 to C7 by level, and the lines between C1, C2 and the skull by name."""
    bodies = {name: find_body(name, axes[name], surface, voxels[name]) for name in axes if name != "C1"}
    lines = find_lines(axes["C1"], axes["C2"], surface, voxels) if {"C1", "C2"} <= {*axes} else {}
    wall = bodies["C2"].points if "C2" in bodies else {}
    if "basion-dens" in lines and "wall above" in wall:
        lines["basion-axial"] = basion_axial(lines["basion-dens"][0], wall["wall below"], wall["wall above"])
    return bodies, lines


def assemble(
    bodies: dict[str, Body], lines: dict[str, tuple[np.ndarray, np.ndarray]],
    airs: dict[str, tuple[tuple[np.ndarray, np.ndarray], str]], maker: Maker,
) -> tuple[tuple[Measurement, ...], StudyWarning | None]:  # fmt: skip
    """The measurements that follow from landmarks (LPS mm), from above, with normal ranges and flags; and a remark.

    airs: by level the line from the front wall to the air, and a note.
    """
    levels = [level for level in LEVEL_NAMES if level in bodies]
    heights = {level: body_heights(bodies[level]) for level in levels}
    depths = {level: pair(bodies[level], "front wall", "back wall") for level in levels if level != "C2"}
    child = norms.is_child(
        [_length(line) for line in depths.values() if line is not None],
        [_length(found["back"]) for found in heights.values() if "back" in found],
    )
    made = _craniocervical(lines, bodies, maker)
    for n, level in enumerate(levels):
        made += _of_level(level, bodies[level], heights, depths.get(level), maker)
        if level in airs:
            line, note = airs[level]
            made += maker("prevertebral", (level,), [line], normal=norms.prevertebral(level), note=note)
        below = levels[n + 1] if n + 1 < len(levels) else None
        if below == LEVEL_NAMES[(LEVEL_NAMES.index(level) + 1) % len(LEVEL_NAMES)]:
            made += _between(level, below, bodies, maker)
    made += _lordosis(bodies, maker)
    made = _against_neighbours(made)
    measurements = tuple(maker.without_norms(one) if child else one.judged() for one in made)
    return measurements, StudyWarning("norms-not-applied", norms.CHILD_NOTE) if child else None


def body_heights(body: Body) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Upper and lower end of each of the body's heights, by place."""
    return {
        place: (body.top[place], body.bottom[place]) for place in PLACES if place in body.top and place in body.bottom
    }


def pair(body: Body, first: str, second: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Two of a body's points, when both were found."""
    points = body.points
    return (points[first], points[second]) if first in points and second in points else None


def _length(line: tuple[np.ndarray, np.ndarray]) -> float:
    return float(np.linalg.norm(line[1] - line[0]))


def _of_level(level: str, body: Body, heights: dict, depth, maker: Maker) -> list[Measurement]:
    made, own = [], heights[level]
    for place, name in (("front", "anterior"), ("middle", "middle"), ("back", "posterior")):
        if place in own:
            made += maker(f"{name}-height", (level,), [own[place]])
    if {"front", "back"} <= {*own}:
        made += maker("height-ratio", (level,), [own["front"], own["back"]])
    at = LEVEL_NAMES.index(level)
    others = [heights[name] for name in LEVEL_NAMES[max(at - 1, 0) : at + 2] if name != level and heights.get(name)]
    losses = []
    for place in own:
        beside = [other[place] for other in others if place in other]
        if beside:
            losses.append(
                (1 - _length(own[place]) / np.mean([_length(line) for line in beside]), [own[place], *beside])
            )
    if losses:
        made += maker(
            "height-loss", (level,), max(losses, key=lambda loss: loss[0])[1], normal=norms.NORMAL["height-loss"]
        )
    canal = pair(body, "back wall", "lamina")
    if depth is not None:
        made += maker("body-depth", (level,), [depth])
    if canal is not None:
        made += maker("canal-diameter", (level,), [canal])
        if depth is not None:
            made += maker("canal-body-ratio", (level,), [canal, depth], normal=norms.NORMAL["canal-body-ratio"])
    return made


def _between(upper: str, lower: str, bodies: dict[str, Body], maker: Maker) -> list[Measurement]:
    made, levels, above, below = [], (upper, lower), bodies[upper], bodies[lower]
    ends = {*above.bottom} >= {"front", "back"} and {*below.top} >= {"front", "back"}
    if ends and "lower corner" in above.points and "upper corner" in below.points:
        plates = [plate["back"] - plate["front"] for plate in (above.bottom, below.top)]
        back = sum(plate / np.linalg.norm(plate) for plate in plates)
        back = back / np.linalg.norm(back)
        corner = above.points["lower corner"]
        step = float((corner - below.points["upper corner"]) @ back)
        made += maker(
            "listhesis", levels, [(corner - step * back, corner)], value=-step, normal=norms.NORMAL["listhesis"]
        )
    if "middle" in above.bottom and "middle" in below.top:
        made += maker("disc-height", levels, [(above.bottom["middle"], below.top["middle"])])
    plates = [(body.bottom.get("front"), body.bottom.get("back")) for body in (above, below)]
    if all(point is not None for plate in plates for point in plate):
        made += maker("segmental-angle", levels, plates, value=_angle(plates, above.axes))
    tips = above.points.get("spinous tip"), below.points.get("spinous tip")
    if tips[0] is not None and tips[1] is not None:
        made += maker("interspinous", levels, [tips])
    return made


def _angle(lines: list[tuple[np.ndarray, np.ndarray]], axes: VertebraAxes) -> float:
    """Degrees in the sagittal plane between two lines; positive in lordosis."""
    first, second = ((end - start) - ((end - start) @ axes.rows[0]) * axes.rows[0] for start, end in lines)
    return float(np.degrees(np.arctan2(np.cross(first, second) @ axes.rows[0], first @ second)))


def _lordosis(bodies: dict[str, Body], maker: Maker) -> list[Measurement]:
    if not {"C2", "C7"} <= {*bodies}:
        return []
    made, (second, seventh), levels = [], (bodies["C2"], bodies["C7"]), ("C2", "C7")
    plates = [(body.bottom.get("front"), body.bottom.get("back")) for body in (second, seventh)]
    if all(point is not None for plate in plates for point in plate):
        made += maker("lordosis-cobb", levels, plates, value=_angle(plates, second.axes))
    walls = [pair(second, "wall above", "wall below"), pair(seventh, "upper corner", "lower corner")]
    if all(wall is not None for wall in walls):
        made += maker("lordosis-tangents", levels, walls, value=_angle(walls, second.axes))
    return made


def _craniocervical(lines: dict, bodies: dict[str, Body], maker: Maker) -> list[Measurement]:
    made, levels = [], ("C1", "C2")
    if "basion-dens" in lines:
        made += maker("basion-dens", ("C2",), [lines["basion-dens"]], normal=norms.NORMAL["basion-dens"])
    if "basion-axial" in lines:
        start, end = lines["basion-axial"]
        ahead = float((start - end) @ bodies["C2"].axes.rows[1])
        made += maker("basion-axial", ("C2",), [(start, end)], value=float(np.copysign(_length((start, end)), ahead)))
    if "atlanto-dental" in lines:
        made += maker("atlanto-dental", levels, [lines["atlanto-dental"]], normal=norms.NORMAL["atlanto-dental"])
    beside = [f"lateral-atlanto-dental-{side}" for side in ("left", "right")]
    for name in beside:
        if name in lines:
            made += maker(name, levels, [lines[name]])
    if all(name in lines for name in beside):
        name = "lateral-atlanto-dental-difference"
        made += maker(name, levels, [lines[one] for one in beside], normal=norms.NORMAL[name])
    edges = [lines.get(f"overhang-{side}") for side in ("left", "right")]
    if all(edge is not None for edge in edges):
        left = bodies["C2"].axes.rows[0]
        beyond = sum(sign * float((edge[1] - edge[0]) @ left) for edge, sign in zip(edges, (1, -1), strict=True))
        made += maker("atlas-overhang", levels, edges, value=beyond, normal=norms.NORMAL["atlas-overhang"])
    return made


def _against_neighbours(made: list[Measurement]) -> list[Measurement]:
    """Ranges that depend on the patient's other levels: interspinous distances and segmental angles."""
    rules = {"interspinous": norms.interspinous, "segmental-angle": norms.segmental_angle}
    found = {name: {one.levels[0]: one.value for one in made if one.name == name} for name in rules}
    result = []
    for one in made:
        if one.name in rules:
            at = LEVEL_NAMES.index(one.levels[0])
            beside = [found[one.name].get(LEVEL_NAMES[n]) for n in (at - 1, at + 1) if 0 <= n < len(LEVEL_NAMES)]
            one = replace(one, normal=rules[one.name]([value for value in beside if value is not None]))
        result.append(one)
    return result
