"""Runs that are killed, and disks that are full or locked: ``python -m neckfrac_lab.kills --moments 100 --seed 0``.

The command line is run again and again in small worlds that hold a study and things of a user's, and each run meets
one fault at a drawn moment. Afterwards nothing of the user's may be lost and nothing of NeckFrac's may be left (after a
SIGKILL: nothing that the next run does not remove), and the next run, without a fault, must work. The networks and the
drawing of the report are stand-ins; reading, claiming, writing and clearing away are the real ones. POSIX only.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .kills_check import Outcome, check_after_fault, check_next_run, contents_below
from .kills_worlds import WORLDS, prepare_world, use_stand_ins

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
LEFT_BEHIND = ("kill", "kill by the clock", "locked while it runs")  # faults after which nobody can clear away


@dataclass(frozen=True)
class Fault:
    """What happens to a run: at the operation `moment` on files (from 0), or after so many seconds."""

    kind: str
    moment: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        when = f" after {self.seconds:.3f} s" if self.kind == "kill by the clock" else f" at operation {self.moment}"
        return self.kind + when


def hook_of(fault: Fault, world: Path, count: list[int]) -> Callable[[str, tuple[Any, ...]], None]:
    """A hook for `sys.addaudithook` that counts the operations that change files of `world`, and lets the fault happen.

    It is called before each operation, so a signal or an error falls between one operation and the next.
    """
    below, process = str(world), os.getpid()
    signals = {"kill": signal.SIGKILL, "terminate": signal.SIGTERM, "interrupt": signal.SIGINT}

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & WRITING:
                return
        elif event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod"):
            path = arguments[0]
        else:
            return
        if isinstance(path, int) or not os.path.abspath(os.fsdecode(path)).startswith(below):
            return
        moment, count[0] = count[0], count[0] + 1
        if fault.kind in signals and moment == fault.moment:
            os.kill(process, signals[fault.kind])
        grows = event in ("open", "os.mkdir")
        if fault.kind == "full" and moment >= fault.moment and grows:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        if fault.kind == "full for a moment" and moment == fault.moment:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        if fault.kind.startswith("locked") and moment >= fault.moment:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    return hook


def run_command(arguments: list[str], world: Path, fault: Fault | None = None) -> tuple[int, str, int]:
    """Run the command in a process of its own: its exit code (negative: the signal), what it said, and its operations.

    The process is forked, so that what is imported already needs not be imported again.
    """
    reader, writer = os.pipe()
    listener, speaker = os.pipe()  # no file: one would be cut where a trial limits how large files grow
    child = os.fork()
    if child == 0:
        _run_here(arguments, world, fault, speaker, writer)
    os.close(writer)
    os.close(speaker)
    if fault is not None and fault.kind == "kill by the clock":
        time.sleep(fault.seconds)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(listener, encoding="utf-8", errors="replace") as stream:
        said = stream.read()
    with os.fdopen(reader, "rb") as stream:
        told = stream.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said, int(told or b"0")


def _run_here(arguments: list[str], world: Path, fault: Fault | None, speaker: int, writer: int) -> None:
    """In the child: never returns."""
    code, count = 99, [0]
    try:
        os.dup2(speaker, 1)
        os.dup2(speaker, 2)
        os.close(speaker)
        tempfile.tempdir = str(world / "tmp")
        sys.addaudithook(hook_of(fault or Fault("none"), world, count))
        if fault is not None and fault.kind == "full within a file":
            resource.setrlimit(resource.RLIMIT_FSIZE, (fault.moment, fault.moment))
        from neckfrac.cli import main

        main(arguments)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 98
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        if not (fault and fault.kind.startswith("kill")):
            os.write(writer, str(count[0]).encode())
        os._exit(code)


def draw_fault(kind: str, operations: int, seconds: float, generator: random.Random) -> Fault:
    """A fault of that kind at a drawn moment of a run that takes so many operations and seconds."""
    if kind == "kill by the clock":
        return Fault(kind, seconds=generator.uniform(0, 1.1 * seconds))
    if kind == "full within a file":
        return Fault(kind, moment=int(10 ** generator.uniform(1.5, 4.7)))  # bytes that a file may have
    return Fault(kind, moment=0 if kind == "locked" else generator.randrange(operations))


# How many of `moments` trials each kind gets, in parts of the whole.
KINDS = {
    "kill": 0.3,
    "kill by the clock": 0.1,
    "terminate": 0.15,
    "interrupt": 0.1,
    "full": 0.12,
    "full for a moment": 0.08,
    "full within a file": 0.07,
    "locked": 0.03,
    "locked while it runs": 0.05,
}


def run_trials(
    moments: int, seed: int, folder: Path, tell: Callable[[str], None] = print, *, minutes: float = float("inf")
) -> list[Outcome]:
    """So many trials over all worlds and kinds of fault in a drawn order, or fewer where time is up; their outcomes."""
    generator, outcomes, end = random.Random(seed), [], time.monotonic() + 60 * minutes
    use_stand_ins()
    templates, sizes = {}, {}
    for name in WORLDS:
        template = templates[name] = folder / f"template-{name}"
        prepare_world(name, template, run_command)
        world = _copy(template, folder / f"plain-{name}")
        began = time.perf_counter()
        code, said, operations = run_command(WORLDS[name].arguments(world), world)
        if code != 0:
            raise RuntimeError(f"without a fault the world {name!r} ends with {code}: {said}")
        sizes[name] = operations, time.perf_counter() - began
        shutil.rmtree(world)
        tell(f"{name}: {operations} operations on files")
    kinds = [kind for kind, share in KINDS.items() for _ in range(max(1, round(share * moments)))]
    generator.shuffle(kinds)
    for number, kind in enumerate(kinds):
        if time.monotonic() > end:
            break
        name = list(WORLDS)[number % len(WORLDS)]
        fault = draw_fault(kind, *sizes[name], generator)
        world = _copy(templates[name], folder / f"trial-{number}")
        before = contents_below(world)
        arguments = WORLDS[name].arguments(world)
        code, said, _ = run_command(arguments, world, fault)
        outcome = Outcome(name, kind, str(fault))
        check_after_fault(outcome, world, before, code, said, cleared=kind not in LEFT_BEHIND)
        code, said, _ = run_command(arguments_again(arguments), world)
        check_next_run(outcome, world, before, WORLDS[name].results(world), code, said)
        outcomes.append(outcome)
        for fault_found in outcome.faults:
            tell(f"{name}, {fault}: {fault_found}")
        if outcome.faults:
            tell(f"  the world is kept: {world}")
        else:
            shutil.rmtree(world)
    return outcomes


def arguments_again(arguments: list[str]) -> list[str]:
    """The next run; a result that was whole before the end of the first one may be in its way."""
    return arguments if arguments[0] == "batch" or "--overwrite" in arguments else [*arguments, "--overwrite"]


def as_table(outcomes: list[Outcome]) -> str:
    """A row a kind of fault: how many trials, and in how many something was wrong."""
    lines = [f"{'fault':22}{'trials':>8}{'lost':>8}{'left':>8}{'said':>8}{'next':>8}"]
    for kind in (*KINDS, "all"):
        chosen = [one for one in outcomes if kind in (one.kind, "all")]
        counts = [sum(bool(getattr(one, name)) for one in chosen) for name in ("lost", "left", "said", "next")]
        lines.append(f"{kind:22}{len(chosen):>8}" + "".join(f"{count:>8}" for count in counts))
    return "\n".join(lines)


def _copy(template: Path, world: Path) -> Path:
    shutil.copytree(template, world, symlinks=True)
    return world


def main() -> int:
    """Exit code 1 when anything was lost or left, or a next run failed."""
    parser = argparse.ArgumentParser(prog="python -m neckfrac_lab.kills", description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=100, help="about how many trials")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="end after so long, wherever it is")
    parser.add_argument("--folder", type=Path, help="where the worlds are made; default: a temporary folder")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kills-", dir=chosen.folder))
    outcomes = run_trials(chosen.moments, chosen.seed, folder, minutes=chosen.minutes)
    print(as_table(outcomes))
    if any(outcome.faults for outcome in outcomes):
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
