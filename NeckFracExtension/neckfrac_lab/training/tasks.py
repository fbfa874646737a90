"""The networks that can be trained: each one's batches, loss, schedule and bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from neckfrac.anatomy import N_CLASSES
from neckfrac.pipeline.intensity import BONE_WINDOW, TISSUE_AND_BONE
from torch import nn

from .batches import Batch
from .dense import dense_batches, dense_loss, small_dense_batches
from .locating import locate_batches, locate_loss
from .loop import Schedule
from .patches import patch_batches, patch_loss
from .plane_patches import plane_patch_batches, plane_patch_loss
from .sagittal import sagittal_batches, sagittal_loss
from .samples import LOCATE_PATCH
from .segmenting import NEIGHBOURS, WINDOW, segment_batches, segment_loss
from .slices import (
    SLICE_FIELD,
    SLICE_SIZE,
    begin_alike,
    slice_batches,
    slice_loss,
    slice_patch_batches,
    slice_patch_loss,
)
from .three_planes import PLANE_ROWS, PLANE_SIZE, PLANE_TISSUE, PLANE_VIEWS, plane_batches, plane_loss
from .vertebrae import VERTEBRA_SIZE, VERTEBRA_SLICES, vertebra_batches, vertebra_loss


@dataclass(frozen=True)
class TrainingPhase:
    """What a network learns first, for a share of its schedule's steps. then: what is done to it before it goes on."""

    share: float
    batches: Callable[[list[Path], np.random.Generator], Iterator[Batch]]
    loss: Callable[[nn.Module, Batch], torch.Tensor]
    then: Callable[[nn.Module], None] | None = None


@dataclass(frozen=True)
class WeightInitialisation:
    """What a network starts with: the parts of another task's network whose names begin so, where they fit.

    channels: for each input channel of this network, the other's channels whose weights add up to its own; without
    them a first layer that takes other channels starts from nothing.
    """

    task: str
    parts: tuple[str, ...]
    channels: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Task:
    """All that is needed to train one network and to write its bundle.

    network: bundle config with its ``_target_``. batches(paths, generator) yields without end.
    """

    name: str
    step: str
    bundle: str
    cache: str  # a kind of train.CACHES
    network: dict[str, Any]
    preprocessing: dict[str, Any]
    schedule: Schedule
    batches: Callable[[list[Path], np.random.Generator], Iterator[Batch]]
    loss: Callable[[nn.Module, Batch], torch.Tensor]
    description: str
    first: TrainingPhase | None = None
    begins_as: WeightInitialisation | None = None


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "locate",
            "locate",
            "neckfrac-locate",
            "locate",
            {"_target_": "neckfrac.networks.locate_unet.LocateUNet", "n_classes": N_CLASSES},
            {**TISSUE_AND_BONE.to_dict(), "spacing_mm": [2.0, 2.0, 2.0], "window": list(LOCATE_PATCH)},
            Schedule(steps=8000, learning_rate=2e-3, warm_up=200),
            locate_batches,
            locate_loss,
            "3D U-Net that finds C1 to C7 on a 2 mm grid of the whole scan.",
        ),
        Task(
            "segment",
            "segment",
            "neckfrac-segment",
            "slabs",
            {"_target_": "neckfrac.networks.segment_unet.SegmentUNet", "neighbours": NEIGHBOURS,
             "n_prior": N_CLASSES, "n_classes": N_CLASSES, "channels": [48, 96, 128, 192]},
            {
                **TISSUE_AND_BONE.to_dict(),
                "spacing_mm": [1.0, 0.6, 0.6],
                "window": WINDOW,
                "neighbours": NEIGHBOURS,
            },
            Schedule(steps=8000, learning_rate=2e-3, warm_up=200),
            segment_batches,
            segment_loss,
            "2.5D U-Net that segments C1 to C7, a slice with its neighbours and the located levels.",
        ),
        Task(
            "model1",
            "slices",
            "neckfrac-model-one",
            "vertebrae",
            {"_target_": "neckfrac.networks.slice_classifier.ModelOne"},
            {**BONE_WINDOW.to_dict(), "field": SLICE_FIELD, "size": SLICE_SIZE, "step": 4},
            Schedule(steps=4000, learning_rate=2e-3, warm_up=200),
            slice_batches,
            slice_loss,
            "Model I: eight EfficientNets on axial slices, for the patient and C1 to C7.",
            first=TrainingPhase(0.925, slice_patch_batches, slice_patch_loss, then=begin_alike),
        ),
        Task(
            "model2",
            "vertebrae",
            "neckfrac-model-two",
            "vertebrae",
            {"_target_": "neckfrac.networks.vertebra_sequence.VertebraSequence", "slices": VERTEBRA_SLICES,
             "widths": [16, 32, 64, 128]},
            {**TISSUE_AND_BONE.to_dict(), "slices": VERTEBRA_SLICES, "size": VERTEBRA_SIZE},
            Schedule(steps=4400, learning_rate=2e-3, warm_up=200),
            vertebra_batches,
            vertebra_loss,
            "Model II: ResNet and bidirectional GRU over a vertebra's slices, its mask as a channel.",
            first=TrainingPhase(0.75, patch_batches, patch_loss),
        ),
        Task(
            "planes",
            "planes",
            "neckfrac-three-planes",
            "vertebrae",
            {"_target_": "neckfrac.networks.three_planes.ThreePlanes", "views": PLANE_VIEWS},
            {**TISSUE_AND_BONE.to_dict(), "tissue": list(PLANE_TISSUE), "views": PLANE_VIEWS, "size": PLANE_SIZE,
             "rows": PLANE_ROWS},
            Schedule(steps=5600, learning_rate=1.5e-3, warm_up=100),
            plane_batches,
            plane_loss,
            "Axial, sagittal and coronal views of a vertebra, bone and soft tissue, its mask as a channel.",
            first=TrainingPhase(0.75, plane_patch_batches, plane_patch_loss),
            # Model II sees a slice, both its neighbours and the mask; here it is a slice, soft tissue and the mask.
            begins_as=WeightInitialisation("model2", ("encoder.", "heat."), ((0, 1, 2), (), (3,))),
        ),
        Task(
            "sagittal",
            "sagittal",
            "neckfrac-sagittal-nine",
            "sagittal",
            {"_target_": "neckfrac.networks.sagittal_nine.SagittalNine"},
            TISSUE_AND_BONE.to_dict(),
            Schedule(steps=900, learning_rate=1e-3, warm_up=100),
            sagittal_batches,
            sagittal_loss,
            "Nine sagittal images of the neck, for the patient and C1 to C7: small and fast.",
            # Here it is a slice and the masks of all levels; nothing shows soft tissue by itself.
            begins_as=WeightInitialisation("planes", ("encoder.", "heat."), ((0,), (2,))),
        ),
        Task(
            "dense",
            "dense",
            "neckfrac-dense",
            "dense",
            {"_target_": "neckfrac.networks.dense_unet.DenseUNet"},
            {"spacing_mm": [1.0, 0.6, 0.6]},
            Schedule(steps=12000, learning_rate=3e-3, warm_up=200, measure_every=1000),
            dense_batches,
            dense_loss,
            "3D U-Net that says of every voxel of the spine whether a fracture passes there; no mask goes in.",
            first=TrainingPhase(0.75, small_dense_batches, dense_loss),
        ),
    )
}
