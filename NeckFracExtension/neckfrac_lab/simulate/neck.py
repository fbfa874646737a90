"""A neck at rest, ready to be posed: bones as signed distances, soft tissue as labels, landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Distances are kept as int8 sixteenths of a millimetre: +-7.9 mm is all that rendering needs.
DISTANCE_SCALE = 16.0


@dataclass(frozen=True, eq=False)
class Bone:
    """One bone on its own small grid, axes along LPS.

    distance: int8 [z, y, x], signed distance in sixteenths of a mm, negative inside, clipped.
    origin: LPS mm (x, y, z) of voxel (0, 0, 0). spacing: mm, isotropic.
    label: class value of `neckfrac.anatomy` (1...7, T1, THORACIC, SKULL, OTHER_BONE).
    segment: the link of the chain that carries it ("skull", "C1"..."C7", "T1"...): the hyoid hangs
    on C3, a rib on its vertebra, the mandible on the skull and so on.
    density: factor of its HU. Calcified ligament is as dense as bone and is none: its label is BACKGROUND.
    """

    name: str
    distance: np.ndarray
    origin: tuple[float, float, float]
    spacing: float
    label: int
    segment: str
    density: float = 1.0


@dataclass(frozen=True)
class VertebraFrame:
    """Landmarks of one vertebra at rest, LPS mm, from which fractures and poses take their measure.

    center: of the body (of C1: the middle between the lateral masses, where a body would be).
    canal: centre of the vertebral canal at mid-height. axes: 3x3, rows are the unit vectors left,
    posterior, superior of the vertebra itself. half_size: half width, depth and height of the body
    in mm (of C1: half distance of the lateral masses' outer faces, half anterior-posterior extent and
    half height of a lateral mass). spinous_tip; left_* / right_*: lateral_mass (facet pillar centre),
    transverse_tip, lamina (middle of the lamina). dens_tip: of C2, else None.
    """

    center: tuple[float, float, float]
    canal: tuple[float, float, float]
    axes: tuple[tuple[float, float, float], ...]
    half_size: tuple[float, float, float]
    spinous_tip: tuple[float, float, float]
    left_lateral_mass: tuple[float, float, float]
    right_lateral_mass: tuple[float, float, float]
    left_transverse_tip: tuple[float, float, float]
    right_transverse_tip: tuple[float, float, float]
    left_lamina: tuple[float, float, float]
    right_lamina: tuple[float, float, float]
    dens_tip: tuple[float, float, float] | None = None

    def to_local(self, points: np.ndarray) -> np.ndarray:
        """LPS mm [..., 3] to mm in the vertebra's own axes (left, posterior, superior) about `center`."""
        return (np.asarray(points) - np.array(self.center)) @ np.array(self.axes).T


@dataclass(frozen=True, eq=False)
class Neck:
    """Bones, soft tissue and landmarks of one person at rest.

    bones: by name; vertebrae are "C1"..."C7", "T1"...; joints: the centre of rotation between a link
    and the next one below, keyed by the upper link's name ("skull" turns on C1, "C1" on C2, ...).
    frames: of C1...C7 and as many thoracic levels as there are. tissue: uint8 [z, y, x] of `TISSUES`
    indices (muscles get separate values from FIRST_MUSCLE up). body: float16 [z, y, x] distance in mm to
    the skin, negative inside. Both lie on the grid tissue_origin (LPS mm), tissue_spacing (mm).
    """

    bones: dict[str, Bone]
    joints: dict[str, tuple[float, float, float]]
    frames: dict[str, VertebraFrame]
    tissue: np.ndarray
    body: np.ndarray
    tissue_origin: tuple[float, float, float]
    tissue_spacing: float
    source: str
    license: str


# Soft tissue that a neck's labelmap names; the renderer gives each its HU. Fat fills the rest of the body.
TISSUES: tuple[str, ...] = (
    "none", "airway", "oral cavity air", "lung", "brain", "spinal canal", "disc", "vessel left",
    "vessel right", "thyroid", "cartilage", "tongue", "gland", "oesophagus", "skin",
)
FIRST_MUSCLE = 32
CHAIN: tuple[str, ...] = ("skull", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2", "T3", "T4", "T5")
# The same of a trunk, which has no neck: see `other_anatomy`.
TRUNK_CHAIN: tuple[str, ...] = ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "sacrum")
