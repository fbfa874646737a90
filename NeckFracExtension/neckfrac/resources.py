"""Where the project's resources lie: trained bundles, sample CT, terminology."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import InputError


def resources_dir() -> Path:
    """The folder ``Resources``: ``$NECKFRAC_RESOURCES``, a clone's, an installed Slicer module's or the package's own.

    Raises InputError when there is none.
    """
    given = os.environ.get("NECKFRAC_RESOURCES")
    here = Path(__file__).resolve()
    # In a clone the engine lies at NeckFracExtension/neckfrac, Resources at the root; in an installed
    # extension CMake puts the engine and Resources/NeckFrac beside the module; a package that pip built and installed
    # holds them itself (setup.py).
    places = (
        here.parent / "_resources",
        here.parents[2] / "Resources",
        here.parents[1] / "Resources" / "NeckFrac",
    )
    candidates = [Path(given)] if given else places
    for candidate in candidates:
        if (candidate / "Models").is_dir():
            return candidate
    raise InputError(
        "The folder with NeckFrac's trained networks was not found.",
        where=candidates[0],
        advice="Set NECKFRAC_RESOURCES to the folder Resources of a NeckFrac clone.",
    )
