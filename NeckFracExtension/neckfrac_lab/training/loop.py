"""The training loop: AdamW, warm-up and cosine, an average of the weights, measured as it goes; it resumes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from neckfrac.errors import InputError
from neckfrac.pipeline.device import has_bfloat16
from neckfrac.progress import Progress
from torch import nn

from .cache import TENTH, Split
from .checkpoint import Weights, read_checkpoint, write_checkpoint
from .distributed import Ranks
from .logs import Log
from .validation import Validation


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn. steps: of the whole training, over all resumed parts."""

    steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warm_up: int = 100
    average: float = 0.998  # decay of the exponential moving average of the weights
    clip: float = 5.0  # largest norm of the gradient
    measure_every: int = 500  # steps between two measurements on held-out samples


class Trainer:
    """Trains one network; its whole state lies in one safetensors file and goes on from there.

    averaged: the running average of the weights. best: the averages that measured best on held-out samples, empty
    before the first measurement; best_at: their step, their loss and what it was measured on.
    split: who is held out; None: whom the checkpoint says. ranks: this process among those that train together.
    Raises InputError when the checkpoint belongs to another network or another split.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        checkpoint: Path,
        *,
        device: torch.device = torch.device("cpu"),
        split: Split | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.ranks = ranks or Ranks(device)
        self.device = self.ranks.device
        self.network = network.to(self.device)
        self.schedule, self.checkpoint, self.split = schedule, Path(checkpoint), split or TENTH
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        self.averaged: Weights = _copied(network.state_dict())
        self.best: Weights = {}
        self.best_at: dict[str, Any] = {}
        self.step = 0
        self.history: list[dict[str, float]] = []
        if self.checkpoint.exists():
            self._resume(split)
        # Waits for the other processes: none may write the checkpoint before all have read it.
        self._learner = self.ranks.shared(self.network)

    def fit(
        self,
        batches: Iterator[dict[str, torch.Tensor]],
        loss: Callable[[nn.Module, dict[str, torch.Tensor]], torch.Tensor],
        *,
        time_budget: float | None = None,
        progress: Progress | None = None,
        since: int = 0,
        until: int | None = None,
        every: int = 50,
        reduced: bool = True,
        validation: Validation | None = None,
        log: Log | None = None,
    ) -> bool:
        """Train until the last step or for `time_budget` seconds; saves either way. True when it is finished.

        loss(network, batch) gives the scalar to minimise; batches yields dicts of tensors without end.
        since, until: the first and last step of what is learned now; the whole schedule unless told otherwise. The
        average of the weights begins anew at the first: it would lag behind by what was learned before.
        reduced: bfloat16 where PyTorch thinks it safe, on devices that have it; it slows depthwise convolutions on a
        CPU down.
        validation: measured every `Schedule.measure_every` steps and at the last; may end the training early.
        """
        progress, reduced = progress or Progress(), reduced and has_bfloat16(self.device)
        began, last = time.monotonic(), self.schedule.steps if until is None else until
        running, counted = 0.0, 0

        def stops() -> bool:
            late = time_budget is not None and time.monotonic() - began > time_budget
            return self.ranks.agree(late or self._is_over(validation))

        self.network.train()
        while self.step < last and not stops():
            rate = self._learning_rate()
            running, counted = running + self._learn(next(batches), loss, rate, reduced, since), counted + 1
            at_end = self.step == last
            measures = validation is not None and (at_end or self.step % self.schedule.measure_every == 0)
            if (measures or at_end or self.step % every == 0) and self.ranks.first:
                told = {"step": self.step, "loss": running / counted, "seconds": time.monotonic() - began}
                if measures:
                    told["validation"] = self._measure(validation, reduced, progress)
                self.history.append(told)
                running, counted = 0.0, 0
                self.save()
                if log:
                    figures = {name: told[name] for name in ("loss", "validation") if name in told}
                    log(self.step, {**figures, "learning rate": rate})
            progress.step(self.step / self.schedule.steps)
        self.save()
        return self.step >= last or self.ranks.agree(self._is_over(validation))

    def _learn(self, batch: dict[str, torch.Tensor], loss: Callable, rate: float, reduced: bool, since: int) -> float:
        """One step; its loss."""
        batch = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=reduced):
            value = loss(self._learner, batch)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.schedule.clip)
        self.optimizer.step()
        self.step += 1
        self._average(self.step - since)
        return float(value.detach())

    def _measure(self, validation: Validation, reduced: bool, progress: Progress) -> float:
        """The loss of the averaged weights on held-out samples; they are kept when it is the least so far."""

        def measured(weights: Weights) -> float:
            return validation.measure(self.network, weights, self.device, progress, reduced=reduced)

        self.save()  # measuring may take longer than whoever waits for it
        value = measured(self.averaged)
        if self.best and self.best_at["on"] != validation.on:  # the cache has grown since
            self.best_at = {**self.best_at, "validation": measured(self.best), "on": validation.on}
        if not self.best or value < self.best_at["validation"]:
            self.best, self.best_at = _copied(self.averaged), {
                "step": self.step, "validation": value, "on": validation.on
            }  # fmt: skip
        return value

    def _is_over(self, validation: Validation | None) -> bool:
        return validation is not None and validation.is_over(self.history, self.best_at.get("step", 0))

    def averaged_network(self) -> nn.Module:
        """The network in eval mode with the averaged weights that measured best, or the last where none did."""
        self.network.load_state_dict(self.best or self.averaged)
        return self.network.eval()

    def save(self) -> None:
        """Write network, averages and optimizer state whole or not at all; of several processes the first does."""
        if not self.ranks.first:
            return
        optimizer = {
            f"{index}.{name}": torch.as_tensor(value)
            for index, state in self.optimizer.state_dict()["state"].items()
            for name, value in state.items()
        }
        about = {
            "step": self.step, "history": self.history, "schedule": asdict(self.schedule),
            "best": self.best_at, "split": asdict(self.split),
        }  # fmt: skip
        groups = {"network": self.network.state_dict(), "averaged": self.averaged, "best": self.best}
        write_checkpoint(self.checkpoint, about, {**groups, "optimizer": optimizer})

    def _resume(self, split: Split | None) -> None:
        from safetensors import SafetensorError

        try:
            about, groups = read_checkpoint(self.checkpoint, self.device)
            self.network.load_state_dict(groups["network"])
            self.averaged, self.best = groups["averaged"], groups["best"]
            state: dict[int, Weights] = {}
            for name, value in groups["optimizer"].items():
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
        # Checkpoints of before anything was measured have neither.
        self.best_at, self.split = about.get("best", {}), Split(**about.get("split", asdict(TENTH)))
        if split not in (None, self.split):
            raise InputError(
                f"It was trained as fold {self.split.fold} of {self.split.folds}, not of {split.folds}: it has seen "
                "people who would be held out now.",
                where=self.checkpoint,
                advice=f"Use --folds {self.split.folds}, or another folder of runs.",
            )

    def _learning_rate(self) -> float:
        schedule = self.schedule
        warm_up = min(1.0, (self.step + 1) / max(schedule.warm_up, 1))
        cosine = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * self.step / schedule.steps)).item())
        return schedule.learning_rate * warm_up * max(cosine, 0.01)

    @torch.no_grad()
    def _average(self, steps: int) -> None:
        # A short memory at first, or the random start would linger in the average.
        decay = min(self.schedule.average, (1 + steps) / (10 + steps))
        for name, value in self.network.state_dict().items():
            if value.dtype.is_floating_point:
                self.averaged[name].lerp_(value, 1 - decay)
            else:
                self.averaged[name].copy_(value)


def _copied(weights: Weights) -> Weights:
    return {name: value.detach().clone() for name, value in weights.items()}
