"""A training's whole state in one safetensors file: groups of tensors by prefix, and what is told of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

Weights = dict[str, torch.Tensor]


def write_checkpoint(path: Path, about: dict[str, Any], groups: dict[str, Weights]) -> None:
    """Write ``<group>.<name>`` tensors and `about`, whole or not at all."""
    from safetensors.torch import save_file

    tensors = {f"{group}.{name}": value for group, held in groups.items() for name, value in held.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    save_file(
        {name: value.detach().contiguous().clone() for name, value in tensors.items()},
        temporary,
        {"training": json.dumps(about)},
    )
    temporary.replace(path)


def read_checkpoint(path: Path, device: torch.device) -> tuple[dict[str, Any], dict[str, Weights]]:
    """(about, groups) of a checkpoint; groups that it lacks are empty. Raises SafetensorError or KeyError."""
    from safetensors import safe_open

    groups: dict[str, Weights] = {group: {} for group in ("network", "averaged", "best", "optimizer")}
    with safe_open(path, "pt", device=str(device)) as file:
        about = json.loads(file.metadata()["training"])
        for key in file.keys():  # noqa: SIM118 - not a dict
            group, name = key.split(".", 1)
            groups[group][name] = file.get_tensor(key)
    return about, groups


def read_about(path: Path) -> dict[str, Any]:
    """What a checkpoint tells of its training: step, history, schedule; of newer ones also best and split."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["training"])


def learned(path: Path) -> Weights:
    """The averaged weights that a checkpoint is exported with, on the CPU: the best measured, else the last."""
    _, groups = read_checkpoint(path, torch.device("cpu"))
    return groups["best"] or groups["averaged"]
