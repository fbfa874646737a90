"""What a scanner sees besides a body: implants, tubes, gas where none belongs, things worn or lain on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..neck import Neck
from ..noise import SmoothNoise
from ..pose import Pose, Variation
from ..tissue import Tissue
from .implants import Site, disc_place, draw_implants
from .parts import Block, Layer, Pockets, Scene
from .tubes import draw_tubes
from .worn import draw_arms, draw_bolus, draw_jewellery, draw_leads, draw_wraps


@dataclass(frozen=True, eq=False)
class Hardware:
    """Layers in the order in which they are painted, and a JSON-ready record of what was drawn.

    metal: whether any of it is dense enough to throw streaks.
    """

    layers: tuple[Layer, ...] = ()
    record: tuple[dict, ...] = ()

    @property
    def metal(self) -> bool:
        return any(layer.hu > 2500 for layer in self.layers)

    def paint(self, scene: Scene) -> None:
        """Put everything into the scene's HU, in place. Labels of bone stay as they are."""
        for layer in self.layers:
            layer.paint(scene)


def _free_air(neck: Neck, pose: Pose, g: np.random.Generator) -> tuple[list[Layer], list[dict]]:
    """Gas in fascial planes, before the spine, or in discs."""
    site, layers, record = Site(neck, pose), [], []
    kind = str(g.choice(("emphysema", "retropharyngeal air", "vacuum disc"), p=(0.45, 0.25, 0.3)))
    names = [name for name in site.levels if name.startswith("C") and name != "C1"]
    if kind == "emphysema":
        level = neck.frames[str(g.choice(names))]
        center = np.array(level.center) + (g.uniform(-50, 50), g.uniform(-55, 45), g.uniform(-25, 15))
        fields = SmoothNoise.draw(g, float(g.uniform(9, 16))), SmoothNoise.draw(g, 18.0)
        radius = float(g.uniform(25, 75))
        pockets = Pockets(tuple(center), radius, *fields, thickness=float(g.uniform(0.8, 2.4)))
        layers.append(Layer(-990.0, (pockets,), spares_bone=True))
        record.append({"kind": kind, "radius_mm": radius})
    elif kind == "retropharyngeal air":
        levels, parts = site.run(g, 2, 5, "C2", "C7"), []
        width, thick, aside = g.uniform(3, 12), g.uniform(0.6, 2.5), g.uniform(-6, 6)
        for level in levels:
            _, depth, height = site.half(level)
            axes = site.axes(level)
            middle = site.at(level, (0, 0, 0)) + axes.T @ np.array([aside, -depth - 3.0 - thick, 0.0])
            half = (width * g.uniform(0.6, 1.2), thick * g.uniform(0.5, 1.2), height * g.uniform(1.0, 1.7))
            parts.append(Block(middle, axes, half, round=True))
        layers.append(Layer(-990.0, tuple(parts), spares_bone=True))
        record.append({"kind": kind, "levels": levels})
    else:
        levels = site.run(g, 2, 4, "C2", "C7")
        for upper, lower in zip(levels[:-1], levels[1:], strict=True):
            center, axes, gap = disc_place(site, upper, lower)
            middle = center + axes.T @ np.array([g.uniform(-3, 3), g.uniform(-4, 3), 0.0])
            half = (g.uniform(2, 6), g.uniform(2, 5), min(g.uniform(0.5, 1.3), gap))
            gas = Block(middle, axes, half, round=True)
            layers.append(Layer(float(g.uniform(-990, -400)), (gas,), spares_bone=True))
        record.append({"kind": kind, "levels": levels})
    return layers, record


def draw_hardware(
    neck: Neck, pose: Pose, tissue: Tissue, variation: Variation, generator: np.random.Generator
) -> Hardware:
    """What one patient carries and wears; the same generator state gives the same."""
    v, layers, record = variation, [], []
    if "C3" not in pose.links or "C7" not in pose.links:
        # Other parts of the spine are simulated bare.
        return Hardware()
    enhanced = tissue.truth()["carotid_hu"] > 100
    draws = (
        (v.implant_chance, draw_implants), (v.tube_chance, draw_tubes), (v.free_air_chance, _free_air),
        (v.bolus_chance if enhanced else 0.0, draw_bolus), (v.jewellery_chance, draw_jewellery),
        (v.lead_chance, draw_leads), (v.arms_chance, draw_arms), (v.wrap_chance, draw_wraps),
    )
    # Each kind has a stream of its own: drawing one never changes another.
    for (chance, draw), stream in zip(draws, generator.spawn(len(draws)), strict=True):
        if stream.random() < chance:
            found, lines = draw(neck, pose, stream)
            layers += found
            record += lines
    return Hardware(tuple(layers), tuple(record))
