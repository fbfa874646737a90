"""What every tissue looks like on CT: Hounsfield units of soft tissue and of bone, drawn for one person."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from .neck import FIRST_MUSCLE, TISSUES, Neck
from .noise import SmoothNoise, gaussian
from .pose import Variation

AIR = -1000.0
_INDEX = {name: number for number, name in enumerate(TISSUES)}
# HU ranges of soft tissue that are drawn once per person; contrast medium and calcification come on top.
_RANGES = {
    "airway": (10, 50), "oral cavity air": (10, 60), "lung": (-40, 30), "brain": (22, 45), "spinal canal": (8, 45),
    "disc": (50, 130), "vessel left": (32, 60), "vessel right": (32, 60), "thyroid": (70, 150), "cartilage": (50, 130),
    "tongue": (25, 65), "gland": (-20, 55), "oesophagus": (20, 50), "skin": (-10, 50),
}
# Blur of the labelmap (in its voxels) that turns its steps into smooth edges.
_EDGE_BLUR = 0.8


@dataclass(frozen=True, eq=False)
class Tissue:
    """One person's tissue. HU unless said otherwise.

    table: HU by label. septa: share of fat where two muscles meet. lung, skin: HU. air_in_mouth: 0 or 1.
    cortical, trabecular: HU at a bone's surface and deep inside. cortex: thickness scale in mm of
    exp(-(depth / cortex)^2). bone_factors: (cortical, trabecular) factor by bone name. texture: relative
    unevenness of trabecular bone. fillings: count of metal fillings. nodes: HU of lymph nodes and glands.
    """

    table: np.ndarray
    fat: float
    septa: float
    lung: float
    skin: float
    air_in_mouth: float
    nodes: float
    cortical: float
    trabecular: float
    cortex: float
    texture: float
    bone_factors: dict[str, tuple[float, float]]
    fillings: int
    table_gap: float | None
    table_hu: tuple[float, float]
    head_rest: bool
    collar: tuple[float, float] | None
    noises: dict[str, SmoothNoise] = field(repr=False)

    def truth(self) -> dict:
        """What was drawn, for the record."""
        return {
            "cortical_hu": self.cortical, "trabecular_hu": self.trabecular, "cortex_mm": self.cortex,
            "fat_hu": self.fat, "fillings": self.fillings, "collar": self.collar is not None,
            "carotid_hu": float(self.table[_INDEX["vessel left"]]),
        }


def draw_tissue(neck: Neck, variation: Variation, generator: np.random.Generator) -> Tissue:
    """A random person's tissue; the same generator state gives the same."""
    g, width = generator, variation.tissue

    def between(low: float, high: float) -> float:
        """Uniform between two ends, drawn together in the middle as `tissue` falls to 0."""
        return float((low + high) / 2 + width * (high - low) * g.uniform(-0.5, 0.5))

    lean = g.random() < variation.lean_chance
    fat = between(-60, 20) if lean else between(-125, -75)
    table = np.zeros(256, np.float32)
    muscle = between(35, 75)
    unlike = g.normal(0, 1, 256 - FIRST_MUSCLE) * between(2, 14) * min(width, 1)
    table[FIRST_MUSCLE:] = np.clip(muscle + unlike, 5, 100)
    for name, (low, high) in _RANGES.items():
        table[_INDEX[name]] = between(low, high)
    table[0] = fat
    if g.random() < variation.contrast_chance:
        level = g.uniform(120, 480)
        for side in ("vessel left", "vessel right"):
            table[_INDEX[side]] = level * g.uniform(0.8, 1.1)
        table[_INDEX["thyroid"]] += 50
    if g.random() < 0.15 * width:
        table[_INDEX["disc"]] = g.uniform(130, 350)
    if g.random() < 0.4 * width:
        table[_INDEX["cartilage"]] = g.uniform(130, 450)
    thin = g.random() < 0.15 * width
    factors = {
        name: tuple(bone.density * np.exp(g.normal(0, spread * width)) for spread in (0.10, 0.20))
        for name, bone in neck.bones.items()
    }
    has_table, has_collar = g.random() < variation.table_chance, g.random() < variation.collar_chance
    tissue = Tissue(
        table=table, fat=fat, septa=between(0.15, 0.75), lung=between(-890, -780), skin=between(-20, 60),
        air_in_mouth=float(g.random() < 0.55), nodes=between(20, 80),
        cortical=between(900, 1500) if g.random() < 0.8 else between(550, 1700),
        trabecular=between(-40, 120) if thin else between(130, 450), cortex=between(0.7, 1.6),
        texture=between(0.12, 0.35), bone_factors={n: (float(a), float(b)) for n, (a, b) in factors.items()},
        fillings=int(g.integers(1, 6)) if g.random() < variation.fillings_chance else 0,
        table_gap=float(g.uniform(4, 30)) if has_table else None,
        table_hu=(float(g.uniform(-150, 250)), float(g.uniform(-985, -900))), head_rest=bool(g.random() < 0.5),
        collar=(float(g.uniform(5, 14)), float(g.uniform(-120, 80))) if has_collar else None,
        noises={
            name: SmoothNoise.draw(g, spacing)
            for name, spacing in {
                "coarse": 12.0, "middle": 5.0, "fine": 2.6, "cortex": 8.0, "nodes": 9.0, "soft": 6.0, "rough": 5.0,
                "grain": 2.5, "septa": 7.0,
            }.items()
        },
    )
    given = {name: getattr(variation, name) for name in ("cortical", "trabecular", "cortex")}
    return replace(tissue, **{name: float(g.uniform(*ends)) for name, ends in given.items() if ends is not None})


