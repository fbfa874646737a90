"""A sample of one vertebra, made by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np


def vertebra(broken: bool) -> dict:
    """A sample of one vertebra, C4, as the cache holds it; a break is a dark gap through it."""
    labels = np.zeros((52, 136, 136), np.uint8)
    labels[10:40, 40:90, 40:100] = 4
    fracture = np.zeros_like(labels)
    if broken:
        fracture[20:32, 50:80, 64:74] = 4
    hu = np.where(fracture > 0, 0, np.where(labels > 0, 600, 40)).astype(np.int16)
    return {"hu": hu, "labels": labels, "fracture": fracture, "level": np.int64(4)}


def saved_twins(folder: Path, vertebra: Callable[[bool], dict] = vertebra) -> list[Path]:
    """A whole vertebra and a broken one of the same person, as the cache keeps them."""
    paths = [folder / f"{n:08d}.npz" for n in (2, 3)]
    for path, broken in zip(paths, (False, True), strict=True):
        np.savez(path, **vertebra(broken))
    return paths
