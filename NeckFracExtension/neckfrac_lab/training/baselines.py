"""Whole-image classifiers on one mid-sagittal image, as a yardstick: is a neck broken, and at which level."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.errors import InputError
from neckfrac.networks.baselines import BASELINES
from neckfrac.pipeline.intensity import TISSUE_AND_BONE
from neckfrac.progress import Progress
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .batches import Batch, augment_hu
from .cache import SampleCache
from .loop import Schedule, Trainer

QUESTIONS = {"detection": ("whole", "fractured"), "level": LEVEL_NAMES}
IMAGE_SIZE = (88, 64)  # rows and columns of about 2 mm
BATCH = 16
STEPS = 300


def middle_image(sample: dict[str, np.ndarray]) -> np.ndarray:
    """The middle one of a sample's sagittal images, int16 [z, y]."""
    return sample["hu"][len(sample["hu"]) // 2]


def answer_to(question: str, sample: dict[str, np.ndarray]) -> int | None:
    """The class of a sample; None when the question is not asked of it: levels are, of one broken level alone."""
    broken = np.flatnonzero(sample["fractured"])
    if question == "detection":
        return int(len(broken) > 0)
    return int(broken[0]) if len(broken) == 1 else None


def read_examples(paths: list[Path], question: str) -> tuple[np.ndarray, np.ndarray]:
    """Images int16 [n, z, y] and classes int64 [n]."""
    images, classes = [], []
    for path in paths:
        sample = SampleCache.load(path)
        answer = answer_to(question, sample)
        if answer is not None:
            images.append(middle_image(sample))
            classes.append(answer)
    return np.array(images), np.array(classes, np.int64)


def as_input(images: np.ndarray) -> torch.Tensor:
    """HU [n, z, y] to float32 [n, 1, *IMAGE_SIZE]."""
    windowed = TISSUE_AND_BONE(torch.from_numpy(np.ascontiguousarray(images)))[:, None]
    return F.interpolate(windowed, size=IMAGE_SIZE, mode="bilinear", antialias=True, align_corners=False)


def baseline_batches(images: np.ndarray, classes: np.ndarray, generator: np.random.Generator) -> Iterator[Batch]:
    """image [16, 1, 88, 64] and target [16], each image a little brighter, noisier and shifted."""
    while True:
        chosen = generator.integers(len(images), size=BATCH)
        looks = [
            np.roll(augment_hu(images[n], generator), generator.integers(-6, 7, 2), axis=(0, 1)) for n in chosen
        ]
        yield {"image": as_input(np.stack(looks)), "target": torch.from_numpy(classes[chosen])}


def baseline_loss(network: nn.Module, batch: Batch) -> torch.Tensor:
    return F.cross_entropy(network(batch["image"]).float(), batch["target"])


def figures(shares: np.ndarray, truths: np.ndarray) -> dict[str, float | None]:
    """Accuracy, AUC (of several classes: the mean of one against the rest) and balanced accuracy (the mean over the
    classes that occur) of probabilities [n, classes]."""
    from neckfrac_lab.evaluation.metrics import auc

    said = shares.argmax(axis=1)
    found = [float((said[truths == one] == one).mean()) for one in np.unique(truths)]
    positives = [1] if shares.shape[1] == 2 else range(shares.shape[1])
    areas = [auc(shares[:, one], truths == one) for one in positives]
    areas = [area for area in areas if area is not None]
    return {
        "accuracy": float((said == truths).mean()),
        "auc": float(np.mean(areas)) if areas else None,
        "balanced accuracy": float(np.mean(found)),
    }


def train_baselines(
    runs: Path,
    *,
    steps: int | None = None,
    time_budget: float | None = None,
    device: torch.device = torch.device("cpu"),
    progress: Progress | None = None,
) -> dict[str, object]:
    """Train every baseline on both questions and measure it on held-out samples; also in ``runs/baselines.json``.

    time_budget: seconds, shared among what is not finished; run again, it goes on. Raises InputError when the cache
    of sagittal samples is missing, or too small to hold classes to learn and to ask.
    """
    progress = progress or Progress()
    cache = SampleCache(runs / "cache" / "sagittal")
    deadline = None if time_budget is None else time.monotonic() + time_budget
    jobs = [(question, name) for question in QUESTIONS for name in BASELINES]
    parts = [cache.paths(held_out=held) for held in (False, True)]
    examples = {question: [read_examples(paths, question) for paths in parts] for question in QUESTIONS}
    if any(len(np.unique(learnt[1])) < 2 or not len(asked[1]) for learnt, asked in examples.values()):
        raise InputError(
            "There are too few sagittal samples for the baselines.",
            where=cache.folder,
            advice="Make more of them first: neckfrac train cache-sagittal",
        )
    result: dict[str, object] = {"on": "simulated CT, one mid-sagittal image a neck", "steps": steps or STEPS}
    for question, classes in QUESTIONS.items():
        (images, truths), (asked, answers) = examples[question]
        table = {"majority class": majority(truths, answers, len(classes))}
        for name in BASELINES:
            done = jobs.index((question, name))
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0) / (len(jobs) - done)
            share = progress.part(done / len(jobs), (done + 1) / len(jobs))
            trainer = trainer_of(runs, question, name, len(classes), steps or STEPS, device)
            batches = baseline_batches(images, truths, np.random.default_rng([6, done, trainer.step]))
            # bfloat16 slows small and depthwise convolutions on a CPU down.
            finished = trainer.fit(batches, baseline_loss, time_budget=left, progress=share, reduced=False)
            measured = figures(probabilities(trainer.averaged_network(), asked, device), answers)
            table[name] = {**measured, "steps": trainer.step, "finished": finished}
        result[question] = {"trained on": len(truths), "asked": len(answers), "results": table}
    (runs / "baselines.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def trainer_of(runs: Path, question: str, name: str, classes: int, steps: int, device: torch.device) -> Trainer:
    torch.manual_seed(0)
    file = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
    schedule = Schedule(steps=steps, learning_rate=1e-3, warm_up=20, average=0.99)
    checkpoint = runs / "baselines" / f"{question}-{file}.safetensors"
    return Trainer(BASELINES[name](classes), schedule, checkpoint, device=device)


@torch.inference_mode()
def probabilities(network: nn.Module, images: np.ndarray, device: torch.device) -> np.ndarray:
    """[n, classes] of HU images [n, z, y]."""
    parts = [network(as_input(images[n : n + 64]).to(device)).float().softmax(dim=1) for n in range(0, len(images), 64)]
    return torch.cat(parts).cpu().numpy()


def majority(truths: np.ndarray, answers: np.ndarray, classes: int) -> dict[str, float | None]:
    """What always answering the commonest class of the training samples would score."""
    shares = np.zeros((len(answers), classes))
    shares[:, np.bincount(truths).argmax()] = 1
    return figures(shares, answers)


def as_tables(result: dict[str, object]) -> str:
    """Both tables as text, a network a line."""
    lines = []
    for question in QUESTIONS:
        part = result[question]
        lines += [f"{question}: {part['asked']} held-out simulated necks, {part['trained on']} to learn from"]
        lines += [f"{'':20}{'accuracy':>10}{'AUC':>8}{'balanced':>10}"]
        for name, row in part["results"].items():
            area = "-" if row["auc"] is None else f"{row['auc']:.3f}"
            unfinished = "" if row.get("finished", True) else f"  (unfinished: {row['steps']} steps)"
            lines += [f"{name:20}{row['accuracy']:>10.3f}{area:>8}{row['balanced accuracy']:>10.3f}{unfinished}"]
        lines += [""]
    return "\n".join(lines)
