"""A training sample of one vertebra as the pipeline would hand it to the members of the ensemble."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from neckfrac.pipeline.segment import Segmented

    from neckfrac_lab.training.cache import Sample


def segmented_from(sample: Sample, mask: np.ndarray) -> Segmented:
    """A `vertebra_sample` segmented: nothing but its own vertebra, whose outline is `mask` (bool [z, y, x])."""
    from neckfrac.pipeline.grids import FINE_SPACING, Lattice
    from neckfrac.pipeline.segment import Segmented

    labels = mask * np.uint8(sample["level"])
    lattice = Lattice(labels.shape, FINE_SPACING, (0.0, 0.0, 0.0))
    corners = np.zeros((len(labels), 2), int)
    return Segmented(sample["hu"], labels, labels, labels, lattice, corners, labels.shape[1])
