"""3D U-Net that says of every voxel of the spine whether a fracture passes there; no mask goes in."""

from __future__ import annotations

from ..dense import dense_batches, dense_loss, small_dense_batches
from ..dense_samples import dense_sample
from ..loop import Schedule
from ..task import Task, TrainingPhase

TASK = Task(
    "dense",
    "dense",
    "neckfrac-dense",
    "dense",
    dense_sample,
    {"_target_": "neckfrac.networks.dense_unet.DenseUNet"},
    {"spacing_mm": [1.0, 0.6, 0.6]},
    Schedule(steps=12000, learning_rate=3e-3, warm_up=200, measure_every=1000),
    dense_batches,
    dense_loss,
    "3D U-Net that says of every voxel of the spine whether a fracture passes there; no mask goes in.",
    first=TrainingPhase(0.75, small_dense_batches, dense_loss),
)
