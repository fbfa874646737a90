"""Where neck and chest meet, people differ: ribs on C7, long transverse processes, first ribs that end early."""

from __future__ import annotations

import numpy as np
from neckfrac.anatomy import OTHER_BONE

from ..shapes import Shape, sweep
from .remodel import Remodelling, on_grid, uneven


def _sides(change: Remodelling) -> list[tuple[int, str]]:
    both = [(1, "left"), (-1, "right")]
    return both if change.chance(0.55) else [both[int(change.chance(0.5))]]


def cervical_rib(change: Remodelling) -> None:
    """A rib on C7 (class OTHER_BONE): a stub, a finger, or a long one that bends forward to the first rib."""
    record = []
    for side, word in _sides(change):
        tip = change.landmark("C7", f"{word}_transverse_tip")
        length = change.between(8, 18) if change.chance(0.45) else change.between(18, 60)
        out = np.array([side, 1.0, 1.0])
        # Out over the tip of the process, then forwards and down like the first rib below it.
        turns = ((0, 0, 0), (6, -2, -2.5), (11, -9, -8), (12, -20, -15), (6, -32, -23), (-3, -42, -31))
        path = np.array(turns, float) * out * change.between(0.9, 1.1)
        walked = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
        length = min(length, walked[-1])
        stops = np.linspace(0, length, max(int(length / 6) + 2, 3))
        points = np.stack([np.interp(stops, walked, path[:, n]) for n in range(3)], axis=1)
        # Fused with the process, or in a joint with it.
        fused = change.chance(0.3)
        start = tip + np.array([side * (-1.5 if fused else 1.6), -1.0, 0.0])
        tall, thick = change.between(2.6, 4.2), change.between(1.9, 3.0)
        taper = np.linspace(1.15, change.between(0.55, 1.0), len(points))
        rows = [(*(start + p), tall * t, thick * t) for p, t in zip(points, taper, strict=True)]
        shape = uneven(sweep(rows, count=max(6, len(rows))), change.generator, 0.25)
        change.add(on_grid(change.at("C7", shape), 1.0, f"{word} cervical rib", OTHER_BONE, "C7"))
        record.append({"side": word, "length_mm": round(float(length), 1), "fused": fused})
    change.note("cervical rib", ribs=record)


def long_process(change: Remodelling) -> None:
    """Transverse processes of C7 that reach further out and down than T1's; they are part of C7."""
    record = []
    for side, word in _sides(change):
        tip, longer = change.landmark("C7", f"{word}_transverse_tip"), change.between(4, 14)
        end = tip + (side * longer * 0.9, change.between(-0.3, 0.1) * longer, -change.between(0.1, 0.6) * longer)
        start = tip - np.array([side * 4.0, 0.0, 0.0])
        tall, thick = change.between(2.8, 4.2), change.between(2.4, 3.4)
        shape = sweep([(*start, tall, thick), (*end, tall * 0.85, thick * 0.85)])
        change.join("C7", change.at("C7", uneven(shape, change.generator, 0.25)), 1.5)
        record.append({"side": word, "longer_mm": round(longer, 1)})
    change.note("long transverse process", sides=record)


def short_first_rib(change: Remodelling) -> None:
    """A first rib that ends before it reaches the sternum, on one side or both."""
    record = []
    for _, word in _sides(change):
        name = f"{word} first rib"
        if name not in change.neck.bones:
            continue
        bone = change.bone(name)
        rear = bone.origin[1] + bone.distance.shape[1] * bone.spacing - 8
        kept = change.between(0.3, 0.65)
        cut = rear - kept * (bone.distance.shape[1] * bone.spacing - 16)
        # All that lies in front of the cut (smaller y); as a shape bounded to the rib's own crop.
        lower = np.array(bone.origin)
        upper = lower + np.array(bone.distance.shape[::-1]) * bone.spacing
        shape = Shape(lambda points, cut=cut: points[:, 1] - np.float32(cut), lower, upper)
        change.carve(name, uneven(shape, change.generator, 0.4), 2.0)
        record.append({"side": word, "kept": round(kept, 2)})
    change.note("short first rib", ribs=record)
