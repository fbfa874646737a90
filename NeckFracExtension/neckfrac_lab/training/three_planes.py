"""What the member that looks at three planes learns: broken or whole, in which views, and where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from neckfrac.members.planes import Box, Places, box_about, pictures, places_in, tissue_window, views_of
from neckfrac.pipeline.crops import cut
from neckfrac.pipeline.intensity import TISSUE_AND_BONE
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .batches import Batch, looks, turned
from .vertebrae import LEAST_FRACTURE, heat_loss, is_fractured, vertebra_of

PLANE_VIEWS = 8  # of each plane
PLANE_SIZE = 128  # fine voxels (77 mm): the width and depth of every view
PLANE_ROWS = 80  # of sagittal and coronal views: 52 mm in rows of 0.65 mm
PLANE_TISSUE = (-100.0, 250.0)  # HU; swelling before the spine shows here and in no bone window
PLANE_WINDOWS = (TISSUE_AND_BONE, tissue_window(*PLANE_TISSUE))


def plane_batches(paths: list[Path], generator: np.random.Generator, size: int = 6) -> Iterator[Batch]:
    """axial [B, 8, 3, 128, 128], upright [B, 16, 3, 80, 128], target [B], located [B] (1: the place is known),
    axial_heat and upright_heat: the truth masks of both, without channels."""
    source = looks(paths, generator)
    names = ("axial", "axial_heat", "upright", "upright_heat", "target", "located")
    while True:
        rows = []
        for sample, seed in islice(source, size):
            hu, mask, truth = vertebra_of(sample, np.random.default_rng([seed, 0]))
            look = np.random.default_rng([seed, 1])
            box = box_about(hu, mask, PLANE_SIZE)
            places = places_in(box.mask, PLANE_VIEWS, look.uniform(-0.5, 0.5))
            broken = cut(truth, box.slices, box.origin[1:], PLANE_SIZE, False)
            shown = pictures_and_truth(box, broken, places, PLANE_ROWS, look)
            target, located = (torch.tensor(float(v)) for v in (is_fractured(sample), sample.get("located", True)))
            rows.append((*shown, target, located))
        yield {name: torch.stack(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def pictures_and_truth(
    box: Box, broken: torch.Tensor, places: Places, rows: int, look: np.random.Generator
) -> tuple[torch.Tensor, ...]:
    """A box's axial `pictures`, their truth masks, its upright ones and theirs, each plane turned a little.

    broken: bool, the fracture's voxels in the box.
    """
    images = pictures(box, places, rows, PLANE_WINDOWS)
    where = [(part > 0.5).float() for part in views_of(broken, places, rows)]
    axial, upright = (turned(*pair, look) for pair in zip(images, where, strict=True))
    return *axial, *upright


def broken_views(truths: Iterable[torch.Tensor]) -> torch.Tensor:
    """Which views [B, V] of all planes show a fracture, from their truth masks [B, views, y, x]: 0 or 1."""
    return torch.cat([(truth.sum(dim=(2, 3)) >= LEAST_FRACTURE).float() for truth in truths], dim=1)


def plane_loss(network: nn.Module, batch: Batch) -> torch.Tensor:
    """Fractured or not, in which views, and where.

    Vertebrae whose fracture's place is not known (located 0) teach only that they are broken.
    """
    output = network(batch["axial"], batch["upright"])
    whole = F.binary_cross_entropy_with_logits(output["logit"].float(), batch["target"])
    known = batch["located"][:, None]
    truths = batch["axial_heat"], batch["upright_heat"]
    broken = broken_views(truths)
    views = F.binary_cross_entropy_with_logits(output["view_logits"].float(), broken, weight=known.expand_as(broken))
    heats = output["heat"], output["upright_heat"]
    where = [heat_loss(*pair, known[..., None, None]) for pair in zip(heats, truths, strict=True)]
    return whole + views + sum(where) / len(where)
