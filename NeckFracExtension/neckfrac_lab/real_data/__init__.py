"""The public CT that the figures on real CT were measured on: fetched, compared with its SHA-256, made readable.

``make real-data``, or ``python -m neckfrac_lab.real_data FOLDER``. None of it is part of this project.
"""

from __future__ import annotations

import csv
import hashlib
import http.client
import io
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from neckfrac.errors import InputError
from neckfrac.volume import CTVolume, to_image

RAW = "https://raw.githubusercontent.com"
GRID = 128  # voxels along each side of an OpenKBP patient
OUTSIDE = 1024  # what is added to HU in its files; voxels that they leave out are air
# As OpenKBP names its structures; the value of each in the labelmap is its place here, from 1 on.
STRUCTURES = ("SpinalCord", "Mandible", "Brainstem", "Larynx", "Esophagus", "LeftParotid", "RightParotid")


@dataclass(frozen=True)
class Source:
    """A part of a public repository at one commit. name: of the folder that it becomes. credit: whose it is, and terms.

    The files and their SHA-256 are in ``NAME.sha256`` beside this file, as `sha256sum` writes them.
    """

    name: str
    repository: str
    commit: str
    folder: str
    credit: str
    hashes: Path = Path(__file__).parent

    def address(self, file: str, base: str) -> str:
        return f"{base}/{self.repository}/{self.commit}/{self.folder}/{file}"

    def files(self) -> dict[str, str]:
        """SHA-256 by file."""
        lines = (self.hashes / f"{self.name}.sha256").read_text(encoding="ascii").splitlines()
        return {file: sha256 for sha256, file in (line.split(maxsplit=1) for line in lines)}


SOURCES = (
    Source(
        "visible-human-female-head",
        "FynnFreyer/DumbICOM",
        "1d56222df02ac29c7f6029bd3c582158402ee123",
        "data/female_head",
        "Visible Human Project, public domain; courtesy of the U.S. National Library of Medicine.",
    ),
    Source(
        "openkbp",
        "ababier/open-kbp",
        "ce625e62f3b04203f22bd9d1634f3e8fb0245e46",
        "provided-data",
        "OpenKBP, MIT licence; Babier et al., Med Phys 2021;48:5549.",
    ),
    Source(
        "other-anatomy",
        "Hendrik-code/TPTBox",
        "f43f7fb51a158e9316f50988c2b0b04e01bc35b1",
        "TPTBox/tests/sample_ct",
        "Test data of TPTBox, Apache-2.0.",
    ),
)


def fetch(
    folder: Path, *, sources: tuple[Source, ...] = SOURCES, base: str = RAW, tell: Callable[[str], None] = print
) -> None:
    """Bring all sources into `folder`; what lies there already and is whole is not fetched again.

    Raises InputError for what can't be fetched, or is not what the figures were measured on; that file is not kept.
    """
    for source in sources:
        tell(f"{source.name}: {source.credit}")
        place = folder / source.name
        files = source.files()
        for number, (file, sha256) in enumerate(files.items(), 1):
            if _bring(source.address(file, base), _place(place, file), sha256):
                tell(f"  {number} of {len(files)}: {file}")
        for patient in sorted({Path(file).parent for file in files if file.endswith("/ct.csv")}):
            _write_patient(place / "as-published" / patient, place / patient.name)


def _place(folder: Path, file: str) -> Path:
    """Where a file goes: tables that become images lie apart from what `neckfrac` is to read."""
    if file.endswith(".csv"):
        return folder / "as-published" / file
    return folder / {"sub-ct_label-22_ct.nii.gz": "lumbar_crop_ct.nii.gz"}.get(file, file)


def _bring(address: str, place: Path, sha256: str) -> bool:
    """Fetch a file unless it is there; whether it was fetched."""
    if place.is_file() and hashlib.sha256(place.read_bytes()).hexdigest() == sha256:
        return False
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"It can't be fetched: {error}", where=address, advice="Try again; what is whole stays."
        ) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(
            "It is not the file that the figures were measured on: its SHA-256 differs.",
            where=address, advice="Do not use it; report it to the project.",
        )  # fmt: skip
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(place.name + ".part")
    part.write_bytes(content)
    part.replace(place)
    return True


def _write_patient(published: Path, place: Path) -> None:
    """A patient's tables as two images: ``_ct.nii.gz`` (HU), ``_oar.nii.gz`` (see STRUCTURES); old ones stay.

    A table lists voxels of a 128 x 128 x 128 array by their index in C order; its axes are y, x, z, the last downwards.
    Where the patient lay in the scanner is not published: the middle of the grid is (0, 0, 0).
    """
    import SimpleITK as sitk

    spacing = np.array([float(line) for line in (published / "voxel_dimensions.csv").read_text().split()])
    affine = np.diag([*spacing[:2], -spacing[2], 1.0])
    affine[:3, 3] = -affine[[0, 1, 2], [0, 1, 2]] * GRID / 2
    hu = np.full(GRID**3, -OUTSIDE, np.int16)
    organs = np.zeros(GRID**3, np.uint8)
    for index, value in _voxels(published / "ct.csv"):
        hu[index] = round(value) - OUTSIDE
    for label, name in enumerate(STRUCTURES, 1):
        if (published / f"{name}.csv").is_file():
            organs[[index for index, _ in _voxels(published / f"{name}.csv")]] = label
    for ending, values in (("ct", hu), ("oar", organs)):
        target = place.with_name(f"{place.name}_{ending}.nii.gz")
        if not target.exists():
            array = np.ascontiguousarray(values.reshape(GRID, GRID, GRID).transpose(2, 0, 1))
            part = target.with_name(f".part-{target.name}")
            sitk.WriteImage(to_image(CTVolume(array, affine)), str(part))
            part.replace(target)


def _voxels(table: Path) -> Iterator[tuple[int, float]]:
    """Index and value of each voxel that a table lists; the value of a mask's is empty, and 1 here."""
    rows = csv.reader(io.StringIO(table.read_text(encoding="ascii")))
    next(rows)  # the heading
    return ((int(float(index)), float(value or 1)) for index, value in rows)
