"""Model II: a network over the slices of each vertebra, its mask as a channel; with a heat map."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..anatomy import LEVEL_NAMES
from ..bundles.tensors import finest_stage, heat_map, numbered, tensor
from ..options import HEATMAP
from ..pipeline.crops import vertebra_crop
from ..pipeline.device import reduced_precision
from ..pipeline.intensity import Intensity
from ..pipeline.saliency import Score, saliency
from ..pipeline.segment import Segmented
from ..progress import Progress
from ._levels import MASKS, own_heatmap, present, scaled
from ._prediction import LevelHeat, MemberPrediction

TITLE = "Model II: fracture probability of a vertebra from its slices"


def data_format(network_config: dict[str, Any]) -> dict[str, Any]:
    """The network's tensors in MONAI's terms (channel first, batch left out)."""
    channels = network_config.get("in_channels", 4)
    slices = {**numbered("slice of the vertebra", channels - 1), channels - 1: "mask of the vertebra"}
    image = tensor("image", [network_config.get("slices", 24), "*", "*"], slices)
    prediction = tensor("probabilities", [], {0: "vertebra fractured"}, "classes")
    compact = network_config.get("encoder", "compact") == "compact"
    heat = heat_map(finest_stage(network_config) if compact else "1/4")
    return {"inputs": {"image": image}, "outputs": {"logit": prediction, "heat": heat}}


@torch.inference_mode()
def predict(
    segmented: Segmented,
    network: torch.nn.Module,
    *,
    intensity: Intensity,
    slices: int,
    size: int,
    device: torch.device,
    progress: Progress,
) -> MemberPrediction:
    """Each level's probability and heat map from its own slices."""
    hu = torch.from_numpy(segmented.hu)
    levels: dict[str, float] = {}
    heat: LevelHeat = {}
    for name, mask, _ in present(segmented, LEVEL_NAMES, progress):
        crop = vertebra_crop(hu, torch.from_numpy(mask), slices, size, intensity)
        with reduced_precision(device):
            output = network(crop.images[None].to(device))
        levels[name] = float(output["logit"].float().sigmoid())
        heat[name] = (crop, output["heat"][0].float().sigmoid().cpu().numpy())
    return MemberPrediction(levels, None, heat)


def explain(
    segmented: Segmented, network: nn.Module, *, levels: list[str], method: str, intensity: Intensity,
    slices: int, size: int, device: torch.device, progress: Progress,
) -> LevelHeat:  # fmt: skip
    """Each level's heat on the slices that `predict` shows."""
    hu, heat = torch.from_numpy(segmented.hu), {}
    for name, mask, part in present(segmented, levels, progress):
        crop = vertebra_crop(hu, torch.from_numpy(mask), slices, size, intensity)
        images = crop.images[None].to(device)
        if method == HEATMAP:
            heat[name] = (crop, own_heatmap(network, images))
            continue
        masks = images[:, :, -MASKS:]
        score = Score(network, lambda network, x, masks=masks: network(torch.cat([x, masks], dim=2))["logit"])
        found = saliency(score, images[:, :, :-MASKS], method, progress=part)
        heat[name] = (crop, scaled(found, crop.images[:, -1]))
    return heat
