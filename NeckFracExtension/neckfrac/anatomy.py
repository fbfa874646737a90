"""C1 to C7 in one place: label value, name, SNOMED CT code, colour."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """One cervical vertebra as every part of the project names it."""

    name: str
    label: int
    snomed: str
    meaning: str
    color: tuple[float, float, float]

    @property
    def hex_color(self) -> str:
        return "#" + "".join(f"{round(255 * part):02x}" for part in self.color)


# SNOMED CT codes of the vertebrae: DICOM PS3.16, CID 7603 (vertebrae are its children).
# Colours: Okabe and Ito's palette for colour-blind readers, neighbours far apart in lightness.
LEVELS: tuple[Level, ...] = (
    Level("C1", 1, "14806007", "C1 vertebra", (0.90, 0.62, 0.00)),
    Level("C2", 2, "39976000", "C2 vertebra", (0.34, 0.71, 0.91)),
    Level("C3", 3, "113205007", "C3 vertebra", (0.00, 0.62, 0.45)),
    Level("C4", 4, "5329002", "C4 vertebra", (0.94, 0.89, 0.26)),
    Level("C5", 5, "36978003", "C5 vertebra", (0.00, 0.45, 0.70)),
    Level("C6", 6, "36054005", "C6 vertebra", (0.84, 0.37, 0.00)),
    Level("C7", 7, "87391001", "C7 vertebra", (0.80, 0.47, 0.65)),
)
LEVEL_NAMES: tuple[str, ...] = tuple(level.name for level in LEVELS)
LEVEL_BY_NAME: dict[str, Level] = {level.name: level for level in LEVELS}

# Classes a level network tells apart. Those after C7 anchor the levels and keep ribs and jaw out
# of the vertebrae; of them only T1 and the skull leave the pipeline, and never among the levels.
BACKGROUND, T1, THORACIC, SKULL, OTHER_BONE = 0, 8, 9, 10, 11
CLASS_NAMES: tuple[str, ...] = ("background", *LEVEL_NAMES, "T1", "T2 and below", "skull", "other bone")
N_LEVELS, N_CLASSES = len(LEVELS), len(CLASS_NAMES)

# The bones that the levels are counted from, muted beside them. SNOMED CT codes: DICOM PS3.16, CID 7603 and 7151.
# Of the skull only what lies near the spine is segmented, and not the occipital bone (31640002) alone.
ANCHORS: tuple[Level, ...] = (
    Level("T1", T1, "64864005", "T1 vertebra", (0.55, 0.57, 0.60)),
    Level("Skull base", SKULL, "89546000", "Skull", (0.76, 0.74, 0.70)),
)
# The names that a chain of vertebrae can take, from above.
CHAIN_NAMES: tuple[str, ...] = (*LEVEL_NAMES, *(f"T{number}" for number in range(1, 6)))
