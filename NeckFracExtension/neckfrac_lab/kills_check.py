"""What must hold after a fault and after the run that follows it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from neckfrac.marks import MARK

from .kills_worlds import MINE

WHOLE = {"findings.json", "findings.csv", "report.html", "scene.mrb", "vertebrae.seg.nrrd", "overview.png"}
CODES = (0, 1, 2, 130)


@dataclass
class Outcome:
    """A trial. lost: what is missing of the user's. left: what is there of ours. said: words. next: the next run."""

    world: str
    kind: str
    fault: str
    lost: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """All that is wrong."""
        return [*self.lost, *self.left, *self.said, *self.next]


def contents_below(world: Path) -> dict[str, bytes]:
    """The bytes of every file below a folder by its path there."""
    return {str(path.relative_to(world)): path.read_bytes() for path in sorted(world.rglob("*")) if path.is_file()}


def check_after_fault(
    outcome: Outcome, world: Path, before: dict[str, bytes], code: int, said: str, *, cleared: bool
) -> None:
    """cleared: whether the run could clear away what it had made."""
    _check_users_files(outcome, world, before, anywhere=not cleared)
    if cleared:
        _check_nothing_is_left(outcome, world, before)
        if code not in CODES:
            outcome.said.append(f"exit code {code}: {said}")
        lines = [line for line in said.splitlines() if line.strip()]
        if "Traceback" in said or "unexpected" in said or len(lines) > 1:
            outcome.said.append(f"it said: {said}")


def check_next_run(
    outcome: Outcome, world: Path, before: dict[str, bytes], results: list[Path], code: int, said: str
) -> None:
    """Whole results, and all of the user's at its place."""
    if code != 0:
        outcome.next.append(f"the next run ended with {code}: {said}")
        return
    _check_users_files(outcome, world, before, anywhere=False)
    _check_nothing_is_left(outcome, world, before)
    for result in results:
        if reason := why_not_whole(result):
            outcome.next.append(f"{result.name}: {reason}")


def why_not_whole(result: Path) -> str:
    """Why a folder is no whole result; "" when it is one: every file that the mark names, unchanged."""
    try:
        files = json.loads((result / MARK).read_text(encoding="utf-8"))["files"]
        if absent := WHOLE - set(files):
            return f"without {sorted(absent)}"
        for name, digest in files.items():
            if hashlib.sha256((result / name).read_bytes()).hexdigest() != digest:
                return f"{name} is not as it was written"
    except (OSError, ValueError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _check_users_files(outcome: Outcome, world: Path, before: dict[str, bytes], *, anywhere: bool) -> None:
    """Studies lie where they lay, and so does what is the user's; of a replaced result it lies in the new one.

    anywhere: it may still lie in a folder of ours, from which the next run takes it.
    """
    now = contents_below(world)
    # Not those of a run that is under way: only the next run gives them back.
    seen = {text for name, text in now.items() if anywhere or ".neckfrac-" not in name}
    set_aside = {text for name, text in now.items() if anywhere and ".neckfrac-" in name}
    for name, text in before.items():
        if name.startswith("in/") and now.get(name) != text:
            outcome.lost.append(f"{name} is not as it was")
        elif text.startswith(MINE.encode()) and text not in seen:
            outcome.lost.append(f"{name} is gone")
        elif text.startswith(MINE.encode()) and text in set_aside:
            continue
        elif text.startswith(MINE.encode()) and not _in_result(world / name) and now.get(name) != text:
            outcome.lost.append(f"{name} is not where it was")


def _in_result(path: Path) -> bool:
    return any((parent / MARK).is_file() for parent in path.parents)


def _check_nothing_is_left(outcome: Outcome, world: Path, before: dict[str, bytes]) -> None:
    """No hidden folder of ours, no half-written file, no empty folder on the way to a result, nothing temporary."""
    earlier = {str(parent) for name in before for parent in (Path(name), *Path(name).parents)} | {"in", "out", "tmp"}
    for path in sorted(world.rglob("*")):
        name = str(path.relative_to(world))
        if ".neckfrac-" in name or (name not in earlier and name.startswith(("tmp/", "in/"))):
            outcome.left.append(f"left: {name}")
        elif path.is_dir() and name not in earlier and not any(path.iterdir()):
            outcome.left.append(f"left empty: {name}")
        elif path.is_file() and name not in earlier and not _in_result(path) and not path.name.startswith("worklist."):
            outcome.left.append(f"left: {name}")
