"""Model I: eight EfficientNets on axial slices, for the patient and C1 to C7."""

from __future__ import annotations

from neckfrac.pipeline.intensity import BONE_WINDOW

from ..loop import Schedule
from ..samples import vertebra_sample
from ..slices import (
    SLICE_FIELD,
    SLICE_SIZE,
    begin_alike,
    slice_batches,
    slice_loss,
    slice_patch_batches,
    slice_patch_loss,
)
from ..task import Task, TrainingPhase

TASK = Task(
    "model1",
    "slices",
    "neckfrac-model-one",
    "vertebrae",
    vertebra_sample,
    {"_target_": "neckfrac.networks.slice_classifier.ModelOne"},
    {**BONE_WINDOW.to_dict(), "field": SLICE_FIELD, "size": SLICE_SIZE, "step": 4},
    Schedule(steps=4000, learning_rate=2e-3, warm_up=200),
    slice_batches,
    slice_loss,
    "Model I: eight EfficientNets on axial slices, for the patient and C1 to C7.",
    first=TrainingPhase(0.925, slice_patch_batches, slice_patch_loss, then=begin_alike),
)
