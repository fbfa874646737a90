"""What all batches share: a sample seen by another scanner, samples in shuffled order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from .cache import Sample, SampleCache

Batch = dict[str, torch.Tensor]


def augment_hu(hu: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A stored sample seen by another scanner: gain, offset and a little noise. int16 HU to float32 HU."""
    hu = hu.astype(np.float32)
    if generator.random() < 0.5:
        # Now and then a scanner whose zero is far off: cone beams and old calibrations.
        offset = generator.uniform(-120, 120) if generator.random() < 0.15 else generator.normal(0, 20)
        hu = (hu + 1024) * np.float32(generator.uniform(0.9, 1.1)) - 1024 + np.float32(offset)
    if generator.random() < 0.3:
        hu = hu + generator.normal(0, generator.uniform(5, 30), hu.shape).astype(np.float32)
    return hu


def between_voxels(hu: np.ndarray, generator: np.random.Generator, axes: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
    """Float HU as the pipeline brings them onto the working grid: interpolated up to half a voxel off, along each axis.

    Samples are simulated on that grid itself, and a line that is a voxel wide is sharper there than in any scan. The
    truth stays where it is.
    """
    for axis in axes:
        shift = np.float32(generator.uniform(-0.5, 0.5))
        hu = (1 - abs(shift)) * hu + abs(shift) * np.roll(hu, 1 if shift > 0 else -1, axis)
    return hu


def grained(hu: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Float HU [z, y, x] with the grain of cancellous bone: blotches of one to four voxels, each axis its own.

    The simulator's bone is smoother than a patient's, and a network that never met grain took it for fractures.
    """
    if generator.random() < 0.15:
        return hu
    share = np.clip((hu - 100) / 200, 0, 1)  # of bone
    for size, most in ((generator.uniform(1.0, 2.0, 3), 240), (generator.uniform(2.0, 4.0, 3), 160)):
        shape = [int(n / s) + 2 for n, s in zip(hu.shape, size, strict=True)]
        coarse = torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))
        blotches = F.interpolate(coarse[None, None], size=hu.shape, mode="trilinear", align_corners=False)[0, 0]
        amplitude = generator.uniform(0, most) / max(float(blotches.std()), 1e-6)
        hu = hu + np.float32(amplitude) * blotches.numpy() * share
    return hu


def augmented(hu: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A stored vertebra's int16 HU as another scan of such a person would show it, on the working grid: float32."""
    return grained(between_voxels(augment_hu(hu, generator), generator), generator)


def matched_pairs(paths: list[Path], generator: np.random.Generator) -> Iterator[list[Path]]:
    """The paths without end, shuffled anew each time round, those of one person (`vertebra_sample`) together."""
    people: dict[int, list[Path]] = {}
    for path in paths:
        people.setdefault(int(path.stem) // 2, []).append(path)
    groups = list(people.values())
    while True:
        yield from (groups[n] for n in generator.permutation(len(groups)))


def looks(paths: list[Path], generator: np.random.Generator) -> Iterator[tuple[Sample, int]]:
    """Samples of single vertebrae without end, each with the seed of its look.

    Matched pairs come one after the other with the same look, so that nothing but the fracture tells them apart.
    """
    for group in matched_pairs(paths, generator):
        seed = int(generator.integers(2**32))
        for path in group:
            yield SampleCache.load(path), seed


def shuffled(paths: list[Path], generator: np.random.Generator) -> Iterator[Path]:
    """The paths without end, shuffled anew each time round."""
    while True:
        yield from (paths[n] for n in generator.permutation(len(paths)))


def turned(
    images: torch.Tensor, truth: torch.Tensor, generator: np.random.Generator, *, degrees: float = 6, scale: float = 0.1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images [n, c, y, x] and their truth mask [n, y, x] turned, scaled and shifted a little within the plane.

    degrees: of turning, standard deviation. scale: largest growth or shrinkage.
    """
    angle = np.radians(generator.normal(0, degrees))
    grow = np.exp(generator.uniform(-scale, scale))
    rows = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]]) * grow
    rows[:, 2] = generator.normal(0, 0.03, 2)
    theta = torch.from_numpy(rows.astype(np.float32))[None]
    grid = F.affine_grid(theta, (1, 1, *images.shape[-2:]), align_corners=False)
    # One image with many channels: all are turned alike.
    flat = torch.cat([images.flatten(0, 1), truth])[None]
    flat = F.grid_sample(flat, grid, padding_mode="border", align_corners=False)[0]
    count = images.shape[0] * images.shape[1]
    return flat[:count].view_as(images), (flat[count:] > 0.5).float()
