"""2.5D U-Net that segments C1 to C7, a slice with its neighbours and the located levels."""

from __future__ import annotations

from neckfrac.anatomy import N_CLASSES
from neckfrac.pipeline.intensity import TISSUE_AND_BONE

from ..loop import Schedule
from ..samples import slab_sample
from ..segmenting import NEIGHBOURS, WINDOW, segment_batches, segment_loss
from ..task import Task

TASK = Task(
    "segment",
    "segment",
    "neckfrac-segment",
    "slabs",
    slab_sample,
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
)
