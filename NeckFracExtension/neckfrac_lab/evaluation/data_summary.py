"""What a set of studies holds: patients, fractures by level and kind, boxes, thickness, kernel and size of scans."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from neckfrac import DISCLAIMER
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.errors import InputError
from neckfrac.progress import Progress

if TYPE_CHECKING:
    from neckfrac_lab.training.rsna import RSNAData

RESULT, FIGURE = "data-summary.json", "data-summary.png"
THICKNESS = (0.75, 1.25, 2.0, 3.0)  # mm, borders between the groups that are counted
UNKNOWN = "not stated"


@dataclass(frozen=True)
class StudySummary:
    """One study. fractured: levels; kinds: of simulated fractures; boxes: how many, None where nobody drew any.

    slices, size: of its images (rows, columns). thickness: mm from slice to slice. kernel: as the scanner names it, or
    of a simulated scan sharp, standard or soft. problem: why its images can't be read, or "".
    """

    name: str
    fractured: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    boxes: int | None = None
    segmented: bool = False
    slices: int = 0
    size: tuple[int, int] | None = None
    thickness: float | None = None
    kernel: str = UNKNOWN
    problem: str = ""


@dataclass(frozen=True)
class DataSummary:
    """All studies of a set. simulated: whether no patient is in it. absent: studies that are listed but not there."""

    studies: tuple[StudySummary, ...]
    simulated: bool
    absent: int = 0
    counts: dict[str, dict[str, int]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", _counts(self.studies))

    def to_dict(self) -> dict[str, Any]:
        boxes = [s.boxes for s in self.studies if s.boxes is not None]
        return {
            "note": DISCLAIMER,
            "simulated": self.simulated,
            "studies": len(self.studies),
            "absent": self.absent,
            "fractured": sum(bool(s.fractured) for s in self.studies),
            "with segmentation": sum(s.segmented for s in self.studies),
            "with boxes": sum(count > 0 for count in boxes),
            "boxes": sum(boxes),
            "counts": self.counts,
            "unreadable": {s.name: s.problem for s in self.studies if s.problem},
        }


def summarise_data(folder: Path, *, progress: Progress | None = None) -> DataSummary:
    """Read the headers of a set in the layout of RSNA 2022, or of a folder that `neckfrac simulate` wrote.

    Pixels are not read. Raises InputError when the folder holds neither.
    """
    from .fractures.rsna import is_rsna

    progress = progress or Progress()
    if is_rsna(folder):
        from neckfrac_lab.training.rsna import RSNAData

        data = RSNAData(folder)
        return DataSummary(tuple(_rsna_studies(data, progress)), data.simulated, data.absent)
    return DataSummary(tuple(_simulated_studies(Path(folder), progress)), True)


def _rsna_studies(data: RSNAData, progress: Progress) -> Iterator[StudySummary]:
    from neckfrac_lab.training.rsna import IMAGES, PATIENT

    for number, (uid, labels) in enumerate(data.labels.items()):
        progress.step(number / len(data.labels))
        known = {
            "fractured": tuple(name for name in LEVEL_NAMES if labels[name]),
            "boxes": data.box_count(uid) if labels[PATIENT] else 0,
            "segmented": data.has_segmentation(uid),
        }
        yield _with_images(StudySummary(uid, **known), data.folder / IMAGES / uid)


def _with_images(study: StudySummary, folder: Path) -> StudySummary:
    """What the first readable slice tells, and the distance to the slice beside it."""
    from dataclasses import replace

    import pydicom

    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    headers = []
    for path in files[len(files) // 2 :][:2] or files[:1]:  # two neighbours from the middle
        try:
            headers.append(pydicom.dcmread(path, stop_before_pixels=True, force=False))
        except (OSError, pydicom.errors.InvalidDicomError) as error:
            return replace(study, slices=len(files), problem=f"{path.name}: {error}")
    if not headers:
        return replace(study, problem="it holds no image")
    first = headers[0]
    kernel = first.get("ConvolutionKernel", UNKNOWN) or UNKNOWN
    kernel = kernel if isinstance(kernel, str) else "\\".join(map(str, kernel))
    return replace(
        study,
        slices=len(files),
        size=(int(first.get("Rows", 0)), int(first.get("Columns", 0))),
        thickness=_distance(headers),
        kernel=kernel,
    )


def _distance(headers: list[Any]) -> float | None:
    """mm between two slices whose numbers are neighbours, else the thickness that is stated; None without either."""
    if len(headers) == 2 and all("ImagePositionPatient" in h and "InstanceNumber" in h for h in headers):
        apart = abs(int(headers[0].InstanceNumber) - int(headers[1].InstanceNumber))
        places = [np.array(h.ImagePositionPatient, float) for h in headers]
        if apart and (distance := float(np.linalg.norm(places[0] - places[1])) / apart):
            return distance
    stated = headers[0].get("SliceThickness")
    return float(stated) if stated else None


def _simulated_studies(folder: Path, progress: Progress) -> Iterator[StudySummary]:
    """Of a folder, or the folders in it, with ct.nrrd and truth.json."""
    import SimpleITK as sitk
    from neckfrac.truth import read_truth

    from neckfrac_lab.simulate.export import CT, LABELS, TRUTH

    from .fractures.cases import strata_of_study

    found = sorted(path.parent for path in [folder / TRUTH, *folder.glob(f"*/{TRUTH}")] if path.is_file())
    if not found:
        raise InputError(
            "There is no set of studies here.", where=folder,
            advice="Give a folder in the layout of RSNA 2022 (train.csv), or one that neckfrac simulate wrote.",
        )  # fmt: skip
    for number, place in enumerate(found):
        progress.step(number / len(found))
        truth = read_truth(place / TRUTH)
        known = {
            "fractured": tuple(name for name in LEVEL_NAMES if truth["levels"][name]["fracture"]),
            "kinds": tuple(item["kind"] for item in truth.get("fractures", ())),
            "boxes": sum(bool(told["box"]) for told in truth["levels"].values()),
            "segmented": (place / LABELS).exists(),
            "kernel": strata_of_study(truth).get("kernel", UNKNOWN),
            "thickness": truth["scanner"]["slice_thickness"] if "scanner" in truth else None,
        }
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(place / CT))
        try:
            reader.ReadImageInformation()
        except RuntimeError:
            yield StudySummary(place.name, **known, problem=f"{CT} can't be read")
            continue
        columns, rows, slices = reader.GetSize()
        yield StudySummary(place.name, **known, slices=slices, size=(rows, columns))


def _counts(studies: tuple[StudySummary, ...]) -> dict[str, dict[str, int]]:
    """How many studies fall into each group, by what is grouped; groups in their order, without empty ones."""
    levels = Counter(name for study in studies for name in study.fractured)
    kinds = Counter(kind for study in studies for kind in study.kinds)
    per_patient = Counter(len(study.fractured) for study in studies)
    thickness = Counter(_group(study.thickness) for study in studies)
    kernels = Counter(study.kernel for study in studies)
    sizes = Counter("x".join(map(str, study.size)) if study.size else UNKNOWN for study in studies)
    borders = [*(_group(value - 1e-6) for value in THICKNESS), _group(THICKNESS[-1]), UNKNOWN]
    return {
        "fractured levels": {name: levels[name] for name in LEVEL_NAMES},
        "fractured levels of a study": {str(n): per_patient[n] for n in sorted(per_patient)},
        **({"kind of simulated fracture": dict(kinds.most_common())} if kinds else {}),
        "slice distance": {name: thickness[name] for name in borders if thickness[name]},
        "kernel": dict(kernels.most_common()),
        "rows x columns": dict(sizes.most_common()),
    }


def _group(thickness: float | None) -> str:
    if thickness is None:
        return UNKNOWN
    below = [border for border in THICKNESS if border <= thickness]
    above = [border for border in THICKNESS if border > thickness]
    if not below:
        return f"less than {above[0]:g} mm"
    return f"{below[-1]:g} to {above[0]:g} mm" if above else f"{below[-1]:g} mm and more"


def write_summary(summary: DataSummary, out: Path) -> tuple[Path, Path]:
    """data-summary.json and data-summary.png in a folder; their paths. Raises InputError without matplotlib."""
    from .figure import load_matplotlib

    draw = load_matplotlib()
    out.mkdir(parents=True, exist_ok=True)
    (out / RESULT).write_text(json.dumps(summary.to_dict(), indent=1) + "\n", encoding="utf-8")
    figure = draw(figsize=(10.5, 6.2), layout="constrained")
    figure.suptitle(f"{len(summary.studies)} studies" + (", simulated" if summary.simulated else ""), fontsize=11)
    panels = list(summary.counts.items())
    grid = figure.subplots(2, (len(panels) + 1) // 2, squeeze=False)
    for axes, panel in zip(grid.flat, [*panels, *[None] * (grid.size - len(panels))], strict=True):
        if panel is None:
            axes.axis("off")
            continue
        title, counts = panel
        shown = dict(list(counts.items())[:12])
        bars = axes.barh(list(shown), list(shown.values()), color="#0072B2")
        axes.bar_label(bars, fontsize=7, padding=2)
        axes.invert_yaxis()
        axes.set_title(title + (f" (12 of {len(counts)})" if len(counts) > 12 else ""), fontsize=9)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.15)
    figure.savefig(out / FIGURE, dpi=130)
    return out / RESULT, out / FIGURE
