"""A series that holds several stacks of slices in one place is taken apart before their positions are merged.

Acquisitions, time points, reconstructions and the like are often sent under one series. Where two of them lie in the
same place, their slices must not be mixed, whether they share positions or lie some tenths of a millimetre beside each
other. Where they follow each other along the patient, they are one scan and stay together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..study_warning import StudyWarning
from .dicom_copies import without_copies
from .dicom_geometry import SAME_PLACE, normal_of
from .dicom_headers import Frame
from .dicom_kernels import kernel_kind
from .dicom_marks import NAMES, SHOWN

SMALLEST = 3  # slices; fewer show no distance between slices of their own
BESIDE = 0.75  # of a slice distance; a slice that lies closer to another stack's is not one that it lacks
ALIKE = 0.2  # by which slice distances of one stack differ
REGULAR = 0.6  # of a stack's slice distances that are like the next one
IN_ORDER = 0.8  # of a series' images that must lie in sweeps before their order is believed
MOST_NAMED = 4  # values that a warning lists
# Single-energy images of about 70 keV have the HU of a scan at 120 kV, the usual voltage of adults' necks.
USUAL_VOLTAGE, USUAL_ENERGY = 120.0, 70.0
APART = 1.0  # mm in their plane; images of one stack that the table's motion shifts lie closer to the next
_SEPARATELY = "Export the series' phases or reconstructions separately."


def one_stack(frames: Sequence[Frame]) -> tuple[list[Frame], list[StudyWarning]]:
    """One image for each place of parallel slices of one size, and what was left out, in words.

    Raises InputError when all images show one place, or several share one and nothing tells which belong together.
    """
    frames = list(frames)
    if len(frames) > 1 and _place_count(_along(frames)) == 1:
        raise InputError(
            f"All {len(frames)} images of the series show one and the same slice.",
            where=f"{frames[0].where} and {frames[1].where}",
            advice="Give a series that covers the neck.",
        )
    warnings: list[StudyWarning] = []
    for partition in _PARTITIONS:
        frames, more = partition(frames)
        warnings += more
    if _place_count(_along(frames)) < len(frames):
        _refuse_shared_place(frames)
    return frames, warnings


def _along(frames: Sequence[Frame]) -> np.ndarray:
    """Each frame's place in mm along the slices' normal."""
    return np.array([frame.position for frame in frames]) @ normal_of(frames[0].orientation)


def _place_numbers(along: np.ndarray, apart: float = SAME_PLACE) -> np.ndarray:
    """For each frame the number of its place; frames that no more than `apart` (mm) separates share one."""
    order = np.argsort(along, kind="stable")
    numbers = np.empty(len(along), dtype=int)
    numbers[order] = np.concatenate([[0], np.cumsum(np.diff(along[order]) > apart)])
    return numbers


def _place_count(along: np.ndarray) -> int:
    return int(_place_numbers(along).max()) + 1


def _step(places: np.ndarray) -> float:
    """The usual distance (mm) between sorted places; 0 of a single one."""
    gaps = np.diff(places)
    gaps = gaps[gaps > SAME_PLACE]
    return float(np.median(gaps)) if len(gaps) else 0.0


def _regular(places: np.ndarray) -> bool:
    """Whether sorted places follow each other as a scan's slices do: most distances are like the next one."""
    gaps = np.diff(places)
    gaps = gaps[gaps > SAME_PLACE]
    if len(gaps) < 2:
        return False
    alike = np.abs(np.diff(gaps)) <= ALIKE * np.minimum(gaps[1:], gaps[:-1]) + SAME_PLACE
    return bool(alike.mean() >= REGULAR)


def _distances(places: np.ndarray, others: np.ndarray) -> np.ndarray:
    """From each place the distance to the nearest of `others`, which are sorted."""
    after = np.clip(np.searchsorted(others, places), 1, len(others) - 1) if len(others) > 1 else np.zeros(1, int)
    return np.minimum(np.abs(places - others[after]), np.abs(places - others[after - 1]))


