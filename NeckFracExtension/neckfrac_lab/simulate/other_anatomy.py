"""Scans that hold no cervical spine: another part of the spine, a head or a chest alone, no body at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from neckfrac.anatomy import OTHER_BONE
from neckfrac.volume import CTVolume

from .built_in.layout import frame_of
from .built_in.parametric import LICENSE
from .neck import Neck
from .noise import SmoothNoise
from .scanner import Scanner, acquire
from .study import Grid, SimulatedStudy, Variation, simulate_study
from .trunk.abdomen import build_trunk_body, build_trunk_tissue, trunk_grid
from .trunk.layout import draw_trunk_person, lay_out_trunk, trunk_landmarks
from .trunk.pelvis import build_hips, build_ribs, build_sacrum
from .trunk.vertebrae import build_trunk_vertebrae

# How often each is drawn: a large spine without ribs, a head, a chest, a phantom.
KINDS, CHANCES = ("trunk", "head", "chest", "phantom"), (0.4, 0.2, 0.15, 0.25)
SOURCE = "NeckFrac's parametric trunk, from published measures"
# Levels of a trunk that a scan is centred on.
TRUNK_LEVELS = ("T11", "T12", "L1", "L2", "L3", "L4", "L5", "sacrum")
UPSIDE_DOWN = 0.1  # share that lies on its head


def build_trunk(seed: int | None = None) -> Neck:
    """T9 to L5 with the lower ribs, the pelvis and the belly around them; no neck and no head.

    The textbook's measures (seed None), or a person's; the same seed gives the same trunk. LPS mm, L3's body about
    the origin. Vertebrae are THORACIC, everything else OTHER_BONE. Takes some 10 s on one core.
    """
    person = draw_trunk_person(seed)
    layout = lay_out_trunk(person)
    bones = build_trunk_vertebrae(layout)
    bones["sacrum"] = build_sacrum(layout)
    bones |= build_hips(layout) | build_ribs(layout)
    frames = {
        name: frame_of(place, person, trunk_landmarks(name, place.size, place.scale))
        for name, place in layout.places.items()
    }
    grid = trunk_grid(layout)
    body = build_trunk_body(layout, grid)
    tissue = build_trunk_tissue(layout, grid, body)
    return Neck(bones, layout.joints, frames, tissue, body, grid.origin, grid.spacing, SOURCE, LICENSE)


def draw_no_neck(
    necks: Sequence[Neck],
    trunks: Sequence[Neck],
    seed: int,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
) -> SimulatedStudy:
    """One scan without a cervical vertebra in view, on a grid of `shape` voxels of `spacing` mm (z, y, x)."""
    generator = np.random.default_rng([4, seed])
    kind = str(generator.choice(KINDS, p=CHANCES))
    offset = generator.normal(0, 1, 3) * (14, 14, 14)
    if kind == "phantom":
        return phantom_study(seed, Grid(shape, spacing))
    if kind == "trunk":
        neck, level = trunks[generator.integers(len(trunks))], str(generator.choice(TRUNK_LEVELS))
        variation = Variation(collar_chance=0.0, implant_chance=0.0, tube_chance=0.0, free_air_chance=0.0)
    else:
        # So far above or below that no cervical vertebra is in the grid, whatever the pose.
        away = shape[0] * spacing[0] / 2 + generator.uniform(20, 60)
        neck, variation = necks[generator.integers(len(necks))], Variation(extreme_chance=0.0)
        level, offset[2] = ("skull", away) if kind == "head" else ("T3", -away + 30)
    grid = Grid(shape, spacing, (level, tuple(map(float, offset))))
    study = simulate_study(neck, seed=seed, grid=grid, variation=variation)
    if generator.random() < UPSIDE_DOWN:
        volume = CTVolume(np.ascontiguousarray(study.volume.voxels[::-1, ::-1]), study.volume.affine)
        study = replace(study, volume=volume, labels=np.ascontiguousarray(study.labels[::-1, ::-1]))
    return study


def phantom_study(seed: int, grid: Grid) -> SimulatedStudy:
    """Cylinders, rods, bone-like tubes and stacks of them in water, plastic or air, as a scanner sees them.

    Bone-like tubes (a cortex about marrow) count as other bone; nothing else has a label.
    """
    generator = np.random.default_rng([5, seed])
    planes = grid.planes(np.zeros(3), torch.device("cpu"))
    places = torch.stack(torch.meshgrid(*planes, indexing="ij"))
    hu = torch.full(grid.shape, -1000.0)
    labels = torch.zeros(grid.shape, dtype=torch.uint8)
    voxel, extent = float(np.mean(grid.spacing)), np.array(grid.shape) * grid.spacing

    def fill(distance: torch.Tensor, value: float | torch.Tensor) -> None:
        hu.lerp_(torch.as_tensor(value).float().expand_as(hu), (0.5 - distance / voxel).clamp(0, 1))

    up = np.array([1.0, 0.0, 0.0]) + generator.normal(0, 0.25, 3)
    up /= np.linalg.norm(up)
    if generator.random() < 0.8:
        body = _cylinder(places, generator.normal(0, 6, 3), up, generator.uniform(0.3, 0.75) * extent[2] / 2, 1e3)
        texture = 4.0 * SmoothNoise.draw(generator, 12.0).on_lattice(*planes)[0]
        fill(body, float(generator.choice([0.0, 40.0, -100.0, 120.0])) + texture)
    for _ in range(int(generator.integers(0, 7))):  # inserts and rods
        way = up if generator.random() < 0.6 else generator.normal(size=3)
        half = float(generator.choice([generator.uniform(4, 30), 500]))
        insert = _cylinder(places, generator.uniform(-0.35, 0.35, 3) * extent, way, generator.uniform(2, 18), half)
        fill(insert, float(generator.choice([-990, -100, 60, 200, 400, 900, 1500, 3000]) * generator.uniform(0.8, 1.2)))
    if generator.random() < 0.6:  # a long bone, or a stack of bone-like discs, which is the hard case
        stacked = generator.random() < 0.6
        radius, wall = float(generator.uniform(7, 26)), float(generator.uniform(1.0, 5.0))
        tall = float(generator.uniform(6, 28) if stacked else generator.uniform(40, 300))
        step = tall + float(generator.uniform(2, 9))
        start = generator.uniform(-0.25, 0.25, 3) * extent
        cortex, marrow = float(generator.uniform(350, 1500)), float(generator.uniform(-80, 350))
        count = int(extent[0] / step) + 2 if stacked else 1
        for n in range(count):
            middle = start + (n - count // 2) * step * up + generator.normal(0, 0.6, 3) * stacked
            outer = _cylinder(places, middle, up, radius * generator.uniform(0.95, 1.05), tall / 2)
            fill(outer, cortex)
            fill(outer + wall, marrow)
            labels[outer < 0] = OTHER_BONE
    scanner = Scanner.random(generator)
    voxels = acquire(hu, scanner, grid.spacing, planes, float(planes[0][0]), [], generator).numpy()
    affine = np.diag([*grid.spacing[::-1], 1.0])
    affine[:3, 3] = [float(plane[0]) for plane in planes[::-1]]
    labels = np.where(scanner.seen(grid.shape, grid.spacing), labels.numpy(), 0).astype(np.uint8)
    truth = {"seed": int(seed), "source": "phantom", "fractures": [], "mimics": [], "scanner": scanner.truth()}
    return SimulatedStudy(CTVolume(voxels, affine), labels, np.zeros_like(labels), {}, {}, truth)


def _cylinder(
    places: torch.Tensor, middle: np.ndarray, direction: np.ndarray, radius: float, half: float
) -> torch.Tensor:
    """Distance (mm) to a cylinder [z, y, x], negative inside; places: [3 (z, y, x), z, y, x] mm."""
    axis = direction / np.linalg.norm(direction)
    way = [places[n] - float(middle[n]) for n in range(3)]
    along = sum(part * float(share) for part, share in zip(way, axis, strict=True))
    across = (sum(part.square() for part in way) - along.square()).clamp_min(0).sqrt()
    return torch.maximum(across - radius, along.abs() - half)
