"""Reads in child processes, and what a read is worth against the truth."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from .neck import Truth

SECONDS = 20.0  # a small study takes 0.1 s; on a busy machine some seconds
CASES_OF_A_CHILD = 500
MOST_GROWN = 400 * 2**20  # bytes that reading a study of some kilobytes may take at its peak
TRACEBACK, HANG, MEMORY, DIFFERENT = "traceback", "hang", "memory", "silent difference"
REFUSED, WARNED, SAME = "refused", "read with a warning", "read as it is"
BUGS, VERDICTS = (TRACEBACK, HANG, MEMORY, DIFFERENT), (REFUSED, WARNED, SAME, TRACEBACK, HANG, MEMORY, DIFFERENT)
# Warnings that every such small study gets say nothing of its mutation.
ALWAYS = ("scan-short", "spacing-thick", "pixels-coarse")
SAME_PLACE = 0.12  # of a voxel, at the volume's corners


class Child:
    """A reader process that is replaced after many cases, a hang or a crash."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self._done = 0

    def read(self, path: Path, seconds: float = SECONDS) -> dict:
        """The reader's reply, or kind "hang" or "traceback" for one that did not come."""
        if self._process is None or self._done >= CASES_OF_A_CHILD:
            self.close()
            self._process = _start()
            self._done = 0
            self._ask("/nothing/here", 120.0)  # imports are no part of a study's time
        self._done += 1
        return self._ask(str(path), seconds)

    def _ask(self, path: str, seconds: float) -> dict:
        process = self._process
        process.stdin.write(json.dumps(path).encode() + b"\n")
        process.stdin.flush()
        reply, end = b"", time.monotonic() + seconds
        while not reply.endswith(b"\n"):
            left = end - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                self.close()
                return {"kind": HANG, "told": f"nothing within {seconds:.0f} s"}
            part = os.read(process.stdout.fileno(), 2**20)
            if not part:
                code = process.wait()
                self.close()
                return {"kind": TRACEBACK, "told": f"the reader ended with {code}"}
            reply += part
        return json.loads(reply)

    def close(self) -> None:
        """End the child."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None


def _start() -> subprocess.Popen:
    place = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([place, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "neckfrac_lab.fuzz.reader"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0)


def judge(reply: dict, truth: Truth) -> tuple[str, str]:
    """The verdict on a reader's reply, and what it is founded on."""
    if reply["kind"] in (TRACEBACK, HANG):
        return reply["kind"], reply["told"]
    if reply.get("grown", 0) > MOST_GROWN:
        return MEMORY, f"{reply['grown'] / 2**20:.0f} MB for a small study"
    if reply["kind"] == "refused":
        return REFUSED, reply["told"]
    warnings = [text for code, text in reply["warnings"] if code not in ALWAYS]
    if warnings:
        return WARNED, " | ".join(warnings)
    wrong = difference(reply, truth)
    return (DIFFERENT, wrong) if wrong else (SAME, "")


def difference(reply: dict, truth: Truth) -> str:
    """How what was read differs from the truth in geometry or HU; "" when it does not."""
    shape, affine = tuple(reply["shape"]), np.array(reply["affine"]).reshape(4, 4)
    if shape != truth.voxels.shape:
        return f"{' x '.join(map(str, shape))} voxels instead of {' x '.join(map(str, truth.voxels.shape))}"
    corners = np.array(
        [[x, y, z, 1] for x in (0, shape[2] - 1) for y in (0, shape[1] - 1) for z in (0, shape[0] - 1)]
    ).T
    apart = float(np.linalg.norm(((affine - truth.affine) @ corners)[:3], axis=0).max())
    if apart > SAME_PLACE * float(np.linalg.norm(truth.affine[:3, :3], axis=0).min()):
        return f"corners up to {apart:.2f} mm away"
    voxels = np.frombuffer(base64.b64decode(reply["voxels"]), np.int16).reshape(shape)
    off = np.abs(voxels.astype(np.int32) - truth.voxels) > 1
    if np.count_nonzero(off) > truth.may_differ:
        worst = int(np.abs(voxels.astype(np.int32) - truth.voxels).max())
        return f"{np.count_nonzero(off)} voxels differ, by up to {worst} HU"
    return ""
