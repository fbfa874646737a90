"""One long-lived process with warm networks, spoken to in JSON lines: ``python -m neckfrac.worker``.

A request is one line on stdin, an event one line on stdout; everything else that is printed goes to stderr.

Requests::

    {"id": 1, "command": "analyze", "volume": "ct.npy", "affine": [[...]], "identity": {...},
     "options": {"device": "auto", "operating_point": "balanced", "models_dir": null, "threads": null,
                 "anchors": false},
     "result": "folder"}
    {"command": "cancel", "id": 1}      handled at once, also while an analysis runs
    {"id": 2, "command": "ping"}
    {"command": "exit"}                 as when stdin closes: the running analysis is cancelled

volume: an uncompressed .npy of HU, [z, y, x]. affine: 4x4, voxel (i, j, k) to mm in LPS. identity: fields of
`StudyIdentity`. result: a folder that does not exist yet; it appears whole (labels.npy, heat.npy,
findings.json, and anchors.npy when anchors were asked for and found) or not at all.

Events: ``ready`` (once), ``progress`` (stage, fraction), ``done`` (result, seconds), ``pong`` and ``error``
(message, kind). Kinds: input, cancelled, memory, missing (a package), protocol, internal.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any, Protocol

from . import __version__
from .errors import Cancelled, InputError, NeckFracError
from .findings import Analysis, StudyIdentity
from .progress import Progress

log = logging.getLogger("neckfrac.worker")

LABELS, HEAT, ANCHORS, FINDINGS = "labels.npy", "heat.npy", "anchors.npy", "findings.json"
# A step that does not ask whether it was cancelled must not keep the process alive once nobody listens.
SECONDS_TO_END = 3.0
SECONDS_BETWEEN_PROGRESS, LEAP = 0.05, 0.02


class EngineLike(Protocol):
    """What the worker needs of `pipeline.analyze.Engine`."""

    def analyze(self, study: Any, *, operating_point: str, anchors: bool, progress: Progress) -> Analysis: ...


EngineFactory = Callable[..., EngineLike]


def default_engine(models_dir: Path | None, device: str, threads: int | None) -> EngineLike:
    """The ensemble of the bundles in `models_dir` (None: the embedded ones)."""
    from .pipeline.analyze import Engine

    return Engine(models_dir=models_dir, device=device, threads=threads)


def read_volume(path: Path, affine: Any):
    """The CTVolume of an .npy file (memory-mapped, copied on write) and an LPS affine. Raises InputError."""
    import numpy as np

    from .volume import CTVolume

    try:
        voxels = np.load(path, mmap_mode="c", allow_pickle=False)
        return CTVolume(voxels, np.array(affine, dtype=np.float64))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"The volume can't be read: {error}.", where=path) from error


def read_study(request: dict[str, Any]):
    """The `Study` that an analyze request names. Raises InputError."""
    from .intake.checks import check_volume
    from .intake.study import Study

    try:
        identity = StudyIdentity(**(request.get("identity") or {}))
    except TypeError as error:
        raise InputError(f"The study's identity is not understood: {error}.") from error
    volume = read_volume(Path(request["volume"]), request["affine"])
    return Study(volume, identity, tuple(check_volume(volume)))


def write_result(analysis: Analysis, folder: Path, partial: Path) -> None:
    """Write `analysis` into `partial`, then rename that to `folder`. Raises InputError if `folder` exists."""
    import numpy as np

    np.save(partial / LABELS, np.ascontiguousarray(analysis.labels), allow_pickle=False)
    np.save(partial / HEAT, np.ascontiguousarray(analysis.heat), allow_pickle=False)
    if analysis.anchors is not None:
        np.save(partial / ANCHORS, np.ascontiguousarray(analysis.anchors), allow_pickle=False)
    content = json.dumps(analysis.findings.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)
    (partial / FINDINGS).write_text(content, encoding="utf-8")
    if folder.exists():
        raise InputError("The result folder exists already.", where=folder, advice="Name one that does not exist.")
    os.rename(partial, folder)


def error_kind(error: BaseException) -> str:
    """The protocol's word for an error."""
    if isinstance(error, Cancelled):
        return "cancelled"
    if isinstance(error, NeckFracError):
        return "input"
    # torch's class is known by its name: importing torch only to recognise its error would be slow.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "memory"
    return "missing" if isinstance(error, ImportError) else "internal"


