"""Model II: ResNet and bidirectional GRU over a vertebra's slices, its mask as a channel."""

from __future__ import annotations

from neckfrac.pipeline.intensity import TISSUE_AND_BONE

from ..loop import Schedule
from ..patches import patch_batches, patch_loss
from ..samples import vertebra_sample
from ..task import Task, TrainingPhase
from ..vertebrae import VERTEBRA_SIZE, VERTEBRA_SLICES, vertebra_batches, vertebra_loss

TASK = Task(
    "model2",
    "vertebrae",
    "neckfrac-model-two",
    "vertebrae",
    vertebra_sample,
    {"_target_": "neckfrac.networks.vertebra_sequence.VertebraSequence", "slices": VERTEBRA_SLICES,
     "widths": [16, 32, 64, 128]},
    {**TISSUE_AND_BONE.to_dict(), "slices": VERTEBRA_SLICES, "size": VERTEBRA_SIZE},
    Schedule(steps=4400, learning_rate=2e-3, warm_up=200),
    vertebra_batches,
    vertebra_loss,
    "Model II: ResNet and bidirectional GRU over a vertebra's slices, its mask as a channel.",
    first=TrainingPhase(0.75, patch_batches, patch_loss),
)
