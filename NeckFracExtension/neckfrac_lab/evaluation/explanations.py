"""Whether explanations explain: is the heat on the fracture, and does the answer hang on the hottest voxels?

Two things a heat map may pretend: to point at the fracture, and to show what the network went by. The first is
measured against the simulated truth, the second by deleting what is hot (Petsiuk et al. 2018, arXiv:1806.07421).
The same network with random weights tells how much of it comes from the pictures alone (Adebayo et al. 2018,
arXiv:1810.03292). The pointing game is that of Zhang et al. 2018, doi:10.1007/s11263-017-1059-x.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from neckfrac import DISCLAIMER, __version__
from neckfrac.comparison.intervals import mean, rate
from neckfrac.errors import InputError
from neckfrac.progress import Progress

from .explanation_cases import TOLERANCE, Vertebra, cached, deleted, neighbourhood, on_fracture, patchy, simulated
from .metrics import auc

if TYPE_CHECKING:
    from neckfrac.pipeline.engine import Networks

    from neckfrac_lab.training.samples import Necks

FIRST_NECKS = 7_000  # the built-in necks' first seed is this times 1000, as in `segmentation`
PEOPLE = 4  # built-in necks, each posed, scanned and worn in many ways
FRACTIONS = (0.1, 0.2, 0.3)  # of the vertebra's voxels, deleted
TRAINED, CONTROL = "trained", "random weights"


def evaluate_explanations(
    networks: Networks, count: int, *, seed: int = 0, anatomy: Path | None = None, cache: Path | None = None,
    necks: Necks | None = None, progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The figures of every member and method on `count` fractured vertebrae, JSON-ready; all of it simulated.

    Members whose step can't be explained are named and left out. The intact partner of each vertebra is only asked for
    its probability: how a network that can't tell the two apart came to its answer explains nothing.
    """
    from neckfrac.members import can_explain
    from neckfrac.options import EXPLANATIONS

    from neckfrac_lab.training.samples import Necks

    progress = progress or Progress()
    if cache is None:
        pairs = simulated(necks or Necks(anatomy=anatomy, built_in=min(count, PEOPLE), seed=FIRST_NECKS + seed), seed)
    else:
        pairs = cached(cache)
    pairs = islice((pair for pair in pairs if pair[0].fractured), count)
    plans = {
        name: [method for method in EXPLANATIONS if can_explain(b.step, method)] for name, b in networks.members.items()
    }
    control = with_random_weights(networks, seed)
    records: list[dict[str, Any]] = []
    for n, (broken, whole) in enumerate(pairs):
        part = progress.part(n / count, (n + 1) / count)
        records.append(examine(broken, whole, networks, control, plans, part, seed=seed + n))
    if not records:
        raise InputError("No sample holds a fracture.", where=cache, advice="Give another --cache, or none.")
    about = f"neckfrac evaluate explanations --samples {count} --seed {seed}"
    about += (" --anatomy MESHES" if anatomy else "") + (" --cache SAMPLES" if cache else "")
    return {
        "on": "simulated vertebrae, with their true outlines",
        "note": DISCLAIMER,
        "version": __version__,
        "command": about,
        "seed": seed,
        "bundles": {name: bundle.identity.sha256 for name, bundle in networks.members.items()},
        "samples": len(records),
        "can't be explained": [name for name, methods in plans.items() if not methods],
        "chance": {key: mean([[r["chance"][key]] for r in records], seed=seed) for key in ("box", "near")},
        "members": {name: summarise(records, name, methods, seed) for name, methods in plans.items() if methods},
        "cases": records,
    }


def with_random_weights(networks: Networks, seed: int) -> Networks:
    """The members as they were before any training: built anew from their bundles' own description."""
    import torch
    from neckfrac.bundles.bundle import build_network

    control = copy(networks)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fresh = {name: build_network(bundle.inference["network_def"]) for name, bundle in networks.members.items()}
    fresh = {name: network.to(networks.device).eval().requires_grad_(False) for name, network in fresh.items()}
    control.networks = {**networks.networks, **fresh}
    return control


