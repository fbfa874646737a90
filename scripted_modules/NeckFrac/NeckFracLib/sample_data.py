"""The embedded sample CT (simulated, with known fractures) and its entry in the module Sample Data."""

import logging
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from .engine_path import ensureEngine

CATEGORY, SAMPLE_NAME, NODE_NAME = "NeckFrac", "NeckFracSample", "NeckFrac sample CT (simulated)"


def samplePath():
    """The embedded sample's NRRD, or None."""
    ensureEngine()
    from neckfrac.errors import InputError
    from neckfrac.resources import resources_dir

    try:
        return next(iter(sorted((resources_dir() / "SampleData").glob("neckfrac-sample*.nrrd"))), None)
    except InputError:
        return None


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
        checksums="SHA256:" + slicer.util.computeChecksum("SHA256", str(path)),
    )
