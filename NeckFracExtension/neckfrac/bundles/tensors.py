"""A network's tensors in the terms of MONAI's bundle schema."""

from __future__ import annotations

from typing import Any


def numbered(what: str, count: int) -> dict[int, str]:
    """Channels that are neighbours: the middle one is +0."""
    return {number: f"{what} {number - count // 2:+d}" for number in range(count)}


def heat_map(resolution: str, of: str = "") -> dict[str, Any]:
    """A member's heat map; resolution: its share of that of the images, "1/2". of: which these are, " of ..."."""
    return tensor("image", ["*", "*", "*"], {0: f"fractured here, at {resolution} of the resolution{of}"}, "classes")


def finest_stage(network_config: dict[str, Any]) -> str:
    """The resolution of a `CompactResNet`'s finest feature map, "1/2": its last three stages are used."""
    return f"1/{2 ** (len(network_config.get('widths', (16, 32, 64, 128))) - 3)}"


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
