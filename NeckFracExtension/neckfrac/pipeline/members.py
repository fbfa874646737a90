"""The members of the fracture ensemble: what each step of a bundle does with a segmented study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..errors import Cancelled, first_line
from ..progress import Progress
from .classify import Opinion, classify_slices, classify_vertebrae
from .dense import classify_dense
from .sagittal import classify_sagittal
from .three_planes import classify_planes

if TYPE_CHECKING:
    from .engine import Networks
    from .segment import Segmented

# By the step that a bundle names: classify(segmented, network, intensity, device, progress, settings) -> Opinion.
CLASSIFY = {
    "slices": classify_slices,
    "vertebrae": classify_vertebrae,
    "planes": classify_planes,
    "sagittal": classify_sagittal,
    "dense": classify_dense,
}


def ask_members(segmented: Segmented, networks: Networks, progress: Progress) -> dict[str, Opinion]:
    """Each member's opinion by bundle name; one that is missing or fails is left out with a warning.

    Raises RuntimeError when all fail.
    """
    for name in networks.missing:
        progress.warn(f"{name} is not among the models and was left out; the others answer.")
    for name in networks.left_out:
        progress.warn(f"{name} was left out, as was asked for; weights and thresholds were fitted with it.")
    for name in networks.replaced:
        progress.warn(f"{name} is not the network that its weight, calibration and thresholds were fitted with.")
    opinions: dict[str, Opinion] = {}
    members = {name: bundle for name, bundle in networks.members.items() if name not in networks.idle}
    for number, (name, bundle) in enumerate(members.items()):
        try:
            share = progress.part(number / len(members), (number + 1) / len(members))
            opinions[name] = CLASSIFY[bundle.step](segmented, progress=share, **networks.arguments(name))
        except (Cancelled, torch.OutOfMemoryError):  # the latter: see `memory`
            raise
        except (RuntimeError, MemoryError) as error:
            progress.warn(f"{name} failed and was left out: {first_line(error)}")
    if not opinions:
        raise RuntimeError("Every member of the ensemble failed.")
    return opinions


def heaviest_first(opinions: dict[str, Opinion], networks: Networks) -> list[Opinion]:
    """The opinions, that of the member which counts most in the ensemble first."""
    return [opinions[name] for name in sorted(opinions, key=networks.ensemble.weight, reverse=True)]
