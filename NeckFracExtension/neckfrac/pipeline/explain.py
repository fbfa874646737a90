"""Each member's heat by a method of choice: its own heat map, or what moved its answer (see `saliency`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import Cancelled, InputError, first_line
from ..findings import Explanation
from ..members import LevelHeat, MemberPrediction, can_explain, member_module
from ..options import EXPLANATION_TITLES, HEATMAP
from ..progress import Progress
from ..volume import CTVolume
from .localize import draw
from .segment import Segmented

if TYPE_CHECKING:
    from .engine import Networks


def member_to_explain(networks: Networks, method: str, member: str | None) -> str | None:
    """Whose heat is drawn: the member asked for, else the one that weighs most; None: the members' own heat maps.

    Raises InputError for an unknown member, or one that the method can't explain.
    """
    if member is not None and member not in networks.members:
        raise InputError(f"There is no member {member!r}.", advice=f"Choose {', '.join(networks.members)}.")
    if method == HEATMAP and member is None:
        return None
    known = [name for name, bundle in networks.members.items() if can_explain(bundle.step, method)]
    if not known or member not in (None, *known):
        raise InputError(
            f"{EXPLANATION_TITLES[method]} can't explain {member or 'any member'}.",
            advice=f"Choose {', '.join(known)}." if known else "Leave --explain out.",
        )
    return member or max(known, key=networks.ensemble.weight)


def explain_levels(
    segmented: Segmented, networks: Networks, member: str, levels: list[str], method: str, progress: Progress
) -> LevelHeat:
    """A member's heat (0...1) on its crop of each level that is there; for all but HEATMAP 1 at its hottest place.

    The results are as in `members.MemberPrediction.heat`.
    """
    module = member_module(networks.bundles[member].step)
    return module.explain(segmented, levels=levels, method=method, progress=progress, **networks.arguments(member))


def redraw(
    segmented: Segmented, networks: Networks, member: str, levels: list[str], method: str, volume: CTVolume,
    into: np.ndarray, progress: Progress,
) -> Explanation:  # fmt: skip
    """Write a member's heat of the levels instead of what is there; what drew it, also when it fails (with a warning).

    volume, into: as in `explain.draw`.
    """
    try:
        heat = explain_levels(segmented, networks, member, levels, method, progress)
    except Cancelled:
        raise
    except (RuntimeError, MemoryError) as error:
        text = f"{EXPLANATION_TITLES[method]} of {member} failed; the heat is the members' own: {first_line(error)}"
        progress.warn("saliency-failed", text, member=member, method=method, error=type(error).__name__)
        return Explanation()
    draw(segmented, [MemberPrediction({}, None, heat)], volume, into)
    return Explanation(method, member)
