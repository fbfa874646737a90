"""The RSNA 2022 Cervical Spine Fracture data set as its folder lies: levels, images, segmentations, boxes.

Layout: train.csv (StudyInstanceUID, patient_overall, C1...C7: 0 or 1), train_images/UID/NUMBER.dcm (NUMBER is the
slice's InstanceNumber), segmentations/UID.nii (of some studies; 1...7 are C1...C7, 8 T1, 9 T2 and so on) and
train_bounding_boxes.csv (StudyInstanceUID, x, y, width, height, slice_number; of some fractured studies).
Described by Lin HM et al., The RSNA Cervical Spine Fracture CT Dataset, Radiology: Artificial Intelligence 2023;5(5)
(doi 10.1148/ryai.230034). The data are not part of this project; their terms allow non-commercial use only.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from neckfrac.anatomy import LEVEL_NAMES, T1, THORACIC
from neckfrac.errors import InputError
from neckfrac.findings import Box
from neckfrac.progress import Progress
from neckfrac.volume import CTVolume, to_image

LABELS, BOXES, IMAGES, SEGMENTATIONS = "train.csv", "train_bounding_boxes.csv", "train_images", "segmentations"
UID, PATIENT = "StudyInstanceUID", "patient_overall"
BOX_COLUMNS = ("x", "y", "width", "height", "slice_number")
SIMULATED = "simulated.json"  # lies in a folder of simulated studies, and in no other
_LAYOUT = "Give the folder that holds train.csv and train_images as the RSNA 2022 archive unpacks."


@dataclass(frozen=True, eq=False)
class SliceBox:
    """A box that was drawn on one slice, as a slab in the patient.

    number: of the slice. center: LPS mm. axes: 3x3, columns are the unit vectors (LPS) of a row, of a column and the
    normal. size: mm along them; the last is the distance between slices.
    """

    number: int
    center: np.ndarray
    axes: np.ndarray
    size: np.ndarray

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Which LPS points [..., 3] lie inside, bool [...]; a point on the border does."""
        return (np.abs((np.asarray(points) - self.center) @ self.axes) <= self.size / 2 + 1e-6).all(axis=-1)

    @property
    def box(self) -> Box:
        """The box along the patient's axes around it, mm, LPS."""
        reach = np.abs(self.axes) @ self.size / 2
        lower, upper = self.center - reach, self.center + reach
        return Box(tuple(float(value) for value in lower), tuple(float(value) for value in upper))


