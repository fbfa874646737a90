"""Vertebrae as a chain: which voxels belong together, and one decision for all their names."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ..anatomy import CHAIN_NAMES, LEVEL_NAMES, SKULL, T1, THORACIC
from ..findings import Naming
from ..study_warning import StudyWarning
from .grids import Lattice

# mm from one body's centre to the next below in the built-in adult; a neck's own scale multiplies them.
STEPS = np.array([16.9, 18.5, 16.5, 16.5, 16.5, 17.0, 18.5, 20.0, 21.0, 21.5, 22.0])
SCALES = (0.5, 1.45)  # of a small child and of a large man
# Relative standard deviation of a step within one neck: worn discs, bent necks; more where a centre is unsure.
STEP_SPREAD, UNSURE_STEP = 0.2, 0.15
SKIPPED = 3.0  # what a vertebra that was not seen between two others costs (nats)
DROPPED = 8.0  # what leaving a whole vertebra out of the chain costs (nats)
# What taking two crowds of votes for one vertebra costs (nats), and how near they must be (part of a step): the body
# and the arch of a vertebra that the scan cuts can vote for two centres.
SPLIT, SPLIT_WITHIN = 1.5, 0.65
# A single vertebra's evidence never counts for more than this (nats): one strange vertebra is outvoted.
FLOOR = 0.01
# C1 and C2 look like no other vertebra; C3 to C6 look alike and are named by counting from them.
ANCHOR_WEIGHT, PLAIN_WEIGHT = 2.5, 1.0
SKULL_WEIGHT = 3.0
# mm: how the votes of a vertebra's voxels scatter, how near two vertebrae's centres can be, how far a vote may
# lie from the centre that it is counted for.
VOTE_BLUR, LEAST_APART, FARTHEST_VOTE = 3.0, 7.0, 14.0
# Two crowds of votes are one vertebra within this part of a step: of one look, of two looks, of C1 and C2.
SAME_LOOK, OTHER_LOOK, C1_AND_C2 = 0.75, 0.45, 0.15
# mm: how far votes scatter when voxels are shared out; the floor (probability) keeps one look from deciding alone.
VOTE_SPREAD, ALIKE_FLOOR = 5.0, 0.02
LEAST_VOTES = 1.0  # height of a peak of the blurred votes (voxels of 2 mm): about 0.7 ml that agree
LEAST_ML = 0.5
# Neighbours' evidence errs together: scores (nats) are divided by this before they are told as probabilities. Set on
# 100 short simulated slabs that no network was trained on.
TEMPERATURE = 3.0
# Names are certain when they are this sure and counted from a vertebra that is known by itself: C1, C2 or T1, of
# which this much is in view (ml, of an adult) and which looks like no other (share of its evidence).
CERTAIN, ANCHOR_ML, ANCHOR_SHARE = 0.93, 3.0, 0.85
ALIKE_SHARE = 0.75  # mean share of the chain below which its vertebrae run into each other
FUSED_ABOVE = 2.2  # times the median vertebra of the same neck: C2, the largest, has about one and a half
POSSIBLE = 0.03  # probability from which other names are told


@dataclass(frozen=True, eq=False)
class Vertebra:
    """One vertebra as the network's votes hold it together.

    number: its value in the map of vertebrae. center: of its body, LPS mm (x, y, z), perhaps outside the scan.
    volume: ml in view. evidence: mean probability [9] of C1 to C7, T1, T2 and below; they add up to how surely it
    is a vertebra at all.
    """

    number: int
    center: np.ndarray
    volume: float
    evidence: np.ndarray

    @property
    def cervical(self) -> float:
        """Mean probability that it is one of C1 to C7."""
        return float(self.evidence[: len(LEVEL_NAMES)].sum())


@dataclass(frozen=True, eq=False)
class Chain:
    """Vertebrae from above to below with their names. names: indices into CHAIN_NAMES; parts of one have one name."""

    vertebrae: tuple[Vertebra, ...]
    names: tuple[int, ...]
    naming: Naming

    @property
    def levels(self) -> dict[str, Vertebra]:
        """C1 to C7 by name; of one that was found in two parts, the larger part."""
        named = sorted(zip(self.names, self.vertebrae, strict=True), key=lambda pair: (pair[0], pair[1].volume))
        return {CHAIN_NAMES[name]: vertebra for name, vertebra in named if name < len(LEVEL_NAMES)}

    def label(self, name: int) -> int:
        """The class of `anatomy` that a name stands for."""
        return min(name + 1, THORACIC)


def find_vertebrae(
    probabilities: np.ndarray, offsets: np.ndarray, lattice: Lattice
) -> tuple[np.ndarray, list[Vertebra]]:
    """Voxels that point to one centre are one vertebra.

    probabilities: [classes, z, y, x]; offsets: [3, z, y, x], voxels to the vertebra's centre.
    Returns the map uint8 [z, y, x] (0, or a vertebra's number) and the vertebrae, from above to below.
    """
    numbers = np.zeros(probabilities.shape[1:], np.uint8)
    vertebra = probabilities[1 : THORACIC + 1].sum(axis=0, dtype=np.float32)
    where = np.nonzero(vertebra > 0.5)
    if not len(where[0]):
        return numbers, []
    voxel = lattice.spacing[0]
    looks = probabilities[(slice(1, THORACIC + 1), *where)].astype(np.float32)
    votes = np.stack(where, axis=1) + offsets[(slice(None), *where)].T.astype(np.float32)
    centers, nearest = _gather(votes, looks, voxel)
    if not len(centers):
        return numbers, []
    distances = np.linalg.norm(votes[:, None] - centers[None], axis=-1) * voxel
    nearest = _by_looks(nearest, distances, looks)
    counts = distances[np.arange(len(votes)), nearest] <= FARTHEST_VOTE
    voxel_ml = float(np.prod(lattice.spacing)) / 1000
    found = []
    for index in np.argsort(-centers[:, 0]):
        own = counts & (nearest == index)
        if own.sum() * voxel_ml < LEAST_ML:
            continue
        number = len(found) + 1
        place = tuple(axis[own] for axis in where)
        numbers[place] = number
        center = lattice.to_points(np.median(votes[own], axis=0))
        evidence = probabilities[(slice(1, THORACIC + 1), *place)].mean(axis=1, dtype=np.float32)
        found.append(Vertebra(number, center, float(own.sum() * voxel_ml), evidence))
    return numbers, sorted(found, key=lambda one: -one.center[2])


def _gather(votes: np.ndarray, looks: np.ndarray, voxel: float) -> tuple[np.ndarray, np.ndarray]:
    """Where votes meet: centres [vertebrae, 3] in voxels, and the one that each voxel votes for (or -1).

    The voxels of each class are gathered apart, because C1 and C2 have their centres close together; then what two
    classes (or two crowds of one class) gathered in one place is one vertebra after all, that the network could not
    name. votes: [voxels, 3]; looks: [9, voxels]; voxel: mm.
    """
    named = looks.argmax(axis=0)
    crowds: list[tuple[int, np.ndarray, int]] = []  # class, centre, voxels
    member = np.full(len(votes), -1)
    for look in np.unique(named):
        own = np.flatnonzero(named == look)
        peaks = _peaks(votes[own], voxel)
        if not len(peaks):
            continue
        away = np.linalg.norm(votes[own][:, None] - peaks[None], axis=-1)
        choice = away.argmin(axis=1)
        for n in range(len(peaks)):
            chosen = own[choice == n]
            if len(chosen):
                member[chosen] = len(crowds)
                crowds.append((int(look), np.median(votes[chosen], axis=0), len(chosen)))
    middles = [center for look, center, _ in crowds if look < THORACIC - 1]
    steps = np.linalg.norm(np.diff(middles, axis=0), axis=1) * voxel if len(middles) > 1 else np.array([])
    steps = steps[(steps > LEAST_APART) & (steps < 40)]
    step = float(np.median(steps)) if len(steps) else float(np.median(STEPS[:8]))
    while len(crowds) > 1:
        pairs = [
            (float(np.linalg.norm(one[1] - other[1])) * voxel / (step * _reach(one[0], other[0])), i, j)
            for j, other in enumerate(crowds)
            for i, one in enumerate(crowds[:j])
        ]
        least, i, j = min(pairs)
        if least >= 1:
            break
        (one, here, many), (other, there, few) = crowds[i], crowds[j]
        crowds[i] = (one if many >= few else other, (here * many + there * few) / (many + few), many + few)
        del crowds[j]
        member[member == j] = i
        member[member > j] -= 1
    return np.array([center for _, center, _ in crowds]).reshape(-1, 3), member


def _reach(one: int, other: int) -> float:
    """Within which part of a step two crowds of votes are one vertebra: looks 0 is C1, 1 is C2."""
    if one == other:
        return SAME_LOOK
    return C1_AND_C2 if {one, other} == {0, 1} else OTHER_LOOK


def _peaks(votes: np.ndarray, voxel: float) -> np.ndarray:
    """Where enough votes meet, [peaks, 3] in voxels."""
    low = np.floor(votes.min(axis=0)).astype(int) - 4
    cells = np.rint(votes).astype(int) - low
    shape = tuple(cells.max(axis=0) + 5)
    counted = np.bincount(np.ravel_multi_index(tuple(cells.T), shape), minlength=int(np.prod(shape))).reshape(shape)
    density = ndimage.gaussian_filter(counted.astype(np.float32), VOTE_BLUR / voxel, mode="constant")
    reach = int(np.ceil(LEAST_APART / voxel))
    ball = np.linalg.norm(np.indices((2 * reach + 1,) * 3) - reach, axis=0) <= LEAST_APART / voxel
    peaks = (density == ndimage.maximum_filter(density, footprint=ball)) & (density >= LEAST_VOTES)
    return np.argwhere(peaks) + low


def _by_looks(nearest: np.ndarray, distances: np.ndarray, looks: np.ndarray) -> np.ndarray:
    """To which vertebra each voxel belongs, by its vote and by what it looks like.

    The dens stands where C1 would have its body: votes alone gave it to C1. nearest: [voxels], by votes, -1 unknown;
    distances: [voxels, vertebrae] in mm; looks: [9, voxels], probabilities of C1 to T2 and below.
    """
    count = distances.shape[1]
    nearest = np.where(nearest < 0, distances.argmin(axis=1), nearest)
    kin = looks / np.maximum(looks.sum(axis=0), 1e-6)
    for _ in range(2):
        own = np.stack([kin[:, nearest == n].sum(axis=1) for n in range(count)])
        own /= np.maximum(own.sum(axis=1, keepdims=True), 1e-6)
        alike = own @ kin  # [vertebrae, voxels]
        nearest = (np.log(alike.T + ALIKE_FLOOR) - 0.5 * (distances / VOTE_SPREAD) ** 2).argmax(axis=1)
    return nearest


def name_chain(vertebrae: list[Vertebra], probabilities: np.ndarray, lattice: Lattice) -> Chain:
    """One decision for all names: the likeliest way to read the vertebrae as consecutive levels.

    Dynamic programming over (vertebra, name), from above to below: each vertebra's evidence, steps that fit a neck,
    the skull above C1; what does not fit is left out, and parts of one vertebra are joined, at a price. The same
    vertebrae are then read one or more levels higher or lower, which gives the probability of the names and what
    else they could be.
    """
    nothing = Chain((), (), Naming(False, reason="No vertebrae hang together."))
    if not vertebrae:
        return nothing
    evidence = _evidence(vertebrae)
    scale = _scale(vertebrae)
    skull = np.array([_skull_above(one, probabilities[SKULL], lattice, scale) for one in vertebrae])
    dropped = np.array([-DROPPED * min(1.0, one.volume / (8.0 * scale**3)) * one.evidence.sum() for one in vertebrae])
    before = np.concatenate([[0.0], np.cumsum(dropped)])  # the price of leaving out all above
    n, names = len(vertebrae), len(CHAIN_NAMES)
    best = np.full((n, names), -np.inf)
    came: dict[tuple[int, int], tuple[int, int]] = {}
    for i, one in enumerate(vertebrae):
        for name in range(names):
            best[i, name] = before[i] + _start(name, skull[i])
            for j in range(i):
                for steps in (0, 1, 2):
                    if name - steps < 0:
                        continue
                    score = best[j, name - steps] + before[i] - before[j + 1]
                    score += _step(vertebrae[j], one, name - steps, steps, scale)
                    if score > best[i, name]:
                        best[i, name], came[i, name] = score, (j, name - steps)
            best[i, name] += evidence[i, name]
    ends = best + (before[-1] - before[1:])[:, None]
    place = tuple(int(v) for v in np.unravel_index(np.argmax(ends), ends.shape))
    path = [place]
    while path[0] in came:
        path.insert(0, came[path[0]])
    rows = [i for i, _ in path]
    given = [name for _, name in path]
    scores = {}
    for shift in range(-given[0], names - given[-1]):
        moved = [name + shift for name in given]
        score = _start(moved[0], skull[rows[0]]) + sum(evidence[i, name] for i, name in zip(rows, moved, strict=True))
        pairs = zip(rows[:-1], rows[1:], moved[:-1], moved[1:], strict=True)
        score += sum(_step(vertebrae[i], vertebrae[j], a, b - a, scale) for i, j, a, b in pairs)
        scores[shift] = score
    chain = Chain(tuple(vertebrae[i] for i in rows), tuple(given), Naming())
    return replace(chain, naming=_naming(chain, scores, float(skull[rows[0]]), scale))


def _evidence(vertebrae: list[Vertebra]) -> np.ndarray:
    """Log evidence [vertebrae, names], nats, weighted by how much of the vertebra is seen and what it looks like."""
    result = np.empty((len(vertebrae), len(CHAIN_NAMES)))
    for row, one in zip(result, vertebrae, strict=True):
        shares = one.evidence / max(float(one.evidence.sum()), 1e-6)
        shares = np.concatenate([shares, np.repeat(shares[-1:], len(CHAIN_NAMES) - len(shares))])
        weight = ANCHOR_WEIGHT if shares[:2].sum() > 0.5 else PLAIN_WEIGHT
        row[:] = weight * min(1.0, one.volume / 3.0) * np.log(np.maximum(shares, FLOOR))
    return result


def _scale(vertebrae: list[Vertebra]) -> float:
    """How large this neck is beside the built-in adult, from the steps between neighbours."""
    centers = np.array([one.center for one in vertebrae])
    steps = np.linalg.norm(np.diff(centers, axis=0), axis=1)
    steps = steps[(steps > LEAST_APART) & (steps < 40)]
    return float(np.clip(np.median(steps) / np.median(STEPS[:8]), *SCALES)) if len(steps) else 1.0


def _step(upper: Vertebra, lower: Vertebra, name: int, steps: int, scale: float) -> float:
    """Log likelihood (nats) of the way from one vertebra to one that lies `steps` levels below it.

    steps 0: both are parts of one vertebra.
    """
    way = upper.center - lower.center
    distance = float(np.linalg.norm(way))
    if steps == 0:
        return -SPLIT if distance < SPLIT_WITHIN * scale * float(STEPS[min(name, len(STEPS) - 1)]) else -np.inf
    ratio = distance / (scale * float(STEPS[name : name + steps].sum()))
    if way[2] < 0.25 * distance or not 0.25 < ratio < 1.9:
        return -np.inf
    # The centres of C1 and of what the scan cuts are told less well.
    spread = STEP_SPREAD + UNSURE_STEP * (name == 0) + UNSURE_STEP * (min(upper.volume, lower.volume) < 5.0 * scale**3)
    return -0.5 * ((ratio - 1) / spread) ** 2 - SKIPPED * (steps - 1)


def _start(name: int, skull: float) -> float:
    """What the skull right above says (nats): only C1 carries it. Without a skull a chain may begin anywhere."""
    return 0.0 if name == 0 else -SKULL_WEIGHT * skull


def _skull_above(one: Vertebra, skull: np.ndarray, lattice: Lattice, scale: float) -> float:
    """How much of the skull (0 to 1) lies 8 to 30 mm above a vertebra's centre: the condyles stand on C1."""
    lower = lattice.to_indices(one.center + np.array([-25, -25, 8]) * scale)
    upper = lattice.to_indices(one.center + np.array([25, 25, 30]) * scale)
    box = tuple(
        slice(max(int(np.floor(a)), 0), max(int(np.ceil(b)) + 1, 0)) for a, b in zip(lower, upper, strict=True)
    )
    voxel_ml = float(np.prod(lattice.spacing)) / 1000
    return min(1.0, float(skull[box].sum(dtype=np.float32)) * voxel_ml / (4.0 * scale**3))


def _naming(chain: Chain, scores: dict[int, float], skull: float, scale: float) -> Naming:
    """How sure the names are, from the scores (nats) of the same chain read higher or lower."""
    shifts = [shift for shift, score in scores.items() if np.isfinite(score)]
    values = np.array([scores[shift] for shift in shifts]) / TEMPERATURE
    shares = np.exp(values - values.max())
    shares /= shares.sum()
    sure = dict(zip(shifts, shares, strict=True))
    named = list(zip(chain.names, chain.vertebrae, strict=True))
    looks = {name: float(one.evidence[min(name, THORACIC - 1)] / max(one.evidence.sum(), 1e-6)) for name, one in named}
    known = [
        CHAIN_NAMES[name] for name, one in named
        if name in (0, 1, T1 - 1) and one.volume >= ANCHOR_ML * scale**3 and looks[name] >= ANCHOR_SHARE
    ]  # fmt: skip
    counted = bool(known) or (skull > 0.5 and chain.names[0] == 0)
    alike = float(np.mean(list(looks.values()))) < ALIKE_SHARE
    certain = counted and not alike and sure[0] >= CERTAIN
    others = sorted((s for s in shifts if s and sure[s] >= POSSIBLE), key=lambda s: -sure[s])
    if not certain and not others:
        others = sorted((s for s in (-1, 1) if s in sure), key=lambda s: -sure[s])
    reason = ""
    if not certain:
        reason = "What is in view fits more than one reading."
        if not counted:
            reason = "Neither C1, C2 nor the first rib's vertebra is well in view to count from."
        elif alike:
            reason = "The vertebrae can hardly be told apart in this scan."
    alternatives = (in_words([name + shift for name in chain.names]) for shift in others)
    return Naming(
        bool(certain), in_words(chain.names), tuple(a for a in alternatives if a), float(sure[0]), reason
    )


def doubts(chain: Chain) -> list[StudyWarning]:
    """What a reader should check although the chain was decided: levels seen doubled, out of order, or as one."""
    warnings = []
    named = [(name, one) for name, one in zip(chain.names, chain.vertebrae, strict=True) if name < len(LEVEL_NAMES)]
    volumes = [one.volume for _, one in named]
    for (upper, above), (lower, below) in zip(named[:-1], named[1:], strict=True):
        looks = [int(np.argmax(one.evidence)) for one in (above, below)]
        sure = min(one.evidence.max() / one.evidence.sum() for one in (above, below)) > 0.6
        if not sure or looks[1] - looks[0] == lower - upper:
            continue
        what = "doubled" if looks[0] == looks[1] else "out of order" if looks[1] < looks[0] else "not in step"
        seen, given = [CHAIN_NAMES[look] for look in looks], [CHAIN_NAMES[name] for name in (upper, lower)]
        text = (
            f"Levels {what}: two neighbours look like {' and '.join(seen)}; counted along the neck they are "
            f"{' and '.join(given)}."
        )
        warnings.append(StudyWarning("levels-out-of-step", text, {"look_like": seen, "counted": given}))
    for name, one in named:
        if one.volume > FUSED_ABOVE * float(np.median(volumes)):
            text = f"{CHAIN_NAMES[name]} is unusually large: it may be two fused vertebrae. Check the names."
            warnings.append(StudyWarning("level-fused", text, {"level": CHAIN_NAMES[name]}))
    return warnings


def in_words(names: list[int] | tuple[int, ...]) -> str:
    """The cervical part of a chain, "C3–C5"; "" when there is none."""
    cervical = [CHAIN_NAMES[name] for name in names if name < len(LEVEL_NAMES)]
    if not cervical:
        return ""
    return cervical[0] if len(cervical) == 1 else f"{cervical[0]}–{cervical[-1]}"


def rename(probabilities: np.ndarray, numbers: np.ndarray, chain: Chain, other_bone: int) -> np.ndarray:
    """The probabilities [classes, z, y, x] after the decision: each vertebra's mass under its one name.

    Voxels at a vertebra's rim take the name of the nearest vertebra; what was left out of the chain becomes
    other bone.
    """
    table = np.full(int(numbers.max()) + 1, other_bone, np.uint8)
    for name, vertebra in zip(chain.names, chain.vertebrae, strict=True):
        table[vertebra.number] = chain.label(name)
    result = probabilities.copy()
    vertebra = result[1 : THORACIC + 1].sum(axis=0, dtype=np.float32)
    box = ndimage.find_objects((vertebra > 0.02).astype(np.uint8))
    if not box:
        return result
    box = box[0]
    away, nearest = ndimage.distance_transform_edt(numbers[box] == 0, return_indices=True)
    label = table[numbers[box][tuple(nearest)]]
    label[away > 4] = other_bone
    part = result[(slice(None), *box)]
    part[1 : THORACIC + 1] = 0
    mass = vertebra[box]
    for value in np.unique(label):
        own = label == value
        part[value][own] += mass[own].astype(part.dtype)
    return result
