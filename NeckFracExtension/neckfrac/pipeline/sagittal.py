"""Nine sagittal images of the neck, and what the member that looks at them says of patient and levels."""

from __future__ import annotations

import numpy as np
import torch

from ..anatomy import LEVEL_NAMES, N_LEVELS
from ..progress import Progress
from ..volume import CTVolume
from .classify import Opinion
from .device import reduced_precision
from .grids import AIR, Lattice, resample
from .intensity import Intensity
from .segment import Segmented

PLANES, ROWS, COLUMNS = 9, 176, 128
PLANE_GAP = 4.0  # mm from one plane to the next; rows (z) and columns (y) are 1 mm
MARGIN = 12  # mm around the levels that are shown; what lies beyond is blank, in training too
LEAST_CELLS = 60  # voxels of a level in the nine images (0.24 ml) below which they say nothing of it


def lattice_of_planes(segmented: Segmented) -> Lattice:
    """Where the nine images lie: z, y, and across (one plane a voxel), about the middle of the segmented levels.

    The levels' labels must hold a voxel.
    """
    places = np.argwhere(segmented.labels)
    middle = (places.min(axis=0) + places.max(axis=0)) / 2
    # Across, where most of the bone is: one long transverse process must not move the planes.
    middle[2] = np.median(places[:, 2])
    shape, spacing = (ROWS, COLUMNS, PLANES), (1.0, 1.0, PLANE_GAP)
    half = (np.array(shape[::-1]) - 1) / 2 * spacing[::-1]
    origin = segmented.lattice.to_points(middle) - half
    return Lattice(shape, spacing, tuple(float(value) for value in origin))


def nine_planes(segmented: Segmented) -> tuple[np.ndarray, np.ndarray]:
    """int16 HU and uint8 labels [PLANES, ROWS, COLUMNS] on `lattice_of_planes`; right side first."""
    lattice, affine = lattice_of_planes(segmented), segmented.lattice.affine
    hu = resample(CTVolume(segmented.hu, affine), lattice, sharp=True)
    labels = resample(CTVolume(segmented.labels, affine), lattice, nearest=True, fill=0)
    return tuple(np.ascontiguousarray(np.moveaxis(part, 2, 0)) for part in (hu, labels))


def shown(hu: np.ndarray, labels: np.ndarray, margin: int = MARGIN) -> np.ndarray:
    """The nine images' HU [planes, z, y] with air wherever no level is within `margin` rows and columns."""
    result = np.full_like(hu, AIR)
    places = np.argwhere(labels > 0)
    if len(places):
        low = np.maximum(places.min(axis=0) - margin, 0)
        high = places.max(axis=0) + margin + 1
        box = (slice(None), *(slice(a, b) for a, b in zip(low[1:], high[1:], strict=True)))
        result[box] = hu[box]
    return result


@torch.inference_mode()
def classify_sagittal(
    segmented: Segmented,
    network: torch.nn.Module,
    *,
    intensity: Intensity,
    device: torch.device,
    progress: Progress,
) -> Opinion:
    """Patient and levels from nine sagittal images: fast, coarse, and blind to what lies far to the sides."""
    progress.step(0.0)
    if not segmented.labels.any():
        return Opinion({})
    hu, labels = nine_planes(segmented)
    counts = np.bincount(labels.ravel(), minlength=N_LEVELS + 1)
    images = intensity(torch.from_numpy(shown(hu, labels)))[None].to(device)
    with reduced_precision(device):
        output = network(images, torch.from_numpy(labels).long()[None].to(device))
    said = output["logits"][0].float().sigmoid().cpu().numpy()
    levels = {name: float(said[n]) for n, name in enumerate(LEVEL_NAMES, start=1) if counts[n] >= LEAST_CELLS}
    return Opinion(levels, float(said[0]) if levels else None)