class RSNAData:
    """The studies of a folder; voxels are read when they are asked for.

    labels: of every study with images, in the order of train.csv, what is fractured: "patient_overall" and C1...C7.
    absent: how many studies of train.csv have no images. simulated: whether the folder says that it is simulated.
    Raises InputError when train.csv or train_images is missing or a table can't be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        for name in (LABELS, IMAGES):
            if not (self.folder / name).exists():
                raise InputError(f"There is no {name} here.", where=self.folder, advice=_LAYOUT)
        rows = list(_rows(self.folder / LABELS, (UID, PATIENT, *LEVEL_NAMES)))
        self.labels = {uid: values for uid, values in map(_labels, rows) if self._images(uid).is_dir()}
        self.absent = len(rows) - len(self.labels)
        if not self.labels:
            raise InputError("No study of train.csv has its images here.", where=self.folder / IMAGES, advice=_LAYOUT)
        self.simulated = (self.folder / SIMULATED).exists()

    def _images(self, uid: str) -> Path:
        return self.folder / IMAGES / uid

    def read(self, uid: str, *, progress: Progress | None = None) -> CTVolume:
        """A study's CT, int16 HU on its stored axes. Raises InputError when it can't be read as one."""
        from neckfrac.intake.study import read_study

        return read_study(self._images(uid), progress=progress).volume

    def has_segmentation(self, uid: str) -> bool:
        return self._segmentation(uid) is not None

    def _segmentation(self, uid: str) -> Path | None:
        paths = (self.folder / SEGMENTATIONS / (uid + ending) for ending in (".nii", ".nii.gz"))
        return next((path for path in paths if path.exists()), None)

    def read_segmentation(self, uid: str, volume: CTVolume) -> np.ndarray | None:
        """Classes of `anatomy` up to THORACIC on the volume's voxels (uint8), None without a segmentation.

        The file's own affine says where it lies: its axes run the other way than those of the images.
        Raises InputError when it can't be read or none of its labels lie in the scan.
        """
        import SimpleITK as sitk
        from neckfrac.intake.files import read_stored
        from neckfrac.intake.labels import whole_numbers

        path = self._segmentation(uid)
        if path is None:
            return None
        stored, _ = read_stored(path, Progress())
        try:
            found = CTVolume(whole_numbers(stored.voxels), stored.affine)
        except InputError as error:
            raise InputError(error.what, where=path, advice=error.advice) from error
        image = sitk.Resample(
            to_image(found), volume.shape[::-1], sitk.Transform(), sitk.sitkNearestNeighbor,
            volume.affine[:3, 3].tolist(), volume.spacing[::-1].tolist(), volume.directions.ravel().tolist(), 0.0,
        )  # fmt: skip
        labels = np.clip(sitk.GetArrayViewFromImage(image), 0, THORACIC).astype(np.uint8)
        if not ((labels > 0) & (labels < T1)).any():
            raise InputError("No label of C1 to C7 lies in the scan.", where=path, advice="Check that both belong.")
        return labels

    def has_boxes(self, uid: str) -> bool:
        return uid in self._boxes

    def box_count(self, uid: str) -> int | None:
        """How many slices' boxes a study has; None when there are none for it."""
        return len(self._boxes[uid]) if uid in self._boxes else None

    @cached_property
    def _boxes(self) -> dict[str, list[tuple[float, ...]]]:
        """x, y, width, height, slice number of every study's boxes; none when there is no table."""
        boxes: dict[str, list[tuple[float, ...]]] = {}
        path = self.folder / BOXES
        for line, row in _rows(path, (UID, *BOX_COLUMNS)) if path.exists() else ():
            values = tuple(_number(row[name], name, path, line) for name in BOX_COLUMNS)
            boxes.setdefault(row[UID], []).append(values)
        return boxes

    def read_boxes(self, uid: str, volume: CTVolume) -> list[SliceBox]:
        """A study's boxes in the patient, of those slices that are there; one slice distance thick.

        x and y are the upper left corner of the upper left pixel, counted in pixels from that of the image. Where
        a slice lies its own header says, whichever way the slices are numbered. volume: the study's, as `read`.
        """
        from neckfrac.intake.dicom_headers import read_frames

        rows = self._boxes.get(uid, [])
        numbers = dict.fromkeys(int(row[4]) for row in rows)
        paths = [self._images(uid) / f"{number}.dcm" for number in numbers]
        found = read_frames([path for path in paths if path.exists()], Progress())
        frames = {int(frame.file.path.stem): frame for frame in found}
        boxes = []
        for x, y, width, height, number in rows:
            frame = frames.get(int(number))
            if frame is None or frame.position is None or frame.orientation is None or frame.spacing is None:
                continue
            row, column = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
            axes = np.stack([row, column, np.cross(row, column)], axis=1)
            pixel = np.array([frame.spacing[1], frame.spacing[0]])  # mm between columns, between rows
            # The centre of the first pixel is half a pixel from its corner.
            middle = (np.array([x + width / 2, y + height / 2]) - 0.5) * pixel
            center = np.array(frame.position) + axes[:, :2] @ middle
            size = np.array([*np.array([width, height]) * pixel, volume.spacing[0]])
            boxes.append(SliceBox(int(number), center, axes, size))
        return boxes


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, row) of a table that has these columns. Raises InputError when it has not."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            missing = [name for name in columns if name not in (table.fieldnames or ())]
            if missing:
                told, wanted = ", ".join(missing), ", ".join(columns)
                raise InputError(f"The table has no column {told}.", where=path, advice=f"It needs {wanted}.")
            for row in table:
                if not row[UID] or Path(row[UID]).name != row[UID]:
                    raise InputError("A row names no study.", where=f"{path}, line {table.line_num}")
                yield table.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError("The table can't be read.", where=path, advice="Copy it again.") from error


def _labels(numbered: tuple[int, dict[str, str]]) -> tuple[str, dict[str, bool]]:
    line, row = numbered
    values = {name: (row[name] or "").strip() for name in (PATIENT, *LEVEL_NAMES)}
    for name, value in values.items():
        if value not in ("0", "1"):
            raise InputError(f"{name} is {value!r}, neither 0 nor 1.", where=f"{LABELS}, line {line}")
    return row[UID], {name: value == "1" for name, value in values.items()}


def _number(text: str | None, name: str, path: Path, line: int) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not np.isfinite(value) or (name in ("width", "height") and value <= 0):
        raise InputError(f"{name} is {text!r}, not a number that a box can have.", where=f"{path}, line {line}")
    return value
