"""Which device the networks run on."""

from __future__ import annotations

from ..errors import InputError

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str = "auto"):
    """The torch.device for auto, cpu, cuda or mps. Raises InputError when it is not there."""
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = "cuda" if available["cuda"] else "cpu"
    if name not in available:
        raise InputError(f"There is no device {name!r}.", advice=f"Choose {', '.join(DEVICES)}.")
    if not available[name]:
        raise InputError(f"This machine has no {name} device that PyTorch can use.", advice="Choose auto or cpu.")
    return torch.device(name)


def reduced_precision(device):
    """A context in which networks may use bfloat16: on a GPU, and on processors that multiply it in hardware.

    Elsewhere it is emulated and slower than float32.
    """
    import torch

    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=has_bfloat16(device))


def has_bfloat16(device) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    import torch

    if device.type != "cpu":
        return device.type == "cuda"
    checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)
