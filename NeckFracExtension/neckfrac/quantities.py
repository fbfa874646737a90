"""What can be measured of a neck: names, units, and from where to where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """What can be measured. title: for a reader. formula: how its value follows from its lines, see `value_of`.

    lines: how many lines of two points it is taken from (fewest, most). unit: UCUM. definition: from where to where.
    """

    name: str
    title: str
    formula: str
    unit: str
    lines: tuple[int, int]
    definition: str


def _quantities(*rows: tuple[str, str, str, str, int | tuple[int, int], str]) -> dict[str, Quantity]:
    made = [
        Quantity(n, t, f, u, lines if isinstance(lines, tuple) else (lines, lines), d) for n, t, f, u, lines, d in rows
    ]
    return {quantity.name: quantity for quantity in made}


# fmt: off
# Six-point morphometry of the body (Genant et al., J Bone Miner Res 1993); heights an eighth of the depth inside the
# walls, where rounded edges and osteophytes do not count.
QUANTITIES: dict[str, Quantity] = _quantities(
    ("anterior-height", "Anterior height", "length", "mm", 1,
     "endplate to endplate, an eighth of the depth from the front"),
    ("middle-height", "Middle height", "length", "mm", 1,
     "endplate to endplate, in the middle of the depth"),
    ("posterior-height", "Posterior height", "length", "mm", 1,
     "endplate to endplate, an eighth of the depth from the back"),
    ("height-ratio", "Anterior / posterior height", "ratio", "1", 2,
     "anterior through posterior height"),
    ("height-loss", "Height loss", "loss", "%", (2, 3),
     "the height that lost most against the mean of the neighbours'"),
    ("body-depth", "Body depth", "length", "mm", 1,
     "front to back wall at mid-height, midline"),
    ("canal-diameter", "Canal diameter", "length", "mm", 1,
     "back wall at mid-height to the nearest point of the lamina"),
    ("canal-body-ratio", "Canal / body (Torg-Pavlov)", "ratio", "1", 2,
     "canal diameter through body depth"),
    ("listhesis", "Listhesis", "signed", "mm", 1,
     "lower corner of the upper body off the posterior body line below, forward positive"),
    ("disc-height", "Disc height", "length", "mm", 1,
     "endplate to endplate, in the middle of the depth"),
    ("segmental-angle", "Segmental angle", "angle", "deg", 2,
     "between the two lower endplates, lordosis positive"),
    ("lordosis-cobb", "Lordosis C2-C7, Cobb", "angle", "deg", 2,
     "between the lower endplates of C2 and C7, lordosis positive"),
    ("lordosis-tangents", "Lordosis C2-C7, tangents", "angle", "deg", 2,
     "between the posterior walls of C2 and C7, lordosis positive"),
    ("interspinous", "Interspinous distance", "length", "mm", 1,
     "tip to tip of the spinous processes"),
    ("atlanto-dental", "Atlanto-dental interval", "length", "mm", 1,
     "back of the anterior arch to the dens, midline, mid-height of the arch"),
    ("lateral-atlanto-dental-left", "Lateral atlanto-dental, left", "length", "mm", 1,
     "dens to the left lateral mass of C1"),
    ("lateral-atlanto-dental-right", "Lateral atlanto-dental, right", "length", "mm", 1,
     "dens to the right lateral mass of C1"),
    ("lateral-atlanto-dental-difference", "Lateral atlanto-dental, difference", "difference", "mm", 2,
     "left and right interval compared"),
    ("atlas-overhang", "Overhang of C1 over C2, both", "sum", "mm", 2,
     "outer edges of C1's lateral masses beyond C2's, both sides added"),
    ("basion-dens", "Basion-dens interval", "length", "mm", 1,
     "tip of the clivus to the nearest point of the dens"),
    ("basion-axial", "Basion-axial interval", "signed", "mm", 1,
     "tip of the clivus in front of the posterior line of C2"),
    ("prevertebral", "Prevertebral thickness", "length", "mm", 1,
     "front of the body to the air before it, midline"),
)
# fmt: on
