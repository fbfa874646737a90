"""How large the bones of the neck are: published means and spreads, and sizes drawn from them.

Sources (mm; dry bones or CT of adults):
- "Anatomical dimensions of the typical cervical vertebrae and their clinical implications", Eur J Anat 2020,
  pages 9-15 (100 dry bones): body height 10.9 (1.4), depth above 14.8 (2.0) and below 15.6 (2.0), width above
  23.2 (2.2) and below 19.9 (2.4), spinous process 15.3 (4.3), canal 22.0 (1.8) wide.
- Panjabi et al., Spine 1991;16:861-869 (C2 to C7) and 888-901 (T1 to T5): how body, canal and processes change
  from level to level; rounded, and fitted to the means above. Canal depth is theirs (16 to 18), for on dry bone
  it varies with the method.
- Yousuf et al., "Morphometric study of dens", Int J Res Med Sci: dens 15.8 high, 10.7 deep, 8.5 to 10.3 wide,
  whole axis 38.1 high. Gosavi and Swamy 2012, "Morphometric study of the axis vertebra": dens 14.9 (1.5) high,
  body 14.8 (1.7) deep.
- Patel and Gupta, "A morphometric study of adult human atlas vertebrae", Int J Res Med Sci: atlas 71.2 wide,
  canal 28.2 deep, anterior arch 10.2 and posterior arch 8.7 high, upper facets 20.7 by 11.4, lower 17.9 by 15;
  Doherty and Heggeness, Spine 1994 (larger bones): 78 wide, 46 deep. The textbook's 75 lies between.
- Gilad and Nissan, Spine 1986;11:154-157: discs 4.6 to 6 high.
Where a source gives a spread it bounds what is drawn (1.7 deviations). How the spread divides into the person's
size, the level's and the single measure's is an assumption; so are whatever measures no source is named for.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

# Published mean and standard deviation over C3...C6, for tests and for whoever wants to compare.
TYPICAL: dict[str, tuple[float, float]] = {
    "height": (10.92, 1.35),
    "upper_depth": (14.79, 1.96),
    "lower_depth": (15.56, 1.95),
    "upper_width": (23.22, 2.16),
    "lower_width": (19.88, 2.38),
    "spinous_length": (15.25, 4.25),
    "canal_width": (21.98, 1.82),
}
# Of the axis: whole height (its deviation assumed, 7 %), dens height, dens depth.
AXIS_HEIGHT, DENS_HEIGHT, DENS_DEPTH = (38.1, 2.6), (15.8, 1.5), (10.7, 0.9)
PERSON_SPREAD, LEVEL_SPREAD = 0.045, 0.02


@dataclass(frozen=True)
class VertebraSize:
    """Measures of one vertebra in mm and degrees.

    upper_width (with the uncinate processes), lower_width, upper_depth, lower_depth, height: of the body;
    disc: height of the disc below. canal_width, canal_depth: of the vertebral canal. pillar: from the middle to
    the facet pillar's axis. transverse: tip to tip. spinous_length: from the canal's rear wall to the tip;
    spinous_drop: how far the tip lies below the body's centre. facet: slope of the facets to the horizontal.
    """

    upper_width: float
    lower_width: float
    upper_depth: float
    lower_depth: float
    height: float
    disc: float
    canal_width: float
    canal_depth: float
    pillar: float
    transverse: float
    spinous_length: float
    spinous_drop: float
    facet: float

    @property
    def wall(self) -> float:
        """How far the body's rear wall lies behind its centre."""
        return (self.upper_depth + self.lower_depth) / 4


