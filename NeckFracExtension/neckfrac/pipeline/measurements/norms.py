"""What is normal in adults, and who measured it. Children have none of these: see `is_child`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...measurement import NormalRange

ROJAS_2007 = "Rojas et al., AJNR 2007;28:1819, CT of 200 adults"
ROJAS_2009 = "Rojas et al., AJNR 2009;30:136, CT of 192 adults"
PAVLOV = "Pavlov et al., Radiology 1987;164:771"
GENANT = "Genant et al., J Bone Miner Res 1993;8:1137: from 20 % on a deformity"
SLIP = "degenerative slip is counted from 2 mm on (Kawasaki et al., 2007); 3.5 mm: White and Panjabi's instability"
NAIDICH = "Naidich et al., 1977: more than one and a half times both neighbours is abnormal"
WHITE = "White and Panjabi: 11 degrees more than the neighbours is abnormal"

NORMAL: dict[str, NormalRange] = {
    "height-loss": NormalRange(None, 20.0, GENANT),
    "canal-body-ratio": NormalRange(0.8, None, PAVLOV),
    "listhesis": NormalRange(-2.0, 2.0, SLIP),
    "atlanto-dental": NormalRange(0.0, 3.0, "at most 3 mm in adults; 97.5 % under 2 mm in " + ROJAS_2007),
    "lateral-atlanto-dental-difference": NormalRange(
        0.0, 3.7, "largest in CT of 230 adults, Surg Radiol Anat 2011;33:801"
    ),
    "atlas-overhang": NormalRange(None, 6.9, "Spence, Decker and Sell, J Bone Joint Surg Am 1970;52:543"),
    "basion-dens": NormalRange(0.0, 8.5, ROJAS_2007),
}
# Upper limits by level, of adults that were not intubated.
PREVERTEBRAL = {"C2": 6.0, "C3": 7.0, "C6": 18.0}
# More than its neighbours'; listed here because the range depends on the patient.
INTERSPINOUS_TIMES, ANGLE_BEYOND = 1.5, 11.0
# mm: the geometric mean of body depth and posterior height over C3 to C7, below which it is taken for a child's.
# This project's own limit: simulated adults lie above it, and children of ten are not told from small adults.
CHILD_SIZE = 10.2
CHILD_NOTE = "The vertebral bodies are as small as a child's: normal ranges of adults are not applied."


def prevertebral(level: str) -> NormalRange:
    """The soft tissue's upper limit at a level."""
    return NormalRange(0.0, PREVERTEBRAL[level], ROJAS_2009)


def interspinous(neighbours: Sequence[float]) -> NormalRange | None:
    """From the distances (mm) above and below; None without both, since one alone may be the odd one."""
    if len(neighbours) < 2:
        return None
    return NormalRange(None, round(INTERSPINOUS_TIMES * max(neighbours), 1), NAIDICH)


def segmental_angle(neighbours: Sequence[float]) -> NormalRange | None:
    """From the angles (degrees, lordosis positive) above and below: kyphosis beyond them is abnormal."""
    if len(neighbours) < 2:
        return None
    return NormalRange(round(min(neighbours) - ANGLE_BEYOND, 1), None, WHITE)


def is_child(depths: Sequence[float], heights: Sequence[float]) -> bool:
    """Whether bodies of these depths and posterior heights (mm) are smaller than adults' are."""
    if not depths or not heights:
        return False
    return float(np.sqrt(np.median(depths) * np.median(heights))) < CHILD_SIZE
