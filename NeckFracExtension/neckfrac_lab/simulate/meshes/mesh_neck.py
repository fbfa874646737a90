"""A folder of bone and muscle meshes (BodyParts3D) becomes a `Neck`, voxelised once and cached."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from neckfrac.anatomy import LEVEL_BY_NAME, OTHER_BONE, SKULL, T1, THORACIC
from neckfrac.errors import InputError
from neckfrac.progress import Progress

from ..neck import CHAIN, FIRST_MUSCLE, Bone, Neck, VertebraFrame
from ..voxelise import Mesh, crop_around, read_obj, signed_distance
from .landmarks import find_frames, find_joints
from .tissue import build_tissue

# Raised whenever the same meshes would give another Neck.
VERSION = 3
LICENSE = "CC BY-SA 2.1 Japan"
SOURCE = "BodyParts3D, (c) The Database Center for Life Science"

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")
_SKULL = re.compile(
    "sphenoid|nasal_bone|palatine|parietal|maxilla|zygomatic|lacrimal|temporal_bone|frontal_bone|ethmoid|occipital"
    "|vomer|nasal_concha"
)
# Bones below this height (mm under the middle of T5) are beyond every neck CT.
BELOW_T5 = 70.0


@dataclass(frozen=True)
class Part:
    """What one mesh file holds. kind: bone, disc, cartilage or muscle; label and segment as in `Bone`."""

    file: str
    name: str
    kind: str
    label: int = OTHER_BONE
    segment: str = ""
    spacing: float = 2.0


def _vertebra(name: str) -> Part | None:
    place = {"atlas": "C1", "axis": "C2"}.get(name)
    found = re.fullmatch(r"(\w+)_(cervical|thoracic)_vertebra", name)
    if found and found[1] in _ORDINALS:
        place = f"{found[2][0].upper()}{_ORDINALS.index(found[1]) + 1}"
    if place is None:
        return None
    label = LEVEL_BY_NAME[place].label if place in LEVEL_BY_NAME else T1 if place == "T1" else THORACIC
    return Part("", place, "bone", label, place if place in CHAIN else CHAIN[-1], 0.75 if label <= T1 else 1.0)


def _disc(name: str) -> Part | None:
    found = re.fullmatch(r"intervertebral_dis[ck]_of_(?:(\w+)_(cervical|thoracic)_vertebra|axis)", name)
    if not found:
        return None
    place = "C2" if found[1] is None else f"{found[2][0].upper()}{_ORDINALS.index(found[1]) + 1}"
    return Part("", place, "disc")


def classify(file: str) -> Part:
    """What a mesh is, from its file name (``FMA12519_Atlas.obj``). A disc is named after the vertebra above."""
    name = re.sub(r"^FMA\d+_|\.obj$", "", file).lower()
    part = _vertebra(name) or _disc(name)
    side = next((s for s in ("left", "right") if name.startswith(s)), "")
    rib = re.fullmatch(r"(?:left|right)_(\w+)_rib", name)
    if part is None and rib and rib[1] in _ORDINALS:
        level = f"T{_ORDINALS.index(rib[1]) + 1}"
        part = Part("", name.replace("_", " "), "bone", OTHER_BONE, level if level in CHAIN else CHAIN[-1], 1.5)
    if part is None and name.endswith("costal_cartilage"):
        part = Part("", name, "cartilage")
    if part is None and _SKULL.search(name):
        part = Part("", "skull", "bone", SKULL, "skull", 1.5)
    if part is None and name == "mandible":
        part = Part("", "mandible", "bone", OTHER_BONE, "skull", 1.25)
    if part is None and name == "hyoid_bone":
        part = Part("", "hyoid", "bone", OTHER_BONE, "C3", 1.0)
    if part is None and name in ("manubrium", "body_of_sternum"):
        part = Part("", "sternum", "bone", OTHER_BONE, "T3", 2.0)
    if part is None and re.fullmatch(r"(left|right)_(clavicle|scapula|humerus)", name):
        part = Part("", f"{side} {name.partition('_')[2]}", "bone", OTHER_BONE, "T1", 2.0)
    part = part or Part("", name, "muscle")
    return Part(file, part.name, part.kind, part.label, part.segment, part.spacing)


def load_mesh_neck(folder: Path, cache: Path | None = None, progress: Progress | None = None) -> Neck:
    """The neck in `folder`: ``manifest.csv`` (a column ``file``) and the meshes in ``obj_mm_LPS``, LPS mm.

    Voxelising takes minutes, so the result is kept as a NumPy archive: in the file `cache` when its name
    ends in ``.npz``, else in the folder `cache` (default ``~/.cache/neckfrac``) under a name made from
    the manifest's hash. An archive made from another manifest or version is made anew.
    Raises InputError when the folder or one of its meshes is missing or can't be read.
    """
    folder, progress = Path(folder), progress or Progress()
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise InputError(
            "There is no manifest.csv with a neck's meshes.",
            where=folder,
            advice="Give the folder that holds manifest.csv and obj_mm_LPS.",
        )
    key = hashlib.sha256(manifest.read_bytes() + f"|{VERSION}".encode()).hexdigest()[:16]
    cache = Path(cache) if cache is not None else Path.home() / ".cache" / "neckfrac"
    file = cache if cache.suffix == ".npz" else cache / f"neck-{key}.npz"
    neck = read_neck(file, key)
    if neck is None:
        neck = voxelise_neck(folder, progress)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_neck(neck, file, key)
    return neck


def voxelise_neck(folder: Path, progress: Progress) -> Neck:
    """Read every mesh that the manifest names and voxelise it; see `load_mesh_neck`."""
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as table:
        names = [row.get("file") or "" for row in csv.DictReader(table)]
    if not all(names) or not names:
        raise InputError("The list of meshes needs a file name in each row's column 'file'.", where=table.name)
    parts: dict[tuple[str, str], list[tuple[Part, Mesh]]] = {}
    with progress.stage("Reading meshes", 0.05):
        for number, name in enumerate(sorted(names)):
            path = folder / "obj_mm_LPS" / name
            if not path.is_file():
                raise InputError("A mesh that the manifest names is missing.", where=path)
            part = classify(name)
            parts.setdefault((part.kind, part.name), []).append((part, read_obj(path)))
            progress.step(number / len(names))
    of_kind = {
        kind: {name: [mesh for _, mesh in found] for (k, name), found in parts.items() if k == kind}
        for kind in ("bone", "disc", "cartilage", "muscle")
    }
    lowest = of_kind["bone"].get(CHAIN[-1])
    floor = None if lowest is None else float(np.concatenate([m.vertices for m in lowest])[:, 2].mean()) - BELOW_T5
    bones: dict[str, Bone] = {}
    with progress.stage("Voxelising bones", 0.6):
        for number, (name, meshes) in enumerate(of_kind["bone"].items()):
            part = parts["bone", name][0][0]
            kept = [m for m in meshes if floor is None or m.vertices[:, 2].max() > floor]
            if kept:
                grid = crop_around(kept, part.spacing, None if floor is None else floor - 10)
                distance = signed_distance(kept, grid, part.spacing if part.label <= THORACIC else 0.0)
                bones[name] = Bone(name, distance, grid.origin, grid.spacing, part.label, part.segment)
            progress.step(number / len(of_kind["bone"]))
    with progress.stage("Finding landmarks", 0.65):
        frames = find_frames(of_kind["bone"], of_kind["disc"], bones)
        joints = find_joints(of_kind["bone"], of_kind["disc"], frames)
    with progress.stage("Building soft tissue", 1.0):
        tissue, body, grid = build_tissue(
            of_kind["bone"], of_kind["disc"], of_kind["cartilage"], of_kind["muscle"],
            frames, floor, FIRST_MUSCLE, progress,
        )
    return Neck(bones, joints, frames, tissue, body, grid.origin, grid.spacing, SOURCE, LICENSE)


def write_neck(neck: Neck, file: Path, key: str) -> None:
    """Keep a neck as a compressed NumPy archive: arrays as they are, everything else as one JSON text."""
    about = {
        "key": key,
        "bones": [
            {"name": b.name, "origin": b.origin, "spacing": b.spacing, "label": b.label, "segment": b.segment}
            for b in neck.bones.values()
        ],
        "joints": neck.joints,
        "frames": {name: asdict(frame) for name, frame in neck.frames.items()},
        "tissue_origin": neck.tissue_origin,
        "tissue_spacing": neck.tissue_spacing,
        "source": neck.source,
        "license": neck.license,
    }
    arrays = {f"bone_{i}": bone.distance for i, bone in enumerate(neck.bones.values())}
    partial = file.with_name(file.name + ".part")
    with partial.open("wb") as stream:
        np.savez_compressed(stream, about=np.array(json.dumps(about)), tissue=neck.tissue, body=neck.body, **arrays)
    partial.replace(file)


def _tuples(value: object) -> object:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def read_neck(file: Path, key: str | None = None) -> Neck | None:
    """A neck kept by `write_neck`; None when there is none, it can't be read, or it has another key."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            if key is not None and about["key"] != key:
                return None
            bones = {
                b["name"]: Bone(
                    b["name"], arrays[f"bone_{i}"], _tuples(b["origin"]), b["spacing"], b["label"], b["segment"]
                )
                for i, b in enumerate(about["bones"])
            }
            frames = {
                name: VertebraFrame(**{field: _tuples(value) for field, value in frame.items()})
                for name, frame in about["frames"].items()
            }
            joints = {name: _tuples(point) for name, point in about["joints"].items()}
            return Neck(
                bones, joints, frames, arrays["tissue"], arrays["body"], _tuples(about["tissue_origin"]),
                about["tissue_spacing"], about["source"], about["license"],
            )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
