"""The bundles that are installed: those that come with NeckFrac, and those that the user added.

An installation may be read-only, and an update replaces it whole. So what the user adds lies in a folder of the
user's own, the same one for the command line and for Slicer: ``$NECKFRAC_USER_MODELS``, else ``NeckFrac/Models`` where
the system keeps a user's data (``%LOCALAPPDATA%``; ``~/Library/Application Support``; ``$XDG_DATA_HOME`` or
``~/.local/share``). Of bundles with one name the user's counts; so does the user's network for a step of the spine, and
the user's ``ensemble.json`` if there is one.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..resources import resources_dir
from .bundle import METADATA, Bundle, find_bundle, list_bundles, load_bundle
from .steps import SPINE, place_of, title_of

ENSEMBLE_FILE = "ensemble.json"


def user_folder() -> Path:
    """Where the bundles lie that the user added; it need not exist."""
    if given := os.environ.get("NECKFRAC_USER_MODELS"):
        return Path(given).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        data = home / "Library" / "Application Support"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return data / "NeckFrac" / "Models"


def model_folders(models_dir: Path | str | None = None) -> tuple[Path, ...]:
    """The folders to look in, the later the stronger: `models_dir` alone, or the project's and then the user's."""
    if models_dir is not None:
        return (Path(models_dir),)
    return resources_dir() / "Models", user_folder()


def installed(folders: Sequence[Path]) -> list[Bundle]:
    """The bundles that count, in the order of the pipeline. Raises InputError for a damaged one.

    Of one name, and of a step of the spine, the last folder's. Two of a folder for one step of the spine are an error.
    """
    found: dict[str, Bundle] = {}
    for folder in folders:
        bundles = list_bundles(folder)
        for step in SPINE:
            if any(bundle.step == step for bundle in bundles):
                own = find_bundle(folder, step)
                found = {name: b for name, b in found.items() if b.step != step} | {own.name: own}
        found |= {bundle.name: bundle for bundle in bundles if bundle.step not in SPINE}
    return in_order(found.values())


def in_order(bundles: Iterable[Bundle]) -> list[Bundle]:
    """Bundles in the order of the pipeline, then by name."""
    return sorted(bundles, key=lambda bundle: (place_of(bundle.step), bundle.name))


def ensemble_file(folders: Sequence[Path]) -> Path:
    """The last folder's ``ensemble.json``; the first folder's when none has one."""
    there = [folder / ENSEMBLE_FILE for folder in folders if (folder / ENSEMBLE_FILE).is_file()]
    return there[-1] if there else folders[0] / ENSEMBLE_FILE


def stamp(folders: Sequence[Path]) -> str:
    """SHA-256 of all that says which networks are installed: another one once a bundle was added or removed."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted([*folder.glob("*/configs/*.json"), *folder.glob(ENSEMBLE_FILE)]):
            digest.update(str(path).encode("utf-8", "surrogateescape") + path.read_bytes())
    return digest.hexdigest()


def weights_of(folders: Sequence[Path]) -> dict[str, float]:
    """How much each member counts in the ensemble; empty when its file can't be read."""
    try:
        levels = json.loads(ensemble_file(folders).read_text(encoding="utf-8"))["levels"]
        return {name: float(member.get("weight", 1.0)) for name, member in levels.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


@dataclass(frozen=True)
class Entry:
    """A bundle for a list. weight: in the ensemble; None for the spine's. own: whether the user added it.

    checked: the weights' SHA-256 is the published one. error: why it can't be used; "" as far as nothing is known.
    """

    name: str
    folder: str
    own: bool
    step: str = ""
    title: str = ""
    version: str = ""
    weight: float | None = None
    sha256: str = ""
    license: str = ""
    trained_on: str = ""
    provenance: str = ""
    checked: bool = False
    error: str = ""


def survey(models_dir: Path | str | None = None, *, check: bool = True) -> list[Entry]:
    """Every bundle that lies in the folders, damaged ones and those that the user's replace too, with what is wrong.

    check: compare the weights with their SHA-256; no network is built, which would take seconds.
    """
    folders = model_folders(models_dir)
    weights, entries = weights_of(folders), []
    for number, folder in enumerate(folders):
        for path in sorted(folder.glob(f"*/{METADATA}")):
            if not path.parents[1].name.startswith("."):
                entries.append(_entry(path.parents[1], number > 0, weights, check))
    entries.sort(key=lambda entry: (place_of(entry.step), entry.name, entry.own))
    try:
        counting = {str(bundle.folder) for bundle in installed(folders)}
    except InputError:
        return entries  # a damaged one keeps all of them from being used; it tells so itself
    told = "Another bundle of the user's is used instead."
    return [e if e.folder in counting or e.error else replace(e, error=told) for e in entries]


def _entry(folder: Path, own: bool, weights: dict[str, float], check: bool) -> Entry:
    known: dict[str, Any] = {"name": folder.name, "folder": str(folder), "own": own}
    try:
        bundle = load_bundle(folder)
        identity = bundle.identity
        known |= {
            "name": identity.name,
            "step": identity.step,
            "title": title_of(identity.step),
            "version": str(identity.version),
            "weight": None if identity.step in SPINE else weights.get(identity.name, 0.0),
            "sha256": identity.sha256,
            "license": str(bundle.metadata.get("license", "")),
            "trained_on": str(identity.trained_on),
            "provenance": str(identity.provenance),
        }
        if check:
            bundle.check_weights()
    except InputError as error:
        return Entry(**known, error=str(error))
    return Entry(**known, checked=check)
