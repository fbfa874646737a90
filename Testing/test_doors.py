"""What the panel and the service read is looked at as what the command line reads: the same refusals and warnings."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from neckfrac import jobs
from neckfrac.errors import InputError
from neckfrac.intake.study import read_study
from neckfrac.progress import Progress
from neckfrac.study_job import StudyOrder, analyze_files
from neckfrac_lab.fuzz.neck import neck_hu

NECK = neck_hu(shape=(40, 56, 56)).clip(-1024).astype(np.int16)


def mixed() -> np.ndarray:
    hu = NECK.copy()
    hu[1::2] = np.roll(hu[1::2], 4, axis=2)
    return hu


def odd_slice() -> np.ndarray:
    hu = NECK.copy()
    hu[20] += 500
    return hu


FAULTS = {
    "nothing": (NECK, ""),
    "offset lost": (NECK + 1024, "an offset of 1024 may be missing"),
    "ten times": (NECK * 10, "scale"),
    "half": (NECK // 2, "scale"),
    "two stacks": (mixed(), "seem to be mixed"),
    "back to front": (NECK[:, ::-1], "orientation looks wrong"),
    "one slice off": (odd_slice(), "differ from those of its neighbours"),
}


class Seen(Exception):
    """Ends a job once the study has reached the engine."""


class StandInEngine:
    """Keeps the study that it is given, and does nothing with it."""

    def analyze(self, study, *_, **__):
        self.study = study
        raise Seen


def by_command_line(folder, path):
    return read_study(path)


def by_service(folder, path):
    engine = StandInEngine()
    with pytest.raises(Seen):
        analyze_files(StudyOrder(path, folder / "result"), lambda options: engine, Progress())
    return engine.study


def by_panel(folder, path):
    """The worker's job gets the voxels that Slicer has read, in a file, and their affine."""
    image = sitk.ReadImage(str(path))
    np.save(folder / "ct.npy", sitk.GetArrayFromImage(image))
    request = {"volume": str(folder / "ct.npy"), "affine": np.diag([*image.GetSpacing(), 1.0]).tolist(),
               "result": str(folder / "result")}  # fmt: skip
    engine = StandInEngine()
    with pytest.raises(Seen):
        jobs.analyze(request, jobs.JobContext(Progress(), lambda options: engine, lambda event: None))
    return engine.study


@pytest.mark.parametrize("door", [by_command_line, by_service, by_panel])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_a_volume_is_said_at_every_door(tmp_path, fault, door):
    hu, expected = FAULTS[fault]
    image = sitk.GetImageFromArray(hu.astype(np.int16))
    image.SetSpacing((3.0, 3.0, 2.0))
    sitk.WriteImage(image, str(tmp_path / "ct.nrrd"))
    try:
        limits = ("spacing-thick", "pixels-coarse")
        said = " ".join(w.text for w in door(tmp_path, tmp_path / "ct.nrrd").warnings if w.code not in limits)
    except InputError as error:
        said = error.what
    assert expected in said and bool(said) == bool(expected), said
    assert not (tmp_path / "result").exists()
