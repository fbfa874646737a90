"""What the command line shows: progress as a bar or as JSON lines, results as tables, Ctrl-C that works."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import DISCLAIMER
from .findings import NOT_SEEN, POSITIVE, Findings
from .formatting import as_figure
from .progress import Progress
from .workspace import remove_unfinished

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from .comparison.compare import Comparison

TABLE_WIDTH = 84  # characters of the results' table without what each network says
PATIENCE = 0.7  # seconds that a step may still take after Ctrl-C before the process ends anyway


# What a user's Ctrl-C, a service manager and a terminal that is closed send. Windows has no SIGHUP.
STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def interruptible(clean_up: Callable[[], None] = remove_unfinished) -> Iterator[Callable[[], bool]]:
    """A signal to stop raises the flag that is yielded; without an answer in time, `clean_up` and exit 130.

    A single long call into a library never looks at the flag: hence the second way.
    """
    flag, left = threading.Event(), threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag.is_set
        return

    def watch() -> None:
        while signals := reader.recv(64):
            if not set(signals) & set(STOPPING):
                continue
            flag.set()
            if not left.wait(PATIENCE):
                clean_up()
                # The bar hides the cursor, and nothing else shows it again.
                sys.stderr.write(("\x1b[?25h" if sys.stderr.isatty() else "") + "Cancelled.\n")
                sys.stderr.flush()
                os._exit(130)

    # Python's own handler waits until the main thread is back from such a call; the wakeup socket does not.
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    # What is ignored stays so: a run under nohup outlives its terminal.
    heard = [number for number in STOPPING if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, lambda *_: flag.set()) for number in heard}
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=watch, name="interrupt", daemon=True)
    watcher.start()
    try:
        yield flag.is_set
    finally:
        left.set()
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        writer.close()
        watcher.join()
        reader.close()


@contextmanager
def shown_progress(
    *, quiet: bool = False, as_json: bool = False, clean_up: Callable[[], None] = remove_unfinished
) -> Iterator[Progress]:
    """A Progress that shows itself: a bar on standard error, or JSON lines on standard output."""
    with interruptible(clean_up) as cancelled:
        if as_json:

            def report(stage: str, fraction: float) -> None:
                print(json.dumps({"stage": stage, "fraction": round(fraction, 4)}), flush=True)

            yield Progress(report, cancelled)
        elif quiet:
            yield Progress(cancelled=cancelled)
        else:
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description:<28}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
            console = Console(stderr=True)
            with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
                task = bar.add_task("Starting", total=1.0)
                yield Progress(lambda stage, done: bar.update(task, description=stage, completed=done), cancelled)


def show_findings(findings: Findings, *, truth: dict[str, bool] | None = None, folder: Path | None = None) -> None:
    """Print the table of levels, beside the truth where it is known, and what a reader must know.

    Uncertain names are told first, and each level says what else it could be.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    naming, members = findings.naming, _members(findings)
    if naming.sentence():
        console.print(escape(_printable(naming.sentence(), console)), style="bold yellow", highlight=False)
    table = Table(title=f"Probability of fracture ({findings.operating_point} operating point)")
    names = [name.removeprefix("neckfrac-") for name in members]
    if console.width < TABLE_WIDTH + sum(len(name) + 3 for name in names):
        members = names = []  # a probability that is cut short is worse than none: the files have them
    for heading in ("Level", "P", "Call", "Severity", "In view", "Threshold", *names):
        table.add_column(heading, justify="left" if heading in ("Level", "Call", "Severity") else "right")
    if truth is not None:
        table.add_column("Truth")
    for level in findings.levels:
        style = "bold red" if level.status == POSITIVE else "dim" if level.status == NOT_SEEN else None
        row = [
            naming.either(level.level),
            as_figure(level.probability),
            level.verdict,
            level.severity or "",
            f"{level.share_in_view:.0%}",
            as_figure(level.threshold),
            *(as_figure(level.members.get(name)) for name in members),
        ]
        if truth is not None:
            row.append("fractured" if truth.get(level.level) else "intact")
        table.add_row(*row, style=style)
    patient = [
        "Patient",
        as_figure(findings.patient_probability),
        findings.patient_status,
        "",
        "",
        as_figure(findings.patient_threshold),
        *(as_figure(findings.patient_members.get(name)) for name in members),
    ]
    if truth is not None:
        patient.append("fractured" if any(truth.values()) else "intact")
    table.add_section()
    table.add_row(*patient)
    console.print(table)
    _show_measurements(findings, console)
    for warning in filter(None, (findings.note_on_call(), *findings.further_warnings)):
        console.print(f"[yellow]Note:[/] {escape(_printable(str(warning), console))}", highlight=False)
    if folder is not None:
        console.print(f"Result: {escape(_printable(str(folder), console))}", highlight=False, soft_wrap=True)
    if truth is not None:
        console.print("The study and its truth are simulated.", style="dim")
    console.print(f"{findings.training_in_words()} {DISCLAIMER}", style="dim", highlight=False)


