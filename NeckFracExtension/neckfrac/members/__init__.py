"""The members of the fracture ensemble, one a module: the step that a bundle names is the name of its module.

A module of this package is all that NeckFrac needs to know of a kind of member; `bundles.steps` lists them.

    TITLE: str                            what it does, in a line
    predict(segmented, network, *, device, progress, **settings) -> MemberPrediction
    data_format(network_config) -> dict   the network's tensors in MONAI's terms
    explain(segmented, network, *, levels, method, device, progress, **settings) -> LevelHeat   optional: saliency
    HAS_HEATMAP = False                   optional: `explain` has no heat map of the network's own
    IN_BATCHES = True                     optional: takes `batch`, how many images at a time

segmented: `pipeline.segment.Segmented`. settings: the bundle's own, see `pipeline.engine.Networks.arguments`.
"""

from __future__ import annotations

from ..bundles.steps import member_module
from ..options import HEATMAP
from ._prediction import LevelHeat, MemberPrediction

__all__ = ["LevelHeat", "MemberPrediction", "can_explain", "member_module", "takes_batches"]


def takes_batches(step: str) -> bool:
    """Whether members of a step show their network many images at a time."""
    return getattr(member_module(step), "IN_BATCHES", False)


def can_explain(step: str, method: str) -> bool:
    """Whether members of a step can be explained by a method of `options.EXPLANATIONS`."""
    module = member_module(step)
    return hasattr(module, "explain") and (method != HEATMAP or getattr(module, "HAS_HEATMAP", True))
