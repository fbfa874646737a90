"""What a template needs to draw a picture of a plane with vectors over it."""

from __future__ import annotations

from dataclasses import dataclass

from .planes import Plane


@dataclass(frozen=True)
class Line:
    """A measurement's lines. paths: ends (row, column, row, column), pixels; at: where the label is written."""

    title: str
    style: str
    paths: tuple[tuple[float, float, float, float], ...]
    label: str = ""
    at: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class View:
    """A picture and what is drawn over it.

    image, over: data URLs; over: "" for none. box: first and last row and column (r0, c0, r1, c1), pixels.
    letters: the patient's sides with their places (x, y). scale: pixels of 2 cm; None for none.
    """

    name: str
    caption: str
    width: int
    height: int
    image: str
    letters: tuple[tuple[str, float, float], ...]
    over: str = ""
    box: tuple[float, float, float, float] | None = None
    color: str = ""
    lines: tuple[Line, ...] = ()
    scale: float | None = None


def letters_of(plane: Plane, above_edge: float) -> tuple[tuple[str, float, float], ...]:
    """The patient's sides in the middle of the edges. above_edge: pixels from the lower edge to the letter's foot."""
    height, width = plane.shape
    top, bottom, left, right = plane.letters
    across, down = width / 2, height / 2
    return ((top, across, 22), (bottom, across, height - above_edge), (left, 14, down), (right, width - 14, down))
