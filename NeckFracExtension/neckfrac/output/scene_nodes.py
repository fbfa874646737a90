"""The nodes that a result is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class SceneNodes:
    """The nodes that `populate_scene` made (or was given, for the volume)."""

    volume: Any = None
    segmentation: Any = None
    heat: Any = None
    table: Any = None
    text: Any = None
    rois: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, Any] = field(default_factory=dict)

    def all(self) -> list[Any]:
        nodes = [self.volume, self.segmentation, self.heat, self.table, self.text, *self.rois.values()]
        nodes += self.lines.values()
        return [node for node in nodes if node is not None]