def _show_measurements(findings: Findings, console: Console) -> None:
    """Two narrow tables, of levels and between them, and above all what is not normal."""
    from rich.markup import escape
    from rich.table import Table

    from .measurement import NO_DIAGNOSIS
    from .output.measurements import BETWEEN, OF_LEVEL, cell, heading, table_of

    if not findings.measurements:
        return
    for title, names in (("Measurements", OF_LEVEL), ("Between levels", BETWEEN)):
        rows = table_of(findings, names)
        if not rows:
            continue
        table = Table(title=title, padding=(0, 0))
        table.add_column("Level")
        for name in names:
            table.add_column(_printable(_in_lines(heading(name)), console), justify="right", no_wrap=True)
        for where, row in rows:
            flagged = any(one is not None and one.flag for one in row)
            style = "bold red" if flagged else None
            table.add_row(_printable(where, console), *(cell(one) for one in row), style=style)
        console.print(table)
    for one in findings.measurements:
        if one.name not in OF_LEVEL + BETWEEN:
            normal = f" (normal {one.normal.in_words(one.unit)})" if one.normal else ""
            text = f"{one.where} {one.quantity.title}: {one.in_words()}{normal}"
            console.print(escape(_printable(text, console)), highlight=False)
    for one in findings.flagged:
        console.print(f"[yellow]Not normal:[/] {escape(_printable(one.flag or '', console))}", highlight=False)
    if findings.flagged:
        console.print(NO_DIAGNOSIS, style="dim", highlight=False)


def _in_lines(heading: str) -> str:
    """A heading with its unit below it, or a ratio with its second part: "Canal mm", "Canal/body"."""
    if " " in heading:
        return "\n".join(heading.rsplit(" ", 1))
    return heading.replace("/", "/\n") if len(heading) > len("Prevert.") else heading


def show_comparison(comparison: Comparison) -> None:
    """Print a row a level of two segmentations that were compared, and what is odd in each."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table(title="Segmentation against reference")
    for heading in ("Level", "Dice", "Surface\nDice\n1 mm", "\n\n2 mm", "HD95\nmm", "ml", "Reference\nml"):
        table.add_column(heading, justify="left" if heading == "Level" else "right", no_wrap=True)
    table.add_column("Found", overflow="fold", min_width=len("reference's C7"))
    for level in comparison.levels:
        overlaps = (level.dice, level.surface_dice_1mm, level.surface_dice_2mm)
        lengths = (level.hausdorff95_mm, level.volume_ml or None, level.reference_ml or None)
        found = f"in the reference's {level.lies_in}" if level.lies_in else level.found
        table.add_row(
            level.level,
            *("" if value is None else f"{value:.3f}" for value in overlaps),
            *("" if value is None else f"{value:.1f}" for value in lengths),
            found,
            style=None if level.found == "both" and not level.lies_in else "yellow",
        )
    console.print(table)
    if comparison.mean_dice is not None:
        console.print(f"Mean Dice of the reference's levels: {comparison.mean_dice:.3f}", highlight=False)
    for whose, flags in (("Segmentation", comparison.flags), ("Reference", comparison.reference_flags)):
        for flag in flags:
            place = ", ".join(f"{value:.0f}" for value in flag.place)
            text = _printable(f"{flag.sentence} At {place} mm (LPS).", console)
            console.print(f"[yellow]{whose}:[/] {escape(text)}", highlight=False)
    for warning in comparison.warnings:
        console.print(f"[yellow]Warning:[/] {escape(_printable(warning, console))}", highlight=False)


def _printable(text: str, console: Console) -> str:
    """The text as far as the output's encoding has its letters; dashes and signs get plain ones where it has none."""
    if console.options.ascii_only:
        for letter, plain in {"–": "-", "…": "...", "≤": "<=", "≥": ">=", "°": " deg"}.items():
            text = text.replace(letter, plain)
    return text.encode(console.encoding, "replace").decode(console.encoding)


def _members(findings: Findings) -> list[str]:
    names = {name for level in findings.levels for name in level.members}
    return [model.name for model in findings.models if model.name in names]


