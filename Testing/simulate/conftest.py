"""A toy neck of ellipsoids and rings: small, quick to make, and with volumes that can be worked out."""

from __future__ import annotations

import numpy as np
import pytest
from neckfrac.anatomy import LEVEL_BY_NAME, OTHER_BONE, SKULL, T1, THORACIC
from neckfrac_lab.simulate.neck import CHAIN, DISTANCE_SCALE, FIRST_MUSCLE, TISSUES, Bone, Neck, VertebraFrame

SPACING, STEP = 1.0, 17.0
BODY = np.array([9.0, 8.0, 6.0])


def bone(name: str, distance, low: np.ndarray, high: np.ndarray, label: int, segment: str) -> Bone:
    low, high = np.asarray(low, float) - 9, np.asarray(high, float) + 9
    x, y, z = (np.arange(a, b + SPACING, SPACING) for a, b in zip(low, high, strict=True))
    zz, yy, xx = np.meshgrid(z, y, x, indexing="ij")
    values = distance(np.stack([xx, yy, zz], -1))
    kept = np.clip(np.rint(values * DISTANCE_SCALE), -126, 126).astype(np.int8)
    return Bone(name, kept, tuple(low), SPACING, label, segment)


def vertebra_distance(center: np.ndarray):
    """A body and, behind it, a ring around the canal with a spinous process."""

    def distance(points: np.ndarray) -> np.ndarray:
        local = points - center
        length = np.linalg.norm(local / BODY, axis=-1)
        body = (length - 1) * BODY.min()
        back = local - (0, 16, 0)
        ring = np.hypot(np.hypot(back[..., 0], back[..., 1]) - 10.0, back[..., 2]) - 3.0
        along = np.clip(local[..., 1], 27, 40)
        spinous = np.linalg.norm(local - np.stack([0 * along, along, 0 * along], -1), axis=-1) - 3.0
        return np.minimum(np.minimum(body, ring), spinous)

    return distance


def make_toy_neck() -> Neck:
    levels = [name for name in CHAIN if name != "skull"][:10]
    bones, frames, joints = {}, {}, {}
    for n, name in enumerate(levels):
        center = np.array([0.0, 0.0, -STEP * n])
        label = LEVEL_BY_NAME[name].label if name in LEVEL_BY_NAME else T1 if name == "T1" else THORACIC
        bones[name] = bone(name, vertebra_distance(center), center - (14, 8, 6), center + (14, 43, 6), label, name)

        def at(x: float, y: float, z: float, center: np.ndarray = center) -> tuple[float, float, float]:
            return tuple(float(v) for v in center + (x, y, z))

        frames[name] = VertebraFrame(
            at(0, 0, 0), at(0, 16, 0), ((1, 0, 0), (0, 1, 0), (0, 0, 1)), tuple(BODY), at(0, 43, 0), at(10, 16, 0),
            at(-10, 16, 0), at(13, 16, 0), at(-13, 16, 0), at(7, 23, 0), at(-7, 23, 0),
            at(0, 0, 12) if name == "C2" else None,
        )
        joints[name] = at(0, 0, -STEP / 2)
    joints["skull"] = (0.0, 0.0, STEP / 2)
    skull = np.array([0.0, 0.0, 32.0])
    bones["skull"] = bone(
        "skull", lambda p: np.abs(np.linalg.norm((p - skull) / (1, 1.2, 0.6), axis=-1) - 38) * 0.6 - 3,
        skull - (42, 50, 26), skull + (42, 50, 26), SKULL, "skull",
    )
    jaw = np.array([0.0, -55.0, -8.0])
    bones["mandible"] = bone(
        "mandible", lambda p: np.linalg.norm((p - jaw) / (2.5, 1, 1), axis=-1) - 8, jaw - 22, jaw + 22, OTHER_BONE,
        "skull",
    )
    joints["mandible"] = (0.0, -10.0, 20.0)
    z, y, x = np.meshgrid(np.arange(-190, 80, 3.0), np.arange(-90, 90, 3.0), np.arange(-90, 91, 3.0), indexing="ij")
    body = np.hypot(x, y) - 75
    tissue = np.zeros(body.shape, np.uint8)
    tissue[(np.abs(x) < 60) & (y > 5) & (y < 60)] = FIRST_MUSCLE
    tissue[(np.abs(x) < 60) & (y > 40) & (y < 60) & (x > 0)] = FIRST_MUSCLE + 1
    tissue[np.hypot(x, y + 30) < 9] = TISSUES.index("airway")
    tissue[np.hypot(x, y - 16) < 7] = TISSUES.index("spinal canal")
    return Neck(bones, joints, frames, tissue, body.astype(np.float16), (-90.0, -90.0, -190.0), 3.0, "toy", "none")


@pytest.fixture(scope="session")
def toy_neck() -> Neck:
    return make_toy_neck()


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """In every test here."""
