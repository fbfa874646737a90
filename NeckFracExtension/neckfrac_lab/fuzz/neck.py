"""A neck of few shapes with the values and the noise of a CT, and where it lies: the truth of every mutation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

SHAPE, SPACING, ORIGIN = (12, 32, 36), (4.0, 3.5, 3.25), (-57.0, -49.0, 21.0)  # [z, y, x]; mm z, y, x; mm x, y, z


def neck_hu(
    *, seed: int = 0, noise: float = 15.0, air: bool = True, padding: float | None = None, shape=(24, 56, 56)
) -> np.ndarray:
    """HU as float32 [z, y, x]: a round neck of fat and muscle with a spine and an airway, in air.

    No two of its sides are alike, so that a flip shows. air: False gives a crop without any. padding: the value
    outside a round field of view.
    """
    generator = np.random.default_rng(seed)
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape[1:]), indexing="ij")
    away = np.hypot(y, x * 0.9)
    plane = np.where(away < 0.62, 55.0, np.where(away < 0.75, -100.0, -1000.0))
    plane[np.hypot(y + 0.35, x) < 0.1] = -1000
    plane[np.hypot(y + 0.2, x - 0.4) < 0.08] = 180  # a vessel on the patient's left
    spine = np.hypot(y - 0.05, x) < 0.2
    plane[spine] = 250
    plane[spine & (np.hypot(y - 0.05, x) > 0.15)] = 800
    if not air:
        plane[plane < -500] = -100
    hu = np.repeat(plane[None], shape[0], axis=0)
    corner = hu[shape[0] * 3 // 4 :, shape[1] // 2 :, : shape[2] // 3]
    corner[corner > 0] = 90
    hu = hu + generator.normal(0, noise, hu.shape)
    if padding is not None:
        hu[:, np.hypot(y, x) > 0.95] = padding
    return hu.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Truth:
    """What a reader must see, or warn. voxels: int16 HU [z, y, x], axes along L, P, S. affine: 4x4 to LPS mm.

    may_differ: voxels whose values no reader can know to be wrong (bytes flipped where nothing checks them).
    """

    voxels: np.ndarray
    affine: np.ndarray
    may_differ: int = 0


@lru_cache(maxsize=8)
def truth(seed: int) -> Truth:
    """A small neck at an uneven place."""
    affine = np.diag([*SPACING[::-1], 1.0])
    affine[:3, 3] = ORIGIN
    hu = np.clip(np.rint(neck_hu(seed=seed, shape=SHAPE)), -1024, 3071).astype(np.int16)
    return Truth(hu, affine)
