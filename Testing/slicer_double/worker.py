"""The command that starts the worker of the fake engine as Slicer starts the real one: through a launcher."""

import sys
from pathlib import Path

from .launcher import LAUNCHER

FAKE_ENGINE = [sys.executable, str(Path(__file__).parents[1] / "module" / "fake_engine_worker.py")]
WORKER = [*LAUNCHER, *FAKE_ENGINE]


def there(pid):
    """Whether a process runs; one that has ended and that nobody has asked for yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
