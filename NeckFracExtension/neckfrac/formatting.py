"""Probabilities, suspicions and names as a reader sees them."""

from __future__ import annotations

import math


def as_figure(probability: float | None) -> str:
    """A probability for a reader, two digits that count: "0.87", "0.034", "<0.001"; "" for None."""
    if probability is None:
        return ""
    return f"{probability:.2f}" if probability >= 0.0995 else f"{probability:.2g}" if probability >= 0.001 else "<0.001"


def as_figures(first: float, second: float) -> tuple[str, str]:
    """Two probabilities for a reader, with as many digits as it takes to tell which is the larger."""
    texts = as_figure(first), as_figure(second)
    digits = 3
    while texts[0] == texts[1] and first != second and digits < 9:
        texts, digits = (f"{first:.{digits}f}", f"{second:.{digits}f}"), digits + 1
    return texts


def as_text(name: object) -> str:
    """A path or a name as text that every file can hold: bytes that are no text become escapes."""
    return str(name).encode("utf-8", "backslashreplace").decode("utf-8")


def as_percent(probability: float | None) -> str:
    """A probability for a reader of a screen, always with one decimal: "87.0 %", "0.3 %", "<0.1 %"; "" for None."""
    if probability is None:
        return ""
    if 0.0005 <= probability < 0.9995:
        return f"{100 * probability:.1f} %"
    return "<0.1 %" if probability < 0.5 else ">99.9 %"


def suspicion_in_words(severity: str | None) -> str:
    """The rank of a call for a reader: low, moderate or high; "" below the threshold."""
    return {"low": "low", "medium": "moderate", "high": "high"}.get(severity or "", "")


def on_scale(probability: float) -> float:
    """Where a probability lies (0 to 1) on a scale of log-odds from 1 to 999 of 1,000.

    At a low prevalence most probabilities are small, and on an even scale none could be told from another.
    """
    ends = math.log(999.0)
    inside = min(max(probability, 0.001), 0.999)
    return 0.5 + 0.5 * math.log(inside / (1 - inside)) / ends
