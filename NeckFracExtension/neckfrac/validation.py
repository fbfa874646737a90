"""What keeps objects from being built wrong: checks of single values that say what is wrong with which."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any


def check_share(value: Any, what: str) -> None:
    """Raise ValueError unless the value is a number from 0 to 1: a probability, a threshold, a share."""
    if not (_is_number(value) and 0 <= value <= 1):
        raise ValueError(f"{what} must be a number from 0 to 1, not {value!r}")


def check_shares(values: Iterable[tuple[str, Any]], what: str) -> None:
    """`check_share` of each named value."""
    for name, value in values:
        check_share(value, f"{what} of {name}")


def check_one_of(value: Any, known: Collection[Any], what: str) -> None:
    """Raise ValueError for a value that is none of those known."""
    if value not in known:
        raise ValueError(f"{what} must be one of {', '.join(map(str, known))}, not {value!r}")


def check_point(values: Any, what: str) -> None:
    """Raise ValueError unless the values are three finite numbers."""
    if len(values) != 3 or not all(_is_number(value) and math.isfinite(value) for value in values):
        raise ValueError(f"{what} must be three finite numbers, not {values!r}")


def check_all_are(values: Iterable[Any], kind: type, what: str) -> None:
    """Raise ValueError for a value of another kind."""
    for value in values:
        if not isinstance(value, kind):
            raise ValueError(f"{what} must be {kind.__name__} objects, not {value!r}")


def _is_number(value: Any) -> bool:
    # NumPy's float64 is a float, its float32 and integers are numbers that know item().
    return not isinstance(value, bool) and (isinstance(value, int | float) or hasattr(value, "item"))
