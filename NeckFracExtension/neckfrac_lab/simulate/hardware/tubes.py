"""Tubes and catheters in a neck: endotracheal, nasogastric, tracheostomy, central venous."""

from __future__ import annotations

import numpy as np

from ..neck import Neck
from ..pose import Pose
from ..render import find_teeth
from .parts import Layer, Tube
from .passages import Passages, find_passages


def _hose(path: np.ndarray, outer: float, inner: float, wall: float, lumen: float, stripe: float | None) -> list[Layer]:
    """A hose: wall, what is inside, and a stripe that X-rays show along one side."""
    layers = [Layer(wall, (Tube(path, outer),)), Layer(lumen, (Tube(path, inner),))]
    if stripe is not None:
        layers.append(Layer(stripe, (Tube(path + np.array([0, -(outer + inner) / 2, 0]), 0.5),)))
    return layers


def _below(path: np.ndarray, height: float) -> np.ndarray:
    return path[path[:, 2] < height]


def _endotracheal(neck: Neck, ways: Passages, g: np.random.Generator) -> list[Layer]:
    """From the mouth over the tongue into the windpipe; ends where the lungs begin."""
    teeth, way = find_teeth(neck), ways.airway + np.array([g.normal(0, 0.6), g.uniform(-1, 1), 0])
    path = way
    if teeth is not None and len(way):
        # Between the teeth, over the tongue, and bending down behind it.
        front, bend = teeth.back - 48, way[0]
        aside = g.uniform(-0.4, 0.4) * teeth.half_width
        mouth = [(aside, front - 22, teeth.bite - 2), (aside, front, teeth.bite), (aside * 0.6, (front + bend[1]) / 2,
                 teeth.bite + 6), (0.3 * aside, bend[1] - 9, max(teeth.bite - 4, bend[2] + 6))]
        path = np.concatenate([np.array(mouth), way[way[:, 2] < min(mouth[-1][2] - 8, bend[2] + 1)]])
    path = path[path[:, 2] > path[:, 2].min() + g.uniform(0, 30)]
    outer = g.uniform(4.3, 5.8)
    return _hose(path, outer, 0.74 * outer, g.uniform(60, 300), -1000.0, g.uniform(700, 2000)) if len(path) > 2 else []


def _nasogastric(ways: Passages, g: np.random.Generator) -> list[Layer]:
    """Behind the soft palate, along the back wall of the pharynx, down the gullet."""
    if len(ways.gullet) < 3 or not len(ways.pharynx):
        return []
    aside = np.array([g.uniform(-3, 3), 0, 0])
    upper = ways.pharynx[ways.pharynx[:, 2] > ways.gullet[0, 2] + 4] + aside
    nose = np.zeros((0, 3))
    if len(upper):
        top = upper[0]
        nose = np.array([top + (g.choice((-8.0, 8.0)), -75.0, 38.0), top + (0, -30.0, 34.0), top + (0, -5.0, 18.0)])
    path = np.concatenate([nose, upper, ways.gullet])
    outer = g.uniform(1.9, 3.0)
    lumen = -1000.0 if g.random() < 0.6 else 20.0
    return _hose(path, outer, 0.62 * outer, g.uniform(150, 800), lumen, g.uniform(900, 2500))


def _tracheostomy(ways: Passages, g: np.random.Generator) -> list[Layer]:
    """A bent cannula from the skin above the breastbone into the windpipe, with its flange on the skin."""
    lower = ways.airway[len(ways.airway) // 2 :]
    if len(lower) < 6:
        return []
    n = int(g.integers(1, max(len(lower) // 3, 2)))
    inside, skin = lower[n], ways.skin[len(ways.airway) // 2 + n]
    outside = np.array([skin[0], skin[1] - 6, inside[2] + 8])
    bend = [(1 - t) ** 2 * outside + 2 * t * (1 - t) * (inside + (0, 0, 9)) + t**2 * (inside - (0, 0, 6))
            for t in np.linspace(0, 1, 7)]
    run = lower[n:][lower[n:, 2] < inside[2] - 8]
    path = np.concatenate([np.array(bend), run[run[:, 2] > inside[2] - g.uniform(35, 55)]])
    outer = g.uniform(4.8, 6.3)
    flange = np.array([(skin[0] + x, skin[1] - 2 + 0.004 * x * x, inside[2] + 8) for x in (-32, -16, 0, 16, 32)])
    wall = g.uniform(100, 500)
    tall = tuple(Tube(flange + (0, 0, rise), 1.6) for rise in (-7, -4, -1, 2, 5))
    return [Layer(wall, tall), *_hose(path, outer, 0.74 * outer, wall, -1000.0, None)]


def _venous(ways: Passages, g: np.random.Generator) -> list[Layer]:
    """One or two thin catheters through the skin into a jugular vein and down."""
    way = ways.veins[str(g.choice(("left", "right")))]
    if len(way) < 8:
        return []
    n = int(g.integers(len(way) // 4, len(way) // 2))
    entry, side = way[n], np.sign(way[n, 0]) or 1.0
    outside = np.array([entry + (side * 45, -22, 40), entry + (side * 26, -16, 22), entry + (side * 8, -5, 8)])
    path, outer = np.concatenate([outside, way[n:]]), g.uniform(0.9, 1.9)
    return [Layer(g.uniform(400, 2200), (Tube(path, outer),))]


def draw_tubes(neck: Neck, pose: Pose, generator: np.random.Generator) -> tuple[list[Layer], list[dict]]:
    """One patient's tubes, in the soft tissue at rest, and what was drawn."""
    g, ways = generator, find_passages(neck)
    chances = {"endotracheal tube": 0.7, "nasogastric tube": 0.6, "tracheostomy": 0.3, "central venous catheter": 0.35}
    drawn = {name: g.random() < chance for name, chance in chances.items()}
    drawn["tracheostomy"] &= not drawn["endotracheal tube"]
    layers: list[Layer] = []
    record = []
    for name in (name for name in chances if drawn[name]):
        if name == "endotracheal tube":
            found = _endotracheal(neck, ways, g)
        elif name == "nasogastric tube":
            found = _nasogastric(ways, g)
        else:
            found = (_tracheostomy if name == "tracheostomy" else _venous)(ways, g)
        if found:
            layers += found
            record.append({"kind": name})
    return layers, record
