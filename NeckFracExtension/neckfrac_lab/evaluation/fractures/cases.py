"""Studies whose fractures are known: simulated anew, or read from folders that `neckfrac simulate` wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from neckfrac.anatomy import LEVEL_NAMES, LEVELS, T1
from neckfrac.comparison.scoring import span
from neckfrac.errors import InputError
from neckfrac.findings import Box, StudyIdentity

from .boxes import Marked
from .visibility import visibility

if TYPE_CHECKING:
    from neckfrac.intake.study import Study

    from neckfrac_lab.simulate.neck import Neck
    from neckfrac_lab.simulate.study import SimulatedStudy

# [z, y, x]: 160 mm hold C1 to T1 of most people, 120 mm the neck without its shoulders.
STUDY_SHAPE, STUDY_SPACING = (160, 200, 200), (1.0, 0.6, 0.6)
# Far from every seed of training and of the other evaluations: of the studies, and of the built-in necks.
FIRST_SEED, FIRST_NECK = 7_000_000, 7_000_000
PEOPLE = 12  # built-in necks, each posed, scanned and worn in many ways
MIMICKED = 0.5  # share of studies with a harmless look-alike, fractured or not
LEAST_ML = 0.015  # of a fracture within the scan, from which its level counts as fractured
LEAST_SHARE = 0.5  # of a level within the scan, from which it counts as in view


@dataclass(frozen=True, eq=False)
class Known:
    """A study and what is true of it.

    levels: True, False or None (not in view, or not known) for each of C1...C7. patient: the same of the whole study.
    boxes: of the fractures, () when there are none and None when nobody marked them. strata: into which group the
    study falls; level_strata: the same of single levels. labels: true labels [z, y, x] with T1, or None; shares: of
    each level in view; fracture: uint8 [z, y, x], the label of the level that is broken there, or None.
    """

    study: Study
    levels: dict[str, bool | None]
    patient: bool | None
    boxes: tuple[Marked, ...] | None = None
    strata: dict[str, str] = field(default_factory=dict)
    level_strata: dict[str, dict[str, str]] = field(default_factory=dict)
    labels: np.ndarray | None = None
    shares: dict[str, float] = field(default_factory=dict)
    fracture: np.ndarray | None = None


@dataclass(frozen=True)
class Case:
    """A study that is simulated or read only when it is needed; name: its own among all cases.

    grafted: whether simulated fractures were put into a CT that was given.
    """

    name: str
    read: Callable[[], Known]
    grafted: bool = False


def simulated_cases(
    count: int, *, seed: int = 0, anatomy: Path | None = None, shape: tuple[int, int, int] = STUDY_SHAPE,
    spacing: tuple[float, float, float] = STUDY_SPACING, build: Callable[[int], Neck] | None = None,
) -> Iterator[Case]:  # fmt: skip
    """`count` studies that no training saw, every other one fractured; the same seed gives the same studies.

    Each person is met twice in a row, once fractured and once not, so that nobody's anatomy tells.
    anatomy: a folder of meshes that all people come from, instead of the built-in necks. build: the neck of a
    person's number, instead of either. Raises InputError for no study at all.
    """
    if count < 1:
        raise InputError("There must be at least one study.", advice="Give --studies 1 or more.")
    people = PEOPLE if anatomy is None else 1
    person = _People(build or partial(_person, seed=seed, anatomy=anatomy))
    for n in range(count):
        read = partial(_simulate, n, seed, partial(person, n // 2 % people), shape, spacing)
        yield Case(f"simulated-{seed}-{n:05d}", read)


class _People:
    """Necks by their numbers, each built once; other processes, too, can be sent to build theirs."""

    def __init__(self, build: Callable[[int], Neck]) -> None:
        self.build, self.built = build, {}

    def __call__(self, number: int) -> Neck:
        if number not in self.built:
            self.built[number] = self.build(number)
        return self.built[number]


def _person(number: int, *, seed: int, anatomy: Path | None) -> Neck:
    from neckfrac_lab.simulate.command import neck_of

    return neck_of(anatomy, FIRST_NECK + 1000 * seed + number)


def _simulate(n: int, seed: int, person: Callable[[], Neck], shape, spacing) -> Known:
    from neckfrac.intake.study import Study

    from neckfrac_lab.simulate.export import truth_of

    study = simulated_study(n, seed, person(), shape, spacing)
    identity = StudyIdentity(source="simulated CT")
    result = known(Study(study.volume, identity), truth_of(study), study.labels, study.fracture)
    if study.fracture.any():
        seen = visibility(study, simulated_study(n, seed, person(), shape, spacing, intact=True))
        for level, told in seen.items():
            if result.levels[level]:
                result.level_strata[level]["visibility"] = told
    return result


def simulated_study(n: int, seed: int, neck: Neck, shape, spacing, *, intact: bool = False) -> SimulatedStudy:
    """A person in any pose, state of wear and scanner; fractured when n is even, with levels and kinds as often as
    they occur. Look-alikes are as common in both, so that they tell nobody which studies are fractured.

    intact: the same scan of the same person without the fractures."""
    from neckfrac_lab.simulate.fractures.fracture import draw_fractured_levels, random_fracture, random_mimic
    from neckfrac_lab.simulate.study import Grid, Variation, simulate_study
    from neckfrac_lab.simulate.variety.draw import draw_variety

    own = FIRST_SEED + 100_000 * seed + n
    generator = np.random.default_rng([13, own])
    variety = draw_variety(neck, generator, Variation())
    neck = variety.neck
    levels = draw_fractured_levels(generator) if n % 2 == 0 else []
    fractures = [] if intact else [random_fracture(level, neck.frames[level], seed=own) for level in levels]
    mimics = list(variety.mimics)
    if generator.random() < MIMICKED:
        level = str(generator.choice([name for name in LEVEL_NAMES if name not in levels] or LEVEL_NAMES))
        mimics.append(random_mimic(level, neck.frames[level], seed=own))
    grid = Grid(shape, spacing, ("C4", (0.0, 12.0, 0.0)))
    return simulate_study(neck, seed=own, grid=grid, fractures=fractures, mimics=mimics, variation=variety.variation)


def folder_cases(folder: Path) -> Iterator[Case]:
    """The studies in a folder, or in the folders in it, as `neckfrac simulate` writes them (ct.nrrd, truth.json).

    Raises InputError when there is none.
    """
    from neckfrac.truth import read_truth

    from neckfrac_lab.simulate.export import TRUTH
    from neckfrac_lab.simulate.graft import SOURCE as GRAFTED

    folder = Path(folder)
    found = sorted(path.parent for path in [folder / TRUTH, *folder.glob(f"*/{TRUTH}")] if path.is_file())
    if not found:
        raise InputError(
            "There is no study whose fractures are known.",
            where=folder,
            advice="Give a folder that neckfrac simulate wrote, or a folder of such folders.",
        )
    for place in found:
        yield Case(place.name, partial(_read, place), read_truth(place / TRUTH).get("source") == GRAFTED)


def _read(folder: Path) -> Known:
    from neckfrac.intake.study import read_study
    from neckfrac.truth import read_truth

    from neckfrac_lab.simulate.export import CT, FRACTURE, LABELS, TRUTH

    study = read_study(folder / CT)
    labels, fracture = (_labels(folder / name, study.volume.shape) for name in (LABELS, FRACTURE))
    return known(study, read_truth(folder / TRUTH), labels, fracture)


def _labels(path: Path, shape: tuple[int, int, int]) -> np.ndarray | None:
    """Labels on the CT's own voxels, or None when there is no such file. Raises InputError for another grid."""
    from neckfrac.intake.files import read_stored
    from neckfrac.intake.labels import whole_numbers
    from neckfrac.progress import Progress

    if not path.exists():
        return None
    array = whole_numbers(read_stored(path, Progress())[0].voxels)
    if array.shape != shape:
        raise InputError("The true labels do not lie on the CT's voxels.", where=path)
    return array


