"""A network's tensors in the terms of MONAI's bundle schema."""

from __future__ import annotations

from typing import Any


def numbered(what: str, count: int) -> dict[int, str]:
    """Channels that are neighbours: the middle one is +0."""
    return {number: f"{what} {number - count // 2:+d}" for number in range(count)}


def tensor(kind: str, shape: list, channels: dict[int, str], form: str = "hounsfield") -> dict[str, Any]:
    """A tensor of CT; shape: "*" is any size. channels: what each holds. form: MONAI's word for the values."""
    return {
        "type": kind,
        "format": form,
        "modality": "CT",
        "num_channels": len(channels),
        "spatial_shape": shape,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": kind == "image",
        "channel_def": {str(number): name for number, name in channels.items()},
    }