def sample(volume: torch.Tensor, index: torch.Tensor, outside: str = "border") -> torch.Tensor:
    """Trilinear samples [channels, ...] of [channels, z, y, x] at fractional indices [3 (x, y, z), ...]."""
    scaled = index.new_empty(*index.shape[1:], 3)
    for n in range(3):
        torch.mul(index[n], 2 / max(volume.shape[3 - n] - 1, 1), out=scaled[..., n]).sub_(1)
    result = F.grid_sample(volume[None], scaled.view(1, 1, 1, -1, 3), align_corners=True, padding_mode=outside)
    return result.reshape(len(volume), *index.shape[1:])


def soft_tissue(neck: Neck, tissue: Tissue, rest: torch.Tensor, voxel: float) -> tuple[torch.Tensor, ...]:
    """HU of everything but bone, the distance to the skin (mm, negative inside), the share of muscle: [z, y, x].

    rest: rest points [3 (x, y, z), z, y, x] in mm of the lattice; voxel: its mean spacing in mm.
    """
    device = rest.device
    index = torch.stack([(rest[n] - neck.tissue_origin[n]) / neck.tissue_spacing for n in range(3)])
    size = neck.tissue.shape[::-1]
    low = [int(np.clip(float(index[n].min()) - 4, 0, max(size[n] - 1, 0))) for n in range(3)]
    high = [int(np.clip(float(index[n].max()) + 5, low[n] + 1, size[n])) for n in range(3)]
    crop = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))
    labels = torch.from_numpy(np.ascontiguousarray(neck.tissue[crop])).long().to(device)
    body = torch.from_numpy(np.ascontiguousarray(neck.body[crop]).astype(np.float32)).to(device)
    hu = torch.from_numpy(tissue.table).to(device)[labels]
    is_muscle = labels >= FIRST_MUSCLE
    typical = hu[is_muscle].mean() if is_muscle.any() else torch.tensor(0.0, device=device)
    # Muscle and what lies around it are sampled apart, so that the border between them can be made sharp again.
    flesh, rest_hu = torch.where(is_muscle, hu, typical), torch.where(is_muscle, tissue.fat, hu)
    muscle = is_muscle.float() * (1 - 1.3 * tissue.septa * _borders(labels))
    air = (labels == _INDEX["airway"]).float() + tissue.air_in_mouth * (labels == _INDEX["oral cavity air"]).float()
    lung = (labels == _INDEX["lung"]).float()
    parts = [
        gaussian(part, (_EDGE_BLUR,) * 3) if part.any() else part for part in (rest_hu, flesh, muscle, air, lung)
    ]
    for n in range(3):
        index[n] -= low[n]
    rest_hu, flesh, muscle, air, lung, body = sample(torch.stack([*parts, body]), index)
    # A blurred step of sigma s has the slope 1 / (s sqrt(2 pi)): back to a distance, then to occupancy.
    slope = _EDGE_BLUR * neck.tissue_spacing * np.sqrt(2 * np.pi)
    muscle = (0.5 + (muscle - 0.4) * slope / max(voxel, 1.0)).clamp(0, 1)
    lung = (0.5 + (lung - 0.5) * slope / voxel).clamp(0, 1)
    air = (0.5 + (air - 0.5) * slope / voxel).clamp(0, 1)
    hu = torch.lerp(torch.lerp(rest_hu, flesh, muscle), torch.tensor(tissue.lung, device=device), lung)
    return torch.lerp(hu, torch.tensor(AIR, device=device), air), body, muscle


