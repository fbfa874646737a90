"""The engine's stages in the user's words. Knows no Qt."""

import re

from slicer.i18n import tr as _


def inWords(stage):
    """A stage as the worker's `progress` event names it: "Locating the spine", of a batch "2 of 9: ..."."""
    words = {
        "Looking for studies": _("Looking for studies"),
        "Loading the networks": _("Loading the networks"),
        "Reading the study": _("Reading the study"),
        "Locating the spine": _("Locating the spine"),
        "Segmenting the vertebrae": _("Segmenting the vertebrae"),
        "Taking the segmentation": _("Taking the segmentation"),
        "Measuring": _("Measuring"),
        "Looking for fractures": _("Looking for fractures"),
        "Drawing boxes": _("Drawing boxes"),
        "Explaining": _("Explaining"),
        "Drawing the report": _("Drawing the report"),
        "Writing the scene": _("Writing the scene"),
        "Writing tables and report": _("Writing tables and report"),
        "Done before": _("Done before"),
        "Comparing": _("Comparing…"),
        "Measuring distances": _("Measuring distances…"),
    }
    numbered = re.fullmatch(r"(\d+) of (\d+): (.*)", stage)
    if not numbered:
        return words.get(stage, stage)
    number, count, what = numbered.groups()
    return _("Study {number} of {count}: {stage}").format(number=number, count=count, stage=words.get(what, what))
