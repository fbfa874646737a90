"""Many studies: what the worker is asked, what the worklist on disk says, and a row's scene. Knows no Qt."""

import logging
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from . import hand_over
from .engine_path import ensureEngine

COMMAND = "batch"


def batchArguments(studies, results, folder, operatingPoint="balanced", device="auto", leaveOut=(), again=False):
    """The worker's request. studies: a folder, or a list of files. results: where the result folders go.

    folder: the job's own, where zips are unpacked to.
    """
    options = hand_over.engineOptions(operatingPoint, device, leaveOut)
    told = studies if isinstance(studies, str) else [str(path) for path in studies]
    return {"studies": told, "results": str(results), "scratch": str(folder), "again": again, "options": options}


def reasonAgainst(studies, results):
    """Why a batch can't be started, for the user; None when it can."""
    if not studies:
        return _("Choose a folder with studies, or select series in the DICOM browser.")
    if isinstance(studies, str) and not Path(studies).is_dir():
        return _("There is no such folder: {folder}").format(folder=studies)
    if not results:
        return _("Choose a folder for the results.")
    if isinstance(studies, str) and Path(results) == Path(studies):
        return _("The results need a folder of their own.")
    return None


def readWorklist(results):
    """The rows of a folder of results, sorted by probability; none when there is no worklist. ValueError if damaged."""
    if not results or not Path(results).is_dir():
        return []
    ensureEngine()
    from neckfrac.errors import InputError
    from neckfrac.output.worklist import Worklist

    try:
        return Worklist.read(results).rows
    except InputError as error:
        raise ValueError(str(error)) from error


def removeLeftovers(results):
    """Remove what a worker that had to be stopped left unfinished in a folder of results."""
    from neckfrac.workspace import remove_leftovers

    if Path(results).is_dir():
        remove_leftovers(Path(results))


def scenePath(results, row):
    """The row's scene, or None when it has none."""
    path = Path(results) / row.result / "scene.mrb"
    return path if row.result and not row.error and path.is_file() else None


def openResult(path):
    """Replace the scene by a result's; False when the user keeps what is not saved. RuntimeError: it can't be read."""
    if unsavedNodes() and not slicer.util.confirmOkCancelDisplay(
        _("The scene holds data that is not saved, and will be closed. Open the result?"), windowTitle=_("NeckFrac")
    ):
        return False
    # With "clear" the scene is closed first; without it the result would be added to what is there.
    slicer.util.loadScene(str(path), {"clear": True})
    return True


def unsavedNodes():
    """Whether the scene holds data that was changed since it was read or saved."""
    return bool(slicer.mrmlScene.GetStorableNodesModifiedSinceRead())


def selectedDicomFiles():
    """The files of the series selected in Slicer's DICOM browser; [] when none is, or the browser was never open.

    Not run here: without Slicer there is neither the browser nor its database. By the sources of Slicer 5.12's DICOMLib
    and of CTK at 5056664a, the module DICOM's browser widget holds two browsers, a visual and a classic one, each
    with a selection of its own, and `useVisualDICOMBrowser` says which of them is shown. Raises ValueError for a
    visual browser that does not tell its selection (before 5.12): another one's would be other patients.
    """
    instance = getattr(slicer.modules, "DICOMInstance", None)
    browser = getattr(instance, "browserWidget", None)
    database = getattr(slicer, "dicomDatabase", None)
    if browser is None or database is None or not database.isOpen:
        return []
    if getattr(browser, "useVisualDICOMBrowser", False):
        if not hasattr(browser.dicomVisualBrowser, "patientView"):
            raise ValueError(
                _("The visual DICOM browser of this Slicer does not tell what is selected: switch to the classic one.")
            )
        view = browser.dicomVisualBrowser.patientView()
        series, studies = list(view.selectedSeriesInstanceUIDs()), []
        patients = [] if series else list(view.selectedPatientUIDs())
    else:
        tables = browser.dicomBrowser.dicomTableManager()
        series = list(tables.currentSeriesSelection())
        studies = [] if series else list(tables.currentStudiesSelection())
        patients = [] if series or studies else list(tables.currentPatientsSelection())
    studies += [study for patient in patients for study in database.studiesForPatient(patient)]
    series += [item for study in studies for item in database.seriesForStudy(study)]
    return [path for item in series for path in database.filesForSeries(item)]


def summary(answer):
    """What came of a batch, for the user. answer: the worker's `done` event."""
    studies, failed = answer["studies"], answer["failed"]
    if failed:
        logging.info("NeckFrac: %d of %d studies have no result.", failed, studies)
        message = _("{done} of {studies} studies have a result; the last rows say why the others have none.")
        return message.format(done=studies - failed, studies=studies)
    return _("All {studies} studies have a result.").format(studies=studies)
