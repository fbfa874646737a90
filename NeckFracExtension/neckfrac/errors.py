"""Errors that a user can act on."""

from __future__ import annotations


class NeckFracError(Exception):
    """What is wrong, where, and what to do about it: shown as it stands, without a traceback."""

    exit_code = 1

    def __init__(self, what: str, *, where: object = None, advice: str = "") -> None:
        self.what, self.where, self.advice = what, None if where is None else str(where), advice
        place = f" ({self.where})" if self.where else ""
        super().__init__(f"{what}{place}" + (f" {advice}" if advice else ""))


class InputError(NeckFracError):
    """The input or an option can't be used as it is."""

    exit_code = 2


class Cancelled(NeckFracError):
    """The user cancelled; nothing was written."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("Cancelled.")


def first_line(error: BaseException) -> str:
    """What a library's error says, in one line; those that say nothing are memory's."""
    return (str(error).splitlines() or ["out of memory"])[0]
