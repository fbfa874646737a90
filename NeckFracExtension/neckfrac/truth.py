"""The truth that lies beside a simulated study: which levels are fractured, where, and how it was drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .errors import InputError

TRUTH_SCHEMA_VERSION = "1.1"


def read_truth(file: Path) -> dict[str, Any]:
    """The truth that was written with a simulated study. Raises InputError when it can't be read."""
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
        schema = str(content["schema"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError("This is no truth file of a simulated study.", where=file) from error
    if schema.split(".")[0] != TRUTH_SCHEMA_VERSION.split(".")[0]:
        raise InputError(f"The truth file has schema {schema}; this version reads {TRUTH_SCHEMA_VERSION}.", where=file)
    return content
