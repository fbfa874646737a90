"""Which simulated fractures can be seen at all: what they change in the scan, against the scan's noise.

A hairline of 0.3 mm in slices of 5 mm is in the truth and in no voxel. Figures over all fractures and over those that
can be seen stand side by side. The rule was fixed before any result was looked at by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from neckfrac.anatomy import LEVELS

if TYPE_CHECKING:
    from neckfrac_lab.simulate.study import SimulatedStudy

SMOOTHED = 3  # voxels along each axis over which a difference is averaged: a reader sees no single voxel
SHARE = 0.9  # quantile of the difference within a level's truth: its clearest tenth
LEAST_CONTRAST = 60.0  # HU
LEAST_TO_NOISE = 1.0  # of the noise's standard deviation; averaging takes a third to a fifth of it
LEAST_VOXELS = 11  # of truth, below which nothing is seen
SEEN, UNSEEN = "can be seen", "can't be seen"


def visibility(fractured: SimulatedStudy, intact: SimulatedStudy) -> dict[str, str]:
    """SEEN or UNSEEN of each fractured level; intact: the same person, pose, scanner and noise without fractures.

    Seen is what differs from the intact scan, averaged over SMOOTHED voxels, by LEAST_CONTRAST and by LEAST_TO_NOISE
    times the noise in its clearest tenth.
    """
    from scipy import ndimage

    from neckfrac_lab.simulate.scanner import Scanner, noise_level

    difference = fractured.volume.voxels.astype(np.float32) - intact.volume.voxels
    difference = np.abs(ndimage.uniform_filter(difference, SMOOTHED))
    noise = noise_level(Scanner(**fractured.truth["scanner"]), tuple(fractured.volume.spacing))
    least, result = max(LEAST_CONTRAST, LEAST_TO_NOISE * noise), {}
    for level, place in zip(LEVELS, ndimage.find_objects(fractured.fracture, max_label=len(LEVELS)), strict=True):
        if place is None:
            continue
        there = difference[place][fractured.fracture[place] == level.label]
        clear = len(there) >= LEAST_VOXELS and float(np.quantile(there, SHARE)) >= least
        result[level.name] = SEEN if clear else UNSEEN
    return result
