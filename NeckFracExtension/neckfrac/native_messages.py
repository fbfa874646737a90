"""What C++ libraries print by themselves, past Python's streams."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# ITK's printed exception, to the empty line that ends it, or to where it was cut.
_ITK_ERROR = re.compile(rb"\n?itk::ExceptionObject \(0x[0-9a-f]+\).*?(?:\n\s*\n|\Z)", re.DOTALL)


@contextlib.contextmanager
def without_itk_errors() -> Iterator[None]:
    """Keep ITK's printed exceptions from standard error while a file is written that may fail to be.

    All else that was printed meanwhile appears afterwards. The caller says itself, in one line, what could not be
    written. Where standard error can't be held back, everything appears as it is printed.
    """
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, AttributeError, ValueError):  # a program without a console
        yield
        return
    try:
        held = _nowhere_on_disk()
        if held is not None:
            os.dup2(held, 2)
        try:
            yield
        finally:
            if held is not None:
                with contextlib.suppress(OSError, AttributeError, ValueError):
                    sys.stderr.flush()
                os.dup2(kept, 2)
                os.lseek(held, 0, os.SEEK_SET)
                with os.fdopen(held, "rb") as stream:
                    rest = _ITK_ERROR.sub(b"", stream.read())
                if rest.strip():
                    os.write(2, rest)
    finally:
        os.close(kept)


def _nowhere_on_disk() -> int | None:
    """A file to hold text: in memory where the system can, since the disk may be full; None where there is no room."""
    try:
        if hasattr(os, "memfd_create"):
            return os.memfd_create("messages")
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    except OSError:
        return None
