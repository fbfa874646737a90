"""Slicer's lists hold no single cervical vertebra: the project's own list, so that segments keep their meaning."""

import logging

import slicer

from .engine_path import ensureEngine


def loadTerminology():
    """Give NeckFrac's list to the module Terminologies; its name there, or None when that was not possible."""
    ensureEngine()
    from neckfrac.errors import InputError
    from neckfrac.resources import resources_dir

    try:
        path = resources_dir() / "Terminology" / "NeckFrac.term.json"
        return slicer.modules.terminologies.logic().LoadTerminologyFromFile(str(path)) or None
    except (AttributeError, InputError):  # a Slicer without that module, or an installation without resources
        logging.info("NeckFrac's terminology could not be loaded.")
        return None
