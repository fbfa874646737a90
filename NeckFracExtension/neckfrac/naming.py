"""How sure the names of the levels are."""

from __future__ import annotations

from dataclasses import dataclass

from .anatomy import CHAIN_NAMES
from .study_warning import NAMES_UNCERTAIN, StudyWarning


@dataclass(frozen=True)
class Naming:
    """How sure the levels' names are: vertebrae that hang together are named as one chain, so they shift as one.

    certain: False when other names fit what is in view as well. given: the chain as it was named ("C3–C5"), ""
    when no vertebra got a cervical name. alternatives: the other names of the same vertebrae, likeliest first
    ("C4–C6"). probability: of the names that were given. reason: what is missing in view, or speaks against the
    names; "" when they are certain. Of a chain that goes on below C7 only the cervical part is told.
    """

    certain: bool = True
    given: str = ""
    alternatives: tuple[str, ...] = ()
    probability: float | None = None
    reason: str = ""

    @property
    def readings(self) -> str:
        """All names that are possible, "C3–C5 or C4–C6"; "" when they are certain or nothing was named."""
        if self.certain or not (self.given or self.alternatives):
            return ""
        return " or ".join((self.given or "no cervical level", *self.alternatives)).replace("-", "–")

    def sentence(self) -> str:
        """One line for a reader; "" when the names are certain or nothing was named."""
        return f"The levels' names are uncertain: {self.readings}. {self.reason}".strip() if self.readings else ""

    def warning(self) -> StudyWarning | None:
        """The sentence as a warning of the study; None when there is nothing to say."""
        if not self.readings:
            return None
        figures = {"given": self.given, "alternatives": self.alternatives, "probability": self.probability}
        return StudyWarning(NAMES_UNCERTAIN, self.sentence(), figures)

    def alternatives_of(self, level: str) -> tuple[str, ...]:
        """What else the vertebra named `level` could be, likeliest first; () when its name is certain.

        "C4" for the C3 of a chain C3–C5 that could be C4–C6. A chain's first vertebra tells how far the names shift:
        its last may be told as C7 only because those below are thoracic. T1 shifts with a chain that ends at C7.
        """
        chain = _places(self.given)
        if self.certain or not chain or level not in CHAIN_NAMES:
            return ()
        place, last = CHAIN_NAMES.index(level), chain[-1] + (CHAIN_NAMES[chain[-1]] == "C7")
        if not chain[0] <= place <= last:
            return ()
        shifted = [place + other[0] - chain[0] for other in map(_places, self.alternatives) if other]
        names = (CHAIN_NAMES[shift] for shift in shifted if 0 <= shift < len(CHAIN_NAMES) and shift != place)
        return tuple(dict.fromkeys(names))

    def either(self, level: str) -> str:
        """A level with what else it could be, for a reader: "C3 or C4"; "C3" when its name is certain."""
        return " or ".join((level, *self.alternatives_of(level)))


def _places(chain: str) -> tuple[int, int] | None:
    """First and last place in CHAIN_NAMES of a chain ("C3–C5", "C4"); None for what is no chain."""
    ends = [end.strip() for end in chain.replace("-", "–").split("–")]
    if not 1 <= len(ends) <= 2 or any(end not in CHAIN_NAMES for end in ends):
        return None
    first, last = CHAIN_NAMES.index(ends[0]), CHAIN_NAMES.index(ends[-1])
    return (first, last) if first <= last else None