# C1 stands here for its ring: width and depth of the whole bone, height of a lateral mass, canal.
SIZES: dict[str, VertebraSize] = {
    "C1": VertebraSize(50.0, 50.0, 46.0, 46.0, 15.0, 0.0, 30.0, 31.0, 17.0, 75.0, 8.0, 2.0, 25.0),
    "C2": VertebraSize(18.0, 18.0, 14.8, 15.6, 22.3, 4.8, 23.5, 18.5, 18.0, 55.0, 19.0, 9.0, 40.0),
    "C3": VertebraSize(21.5, 18.4, 14.6, 15.4, 11.7, 5.0, 22.6, 15.6, 18.0, 53.0, 13.5, 7.0, 45.0),
    "C4": VertebraSize(22.3, 18.6, 14.9, 15.7, 11.4, 5.2, 23.0, 15.6, 18.4, 54.0, 14.0, 8.0, 45.0),
    "C5": VertebraSize(23.2, 20.2, 15.1, 16.2, 11.4, 5.4, 23.4, 15.8, 19.0, 56.0, 15.5, 9.0, 45.0),
    "C6": VertebraSize(24.8, 22.4, 16.0, 17.3, 11.6, 5.5, 23.6, 16.0, 19.4, 58.0, 21.0, 10.0, 48.0),
    "C7": VertebraSize(27.2, 24.6, 17.0, 17.6, 13.2, 5.2, 23.0, 15.6, 19.6, 67.0, 31.0, 14.0, 55.0),
    "T1": VertebraSize(28.6, 27.6, 17.6, 18.6, 14.6, 4.6, 21.4, 16.0, 18.0, 74.0, 32.0, 17.0, 64.0),
    "T2": VertebraSize(27.0, 27.0, 18.6, 19.6, 15.8, 4.2, 19.0, 15.6, 16.0, 68.0, 33.0, 24.0, 68.0),
    "T3": VertebraSize(26.0, 26.4, 20.0, 21.2, 16.2, 4.0, 18.0, 16.0, 15.0, 62.0, 33.0, 30.0, 70.0),
    "T4": VertebraSize(25.6, 26.2, 21.4, 22.4, 16.6, 4.0, 17.4, 16.2, 14.6, 60.0, 33.0, 33.0, 72.0),
    "T5": VertebraSize(25.4, 26.6, 22.6, 23.6, 16.8, 4.0, 17.4, 16.2, 14.4, 60.0, 33.0, 35.0, 74.0),
}
# Tilt of each level's own axis, degrees, upper end forward: about 20 degrees of lordosis from C2 to C7 and a
# T1 slope of 24 degrees, both ordinary for adults lying in a scanner.
TILTS: dict[str, float] = {
    "C1": -12.0,
    "C2": -3.0,
    "C3": 0.0,
    "C4": 4.0,
    "C5": 9.0,
    "C6": 14.0,
    "C7": 19.0,
    "T1": 24.0,
    "T2": 27.0,
    "T3": 26.0,
    "T4": 22.0,
    "T5": 18.0,
}


@dataclass(frozen=True)
class Person:
    """One person's sizes. scale: of everything that has no measure of its own; lean: 0 thin to 1 stout."""

    sizes: dict[str, VertebraSize]
    tilts: dict[str, float]
    dens_height: float
    dens_depth: float
    dens_width: float
    scale: float
    lean: float
    seed: int | None


def draw_person(seed: int | None) -> Person:
    """The textbook's mean person (seed None), or one drawn around it; nothing strays beyond two deviations."""
    textbook = Person(dict(SIZES), dict(TILTS), DENS_HEIGHT[0], DENS_DEPTH[0], 9.8, 1.0, 0.5, None)
    if seed is None:
        return textbook
    generator = np.random.default_rng(seed)

    def spread(deviation: float) -> float:
        return float(np.clip(generator.normal(), -2, 2) * deviation)

    scale = 1 + spread(PERSON_SPREAD)
    common = {field.name: 1 + spread(0.04) for field in fields(VertebraSize)}
    common |= {"spinous_length": 1 + spread(0.12), "disc": 1 + spread(0.1), "facet": 1 + spread(0.05)}
    sizes = {}
    for name, size in SIZES.items():
        level = 1 + spread(LEVEL_SPREAD)
        changes = {}
        for field in fields(VertebraSize):
            factor = common[field.name] * (1 + spread(LEVEL_SPREAD))
            if field.name != "facet":
                factor *= scale * level
            changes[field.name] = getattr(size, field.name) * factor
        for measure, (mean, deviation) in TYPICAL.items():
            if name in ("C3", "C4", "C5", "C6") and measure != "spinous_length":
                changes[measure] = float(np.clip(changes[measure], mean - 1.7 * deviation, mean + 1.7 * deviation))
        # The pillars stand beside the canal: a wide canal with narrow-set pillars would break the ring.
        changes["pillar"] = size.pillar + 0.5 * (changes["canal_width"] - size.canal_width)
        sizes[name] = replace(size, **changes)
    bend, tilts = spread(2.0), {}
    for number, (name, tilt) in enumerate(TILTS.items()):
        tilts[name] = tilt + bend * (number - 4) * 0.4 + spread(0.8)
    dens = scale * (1 + spread(0.05))
    return Person(
        sizes,
        tilts,
        DENS_HEIGHT[0] * dens,
        DENS_DEPTH[0] * scale * (1 + spread(0.04)),
        9.8 * scale * (1 + spread(0.04)),
        scale,
        float(generator.uniform()),
        seed,
    )
