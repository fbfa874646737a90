"""The values of a data set's elements; what is missing or can't be converted counts as not given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime
from functools import cache


@cache
def _tag(keyword: str):
    """The element's tag; looked up once, as a header is asked for many that it lacks."""
    from pydicom.tag import Tag

    return Tag(keyword)


def value(dataset, keyword: str):
    """The element's value; None where there is none, or none that its type allows (a broken private writer)."""
    if dataset is None or not keyword or _tag(keyword) not in dataset:
        return None
    try:
        return dataset[_tag(keyword)].value
    except Exception:  # pydicom converts on access, and raises nearly everything
        return None


def text(dataset, keyword: str) -> str:
    """The value as text; several values as DICOM writes them, with backslashes. "" for none."""
    return "\\".join(texts(dataset, keyword))


def texts(dataset, keyword: str) -> tuple[str, ...]:
    """The values as texts without blanks around them; () for none."""
    found = value(dataset, keyword)
    if found is None or found == "":
        return ()
    if isinstance(found, Sequence) and not isinstance(found, str | bytes):
        return tuple(str(part).strip() for part in found)
    return (str(found).strip(),)


def numbers(dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers, or None."""
    try:
        found = tuple(float(part) for part in value(dataset, keyword))
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and all(map(math.isfinite, found)) else None


def number(dataset, keyword: str) -> float | None:
    """A finite number, or None."""
    found = number_or_nan(dataset, keyword)
    return None if found is None or not math.isfinite(found) else found


def number_or_nan(dataset, keyword: str) -> float | None:
    """A number; None where the element is missing or empty, NaN where it holds something else than a finite number."""
    if dataset is None or _tag(keyword) not in dataset:
        return None
    try:
        found = dataset[_tag(keyword)].value
        if found is None or found == "":
            return None
        found = float(found)
    except Exception:
        return math.nan
    return found if math.isfinite(found) else math.nan


def integer(dataset, keyword: str) -> int | None:
    """A finite number without its fraction, or None."""
    found = number(dataset, keyword)
    return None if found is None else int(found)


def first_item(groups: list, sequence: str):
    """The first item of a functional group, of the frame or else shared; None where there is none."""
    for group in groups:
        items = value(group, sequence)
        if items:
            return items[0]
    return None


def moment(dataset, keyword: str, day: str, time: str) -> float | None:
    """Seconds since the year 1 of the date and time in `keyword`, else of a date and a time element; None for none.

    Without a date, seconds since midnight. Dates may be written YYYY.MM.DD and times HH:MM:SS, as before 1993.
    """
    both = text(dataset, keyword)
    day, time = (both[:8], both[8:].split("+")[0].split("-")[0]) if both else (text(dataset, day), text(dataset, time))
    time = time.replace(":", "")
    try:
        seconds = int(time[:2]) * 3600 + int(time[2:4] or 0) * 60 + float(time[4:] or 0)
    except ValueError:
        return None
    try:
        days = datetime.strptime(day.replace(".", ""), "%Y%m%d").toordinal() - date.min.toordinal()
    except ValueError:
        days = 0
    return days * 86400.0 + seconds if math.isfinite(seconds) else None
