"""A neck of few shapes with the values and the noise of a CT: for what is judged by its values."""

from __future__ import annotations

import numpy as np


def neck_hu(
    *, seed: int = 0, noise: float = 15.0, air: bool = True, padding: float | None = None, shape=(24, 56, 56)
) -> np.ndarray:
    """HU as float32 [z, y, x]: a round neck of fat and muscle with a spine and an airway, in air.

    air: False gives a crop without any. padding: the value outside a round field of view.
    """
    generator = np.random.default_rng(seed)
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape[1:]), indexing="ij")
    away = np.hypot(y, x * 0.9)
    plane = np.where(away < 0.62, 55.0, np.where(away < 0.75, -100.0, -1000.0))
    plane[np.hypot(y + 0.35, x) < 0.1] = -1000
    spine = np.hypot(y - 0.05, x) < 0.2
    plane[spine] = 250
    plane[spine & (np.hypot(y - 0.05, x) > 0.15)] = 800
    if not air:
        plane[plane < -500] = -100
    hu = np.repeat(plane[None], shape[0], axis=0)
    hu = hu + generator.normal(0, noise, hu.shape)
    if padding is not None:
        hu[:, np.hypot(y, x) > 0.95] = padding
    return hu.astype(np.float32)
