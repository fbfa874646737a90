"""Simulated fractured vertebrae to explain, what of them is the fracture, and what deleting voxels makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.errors import InputError

from .samples import segmented_from

if TYPE_CHECKING:
    from neckfrac.pipeline.segment import Segmented

    from neckfrac_lab.training.cache import Sample
    from neckfrac_lab.training.samples import Necks

FIRST_SEED = 7_000_000  # far from every seed of training
TOLERANCE = 3.0  # mm around the true fracture that still count as on it
SMEARED = 3.0  # mm: deleted voxels get the mean about them, so that detail goes and no new edge comes
PATCH = 4.0  # mm: about the size of the patches that are deleted as a control


@dataclass(frozen=True, eq=False)
class Vertebra:
    """A simulated vertebra on the fine grid, as the pipeline segments it. fracture: bool [z, y, x], none when whole."""

    name: str
    segmented: Segmented
    fracture: np.ndarray
    kind: str
    severity: float

    @property
    def mask(self) -> np.ndarray:
        return self.segmented.of(self.name)

    @property
    def fractured(self) -> bool:
        from neckfrac_lab.training.vertebrae import LEAST_TRUTH

        return int(self.fracture.sum()) >= LEAST_TRUTH


def vertebra_from(sample: Sample) -> Vertebra:
    """A `vertebra_sample` with the true mask in place of a segmented one, and no vertebra but its own."""
    label = int(sample["level"])
    segmented = segmented_from(sample, sample["labels"] == label)
    return Vertebra(
        LEVEL_NAMES[label - 1], segmented, sample["fracture"] == label, str(sample["kind"]), float(sample["severity"])
    )


def simulated(necks: Necks, seed: int = 0) -> Iterator[tuple[Vertebra, Vertebra]]:
    """Simulated vertebrae that no training saw, each broken and then whole: the same person, pose and scan."""
    from neckfrac_lab.training.samples import vertebra_sample

    first = FIRST_SEED + 100_000 * seed
    while True:
        yield vertebra_from(vertebra_sample(necks, first + 1)), vertebra_from(vertebra_sample(necks, first))
        first += 2


def cached(folder: Path) -> Iterator[tuple[Vertebra, Vertebra]]:
    """The same from a cache's samples that training holds out. Raises InputError for a folder without any."""
    from neckfrac_lab.training.cache import SampleCache

    if not folder.is_dir():
        raise InputError("There is no such folder of samples.", where=folder, advice="Leave --cache out.")
    paths = {int(path.stem): path for path in SampleCache(folder).paths(held_out=True)}
    seeds = [seed for seed in paths if seed % 2 and seed - 1 in paths]
    if not seeds:
        raise InputError("The folder holds no pairs of samples.", where=folder, advice="Leave --cache out.")
    for seed in seeds:
        yield tuple(vertebra_from(SampleCache.load(paths[one])) for one in (seed, seed - 1))


def on_fracture(fracture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Masks [z, y, x] of what lies within TOLERANCE of the fracture, and in its bounding box."""
    from neckfrac.pipeline.grids import FINE_SPACING
    from scipy import ndimage

    box = np.zeros_like(fracture)
    box[ndimage.find_objects(fracture.astype(np.uint8))[0]] = True
    return ndimage.distance_transform_edt(~fracture, sampling=FINE_SPACING) <= TOLERANCE, box


def neighbourhood(vertebra: Vertebra) -> np.ndarray:
    """Where heat of a vertebra may lie: its voxels and what is as near as `explain.level_heat` lets it."""
    from neckfrac.pipeline.localize import REACH
    from scipy import ndimage

    return ndimage.binary_dilation(vertebra.mask, iterations=REACH)


def deleted(hu: np.ndarray, mask: np.ndarray, order: np.ndarray, fraction: float) -> np.ndarray:
    """HU with this fraction of the mask's voxels, those highest in `order`, smeared: the mean of the mask about them.

    Always the same number of voxels, whatever the order; ties fall to the first.
    """
    from neckfrac.pipeline.grids import FINE_SPACING
    from scipy import ndimage

    sigma = SMEARED / np.array(FINE_SPACING)
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma)
    smeared = ndimage.gaussian_filter(np.where(mask, hu, 0).astype(np.float32), sigma) / np.maximum(weight, 1e-6)
    places = np.flatnonzero(mask)
    chosen = places[np.argsort(-order.ravel()[places], kind="stable")[: round(fraction * len(places))]]
    result = hu.copy()
    result.ravel()[chosen] = np.rint(smeared.ravel()[chosen])
    return result


def patchy(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """A random order of voxels in which neighbours come together, as in a heat map: smooth noise."""
    from neckfrac.pipeline.grids import FINE_SPACING
    from scipy import ndimage

    return ndimage.gaussian_filter(generator.standard_normal(shape), PATCH / 2 / np.array(FINE_SPACING))
