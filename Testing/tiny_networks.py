"""A folder of real bundles whose networks are tiny and know nothing: random weights from a seed."""

from __future__ import annotations

from pathlib import Path

import torch
from neckfrac.anatomy import LEVEL_NAMES, N_CLASSES
from neckfrac.bundles.bundle import build_network, save_bundle
from neckfrac.pipeline.combine import OPERATING_POINTS, PATIENT, Ensemble, Member
from neckfrac.pipeline.intensity import BONE_WINDOW, TISSUE_AND_BONE

NETWORKS = "neckfrac.networks."
CHANNELS = [8, 8, 8, 8]
BUNDLES = {
    "locate": (
        {"_target_": NETWORKS + "locate_unet.LocateUNet", "n_classes": N_CLASSES, "channels": CHANNELS},
        {**TISSUE_AND_BONE.to_dict(), "spacing_mm": [2.0, 2.0, 2.0], "window": [32, 32, 32]},
    ),
    "segment": (
        {"_target_": NETWORKS + "segment_unet.SegmentUNet", "neighbours": 1, "channels": CHANNELS},
        {**TISSUE_AND_BONE.to_dict(), "spacing_mm": [1.0, 0.6, 0.6], "window": 80, "neighbours": 1},
    ),
    "slices": (
        {"_target_": NETWORKS + "slice_classifier.ModelOne", "size": 32},
        {**BONE_WINDOW.to_dict(), "field": 64, "size": 32, "step": 6},
    ),
    "vertebrae": (
        {"_target_": NETWORKS + "vertebra_sequence.VertebraSequence", "widths": CHANNELS, "hidden": 8},
        {**TISSUE_AND_BONE.to_dict(), "slices": 4, "size": 64},
    ),
}
# Members that are only written when they are asked for.
OTHERS = {
    "planes": (
        {"_target_": NETWORKS + "three_planes.ThreePlanes", "widths": CHANNELS, "hidden": 8, "views": 3},
        {**TISSUE_AND_BONE.to_dict(), "tissue": [-100.0, 250.0], "views": 3, "size": 64, "rows": 48},
    ),
    "sagittal": (
        {"_target_": NETWORKS + "sagittal_nine.SagittalNine", "widths": CHANNELS, "heat_channels": 8, "hidden": 8},
        TISSUE_AND_BONE.to_dict(),
    ),
    "dense": ({"_target_": NETWORKS + "dense_unet.DenseUNet", "channels": CHANNELS}, {"spacing_mm": [1.0, 0.6, 0.6]}),
}
THRESHOLDS = dict(zip(OPERATING_POINTS, (0.001, 0.5, 0.999), strict=True))


def write_models(folder: Path, seed: int = 0, others: tuple[str, ...] = ()) -> Path:
    """The four bundles ``tiny-STEP`` and ensemble.json in `folder`; every threshold as in THRESHOLDS.

    others: further members (keys of OTHERS) to write; ensemble.json does not name them.
    """
    for step, (network_config, preprocessing) in {**BUNDLES, **{step: OTHERS[step] for step in others}}.items():
        torch.manual_seed(seed)
        save_bundle(
            folder / f"tiny-{step}",
            name=f"tiny-{step}",
            version="0.0.1",
            step=step,
            network=build_network(network_config),
            network_config=network_config,
            preprocessing=preprocessing,
            metadata={"description": "Random weights.", "neckfrac": {"trained_on": "nothing"}},
            half=False,
        )
    Ensemble(
        levels={"tiny-slices": Member(0.4), "tiny-vertebrae": Member(0.6)},
        patient={"tiny-slices": Member(0.5), "levels": Member(0.5)},
        thresholds={
            point: dict.fromkeys((*LEVEL_NAMES, PATIENT), threshold) for point, threshold in THRESHOLDS.items()
        },
        measured={},
    ).write(folder / "ensemble.json")
    return folder
