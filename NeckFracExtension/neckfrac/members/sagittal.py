"""Nine sagittal images of the neck, and what the member that looks at them says of patient and levels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from ..anatomy import LEVEL_NAMES, N_LEVELS
from ..bundles.tensors import finest_stage, heat_map, tensor
from ..networks.sagittal_nine import ENLARGED
from ..options import HEATMAP
from ..pipeline.crops import VertebraCrop, cut, extents
from ..pipeline.device import reduced_precision
from ..pipeline.grids import AIR, Lattice, resample
from ..pipeline.intensity import Intensity
from ..pipeline.saliency import Score, saliency
from ..pipeline.segment import Segmented
from ..progress import Progress
from ..volume import CTVolume
from ._levels import present, scaled
from ._prediction import LevelHeat, MemberPrediction

TITLE = "Fracture probability of patient and levels from nine sagittal images"
PLANES, ROWS, COLUMNS = 9, 176, 128
PLANE_GAP = 4.0  # mm from one plane to the next; rows (z) and columns (y) are 1 mm
MARGIN = 12  # mm around the levels that are shown; what lies beyond is blank, in training too
LEAST_CELLS = 60  # voxels of a level in the nine images (0.24 ml) below which they say nothing of it


def data_format(network_config: dict[str, Any]) -> dict[str, Any]:
    """The network's tensors in MONAI's terms (channel first, batch left out)."""
    images = {"image": tensor("image", ["*", "*", "*"], {0: "sagittal images, windowed HU, [planes, z, y]"})}
    images["labels"] = tensor("image", ["*", "*", "*"], {0: "0 or the level's label"}, "labels")
    prediction = tensor("probabilities", [], dict(enumerate(("patient", *LEVEL_NAMES))), "classes")
    enlarged = network_config.get("enlarged", ENLARGED)
    heat = heat_map(finest_stage(network_config), f" of the images enlarged {enlarged:.3g} times")
    return {"inputs": images, "outputs": {"logits": prediction, "heat": heat}}


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
def predict(
    segmented: Segmented,
    network: torch.nn.Module,
    *,
    intensity: Intensity,
    device: torch.device,
    progress: Progress,
) -> MemberPrediction:
    """Patient and levels from nine sagittal images: fast, coarse, and blind to what lies far to the sides."""
    progress.step(0.0)
    if not segmented.labels.any():
        return MemberPrediction({})
    hu, labels = nine_planes(segmented)
    counts = np.bincount(labels.ravel(), minlength=N_LEVELS + 1)
    images = intensity(torch.from_numpy(shown(hu, labels)))[None].to(device)
    with reduced_precision(device):
        output = network(images, torch.from_numpy(labels).long()[None].to(device))
    said = output["logits"][0].float().sigmoid().cpu().numpy()
    levels = {name: float(said[n]) for n, name in enumerate(LEVEL_NAMES, start=1) if counts[n] >= LEAST_CELLS}
    return MemberPrediction(levels, float(said[0]) if levels else None)


def explain(
    segmented: Segmented, network: nn.Module, *, levels: list[str], method: str, intensity: Intensity,
    device: torch.device, progress: Progress,
) -> LevelHeat:  # fmt: skip
    """Each level's heat on the nine images that `predict` shows; between them, interpolated."""
    heat: LevelHeat = {}
    if not segmented.labels.any():
        return heat
    hu, labels = nine_planes(segmented)
    images = intensity(torch.from_numpy(shown(hu, labels)))[None].to(device)
    labels, planes = torch.from_numpy(labels).long()[None].to(device), lattice_of_planes(segmented)
    for name, mask, part in present(segmented, levels, progress):
        number = LEVEL_NAMES.index(name) + 1
        if method == HEATMAP:
            with torch.inference_mode():
                found = network(images, labels)["heat"][0].float().sigmoid().cpu().numpy()
        else:
            score = Score(network, lambda network, x, n=number: network(x[:, :, 0], labels)["logits"][:, n])
            found = saliency(score, images[:, :, None], method, progress=part)
        found = F.interpolate(torch.from_numpy(found)[:, None], planes.shape[:2], mode="bilinear")[:, 0].numpy()
        (z, last), *sides = extents(torch.from_numpy(mask))
        heights, side = np.arange(z, last + 1), max(b - a + 1 for a, b in sides)
        where = (heights, tuple((a + b + 1 - side) // 2 for a, b in sides))
        origin = segmented.lattice.to_points(np.array([z, *where[1]]))
        box = Lattice((len(heights), side, side), segmented.lattice.spacing, tuple(map(float, origin)))
        volume = CTVolume(np.ascontiguousarray(np.moveaxis(found, 0, 2)), planes.affine)
        own = cut(torch.from_numpy(mask), *where, side, False)
        crop = VertebraCrop(*where, intensity(cut(torch.from_numpy(segmented.hu), *where, side, AIR))[:, None])
        there = resample(volume, box, fill=0.0)
        heat[name] = (crop, there if method == HEATMAP else scaled(there, own))
    return heat
