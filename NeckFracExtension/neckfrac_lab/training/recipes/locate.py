"""3D U-Net that finds C1 to C7 on a 2 mm grid of the whole scan."""

from __future__ import annotations

from neckfrac.anatomy import N_CLASSES
from neckfrac.pipeline.intensity import TISSUE_AND_BONE

from ..locating import locate_batches, locate_loss
from ..loop import Schedule
from ..samples import LOCATE_PATCH, locate_sample
from ..task import Task

TASK = Task(
    "locate",
    "locate",
    "neckfrac-locate",
    "locate",
    locate_sample,
    {"_target_": "neckfrac.networks.locate_unet.LocateUNet", "n_classes": N_CLASSES},
    {**TISSUE_AND_BONE.to_dict(), "spacing_mm": [2.0, 2.0, 2.0], "window": list(LOCATE_PATCH)},
    Schedule(steps=8000, learning_rate=2e-3, warm_up=200),
    locate_batches,
    locate_loss,
    "3D U-Net that finds C1 to C7 on a 2 mm grid of the whole scan.",
)
