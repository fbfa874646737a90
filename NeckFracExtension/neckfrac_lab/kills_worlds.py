"""The worlds of `kills`: a study, things of a user's, and a command that is run among them."""

from __future__ import annotations

import importlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MINE = "a user's"  # begins every text of a user's, no two of which are the same


@dataclass(frozen=True)
class World:
    """prepare(world, run): makes it. arguments(world): of the command. results(world): the folders that it writes."""

    prepare: Callable[[Path, Callable], None]
    arguments: Callable[[Path], list[str]]
    results: Callable[[Path], list[Path]]


def prepare_world(name: str, world: Path, run: Callable) -> None:
    """Make a world in a new folder; run(arguments, world) runs the command there."""
    for folder in ("in", "out", "tmp"):
        (world / folder).mkdir(parents=True)
    write_mine(world / "out" / "thesis" / "chapter.txt")
    write_mine(world / "out" / ".vscode-insiders" / "settings.json")
    write_mine(world / "tmp" / "neckfrac-mine" / "notes.txt")
    WORLDS[name].prepare(world, run)


def write_mine(path: Path) -> None:
    """A file of a user's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{MINE} {path.parent.name}/{path.name}")


def write_ct(path: Path, seed: int) -> Path:
    """A bright rod in a round of tissue: 24 x 32 x 32 voxels of 2 mm."""
    import SimpleITK as sitk

    rows, columns = np.mgrid[-16:16, -16:16]
    voxels = np.full((24, 32, 32), -1000, np.int16)
    voxels[:, np.hypot(rows, columns) < 14] = 40
    voxels[4:20, np.hypot(rows, columns) < 4] = 700
    voxels += np.random.default_rng(seed).integers(-20, 20, voxels.shape, dtype=np.int16)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((2.0, 2.0, 2.0))
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def use_stand_ins() -> None:
    """Quick stand-ins for the networks and for what is drawn: what is tried here is where and how it is written."""
    import neckfrac.output.pictures as pictures
    import neckfrac.output.report as report
    import neckfrac.pipeline.analyze as analyze

    for name in ("neckfrac.cli", "neckfrac.output.scene", "neckfrac.output.scene_file", "slicer"):
        importlib.import_module(name)  # once, before any process is forked

    from .stand_in_engine import StandInEngine

    analyze.Engine = StandInEngine
    pictures.panels = lambda analysis: np.zeros((64, 64, 3), np.uint8)
    pictures.overview = lambda analysis, picture: picture
    report.report = lambda analysis, picture: "<!doctype html><title>A stand-in for the report</title>\n"


def _new(world: Path, run: Callable) -> None:
    write_ct(world / "in" / "ct.nrrd", 1)


def _old(world: Path, run: Callable) -> None:
    """A result, to which the user has added notes and in which the scene was saved again."""
    _new(world, run)
    result = world / "out" / "result"
    _expect(run(["analyze", str(world / "in" / "ct.nrrd"), "-o", str(result), "--quiet"], world))
    write_mine(result / "notes" / "mine.txt")
    write_mine(result / "scene.mrb")
    write_ct(world / "in" / "ct.nrrd", 2)


def _zip(world: Path, run: Callable) -> None:
    ct = write_ct(world / "in" / "ct.nrrd", 1)
    with zipfile.ZipFile(world / "in" / "study.zip", "w") as archive:
        archive.write(ct, "study/ct.nrrd")
    ct.unlink()


def _batch(world: Path, run: Callable) -> None:
    """Two studies, one of which has a result with a user's notes and has changed; a folder of others in the way."""
    _new(world, run)
    results = world / "out" / "results"
    _expect(run(["batch", str(world / "in"), "-o", str(results), "--quiet"], world))
    write_mine(results / "ct" / "notes.txt")
    write_mine(results / "second" / "thesis.txt")
    write_mine(results / ".git" / "config")
    write_ct(world / "in" / "ct.nrrd", 2)
    write_ct(world / "in" / "second.nrrd", 3)


def _expect(answer: tuple[int, str, int]) -> None:
    if answer[0] != 0:
        raise RuntimeError(f"the world can't be made: {answer[1]}")


WORLDS = {
    "new": World(
        _new,
        lambda w: ["analyze", str(w / "in" / "ct.nrrd"), "-o", str(w / "out" / "deep" / "result"), "--quiet"],
        lambda w: [w / "out" / "deep" / "result"],
    ),
    "overwrite": World(
        _old,
        lambda w: ["analyze", str(w / "in" / "ct.nrrd"), "-o", str(w / "out" / "result"), "--overwrite", "--quiet"],
        lambda w: [w / "out" / "result"],
    ),
    "zip": World(
        _zip,
        lambda w: ["analyze", str(w / "in" / "study.zip"), "-o", str(w / "out" / "result"), "--quiet"],
        lambda w: [w / "out" / "result"],
    ),
    "batch": World(
        _batch,
        lambda w: ["batch", str(w / "in"), "-o", str(w / "out" / "results"), "--quiet"],
        lambda w: [w / "out" / "results" / "ct", w / "out" / "results" / "second-2"],
    ),
}
