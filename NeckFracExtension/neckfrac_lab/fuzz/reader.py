"""The child process that reads: one path a line on stdin, what came of it as one line of JSON on stdout.

Its memory is limited by the system (RLIMIT_AS), its time by the parent, which kills it: nothing that the product
catches keeps either from being seen.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import sys
import traceback

MEMORY = 6 * 2**30  # bytes of address space; libraries map some 2 GB of it


def read_one(path: str) -> dict:
    """What reading a study comes to: "read", "refused" or "traceback", with what belongs to it."""
    from neckfrac.errors import InputError
    from neckfrac.intake.study import read_study

    try:
        study = read_study(path)
    except InputError as error:
        return {"kind": "refused", "told": error.what}
    except BaseException:  # whatever it is, it is the finding
        return {"kind": "traceback", "told": traceback.format_exc()}
    volume, _ = study.volume.canonical()
    voxels = volume.voxels
    small = voxels.size <= 2**22
    return {
        "kind": "read",
        "warnings": [(warning.code, warning.text) for warning in study.warnings],
        "shape": voxels.shape,
        "affine": volume.affine.ravel().tolist(),
        "voxels": base64.b64encode(voxels.tobytes()).decode() if small else "",
    }


def main() -> None:
    """Serve until stdin closes. What libraries print goes nowhere."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    replies = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    for line in sys.stdin:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        reply = read_one(json.loads(line))
        reply["grown"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
