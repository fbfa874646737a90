"""Run the members of the fracture ensemble on a segmented study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..errors import Cancelled, first_line
from ..members import MemberPrediction, member_module
from ..progress import Progress

if TYPE_CHECKING:
    from .engine import Networks
    from .segment import Segmented

def run_members(segmented: Segmented, networks: Networks, progress: Progress) -> dict[str, MemberPrediction]:
    """Each member's prediction by bundle name; one that is missing or fails is left out with a warning.

    Raises RuntimeError when all fail.
    """
    for name in networks.missing:
        text = f"{name} is not among the models and was left out; the others answer."
        progress.warn("member-missing", text, member=name)
    for name in networks.left_out:
        text = f"{name} was left out, as was asked for; weights and thresholds were fitted with it."
        progress.warn("member-left-out", text, member=name)
    for name in networks.replaced:
        text = f"{name} is not the network that its weight, calibration and thresholds were fitted with."
        progress.warn("member-replaced", text, member=name)
    predictions: dict[str, MemberPrediction] = {}
    members = {name: bundle for name, bundle in networks.members.items() if name not in networks.idle}
    for number, (name, bundle) in enumerate(members.items()):
        try:
            share = progress.part(number / len(members), (number + 1) / len(members))
            predict = member_module(bundle.step).predict
            predictions[name] = predict(segmented, progress=share, **networks.arguments(name))
        except (Cancelled, torch.OutOfMemoryError):  # the latter: see `memory`
            raise
        except (RuntimeError, MemoryError) as error:
            text = f"{name} failed and was left out: {first_line(error)}"
            progress.warn("member-failed", text, member=name, error=type(error).__name__)
    if not predictions:
        raise RuntimeError("Every member of the ensemble failed.")
    return predictions


def heaviest_first(predictions: dict[str, MemberPrediction], networks: Networks) -> list[MemberPrediction]:
    """The predictions, that of the member which counts most in the ensemble first."""
    return [predictions[name] for name in sorted(predictions, key=networks.ensemble.weight, reverse=True)]