def _borders(labels: torch.Tensor) -> torch.Tensor:
    """0...1: how much a voxel borders on other labels; thin sheets of fat lie there between muscles."""
    border = torch.zeros(labels.shape, device=labels.device)
    for axis in range(3):
        count = labels.shape[axis] - 1
        if count < 1:
            continue
        differ = (labels.narrow(axis, 0, count) != labels.narrow(axis, 1, count)).float()
        border.narrow(axis, 0, count).add_(differ)
        border.narrow(axis, 1, count).add_(differ)
    return (border / 2).clamp(0, 1)


def finish_soft_tissue(
    hu: torch.Tensor, body: torch.Tensor, muscle: torch.Tensor, tissue: Tissue, planes: tuple[torch.Tensor, ...],
    voxel: float,
) -> torch.Tensor:
    """Septa, nodes, unevenness, skin and the air around the body, on the lattice's planes z, y, x (mm)."""

    def noise(name: str) -> torch.Tensor:
        return tissue.noises[name].on_lattice(*planes)[0]

    nodes = noise("nodes")
    fatty = (hu < 15) & (hu > -200) & (body < -6)
    # Where a smooth field changes sign lie thin sheets: fat within muscle, fibrous septa within fat.
    sheets = torch.exp(-((noise("septa") / 0.11) ** 2)) + 0.8 * torch.exp(-((nodes / 0.09) ** 2))
    sheets = sheets.clamp(max=1) * min(1.0, 1.4 / voxel)
    hu = hu + (0.75 * tissue.septa * muscle) * sheets * (tissue.fat - hu)
    hu = torch.where(fatty, hu + 0.3 * sheets * (30.0 - hu), hu)
    hu = torch.where(fatty & (nodes > 1.9), tissue.nodes, hu)
    inside = hu > -500
    hu = hu + inside * (5 * noise("soft") + 4 * noise("grain"))
    skin = (0.5 + (body + 1.8) / max(voxel, 0.8)).clamp(0, 1)
    hu = torch.lerp(hu, torch.tensor(tissue.skin, device=hu.device), skin)
    return torch.lerp(torch.tensor(AIR, device=hu.device), hu, (0.5 - body / voxel).clamp(0, 1))


def bone_hu(
    depth: torch.Tensor, factors: tuple[torch.Tensor, torch.Tensor], tissue: Tissue, noise: dict[str, torch.Tensor],
    voxel: float,
) -> torch.Tensor:
    """HU at a depth (mm) below the bone's surface: a cortex that fades into spongy bone.

    factors: the bone's own (cortical, trabecular). noise: values of the fields coarse, middle, fine, cortex.
    A cortex thinner than a voxel is spread out and dimmed so that its sum stays.
    """
    cortex = tissue.cortex * (1 + 0.3 * noise["cortex"]).clamp(0.4, 1.8)
    spread = torch.sqrt(cortex**2 + (0.45 * voxel) ** 2)
    shell = torch.exp(-((depth.clamp(min=0) / spread) ** 2)) * cortex / spread
    # Coarse voxels average the finest texture away.
    fine = 1.0 if voxel < 1.5 else 0.4
    uneven = 1 + tissue.texture * (0.4 * noise["coarse"] + 0.5 * noise["middle"] + fine * noise["fine"])
    spongy = tissue.trabecular * factors[1] * uneven.clamp(0.2, 2.2)
    return spongy + shell * (tissue.cortical * factors[0] - spongy)