def _compete(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two groups of sorted places (mm) are two stacks in one place, rather than parts of one stack.

    They do when the shorter lies in the longer by more than half, and its slices share the other's places or, where
    both are regular stacks, lie between them. A slice that fills the other's gap does not count.
    """
    if len(second) > len(first):
        first, second = second, first
    overlap = min(first[-1], second[-1]) - max(first[0], second[0])
    shorter = min(first[-1] - first[0], second[-1] - second[0])
    if overlap <= shorter / 2:
        return False
    away = _distances(second, first)
    if (away <= SAME_PLACE).mean() > 0.5:
        return True
    return _regular(first) and _regular(second) and bool((away < BESIDE * _step(first)).mean() > 0.5)


@dataclass(frozen=True, eq=False)
class _Group:
    """Frames with one value: their numbers, and their places in mm, both sorted by place."""

    value: str
    members: np.ndarray
    places: np.ndarray

    @property
    def length(self) -> float:
        return float(self.places[-1] - self.places[0])


def _groups(values: Sequence[str], along: np.ndarray) -> list[_Group]:
    found: dict[str, list[int]] = {}
    for number, value in enumerate(values):
        found.setdefault(value, []).append(number)
    groups = []
    for value, numbers in found.items():
        members = np.array(numbers)[np.argsort(along[numbers], kind="stable")]
        groups.append(_Group(value, members, along[members]))
    return groups


def _ranked(groups: list[_Group], frames: Sequence[Frame]) -> tuple[list[_Group], Callable[[_Group, _Group], str]]:
    """The groups, the one to read first; and why one goes before another, in words.

    The longest (within a fifth), of these the thinnest, original before derived, bone kernel before unknown before
    soft, the tube voltage or energy nearest that of usual scans, the one with more slices, the one that comes first.
    """
    longest = max(group.length for group in groups)
    thinnest = min((_step(group.places) for group in groups if group.length >= 0.8 * longest), default=0.0)

    def key(group: _Group) -> tuple:
        one = frames[group.members[0]]
        kind = kernel_kind(one.mark("kernel"), one.file.description)
        acquired = min((frames[n].acquired for n in group.members if frames[n].acquired is not None), default=0.0)
        return (
            group.length < 0.8 * longest,
            _step(group.places) > 1.1 * thinnest,
            "ORIGINAL" not in (*one.frame_type, *one.file.image_type),
            ("bone", "", "soft").index(kind),
            _from_usual(one.mark("tube voltage"), USUAL_VOLTAGE) + _from_usual(one.mark("energy"), USUAL_ENERGY),
            -round(len(group.places) / max(len(group.places) for group in groups), 1),
            acquired,
            min((frames[n].instance for n in group.members if frames[n].instance is not None), default=0),
            _natural(group.value),
        )

    keys = {id(group): key(group) for group in groups}
    names = (
        "the longest", "the thinnest", "the original one", "the one with the sharper kernel",
        "the one nearest the usual energy", "the one with the most slices",
    )  # fmt: skip

    def why(chosen: _Group, other: _Group) -> str:
        pairs = zip(keys[id(chosen)], keys[id(other)], names, strict=False)
        return next((name for mine, theirs, name in pairs if mine != theirs), "the first")

    return sorted(groups, key=lambda group: keys[id(group)]), why


def _from_usual(value: str, usual: float) -> float:
    kind, figure, _ = _natural(value)
    return 0.0 if kind else abs(figure - usual)


def _natural(value: str) -> tuple:
    try:
        return (0, float(value), value)
    except ValueError:
        return (1, 0.0, value)


def _resolve(
    frames: list[Frame], groups: list[_Group], name: str, *, join: bool = True
) -> tuple[list[Frame], list[StudyWarning]]:
    """Of groups that compete the best one and all that follow it along the patient; what was left out, in words.

    join: whether groups that do not compete are parts of one scan. Without any that compete all frames are kept.
    """
    large = [group for group in groups if len(group.members) >= SMALLEST]
    if len(groups) < 2 or not large:
        return frames, []
    ranked, why = _ranked(large, frames)
    kept, lost, rivals = [ranked[0]], [], []
    for group in ranked[1:]:
        rival = next((other for other in kept if not join or _compete(other.places, group.places)), None)
        if rival is None:
            kept.append(group)
        else:
            rivals.append((rival, group))
            lost += group.members.tolist()
    # What follows each other may overlap by a few slices: there the better group's are read.
    members, places = kept[0].members, kept[0].places
    trimmed = 0
    small = [group for group in groups if len(group.members) < SMALLEST]
    for group in [*kept[1:], *small]:
        free = _free(group.places, places) if join else np.zeros(len(group.places), dtype=bool)
        if group in kept:
            trimmed += int((~free).sum())
        lost += group.members[~free].tolist()
        members, places = np.concatenate([members, group.members[free]]), np.concatenate([places, group.places[free]])
        order = np.argsort(places, kind="stable")
        members, places = members[order], places[order]
    if not lost:
        return frames, []
    left = sorted(set(range(len(frames))) - set(lost))
    said = _said(frames, name, rivals, why, len(kept), len(left), len(lost), trimmed)
    return [frames[number] for number in left], [said]


def _free(places: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Which of `places` continue those `taken`, or fill a gap of theirs, rather than lie at or between them."""
    away = _distances(places, taken)
    inside = (places > taken[0]) & (places < taken[-1])
    # One that overlaps another goes on at about its own distance from the end; one that begins there keeps all.
    overlaps = (away <= SAME_PLACE).any() or inside.any()
    outside = min(_step(places), _step(taken)) / 2 if overlaps else 0.0
    return away > np.where(inside, max(BESIDE * _step(taken), SAME_PLACE), max(outside, SAME_PLACE))


def _said(frames, name, rivals, why, kept: int, read: int, lost: int, trimmed: int) -> StudyWarning:
    figures = {"by": name, "read": read, "left_out": lost}
    if rivals:
        chosen, other = rivals[0]
        values = list(dict.fromkeys(group.value for _, group in rivals if group.value))
        count = f"{len(rivals) + 1} stacks of slices in one place, told apart by {name}"
        if name in SHOWN and chosen.value and values:
            listed = ", ".join(values[:MOST_NAMED]) + (" and others" if len(values) > MOST_NAMED else "")
            count += f" ({chosen.value} against {listed})"
        which = why(chosen, other)
        text = (
            f"The series holds {count}: {which} was read ({read} slices), so that they are not mixed; "
            f"{lost} images were left out."
        )
        return StudyWarning("stacks-separated", text, figures | {"stacks": len(rivals) + 1})
    if trimmed:
        text = (
            f"The series is put together of {kept} parts ({name}) that overlap: all places were read "
            f"({read} slices), where they overlap those of one part; {lost} images were left out."
        )
        return StudyWarning("parts-overlap", text, figures | {"parts": kept})
    text = (
        f"The series holds images that lie between its slices and differ from them in {name}: "
        f"{lost} images were left out, {read} slices were read."
    )
    return StudyWarning("images-between-left-out", text, figures)


def _by_marks(frames: list[Frame]) -> tuple[list[Frame], list[StudyWarning]]:
    """Taken apart by what the headers say of acquisition and reconstruction."""
    warnings: list[StudyWarning] = []
    for number, name in enumerate(NAMES):
        values = [frame.marks[number] if frame.marks else "" for frame in frames]
        if len(set(values)) < 2:
            continue
        groups = _groups(values, _along(frames))
        frames, more = _resolve(frames, groups, name, join=name != "frame of reference")
        warnings += more
    return frames, warnings


def _by_centre(frames: list[Frame]) -> tuple[list[Frame], list[StudyWarning]]:
    """Taken apart by where the images lie in their plane, as reconstructions of two centres do."""
    across = np.array([frame.position for frame in frames]) @ np.array(frames[0].orientation).reshape(2, 3).T
    clusters = [_place_numbers(axis, APART) for axis in across.T]
    values = [f"{x} {y}" for x, y in zip(*clusters, strict=True)]
    return _resolve(frames, _groups(values, _along(frames)), "place in the plane")


def _by_sweeps(name: str, value: Callable[[Frame], float | None]) -> Callable:
    """Taken apart by an order: each time that it runs through the places anew, another stack begins."""

    def partition(frames: list[Frame]) -> tuple[list[Frame], list[StudyWarning]]:
        values = [value(frame) for frame in frames]
        if None in values or len(set(values)) < 2:
            return frames, []
        along = _along(frames)
        order = np.lexsort((along, values))
        moves, ranked = np.diff(along[order]), np.array(values)[order]
        if ((np.abs(moves) <= SAME_PLACE) & (np.diff(ranked) == 0)).any():
            return frames, []  # images of one place with one value: this order does not tell them apart
        sweeps = np.empty(len(frames), dtype=int)
        sweeps[order] = _sweep_numbers(moves)
        groups = _groups([str(sweep + 1) for sweep in sweeps], along)
        whole = [group for group in groups if len(group.members) >= SMALLEST and _regular(group.places)]
        if sum(len(group.members) for group in whole) < IN_ORDER * len(frames):
            return frames, []
        return _resolve(frames, groups, f"the order of their {name}")

    return partition


def _sweep_numbers(moves: np.ndarray) -> np.ndarray:
    """For each of n + 1 places the number of its sweep, from the n moves (mm) between them.

    A sweep ends where the way turns, or stays in one place.
    """
    numbers, direction, number = [0], 0, 0
    for step, move in enumerate(moves):
        way = 0 if abs(move) <= SAME_PLACE else int(np.sign(move))
        if way == 0 or (direction and way != direction):
            number += 1
            # Where a table turns, the last slice is the next sweep's when its distance is that one's, not the last's.
            if way and step > 1 and abs(abs(moves[step - 1]) - abs(move)) > abs(abs(move) - abs(moves[step - 2])):
                numbers[-1] = number
            direction = 0 if numbers[-1] != number else way
        else:
            direction = way
        numbers.append(number)
    return np.array(numbers)


def _interleaved(frames: list[Frame]) -> tuple[list[Frame], list[StudyWarning]]:
    """Every second slice where distances alternate between two values, as those of two stacks beside each other do."""
    along = _along(frames)
    order = np.argsort(along, kind="stable")
    gaps = np.diff(along[order])
    if len(gaps) < 2 * SMALLEST or gaps.min() <= SAME_PLACE:
        return frames, []
    even, odd = np.median(gaps[::2]), np.median(gaps[1::2])
    narrow, wide = sorted((float(even), float(odd)))
    near = ALIKE * narrow + SAME_PLACE
    alike = np.concatenate([np.abs(gaps[::2] - even) <= near, np.abs(gaps[1::2] - odd) <= near])
    if narrow > BESIDE * wide or alike.mean() < 0.9:
        return frames, []
    left = sorted(order[::2].tolist())
    text = (
        f"The slices lie alternately {narrow:.2f} and {wide:.2f} mm apart, as two stacks in one place do, and nothing "
        f"else tells them apart: every second slice was read ({len(left)} slices), so that they are not mixed; "
        f"{len(frames) - len(left)} images were left out."
    )
    figures = {"read": len(left), "left_out": len(frames) - len(left), "apart_mm": [narrow, wide]}
    return [frames[number] for number in left], [StudyWarning("stacks-interleaved", text, figures)]


def _without_copies(frames: list[Frame]) -> tuple[list[Frame], list[StudyWarning]]:
    return without_copies(frames, _place_numbers(_along(frames)))


def _first_in_time(frames: list[Frame]) -> tuple[list[Frame], list[StudyWarning]]:
    """Where every place has as many images, that of each which was acquired, or else made, first."""
    places = _place_numbers(_along(frames))
    counts = np.bincount(places)
    if counts[0] < 2 or (counts != counts[0]).any():
        return frames, []
    for name, times in (
        ("acquisition time", [frame.acquired for frame in frames]),
        ("time of creation", [frame.created for frame in frames]),
    ):
        if None in times:
            continue
        order = np.lexsort((times, places))
        ranked = np.array(times)[order].reshape(-1, counts[0])
        if (np.diff(ranked, axis=1) > 0).all():
            left = sorted(order[:: counts[0]].tolist())
            text = (
                f"The series holds {counts[0]} images of every place, told apart by {name}: the first of each was "
                f"read ({len(left)} slices), {len(frames) - len(left)} images were left out."
            )
            figures = {"by": name, "read": len(left), "left_out": len(frames) - len(left)}
            return [frames[number] for number in left], [StudyWarning("places-repeated", text, figures)]
    return frames, []


def _first_by_number(frames: list[Frame]) -> tuple[list[Frame], list[StudyWarning]]:
    """The first of stacks that follow each other by instance number, each with one image of every place."""
    places = _place_numbers(_along(frames))
    count = int(places.max()) + 1
    if len(frames) == count or len(frames) % count or any(frame.instance is None for frame in frames):
        return frames, []
    order = sorted(range(len(frames)), key=lambda n: frames[n].instance)
    blocks = [order[start : start + count] for start in range(0, len(order), count)]
    if any(len(set(places[block])) != count for block in blocks):
        return frames, []
    text = (
        f"The series holds {len(blocks)} images of every place, told apart by their numbers: the first stack was read "
        f"({count} slices), {len(frames) - count} images were left out."
    )
    figures = {"by": "numbers", "read": count, "left_out": len(frames) - count}
    return [frames[n] for n in blocks[0]], [StudyWarning("places-repeated", text, figures)]


def _refuse_shared_place(frames: list[Frame]) -> None:
    places = _place_numbers(_along(frames))
    twice = int(np.flatnonzero(np.bincount(places) > 1)[0])
    pair = [frames[n].where for n in np.flatnonzero(places == twice)[:2]]
    raise InputError(
        "Several slices lie at one place, and nothing tells which belong together.",
        where=" and ".join(pair),
        advice=_SEPARATELY,
    )


# From what a header says outright to what only the slices' order shows.
_PARTITIONS: tuple[Callable[[list[Frame]], tuple[list[Frame], list[StudyWarning]]], ...] = (
    _by_marks,
    _without_copies,
    _by_centre,
    _by_sweeps("acquisition times", lambda frame: frame.acquired),
    _by_sweeps("times of creation", lambda frame: frame.created),
    _by_sweeps("numbers", lambda frame: frame.instance),
    _first_in_time,
    _first_by_number,
    _interleaved,
)
