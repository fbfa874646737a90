"""The training loop: AdamW, warm-up and cosine, an average of the weights, checkpoints that resume."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from ..errors import InputError
from ..progress import Progress


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn. steps: of the whole training, over all resumed parts."""

    steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warm_up: int = 100
    average: float = 0.998  # decay of the exponential moving average of the weights
    clip: float = 5.0  # largest norm of the gradient


class Trainer:
    """Trains one network; its whole state lies in one safetensors file and goes on from there.

    loss(network, batch) gives the scalar to minimise. batches yields dicts of tensors without end.
    """

    def __init__(
        self, network: nn.Module, schedule: Schedule, checkpoint: Path, *, device: torch.device = torch.device("cpu")
    ) -> None:
        self.network = network.to(device)
        self.schedule, self.checkpoint, self.device = schedule, Path(checkpoint), device
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        self.averaged = {name: value.detach().clone() for name, value in network.state_dict().items()}
        self.step = 0
        self.history: list[dict[str, float]] = []
        if self.checkpoint.exists():
            self._resume()

    def fit(
        self,
        batches: Iterator[dict[str, torch.Tensor]],
        loss: Callable[[nn.Module, dict[str, torch.Tensor]], torch.Tensor],
        *,
        time_budget: float | None = None,
        progress: Progress | None = None,
        until: int | None = None,
        every: int = 50,
        reduced: bool = True,
    ) -> bool:
        """Train until the last step or for `time_budget` seconds; saves either way. True when it is finished.

        until: stop at this step instead of the schedule's last.
        reduced: bfloat16 where PyTorch thinks it safe; it slows depthwise convolutions on a CPU down.
        """
        progress = progress or Progress()
        began, last = time.monotonic(), self.schedule.steps if until is None else until
        running, counted = 0.0, 0
        self.network.train()
        while self.step < last:
            if time_budget is not None and time.monotonic() - began > time_budget:
                break
            batch = {name: value.to(self.device, non_blocking=True) for name, value in next(batches).items()}
            for group in self.optimizer.param_groups:
                group["lr"] = self._learning_rate()
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=reduced):
                value = loss(self.network, batch)
            self.optimizer.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), self.schedule.clip)
            self.optimizer.step()
            self.step += 1
            self._average()
            running, counted = running + float(value.detach()), counted + 1
            if self.step % every == 0 or self.step == last:
                self.history.append(
                    {"step": self.step, "loss": running / counted, "seconds": time.monotonic() - began}
                )
                running, counted = 0.0, 0
                self.save()
            progress.step(self.step / self.schedule.steps)
        self.save()
        return self.step >= last

    def averaged_network(self) -> nn.Module:
        """The network with its averaged weights, in eval mode."""
        self.network.load_state_dict(self.averaged)
        return self.network.eval()

    def save(self) -> None:
        """Write network, averages and optimizer state whole or not at all."""
        from safetensors.torch import save_file

        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"averaged.{name}": value for name, value in self.averaged.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.checkpoint.with_suffix(".tmp")
        about = {"step": self.step, "history": self.history, "schedule": asdict(self.schedule)}
        save_file(
            {name: value.detach().contiguous().clone() for name, value in tensors.items()},
            temporary,
            {"training": json.dumps(about)},
        )
        temporary.replace(self.checkpoint)

    def _resume(self) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.checkpoint, "pt", device=str(self.device)) as file:
                about = json.loads(file.metadata()["training"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            self.network.load_state_dict(_below("network.", tensors))
            self.averaged = _below("averaged.", tensors)
            state: dict[int, dict[str, torch.Tensor]] = {}
            for name, value in _below("optimizer.", tensors).items():
                index, key = name.split(".", 1)
                state.setdefault(int(index), {})[key] = value
            if state:
                self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        except (SafetensorError, KeyError, RuntimeError, ValueError) as error:
            raise InputError(
                f"The checkpoint does not fit this network: {str(error).splitlines()[0]}",
                where=self.checkpoint,
                advice="Delete it to start anew, or train with the configuration it was made with.",
            ) from error
        self.step, self.history = about["step"], about["history"]

    def _learning_rate(self) -> float:
        schedule = self.schedule
        warm_up = min(1.0, (self.step + 1) / max(schedule.warm_up, 1))
        cosine = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * self.step / schedule.steps)).item())
        return schedule.learning_rate * warm_up * max(cosine, 0.01)

    @torch.no_grad()
    def _average(self) -> None:
        # A short memory at first, or the random start would linger in the average.
        decay = min(self.schedule.average, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            if value.dtype.is_floating_point:
                self.averaged[name].lerp_(value, 1 - decay)
            else:
                self.averaged[name].copy_(value)


def averaged(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The averaged weights of a checkpoint, on the CPU."""
    from safetensors.torch import load_file

    return _below("averaged.", load_file(checkpoint))


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
