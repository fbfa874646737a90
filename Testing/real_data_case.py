"""Where the public CT lies that tests and figures on real CT want; it is no part of this project."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
WHERE = "the real CT is not here: make real-data"
# Fetched into the repository, where git ignores it, or lying beside it for several clones.
_PLACES = (ROOT / "real-data", ROOT.parent / "shared" / "data")
_FOUND = [place for place in _PLACES if place.is_dir()]
DATA = Path(os.environ["NECKFRAC_REAL_DATA"]) if os.environ.get("NECKFRAC_REAL_DATA") else (_FOUND or _PLACES)[0]
LANDMARKS = DATA / "visible-human-female-head.landmarks.json"