def examine(
    broken: Vertebra, whole: Vertebra, networks: Networks, control: Networks, plans: dict[str, list[str]],
    progress: Progress, *, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """One vertebra's record: chance, and by member its logits and each method's figures, trained and as a control."""
    near, box = on_fracture(broken.fracture)
    region = neighbourhood(broken)
    record: dict[str, Any] = {
        "level": broken.name, "kind": broken.kind, "severity": broken.severity,
        "chance": {"box": float(box[region].mean()), "near": float(near[region].mean())}, "members": {},
    }  # fmt: skip
    generator = np.random.default_rng([13, seed])
    patches = patchy(broken.mask.shape, generator)
    grains = generator.random(broken.mask.shape)
    steps = [(name, method) for name, methods in plans.items() for method in methods]
    for name, methods in plans.items():
        if not methods:
            continue
        logits = {"broken": logit_of(broken, networks, name), "whole": logit_of(whole, networks, name)}
        falls = {
            "patches": deletion(broken, patches, networks, name),
            "voxels": deletion(broken, grains, networks, name),
        }
        found: dict[str, Any] = {"logits": logits, "random deletion": falls, "methods": {}}
        for method in methods:
            progress.step(steps.index((name, method)) / len(steps))
            heat = heat_of(broken, networks, name, method)  # much of it may be 0: ties are broken at random
            figures = {TRAINED: placed(heat, box, near), CONTROL: None}
            figures[CONTROL] = placed(heat_of(broken, control, name, method), box, near)
            found["methods"][method] = {**figures, "deletion": deletion(broken, heat + 1e-6 * grains, networks, name)}
        record["members"][name] = found
    return record


def heat_of(vertebra: Vertebra, networks: Networks, member: str, method: str) -> np.ndarray:
    """A member's heat on the vertebra's grid, as `explain.draw` maps it: float32 [z, y, x], 0 when it has none."""
    from neckfrac.pipeline.explain import explain_levels
    from neckfrac.pipeline.localize import level_heat

    result = np.zeros(vertebra.mask.shape, np.float32)
    found = explain_levels(vertebra.segmented, networks, member, [vertebra.name], method, Progress())
    for name, (crop, heat) in found.items():
        warmth, place = level_heat(vertebra.segmented, name, crop, heat)
        result[place] = warmth
    return result


def placed(heat: np.ndarray, box: np.ndarray, near: np.ndarray) -> dict[str, Any]:
    """Shares of the heat in the box and near the fracture, and whether its hottest voxel lies there; 0 without heat."""
    total, hottest = float(heat.sum(dtype=float)), np.unravel_index(int(np.argmax(heat)), heat.shape)
    shares = {key: float(heat[mask].sum(dtype=float)) / total if total else 0.0
              for key, mask in (("box", box), ("near", near))}  # fmt: skip
    return {**shares, "points at box": bool(total and box[hottest]), "points near": bool(total and near[hottest])}


def logit_of(vertebra: Vertebra, networks: Networks, member: str) -> float:
    """What a member says of the vertebra, as in the pipeline."""
    from neckfrac.members import member_module
    from neckfrac.pipeline.combine import logit

    predict = member_module(networks.bundles[member].step).predict
    prediction = predict(vertebra.segmented, progress=Progress(), **networks.arguments(member))
    return logit(prediction.levels[vertebra.name])


def deletion(vertebra: Vertebra, order: np.ndarray, networks: Networks, member: str) -> list[float]:
    """The logit after the FRACTIONS of the vertebra's voxels that are highest in `order` [z, y, x] were deleted."""
    results = []
    for fraction in FRACTIONS:
        hu = deleted(vertebra.segmented.hu, vertebra.mask, order, fraction)
        results.append(logit_of(replace(vertebra, segmented=replace(vertebra.segmented, hu=hu)), networks, member))
    return results


def summarise(records: list[dict[str, Any]], member: str, methods: list[str], seed: int) -> dict[str, Any]:
    """A member's figures with 95 % intervals; falls of the logit in logits, "beyond ..." as differences in pairs."""
    own = [record["members"][member] for record in records]
    before = np.array([one["logits"]["broken"] for one in own])

    def averaged(values: np.ndarray) -> dict[str, Any]:
        return mean([[value] for value in values], seed=seed)

    def by_fraction(after: np.ndarray) -> dict[str, Any]:
        return {f"{fraction:.0%}": averaged(values) for fraction, values in zip(FRACTIONS, after.T, strict=True)}

    whole = [one["logits"]["whole"] for one in own]
    random = {key: np.array([one["random deletion"][key] for one in own]) for key in ("patches", "voxels")}
    result: dict[str, Any] = {
        "auc": auc(np.array([*before, *whole]), np.array([1] * len(own) + [0] * len(own))),
        "logit of broken": averaged(before),
        "logit falls by random deletion": {key: by_fraction(before[:, None] - random[key]) for key in random},
        "methods": {},
    }
    for method in methods:
        of_method = [one["methods"][method] for one in own]
        after = np.array([one["deletion"] for one in of_method])
        figures: dict[str, Any] = {
            f"heat {where}": {
                **{which: averaged(np.array([one[which][key] for one in of_method])) for which in (TRAINED, CONTROL)},
                "beyond random weights": averaged(
                    np.array([one[TRAINED][key] - one[CONTROL][key] for one in of_method])
                ),
                "beyond chance": averaged(
                    np.array([o[TRAINED][key] - r["chance"][key] for o, r in zip(of_method, records, strict=True)])
                ),
            }
            for key, where in (("box", "in the fracture's box"), ("near", f"within {TOLERANCE:g} mm of the fracture"))
        }
        figures |= {
            f"hottest voxel {where}": {
                which: rate(sum(one[which][key] for one in of_method), len(own)) for which in (TRAINED, CONTROL)
            }
            for key, where in (("points at box", "in the box"), ("points near", f"within {TOLERANCE:g} mm"))
        }
        figures["logit falls by deletion"] = by_fraction(before[:, None] - after)
        figures |= {f"falls beyond random {key}": by_fraction(random[key] - after) for key in random}
        result["methods"][method] = figures
    return result
