"""Nine sagittal images of the neck, for the patient and C1 to C7: small and fast."""

from __future__ import annotations

from neckfrac.pipeline.intensity import TISSUE_AND_BONE

from ..loop import Schedule
from ..sagittal import sagittal_batches, sagittal_loss, sagittal_sample
from ..task import Task, WeightInitialisation

TASK = Task(
    "sagittal",
    "sagittal",
    "neckfrac-sagittal-nine",
    "sagittal",
    sagittal_sample,
    {"_target_": "neckfrac.networks.sagittal_nine.SagittalNine"},
    TISSUE_AND_BONE.to_dict(),
    Schedule(steps=900, learning_rate=1e-3, warm_up=100),
    sagittal_batches,
    sagittal_loss,
    "Nine sagittal images of the neck, for the patient and C1 to C7: small and fast.",
    # Here it is a slice and the masks of all levels; nothing shows soft tissue by itself.
    begins_as=WeightInitialisation("planes", ("encoder.", "heat."), ((0,), (2,))),
)
