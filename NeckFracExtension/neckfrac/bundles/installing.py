"""Add a bundle from a file, remove one: whole or not at all, and nothing that could run code gets in."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from ..errors import InputError
from ..progress import Progress
from .bundle import KEPT, METADATA, RESTORE, Bundle, claimed_bundle, list_bundles, load_bundle, put_bundle_in_place
from .library import SPINE, Entry, installed, model_folders, survey, weights_of

PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".ts", ".bin", ".ckpt", ".joblib")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_TRUST = "Use only bundles from a source you trust; this one was not added."


class Taken(InputError):
    """A bundle of that name, or of that step of the spine, is there already."""


def add_bundle(
    source: Path | str,
    models_dir: Path | str | None = None,
    *,
    replace: bool = False,
    progress: Progress | None = None,
) -> Bundle:
    """Put the bundle in a zip file or a folder into `models_dir`, or into the user's folder, and return it.

    Only what a bundle needs is copied; the copy is verified (SHA-256, the network is built and takes the weights)
    before it gets its place. Raises InputError for a file that is no bundle or a damaged one, for pickled weights, an
    archive that leads out of itself and an unknown step; Taken for a name or a step of the spine that is taken already,
    unless `replace`.
    """
    from ..intake.archive import unpacked

    source, progress = Path(source).expanduser(), progress or Progress()
    folders = model_folders(models_dir)
    with ExitStack() as stack:
        if source.is_dir():
            given = source
        elif source.suffix.lower() == ".zip" and source.is_file():
            given = stack.enter_context(unpacked(source, progress))
        else:
            raise InputError("This is no bundle.", where=source, advice="Give a bundle's folder, or a zip of it.")
        folder = _bundle_in(given, source)
        bundle = load_bundle(folder)
        name = bundle.name
        if not isinstance(name, str) or len(name) > 64 or not _NAME.fullmatch(name):
            raise InputError(f"The bundle's name {name!r} can't be a folder's.", where=source, advice=_TRUST)
        replaced = _taken(bundle, folders) if not replace else None
        if replaced:
            raise Taken(
                f"There is {replaced} already.", where=source, advice="Add it with --replace to use this one instead."
            )
        progress.step(0.3)
        return _put_in_place(folder, folders[-1], name, bundle.step)


def remove_bundle(name: str, models_dir: Path | str | None = None) -> Path:
    """Delete the bundle `name` from `models_dir`, or from the user's folder; returns where it lay.

    What else its folder holds stays there; ensemble.json stays as it is. Raises InputError when there is none, when it
    comes with NeckFrac (leave it out of a run instead), and when no network would be left for its step of the spine,
    or none that finds fractures and counts.
    """
    folders = model_folders(models_dir)
    entries = [entry for entry in survey(models_dir) if name in (entry.name, Path(entry.folder).name)]
    removable = [entry for entry in entries if entry.own or models_dir is not None]
    if not entries:
        raise InputError(f"There is no bundle {name!r}.", where=folders[-1], advice="List them: neckfrac models list.")
    if not removable:
        raise InputError(
            f"{name} comes with NeckFrac and is not deleted.",
            where=entries[0].folder,
            advice="Leave it out of the analysis instead, or name its folder with --models.",
        )
    folder = Path(removable[-1].folder)
    _check_road_without(removable[-1], folders)
    try:
        _delete(folder)
    except OSError as error:
        raise InputError(
            f"The bundle can't be deleted: {error.strerror or error}.",
            where=folder,
            advice="Check who may write there.",
        ) from error
    return folder


def _bundle_in(given: Path, source: Path) -> Path:
    """The one bundle in a folder: itself, or a folder in it. Raises InputError, for pickles and links too."""
    from ..intake.file_kinds import check_file_kind

    found = [given] if (given / METADATA).is_file() else sorted(p.parents[1] for p in given.glob(f"*/{METADATA}"))
    if len(found) != 1:
        what = "There are several bundles here." if found else f"This is no bundle: it holds no {METADATA}."
        raise InputError(what, where=source, advice="Give the folder of one bundle, or a zip of it.")
    pickles = sorted(path.name for path in found[0].rglob("*") if path.suffix.lower() in PICKLES)
    if pickles:
        raise InputError(
            f"The bundle holds pickled files ({', '.join(pickles[:5])}), which can run code when they are read.",
            where=source,
            advice="Convert the weights to model.safetensors and leave the pickles out.",
        )
    for part in KEPT:
        if (found[0] / part).exists():
            check_file_kind(found[0] / part)
    if any((found[0] / part).is_symlink() for part in (*KEPT, "configs", "models", "docs")):
        raise InputError("The bundle holds a link.", where=source, advice=_TRUST)
    return found[0]


def _taken(bundle: Bundle, folders: Sequence[Path]) -> str:
    """What is there already that the bundle would replace, in words; "" when there is nothing."""
    for other in installed(folders):
        if other.name == bundle.name:
            return f"a bundle {other.name} (version {other.identity.version})"
        if other.step == bundle.step and bundle.step in SPINE:
            return f"a network for the step {bundle.step!r} ({other.name})"
    return ""


def _put_in_place(given: Path, into: Path, name: str, step: str) -> Bundle:
    """Copy, verify the copy, rename; in `into` it takes the place of its name and of its step of the spine."""
    target = into / name
    try:
        with claimed_bundle(target) as workspace:
            for part in KEPT:
                if (given / part).is_file():
                    (workspace.new / part).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(given / part, workspace.new / part)
            load_bundle(workspace.new).verify()
            others = [b.folder for b in list_bundles(into) if b.step == step and b.folder != target]
            put_bundle_in_place(workspace)
            for folder in others if step in SPINE else ():
                _delete(folder)
    except OSError as error:
        raise InputError(
            f"The bundle can't be added: {error.strerror or error}.", where=into, advice="Check who may write there."
        ) from error
    except InputError as error:
        if error.where is not None and Path(error.where) == target:
            raise
        # The copy is gone when this is read; what the user named is the source.
        raise InputError(error.what, where=given, advice=error.advice) from error
    return load_bundle(target)


def _delete(folder: Path) -> None:
    """Delete a bundle's files, the metadata first: what is half deleted is no damaged bundle, but none."""
    for part in KEPT:
        (folder / part).unlink(missing_ok=True)
    for part in sorted({str(Path(part).parent) for part in KEPT}, reverse=True):
        with suppress(OSError):  # something else lies there
            (folder / part).rmdir()


def _check_road_without(entry: Entry, folders: Sequence[Path]) -> None:
    """Raise InputError when the pipeline could not run without this bundle."""
    try:
        before = installed(folders)
    except InputError:
        return  # it can't be walked now; taking a bundle away makes nothing worse
    gone = Path(entry.folder)
    if all(bundle.folder != gone for bundle in before):
        return
    left = [b for folder in folders for b in list_bundles(folder) if b.folder != gone]
    if entry.step in SPINE and all(bundle.step != entry.step for bundle in left):
        raise InputError(
            f"{entry.name} is the only network for the step {entry.step!r}, without which nothing can be analysed.",
            where=gone,
            advice=f"Add another one with --replace instead. {RESTORE}",
        )
    weights = weights_of(folders)
    counting = [b for b in left if b.step not in SPINE and weights.get(b.name, 0.0) > 0]
    if entry.step not in SPINE and not counting and any(weights.get(b.name, 0.0) > 0 for b in before):
        raise InputError(
            f"{entry.name} is the only network that finds fractures and counts in the ensemble.",
            where=gone,
            advice="Add another one first, and weigh it: neckfrac train ensemble.",
        )
