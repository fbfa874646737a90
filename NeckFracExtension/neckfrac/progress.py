"""The one object handed down the pipeline for progress, cancellation and warnings."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .errors import Cancelled
from .study_warning import StudyWarning

log = logging.getLogger("neckfrac")


class Progress:
    """Stages with fractions, a cancel switch, warnings and stage timings.

    ``report(stage, fraction)`` is called with the running stage's name and the fraction (0 to 1) of
    the whole job that is done; it never falls. ``cancelled()`` is asked at every step; when it answers
    True the next step raises `Cancelled`. Warnings must not hold patient names.
    """

    def __init__(
        self,
        report: Callable[[str, float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self._report = report or (lambda stage, fraction: None)
        self._cancelled = cancelled or (lambda: False)
        self._stage, self._start, self._end, self._done = "", 0.0, 0.0, 0.0
        self.warnings: list[StudyWarning] = []
        self.timings: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, until: float) -> Iterator[Progress]:
        """Run one stage that ends when the fraction `until` of the whole job is done."""
        self._stage, self._start, self._end = name, self._end, max(until, self._end)
        self.step(0.0)
        began = time.perf_counter()
        try:
            yield self
        finally:
            self.timings[name] = self.timings.get(name, 0.0) + time.perf_counter() - began
        self.step(1.0)

    def step(self, fraction: float) -> None:
        """Say that `fraction` (0 to 1) of the running stage is done; raises `Cancelled`."""
        if self._cancelled():
            raise Cancelled
        done = self._start + (self._end - self._start) * min(max(fraction, 0.0), 1.0)
        self._done = max(self._done, done)
        self._report(self._stage, self._done)

    def warn(self, code: str, text: str, **data: Any) -> None:
        """Keep a warning for the Findings and the log, once; see `study_warning.StudyWarning`."""
        self.keep(StudyWarning(code, text, data))

    def keep(self, *warnings: StudyWarning | None) -> None:
        """Keep warnings that were made elsewhere, each once; None says nothing."""
        for warning in warnings:
            if warning is not None and warning.text not in map(str, self.warnings):
                self.warnings.append(warning)
                log.warning("%s", warning)

    def part(self, start: float, end: float) -> Progress:
        """A Progress whose steps go from `start` to `end` of the running stage; the rest is as with `share`."""
        part = Progress(lambda _, done: self.step(start + (end - start) * done), self._cancelled)
        part._end, part.warnings, part.timings = 1.0, self.warnings, self.timings
        return part

    def share(self, start: float, end: float) -> Progress:
        """A Progress for a part of the job from `start` to `end`; warnings, timings and cancelling are shared."""
        part = Progress(lambda stage, done: self._report(stage, start + (end - start) * done), self._cancelled)
        part.warnings, part.timings = self.warnings, self.timings
        self._end = max(self._end, end)
        return part

    def apart(self, name: str, start: float, end: float) -> Progress:
        """A Progress for one of several like jobs, from `start` to `end` of them all; only cancelling is shared.

        Its stages are told with the job's name: "2 of 9: Locating the spine".
        """

        def report(stage: str, done: float) -> None:
            self._done = max(self._done, start + (end - start) * done)
            self._report(f"{name}: {stage}", self._done)

        return Progress(report, self._cancelled)
