"""The built-in anatomy: a neck made from measures alone, C1 to T5 with everything around it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from neckfrac.anatomy import LEVEL_BY_NAME, T1, THORACIC

from ..neck import Bone, Neck
from .atlas_axis import sculpt_atlas, sculpt_axis
from .girdle import build_girdle
from .layout import Layout, Place, frame_of, landmarks, lay_out
from .morphometry import Person, draw_person
from .sculpture import Sculpture
from .skin import build_body, tissue_grid
from .skull import build_hyoid, build_mandible, build_skull
from .soft_tissue import build_tissue
from .subaxial import sculpt_cervical, sculpt_thoracic

SOURCE = "NeckFrac's parametric neck, from published measures"
LICENSE = "the project's own"
SPACING = {"C": 0.75, "T": 1.0}


def wobble_of(person: Person, name: str) -> Callable[[np.ndarray], np.ndarray] | None:
    """Small smooth displacements (sd about 0.35 mm) that make one person's bone its own and not symmetric."""
    if person.seed is None:
        return None
    generator = np.random.default_rng([person.seed, *name.encode()])
    waves = generator.normal(size=(6, 3))
    waves *= (2 * np.pi / generator.uniform(22, 50, 6) / np.linalg.norm(waves, axis=1))[:, None]
    phases, pushes = generator.uniform(0, 2 * np.pi, 6), generator.normal(size=(6, 3)) * 0.2

    def move(points: np.ndarray) -> np.ndarray:
        angles = points @ waves.T.astype(np.float32) + phases.astype(np.float32)
        return points + np.sin(angles) @ pushes.astype(np.float32)

    return move


def build_vertebra(place: Place, person: Person) -> Bone:
    """One vertebra on its own grid."""
    size, name = place.size, place.name
    marks = landmarks(name, size, place.scale)
    half = size.transverse / 2 + 3
    front = -17.5 * place.scale if name == "C1" else -max(size.upper_depth, size.lower_depth) / 2
    top = {"C1": 14.0, "C2": size.height / 2 + person.dens_height}.get(name, size.height / 2 + 10)
    lower = np.array([-half, front - 3, -max(size.height / 2 + 12, size.spinous_drop + 7)])
    upper = np.array([half, marks.spinous_tip[1] + 5, top + 2])
    sculpture = Sculpture(
        lower, upper, turn=place.turn, center=place.center, spacing=SPACING[name[0]], wobble=wobble_of(person, name)
    )
    if name == "C1":
        sculpt_atlas(sculpture, place, marks, person)
    elif name == "C2":
        sculpt_axis(sculpture, place, marks, person)
    elif name.startswith("C"):
        sculpt_cervical(sculpture, place, marks)
    else:
        sculpt_thoracic(sculpture, place, marks)
    label = LEVEL_BY_NAME[name].label if name in LEVEL_BY_NAME else T1 if name == "T1" else THORACIC
    return sculpture.bone(name, label, name)


def build_vertebrae(layout: Layout) -> dict[str, Bone]:
    """C1 to T5 by name."""
    return {name: build_vertebra(place, layout.person) for name, place in layout.places.items()}


def build_neck(seed: int | None = None) -> Neck:
    """The textbook neck (seed None), or a person whose sizes vary by the published standard deviations.

    The same seed gives the same neck. LPS mm, C4's body about the origin. Takes some 10 s on one core.
    """
    person = draw_person(seed)
    layout = lay_out(person)
    bones = build_vertebrae(layout)
    bones["skull"] = build_skull(layout, wobble_of(person, "skull"))
    bones["mandible"] = build_mandible(layout, wobble_of(person, "mandible"))
    bones["hyoid"] = build_hyoid(layout, wobble_of(person, "hyoid"))
    bones |= build_girdle(layout)
    frames = {name: frame_of(place, person) for name, place in layout.places.items()}
    grid = tissue_grid(layout)
    body = build_body(layout, grid)
    return Neck(
        bones,
        layout.joints,
        frames,
        build_tissue(layout, grid, body),
        body,
        grid.origin,
        grid.spacing,
        SOURCE,
        LICENSE,
    )
