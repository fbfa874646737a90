"""What goes wrong on a click is shown, and the panel goes on. No Qt."""

import logging
import traceback
from contextlib import contextmanager

import slicer
from slicer.i18n import tr as _


class Declined(RuntimeError):
    """The user has answered No: that is no error, and needs no dialog."""


@contextmanager
def shownErrors(message, waitCursor=False):
    """Show an error of the block with `message` above it; what follows the block runs in any case.

    `slicer.util.tryWithErrorDisplay` raises again after its dialog, and so skips what follows. waitCursor: only for
    a block that asks the user nothing.
    """
    if waitCursor:
        import qt

        slicer.app.setOverrideCursor(qt.Qt.WaitCursor)
    error = details = None
    try:
        yield
    except Declined as declined:
        logging.info("NeckFrac: %s", declined)
    except Exception as caught:
        error, details = caught, traceback.format_exc()
    finally:
        if waitCursor:
            slicer.app.restoreOverrideCursor()
    if error is not None:
        logging.error("NeckFrac: %s\n%s", message, details)
        text = _("{message}\n\n{reason}").format(message=message, reason=error)
        slicer.util.errorDisplay(text, windowTitle=_("NeckFrac"), detailedText=details)
