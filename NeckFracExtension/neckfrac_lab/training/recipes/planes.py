"""Axial, sagittal and coronal views of a vertebra, bone and soft tissue, its mask as a channel."""

from __future__ import annotations

from neckfrac.pipeline.intensity import TISSUE_AND_BONE

from ..loop import Schedule
from ..plane_patches import plane_patch_batches, plane_patch_loss
from ..samples import vertebra_sample
from ..task import Task, TrainingPhase, WeightInitialisation
from ..three_planes import PLANE_ROWS, PLANE_SIZE, PLANE_TISSUE, PLANE_VIEWS, plane_batches, plane_loss

TASK = Task(
    "planes",
    "planes",
    "neckfrac-three-planes",
    "vertebrae",
    vertebra_sample,
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
)