def known(study: Study, truth: dict[str, Any], labels: np.ndarray | None, fracture: np.ndarray | None) -> Known:
    """What `truth` (see `simulate.export.truth_of`) says of a study, and which groups it falls into."""
    levels: dict[str, bool | None] = {}
    boxes, shares = [], {}
    for level in LEVELS:
        told = truth["levels"][level.name]
        shares[level.name] = float(told["share_in_view"])
        broken = bool(told["fracture"])
        if broken and fracture is not None:
            voxel_ml = float(np.prod(study.volume.spacing)) / 1000
            broken = np.count_nonzero(fracture == level.label) * voxel_ml >= LEAST_ML
        drawn = any(item["level"] == level.name for item in truth.get("fractures", ()))
        # A fracture that hardly lies within the scan makes its level neither broken nor intact.
        levels[level.name] = True if broken else None if drawn or shares[level.name] < LEAST_SHARE else False
        if broken:
            box = Box(tuple(told["box"]["lower"]), tuple(told["box"]["upper"]))
            boxes.append(Marked(box, level.name))
    hidden = bool(truth.get("fractures")) and not boxes
    return Known(
        study, levels, True if boxes else None if hidden else False, tuple(boxes), strata_of_study(truth),
        {name: strata_of_level(truth, name) for name in LEVEL_NAMES},
        None if labels is None else np.where(labels <= T1, labels, 0), shares, fracture,
    )  # fmt: skip


# --- groups -------------------------------------------------------------------------------------


def strata_of_study(truth: dict[str, Any]) -> dict[str, str]:
    """Pose (by 10 degrees about each axis), scanner, field of view and hardware of a simulated study.

    Of a given CT that fractures were grafted into nothing of that is known.
    """
    if "scanner" not in truth:
        return {}
    scanner, turn = truth["scanner"], truth["pose"]["rotation_degrees"]
    cut = [side for side in ("above", "below") if scanner[f"cut_{side}"]]
    field_of_view = f"cut from {' and '.join(cut)}" if cut else "round" if scanner["round"] else "whole"
    kernel = "sharp" if scanner["sharpening"] else "soft" if scanner["blur"] >= 0.8 else "standard"
    implants = any("hu" in item for item in truth.get("hardware", ()))
    metal = "implants" if implants else "fillings" if truth["tissue"]["fillings"] else "none"
    return {
        **{
            f"tilt, {axis}": span(abs(angle), (10.0, 20.0, 30.0), "degrees")
            for axis, angle in zip(("pitch", "roll", "yaw"), turn, strict=True)
        },
        "slice thickness": span(scanner["slice_thickness"], (1.5, 3.0), "mm"),
        "noise": span(scanner["noise"], (20.0, 40.0), "HU"),
        "kernel": kernel,
        "field of view": field_of_view,
        "metal": metal,
    }


def strata_of_level(truth: dict[str, Any], level: str) -> dict[str, str]:
    """A fracture's kind and severity, or for an intact level the look-alike that it has ("none")."""
    broken = [item for item in truth.get("fractures", ()) if item["level"] == level]
    if not broken:
        mimics = [item["kind"] for item in truth.get("mimics", ()) if item["level"] == level]
        return {"look-alike": mimics[0] if mimics else "none"}
    worst = max(float(item["parameters"].get("severity", 0.0)) for item in broken)
    severity = ("slight", "middling", "severe")[min(int(3 * worst), 2)]
    return {"fracture kind": broken[0]["kind"], "severity": severity}
