"""What a bundle can be for: a step of the spine, or a kind of member of the fracture ensemble.

The kinds of members are the modules of `neckfrac.members`. They are listed without being imported, for those bring
PyTorch, which what only reads a bundle's metadata does not need.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from ..anatomy import CLASS_NAMES, LEVEL_NAMES
from .tensors import tensor

SPINE = ("locate", "segment")  # steps with one network each, which outline and name vertebrae
SPINE_TITLES = {"locate": "Locate C1 to C7 on a 2 mm grid", "segment": "Segment C1 to C7 in axial slices"}
SEGMENT_CLASSES = ("background", *LEVEL_NAMES, "other bone")
MEMBERS = "neckfrac.members"


def known_steps() -> tuple[str, ...]:
    """Every step that this NeckFrac knows: those of the spine, then the kinds of members by name."""
    return (*SPINE, *sorted(_member_files()))


def _member_files() -> dict[str, Path]:
    folders = find_spec(MEMBERS).submodule_search_locations
    files = [file for folder in folders for file in Path(folder).glob("*.py")]
    return {file.stem: file for file in files if not file.stem.startswith("_")}


def place_of(step: str) -> tuple[int, str]:
    """A key to sort bundles by their steps: those of the spine first."""
    return (SPINE.index(step) if step in SPINE else len(SPINE), step)


@cache
def member_module(step: str) -> ModuleType:
    """The module of a kind of member. Raises ValueError for a step that is none."""
    if step in SPINE or step not in known_steps():
        raise ValueError(f"no kind of member is called {step!r}")
    return import_module(f"{MEMBERS}.{step}")


def title_of(step: str) -> str:
    """What a network of a step does, in a line: a member's TITLE, read from its module without importing that."""
    if step in SPINE_TITLES:
        return SPINE_TITLES[step]
    for node in ast.parse(_member_files()[step].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "TITLE":
            return ast.literal_eval(node.value)
    raise ValueError(f"the module of the member {step!r} has no TITLE")


def data_format(step: str, network_config: dict[str, Any]) -> dict[str, Any]:
    """The network's tensors in MONAI's terms (channel first, batch left out)."""
    if step not in SPINE:
        return member_module(step).data_format(network_config)
    if step == "locate":
        image = tensor("image", ["*", "*", "*"], {0: "(HU clipped to -300...1500 - 200) / 500, 2 mm, [z, y, x]"})
        prediction = tensor("image", ["*", "*", "*"], dict(enumerate(CLASS_NAMES)), "labels")
    else:
        neighbours = network_config.get("neighbours", 2)
        channels = [f"slice {offset:+d}, (HU clipped - 200) / 500" for offset in range(-neighbours, neighbours + 1)]
        n_prior = network_config.get("n_prior", len(SEGMENT_CLASSES))
        channels += [f"located probability of {part}" for part in SEGMENT_CLASSES[:n_prior]]
        image = tensor("image", ["*", "*"], dict(enumerate(channels)))
        prediction = tensor("image", ["*", "*"], dict(enumerate(SEGMENT_CLASSES)), "labels")
    return {"inputs": {"image": image}, "outputs": {"logits": prediction}}
