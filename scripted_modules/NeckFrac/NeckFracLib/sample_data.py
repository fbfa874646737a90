"""The embedded sample CT (simulated, with known fractures) and its entry in the module Sample Data."""

import logging
from pathlib import Path

from slicer.i18n import tr as _

from .engine_path import ensureEngine

CATEGORY, SAMPLE_NAME, NODE_NAME = "NeckFrac", "NeckFracSample", "NeckFrac sample CT (simulated)"
FILE = "neckfrac-sample.nrrd"
SHA256 = "508d7593b5d2906b92364c3e134c3957b9c6abf856c81123dfa529a0c307d0b4"


def samplePath():
    """The embedded sample's NRRD, or None."""
    ensureEngine()
    from neckfrac.errors import InputError
    from neckfrac.resources import resources_dir

    try:
        path = resources_dir() / "SampleData" / FILE
    except InputError:
        return None
    return path if path.is_file() else None


def registerSampleData():
    """Offer the sample in the module Sample Data: copied from this installation, nothing is downloaded."""
    import SampleData

    path = samplePath()
    if path is None:
        logging.info("NeckFrac's sample CT is not installed.")
        return
    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):  # Slicer 5.12
        logic.registerCustomSampleDataCategory(CATEGORY, title=_("NeckFrac"))
    thumbnail = Path(__file__).resolve().parents[1] / "Resources" / "Icons" / "NeckFracSample.png"
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SAMPLE_NAME,
        thumbnailFileName=str(thumbnail) if thumbnail.is_file() else None,
        uris=path.as_uri(),
        fileNames=path.name,
        nodeNames=NODE_NAME,
        checksums=f"SHA256:{SHA256}",
    )