class Worker:
    """Reads requests on a thread, walks the road on the calling thread, one analysis after the other."""

    def __init__(self, requests: Iterable[str], replies: IO[str], engine_factory: EngineFactory = default_engine):
        self._requests, self._replies, self._engine_factory = requests, replies, engine_factory
        self._write_lock = threading.Lock()
        self._jobs: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._cancelled: dict[Any, threading.Event] = {}
        self._partial: Path | None = None
        self._engine: EngineLike | None = None
        self._engine_options: tuple[Any, ...] | None = None

    def run(self) -> int:
        """Serve until ``exit`` or until stdin closes; the exit status."""
        self._send({"event": "ready", "version": __version__, "pid": os.getpid()})
        threading.Thread(target=self._read, name="requests", daemon=True).start()
        while (job := self._jobs.get()) is not None:
            self._answer(job)
        return 0

    def _send(self, event: dict[str, Any]) -> None:
        # Nobody listening is no error of its own: stdin closes then, too, and ends the process.
        with self._write_lock:
            try:
                self._replies.write(json.dumps(event) + "\n")
                self._replies.flush()
            except (OSError, ValueError):
                log.debug("Nobody reads the replies.")

    def _read(self) -> None:
        """On a thread of its own, so that a cancellation is seen while an analysis runs."""
        for line in self._requests:
            if not line.strip():
                continue
            try:
                request = json.loads(line)
                command = request["command"]
            except (ValueError, KeyError, TypeError):
                self._fail(None, "A request is one JSON object with a command in one line.", "protocol")
                continue
            if command == "exit":
                break
            self._accept(command, request)
        for flag in list(self._cancelled.values()):
            flag.set()
        self._jobs.put(None)
        threading.Thread(target=self._end_deaf_analysis, name="end", daemon=True).start()

    def _accept(self, command: str, request: dict[str, Any]) -> None:
        identifier = request.get("id")
        if command == "ping":
            self._send({"id": identifier, "event": "pong"})
        elif command == "cancel":
            flag = self._cancelled.get(identifier)
            if flag is None:
                self._fail(identifier, "There is no such analysis to cancel.", "protocol")
            else:
                flag.set()
        elif command == "analyze":
            absent = [key for key in ("id", "volume", "affine", "result") if request.get(key) is None]
            if absent or identifier in self._cancelled:
                reason = f"The request lacks {', '.join(absent)}." if absent else "That id is running already."
                self._fail(identifier, reason, "protocol")
            else:
                self._cancelled[identifier] = threading.Event()
                self._jobs.put(request)
        else:
            self._fail(identifier, f"There is no command {command!r}.", "protocol")

    def _end_deaf_analysis(self) -> None:
        time.sleep(SECONDS_TO_END)
        if self._partial is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
        os._exit(0)

    def _answer(self, request: dict[str, Any]) -> None:
        identifier, began = request["id"], time.perf_counter()
        flag = self._cancelled[identifier]
        try:
            self._analyze(request, flag)
            event = {"id": identifier, "event": "done", "result": str(request["result"])}
            self._send({**event, "seconds": round(time.perf_counter() - began, 3)})
        except Exception as error:
            kind = error_kind(error)
            if kind not in ("cancelled", "input"):
                traceback.print_exc(file=sys.stderr)
            message = str(error) if kind in ("cancelled", "input") else f"{type(error).__name__}: {error}"
            self._fail(identifier, message, kind)
            if kind == "memory":
                self._engine = self._engine_options = None
        finally:
            self._cancelled.pop(identifier, None)

    def _analyze(self, request: dict[str, Any], flag: threading.Event) -> None:
        options = request.get("options") or {}
        progress = Progress(self._reporter(request["id"]), flag.is_set)
        progress.step(0.0)
        result = Path(request["result"])
        try:
            self._partial = Path(tempfile.mkdtemp(prefix=result.name + ".partial-", dir=result.parent))
        except OSError as error:
            raise InputError(f"The result can't be written: {error}.", where=result.parent) from error
        try:
            study = read_study(request)
            engine = self._warm_engine(options)
            point = options.get("operating_point") or "balanced"
            anchors = bool(options.get("anchors"))
            analysis = engine.analyze(study, operating_point=point, anchors=anchors, progress=progress)
            write_result(analysis, result, self._partial)
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial = None

    def _warm_engine(self, options: dict[str, Any]) -> EngineLike:
        models_dir = Path(options["models_dir"]) if options.get("models_dir") else None
        chosen = (models_dir, options.get("device") or "auto", options.get("threads"))
        if self._engine is None or self._engine_options != chosen:
            # The old networks go before the new ones come, so that both never share the memory.
            self._engine = None
            self._engine = self._engine_factory(models_dir=chosen[0], device=chosen[1], threads=chosen[2])
            self._engine_options = chosen
        return self._engine

    def _reporter(self, identifier: Any) -> Callable[[str, float], None]:
        last: list[Any] = ["", 0.0, 0.0]

        def report(stage: str, fraction: float) -> None:
            now = time.monotonic()
            # A leap is told at once: the step after it may take long.
            leap = fraction - last[2] >= LEAP or fraction >= 1
            if stage != last[0] or leap or now - last[1] >= SECONDS_BETWEEN_PROGRESS:
                last[:] = stage, now, fraction
                event = {"id": identifier, "event": "progress", "stage": stage}
                self._send({**event, "fraction": round(float(fraction), 4)})

        return report

    def _fail(self, identifier: Any, message: str, kind: str) -> None:
        self._send({"id": identifier, "event": "error", "message": message, "kind": kind})


def reserve_stdout() -> IO[str]:
    """The process' stdout for the protocol alone; from here on, file descriptor 1 is stderr's, for C code too."""
    sys.stdout.flush()
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return replies


def main(engine_factory: EngineFactory = default_engine) -> int:
    """Serve stdin and stdout."""
    replies = reserve_stdout()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8", errors="replace")
    return Worker(requests, replies, engine_factory).run()


if __name__ == "__main__":
    sys.exit(main())
